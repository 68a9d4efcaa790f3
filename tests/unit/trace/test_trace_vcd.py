"""The VCD file: read by a third party's reader, and compared with the events, cycle by cycle."""

from __future__ import annotations

import gzip
import io
import itertools
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from vcd.reader import TokenKind, tokenize

from accelsim.chip import load_chip
from accelsim.compiler import compile_graph
from accelsim.errors import InternalError
from accelsim.isa.assembler import format_instruction
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.machine.fast import time_program
from accelsim.machine.reference import run_reference
from accelsim.timing.record import EVENT, Counters, Reason
from accelsim.trace.vcd import VcdWriter, timescale
from tests.support.random_models import random_graph
from tests.support.tiny import tiny_program

UNITS = (Unit.LOAD, Unit.MATRIX, Unit.VECTOR, Unit.STORE)
WAITS = ("semaphore", "dependency", "bank", "dram")
Changes = list[tuple[int, int | str]]


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_graph(random_graph(3, steps=12, sizes=(40, 24, 24), linear=5), load_chip("tx5368-small"))


def written(
    path: Path, program: Program, engine: str = "fast", *, compressed: bool = False
) -> tuple[np.ndarray, Counters]:
    chunks = [np.zeros(0, EVENT)]
    with VcdWriter(path, program, compressed=compressed) as writer:
        if engine == "fast":

            def take(events: np.ndarray) -> None:
                chunks.append(events)
                writer(events)

            counters = time_program(program, events=take, states=writer.states).counters
        else:
            frame = np.zeros(program.inputs[0].shape, np.int8)
            run = run_reference(program, frame, keep_events=True, keep_states=True)
            assert run.events is not None
            assert run.states is not None
            chunks.append(run.events)
            writer.states(run.states)
            writer(run.events)
            counters = run.counters
        writer.finish(counters.cycles)
    return np.concatenate(chunks), counters


def read(content: bytes) -> tuple[str, dict[str, Changes], int]:
    """The unit of time, the changes of each signal by its name with scopes, and the last time."""
    names: dict[str, str] = {}
    scopes: list[str] = []
    changes: dict[str, Changes] = defaultdict(list)
    unit, time, last = "", 0, -1
    for token in tokenize(io.BytesIO(content)):
        if token.kind is TokenKind.TIMESCALE:
            unit = str(token.timescale)
        elif token.kind is TokenKind.SCOPE:
            scopes.append(token.scope.ident)
        elif token.kind is TokenKind.UPSCOPE:
            scopes.pop()
        elif token.kind is TokenKind.VAR:
            assert token.var.id_code not in names
            names[token.var.id_code] = ".".join([*scopes, token.var.reference])
        elif token.kind is TokenKind.CHANGE_TIME:
            time = token.time_change
            assert time > last
            last = time
        elif token.kind is TokenKind.CHANGE_SCALAR:
            changes[names[token.scalar_change.id_code]].append((time, int(token.scalar_change.value)))
        elif token.kind is TokenKind.CHANGE_VECTOR:
            changes[names[token.vector_change.id_code]].append((time, token.vector_change.value))
        elif token.kind is TokenKind.CHANGE_STRING:
            changes[names[token.string_change.id_code]].append((time, token.string_change.value))
    assert set(changes) == set(names.values())
    for values in changes.values():
        assert all(one[1] != after[1] for one, after in itertools.pairwise(values))
    return unit, changes, last


def over_time(changes: Changes, cycles: int, cycle: Fraction) -> list[int | str]:
    """The value in each cycle."""
    values: list[int | str] = []
    held = dict(changes)
    current: int | str = "?"
    for number in range(cycles):
        current = held.get(round(number * cycle), current)
        values.append(current)
    return values


def escaped(text: str) -> str:
    """As a text stands in the file."""
    plain = [chr(byte) if 0x20 < byte < 0x7F and byte != 0x5C else f"\\x{byte:02X}" for byte in text.encode()]
    return "".join(plain)


