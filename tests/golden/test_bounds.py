"""The lower bounds of small programs, worked out by hand.

The path counts from cycle 0, without fetch, dispatch, semaphores or banks. A product's or a vector instruction's beat
is in the cycle after the last thing it reads was written, at the earliest in 0; MX writes 3 cycles after a beat, VX 4.
A load writes 5 + 2 cycles after its bytes have passed the bus at 4 a cycle, a store 3 + 2. The bound is one more than
the last cycle in which something is written.
"""

from __future__ import annotations

from typing import Any

import pytest

from accelsim.profile.bounds import Bound, lower_bound
from tests.support.tiny import tiny_program, trace


def bound(code: str, **changes: Any) -> Bound:
    return lower_bound(tiny_program(code, **changes))


def matmul(rows: int, columns: int, more: str = "", *, weights: int = 0, source: int = 0, sums: int = 0) -> str:
    operands = f"weights=[{weights}] input=[{source}] accumulators=[{sums}] bias=[0]"
    return f"matmul {operands} rows={rows} columns={columns} {more}\n"


def vector(length: int, more: str = "", *, kind: str = "int8", source: int = 0, to: int = 48, block: int = 0) -> str:
    return (
        f"vector source=[{source}] destination=[{to}] parameters=[{block}] source_type={kind} "
        f"destination_type=int8 length={length} {more}\n"
    )


def load(size: int, *, rows: int = 1, pitch: int = 0, source: int = 0, to: int = 0, into: str = "activations") -> str:
    return (
        f"load memory={into} source=[{source}] destination=[{to}] row_bytes={size} rows={rows} "
        f"source_pitch={pitch} destination_pitch={size}\n"
    )


def store(size: int, *, source: int = 0, to: int = 256, kind: str = "activations") -> str:
    return f"store memory={kind} source=[{source}] destination=[{to}] row_bytes={size} rows=1\n"


# The array does 2 x 2 multiply-accumulates a cycle.
MACS: list[tuple[str, dict[str, Any], int]] = [
    (matmul(2, 2), {}, 1),  # 4
    (matmul(4, 4), {}, 4),  # 16
    (matmul(3, 3), {}, 3),  # 9: two cycles and a part of one
    (matmul(1, 1), {}, 1),  # 1; padding does not count
    (matmul(1, 16), {}, 4),  # 16, though a row of the array is empty: it takes 8 beats
    (matmul(3, 3) + matmul(2, 3, sums=16), {}, 4),  # 9 + 6
    ("loop count=3 {\n" + matmul(3, 3) + "}", {}, 7),  # 27
    (matmul(3, 3, "extra_vectors=1"), {}, 5),  # 18
    (matmul(3, 3, "extra_vectors=1"), {"mac__batch_columns": 2}, 3),  # 18 at 8 a cycle
    (matmul(3, 3), {"mac__rows": 3}, 2),  # 9 at 6 a cycle
    (vector(40) + load(16) + store(16), {}, 0),
]


@pytest.mark.parametrize(("code", "changes", "cycles"), MACS)
def test_mac_cycles(code: str, changes: dict[str, Any], cycles: int) -> None:
    assert bound(code, **changes).mac_cycles == cycles


