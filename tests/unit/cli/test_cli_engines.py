"""`--engine` and `--trace`: who counts, and every operation as a file."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.command_line import Files, Program


@pytest.mark.parametrize("command", ["run", "profile"])
def test_both_engines_say_the_same(accelsim: Program, files: Files, command: str) -> None:
    told = {}
    for engine in ("fast", "reference"):
        arguments = [command, files / "kws_quantize_r.cfg", "--outpath", files.out, "--engine", engine, "--json"]
        if command == "run":
            arguments += ["--input", files / "data.bin"]
        told[engine] = json.loads(accelsim.ok(*arguments))
    assert told["fast"] == told["reference"]


@pytest.mark.parametrize(("name", "more"), [("t.json", []), ("t.json", ["--trace-banks"]), ("t.vcd", [])])
def test_traces_of_both_engines_are_the_same(accelsim: Program, files: Files, name: str, more: list[str]) -> None:
    contents = []
    for engine in ("fast", "reference"):
        trace = files / f"{engine}_{name}"
        arguments = ("profile", files / "kws_quantize_r.cfg", "--no-plots", "--outpath", files.out, "--engine", engine)
        accelsim.ok(*arguments, "--trace", trace, *more)
        contents.append(trace.read_bytes())
    assert contents[0] == contents[1]


def test_rows_of_banks_only_where_they_are_asked_for(accelsim: Program, files: Files) -> None:
    processes = []
    for more in ((), ("--trace-banks",)):
        trace = files / f"{len(more)}.json"
        accelsim.ok(
            "profile", files / "kws_quantize_r.cfg", "--no-plots", "--outpath", files.out, "--trace", trace, *more
        )
        processes.append({one["pid"] for one in json.loads(trace.read_text())["traceEvents"]})
    assert processes == [{0}, {0, 1, 2, 3, 4}]


def test_rows_of_banks_that_have_no_place(accelsim: Program, files: Files) -> None:
    trace = files / "t.vcd"
    for more, expected in {
        (): "--trace-banks: given without --trace; expected --trace FILE.json.gz",
        ("--trace", trace): f"--trace-banks: given with {trace}; expected --trace FILE.json or .json.gz",
    }.items():
        outcome = accelsim("profile", files / "kws_quantize_r.cfg", "--outpath", files.out, "--trace-banks", *more)
        assert outcome.code == 2
        assert outcome.error == expected


def test_a_trace_is_named_among_the_files(accelsim: Program, files: Files) -> None:
    trace = files / "t.json.gz"
    arguments = ("run", files / "kws_quantize_r.cfg", "--input", files / "data.bin", "--outpath", files.out)
    printed = json.loads(accelsim.ok(*arguments, "--trace", trace, "--plots", "--json"))
    assert printed["files"][-1] == str(trace)
    told = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    bars = [one | {"args": one.get("args", {})} for one in told if one["ph"] == "X"]
    units = ("load", "matrix", "vector", "store")
    assert len([one for one in bars if "busy" in one["args"]]) == sum(
        printed["units"][unit]["operations"] for unit in units
    )
    rows = {one["tid"]: one["args"]["name"] for one in told if one["name"] == "thread_name"}
    for unit in (*units, "sequencer"):
        stalls = [one for one in bars if rows[one["tid"]] == f"{unit} stalls"]
        for reason in ("semaphore", "dependency", "bank", "dram", "queue"):
            told_cycles = sum(one["dur"] for one in stalls if one["name"] == reason)
            assert told_cycles == printed["units"][unit]["cycles"][reason]
    assert [one["ts"] for one in told if one["name"] == "DRAM bytes per cycle"][-1] == printed["cycles"]
    assert not list(Path(files.folder).glob(".*.tmp"))


def test_a_trace_file_that_cannot_be(accelsim: Program, files: Files) -> None:
    for name, expected in {
        "t.csv": "--trace: found {path}; expected a name that ends in .json, .json.gz, .vcd or .vcd.gz",
        "data.bin/t.json": "{parent}: is no folder; expected a folder that can be written, or made",
        "folder.json": "{path}: is a directory; expected a file name",
    }.items():
        (files / "folder.json").mkdir(exist_ok=True)
        path = files / name
        outcome = accelsim("profile", files / "kws_quantize_r.cfg", "--outpath", files.out, "--trace", path)
        assert outcome.code == 2
        assert outcome.error == expected.format(path=path, parent=path.parent)
        assert not files.out.exists()


def test_a_run_that_fails_leaves_no_trace_file(accelsim: Program, files: Files) -> None:
    np.save(files / "wrong.npy", np.zeros((1, 2, 3), np.float32))
    trace = files / "t.json"
    outcome = accelsim(
        "run", files / "kws_quantize_r.cfg", "--input", files / "wrong.npy", "--outpath", files.out, "--trace", trace
    )
    assert outcome.code == 2
    assert not trace.exists()


def test_the_folder_of_a_trace_is_made(accelsim: Program, files: Files) -> None:
    """Before the other files' folder, which may be the same."""
    for folder in (files.out, files / "other" / "folder"):
        trace = folder / "t.json.gz"
        out = accelsim.ok(
            "profile", files / "kws_quantize_r.cfg", "--no-plots", "--outpath", files.out, "--trace", trace
        )
        assert f"{trace} ({trace.stat().st_size:,} bytes)" in out


def test_nothing_is_left_where_other_files_cannot_be_written(accelsim: Program, files: Files) -> None:
    """The run is over then, and its trace complete."""
    for command in (("profile",), ("run", "--input", files / "data.bin", "--plots")):
        arguments = (command[0], files / "kws_quantize_r.cfg", *command[1:], "--outpath", files.out, "--zoom", "5:4")
        outcome = accelsim(*arguments, "--trace", files / "new" / "t.vcd")
        assert outcome.code == 2
        assert not (files / "new").exists()
        assert not files.out.exists()


def test_a_run_too_long_for_a_timeline_has_the_other_plots(
    accelsim: Program, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accelsim.profile.plots.MOST_DRAWN", 5)
    outcome = accelsim("profile", files / "kws_quantize_r.cfg", "--outpath", files.out)
    assert outcome.code == 0
    assert "no unit_timeline: the run has " in outcome.err
    drawn = {path.stem for path in files.out.glob("*.png")}
    assert drawn == {"cycles_by_layer", "energy_by_layer", "roofline", "dram_traffic", "sram_occupancy"}
