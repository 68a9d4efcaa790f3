"""Every stage of a vector instruction, and products: values by hand, on each engine.

A factor is (multiplier, shift) for multiplier * 2**(shift - 31), applied with two roundings: first ties toward plus
infinity, then, for a negative shift, ties away from zero. HALF (2**30) with shift 1 is 1, with 0 a half, with -1 a
quarter.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.tiny import Run, frame, tiny_program

HALF = 2**30
LOW16, HIGH16 = -32768, 32767
MIN32, MAX32 = -(2**31), 2**31 - 1


def block(
    *,
    source: tuple[int, int] = (0, 0),
    addend: tuple[int, int] = (0, 0),
    output: tuple[int, int] = (0, 0),
    zero: int = 0,
    low: int = LOW16,
    high: int = HIGH16,
) -> bytes:
    """A vector instruction's parameter block."""
    multipliers, shifts = zip(source, addend, output, strict=True)
    return struct.pack("<3i3bx3h10x", *multipliers, *shifts, zero, low, high)


def compute(
    run: Run, code: str, unit: str, memory: str, dtype: str, count: int, **contents: Sequence[int] | bytes | NDArray
) -> list[int]:
    """The `count` elements at byte 64 of `memory` after `code`, which finds `contents` at byte 0 of each memory."""
    parts = []
    for name in ("activations", "accumulators", "parameters", "weights"):
        content = contents.get(name, b"")
        parts.append((content if isinstance(content, bytes) else np.asarray(content).tobytes()).ljust(64, b"\0"))
    loads = "\n".join(
        f"load memory={name} source=[{64 * k}] destination=[0] row_bytes=64 rows=1 signal=s{k + 1}"
        for k, name in enumerate(("activations", "accumulators", "parameters", "weights"))
    )
    size = np.dtype(dtype).itemsize * count
    program = tiny_program(f"""
        {loads}
        sync unit={unit} wait=s1,s2,s3
        sync unit={unit} wait=s4
        {code} signal=s5
        store memory={memory} source=[64] destination=[256] row_bytes={size} rows=1 wait=s5
    """)
    return [int(value) for value in run(program, frame(b"".join(parts)))[:size].view(dtype)]


def vector(
    run: Run,
    more: str,
    values: Sequence[int],
    *,
    kind: str = "int16",
    to: str = "int16",
    operands: Sequence[int] = (),
    sums: Sequence[int] = (),
    channels: bytes = b"",
    count: int = 0,
    **parameters: Any,
) -> list[int]:
    """A vector instruction's result.

    `values`, the source, lie at byte 0 of their memory; `operands`, int16, at byte 32 of the activations; `sums`,
    an int32 addend, at byte 32 of the accumulators.
    """
    dtypes = {"int8": "int8", "int16": "<i2", "int32": "<i4", "none": "int8"}
    own = np.asarray(values, dtypes[kind]).tobytes().ljust(32, b"\0")
    first = b"" if kind == "int32" else own
    second = own if kind == "int32" else b""
    length = count or len(values)
    return compute(
        run,
        f"vector source=[0] source_type={kind} destination=[64] destination_type={to} parameters=[0] length={length} "
        + more,
        "vector",
        "activations",
        dtypes[to],
        length,
        activations=first.ljust(32, b"\0") + np.asarray(operands, "<i2").tobytes(),
        accumulators=second.ljust(32, b"\0") + np.asarray(sums, "<i4").tobytes(),
        parameters=block(**parameters) + channels,
    )


# --- source -------------------------------------------------------------------------------------------------------


def test_sources(run: Run) -> None:
    assert vector(run, "", [-128, 0, 1, 127, -1], kind="int8") == [-128, 0, 1, 127, -1]
    assert vector(run, "", [-32768, 0, 1, 32767, -1]) == [-32768, 0, 1, 32767, -1]
    # int32 saturates to int16
    assert vector(run, "", [40000, -40000, 5, MAX32, MIN32], kind="int32") == [32767, -32768, 5, 32767, -32768]
    # no source is a constant zero, to which the zero point is added
    assert vector(run, "", [], kind="none", count=5, zero=-7) == [-7] * 5


