"""The trace file: what the engine said, readable as JSON, in bars that a viewer can lay side by side."""

from __future__ import annotations

import gzip
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.chip import load_chip
from accelsim.compiler import compile_graph
from accelsim.errors import InternalError
from accelsim.isa.assembler import format_instruction
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.machine.fast import time_program
from accelsim.machine.reference import run_reference
from accelsim.profile.bandwidth import bandwidth
from accelsim.timing.record import EVENT, STATE, Counters, Reason
from accelsim.trace.perfetto import PerfettoWriter
from tests.support.random_models import random_graph
from tests.support.tiny import tiny_program

UNITS = (Unit.LOAD, Unit.MATRIX, Unit.VECTOR, Unit.STORE)
STALLS = (Reason.SEMAPHORE, Reason.DEPENDENCY, Reason.BANK, Reason.DRAM, Reason.QUEUE)
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
        writer.finish(time_program(program, events=take, states=writer.states).counters.cycles)
    raw = path.read_bytes()
    return np.concatenate(chunks), json.loads(gzip.decompress(raw) if compressed else raw)


def states_of(program: Program) -> tuple[np.ndarray, int]:
    """Changes of units' states, and the run's cycles."""
    chunks = [np.zeros(0, STATE)]
    run = time_program(program, states=chunks.append)
    return np.concatenate(chunks), run.counters.cycles


def bars_of(told: dict[str, Any], rows: Collection[int] = ()) -> list[dict[str, Any]]:
    """The bars of some rows of the program, of all where none are named."""
    bars = [one for one in told["traceEvents"] if one["ph"] == "X" and one["pid"] == 0]
    return [one for one in bars if one["tid"] in rows] if rows else bars


@pytest.mark.parametrize("compressed", [False, True])
def test_every_event_is_there(tmp_path: Path, program: Program, compressed: bool) -> None:
    events, told = written(tmp_path / "trace", program, compressed=compressed)
    bars = bars_of(told, UNITS)
    assert len(bars) == len(events) > 50
    for bar, event in zip(bars, events, strict=True):
        index = int(event["index"])
        layer = program.layer_of(index)
        assert bar["name"] == program.instructions[index].name
        assert bar["cat"] == bar["args"]["layer"] == (layer.name if layer else "no layer")
        assert bar["args"]["assembly"] == format_instruction(program.instructions[index])
        assert (bar["tid"], bar["args"]["instruction"]) == (event["unit"], index)
        assert {name: bar["args"].get(name, 0) for name in DETAILS} == {name: event[name] for name in DETAILS}
        assert bar["ts"] + bar["dur"] == event["issued"] + 1


def test_bars_of_a_unit_lie_side_by_side(tmp_path: Path, program: Program) -> None:
    _, told = written(tmp_path / "trace", program, compressed=False)
    ends: dict[int, int] = defaultdict(int)
    for bar in bars_of(told):
        if bar["tid"] != Unit.SEQUENCER:
            assert bar["dur"] > 0
            assert bar["ts"] >= ends[bar["tid"]]
            ends[bar["tid"]] = bar["ts"] + bar["dur"]


def test_rows_are_named_and_the_program_too(tmp_path: Path, program: Program) -> None:
    _, told = written(tmp_path / "trace", program, compressed=False)
    names = {one["tid"]: one["args"]["name"] for one in told["traceEvents"] if one["name"] == "thread_name"}
    assert list(names.values()) == [
        row for unit in ("sequencer", "load", "matrix", "vector", "store") for row in (unit, f"{unit} stalls")
    ]
    assert [names[int(unit)] for unit in UNITS] == ["load", "matrix", "vector", "store"]
    assert told["otherData"]["chip"] == "tx5368-small"
    assert told["otherData"]["schedule"] == program.schedule


def test_chunks_make_no_difference(tmp_path: Path, program: Program) -> None:
    events, _ = written(tmp_path / "whole", program, compressed=False)
    states, cycles = states_of(program)
    for size in (1, 7, len(events)):
        with PerfettoWriter(tmp_path / "parts", program, compressed=False) as writer:
            told = 0
            for start in range(0, len(events), size):
                some = events[start : start + size]
                # As an engine does: what is known when the last of these is done.
                known = int(np.searchsorted(states["cycle"], some["done"][-1] + 1, side="right"))
                writer.states(states[told:known])
                writer(some)
                told = known
            writer.states(states[told:])
            writer.finish(cycles)
        assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()
        (tmp_path / "parts").unlink()


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
        writer.finish(10**17)
    (bar,) = bars_of(json.loads((tmp_path / "trace").read_text()), UNITS)
    assert (bar["ts"], bar["dur"]) == (10**15, 10)
    assert (bar["args"]["dispatched"], bar["args"]["done"]) == (-123, 10**16)


