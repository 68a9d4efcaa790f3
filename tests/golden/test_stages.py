"""A vector unit of stages: who waits where, wake-up, arbitration, loads in order with results; cycles by hand.

Rows are (unit, instruction, dispatched, started, issued, done); of a vector instruction, started and issued are those
of the last stage, and done is that stage's latency later. Unless a test says otherwise the activations' memory has no
conflicts, so a beat is one pass.
"""

from __future__ import annotations

from typing import Any

import pytest

from accelsim.errors import HazardError
from accelsim.isa.opcodes import Unit
from tests.support.tiny import MX, ST, VX, in_stages, trace

FREE = {"sram__activations__conflict_free": True}
THREE = in_stages((2, ""), (3, "add activation multiply"), (4, "add"), **FREE)
"""Source in the first stage, addend and factor 2 cycles behind, term and result 3 behind those, written 4 later."""
FIVE = in_stages((1, ""), (2, "add activation"), (3, "multiply"), (4, "add"), (5, ""), **FREE)
"""Every operand in a stage of its own."""
ALL = "addend_type=int16 addend=[32] multiply factor=[64] accumulate term=[96]"


def vector(length: int, more: str = "", *, source: int = 0, to: int = 128, kind: str = "int16") -> str:
    return (
        f"vector source=[{source}] destination=[{to}] parameters=[0] source_type={kind} destination_type=int16 "
        f"length={length} {more}\n"
    )


def signal_in(cycle: int, instructions: int, semaphore: int = 1) -> str:
    """A signal seen in `cycle`, behind so many instructions: given a cycle earlier, with nops before."""
    return "nop\n" * (cycle - 1 - instructions) + f"signal semaphore=s{semaphore} amount=1\n"


def test_a_beat_passes_from_stage_to_stage() -> None:
    # stage 0 in 1 and 2, stage 1 two cycles later in 3 and 4, stage 2 three later in 6 and 7, written 4 later
    result = trace(vector(4), **THREE)
    assert result.rows == [(VX, 0, 0, 6, 7, 11)]
    assert result.cycles == 12
    # the unit's state is its last stage's, which waits for the stage before in 1 to 5
    assert result.states(Unit.VECTOR) == {"IDLE": 1 + 4, "DEPENDENCY": 5, "BUSY": 2}


@pytest.mark.parametrize(
    ("place", "started"),
    [
        ("first", 20 + 1 + 2 + 3 + 4),
        ("addend", 20 + 2 + 3 + 4),
        ("factor", 20 + 3 + 4),
        ("term", 20 + 4),
        ("last", 20),
    ],
)
def test_a_wait_is_taken_in_the_stage_of_its_operand(place: str, started: int) -> None:
    code = vector(2, f"{ALL} wait=s1 wait0_at={place}") + signal_in(20, 1)
    # Seen in 20: that stage's beat, and behind it the stages that are left.
    assert trace(code, **FIVE).rows == [(VX, 0, 0, started, started, started + 5)]


@pytest.mark.parametrize("place", ["addend", "factor", "term"])
def test_a_wait_for_an_operand_that_is_not_there_is_taken_first(place: str) -> None:
    code = vector(2, f"wait=s1 wait0_at={place}") + signal_in(20, 1)
    assert trace(code, **FIVE).rows == [(VX, 0, 0, 30, 30, 35)]


def test_waits_of_one_instruction_in_different_stages() -> None:
    code = vector(2, f"{ALL} wait=s1,s2,s3 wait0_at=addend wait1_at=last wait2_at=term")
    code += signal_in(10, 1) + "signal semaphore=s3 amount=1\nsignal semaphore=s2 amount=1\n"
    # s1 in 10: addend 10, factor 12, term 15 (s3 has been seen in 11), result 19 (s2 in 12)
    assert trace(code, **FIVE).rows == [(VX, 0, 0, 19, 19, 24)]