# --- requantize ---------------------------------------------------------------------------------------------------


def test_scalar_requantization(run: Run) -> None:
    source = [1, -1, 2, -2, 3, -3, 5]
    assert vector(run, "requantize=scalar", source, source=(HALF, 1)) == source
    # halves, ties toward plus infinity: 0.5, -0.5, 1, -1, 1.5, -1.5, 2.5
    assert vector(run, "requantize=scalar", source, source=(HALF, 0)) == [1, 0, 1, -1, 2, -1, 3]
    # quarters of those halves, in a second rounding with ties away from zero: 1/2, 0, 1/2, -1/2, 2/2, -1/2, 3/2
    assert vector(run, "requantize=scalar", source, source=(HALF, -1)) == [1, 0, 1, -1, 1, -1, 2]
    # 3/4: 0.75, -0.75, 1.5, -1.5, 2.25, -2.25, 3.75
    assert vector(run, "requantize=scalar", source, source=(3 * 2**29, 0)) == [1, -1, 2, -1, 2, -2, 4]


def test_a_left_shift_wraps_at_32_bits(run: Run) -> None:
    # times 2: 2**30 << 2 is 0 in 32 bits; 2**29 << 2 is -2**31, half of which saturates; 3 << 2, halved
    assert vector(run, "requantize=scalar", [2**30, 2**29, 3], kind="int32", source=(HALF, 2)) == [0, -32768, 6]


def test_channel_requantization(run: Run) -> None:
    factors = struct.pack("<8i", HALF, 1, HALF, 0, HALF, -1, 0, 0)
    # 1, a half (ties up), a quarter of 6: 3, then 1.5 away from zero; nothing
    assert vector(run, "requantize=channel", [7, -7, 6, 9], kind="int32", channels=factors) == [7, -3, 2, 0]


def test_real_requantization(run: Run) -> None:
    factors = struct.pack("<4d", 0.5, 0.5, 0.25, 1e300)
    # ties away from zero: 1.5, -1.5, 0.25; then far beyond int32
    assert vector(run, "requantize=real", [3, -3, 1, 1], kind="int32", channels=factors) == [2, -2, 0, 32767]
    assert vector(run, "requantize=real", [1, -1, 2, -1], kind="int32", channels=factors) == [1, -1, 1, -32768]


# --- addend -------------------------------------------------------------------------------------------------------


def test_an_int16_addend(run: Run) -> None:
    result = vector(run, "addend_type=int16 addend=[32]", [1, 30000, -30000, -5], operands=[2, 30000, -30000, 5])
    assert result == [3, 32767, -32768, 0]


def test_the_source_is_not_saturated_before_the_addition(run: Run) -> None:
    assert vector(run, "addend_type=int16 addend=[32]", [40000], kind="int32", operands=[-10000]) == [30000]


def test_an_int32_addend_is_scaled_and_saturated_first(run: Run) -> None:
    # halves: 1.5 to 2, -1.5 to -1; 2**19 saturates to 32767 before -7 is added
    more = "addend_type=int32 addend=[32]"
    assert vector(run, more, [10, 10, -7], sums=[3, -3, 2**20], addend=(HALF, 0)) == [12, 9, 32760]


def test_source_and_addend_have_their_own_factors(run: Run) -> None:
    more = "requantize=scalar addend_type=int32 addend=[32]"
    result = vector(run, more, [100, -100], kind="int32", sums=[8, 8], source=(HALF, 0), addend=(HALF, -1))
    assert result == [50 + 2, -50 + 2]


# --- activation ---------------------------------------------------------------------------------------------------


def test_sigmoid(run: Run) -> None:
    """Samples that `fixedpoint` documents; SIG(-x) = 32767 - SIG(x)."""
    source = [0, 1, -1, 4096, -8192, 32767, -32768]
    assert vector(run, "activation=sigmoid", source) == [16384, 16384, 16383, 23952, 3901, 32756, 11]


def test_tanh_samples(run: Run) -> None:
    assert vector(run, "activation=tanh3", [0, 4096, -4096, 8192]) == [0, 24964, -24964, 31596]
    assert vector(run, "activation=tanh0", [-1, 1, 0]) == [8, -8, 0]
    assert vector(run, "activation=tanh1", [-1, 1, 0]) == [4, -4, 0]


