"""Row tiles that take turns, and the way out of the array: beats, sums and values by hand.

The array is 2 x 2 and takes 3 cycles. A vector instruction chained to the product shows when each row tile is summed:
it takes a tile's two rows a hop, 2 cycles, after they are written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelsim.isa.opcodes import Unit
from accelsim.timing.rules import drained, tile_groups
from tests.support.tiny import MX, VX, Run, frame, tiny_program, trace


def matmul(rows: int, columns: int, more: str = "", *, sums: int = 0) -> str:
    return f"matmul weights=[0] input=[0] accumulators=[{sums}] bias=[0] rows={rows} columns={columns} {more}\n"


def taken(length: int, source: int = 0) -> str:
    return (
        f"vector source=[{source}] destination=[64] parameters=[0] source_type=int32 destination_type=int8 "
        f"length={length} wait=s1*\n"
    )


@pytest.mark.parametrize(
    ("tiles", "interval", "groups"),
    [
        (1, 1, [1]),
        (4, 1, [1, 1, 1, 1]),
        (11, 12, [11]),
        (12, 12, [12]),
        (23, 12, [23]),
        (24, 12, [12, 12]),
        (25, 12, [12, 13]),
        (45, 12, [12, 12, 21]),
        (48, 12, [12, 12, 12, 12]),
    ],
)
def test_groups(tiles: int, interval: int, groups: list[int]) -> None:
    assert tile_groups(tiles, interval) == groups


# --- order --------------------------------------------------------------------------------------------------------


def test_row_tile_after_row_tile() -> None:
    # 3 tiles of 2 beats each: summed in 2, 4, 6; written 5, 7, 9; seen 7, 9, 11
    result = trace(matmul(6, 4, "signal=s1*") + taken(6))
    assert result.rows == [(MX, 0, 0, 1, 6, 9), (VX, 1, 1, 7, 11, 15)]
    assert result.states(Unit.VECTOR)["DEPENDENCY"] == 5 + 1 + 1


def test_tiles_take_turns() -> None:
    # one group of 3: first inputs in 1-3, last in 4-6; written 7-9, seen 9-11
    result = trace(matmul(6, 4, "signal=s1*") + taken(6), mac__accumulate_interval_cycles=3)
    assert result.rows == [(MX, 0, 0, 1, 6, 9), (VX, 1, 1, 9, 11, 15)]
    assert result.states(Unit.VECTOR)["DEPENDENCY"] == 7


def test_groups_with_a_remainder() -> None:
    # 8 tiles: 3, and the 5 that are left. Summed in 4-6 and 12-16; written 7-9 and 15-19, seen 9-11 and 17-21.
    free = {"sram__activations__conflict_free": True}
    result = trace(matmul(16, 4, "signal=s1*") + taken(16), mac__accumulate_interval_cycles=3, **free)
    assert result.rows == [(MX, 0, 0, 1, 16, 19), (VX, 1, 1, 9, 21, 25)]
    assert result.states(Unit.VECTOR)["DEPENDENCY"] == 7 + 5
    assert result.states(Unit.MATRIX)["BUSY"] == 16


def test_fewer_tiles_than_the_interval() -> None:
    # 2 tiles, each added to every 4 cycles: 1, 2; 5, 6; 9, 10. The last turn needs no filling.
    result = trace(matmul(4, 6) + matmul(4, 2, sums=16), mac__accumulate_interval_cycles=4)
    assert result.rows == [(MX, 0, 0, 1, 10, 13), (MX, 1, 1, 11, 12, 15)]
    # Empty beats occupy the unit, and multiply nothing.
    assert result.states(Unit.MATRIX)["BUSY"] == 12
    assert result.run.counters.macs.sum() == 4 * 6 + 4 * 2


def test_a_tile_that_is_added_to_once_waits_for_none() -> None:
    assert trace(matmul(2, 2), mac__accumulate_interval_cycles=9).rows == [(MX, 0, 0, 1, 1, 4)]


def test_elements_are_taken_with_the_first_tile_of_the_first_group() -> None:
    code = (
        "vector destination=[0] parameters=[0] source_type=none destination_type=int8 length=6 signal=s1*\n"
        + matmul(4, 6, "wait=s1*")
    )
    # Elements written in 5, 6, 7 and seen in 7, 8, 9; inputs are wanted in the turns from 7, 9 and 11 on.
    assert trace(code, mac__accumulate_interval_cycles=2).rows == [(VX, 0, 0, 1, 3, 7), (MX, 1, 1, 7, 12, 15)]
    # In turns of one: the first tile in 7, 8, 9.
    assert trace(code).rows == [(VX, 0, 0, 1, 3, 7), (MX, 1, 1, 7, 12, 15)]
    # One vector after the other: the second goes over inputs that are there.
    code = code.replace("columns=6", "columns=6 extra_vectors=1").replace("length=6", "length=12")
    # 12 elements in 1-6, seen from 7 on, two each: a turn's first beat takes 4, in 8, 10 and 12
    assert trace(code, mac__accumulate_interval_cycles=2).rows == [(VX, 0, 0, 1, 6, 10), (MX, 1, 1, 8, 19, 22)]


# --- the way out --------------------------------------------------------------------------------------------------


def test_drained() -> None:
    assert drained(10, 3, -100, 4) == 13
    assert drained(10, 3, 9, 4) == 13
    assert drained(10, 3, 10, 4) == 14


def test_sums_leave_one_tile_after_the_other() -> None:
    # beats 1, 2, 3 would be written in 4, 5, 6; four cycles apart 4, 8, 12; seen 6, 10, 14
    result = trace(matmul(6, 2, "signal=s1*") + taken(6), mac__drain_cycles=4)
    assert result.rows == [(MX, 0, 0, 1, 3, 12), (VX, 1, 1, 6, 14, 18)]


def test_products_back_to_back_share_the_way_out() -> None:
    # beats 1, 2 and 3, 4: written 4, 8 and 12, 16
    code = matmul(4, 2) + matmul(4, 2, sums=16)
    assert trace(code, mac__drain_cycles=4).rows == [(MX, 0, 0, 1, 2, 8), (MX, 1, 1, 3, 4, 16)]
    # Later on it is free.
    code = matmul(4, 2) + "nop\n" * 9 + matmul(4, 2, sums=16)
    assert trace(code, mac__drain_cycles=4).rows == [(MX, 0, 0, 1, 2, 8), (MX, 10, 10, 11, 12, 18)]


def test_only_finished_tiles_leave() -> None:
    # two tiles of 4 beats each: 4 and 8, written 7 and 11 with 4 cycles between, 7 and 12 with 5
    assert trace(matmul(4, 8), mac__drain_cycles=4).rows == [(MX, 0, 0, 1, 8, 11)]
    assert trace(matmul(4, 8), mac__drain_cycles=5).rows == [(MX, 0, 0, 1, 8, 12)]


def test_a_sync_is_done_no_earlier_than_the_sums_before_it() -> None:
    # The product's sums are written in 4 and 9; the sync's beat is in 3, and 6 would be its end.
    code = matmul(4, 2) + "sync unit=matrix signal=s1\nsync unit=vector wait=s1\n"
    assert trace(code, mac__drain_cycles=5).rows == [(MX, 0, 0, 1, 2, 9), (MX, 1, 1, 3, 3, 9), (VX, 2, 2, 10, 10, 14)]


# --- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["zero", "bias", "accumulate"])
@pytest.mark.parametrize(("rows", "columns", "vectors"), [(8, 6, 1), (7, 5, 2), (3, 7, 2), (5, 4, 3)])
@pytest.mark.parametrize(
    "changes", [{}, {"interval": 2}, {"interval": 3, "drain": 4}, {"interval": 2, "together": 2}], ids=str
)
def test_values_do_not_depend_on_the_order(
    run: Run, start: str, rows: int, columns: int, vectors: int, changes: dict[str, Any]
) -> None:
    rng = np.random.default_rng(rows)
    weights = rng.integers(-128, 128, (rows, columns), dtype=np.int64)
    inputs = rng.integers(-128, 128, (columns, vectors), dtype=np.int64)
    first = rng.integers(-(2**30), 2**30, (rows, vectors), dtype=np.int64)
    bias = rng.integers(-(2**30), 2**30, rows, dtype=np.int64)
    padded = np.zeros((-(-rows // 2) * 2, columns), np.int8)
    padded[:rows] = weights
    tiles = b"".join(padded[top : top + 2].T.tobytes() for top in range(0, len(padded), 2))
    parts = {
        "weights": tiles,
        "activations": inputs.astype(np.int8).tobytes(),
        "accumulators": first.astype("<i4").tobytes(),
        "parameters": bias.astype("<i4").tobytes(),
    }
    at, content, code = 0, b"", ""
    for number, (memory, data) in enumerate(parts.items()):
        code += (
            f"load memory={memory} source=[{at}] destination=[0] row_bytes={len(data)} rows=1 signal=s{number + 1}\n"
        )
        content, at = content + data, at + len(data)
    size = 4 * rows * vectors
    code += f"""
        sync unit=matrix wait=s1,s2,s3
        {matmul(rows, columns, f"start={start} extra_vectors={vectors - 1} wait=s4 signal=s5")}
        store memory=accumulators source=[0] destination=[256] row_bytes={size} rows=1 wait=s5
    """
    program = tiny_program(
        code,
        mac__accumulate_interval_cycles=changes.get("interval", 1),
        mac__drain_cycles=changes.get("drain", 1),
        mac__batch_columns=changes.get("together", 1),
    )
    expected = weights @ inputs + {"zero": 0, "bias": bias[:, None], "accumulate": first}[start]
    found = run(program, frame(content))[:size].view("<i4").reshape(rows, vectors)
    np.testing.assert_array_equal(found, expected.astype(np.int32))
