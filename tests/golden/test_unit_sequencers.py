"""Units with a sequencer of their own, that writes beats ahead of their issue; cycles by hand.

An instruction dispatched in d reaches its unit's sequencer in d + 1. The tiny chip's array is 2 x 2, so a product of
2 rows has a beat for each 2 columns.
"""

from __future__ import annotations

from typing import Any

import pytest

from accelsim.timing.rules import beat_written
from tests.support.tiny import LD, MX, VX, in_stages, trace


def ahead(beats: int, *, beat: int = 0, instruction: int = 0) -> dict[str, Any]:
    return {
        "sequencer__beats_ahead": beats,
        "sequencer__beat_cycles": beat,
        "sequencer__instruction_cycles": instruction,
    }


def matmul(columns: int, more: str = "") -> str:
    return f"matmul weights=[0] input=[0] accumulators=[0] bias=[0] rows=2 columns={columns} {more}\n"


def test_beat_written() -> None:
    # free in 5, three foreign instructions of 2 cycles, its own 2: 13, though it has been there since 9
    assert beat_written(5, 9, 3, 2, -100) == 13
    # there in 12 only
    assert beat_written(5, 12, 3, 2, -100) == 14
    # its place is free in 20
    assert beat_written(5, 12, 3, 2, 19) == 20


def test_without_such_a_sequencer_its_times_do_not_count() -> None:
    assert trace(matmul(4), **ahead(0, beat=7, instruction=5)).rows == [(MX, 0, 0, 1, 2, 5)]


def test_beats_are_written_one_a_cycle() -> None:
    # arrives in 1, an instruction takes 1: written 2-5, each issued 3 later
    assert trace(matmul(8), **ahead(9, beat=3, instruction=1)).rows == [(MX, 0, 0, 5, 8, 11)]


@pytest.mark.parametrize(
    ("beats", "started", "issued"),
    [
        (4, 5, 8),
        # the third takes the first's place in 6, the fourth the second's in 7
        (3, 5, 9),  # 5, 6, 7 written 2, 3, 4; the fourth written 6, issued 9
        (2, 5, 10),  # 5, 6; written 6 and 7: 9, 10
        (1, 5, 17),  # each written in the cycle after the one before is issued: 5, 9, 13, 17
    ],
)
def test_as_far_ahead_as_there_are_places(beats: int, started: int, issued: int) -> None:
    assert trace(matmul(8), **ahead(beats, beat=3, instruction=1)).rows == [(MX, 0, 0, started, issued, issued + 3)]


def test_places_are_the_units_not_the_instructions() -> None:
    # Two places: 0's beats written 2 and 3 and issued 5 and 6; 1's first is written in 6, its second in 7.
    code = matmul(4) + matmul(4)
    assert trace(code, **ahead(2, beat=3, instruction=1)).rows == [(MX, 0, 0, 5, 6, 9), (MX, 1, 1, 9, 10, 13)]


def test_beats_written_ahead_are_issued_at_once() -> None:
    code = matmul(4, "wait=s1") + "nop\n" * 10 + "signal semaphore=s1 amount=1\n"
    # written long before the semaphore is seen in 12
    assert trace(code, **ahead(9, beat=3, instruction=1)).rows == [(MX, 0, 0, 12, 13, 16)]


def test_an_instruction_costs_its_sequencer() -> None:
    # 0: arrives in 1, written 1 + 2; 1: free from 4 on, 2 more: written 6
    assert trace(matmul(2) + matmul(2), **ahead(9, beat=1, instruction=2)).rows == [
        (MX, 0, 0, 4, 4, 7),
        (MX, 1, 1, 7, 7, 10),
    ]


def test_passing_over_other_units_instructions_costs_as_much() -> None:
    code = matmul(2) + "sync unit=vector\n" * 2 + "signal semaphore=s1 amount=1\n" + matmul(2)
    # The matrix unit's: written 3, free from 4 on; three that are not its own, 2 each: 10; its own 2: written 12.
    # The vector unit's: first passes over one: 0 + 2, though its own is there in 2; 2 more: written 4; then 5 + 2.
    assert trace(code, **ahead(9, beat=1, instruction=2)).rows == [
        (MX, 0, 0, 4, 4, 7),
        (VX, 1, 1, 5, 5, 9),
        (VX, 2, 2, 8, 8, 12),
        (MX, 4, 4, 13, 13, 16),
    ]


def test_instructions_nobody_gets_are_not_passed_over() -> None:
    code = (
        matmul(2)
        + "address register=a1 base=4\nguard register=g1 low=1 high=2\nnop\nsync unit=vector ?g1\n"
        + matmul(2)
    )
    # dispatched in 5, there in 6, 2 cycles
    assert trace(code, **ahead(9, beat=1, instruction=2)).rows == [(MX, 0, 0, 4, 4, 7), (MX, 5, 5, 9, 9, 12)]


def test_the_dmas_have_none() -> None:
    code = "load memory=weights source=[0] destination=[0] row_bytes=4 rows=1\n"
    assert trace(code, **ahead(1, beat=5, instruction=5)).rows == [(LD, 0, 0, 1, 7, 9)]


def test_every_stage_has_its_own() -> None:
    stages = in_stages((1, ""), (1, ""), sram__activations__conflict_free=True)
    code = "vector source=[0] destination=[64] parameters=[0] source_type=int8 destination_type=int8 length=8\n"
    # Two places. Stage 0: written 1, 2, then as places come: issued 4, 5, 8, 9. Stage 1's are written in the same way,
    # but issued a cycle behind stage 0's: 5, 6; written 6 and 7, issued 9 and 10.
    assert trace(code, **stages, **ahead(2, beat=3)).rows == [(VX, 0, 0, 5, 10, 11)]


def test_each_row_of_a_load_through_the_vector_unit_costs_as_an_instruction() -> None:
    stages = in_stages((1, ""), (1, ""), dma__loads_through_vector=True)
    code = "load memory=activations source=[0] destination=[0] row_bytes=4 rows=3 source_pitch=4 destination_pitch=4\n"
    # arrives in 1: written 3, 4; free from 5 on, 2 more: 7, 8; 11, 12
    assert trace(code, **stages, **ahead(9, instruction=2)).rows == [(VX, 0, 0, 3, 12, 13)]