@pytest.mark.parametrize("integer_bits", range(7))
def test_each_tanh_has_its_own_format(run: Run, integer_bits: int) -> None:
    """The argument 0.5 in Q(k).(15-k) gives tanh(0.5), within the 12 LSB the tables are good for."""
    half = 2 ** (14 - integer_bits)
    up, down = vector(run, f"activation=tanh{integer_bits}", [half, -half])
    assert abs(up - math.tanh(0.5) * 2**15) < 12
    assert down == -up


def test_the_activation_comes_after_saturation(run: Run) -> None:
    result = vector(run, "addend_type=int16 addend=[32] activation=sigmoid", [32767, -32768], operands=[9, -9])
    assert result == [32756, 11]


# --- multiply, accumulate -----------------------------------------------------------------------------------------


def test_a_product_is_divided_with_ties_away_from_zero(run: Run) -> None:
    source, ones = [1, -1, 2, -2, 3, -3, 5], [1] * 7
    # halves: 0.5, -0.5, 1, -1, 1.5, -1.5, 2.5
    assert vector(run, "multiply factor=[32] shift=1", source, operands=ones) == [1, -1, 1, -1, 2, -2, 3]
    # quarters: 0.25, -0.25, 0.5, -0.5, 0.75, -0.75, 1.25
    assert vector(run, "multiply factor=[32] shift=2", source, operands=ones) == [0, 0, 1, -1, 1, -1, 1]
    assert vector(run, "multiply factor=[32] shift=0", source, operands=ones) == source


def test_extreme_products(run: Run) -> None:
    # 2**30 / 2**15 = 32768, and -32768 * 32767 / 2**15 = -32767
    more = "multiply factor=[32] shift=15"
    assert vector(run, more, [LOW16, LOW16, HIGH16], operands=[LOW16, HIGH16, HIGH16]) == [32767, -32767, 32766]
    assert vector(run, "multiply factor=[32] shift=31", [LOW16, 1], operands=[LOW16, 1]) == [1, 0]


def test_a_product_is_saturated_only_before_an_accumulation(run: Run) -> None:
    # 200 * 200 = 40000, halved 20000: not saturated on the way
    half = {"output": (HALF, 0)}
    assert vector(run, "multiply factor=[32] output_requantize", [200], operands=[200], **half) == [20000]
    # with a term of 0 it is: 32767, halved with ties up
    more = "multiply factor=[32] accumulate term=[40] output_requantize"
    assert vector(run, more, [200], operands=[200], **half) == [16384]


def test_accumulation_saturates_twice(run: Run) -> None:
    more = "multiply factor=[32] accumulate term=[40]"
    result = vector(run, more, [200, -200, 200, 3], operands=[200, 200, 200, 4, -1, 5, 1, 5])
    # 40000 to 32767, less 1; -40000 to -32768, plus 5; 32767 plus 1 saturates again; 12 + 5
    assert result == [32766, -32763, 32767, 17]


def test_accumulation_without_a_product(run: Run) -> None:
    assert vector(run, "accumulate term=[32]", [1, 32767], operands=[-2, 1]) == [-1, 32767]


# --- output -------------------------------------------------------------------------------------------------------


def test_output_stages(run: Run) -> None:
    # halves (ties up), plus 10, within [-100, 100]
    source = [0, 1, -1, 300, -300, 181]
    result = vector(run, "output_requantize", source, to="int8", output=(HALF, 0), zero=10, low=-100, high=100)
    assert result == [10, 11, 10, 100, -100, 100]
    # without output_requantize its factor is ignored
    result = vector(run, "", source, to="int8", output=(HALF, 0), zero=10, low=-100, high=100)
    assert result == [10, 11, 9, 100, -100, 100]


def test_the_clamp_is_the_activation_function(run: Run) -> None:
    # ReLU: nothing below the zero point
    assert vector(run, "", [-5, 0, 5], to="int8", zero=-20, low=-20, high=127) == [-20, -20, -15]


