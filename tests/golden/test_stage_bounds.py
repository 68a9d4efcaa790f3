"""Lower bounds on machines with stages, turns of row tiles and loads through the vector unit; by hand."""

from __future__ import annotations

from typing import Any

import pytest

from accelsim.profile.bounds import lower_bound
from tests.support.tiny import in_stages, tiny_program, trace

FOUR = in_stages((2, ""), (3, "add activation multiply"), (4, "add"), (5, ""), sram__activations__conflict_free=True)
STREAMED = {**FOUR, "dma__loads_through_vector": True}


def matmul(rows: int, columns: int, more: str = "", *, source: int = 0) -> str:
    return f"matmul weights=[0] input=[{source}] accumulators=[0] bias=[0] rows={rows} columns={columns} {more}\n"


def vector(more: str = "", *, length: int = 2, kind: str = "none", source: int = 0, to: int = 48) -> str:
    return (
        f"vector source=[{source}] destination=[{to}] parameters=[0] source_type={kind} destination_type=int16 "
        f"length={length} {more}\n"
    )


def load(size: int, rows: int = 1, *, to: int = 0) -> str:
    return (
        f"load memory=activations source=[0] destination=[{to}] row_bytes={size} rows={rows} source_pitch={size} "
        f"destination_pitch={size}\n"
    )


MADE = vector()
"""Written in 14: through all stages from 0 on."""

PATHS: list[tuple[str, dict[str, Any], int]] = [
    # 3 tiles of 2 beats, tile after tile or in turns: the last of 6 beats in 5, written in 8
    (matmul(6, 4), {}, 9),
    (matmul(6, 4), {"mac__accumulate_interval_cycles": 3}, 9),
    # groups of 2 and 3: 10 beats; a tile more than the group needs no more than a beat more
    (matmul(10, 4), {"mac__accumulate_interval_cycles": 2}, 13),
    # 2 tiles in turns of 4: the empty beats are not counted, as if the array had others to do: 4 beats
    (matmul(4, 4), {"mac__accumulate_interval_cycles": 4}, 7),
    # beats 0, 1, 2; written 3, 8, 13
    (matmul(6, 2), {"mac__drain_cycles": 5}, 14),
    # summed in 1, 3, 5, written 4, 7, 10
    (matmul(6, 4), {"mac__drain_cycles": 3}, 11),
    # first of a group of three after 2 * 3 + 1 beats, in 6; then one a cycle, but written 9, 11, 13
    (matmul(6, 6), {"mac__drain_cycles": 2, "mac__accumulate_interval_cycles": 3}, 14),
    # the way out of the product before is not counted: each of them on its own
    (matmul(4, 2) + matmul(4, 2), {"mac__drain_cycles": 5}, 9),
    # 2 + 3 + 4 + 5, and one for the beat; three beats two more
    (vector(), FOUR, 15),
    (vector(length=6), FOUR, 17),
    # an operand that is there after 14 is read in 15: as source 14 later, as addend or factor 12, as term 9
    (MADE + vector(kind="int16", source=48, to=64), FOUR, 15 + 14 + 1),
    (MADE + vector("addend_type=int16 addend=[48]", to=64), FOUR, 15 + 12 + 1),
    (MADE + vector("multiply factor=[48]", to=64), FOUR, 15 + 12 + 1),
    (MADE + vector("multiply factor=[100] accumulate term=[48]", to=64), FOUR, 15 + 9 + 1),
    # the last of them decides
    (MADE + vector("multiply factor=[48] accumulate term=[48]", to=64), FOUR, 15 + 12 + 1),
    # what is kept is written with the result
    (vector("keep kept=[64]") + vector(kind="int16", source=64, to=96), FOUR, 15 + 14 + 1),
    # a load through the last stage: a beat a lane's width, 5 cycles: no DRAM
    (load(2), STREAMED, 6),
    (load(6), STREAMED, 8),
    (load(3, rows=2), STREAMED, 9),
    # beats 0 to 3; inputs 0 and 1 are there after 5 and multiplied in 6, 3 and 4 after 7
    (load(3, rows=2) + matmul(2, 2), STREAMED, 10),
    (load(3, rows=2) + matmul(2, 2, source=2), STREAMED, 12),
    # without it, by DMA: 6 bytes 2 cycles, 5 and 2
    (load(6), FOUR, 10),
]


@pytest.mark.parametrize(("code", "changes", "cycles"), PATHS)
def test_path(code: str, changes: dict[str, Any], cycles: int) -> None:
    assert lower_bound(tiny_program(code, **changes)).path_cycles == cycles


@pytest.mark.parametrize(("code", "changes", "cycles"), [case for case in PATHS if case[0].count("\n") == 1])
def test_a_run_of_one_instruction_is_close(code: str, changes: dict[str, Any], cycles: int) -> None:
    """The dispatch's cycle more than the bound, and empty beats where a product has them."""
    empty = 2 if changes.get("mac__accumulate_interval_cycles") == 4 else 0
    assert trace(code, **changes).cycles == cycles + 1 + empty


def test_the_first_tile_waits_for_no_other() -> None:
    code, slow = matmul(2, 2), {"mac__drain_cycles": 40}
    assert lower_bound(tiny_program(code, **slow)).cycles == 4
    assert trace(code, **slow).cycles == 5


def test_a_load_through_the_vector_unit_takes_no_bus() -> None:
    assert lower_bound(tiny_program(load(6), **STREAMED)).dram_cycles == 0
    assert lower_bound(tiny_program(load(6), **FOUR)).dram_cycles == 2
