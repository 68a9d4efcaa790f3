"""The integer primitives of the `tflite` numeric profile, each once, for scalars, arrays and jitted code alike.

Every function is a closed form without branches on data, so that the same text runs on Python integers, on numpy
int64 arrays and, jitted, on numba scalars. Inputs are int64 (or Python integers) that hold values of the narrower
type named in the docstring; nothing here checks ranges.

Source: TensorFlow Lite `kernels/internal/common.cc` and gemmlowp `fixedpoint/fixedpoint.h`, restated as integer
formulas. Ties are written out in each docstring, since "round to nearest" is not a specification.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

INT8_MIN, INT8_MAX = -128, 127
INT16_MIN, INT16_MAX = -32768, 32767
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1

SIGMOID = 0
"""Index of the sigmoid in `activation_tables()`; `TANH + k` is tanh with k integer bits."""
TANH = 1
TANH_INTEGER_BITS = 7
"""tanh tables exist for 0 to 6 integer bits of the argument."""
SIGMOID_COMPLEMENT = TANH + TANH_INTEGER_BITS
RELU = SIGMOID_COMPLEMENT + 1
COMPLEMENT = RELU + 1
GATE_INTEGER_BITS = 3
"""Gate pre-activations are Q3.12."""
GATE_SCALE = 2.0**-12

Int = Any
"""int, numpy int64 array or numba int64."""


def saturate(x: Int, low: int, high: int) -> Int:
    """Clamp `x` (int64 array) to [low, high]."""
    return np.minimum(np.maximum(x, low), high)


def wrap32(x: Int) -> Int:
    """The two's complement int32 whose low 32 bits are those of `x`."""
    return ((x + 2147483648) & 4294967295) - 2147483648


def saturating_rounding_doubling_high_mul(a: Int, b: Int) -> Int:
    """High half of 2ab for int32 `a`, int32 `b` >= 0; ties toward plus infinity.

    Source: gemmlowp `SaturatingRoundingDoublingHighMul`; the saturating case a = b = -2**31 can't arise for b >= 0.
    """
    return (a * b + 1073741824) >> 31


def rounding_divide_by_pot(x: Int, exponent: Int) -> Int:
    """``x / 2**exponent`` for exponent >= 0, ties away from zero.

    Source: gemmlowp `RoundingDivideByPOT`. With half = 2**(e-1): for x < 0, -((-x + half) >> e) equals
    (x + half - 1) >> e.
    """
    return (x + ((1 << exponent) >> 1) - (x < 0) * (exponent > 0)) >> exponent


def multiply_by_quantized_multiplier(x: Int, multiplier: Int, shift: Int) -> Int:
    """``x * multiplier * 2**(shift - 31)`` with TensorFlow Lite's two roundings.

    Parameters
    ----------
    x : int32 value
    multiplier : int32 value, 0 or in [2**30, 2**31)
    shift : int, the power of two; a left shift wraps at 32 bits as the kernel's does

    Source: TensorFlow Lite `MultiplyByQuantizedMultiplier` with `TFLITE_SINGLE_ROUNDING=0`.
    """
    left = shift * (shift > 0)
    right = -shift * (shift < 0)
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(wrap32(x << left), multiplier), right)