def test_int8_and_int16_destinations_lie_apart(run: Run) -> None:
    assert vector(run, "", [1, 2, 3, 4, 5, 6, 7], kind="int8", to="int8") == [1, 2, 3, 4, 5, 6, 7]
    assert vector(run, "", [1, 2, 3, 4, 5, 6, 7], kind="int8", to="int16") == [1, 2, 3, 4, 5, 6, 7]


def test_all_stages_at_once(run: Run) -> None:
    """A cell's update and its output: (x / 2 + a) -> tanh3 -> times f / 2**15 -> plus t -> / 4 -> plus zero."""
    more = "requantize=scalar addend_type=int16 addend=[32] activation=tanh3 multiply factor=[36] shift=15"
    result = vector(
        run,
        more + " accumulate term=[40] output_requantize",
        [8000, -8000],
        kind="int32",
        to="int8",
        operands=[96, -96, 16384, 16384, 100, -40],
        source=(HALF, 0),
        output=(HALF, -7),
        zero=3,
        low=-128,
        high=127,
    )
    # 4000 + 96 = 4096 -> 24964 -> 12482 -> 12582 -> half 6291, / 128 = 49.148 -> 49 + 3
    # -4000 - 96 -> -24964 -> -12482 -> -12522 -> half -6261, / 128 = -48.91 -> -49 + 3
    assert result == [52, -46]


# --- products -----------------------------------------------------------------------------------------------------

WEIGHTS = np.array([1, 3, 2, 4, 5, 99, 6, 99], np.int8)
"""[[1, 2], [3, 4], [5, 6]] in row tiles of two: each column's rows side by side, 99 in the rows of padding."""


def matmul(run: Run, more: str, rows: int, columns: int, at: int = 64, **contents: NDArray) -> list[int]:
    code = f"matmul weights=[0] input=[0] accumulators=[{at}] bias=[0] rows={rows} columns={columns} {more}"
    return compute(run, code, "matrix", "accumulators", "<i4", rows, **contents)


def test_a_product(run: Run) -> None:
    x = np.array([10, -1], np.int8)
    assert matmul(run, "start=zero", 3, 2, weights=WEIGHTS, activations=x) == [8, 26, 44]
    bias = np.array([100, -100, 7], "<i4")
    assert matmul(run, "start=bias", 3, 2, weights=WEIGHTS, activations=x, parameters=bias) == [108, -74, 51]


def test_a_product_added_to_what_is_there(run: Run) -> None:
    code = """
        matmul weights=[0] input=[0] accumulators=[64] bias=[0] start=bias rows=3 columns=2 signal=s6
        matmul weights=[0] input=[2] accumulators=[64] start=accumulate rows=3 columns=2 wait=s6
    """
    x, bias = np.array([10, -1, 1, 1], np.int8), np.array([100, -100, 7], "<i4")
    result = compute(
        run, code.strip(), "matrix", "accumulators", "<i4", 3, weights=WEIGHTS, activations=x, parameters=bias
    )
    # [108, -74, 51] and the sums of each row, 3, 7, 11
    assert result == [111, -67, 62]


def test_sums_wrap_at_32_bits(run: Run) -> None:
    weights, x = np.array([1, -1], np.int8), np.array([1], np.int8)
    bias = np.array([MAX32, MIN32], "<i4")
    assert matmul(run, "start=bias", 2, 1, weights=weights, activations=x, parameters=bias) == [MIN32, MAX32]


def test_the_largest_products(run: Run) -> None:
    weights = np.repeat(np.array([[-128, 127]], np.int8), 5, axis=0)
    x = np.full(5, -128, np.int8)
    assert matmul(run, "start=zero", 2, 5, weights=weights, activations=x) == [5 * 16384, 5 * -16256]


def test_inputs_that_leave_a_column_tile_partly_empty(run: Run) -> None:
    # one row tile of one row, three columns, then a second row tile: 1 2 3 / 4 5 6 / 7 8 9
    weights = np.array([1, 4, 2, 5, 3, 6, 7, 99, 8, 99, 9, 99], np.int8)
    x = np.array([1, 10, 100, 77], np.int8)
    assert matmul(run, "start=zero", 3, 3, weights=weights, activations=x) == [321, 654, 987]