def test_a_unit_of_one_stage_takes_all_waits_first() -> None:
    code = vector(2, f"{ALL} wait=s1 wait0_at=last") + signal_in(20, 1)
    assert trace(code, **FREE).rows == [(VX, 0, 0, 20, 20, 24)]


@pytest.mark.parametrize(
    ("place", "rows"), [("addend", [(14, 15, 19), (16, 17, 21)]), ("first", [(16, 17, 21), (18, 19, 23)])]
)
def test_a_stage_goes_on_while_a_later_one_waits(place: str, rows: list[tuple[int, ...]]) -> None:
    code = vector(4, f"addend_type=int16 addend=[32] wait=s1 wait0_at={place}") + vector(4, to=160) + signal_in(11, 2)
    # addend: stage 0 has 0's beats in 1, 2 and 1's in 3, 4; stage 1 0's in 11, 12 and 1's in 13, 14
    # first: stage 0 has 0's beats in 11, 12 and 1's in 13, 14; stage 1 two cycles later
    assert trace(code, **THREE).rows == [(VX, 0, 0, *rows[0]), (VX, 1, 1, *rows[1])]


def test_a_stage_that_goes_on_reads_early() -> None:
    """The next instruction's first stage reads what the one before has yet to write, where no wait forbids it."""
    code = (
        "load memory=parameters source=[0] destination=[0] row_bytes=32 rows=1 signal=s1\n"
        "vector destination=[64] parameters=[0] source_type=none destination_type=int16 length=2 wait=s1 {}\n"
    )
    # The load asks in 1 and 2 and has the bus to 5 and 9; its last beat is in 15, written in 17 and seen in 18.
    # The first stage goes then, and in 19 for the next instruction, whose source the last stage writes in 18 + 9 only.
    with pytest.raises(HazardError, match=r"activations 0x40 in cycle 19, before"):
        trace(code.format("") + vector(2, source=64), check_hazards=True, **THREE)
    trace(code.format("signal=s2") + vector(2, "wait=s2", source=64), check_hazards=True, **THREE)


def test_stages_are_in_order() -> None:
    """An instruction that waits for nothing does not overtake one that does."""
    code = vector(2, f"{ALL} wait=s1 wait0_at=last") + vector(2, to=160) + "sync unit=vector\n" + signal_in(30, 3)
    assert trace(code, **FIVE).rows == [(VX, 0, 0, 30, 30, 35), (VX, 1, 1, 31, 31, 36), (VX, 2, 2, 32, 32, 37)]


def test_a_place_in_the_queue_is_free_when_the_last_stage_starts() -> None:
    code = vector(2) * 3
    # one place: 1 is dispatched in the cycle after 0's start in the last stage, 6, and so on
    assert trace(code, sequencer__vector_queue_depth=1, **THREE).rows == [
        (VX, 0, 0, 6, 6, 10),
        (VX, 1, 7, 13, 13, 17),
        (VX, 2, 14, 20, 20, 24),
    ]


def test_elements_are_taken_in_the_first_stage_or_where_the_wait_is() -> None:
    product = "matmul weights=[0] input=[0] accumulators=[0] bias=[0] rows=4 columns=2 signal=s1*\n"
    # row tiles in 1 and 2, written in 4 and 5, seen in 6 and 7; stages 2 and 3 cycles behind
    assert trace(product + vector(4, "wait=s1*", kind="int32"), **THREE).rows == [
        (MX, 0, 0, 1, 2, 5),
        (VX, 1, 1, 11, 12, 16),
    ]
    # in the last stage: the beats have been there since 2 + 5 and 3 + 5
    assert trace(product + vector(4, "wait=s1* wait0_at=last"), **THREE).rows == [
        (MX, 0, 0, 1, 2, 5),
        (VX, 1, 1, 7, 8, 12),
    ]