# The bus moves 4 bytes a cycle. Bytes from 256 on are the output.
DRAM: list[tuple[str, dict[str, Any], int]] = [
    (load(4), {}, 1),
    (load(5), {}, 2),
    (load(64), {}, 16),
    (store(7), {}, 2),
    (load(16) + store(16), {}, 8),  # reads and writes share the bus
    (load(16) + load(16, to=32), {}, 4),  # the same 16 bytes again
    (load(16) + load(16, source=8), {}, 6),  # 24 bytes: 8 to 16 are in both
    ("loop count=5 {\n" + load(16) + "}", {}, 4),
    (load(3, rows=4, pitch=8), {}, 3),  # 12 bytes; what lies between the rows does not count
    (load(8, rows=4, pitch=2), {}, 4),  # rows overlap: bytes 0 to 14 of DRAM are 14 bytes
    (store(16) + store(16), {}, 4),  # the same place twice
    (store(8) + load(8, source=256, to=64), {}, 2),  # written, then read again
    (load(8, source=256) + store(8), {}, 4),  # what was there comes in, what is written goes out
    (store(64, to=128), {}, 0),  # not the output: a larger memory would keep it
    (store(64, to=128) + load(64, source=128), {}, 0),  # ... nor does it have to come back
    (store(8, to=128) + load(16, source=124), {}, 2),  # but for the 8 bytes that were there before
    (load(16, source=128) + store(16, to=128) + load(16, source=128), {}, 4),  # read before it was written
    (store(32, to=240), {}, 4),  # 16 of them are the output
    ("loop count=5 {\n" + store(16, to=128) + load(16, source=128) + store(16) + "}", {}, 4),
    ("loop count=2 {\n" + load(16, source=128) + store(16, to=128) + "}", {}, 4),  # the first turn's come from before
    (store(16, to=128) + "frame\n" + load(32, source=128), {}, 4),  # written in the set-up: still its own
    (load(16) + store(16) + "frame\n" + load(16) + store(16), {}, 8),  # each frame brings and sends its own
    (load(6), {"dram__bytes_per_cycle": 2.5}, 3),  # 2.4
    (load(5), {"dram__bytes_per_cycle": 2.5}, 2),
    (load(5), {"dram__bytes_per_cycle": 0.5}, 10),
    (matmul(4, 4) + vector(8), {}, 0),
]


@pytest.mark.parametrize(("code", "changes", "cycles"), DRAM)
def test_dram_cycles(code: str, changes: dict[str, Any], cycles: int) -> None:
    assert bound(code, **changes).dram_cycles == cycles


# One instruction, on its own.
PATHS: list[tuple[str, dict[str, Any], int]] = [
    (matmul(2, 2), {}, 4),  # beat 0, sums 3
    (matmul(2, 6), {}, 6),  # beats 0-2, sums 5
    (matmul(4, 4), {}, 7),  # 2 x 2 tiles: beats 0-3, sums 6
    (matmul(3, 5), {}, 9),  # 2 x 3 tiles, those at the edges are not full: beats 0-5, sums 8
    (matmul(2, 2), {"mac__latency_cycles": 9}, 10),
    (matmul(2, 2, "extra_vectors=2"), {}, 6),  # vector after vector: beats 0-2, sums 5
    (matmul(2, 2, "extra_vectors=2"), {"mac__batch_columns": 2}, 5),  # two at once, then one: beats 0 and 1, sums 4
    (vector(2), {}, 5),  # beat 0, result 4
    (vector(5), {}, 7),  # beats 0-2, result 6
    (vector(5), {"vector__lanes": 5}, 5),
    (vector(2), {"vector__latency_cycles": 1}, 2),
    (load(4), {}, 9),  # bus 1 cycle, data 5 and 2 cycles later: written in 8
    (load(16), {}, 12),  # bus 4 cycles: written in 11; that the DMA takes two beats for 16 bytes does not count
    (load(6, rows=2, pitch=8), {}, 11),  # 12 bytes on the bus, 3 cycles: the second row is written in 10
    (load(40), {}, 18),  # bursts of 16, 16 and 8, one behind the other: 10 cycles
    (load(5, rows=2, pitch=5), {}, 11),  # 1.25 + 1.25 cycles on the bus: written in 10
    (store(4), {}, 7),  # bus 1 cycle, 3 and 2: written in 6
    (store(7), {}, 8),  # bus 2 cycles
]


@pytest.mark.parametrize(("code", "changes", "cycles"), PATHS)
def test_path_of_one_instruction(code: str, changes: dict[str, Any], cycles: int) -> None:
    assert bound(code, **changes).path_cycles == cycles
    assert trace(code, **changes).cycles > cycles


