"""`accelsim diff`: programs, tables and JSON against each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import Files, Program


@pytest.fixture
def other(accelsim: Program, files: Files) -> Path:
    """The model compiled for another chip, in a folder of its own."""
    accelsim.ok(
        "compile", files / "kws_quantize.onnx", "--chip", "tx5368-small", "--outpath", files / "small", "--json"
    )
    return files / "small" / "kws_quantize_r.cfg"


def test_a_program_is_no_different_from_its_files(accelsim: Program, files: Files) -> None:
    cfg = files / "kws_quantize_r.cfg"
    printed = accelsim.ok("profile", cfg, "--no-plots", "--outpath", files.folder, "--json")
    (files / "p.json").write_text(printed)
    ran = accelsim.ok("run", cfg, "--input", files / "data.bin", "--outpath", files.folder, "--json")
    (files / "r.json").write_text(ran)
    for name in ("p.json", "r.json", "profile.csv", "kws_quantize_r.cfg"):
        for pair in ((cfg, files / name), (files / name, cfg)):
            assert accelsim.ok("diff", *pair).splitlines()[2:] == ["no difference in 3 of the 3 layers of both"]


def test_two_programs(accelsim: Program, files: Files, other: Path) -> None:
    cfg = files / "kws_quantize_r.cfg"
    told = json.loads(accelsim.ok("diff", cfg, other, "--json"))
    cycles = [
        json.loads(accelsim.ok("profile", path, "--no-plots", "--outpath", files.out, "--json"))["cycles"]
        for path in (cfg, other)
    ]
    total = told["total"]["cycles"]
    assert [total["a"], total["b"]] == cycles
    assert total["difference"] == cycles[1] - cycles[0] != 0
    assert total["relative"] == pytest.approx(cycles[1] / cycles[0] - 1)
    assert sum(layer["figures"]["cycles"]["difference"] for layer in told["layers"]) == total["difference"]
    assert (told["a"]["chip"], told["b"]["chip"]) == ("tx5368", "tx5368-small")
    text = accelsim.ok("diff", cfg, other)
    assert f"{cycles[1] - cycles[0]:+,}" in text
    for words in ("cycles A", "DRAM bytes A", "energy nJ A", "sequencer", "total"):
        assert words in text


def test_layers_of_one_alone_and_no_layer_in_common(accelsim: Program, files: Files, other: Path) -> None:
    cfg = files / "kws_quantize_r.cfg"
    accelsim.ok("profile", cfg, "--no-plots", "--outpath", files.folder)
    text = (files / "profile.csv").read_text()
    first = text.splitlines()[1].partition(",")[0]
    (files / "renamed.csv").write_text(text.replace(f"\n{first},", "\nanother,", 1))
    outcome = accelsim("diff", cfg, files / "renamed.csv")
    assert outcome.code == 0
    assert f"only in A: {first} (" in outcome.out
    assert "only in B: another (" in outcome.out
    lines = text.splitlines()
    renamed = [f"x{number}{line[line.index(',') :]}" for number, line in enumerate(lines[1:-2])]
    (files / "all.csv").write_text("\n".join([lines[0], *renamed, *lines[-2:]]) + "\n")
    outcome = accelsim("diff", cfg, files / "all.csv")
    assert outcome.code == 0
    assert outcome.err == "accelsim: note: no layer of A has the name of one of B; only the totals compare\n"


def test_batches_are_noted(accelsim: Program, files: Files) -> None:
    accelsim.ok("compile", files / "kws_quantize.onnx", "--batch", "2", "--outpath", files / "two", "--json")
    outcome = accelsim("diff", files / "kws_quantize_r.cfg", files / "two" / "kws_quantize_r.cfg")
    assert outcome.code == 0
    assert "A is of a batch of 1, B of one of 2; no figure is divided by that" in outcome.err


def test_of_other_clocks_the_times_are_compared(accelsim: Program, files: Files) -> None:
    """Twice the clock: as many cycles, in half the time."""
    cfg = files / "kws_quantize_r.cfg"
    told = json.loads(accelsim.ok("profile", cfg, "--no-plots", "--outpath", files.folder, "--json"))
    told["clock_mhz"] *= 2
    for part in (told, *told["layers"]):
        part["time_us"] /= 2
    (files / "fast.json").write_text(json.dumps(told))
    outcome = accelsim("diff", cfg, files / "fast.json")
    assert "A and B have different clocks: compare times, not cycles" in outcome.err
    lines = outcome.out.splitlines()
    at = next(place for place, line in enumerate(lines) if "time µs A" in line)
    total = next(line for line in lines[at:] if line.lstrip().startswith("total"))
    assert total.split()[-1] == "-50.0"
    for name in ("profile.csv", "kws_quantize_r.cfg"):
        same = accelsim("diff", cfg, files / name)
        assert "clock" not in same.err
        assert "time µs" not in same.out


def test_set_up_is_noted(accelsim: Program, files: Files) -> None:
    cfg = files / "kws_quantize_r.cfg"
    told = json.loads(accelsim.ok("profile", cfg, "--no-plots", "--outpath", files.folder, "--json"))
    more = told["setup_cycles"] + 1234
    (files / "more.json").write_text(json.dumps(told | {"setup_cycles": more}))
    outcome = accelsim("diff", cfg, files / "more.json")
    assert f"is in no figure: A has {told['setup_cycles']:,} cycles of it, B {more:,}" in outcome.err
    assert "set-up" not in accelsim("diff", cfg, cfg).err
    # Only what a file says of itself: no figure.
    (files / "odd.json").write_text(json.dumps(told | {"setup_cycles": "many"}))
    assert "set-up" not in accelsim("diff", cfg, files / "odd.json").err


def test_mistakes(accelsim: Program, files: Files) -> None:
    cfg = files / "kws_quantize_r.cfg"
    (files / "x.json").write_text("[]")
    for name, expected in {
        "x.txt": "{path}: suffix '.txt'; expected .cfg, .csv or .json",
        "no.csv": "{path}: No such file or directory; expected a profile",
        "no.cfg": "{path}: ",
        "x.json": "{path}: found a list; expected an object, as `accelsim run --json` prints it",
    }.items():
        path = files / name
        for pair in ((cfg, path), (path, cfg)):
            outcome = accelsim("diff", *pair)
            assert outcome.code == 2
            assert outcome.error.startswith(expected.format(path=path))
    assert accelsim("diff", cfg).code == 2