def test_each_stage_reads_its_operands() -> None:
    """The addend is read behind the wait that is taken for it: the check of hazards sees no early read."""
    code = (
        "load memory=activations source=[0] destination=[0] row_bytes=128 rows=1 signal=s1\n"
        "load memory=parameters source=[0] destination=[0] row_bytes=32 rows=1 signal=s2\n"
        + vector(2, "wait=s1,s2 signal=s3", to=128)
        + vector(2, "addend_type=int16 addend=[128] wait=s3 wait0_at=addend signal=s4", to=132)
        + vector(2, "multiply factor=[132] wait=s4 wait0_at=factor signal=s5", to=136)
        + vector(2, "accumulate term=[136] wait=s5 wait0_at=term signal=s6", to=140)
    )
    result = trace(code, check_hazards=True, **FIVE)
    first, *rest = [row for row in result.rows if row[0] == VX]
    # 2 waits in its first stage; from then on only from an operand's stage to the end, and a semaphore's cycle
    start, done = int(first[3]), int(first[5])
    assert done == start + 5
    addend = done + 1
    factor = addend + 2 + 3 + 4 + 5 + 1
    term = factor + 3 + 4 + 5 + 1
    assert [row[3:] for row in rest] == [
        (addend + 9, addend + 9, addend + 14),
        (factor + 7, factor + 7, factor + 12),
        # without a product before it, the first adder takes the term
        (term + 9, term + 9, term + 14),
    ]


# --- wake-up ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "dispatched", "started"),
    [
        (11, 0, 14),  # fresh: three cycles more
        (1, 1, 4),  # still fresh when the instruction asks in 2
        (1, 2, 4),
        (1, 3, 4),  # counts from 4 on, in which it can start anyway
        (1, 9, 10),  # long there
    ],
)
def test_a_fresh_count_wakes_later(seen: int, dispatched: int, started: int) -> None:
    wait = "sync unit=vector wait=s1\n"
    code = wait + signal_in(seen, 1) if dispatched == 0 else signal_in(1, 0) + "nop\n" * (dispatched - 1) + wait
    assert trace(code, vector__wake_cycles=3).rows == [
        (VX, 0 if dispatched == 0 else dispatched, dispatched, started, started, started + 4)
    ]


def test_each_count_has_its_age() -> None:
    code = (
        "signal semaphore=s1 amount=1\n"
        + "nop\n" * 4
        + "signal semaphore=s1 amount=1\n"
        + "sync unit=vector wait=s1\n" * 2
    )
    # counts from 1 and from 6 on: the first sync takes the old one in 7, the second wakes three after 6
    assert trace(code, vector__wake_cycles=3).rows == [(VX, 6, 6, 7, 7, 11), (VX, 7, 7, 9, 9, 13)]


def test_only_the_vector_units_whole_waits_wake_later() -> None:
    product = "matmul weights=[0] input=[0] accumulators=[0] bias=[0] rows=4 columns=2 {}\n"
    code = product.format("wait=s1 signal=s2*") + vector(4, "wait=s2*", kind="int32")
    code += "store memory=activations source=[0] destination=[256] row_bytes=4 rows=1 wait=s1\n"
    code += "nop\n" * 6 + "signal semaphore=s1 amount=2\n"
    # s1 is given in 9: matrix unit and store go in 10; elements written in 13 and 14 are taken in 15 and 16
    assert trace(code, vector__wake_cycles=3, **FREE).rows == [
        (MX, 0, 0, 10, 11, 14),
        (VX, 1, 1, 15, 16, 20),
        (ST, 2, 2, 10, 10, 16),
    ]


def test_wake_up_in_a_later_stage() -> None:
    code = vector(2, f"{ALL} wait=s1 wait0_at=term") + signal_in(20, 1)
    assert trace(code, vector__wake_cycles=2, **FIVE).rows == [(VX, 0, 0, 26, 26, 31)]


# --- arbitration --------------------------------------------------------------------------------------------------


