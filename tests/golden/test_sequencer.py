"""Fetch, loops, guards, dispatch, queues, semaphores: one rule a test, cycles by hand.

`sync` is the probe: one beat without access, written the unit's latency later (MX 3, VX 4, LD and ST 2).
Rows are (unit, instruction, dispatched, started, issued, done); a run's cycles are one more than its last `done`, or
than `halt`'s cycle if that is later.
"""

from __future__ import annotations

import pytest

from accelsim.errors import DeadlockError
from accelsim.isa.opcodes import Unit
from tests.support.tiny import LD, MX, ST, VX, trace

CYCLES = {
    # Every fetched instruction costs one cycle, `halt` included.
    "halt": ("", 1),
    "nop": ("nop\nnop\nnop", 4),
    "address, guard, signal": (
        "address register=a1 base=4\nguard register=g1 low=0 high=1\nsignal semaphore=s1 amount=1",
        4,
    ),
    # loop 1, body 3 x 2, halt 1; going back is free
    "loop": ("loop count=3 {\nnop\nnop\n}", 1 + 6 + 1),
    # outer loop 1; twice: inner loop 1, nop 3 times, nop 1; halt 1
    "nested loops": ("loop count=2 {\nloop count=3 {\nnop\n}\nnop\n}", 1 + 2 * (1 + 3 + 1) + 1),
    # both end at the same instruction: going back from either is free
    "loops that end together": ("loop count=2 {\nloop count=3 {\nnop\n}\n}", 1 + 2 * (1 + 3) + 1),
    "four levels": ("loop count=2 {\n" * 4 + "nop\n" + "}\n" * 4, 1 + 2 * (1 + 2 * (1 + 2 * (1 + 2))) + 1),
    # a loop of no iterations costs its own cycle, its body nothing
    "count 0": ("loop count=0 {\nnop\nnop\nnop\n}", 1 + 1),
    "count 0 inside": ("loop count=2 {\nloop count=0 {\nnop\n}\nnop\n}", 1 + 2 * (1 + 1) + 1),
    "count 0 at the end of a body": ("loop count=2 {\nnop\nloop count=0 {\nnop\n}\n}", 1 + 2 * (1 + 1) + 1),
    # guard 1, loop 1; iterations 0 and 3: inner loop 1, nop 1; iterations 1 and 2: two nops more; halt 1
    "guarded loop": (
        "guard register=g1 level=0 low=1 high=3\nloop count=4 {\nloop count=2 ?g1 {\nnop\n}\nnop\n}",
        1 + 1 + (2 + 4 + 4 + 2) + 1,
    ),
    # the guard of an inner level counts 0 where no loop of that level runs
    "guard of a level without a loop": (
        "guard register=g1 level=3 low=0 high=1\nloop count=5 ?g1 {\nnop\n}",
        1 + 6 + 1,
    ),
}


@pytest.mark.parametrize(("code", "cycles"), CYCLES.values(), ids=CYCLES.keys())
def test_cycles_of_the_sequencer_alone(code: str, cycles: int) -> None:
    result = trace(code)
    assert (result.rows, result.cycles) == ([], cycles)
    assert result.states(Unit.SEQUENCER) == {"BUSY": cycles}


def test_an_instruction_its_guard_skips_costs_a_cycle() -> None:
    code = """
        guard register=g1 level=0 low=5 high=6
        sync ?g1 unit=matrix
        sync unit=matrix
    """
    # guard in 0, the skipped one in 1, dispatch in 2
    assert trace(code).rows == [(MX, 2, 2, 3, 3, 6)]


def test_a_guard_register_that_nothing_defined_is_false() -> None:
    result = trace("sync ?g3 unit=matrix\nloop count=9 ?g3 {\nnop\n}")
    assert (result.rows, result.cycles) == ([], 3)


def test_guards_and_loops_choose_what_is_dispatched() -> None:
    code = """
        guard register=g1 level=0 low=1 high=2
        loop count=3 {
            sync unit=vector
            sync ?g1 unit=matrix
        }
    """
    # guard 0, loop 1, then two cycles an iteration; VX's result takes 4, MX's 3
    assert trace(code).rows == [
        (VX, 2, 2, 3, 3, 7),
        (VX, 2, 4, 5, 5, 9),
        (MX, 3, 5, 6, 6, 9),
        (VX, 2, 6, 7, 7, 11),
    ]


