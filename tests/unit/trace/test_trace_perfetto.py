"""The trace file: what the engine said, readable as JSON, in bars that a viewer can lay side by side."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.chip import load_chip
from accelsim.compiler import compile_graph
from accelsim.isa.program import Program
from accelsim.machine.fast import time_program
from accelsim.timing.record import EVENT
from accelsim.trace.perfetto import PerfettoWriter
from tests.support.random_models import random_graph

DETAILS = ("dispatched", "started", "done", "busy", "semaphore", "dependency", "bank", "dram")


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_graph(random_graph(3, steps=12, sizes=(40, 24, 24), linear=5), load_chip("tx5368-small"))


def written(path: Path, program: Program, *, compressed: bool) -> tuple[np.ndarray, dict[str, Any]]:
    """The engine's events, and what the file says."""
    chunks = [np.zeros(0, EVENT)]

    def take(events: np.ndarray) -> None:
        chunks.append(events)
        writer(events)

    with PerfettoWriter(path, program, compressed=compressed) as writer:
        time_program(program, events=take)
    raw = path.read_bytes()
    return np.concatenate(chunks), json.loads(gzip.decompress(raw) if compressed else raw)


@pytest.mark.parametrize("compressed", [False, True])
def test_every_event_is_there(tmp_path: Path, program: Program, compressed: bool) -> None:
    events, told = written(tmp_path / "trace", program, compressed=compressed)
    bars = [one for one in told["traceEvents"] if one["ph"] == "X"]
    assert len(bars) == len(events) > 50
    for bar, event in zip(bars, events, strict=True):
        index = int(event["index"])
        layer = program.layer_of(index)
        assert bar["name"] == program.instructions[index].name
        assert bar["cat"] == bar["args"]["layer"] == (layer.name if layer else "no layer")
        assert (bar["tid"], bar["args"]["instruction"]) == (event["unit"], index)
        assert {name: bar["args"].get(name, 0) for name in DETAILS} == {name: event[name] for name in DETAILS}
        assert bar["ts"] + bar["dur"] == event["issued"] + 1


def test_bars_of_a_unit_lie_side_by_side(tmp_path: Path, program: Program) -> None:
    _, told = written(tmp_path / "trace", program, compressed=False)
    ends: dict[int, int] = defaultdict(int)
    for bar in told["traceEvents"]:
        if bar["ph"] == "X":
            assert bar["dur"] > 0
            assert bar["ts"] >= ends[bar["tid"]]
            ends[bar["tid"]] = bar["ts"] + bar["dur"]


def test_rows_are_named_and_the_program_too(tmp_path: Path, program: Program) -> None:
    _, told = written(tmp_path / "trace", program, compressed=False)
    names = {one["tid"]: one["args"]["name"] for one in told["traceEvents"] if one["name"] == "thread_name"}
    assert names == {0: "load", 1: "matrix", 2: "vector", 3: "store"}
    assert told["otherData"]["chip"] == "tx5368-small"
    assert told["otherData"]["schedule"] == program.schedule


def test_chunks_make_no_difference(tmp_path: Path, program: Program) -> None:
    events, _ = written(tmp_path / "whole", program, compressed=False)
    with PerfettoWriter(tmp_path / "parts", program, compressed=False) as writer:
        for start in range(0, len(events), 7):
            writer(events[start : start + 7])
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()


def test_a_run_that_fails_leaves_no_file(tmp_path: Path, program: Program) -> None:
    def run(fail: Callable[[], None]) -> None:
        with PerfettoWriter(tmp_path / "trace", program, compressed=True):
            fail()

    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 // 0)
    assert not list(tmp_path.iterdir())


def test_large_and_negative_numbers(tmp_path: Path, program: Program) -> None:
    event = np.zeros(1, EVENT)
    event["started"], event["issued"], event["done"], event["dispatched"] = 10**15, 10**15 + 9, 10**16, -123
    with PerfettoWriter(tmp_path / "trace", program, compressed=False) as writer:
        writer(event)
    bar = json.loads((tmp_path / "trace").read_text())["traceEvents"][-1]
    assert (bar["ts"], bar["dur"]) == (10**15, 10)
    assert (bar["args"]["dispatched"], bar["args"]["done"]) == (-123, 10**16)