def quantize_multiplier(value: float) -> tuple[int, int]:
    """(multiplier, shift) with ``value ~= multiplier * 2**(shift - 31)``, multiplier in [2**30, 2**31).

    Source: TensorFlow Lite `QuantizeMultiplier` (quantization_util.cc); the mantissa rounds half away from zero.
    """
    if value == 0.0:
        return 0, 0
    mantissa, shift = math.frexp(value)
    multiplier = math.floor(mantissa * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    return multiplier, shift


def round_half_away(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round float64 to an integer value, ties away from zero (C's `round`)."""
    magnitude = np.abs(x)
    whole = np.floor(magnitude)
    rounded: NDArray[np.float64] = np.copysign(whole + (magnitude - whole >= 0.5), x)
    return rounded


# --- gemmlowp int16 fixed point, for the activation tables only --------------------------------------------------


def _mul16(a: Int, b: Int) -> Int:
    """SaturatingRoundingDoublingHighMul on int16; ties toward plus infinity."""
    return saturate((a * b + 16384) >> 15, INT16_MIN, INT16_MAX)


def _shift16(x: Int, exponent: int) -> Int:
    """SaturatingRoundingMultiplyByPOT on int16."""
    if exponent <= 0:
        return rounding_divide_by_pot(x, -exponent)
    limit = (1 << (15 - exponent)) - 1
    return np.where(x > limit, INT16_MAX, np.where(x < -limit, INT16_MIN, x << exponent))


def _wrap16(x: Int) -> Int:
    return ((x + 32768) & 65535) - 32768


_EXP_STEPS = ((-2, 25520), (-1, 19875), (0, 12055), (1, 4435), (2, 600), (3, 11), (4, 0))


def _exp_of_negative(a: Int, integer_bits: int) -> Int:
    """exp(a) in Q0.15 for a <= 0 in Q(integer_bits). Source: gemmlowp `exp_on_negative_values`."""
    fraction_bits = 15 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    below = (a & (quarter - 1)) - quarter
    x = _shift16(below, integer_bits) + 4096
    x2 = _mul16(x, x)
    x3 = _mul16(x2, x)
    x4 = _mul16(x2, x2)
    tail = _shift16(_wrap16(_mul16(_wrap16(_shift16(x4, -2) + x3), 10923) + x2), -1)
    result = saturate(28918 + _mul16(28918, _wrap16(x + tail)), INT16_MIN, INT16_MAX)
    remainder = below - a
    for exponent, factor in _EXP_STEPS:
        if integer_bits > exponent:
            bit = 1 << (fraction_bits + exponent)
            result = np.where(remainder & bit, _mul16(result, factor), result)
    if integer_bits > 5:
        result = np.where(a < -(1 << (36 - integer_bits - 16)), 0, result)
    return np.where(a == 0, INT16_MAX, result)


def _reciprocal(e: Int) -> Int:
    """1 / ((1 + e) / 2) in Q2.13 by three Newton steps. Source: gemmlowp `one_over_one_plus_x_for_x_in_0_1`."""
    half = (e + 32768) >> 1
    x = _wrap16(23130 + _mul16(half, np.int64(-15420)))
    for _ in range(3):
        x = _wrap16(x + _shift16(_mul16(x, _wrap16(8192 - _mul16(half, x))), 2))
    return x


def _sigmoid(p: Int) -> Int:
    value = _shift16(_reciprocal(_exp_of_negative(-np.abs(p), GATE_INTEGER_BITS)), 1)
    return np.where(p == 0, 16384, np.where(p > 0, value, 32767 - value))


def _tanh(v: Int, integer_bits: int) -> Int:
    value = _shift16(_wrap16(_reciprocal(_exp_of_negative(-np.abs(v), integer_bits + 1)) - 8192), 2)
    return np.where(v == 0, 0, np.where(v < 0, -value, value))


@cache
def activation_tables() -> NDArray[np.int16]:
    """int16[11, 65536]: `SIGMOID`, `TANH + k` for k = 0..6 integer bits, `SIGMOID_COMPLEMENT`, `RELU`, `COMPLEMENT`.

    The index is the argument + 32768. The sigmoid's complement is 32767 minus the sigmoid, as the kernel's coupled
    input gate has it, the rectifier max(x, 0), and the complement 32767 - x, saturated; they are tables so that the
    vector unit has one kind of function.

    The argument of the sigmoid is Q3.12, that of tanh Q(k).(15-k); results are Q0.15. Neither is monotone, and
    TANH_0(-1) is +8: that is the kernel's real behaviour.

    Source: gemmlowp `logistic` and `tanh`, as TensorFlow Lite's `PortableApplySigmoid` and `PortableApplyTanh` use
    them.
    """
    # Both functions are made from -|x|: their tables' second halves mirror the first. The wrapped -|-32768| of the
    # int16 kernel is harmless: widened, -32768 stays itself.
    negative = np.arange(INT16_MIN, 1, dtype=np.int64)
    half = _sigmoid(negative)
    sigmoid = np.concatenate([half, INT16_MAX - half[-2:0:-1]])
    rows = [sigmoid]
    for bits in range(TANH_INTEGER_BITS):
        half = _tanh(negative, bits)
        rows.append(np.concatenate([half, -half[-2:0:-1]]))
    arguments = np.arange(INT16_MIN, INT16_MAX + 1, dtype=np.int64)
    rows += [INT16_MAX - sigmoid, np.maximum(arguments, 0), saturate(INT16_MAX - arguments, INT16_MIN, INT16_MAX)]
    tables = np.stack(rows).astype(np.int16)
    tables.setflags(write=False)
    return tables