def test_a_sync_in_each_queue() -> None:
    code = "sync unit=load\nsync unit=store\nsync unit=matrix\nsync unit=vector"
    result = trace(code)
    assert result.rows == [
        (LD, 0, 0, 1, 2, 4),  # the front half passes it on in 1, the back half's beat is in 2, dma.latency 2
        (ST, 1, 1, 2, 2, 4),  # beat in 2, dma.latency 2
        (MX, 2, 2, 3, 3, 6),
        (VX, 3, 3, 4, 4, 8),
    ]
    assert result.cycles == 9
    assert result.run.counters.traffic.sum() == 0


def test_dispatch_cycles() -> None:
    result = trace("sync unit=matrix\nsync unit=matrix", sequencer__dispatch_cycles=3)
    assert result.rows == [(MX, 0, 0, 3, 3, 6), (MX, 1, 1, 4, 4, 7)]
    assert result.cycles == 8


def test_a_full_queue_stalls_the_sequencer() -> None:
    result = trace("sync unit=matrix\n" * 3, sequencer__matrix_queue_depth=1)
    assert result.rows == [
        (MX, 0, 0, 1, 1, 4),  # its place is free in 2, the cycle after its first beat
        (MX, 1, 2, 3, 3, 6),  # free in 4
        (MX, 2, 4, 5, 5, 8),
    ]
    assert result.cycles == 9
    # dispatch in 0, 2, 4 and halt in 5; waiting in 1 and 3
    assert result.states(Unit.SEQUENCER) == {"BUSY": 4, "QUEUE": 2, "IDLE": 3}


def test_a_full_queue_stalls_what_is_behind_it() -> None:
    result = trace("sync unit=matrix\nsync unit=matrix\nsync unit=vector", sequencer__matrix_queue_depth=1)
    assert result.rows == [(MX, 0, 0, 1, 1, 4), (MX, 1, 2, 3, 3, 6), (VX, 2, 3, 4, 4, 8)]


def test_a_place_is_held_until_the_first_beat() -> None:
    code = """
        sync unit=vector signal=s1
        sync unit=matrix wait=s1
        sync unit=matrix
        sync unit=matrix
    """
    result = trace(code, sequencer__matrix_queue_depth=2)
    assert result.rows == [
        (VX, 0, 0, 1, 1, 5),  # s1 is there from 6
        (MX, 1, 1, 6, 6, 9),  # place free in 7
        (MX, 2, 2, 7, 7, 10),
        (MX, 3, 7, 8, 8, 11),  # two wait from 2 to 6
    ]
    assert result.cycles == 12
    assert result.states(Unit.SEQUENCER) == {"BUSY": 5, "QUEUE": 4, "IDLE": 3}


@pytest.mark.parametrize(("semaphore_cycles", "visible"), [(1, 4), (3, 6)])
def test_the_sequencers_signal(semaphore_cycles: int, visible: int) -> None:
    code = "sync unit=matrix wait=s1\nnop\nnop\nsignal semaphore=s1 amount=1"
    # signalled in 3, seen semaphore_cycles later
    result = trace(code, sequencer__semaphore_cycles=semaphore_cycles)
    assert result.rows == [(MX, 0, 0, visible, visible, visible + 3)]
    assert result.cycles == visible + 4
    # in its queue from 1 on
    assert result.states(Unit.MATRIX) == {"SEMAPHORE": visible - 1, "BUSY": 1, "IDLE": 1 + 3}


def test_credit_of_two() -> None:
    code = "signal semaphore=s1 amount=2\nsync unit=matrix wait=s1\nsync unit=vector wait=s1"
    assert trace(code).rows == [(MX, 1, 1, 2, 2, 5), (VX, 2, 2, 3, 3, 7)]


@pytest.mark.parametrize(("semaphore_cycles", "start"), [(1, 5), (4, 8)])
def test_a_signal_is_seen_after_completion(semaphore_cycles: int, start: int) -> None:
    code = "sync unit=matrix signal=s1\nsync unit=vector wait=s1"
    # MX's result is written in 1 + 3 = 4
    result = trace(code, sequencer__semaphore_cycles=semaphore_cycles)
    assert result.rows == [(MX, 0, 0, 1, 1, 4), (VX, 1, 1, start, start, start + 4)]


@pytest.mark.parametrize(("hop_cycles", "start"), [(1, 5), (2, 6), (5, 9)])
def test_an_element_is_seen_after_a_hop(hop_cycles: int, start: int) -> None:
    code = "sync unit=matrix signal=s1*\nsync unit=vector wait=s1*"
    result = trace(code, chaining__hop_cycles=hop_cycles, sequencer__semaphore_cycles=7)
    assert result.rows == [(MX, 0, 0, 1, 1, 4), (VX, 1, 1, start, start, start + 4)]