LOADED, SUMMED, MADE = load(4), matmul(2, 2), vector(2)
CHAINS: list[tuple[str, dict[str, Any], int]] = [
    # each reads what the one before wrote: load 8; beat 9, sums 12; beat 13, result 17; bus 18, in DRAM 18 + 1 + 5 = 24
    (LOADED + SUMMED + vector(2, kind="int32") + store(2, source=48), {}, 25),
    # nothing in common: product 3, vector instruction 4, load 8
    (load(4, to=64) + vector(2, source=4) + SUMMED, {}, 9),
    # weights, bias: beat 9, sums 12; only where the product starts from the bias
    (load(4, into="weights") + SUMMED, {}, 13),
    (load(8, into="parameters") + matmul(2, 2, "start=bias"), {}, 14),  # 8 bytes: written in 9
    (load(8, into="parameters") + SUMMED, {}, 10),
    # sums that go on: beat after 3, written in 7; sums that start anew do not wait
    (SUMMED + matmul(2, 2, "start=accumulate"), {}, 8),
    (SUMMED + SUMMED, {}, 4),
    # ... and each tile only for its own: the first's beat is in 0, the second's, whose sums are written in 5, in 6
    (matmul(2, 6, sums=8) + matmul(4, 2, "start=accumulate"), {}, 10),
    # tile by tile: the product's are written in 3 and 4, so the vector beats are in 4 and 5; with all sums at once,
    # they would be in 5 and 6
    (matmul(4, 2) + vector(4, kind="int32"), {}, 10),
    # the product's second tile comes 4 beats after the first: 3 and 11, 4 and 12
    (matmul(4, 16) + vector(4, kind="int32"), {}, 24),
    # inputs as they come: written in 4 and 5, so the first tile's beats are in 5 and 6, the second's in 7 and 8
    (vector(4, source=16, to=0) + matmul(4, 4), {}, 12),
    # a tile reads its own rows' weights, 2 x 2, and bias, 2 x 4 bytes: the second tile's are written in 9
    (load(8, to=4, into="weights") + matmul(4, 2), {}, 14),
    (load(8, to=8, into="parameters") + matmul(4, 2, "start=bias"), {}, 14),
    # the rest of a load's rows is not waited for: row 0 is written in 8, row 1 in 9
    (load(4, rows=2, pitch=4) + matmul(2, 4) + matmul(2, 4, source=4, sums=8), {}, 14),
    # a burst's bytes come together: the bus takes 4 cycles, so 11, and the product's beat is in 12
    (load(16) + matmul(2, 2), {}, 16),
    # ... and what comes behind it does not count: the second burst, of 32 bytes from 0 or from 8, is written in 15, 13
    (load(32) + matmul(2, 2), {}, 16),
    (load(32) + matmul(2, 2, source=16), {}, 20),
    (load(24, source=8) + matmul(2, 2), {}, 14),  # 8 bytes up to the burst's end: 2 cycles
    (load(24, source=8) + matmul(2, 2, source=8), {}, 18),  # then 16
    # a store's bursts each wait for their own: beats 0 to 15 make 32 bytes, the first 16 by 11, the others by 19; the
    # first is in DRAM in 12 + 4 + 5, the second in 20 + 4 + 5, and the load takes its own time from there
    (vector(32, source=64, to=0) + store(32, source=0), {}, 30),
    (vector(32, source=64, to=0) + store(32, source=0) + load(16, source=256, to=96), {}, 34),
    (vector(32, source=64, to=0) + store(32, source=0) + load(16, source=272, to=96), {}, 42),
    # late first bytes hold up those behind them: 16 bytes written in 11 and then 16 that are there from the beginning
    (vector(16, source=64, to=0) + store(32, source=0), {}, 26),
    # two loads have a bus of their own each, as all instructions have a unit: 8 both; a product's last beat is in 9
    (load(4) + load(4, source=4, to=4) + matmul(2, 4), {}, 13),
    # vector operands: all are waited for
    (vector(2, to=32) + vector(2, "addend_type=int16 addend=[32]", kind="int16"), {}, 10),
    (SUMMED + vector(2, "addend_type=int32 addend=[0]"), {}, 9),
    (vector(4, to=32) + vector(2, "multiply factor=[32]", kind="int16"), {}, 11),
    (vector(4, to=32) + vector(2, "accumulate term=[32]", kind="int16"), {}, 11),
    # the parameter block, 32 bytes: bus 8 cycles, 15; beats 16 and 17, result 21
    (load(32, into="parameters") + vector(4), {}, 22),
    # all of it before the first beat: the last 8 bytes are written in 9, beats 10 and 11, result 15
    (load(8, to=24, into="parameters") + vector(4), {}, 16),
    # factors behind the block, 8 bytes each: each beat reads its own two
    (load(16, to=32, into="parameters") + vector(4, "requantize=channel", kind="int32"), {}, 18),
    (load(16, to=48, into="parameters") + vector(4, "requantize=channel", kind="int32"), {}, 17),
    # a beat writes its own two results: those of the second in 5, so beat 6, result 10
    (vector(4, to=32) + vector(2, source=34), {}, 11),
    # who is written last is read: the load's 8 gives way to the vector instruction's 4
    (LOADED + vector(2, source=16, to=0) + matmul(2, 2) + vector(2, kind="int32"), {}, 14),
    # a loop's instructions one after the other; the state goes round: 4, 9, 14
    ("loop count=3 {\n" + vector(2, source=16, to=16) + "}", {}, 15),
    # through DRAM: store 6; bus 7, and the data 7 cycles after it: 14 + 1
    (store(4) + load(4, source=256, to=64), {}, 16),
]