def expected(events: np.ndarray, program: Program, cycles: int) -> dict[str, list[int | str]]:
    """The same from events, in another way: a loop over the cycles of each operation."""
    found: dict[str, list[int | str]] = {}
    for unit in UNITS:
        rows: dict[str, list[int | str]] = {
            name: [0] * cycles
            for name in ("active", "stalled", *(f"for_{one}" for one in WAITS), "beats", "begun", "queue", "under_way")
        }
        rows |= {"instruction": ["x"] * cycles, "assembly": [""] * cycles, "layer": [""] * cycles}
        free = 0
        for event in np.sort(events[events["unit"] == unit], order="dispatched"):
            there = max(int(event["dispatched"]) + program.chip.sequencer.dispatch_cycles, free)
            begin = max(int(event["started"]), free)
            free = int(event["issued"]) + 1
            for cycle in range(there, free):
                rows["active" if cycle >= begin else "stalled"][cycle] = 1
                rows["instruction"][cycle] = int(event["index"])
                rows["assembly"][cycle] = escaped(format_instruction(program.instructions[event["index"]]))
                rows["layer"][cycle] = escaped(program.layers[event["layer"]].name) if event["layer"] >= 0 else ""
                rows["beats"][cycle] = int(event["busy"])
                for one in WAITS:
                    rows[f"for_{one}"][cycle] = int(event[one])
            for name, first, last in (
                ("begun", begin, cycles),
                ("queue", event["dispatched"], event["started"]),
                ("under_way", free, event["done"] + 1),
            ):
                for cycle in range(int(first), int(last)):
                    rows[name][cycle] += 1
        found |= {f"{unit.name.lower()}.{name}": row for name, row in rows.items()}
    return found


def test_every_signal_in_every_cycle(tmp_path: Path, program: Program) -> None:
    events, counters = written(tmp_path / "t.vcd", program)
    _, cycle = timescale(program.chip.chip.clock_mhz)
    _, changes, last = read((tmp_path / "t.vcd").read_bytes())
    assert last == counters.cycles * cycle
    for name, values in expected(events, program, counters.cycles).items():
        assert over_time(changes.pop(name), counters.cycles, cycle) == values, name
    for unit in Unit:
        states = over_time(changes.pop(f"{unit.name.lower()}.state"), counters.cycles, cycle)
        sums = counters.units[unit].sum(axis=0)
        assert Counter(states) == {reason.name.lower(): sums[reason] for reason in Reason if sums[reason]}
    dispatched = np.sort(events, order="dispatched")
    whole = over_time(changes.pop("sequencer.dispatched"), counters.cycles, cycle)
    last = over_time(changes.pop("sequencer.instruction"), counters.cycles, cycle)
    for now in range(counters.cycles):
        count = int(np.searchsorted(dispatched["dispatched"], now, side="right"))
        assert (whole[now], last[now]) == (count, dispatched["index"][count - 1] if count else "x")
    assert changes["dram.read_bytes"][-1][1] == counters.traffic[0].sum() > 0
    assert changes["dram.written_bytes"][-1][1] == counters.traffic[1].sum() > 0
    assert set(changes) == {"dram.read_bytes", "dram.written_bytes"}


def test_a_load_by_hand(tmp_path: Path) -> None:
    """Dispatched in 0, requested in 1, beats in 10 and 11, written in 13: see `test_rows_of_banks_by_hand`.

    At 100 MHz a cycle is 10 ns, the coarsest unit that makes it whole. The store waits for the load's semaphore from
    cycle 2 on, in which it can be seen first, until its only beat in 14: the load is done in 13, and that is seen a
    cycle later.
    """
    program = tiny_program(
        "load memory=activations source=[0] destination=[0] row_bytes=16 rows=1 signal=s1\n"
        "store memory=activations source=[0] destination=[0x100] row_bytes=4 rows=1 wait=s1",
        {"first $end\\é": [(0, 1)]},
    )
    written(tmp_path / "t.vcd", program)
    unit, changes, _ = read((tmp_path / "t.vcd").read_bytes())
    assert unit == "10 ns"
    assert changes["load.active"] == [(0, 0), (1, 1), (12, 0)]
    assert changes["load.instruction"] == [(0, "x"), (1, 0), (12, "x")]
    assert changes["load.assembly"][1] == (1, escaped(format_instruction(program.instructions[0])))
    assert changes["load.layer"] == [(0, ""), (1, r"first\x20$end\x5C\xC3\xA9"), (12, "")]
    # Requested in 1 and under way until 11; a beat each in 10 and 11.
    assert changes["load.state"] == [(0, "idle"), (1, "dram"), (10, "busy"), (12, "idle")]
    assert changes["store.state"] == [(0, "idle"), (2, "semaphore"), (14, "busy"), (15, "dram")]
    assert changes["sequencer.dispatched"] == [(0, 0), (0, 1), (1, 2)]
    assert changes["sequencer.state"] == [(0, "idle"), (0, "busy"), (3, "idle")]
    assert changes["load.beats"] == [(0, 0), (1, 2), (12, 0)]
    assert changes["load.queue"] == [(0, 0), (0, 1), (1, 0)]
    assert changes["load.under_way"] == [(0, 0), (12, 1), (14, 0)]
    assert changes["store.stalled"] == [(0, 0), (2, 1), (14, 0)]
    assert changes["store.for_semaphore"] == [(0, 0), (2, 12), (15, 0)]
    assert changes["store.active"] == [(0, 0), (14, 1), (15, 0)]
    assert changes["store.layer"] == [(0, "")]
    assert changes["store.queue"] == [(0, 0), (1, 1), (14, 0)]
    assert changes["dram.read_bytes"] == [(0, 0), (14, 16)]
    assert changes["matrix.active"] == [(0, 0)]


