from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from accelsim.chip import Chip, load_chip
from accelsim.compiler import compile_graph
from accelsim.errors import CapacityError, InternalError
from accelsim.isa.opcodes import Unit
from accelsim.machine.reference import run_reference
from accelsim.timing.record import STATE, Counters, Reason
from accelsim.trace import check_counters, check_events, check_states
from tests.support.random_chips import chips
from tests.support.random_models import random_graph

Record = tuple[NDArray[np.void], Counters]


def record(seed: int, chip: Chip, steps: int, sizes: tuple[int, ...]) -> Record:
    program = compile_graph(random_graph(seed, steps=steps, sizes=sizes, linear=5), chip)
    run = run_reference(program, np.zeros(program.inputs[0].shape, np.int8), keep_events=True)
    assert run.events is not None
    return run.events, run.counters


@pytest.fixture
def good() -> Record:
    return record(0, load_chip("tx5368"), 3, (20, 16, 16))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(chips(), chips(weights_bytes=1 << 10)),
    st.integers(0, 2**32),
    st.integers(1, 5),
    st.lists(st.integers(1, 24), min_size=2, max_size=3),
)
def test_every_run_obeys_the_rules(chip: Chip, seed: int, steps: int, sizes: list[int]) -> None:
    try:
        events, counters = record(seed, chip, steps, tuple(sizes))
    except CapacityError:
        return
    check_counters(counters)
    check_events(events, counters)
    # The order of the records means nothing.
    check_events(events[np.random.default_rng(seed).permutation(len(events))], counters)


def test_events_of_nothing() -> None:
    counters = Counters(0, cycles=1)
    check_events(np.zeros(0, record(0, load_chip("tx5368"), 1, (4, 4))[0].dtype), counters)


def nth(events: NDArray[np.void], unit: Unit, place: int) -> int:
    """Index of a unit's operation, by order of dispatch."""
    mine = np.flatnonzero(events["unit"] == unit)
    return int(mine[np.argsort(events["dispatched"][mine], kind="stable")[place]])


def altered(of: Unit, place: int, /, **values: Callable[[NDArray[np.void]], int]) -> Callable[[Record], None]:
    def change(record: Record) -> None:
        event = record[0][nth(record[0], of, place) :][:1]
        for field, value in values.items():
            event[field] = value(event[0])

    return change


EVENT_FAULTS = {
    "matrix: instruction N: started before the cycle after its dispatch": altered(
        Unit.MATRIX, 0, started=lambda event: event["dispatched"]
    ),
    "vector: instruction N: last beat before the first": altered(
        Unit.VECTOR, -1, issued=lambda event: event["started"] - 1
    ),
    "vector: instruction N: done before the cycle after its last beat": altered(
        Unit.VECTOR, 2, done=lambda event: event["issued"]
    ),
    "store: instruction N: done after the end of the run": altered(Unit.STORE, -1, done=lambda event: 10**6),
    "load: instruction N: dispatched before N": altered(Unit.LOAD, 0, dispatched=lambda event: -1),
    "load: instruction N: never busy": altered(Unit.LOAD, 1, busy=lambda event: 0),
    "matrix: instruction N: busy for longer than it took": altered(Unit.MATRIX, 1, busy=lambda event: 10**6),
    "instruction N: unit N is not in N to N": altered(Unit.MATRIX, 0, unit=lambda event: Unit.SEQUENCER),
    "instruction N: layer N is not in -N to N": altered(Unit.MATRIX, 0, layer=lambda event: 3),
    "vector: layer N: semaphore cycles of the events sum to N, counted N": altered(
        Unit.VECTOR, 0, semaphore=lambda event: event["semaphore"] + 1
    ),
    "load: layer N: busy cycles of the events sum to N, counted N": altered(
        Unit.LOAD, 0, busy=lambda event: event["busy"] - 1
    ),
}


@pytest.mark.parametrize("text", EVENT_FAULTS)
def test_refuses_an_impossible_event(good: Record, text: str) -> None:
    EVENT_FAULTS[text](good)
    with pytest.raises(InternalError) as caught:
        check_events(*good)
    assert re.sub(r"\d+", "N", str(caught.value)) == text