def complete(path: Path, program: Program, engine: str, *, banks: bool) -> tuple[Counters, dict[str, Any]]:
    """A whole file, as `--trace` makes it, and the books of its run."""
    with PerfettoWriter(path, program, compressed=False, banks=banks) as writer:
        if engine == "fast":
            counters = time_program(program, events=writer, states=writer.states).counters
        else:
            frame = np.zeros(program.inputs[0].shape, np.int8)
            run = run_reference(program, frame, keep_events=True, keep_states=True)
            assert run.events is not None
            assert run.states is not None
            writer.states(run.states)
            writer(run.events)
            counters = run.counters
        traffic = bandwidth(counters, program.chip)
        writer.traffic(traffic.traffic_bytes, traffic.bin_cycles, counters.cycles)
        writer.finish(counters.cycles)
    return counters, json.loads(path.read_text())


def check_format(told: dict[str, Any]) -> None:
    """The rules of the Trace Event Format that concern these files."""
    processes, threads = set(), set()
    counters: dict[tuple[int, str], int] = {}
    ends: dict[tuple[int, int], int] = defaultdict(int)
    for one in told["traceEvents"]:
        assert isinstance(one["name"], str)
        assert isinstance(one.get("args", {}), dict)
        if one["ph"] == "M":
            if one["name"] == "process_name":
                processes.add(one["pid"])
            elif one["name"] == "thread_name":
                assert (one["pid"], one["tid"]) not in threads
                threads.add((one["pid"], one["tid"]))
            else:
                assert one["name"] == "thread_sort_index"
        elif one["ph"] == "X":
            # Bars of a row follow one another, and their row has its name already.
            row = one["pid"], one["tid"]
            assert one["pid"] in processes
            assert row in threads
            assert one["dur"] >= 1
            # A dispatch may be of an operation that is done later than others.
            assert one["ts"] >= ends[row] or row == (0, Unit.SEQUENCER)
            ends[row] = one["ts"] + one["dur"]
        else:
            assert one["ph"] == "C"
            assert one["args"]
            assert all(isinstance(value, int | float) and value >= 0 for value in one["args"].values())
            track = one["pid"], one["name"]
            assert one["ts"] > counters.get(track, -1)
            counters[track] = one["ts"]
    assert len({tid for _, tid in threads}) == len(threads)


@pytest.mark.parametrize("banks", [False, True])
def test_the_format_and_the_sums(tmp_path: Path, program: Program, banks: bool) -> None:
    counters, told = complete(tmp_path / "trace", program, "fast", banks=banks)
    check_format(told)
    bars = bars_of(told, UNITS)
    for unit in UNITS:
        busy = sum(one["args"]["busy"] for one in bars if one["tid"] == unit)
        assert busy == counters.units[unit, :, Reason.BUSY].sum()
        assert busy > 0
    dram = [one for one in told["traceEvents"] if one["name"] == "DRAM bytes per cycle"]
    for place, name in enumerate(("read", "written")):
        moved = sum(one["args"][name] * (after["ts"] - one["ts"]) for one, after in itertools.pairwise(dram))
        assert moved == pytest.approx(counters.traffic[place].sum(), rel=1e-9)
    assert dram[-1]["ts"] == counters.cycles
    limit = float(program.chip.dram.rate)
    assert max(one["args"]["read"] + one["args"]["written"] for one in dram) <= limit * (1 + 1e-9)


def check_stalls(told: dict[str, Any], counters: Counters, program: Program) -> None:
    """Stalls add up to the books, by unit, layer and reason."""
    rows = {one["args"]["name"]: one["tid"] for one in told["traceEvents"] if one["name"] == "thread_name"}
    layers = [*(layer.name for layer in program.layers), "no layer"]
    for unit in Unit:
        found = np.zeros((len(layers), len(Reason)), dtype=np.int64)
        for bar in bars_of(told, [rows[f"{unit.name.lower()} stalls"]]):
            found[layers.index(bar["cat"]), Reason[bar["name"].upper()]] += bar["dur"]
        expected = counters.units[unit].copy()
        expected[:, [reason for reason in Reason if reason not in STALLS]] = 0
        assert (found == expected).all(), unit


def test_stalls_add_up_to_the_profile(tmp_path: Path, program: Program) -> None:
    counters, told = complete(tmp_path / "trace", program, "fast", banks=False)
    check_stalls(told, counters, program)
    # What operations wait for themselves does not: loads wait side by side.
    own = sum(bar["args"].get(reason, 0) for bar in bars_of(told, [Unit.LOAD]) for reason in ("semaphore", "dram"))
    assert own != counters.units[Unit.LOAD, :, [Reason.SEMAPHORE, Reason.DRAM]].sum() > 0


