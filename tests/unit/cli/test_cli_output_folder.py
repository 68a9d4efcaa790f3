"""The folder results go to: refused before any work, made with all its parts, and never left half filled."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.command_line import Files, Program, refused

OUTPUTS: dict[str, tuple[str, ...]] = {
    "quant": ("quant", "-m", "{}/kws.onnx", "-d", "{}/data.npz"),
    "compile": ("compile", "{}/kws_quantize.onnx"),
    "run": ("run", "{}/kws_quantize_r.cfg", "--input", "{}/data.npz"),
    "profile": ("profile", "{}/kws_quantize_r.cfg"),
    "make-input": ("make-input", "--input", "{}/data.npz"),
    "asm": ("asm", "{}/program.asm"),
}


@pytest.fixture
def with_assembly(accelsim: Program, files: Files) -> Files:
    accelsim.ok("disasm", files / "kws_quantize_r.cfg", "-o", files / "program.asm")
    return files


@pytest.mark.parametrize("command", OUTPUTS)
def test_output_folder_that_is_or_is_below_a_file(accelsim: Program, with_assembly: Files, command: str) -> None:
    files = with_assembly
    arguments = [part.format(files.folder) for part in OUTPUTS[command]]
    for folder in (files / "data.npz", files / "data.npz" / "below" / "it"):
        error = refused(accelsim, files, *arguments, "--outpath", folder)
        assert str(folder) in error
        assert "is no folder" in error


@pytest.mark.parametrize("command", OUTPUTS)
def test_output_folder_that_is_not_writable(
    accelsim: Program, with_assembly: Files, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = with_assembly
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != files.folder)
    arguments = [part.format(files.folder) for part in OUTPUTS[command]]
    error = refused(accelsim, files, *arguments, "--outpath", files.out)
    assert f"{files.folder} is not writable" in error


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc, where nobody can write")
@pytest.mark.parametrize("command", OUTPUTS)
def test_output_folder_that_can_not_be_made(accelsim: Program, with_assembly: Files, command: str) -> None:
    arguments = [part.format(with_assembly.folder) for part in OUTPUTS[command]]
    assert "/proc" in refused(accelsim, with_assembly, *arguments, "--outpath", "/proc/accelsim/out")


@pytest.mark.parametrize("command", OUTPUTS)
def test_output_folder_with_a_name_that_is_too_long(accelsim: Program, with_assembly: Files, command: str) -> None:
    files = with_assembly
    arguments = [part.format(files.folder) for part in OUTPUTS[command]]
    more = ("--no-plots",) if command == "profile" else ()
    error = refused(accelsim, files, *arguments, *more, "--outpath", files / "new" / ("x" * 300))
    assert "File name too long" in error


def test_output_folder_that_can_not_be_looked_at(
    accelsim: Program, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = os.lstat

    def hidden(path: str, **options: int) -> os.stat_result:
        if Path(path) == files.out:
            raise PermissionError(13, "Permission denied")
        return look(path, **options)

    monkeypatch.setattr(os, "lstat", hidden)
    error = refused(accelsim, files, "make-input", "--input", files / "data.npz", "--outpath", files.out)
    assert error.startswith(f"{files.out}: Permission denied")


RESULTS = {
    "quant": "kws_quantize.onnx",
    "compile": "kws_quantize_r.weight",
    "run": "profile.csv",
    "profile": "profile.csv",
    "make-input": "model_input.bin",
    "asm": "program_r.cfg",
}


@pytest.mark.parametrize("command", OUTPUTS)
def test_nothing_is_half_written(accelsim: Program, with_assembly: Files, command: str) -> None:
    """A folder stands where one of the files should go."""
    files = with_assembly
    (files.out / RESULTS[command] / "inside").mkdir(parents=True)
    arguments = [part.format(files.folder) for part in OUTPUTS[command]]
    if command == "profile":
        arguments.append("--no-plots")
    assert str(files.out) in refused(accelsim, files, *arguments, "--outpath", files.out)


def test_new_folders_are_removed_where_writing_fails(
    accelsim: Program, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    error = refused(accelsim, files, "make-input", "--input", files / "data.npz", "--outpath", files.out)
    assert "No space left on device" in error
    assert not files.out.parent.exists()