def test_refuses_operations_that_overtake_each_other(good: Record) -> None:
    events, counters = good
    first, second = nth(events, Unit.VECTOR, 4), nth(events, Unit.VECTOR, 5)
    events["started"][second] = events["issued"][first]
    with pytest.raises(InternalError, match=r"vector: instruction \d+ started in cycle (\d+), .* issued in cycle \1"):
        check_events(events, counters)


def test_refuses_loads_that_land_out_of_order(good: Record) -> None:
    events, counters = good
    first, second = nth(events, Unit.LOAD, 1), nth(events, Unit.LOAD, 2)
    # The requests may overlap, the data must not.
    assert events["started"][second] <= events["issued"][first]
    events["issued"][first] = events["issued"][second]
    events["done"][first] = events["done"][second]
    with pytest.raises(InternalError, match=r"load: instruction \d+ issued in cycle (\d+), .* issued in cycle \1"):
        check_events(events, counters)


def test_refuses_a_missing_event(good: Record) -> None:
    events, counters = good
    count = int(counters.operations[Unit.STORE])
    with pytest.raises(InternalError, match=rf"store: {count - 1} events of {count} operations"):
        check_events(np.delete(events, nth(events, Unit.STORE, 0)), counters)


def test_refuses_what_are_no_events(good: Record) -> None:
    with pytest.raises(InternalError, match=r"events are int64\[1 axes\], not a row of EVENT records"):
        check_events(np.zeros(3, np.int64), good[1])
    with pytest.raises(InternalError, match=r"2 axes"):
        check_events(good[0][None], good[1])


@pytest.mark.parametrize("unit", list(Unit))
def test_refuses_units_that_do_not_fill_the_run(good: Record, unit: Unit) -> None:
    counters = good[1]
    counters.units[unit, -1, Reason.IDLE] += 1
    name = unit.name.lower()
    found = f"cycles of the {name} unit sum to {counters.cycles + 1}, the run has {counters.cycles}"
    with pytest.raises(InternalError, match=found):
        check_counters(counters)


def test_refuses_causes_that_do_not_fill_the_run(good: Record) -> None:
    good[1].causes[0, 0] -= 1
    with pytest.raises(InternalError, match="cycles of the causes sum to"):
        check_counters(good[1])


@pytest.mark.parametrize("name", ["bytes", "elements", "macs", "operations", "traffic"])
def test_refuses_a_negative_count(good: Record, name: str) -> None:
    getattr(good[1], name).flat[0] = -1
    with pytest.raises(InternalError, match=f"a negative count in {name}"):
        check_counters(good[1])


@pytest.mark.parametrize("name", ["units", "causes"])
def test_refuses_negative_cycles_that_cancel(good: Record, name: str) -> None:
    last = getattr(good[1], name)[-1] if name == "causes" else getattr(good[1], name)[Unit.STORE, -1]
    last[0] -= 10**9
    last[1] += 10**9
    with pytest.raises(InternalError, match=f"a negative count in {name}"):
        check_counters(good[1])


def test_refuses_a_run_of_no_cycles() -> None:
    with pytest.raises(InternalError, match="the run has 0 cycles"):
        check_counters(Counters(1))


def states(*rows: tuple[int, int, int, int]) -> NDArray[np.void]:
    return np.array([tuple(map(int, row)) for row in rows], dtype=STATE)


def test_states_add_up_to_the_books() -> None:
    """Of ten cycles, the vector unit issues for layer 0 in 2 to 4, and waits for a bank in 5 to 9."""
    counters = Counters(1, cycles=10)
    counters.units[:, -1, Reason.IDLE] = 10
    counters.units[Unit.VECTOR] = [[3, 0, 0, 5, 0, 0, 0], [0, 0, 0, 0, 0, 0, 2]]
    good = states((2, Unit.VECTOR, Reason.BUSY, 0), (5, Unit.VECTOR, Reason.BANK, 0))
    check_states(good, counters)
    for bad, message in {
        "order": (good[::-1], "not in order"),
        "end": (states((10, Unit.LOAD, Reason.BUSY, 0)), "not in order"),
        "same": (np.concatenate([good, states((6, Unit.VECTOR, Reason.BANK, 0))]), "vector: a state changes to what"),
        "sum": (good[:1], "vector: layer 0: busy cycles of the states sum to 8, counted 3"),
        "type": (np.zeros(1), "not a row of STATE records"),
    }.values():
        with pytest.raises(InternalError, match=message):
            check_states(bad, counters)