def test_stalls_of_a_frame_alone(tmp_path: Path) -> None:
    """What comes before `frame` is in no row."""
    program = tiny_program(
        "load memory=activations source=[0] destination=[0] row_bytes=16 rows=1 signal=s1\nframe\n"
        "store memory=activations source=[0] destination=[0x100] row_bytes=4 rows=1 wait=s1"
    )
    for engine in ("fast", "reference"):
        counters, told = complete(tmp_path / engine, program, engine, banks=False)
        assert counters.setup_cycles > 0
        check_stalls(told, counters, program)
        assert {bar["ts"] for bar in bars_of(told, [Unit.SEQUENCER])} == {0}
    assert (tmp_path / "fast").read_bytes() == (tmp_path / "reference").read_bytes()


def test_dispatches_are_the_sequencers(tmp_path: Path, program: Program) -> None:
    events, told = written(tmp_path / "trace", program, compressed=False)
    bars = bars_of(told, [Unit.SEQUENCER])
    found = sorted((bar["ts"], bar["name"], bar["dur"]) for bar in bars)
    assert found == sorted((int(event["dispatched"]), program.instructions[event["index"]].name, 1) for event in events)


def test_queues_are_what_is_dispatched_and_not_started(tmp_path: Path, program: Program) -> None:
    events, told = written(tmp_path / "trace", program, compressed=False)
    for unit in np.unique(events["unit"]):
        mine = events[events["unit"] == unit]
        told_depths = {
            one["ts"]: one["args"]["waiting"]
            for one in told["traceEvents"]
            if one["name"] == f"queue {Unit(unit).name.lower()}"
        }
        depth = 0
        for cycle in range(int(events["done"].max()) + 2):
            true = int(((mine["dispatched"] <= cycle) & (mine["started"] > cycle)).sum())
            assert told_depths.get(cycle, depth) == true
            # Only changes are written.
            assert cycle not in told_depths or told_depths[cycle] != depth
            depth = true
        assert depth == 0


@pytest.mark.parametrize("banks", [False, True])
def test_both_engines_write_the_same(tmp_path: Path, program: Program, banks: bool) -> None:
    for engine in ("fast", "reference"):
        complete(tmp_path / engine, program, engine, banks=banks)
    assert (tmp_path / "fast").read_bytes() == (tmp_path / "reference").read_bytes()


def test_blocks_make_no_difference_to_banks(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not how an engine hands events on: what a block is changes the order of lines, but no line."""
    monkeypatch.setattr("accelsim.trace.order.BLOCK_EVENTS", 16)
    events, _ = written(tmp_path / "plain", program, compressed=False)
    states, cycles = states_of(program)
    for name, size in (("whole", len(events)), ("parts", 7)):
        with PerfettoWriter(tmp_path / name, program, compressed=False, banks=True) as writer:
            writer.states(states)
            for start in range(0, len(events), size):
                writer(events[start : start + size])
            writer.finish(cycles)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()


def test_rows_of_banks_by_hand(tmp_path: Path) -> None:
    """A load of 16 bytes to parameters: two beats of 8 bytes, banks 0 and 1 of 8 bytes a word.

    Dispatched in 0, requested in 1, 16 bytes at 4 a cycle on the bus up to 5, there 5 later: beats in 10 and 11.
    """
    program = tiny_program("load memory=parameters source=[0] destination=[0] row_bytes=16 rows=1")
    _, told = complete(tmp_path / "trace", program, "fast", banks=True)
    names = {
        (one["pid"], one.get("tid")): one["args"]["name"]
        for one in told["traceEvents"]
        if one["ph"] == "M" and one["name"].endswith("_name") and one["pid"]
    }
    (group,) = [pid for pid, tid in names if tid is None]
    assert names[group, None] == "banks of parameters"
    bars = {
        names[one["pid"], one["tid"]]: (one["ts"], one["dur"], one["args"]["accesses"], one["args"]["exact"])
        for one in told["traceEvents"]
        if one["ph"] == "X" and one["pid"]
    }
    assert bars == {"bank 00 load": (10, 1, 1, 1), "bank 01 load": (11, 1, 1, 1)}
    (whole,) = bars_of(told, UNITS)
    assert (whole["ts"], whole["dur"]) == (1, 11)


def test_events_that_are_not_the_programs_are_no_trace_of_banks(tmp_path: Path, program: Program) -> None:
    events, _ = written(tmp_path / "whole", program, compressed=False)

    def write(some: np.ndarray) -> None:
        with PerfettoWriter(tmp_path / "trace", program, compressed=False, banks=True) as writer:
            writer(some)
            writer.finish(int(events["done"].max()) + 1)

    for some in (events[:-1], np.concatenate([events, events[-1:]])):
        with pytest.raises(InternalError):
            write(some)
        assert not (tmp_path / "trace").exists()