@pytest.mark.parametrize(("code", "changes", "cycles"), CHAINS)
def test_path_of_several(code: str, changes: dict[str, Any], cycles: int) -> None:
    assert bound(code, **changes).path_cycles == cycles


def test_a_chain_that_keeps_to_its_path() -> None:
    """A chain as fast as it can be takes the cycle of its first dispatch more."""
    code = "".join(
        line.rstrip("\n") + more + "\n"
        for line, more in (
            (LOADED, " signal=s1"),
            (SUMMED, " wait=s1 signal=s2"),
            (vector(2, kind="int32"), " wait=s2 signal=s3"),
            (store(2, source=48), " wait=s3"),
        )
    )
    assert bound(code) == Bound(mac_cycles=1, dram_cycles=2, path_cycles=25)
    assert trace(code).cycles == 26


def test_rows_that_leave_as_they_come() -> None:
    """A store needs the bus for its last row alone once that is made: the rows before have passed by then."""
    made = "".join(
        f"vector source=[{16 * row}] destination=[{16 * (row + 1)}] parameters=[0] source_type=int8 "
        "destination_type=int8 length=16 signal=s1\n"
        for row in range(8)
    )
    taken = "store memory=activations source=[16] destination=[256] row_bytes=16 rows=8 "
    taken += "source_pitch=16 destination_pitch=16 wait=s1*\n"
    # Row 0 is written by 11, each row of the path 5 cycles later, the last by 46. The bus takes 8 cycles a row: 12 to
    # 76 without a pause, 3 and 2. If all rows had to wait for the last one, it would be 46 + 1 + 64 + 5.
    code = made + taken
    changes = {"dram__bytes_per_cycle": 2, "dram__outstanding_bursts": 4, "sequencer__vector_queue_depth": 8}
    assert bound(code, **changes).path_cycles == 82
    # In the run a row takes the vector unit 8 cycles as well, and the bus does not stop either: row 0 is written in 12,
    # read from 13 on, 3 cycles of which the vector unit has the banks, and asks for the bus in 19; 19 + 64 + 3.
    assert trace(code, **changes).cycles == 87


def test_an_array_that_never_stops() -> None:
    """All beats full, one a cycle: more than the array's time are only dispatch, halt's or the last sums' cycle."""
    code = matmul(4, 16)
    assert bound(code) == Bound(mac_cycles=16, dram_cycles=0, path_cycles=19)
    assert trace(code).cycles == 20


@pytest.mark.parametrize(
    ("macs", "dram", "path", "limit"),
    [(3, 2, 2, "MACs"), (1, 2, 1, "DRAM bytes, each once"), (1, 1, 2, "dependency path")],
)
def test_the_largest_of_the_three_is_the_limit(macs: int, dram: int, path: int, limit: str) -> None:
    found = Bound(macs, dram, path)
    assert (found.cycles, found.limit) == (max(macs, dram, path), limit)