def test_a_later_stage_goes_before_an_earlier_one() -> None:
    one_bank = in_stages((2, ""), (1, ""), sram__activations__banks=1)
    # Stage 0 reads in 1 and 2; in 3 and 4 stage 1 writes the first two beats, so the third is read in 5 and written
    # in 7. The other way round it would be read in 3, and all be written in 4 to 6.
    result = trace(vector(6), **one_bank)
    assert result.rows == [(VX, 0, 0, 3, 7, 8)]
    assert result.states(Unit.VECTOR) == {"IDLE": 1 + 1, "DEPENDENCY": 2 + 2, "BUSY": 3}


def test_the_matrix_unit_goes_before_every_stage() -> None:
    one_bank = in_stages((2, ""), (1, ""), sram__activations__banks=1)
    code = vector(2) + "nop\n" + "matmul weights=[0] input=[0] accumulators=[0] bias=[0] rows=2 columns=2\n"
    # stage 0 in 1; stage 1 wants 3, and so does the product
    assert trace(code, **one_bank).rows == [(VX, 0, 0, 4, 4, 5), (MX, 2, 2, 3, 3, 6)]


# --- loads through the last stage ---------------------------------------------------------------------------------

STREAMED: dict[str, Any] = {**THREE, "dma__loads_through_vector": True}


def load(rows: int, more: str = "", *, size: int = 4, into: str = "activations", to: int = 192) -> str:
    return (
        f"load memory={into} source=[0] destination=[{to}] row_bytes={size} rows={rows} source_pitch={size} "
        f"destination_pitch={size} {more}\n"
    )


def test_a_load_through_the_vector_unit() -> None:
    # Two bytes a beat in the last stage, without the stages before, DRAM or DMA: 1 to 4, written 4 later.
    result = trace(load(2), **STREAMED)
    assert result.rows == [(VX, 0, 0, 1, 4, 8)]
    counters = result.run.counters
    assert counters.bytes[-1, 4].tolist() == [8, 0]
    assert counters.traffic[0, :6].tolist() == [0, 2, 2, 2, 2, 0]
    # A row's last beat may be narrow.
    assert trace(load(2, size=3), **STREAMED).rows == [(VX, 0, 0, 1, 4, 8)]


def test_only_loads_of_activations_go_through_the_vector_unit() -> None:
    (row,) = trace(load(1, into="weights", to=0), **STREAMED).rows
    # asks in 1, bus to 2, 5 cycles' latency, a beat in 7, done 2 later
    assert row == ("LD", 0, 0, 1, 7, 9)


def test_loads_and_results_are_in_order() -> None:
    code = (
        vector(2, "addend_type=int16 addend=[32] wait=s1 wait0_at=addend")
        + load(1)
        + vector(2, to=160)
        + signal_in(15, 3)
    )
    # the result's last stage in 15 + 3, the load behind it in 19 and 20, then the next result
    assert trace(code, **STREAMED).rows == [(VX, 0, 0, 18, 18, 22), (VX, 1, 1, 19, 20, 24), (VX, 2, 2, 21, 21, 25)]


def test_a_load_does_not_hold_up_the_stages_it_passes_by() -> None:
    code = load(1, "wait=s1") + vector(2) + signal_in(15, 2)
    # waits in the last stage; meanwhile the result's first stages are done, and it follows at once
    assert trace(code, **STREAMED).rows == [(VX, 0, 0, 15, 16, 20), (VX, 1, 1, 17, 17, 21)]


def test_rows_of_a_load_are_waited_for_and_signalled() -> None:
    code = (
        load(2, "wait=s1* signal=s2*")
        + "sync unit=matrix wait=s2*\n" * 2
        + "signal semaphore=s1 amount=1\n"
        + signal_in(12, 4)
    )
    # Row 0 in 4 and 5, written in 9, seen 2 later; row 1 in 12 and 13, written in 17.
    assert trace(code, **STREAMED).rows == [(VX, 0, 0, 4, 13, 17), (MX, 1, 1, 11, 11, 14), (MX, 2, 2, 19, 19, 22)]