def test_one_instruction_signals_both_ways() -> None:
    code = (
        "sync unit=matrix signal=s1,s2*,s3\nsync unit=load wait=s1\nsync unit=vector wait=s2*\nsync unit=store wait=s3"
    )
    # written in 4: s1 and s3 seen in 5, s2 in 6
    assert trace(code).rows == [(MX, 0, 0, 1, 1, 4), (LD, 1, 1, 5, 6, 8), (VX, 2, 2, 6, 6, 10), (ST, 3, 3, 5, 5, 7)]


def test_waits_are_taken_together_or_not_at_all() -> None:
    code = """
        signal semaphore=s1 amount=1
        sync unit=vector wait=s1,s2
        sync unit=store wait=s1
        signal semaphore=s2 amount=1
        signal semaphore=s1 amount=1
    """
    assert trace(code).rows == [
        (VX, 1, 1, 5, 5, 9),  # finds s1 from 2 but not s2, so leaves s1; s2 from 4, s1 again from 5
        (ST, 2, 2, 3, 3, 5),  # takes the first s1
    ]


def test_three_waits() -> None:
    code = """
        sync unit=matrix wait=s1,s2,s3
        signal semaphore=s3 amount=1
        signal semaphore=s1 amount=1
        signal semaphore=s2 amount=1
    """
    assert trace(code).rows == [(MX, 0, 0, 4, 4, 7)]  # the last of them, given in 3, is there in 4


def test_the_last_count_goes_by_priority() -> None:
    code = """
        sync unit=load wait=s1
        sync unit=store wait=s1
        sync unit=vector wait=s1
        sync unit=matrix wait=s1
        nop
        signal semaphore=s1 amount=2
        signal semaphore=s1 amount=1
        signal semaphore=s1 amount=1
    """
    # two counts in 6, one in 7, one in 8: matrix and vector, then store, then load, whoever has waited longest
    assert trace(code).rows == [(LD, 0, 0, 8, 9, 11), (ST, 1, 1, 7, 7, 9), (VX, 2, 2, 6, 6, 10), (MX, 3, 3, 6, 6, 9)]


def test_halt_waits_for_every_unit() -> None:
    result = trace("sync unit=vector", vector__latency_cycles=30)
    assert result.rows == [(VX, 0, 0, 1, 1, 31)]
    assert result.cycles == 32


def test_halt_may_be_last() -> None:
    assert trace("sync unit=vector\n" + "nop\n" * 9).cycles == 11  # done in 5, halt in 10


DEADLOCKS = {
    "a semaphore nobody signals": (
        "sync unit=matrix\nsync unit=vector wait=s1",
        ["vector: instruction 1 waits for semaphore s1"],
    ),
    "the first that lacks is named": (
        "signal semaphore=s2 amount=1\nsync unit=store wait=s2,s3,s1",
        ["store: instruction 1 waits for semaphore s3"],
    ),
    "a circle": (
        "sync unit=matrix wait=s1 signal=s2\nsync unit=vector wait=s2 signal=s1",
        ["matrix: instruction 0 waits for semaphore s1", "vector: instruction 1 waits for semaphore s2"],
    ),
    "credit behind a full queue": (
        "sync unit=load wait=s1\n" + "sync unit=load\n" * 4 + "signal semaphore=s1 amount=1",
        ["load: instruction 0 waits for semaphore s1", "sequencer: instruction 4 waits for a place in the load queue"],
    ),
    "too few elements": (
        "matmul weights=[0] input=[0] accumulators=[0] rows=2 columns=2 signal=s1*\n"
        "vector source=[0] destination=[0] parameters=[0] source_type=int32 destination_type=int8 length=3 wait=s1*",
        ["vector: instruction 1 waits for semaphore s1"],
    ),
}


@pytest.mark.parametrize(("code", "waiting"), DEADLOCKS.values(), ids=DEADLOCKS.keys())
def test_a_deadlock_says_who_waits_for_what(code: str, waiting: list[str]) -> None:
    """Units that sleep without an instruction are not named."""
    with pytest.raises(DeadlockError) as caught:
        trace(code)
    assert list(caught.value.waiting) == waiting


def test_the_text_of_a_deadlock() -> None:
    # MX completes in 4; nothing does after that
    with pytest.raises(DeadlockError) as caught:
        trace("sync unit=matrix\nsync unit=vector wait=s1\nsync unit=store wait=s2*")
    assert str(caught.value) == (
        "golden: deadlock at cycle 4: vector: instruction 1 waits for semaphore s1; "
        "store: instruction 2 waits for semaphore s2"
    )
