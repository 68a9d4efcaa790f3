"""The fixed point primitives against slow definitions that share nothing with them: big integers and fractions."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from accelsim import fixedpoint as fp
from accelsim.quant.model import (
    Requantizer,
    fold_zero_point,
    gate_requantizer,
    hidden_requantizer,
    quantized_cell_clip,
)

int32s = st.one_of(
    st.integers(fp.INT32_MIN, fp.INT32_MAX),
    st.sampled_from([fp.INT32_MIN, fp.INT32_MIN + 1, -1, 0, 1, fp.INT32_MAX]),
    st.integers(-300, 300),
)
multipliers = st.one_of(st.just(0), st.integers(2**30, 2**31 - 1), st.sampled_from([2**30, 2**30 + 1, 2**31 - 1]))


# --- roundings of exact fractions: the definitions everything else is compared with ------------------------------


def to_plus_infinity(value: Fraction) -> int:
    """Nearest integer, ties up."""
    return math.floor(value + Fraction(1, 2))


def away_from_zero(value: Fraction) -> int:
    """Nearest integer, ties away from zero."""
    return int(math.copysign(1, value)) * to_plus_infinity(abs(value)) if value else 0


def wrapped(value: int, bits: int) -> int:
    """Two's complement by way of bytes."""
    return int.from_bytes((value % 2**bits).to_bytes(bits // 8, "little"), "little", signed=True)


def gemmlowp_divide(x: int, exponent: int) -> int:
    """`RoundingDivideByPOT` as the C++ has it: mask, remainder, threshold."""
    mask = (1 << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if remainder > threshold else 0)


def gemmlowp_high_mul(a: int, b: int) -> int:
    """`SaturatingRoundingDoublingHighMul` as the C++ has it: a nudge by sign, a division that truncates."""
    if a == b == fp.INT32_MIN:
        return fp.INT32_MAX
    product = a * b
    nudge = 2**30 if product >= 0 else 1 - 2**30
    total = product + nudge
    return -(-total // 2**31) if total < 0 else total // 2**31


@given(x=int32s, exponent=st.integers(0, 31))
@example(x=-1, exponent=1)
@example(x=1, exponent=1)
@example(x=-3, exponent=1)
@example(x=fp.INT32_MIN, exponent=31)
def test_rounding_divide(x: int, exponent: int) -> None:
    exact = away_from_zero(Fraction(x, 2**exponent))
    assert fp.rounding_divide_by_pot(x, exponent) == exact
    assert gemmlowp_divide(x, exponent) == exact
    assert fp.rounding_divide_by_pot(-x, exponent) == -exact


@given(a=int32s, b=st.integers(0, fp.INT32_MAX))
@example(a=-1, b=2**30)
@example(a=1, b=2**30)
@example(a=fp.INT32_MIN, b=fp.INT32_MAX)
def test_high_mul(a: int, b: int) -> None:
    found = fp.saturating_rounding_doubling_high_mul(a, b)
    assert found == to_plus_infinity(Fraction(a * b, 2**31))
    assert found == gemmlowp_high_mul(a, b)
    assert fp.INT32_MIN <= found <= fp.INT32_MAX


@given(x=st.integers(-(2**62), 2**62))
@example(x=2**31)
@example(x=-(2**31) - 1)
def test_wrap32(x: int) -> None:
    assert fp.wrap32(x) == wrapped(x, 32)
    assert fp.wrap32(np.array([x])).tolist() == [wrapped(x, 32)]


@given(x=int32s, multiplier=multipliers, shift=st.integers(-31, 31))
def test_multiply_by_quantized_multiplier(x: int, multiplier: int, shift: int) -> None:
    shifted = wrapped(x << max(shift, 0), 32)
    high = to_plus_infinity(Fraction(shifted * multiplier, 2**31))
    expected = away_from_zero(Fraction(high, 2 ** max(-shift, 0)))
    assert fp.multiply_by_quantized_multiplier(x, multiplier, shift) == expected


def test_two_roundings_are_not_one() -> None:
    # 1.4999 rounds to 1; by way of one more bit it first becomes 1.5, then 2.
    x, multiplier, shift = 3, 2**31 - 2**26, -1
    exact = Fraction(x * multiplier, 2**32)
    assert to_plus_infinity(exact) == 1
    assert fp.multiply_by_quantized_multiplier(x, multiplier, shift) == 2
    # And the second rounding takes -1.5 to -2, not to -1.
    assert fp.multiply_by_quantized_multiplier(-3, 2**30, 0) == -1  # -1.5, ties up
    assert fp.multiply_by_quantized_multiplier(-6, 2**30, -1) == -2  # -3, then -1.5, ties away


@given(
    values=st.lists(int32s, min_size=1, max_size=20),
    factors=st.lists(st.tuples(multipliers, st.integers(-31, 31)), min_size=4, max_size=4),
)
def test_arrays_equal_scalars(values: list[int], factors: list[tuple[int, int]]) -> None:
    x = np.array(values, dtype=np.int64)[:, None]
    multiplier, shift = (np.array(column, dtype=np.int64) for column in zip(*factors, strict=True))
    found = fp.multiply_by_quantized_multiplier(x, multiplier, shift)
    assert found.tolist() == [[fp.multiply_by_quantized_multiplier(v, m, s) for m, s in factors] for v in values]
    exponent = np.maximum(-shift, 0)
    assert fp.rounding_divide_by_pot(x, exponent).tolist() == [
        [fp.rounding_divide_by_pot(v, int(e)) for e in exponent] for v in values
    ]


@given(x=st.integers(-(2**40), 2**40), low=st.integers(-200, 0), high=st.integers(0, 200))
def test_saturate(x: int, low: int, high: int) -> None:
    assert fp.saturate(np.array([x]), low, high)[0] == sorted((low, x, high))[1]


@given(value=st.one_of(st.floats(-1e6, 1e6), st.integers(-1000, 1000).map(lambda n: n / 2)))
@example(value=0.49999999999999994)
@example(value=-0.49999999999999994)
@example(value=0.5)
@example(value=-2.5)
@example(value=4503599627370497.5)
@example(value=9007199254740993.0)
def test_round_half_away(value: float) -> None:
    found = fp.round_half_away(np.array([value, -value]))
    assert found.tolist() == [away_from_zero(Fraction(value)), away_from_zero(Fraction(-value))]


# --- multipliers -------------------------------------------------------------------------------------------------


@given(value=st.floats(min_value=2.0**-32, max_value=2.0**31, allow_nan=False))
@example(value=1.0)
@example(value=0.5)
@example(value=math.nextafter(1.0, 0.0))
@example(value=2.0**-32)
def test_quantize_multiplier_is_the_closest(value: float) -> None:
    multiplier, shift = fp.quantize_multiplier(value)
    assert 2**30 <= multiplier < 2**31
    represented = Fraction(multiplier) * Fraction(2) ** (shift - 31)
    exact = Fraction(value)
    assert abs(represented - exact) <= Fraction(2) ** (shift - 32)  # half a unit of the mantissa
    assert abs(represented / exact - 1) <= Fraction(1, 2**31)
    # Half away from zero: of two equally close mantissas the larger.
    mantissa = exact / Fraction(2) ** (math.frexp(value)[1] - 31)
    assert Fraction(multiplier) * Fraction(2) ** (shift - math.frexp(value)[1]) == away_from_zero(mantissa)


@given(multiplier=st.integers(2**30, 2**31 - 1), shift=st.integers(-31, 31))
def test_a_representable_factor_is_itself(multiplier: int, shift: int) -> None:
    assert fp.quantize_multiplier(math.ldexp(multiplier, shift - 31)) == (multiplier, shift)


@given(value=st.floats(min_value=2.0**-30, max_value=2.0**29))
def test_twice_the_factor_is_one_shift_more(value: float) -> None:
    multiplier, shift = fp.quantize_multiplier(value)
    assert fp.quantize_multiplier(2 * value) == (multiplier, shift + 1)


def test_quantize_multiplier_at_its_ends() -> None:
    assert fp.quantize_multiplier(0.0) == (0, 0)
    assert fp.quantize_multiplier(1.0) == (2**30, 1)
    assert fp.quantize_multiplier(math.nextafter(1.0, 0.0)) == (2**30, 1)  # the mantissa rounds up to 2**31
    assert fp.quantize_multiplier(2.0**-32) == (2**30, -31)
    assert fp.quantize_multiplier(math.nextafter(2.0**-32, 0.0)) == (2**30, -31)  # carried over by rounding
    assert fp.quantize_multiplier(2.0**-33) == (0, 0)  # below the smallest shift


@given(x=st.integers(-(2**15), 2**15), value=st.floats(min_value=2.0**-20, max_value=2.0**15))
def test_requantization_is_close_to_the_real_product(x: int, value: float) -> None:
    multiplier, shift = fp.quantize_multiplier(value)
    assume(abs(x) << max(shift, 0) < 2**31)  # beyond, the left shift wraps
    found = fp.multiply_by_quantized_multiplier(x, multiplier, shift)
    # Half a unit from each rounding, and the error of the mantissa.
    assert abs(found - x * Fraction(value)) <= 1 + abs(x) * Fraction(value) / 2**31


# --- activation tables -------------------------------------------------------------------------------------------

# First half of the SHA-256 of the int16 values, little endian, from -32768 up: computed from the kernels.
TABLE_DIGESTS = {
    fp.SIGMOID: "44168980e98373fcf68adda21fdb4d00",
    fp.TANH + 0: "7dfff607d0ea23f26e97381570dc526c",
    fp.TANH + 1: "fb776c014fac7629065f2a77399d275a",
    fp.TANH + 2: "ad9e4552d55f09f5540bf0bffc1b4ed8",
    fp.TANH + 3: "6d2c95677d4eb6e25f2c8bec6e313508",
    fp.TANH + 4: "22e8b026529f39771f93c8fb7ecff865",
    fp.TANH + 5: "4aad698c1ba273d4966d2b3cc31fa76d",
    fp.TANH + 6: "fd771a11c73c2d1390c3b8289e6c61c2",
}
SAMPLES = [
    (fp.SIGMOID, -32768, 11),
    (fp.SIGMOID, -8192, 3901),
    (fp.SIGMOID, -1, 16383),
    (fp.SIGMOID, 0, 16384),
    (fp.SIGMOID, 1, 16384),
    (fp.SIGMOID, 4096, 23952),
    (fp.SIGMOID, 32767, 32756),
    (fp.TANH + 3, 4096, 24964),
    (fp.TANH + 3, 8192, 31596),
    (fp.TANH + 0, -1, 8),
    (fp.TANH + 1, -1, 4),
    (fp.TANH + 3, 0, 0),
]


@pytest.mark.parametrize(("row", "digest"), TABLE_DIGESTS.items())
def test_table_digest(row: int, digest: str) -> None:
    table = fp.activation_tables()[row]
    assert table.shape == (65536,)
    assert hashlib.sha256(table.astype("<i2").tobytes()).hexdigest().startswith(digest)


def test_every_table_of_the_kernels_has_a_digest() -> None:
    derived = {fp.SIGMOID_COMPLEMENT, fp.RELU, fp.COMPLEMENT}
    assert TABLE_DIGESTS.keys() | derived == set(range(len(fp.activation_tables())))
    assert len(TABLE_DIGESTS) == 1 + fp.TANH_INTEGER_BITS


def test_derived_tables() -> None:
    tables = fp.activation_tables().astype(int)
    np.testing.assert_array_equal(tables[fp.SIGMOID_COMPLEMENT] + tables[fp.SIGMOID], np.full(65536, 32767))
    assert tables[fp.RELU].tolist() == [max(x, 0) for x in range(-32768, 32768)]
    assert tables[fp.COMPLEMENT].tolist() == [min(32767 - x, 32767) for x in range(-32768, 32768)]


@pytest.mark.parametrize(("row", "argument", "value"), SAMPLES)
def test_table_sample(row: int, argument: int, value: int) -> None:
    assert fp.activation_tables()[row, argument - fp.INT16_MIN] == value


def test_sigmoid_is_symmetric_about_one_half() -> None:
    table = fp.activation_tables()[fp.SIGMOID].astype(int)
    positive, negative = table[32769:], table[1:32768][::-1]
    np.testing.assert_array_equal(negative, 32767 - positive)


@pytest.mark.parametrize("bits", range(fp.TANH_INTEGER_BITS))
def test_tanh_is_odd(bits: int) -> None:
    table = fp.activation_tables()[fp.TANH + bits].astype(int)
    np.testing.assert_array_equal(table[1:32768][::-1], -table[32769:])


def test_tables_are_close_to_the_functions_and_not_monotone() -> None:
    tables, arguments = fp.activation_tables(), np.arange(-32768, 32768)
    sigmoid = tables[fp.SIGMOID] - 32768 / (1 + np.exp(-arguments * 2.0**-12))
    tanh = tables[fp.TANH + 3] - 32768 * np.tanh(arguments * 2.0**-12)
    assert 6.0 < np.abs(sigmoid).max() < 6.5
    assert 11.5 < np.abs(tanh).max() < 12.0
    assert [int((np.diff(tables[row].astype(int)) < 0).sum()) for row in (fp.SIGMOID, fp.TANH + 3)] == [976, 602]


def test_tables_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        fp.activation_tables()[0, 0] = 1


# --- the set-up arithmetic of a layer ----------------------------------------------------------------------------


@given(data=st.data())
def test_fold_zero_point(data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.lists(st.integers(-128, 127), min_size=3, max_size=3), min_size=1, max_size=4))
    bias = data.draw(st.lists(int32s, min_size=len(rows), max_size=len(rows)))
    zero_point = data.draw(st.integers(-128, 127))
    found = fold_zero_point(np.array(rows, dtype=np.int8), np.array(bias, dtype=np.int32), zero_point)
    assert found.dtype == np.int32
    expected = [wrapped(b - zero_point * sum(row), 32) for row, b in zip(rows, bias, strict=True)]
    assert found.tolist() == expected


@given(
    weight=st.floats(min_value=2.0**-20, max_value=4.0, width=32),
    operand=st.floats(min_value=2.0**-20, max_value=4.0, width=32),
)
def test_gate_requantizer_rounds_in_float32(weight: float, operand: float) -> None:
    # The product rounds to float32; the division by a power of two is then exact.
    product = float(np.float32(weight * operand))
    assert gate_requantizer(weight, operand) == Requantizer(*fp.quantize_multiplier(product * 2**12))


@given(scale=st.floats(min_value=2.0**-20, max_value=1.0, width=32))
def test_hidden_requantizer_rounds_once_to_float32(scale: float) -> None:
    assert hidden_requantizer(scale) == Requantizer(*fp.quantize_multiplier(float(np.float32(2.0**-30 / scale))))


@pytest.mark.parametrize(
    ("clip", "log2", "expected"),
    [(0.0, -12, 0), (-1.0, -12, 0), (10.0, -11, 20480), (10.0, -12, 32767), (0.1, -15, 3276), (1e-6, -9, 0)],
)
def test_cell_clip_truncates_and_saturates(clip: float, log2: int, expected: int) -> None:
    assert quantized_cell_clip(clip, log2) == expected
