"""Bars of banks, from events alone, against what the reference engine's arbiter really granted, cycle by cycle."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings

from accelsim.errors import AccelsimError
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.machine.reference import run_reference
from accelsim.machine.reference.arbiter import Arbiter
from accelsim.timing.beats import BeatTable, bursts
from accelsim.timing.rules import PRIORITY
from accelsim.timing.stream import Operation
from accelsim.trace.banks import BankUse, Span
from accelsim.trace.order import Event, ProgramOrder
from tests.support.compiled_programs import compiled
from tests.support.free_programs import free_programs
from tests.support.random_programs import small_programs
from tests.support.tiny import tiny_program

SETTINGS = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@dataclass
class Watched:
    """A run with all the arbiter granted, by unit and stage: (cycle, banks of each memory)."""

    events: np.ndarray
    grants: dict[tuple[str, int], list[tuple[int, tuple[int, ...]]]] = field(default_factory=lambda: defaultdict(list))


def watched(program: Program) -> Watched:
    grants: dict[tuple[str, int], list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
    decide = Arbiter._decide

    def decide_and_note(arbiter: Arbiter) -> None:
        requests = list(arbiter._requests)
        decide(arbiter)
        for request in requests:
            if request.answer.value and request.banks is not None:
                unit, stage = PRIORITY[request.rank[0]], -request.rank[1]
                grants[unit, stage].append((int(arbiter.env.now), request.banks))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Arbiter, "_decide", decide_and_note)
        run = run_reference(program, np.zeros(program.inputs[0].shape, np.int8), keep_events=True)
    assert run.events is not None
    begin = run.counters.setup_cycles
    of_the_frame = {
        place: [(cycle - begin, banks) for cycle, banks in granted if cycle >= begin]
        for place, granted in grants.items()
    }
    return Watched(run.events, defaultdict(list, of_the_frame))


def cycles_of_issue(operation: Operation, unit: Unit, stage: int, table: BeatTable) -> int:
    if unit in (Unit.LOAD, Unit.STORE):
        beats = [beat for burst in bursts(operation, table) for beat in burst.beats]
    else:
        beats = list(table.of(operation, stage))
    return sum(len(beat.passes) for beat in beats)


def check(program: Program) -> None:
    try:
        run = watched(program)
    except AccelsimError as error:
        event(type(error).__name__)
        return
    order, use, table = ProgramOrder(program), BankUse(program), BeatTable(program.chip)
    stages = len(program.chip.vector.pipeline)
    place: dict[tuple[str, int], int] = defaultdict(int)
    for operation, done in order.add(run.events):
        unit = Unit(done.unit)
        found = {(span.memory, span.bank, span.stage): span for span in use.spans(operation, done)}
        true: dict[tuple[int, int, int], list[int]] = defaultdict(list)
        passed_by = range(stages - 1) if unit == Unit.VECTOR and operation.name == "load" else ()
        for stage in range(stages if unit == Unit.VECTOR else 1):
            if stage in passed_by:
                continue
            key = unit.name.lower(), stage
            count = cycles_of_issue(operation, unit, stage, table)
            mine = run.grants[key][place[key] : place[key] + count]
            assert len(mine) == count
            place[key] += count
            for cycle, banks in mine:
                for memory, mask in enumerate(banks):
                    for bank in range(64):
                        if mask >> bank & 1:
                            true[memory, bank, stage].append(cycle)
        assert set(found) == set(true)
        for at, cycles in true.items():
            check_span(found[at], cycles, done)
    order.check_empty()
    assert {key: len(granted) for key, granted in run.grants.items() if granted} == {
        key: number for key, number in place.items() if number
    }


def check_span(span: Span, cycles: list[int], done: Event) -> None:
    assert span.accesses == len(cycles)
    assert span.first <= min(cycles)
    assert max(cycles) <= span.last
    event("exact" if span.exact else "bounds")
    if span.exact:
        assert (span.first, span.last) == (min(cycles), max(cycles))
    assert done.dispatched < span.first
    assert span.last <= done.issued


@SETTINGS
@given(free_programs())
def test_programs_of_free_units(program: Program) -> None:
    check(program)


@SETTINGS
@given(small_programs())
def test_programs_of_one_token(program: Program) -> None:
    check(program)


@settings(SETTINGS, max_examples=10)
@given(compiled())
def test_compiled_programs(program: Program) -> None:
    check(program)


def test_a_product_by_hand() -> None:
    """4 rows of 2 inputs on 2 x 2: two beats in cycles 10 and 11, the second with the second half of the weights.

    Weights of 4 bytes a beat lie in banks 0 and 1; both read input bytes 0 and 1, in activations' bank 0; sums of
    8 bytes each go to accumulators' banks 0 and 1.
    """
    program = tiny_program("matmul rows=4 columns=2")
    (operation, _), *_ = list(ProgramOrder(program).add(run_events(program)))
    at_once = Event(Unit.MATRIX, 0, -1, 5, 10, 11, 14, 2, 0, 0, 0, 0)
    spans = set(BankUse(program).spans(operation, at_once))
    assert spans == {
        Span(0, 0, 0, 10, 10, 1, True),
        Span(0, 1, 0, 11, 11, 1, True),
        Span(1, 0, 0, 10, 11, 2, True),
        Span(2, 0, 0, 10, 10, 1, True),
        Span(2, 1, 0, 11, 11, 1, True),
    }
    # With waits in between the first and the last beat still are where they are.
    assert set(BankUse(program).spans(operation, at_once._replace(issued=19))) == {
        span._replace(first=19 if span.first == 11 else 10, last=19 if span.last == 11 else 10) for span in spans
    }


def run_events(program: Program) -> np.ndarray:
    events = run_reference(program, np.zeros(program.inputs[0].shape, np.int8), keep_events=True).events
    assert events is not None
    return events