def test_both_engines_and_all_ways_to_hand_events_on(tmp_path: Path, program: Program) -> None:
    events, counters = written(tmp_path / "fast", program)
    written(tmp_path / "reference", program, "reference")
    written(tmp_path / "compressed", program, compressed=True)
    states: list[np.ndarray] = []
    time_program(program, states=states.append)
    with VcdWriter(tmp_path / "parts", program, compressed=False) as writer:
        writer.states(np.concatenate(states))
        for start in range(0, len(events), 7):
            writer(events[start : start + 7])
        writer.finish(counters.cycles)
    whole = (tmp_path / "fast").read_bytes()
    assert (tmp_path / "reference").read_bytes() == whole
    assert (tmp_path / "parts").read_bytes() == whole
    assert gzip.decompress((tmp_path / "compressed").read_bytes()) == whole


def test_small_blocks_give_the_same(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are held back until nothing earlier can come, whatever is known when."""
    written(tmp_path / "whole", program)
    monkeypatch.setattr("accelsim.trace.order.BLOCK_EVENTS", 1)
    written(tmp_path / "small", program)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "small").read_bytes()


def test_what_is_held_does_not_grow_with_the_run(tmp_path: Path) -> None:
    held = []
    for steps in (40, 400):
        program = compile_graph(random_graph(3, steps=steps, sizes=(6, 5, 4)), load_chip("tx5368-small"))
        with VcdWriter(tmp_path / str(steps), program, compressed=True) as writer:
            writer.finish(time_program(program, events=writer, states=writer.states).counters.cycles)
        held.append(writer.order.most_held)
    assert held[1] == held[0]


def test_events_that_are_not_the_programs(tmp_path: Path, program: Program) -> None:
    events, counters = written(tmp_path / "whole", program)

    def write(some: np.ndarray) -> None:
        with VcdWriter(tmp_path / "t", program, compressed=False) as writer:
            writer(some)
            writer.finish(counters.cycles)

    for some in (events[:-1], np.concatenate([events[:5], events[6:]]), np.concatenate([events, events[-1:]])):
        with pytest.raises(InternalError):
            write(some)
        assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("clock_mhz", "unit", "cycle"),
    [
        (400, "100 ps", 25),
        (100, "10 ns", 1),
        (1, "1 us", 1),
        (0.0001, "10 ms", 1),
        (1e-6, "1 s", 1),
        (3.2e-6, "100 us", 3125),
        (1000, "1 ns", 1),
        (1e6, "1 ps", 1),
        (333.3, "1 fs", Fraction(10**10, 3333)),
    ],
)
def test_units_of_time(clock_mhz: float, unit: str, cycle: Fraction) -> None:
    assert timescale(clock_mhz) == (unit, cycle)


def test_a_clock_without_a_whole_period(tmp_path: Path) -> None:
    """Each time is rounded on its own: no error adds up."""
    code = "loop count=300 {\nload memory=activations source=[0] destination=[0] row_bytes=16 rows=1\n}"
    program = tiny_program(code, chip__clock_mhz=333.3)
    events, counters = written(tmp_path / "t.vcd", program)
    unit, changes, last = read((tmp_path / "t.vcd").read_bytes())
    assert unit == "1 fs"
    assert last == round(Fraction(counters.cycles * 10**10, 3333))
    begun = over_time(changes["load.begun"], counters.cycles, Fraction(10**10, 3333))
    assert begun == expected(events, program, counters.cycles)["load.begun"]
