"""What a terminal sees and a file does not; and what no terminal can show."""

from __future__ import annotations

import io
import re
import sys

import pytest

from accelsim.cli.console import progress_bar, say, show, spinner, table
from tests.support.command_line import FRAMES, Files, Program


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch, name: str, columns: int = 100) -> Terminal:
    """Make a standard stream a terminal; called in the test itself, as pytest sets its own streams before it."""
    stream = Terminal()
    monkeypatch.setattr(sys, name, stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    return stream


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch, "stderr")
    with progress_bar("quantizing") as progress:
        assert progress is not None
        progress(3, 4)
    assert "quantizing" in stream.getvalue()
    assert "75%" in stream.getvalue()


def test_spinner_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch, "stderr")
    with spinner("simulating"):
        pass
    assert "simulating" in stream.getvalue()


def test_no_progress_where_silence_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch, "stderr")
    with progress_bar("quantizing", silent=True) as progress, spinner("simulating", silent=True):
        assert progress is None
    assert stream.getvalue() == ""


def test_no_progress_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("quantizing") as progress, spinner("simulating"):
        assert progress is None
    assert capsys.readouterr().err == ""


def test_quantizing_counts_batches_to_the_end(accelsim: Program, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch, "stderr")
    out = accelsim.ok("quant", "-m", files / "kws.onnx", "-d", files / "data.npz", "-s", files.out)
    assert f"{FRAMES} calibration frames" in out
    assert "100%" in stream.getvalue()


@pytest.mark.parametrize("command", ["run", "profile"])
def test_simulating_shows_a_sign_of_life(
    accelsim: Program, files: Files, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    stream = terminal(monkeypatch, "stderr")
    more = ("--input", files / "data.npz") if command == "run" else ("--no-plots",)
    accelsim.ok(command, files / "kws_quantize_r.cfg", *more, "--outpath", files.out)
    assert "simulating" in stream.getvalue()


def test_columns_and_alignment(capsys: pytest.CaptureFixture[str]) -> None:
    show(table(("layer", "MACs"), [("a[b]", "1"), ("c", "1,000")], left=("layer",)))
    lines = capsys.readouterr().out.split("\n")
    assert lines == ["", "layer   MACs", "────────────", "a[b]       1", "c      1,000", "", ""]


def test_wide_columns_give_way_where_the_terminal_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch, "stdout", columns=40)
    key, text = "sequencer.load_queue_depth", "many words that are there to be wrapped"
    show(table(("key", "meaning"), [(key, text)], left=("key", "meaning"), wrapped=("meaning",)))
    lines = re.sub(r"\x1b\[\d*m", "", stream.getvalue()).strip("\n").split("\n")
    assert max(map(len, lines)) <= 40
    assert len(lines) > 3
    assert any(key in line for line in lines)


def test_characters_without_a_code_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    say("11.2 µs")
    assert raw.getvalue() == b"11.2 \\xb5s\n"
