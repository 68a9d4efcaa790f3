"""Values that staged units add: what is kept, the complement, loads through the vector unit; on each engine."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.support.tiny import VX, Run, frame, in_stages, tiny_program, trace

HALF = 2**30
CHIPS: list[dict[str, Any]] = [
    {},
    in_stages((2, ""), (3, "add activation multiply"), (1, "add"), (4, "")),
    in_stages((1, "add"), (1, "activation"), (1, "multiply"), (9, "add")),
    in_stages((2, "add activation multiply add"), vector__lanes=3),
]
"""One that does all in one stage, and others that do so in several."""


def vector(
    run: Run, chip: dict[str, Any], more: str, source: Sequence[int], *others: Sequence[int], zero: int = 0
) -> tuple[list[int], list[int]]:
    """(result, kept) of a vector instruction; operands at bytes 0, 32 and so on, all int16, the output halved.

    The results' places are filled with what the parameters are, and zeros.
    """
    block = struct.pack("<3i3bx3h10x", 0, 0, HALF, 0, 0, 0, zero, -128, 127)
    values = b"".join(np.asarray(one, "<i2").tobytes().ljust(32, b"\0") for one in (source, *others)).ljust(128, b"\0")
    length = len(source)
    program = tiny_program(
        f"""
        load memory=activations source=[0] destination=[0] row_bytes=256 rows=1 signal=s1
        load memory=parameters source=[128] destination=[0] row_bytes=32 rows=1 signal=s2
        vector source=[0] destination=[128] kept=[160] parameters=[0] source_type=int16 destination_type=int8 ^
        length={length} output_requantize {more} wait=s1,s2 signal=s3
        store memory=activations source=[128] destination=[256] row_bytes=64 rows=1 wait=s3
    """.replace("^\n", ""),
        **chip,
    )
    found = run(program, frame(values + block))
    return found[:length].tolist(), found[32 : 32 + 2 * length].view("<i2").tolist()


@pytest.mark.parametrize("chip", CHIPS, ids=["one stage", "four", "one each", "one of stages"])
def test_all_operations(run: Run, chip: dict[str, Any]) -> None:
    """Source and addend, relu, a factor and shift, a term; the same in any stages."""
    more = "addend_type=int16 addend=[32] activation=relu multiply factor=[64] shift=1 accumulate term=[96] keep"
    # sums 3, -1, 20, 7; relu 3, 0, 20, 7; times 4, 4, 3, -2: 12, 0, 60, -14; halved 6, 0, 30, -7; plus 1, 2, 3, 4
    result, kept = vector(run, chip, more, [1, 1, 10, 4], [2, -2, 10, 3], [4, 4, 3, -2], [1, 2, 3, 4])
    assert kept == [7, 2, 33, -3]
    # half of them, ties up
    assert result == [4, 1, 17, -1]


@pytest.mark.parametrize("chip", CHIPS[:2], ids=["one stage", "four"])
def test_kept_is_saturated_but_neither_scaled_shifted_nor_clamped(run: Run, chip: dict[str, Any]) -> None:
    more = "multiply factor=[32] accumulate term=[64] keep"
    values = [300, -300, 32767, -32768]
    result, kept = vector(run, chip, more, values, [1, 1, 2, 2], [0, 0, 0, 0], zero=5)
    assert kept == [300, -300, 32767, -32768]
    # halves, and 5; clamped to int8
    assert result == [127, -128, 127, -128]
    # without a term, the product is only saturated where it is kept: 32767 * 4, -32768 * 4
    result, kept = vector(run, chip, "multiply factor=[32] keep", values, [1, 1, 4, 4], zero=5)
    assert kept == [300, -300, 32767, -32768]


@pytest.mark.parametrize("chip", CHIPS, ids=["one stage", "four", "one each", "one of stages"])
def test_a_product_is_saturated_before_a_term_is_added(run: Run, chip: dict[str, Any]) -> None:
    more = "multiply factor=[32] accumulate term=[64] keep"
    _, kept = vector(run, chip, more, [32767, -32768, 20000], [2, 2, 3], [-7, 9, 1])
    assert kept == [32760, -32759, 32767]


@pytest.mark.parametrize("chip", CHIPS, ids=["one stage", "four", "one each", "one of stages"])
def test_a_source_is_saturated_before_it_is_multiplied(run: Run, chip: dict[str, Any]) -> None:
    content = struct.pack("<2i2h", 40000, -70000, 2, 2).ljust(32, b"\0") + struct.pack("<3i3bx3h10x", *[0] * 7, -9, 9)
    program = tiny_program(
        """
        load memory=accumulators source=[0] destination=[0] row_bytes=8 rows=1 signal=s1
        load memory=activations source=[8] destination=[0] row_bytes=4 rows=1 signal=s2
        load memory=parameters source=[32] destination=[0] row_bytes=32 rows=1 signal=s3
        vector source=[0] factor=[0] destination=[64] kept=[96] parameters=[0] source_type=int32 ^
        destination_type=int8 length=2 multiply shift=2 keep wait=s1,s2,s3 signal=s4
        store memory=activations source=[96] destination=[256] row_bytes=4 rows=1 wait=s4
    """.replace("^\n", ""),
        **chip,
    )
    # 32767 * 2 / 4, halves away from zero, and -32768 * 2 / 4
    assert run(program, frame(content))[:4].view("<i2").tolist() == [16384, -16384]


def test_nothing_is_kept_unasked(run: Run) -> None:
    result, kept = vector(run, {}, "", [6, 8])
    assert (result, kept) == ([3, 4], [0, 0])


def test_complement(run: Run) -> None:
    source = [0, 1, 32767, -1, -32768, 16384]
    _, kept = vector(run, {}, "activation=complement keep", source)
    # 32767 less each; what is beyond saturates
    assert kept == [32767, 32766, 0, 32767, 32767, 16383]


def test_kept_takes_ports_like_the_result() -> None:
    code = (
        "vector source=[0] destination=[{}] kept=[{}] parameters=[0] source_type=int8 destination_type=int8 length=2 "
        "keep\n"
    )
    # banks: source 0; destination 4; kept 5, or 4 too, or 0 too
    assert trace(code.format(48, 52)).rows == [(VX, 0, 0, 1, 1, 5)]
    assert trace(code.format(48, 80)).rows == [(VX, 0, 0, 1, 2, 6)]
    assert trace(code.format(48, 64)).rows == [(VX, 0, 0, 1, 2, 6)]
    result = trace(code.format(48, 52))
    # two bytes read (and the block), two written and four kept
    assert result.run.counters.bytes[-1, 1].tolist() == [2, 2 + 4]


def test_kept_lies_apart_from_operands() -> None:
    code = (
        "load memory=activations source=[0] destination=[0] row_bytes=16 rows=1 signal=s1\n"
        "load memory=parameters source=[0] destination=[0] row_bytes=32 rows=1 signal=s2\n"
        "vector source=[0] destination=[48] kept=[{}] parameters=[0] source_type=int16 destination_type=int8 length=2 "
        "keep wait=s1,s2\n"
    )
    trace(code.format(0), check_hazards=True)
    with pytest.raises(Exception, match="writes activations 0x2 over its own source"):
        trace(code.format(2), check_hazards=True)


@pytest.mark.parametrize("lanes", [1, 2, 3, 16])
def test_a_load_through_the_vector_unit(run: Run, lanes: int) -> None:
    program = tiny_program(
        """
        load memory=activations source=[64] destination=[0] row_bytes=32 rows=1
        load memory=activations source=[2] destination=[8] row_bytes=5 rows=3 source_pitch=7 destination_pitch=6 ^
        signal=s1
        store memory=activations source=[0] destination=[256] row_bytes=32 rows=1 wait=s1
    """.replace("^\n", ""),
        dma__loads_through_vector=True,
        vector__lanes=lanes,
    )
    found = run(program, frame(bytes(range(1, 33))))[:32].tolist()
    rows = [list(range(3 + 7 * row, 8 + 7 * row)) for row in range(3)]
    assert found[8:26] == [*rows[0], 0, *rows[1], 0, *rows[2], 0]


@pytest.mark.parametrize("gap", [0, 4, 12, 40])
@pytest.mark.parametrize("chip", CHIPS)
def test_the_parameter_block_is_read_with_the_first_beat(run: Run, chip: dict[str, Any], gap: int) -> None:
    """A later load over it, for which the instruction's start is all that is waited for, changes nothing."""
    blocks = [struct.pack("<3i3bx3h10x", 0, 0, HALF, 0, 0, 0, zero, -128, 127) for zero in (0, 50)]
    nops = "nop\n" * gap
    how = "source_type=int16 destination_type=int8 length=4 output_requantize"
    program = tiny_program(
        f"""
        load memory=activations source=[0] destination=[0] row_bytes=64 rows=1 signal=s1
        load memory=parameters source=[64] destination=[0] row_bytes=32 rows=1 signal=s2
        vector source=[0] destination=[128] parameters=[0] {how} wait=s1,s2 signal=s3
        {nops}
        load memory=parameters source=[96] destination=[0] row_bytes=32 rows=1
        store memory=activations source=[128] destination=[256] row_bytes=4 rows=1 wait=s3
        """,
        **chip,
    )
    values = np.asarray([2, 4, 6, 8], "<i2").tobytes().ljust(64, b"\0")
    result = run(program, frame(values + b"".join(blocks)))
    assert result[:4].tolist() == [1, 2, 3, 4]
