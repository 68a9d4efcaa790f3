"""The values of instructions, compiled: a product, a vector operation, a copy. Addresses are checked by the caller."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim import fixedpoint
from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Activation, Addend, Destination, Requantize, Source, Start
from accelsim.jit import part

_saturate = part(fixedpoint.saturate)
_wrap32 = part(fixedpoint.wrap32)
_high_mul = part(fixedpoint.saturating_rounding_doubling_high_mul)
_divide_by_pot = part(fixedpoint.rounding_divide_by_pot)

_ZERO, _BIAS, _ACCUMULATE = int(Start.ZERO), int(Start.BIAS), int(Start.ACCUMULATE)
_NONE, _INT8, _INT16, _INT32 = int(Source.NONE), int(Source.INT8), int(Source.INT16), int(Source.INT32)
_SCALAR, _CHANNEL, _REAL = int(Requantize.SCALAR), int(Requantize.CHANNEL), int(Requantize.REAL)
_ADD_INT16, _ADD_INT32 = int(Addend.INT16), int(Addend.INT32)
_NO_ACTIVATION, _OUT_INT8 = int(Activation.NONE), int(Destination.INT8)
_LOW16, _HIGH16 = fixedpoint.INT16_MIN, fixedpoint.INT16_MAX


@part
def multiply_by_quantized_multiplier(x: int, multiplier: int, shift: int) -> int:
    """`fixedpoint.multiply_by_quantized_multiplier`, from its compiled parts."""
    left = max(shift, 0)
    right = max(-shift, 0)
    scaled: int = _divide_by_pot(_high_mul(_wrap32(x << left), multiplier), right)
    return scaled


@part
def round_half_away(x: float) -> int:
    """float64 to an integer within int32, ties away from zero."""
    magnitude = min(abs(x), 2147483648.0)
    whole = int(magnitude)
    if magnitude - whole >= 0.5:
        whole += 1
    return -whole if x < 0 else whole


@part
def matmul(
    weights: Any, w: int, x8: Any, x: int, sums: Any, s: int, bias: Any, b: int, begins: int, rows: int, columns: int,
    vectors: int, array_rows: int, stored_columns: int, total: Any,
) -> None:  # fmt: skip
    """``sums[rows, vectors] = start + W @ x[columns, vectors]``; W in row tiles, indices in elements of each array.

    Parameters
    ----------
    weights, x8 : addresses of int8
    sums, bias : addresses of int32
    begins : int
        What sums start from: `Start`.
    stored_columns : int
        Of a row tile in the weights' memory, padding included.
    total : address of int32[array_rows]
        For a row tile's sums.
    """
    for first in range(0, rows, array_rows):
        height = min(array_rows, rows - first)
        for vector in range(vectors):
            for row in range(array_rows):
                total[row] = 0
            if begins == _BIAS:
                for row in range(height):
                    total[row] = bias[b + first + row]
            elif begins == _ACCUMULATE:
                for row in range(height):
                    total[row] = sums[s + (first + row) * vectors + vector]
            _add_columns(weights, w + first * stored_columns, x8, x + vector, vectors, columns, array_rows, total)
            for row in range(height):
                sums[s + (first + row) * vectors + vector] = total[row]


@part
def _add_columns(w: Any, at: int, x8: Any, x: int, pitch: int, columns: int, rows: int, total: Any) -> None:
    """``total[rows] += W[rows, columns] @ x``, W column by column; eight columns each time a sum is read and written.

    The compiler makes vector instructions of the loop over rows.
    """
    whole = columns // 8 * 8
    for column in range(0, whole, 8):
        here, k = x + column * pitch, at + column * rows
        v0, v1 = np.int32(x8[here]), np.int32(x8[here + pitch])
        v2, v3 = np.int32(x8[here + 2 * pitch]), np.int32(x8[here + 3 * pitch])
        v4, v5 = np.int32(x8[here + 4 * pitch]), np.int32(x8[here + 5 * pitch])
        v6, v7 = np.int32(x8[here + 6 * pitch]), np.int32(x8[here + 7 * pitch])
        for row in range(rows):
            total[row] += (
                np.int32(w[k + row]) * v0
                + np.int32(w[k + rows + row]) * v1
                + np.int32(w[k + 2 * rows + row]) * v2
                + np.int32(w[k + 3 * rows + row]) * v3
                + np.int32(w[k + 4 * rows + row]) * v4
                + np.int32(w[k + 5 * rows + row]) * v5
                + np.int32(w[k + 6 * rows + row]) * v6
                + np.int32(w[k + 7 * rows + row]) * v7
            )
    for column in range(whole, columns):
        value, k = np.int32(x8[x + column * pitch]), at + column * rows
        for row in range(rows):
            total[row] += np.int32(w[k + row]) * value


@part
def vector(
    code: Any, row: int, act8: Any, act16: Any, sums: Any, par8: Any, par16: Any, par32: Any, par_real: Any,
    tables: Any, source: int, addend: int, factor: int, term: int, destination: int, kept: int, parameters: int,
) -> None:  # fmt: skip
    """A vector instruction; addresses are byte addresses of the operands' first elements.

    Parameters
    ----------
    code, row : address of int64, int
        The instructions, and where this one begins.
    act8, act16 : addresses of int8, int16
        The activations' memory.
    sums : address of int32
        The accumulators.
    par8, par16, par32, par_real : addresses of int8, int16, int32, float64
        The parameters.
    tables : address of int16[11, 65536]
    """
    kind, added = code[row + isa.COL_SOURCE_TYPE], code[row + isa.COL_ADDEND_TYPE]
    requantize, shift = code[row + isa.COL_REQUANTIZE], code[row + isa.COL_SHIFT]
    activation, multiply = code[row + isa.COL_ACTIVATION], code[row + isa.COL_MULTIPLY]
    accumulate, keep = code[row + isa.COL_ACCUMULATE], code[row + isa.COL_KEEP]
    rescale, size = code[row + isa.COL_OUTPUT_REQUANTIZE], code[row + isa.COL_DESTINATION_TYPE]
    m_source = int(par32[(parameters + isa.PARAM_SOURCE_MULTIPLIER) // 4])
    m_addend = int(par32[(parameters + isa.PARAM_ADDEND_MULTIPLIER) // 4])
    m_output = int(par32[(parameters + isa.PARAM_OUTPUT_MULTIPLIER) // 4])
    s_source = int(par8[parameters + isa.PARAM_SOURCE_SHIFT])
    s_addend = int(par8[parameters + isa.PARAM_ADDEND_SHIFT])
    s_output = int(par8[parameters + isa.PARAM_OUTPUT_SHIFT])
    zero = int(par16[(parameters + isa.PARAM_ZERO_POINT) // 2])
    low = int(par16[(parameters + isa.PARAM_LOW) // 2])
    high = int(par16[(parameters + isa.PARAM_HIGH) // 2])
    channels = parameters + isa.PARAM_BYTES
    for index in range(code[row + isa.COL_LENGTH]):
        value = 0
        if kind == _INT32:
            value = int(sums[source // 4 + index])
        elif kind == _INT16:
            value = int(act16[source // 2 + index])
        elif kind == _INT8:
            value = int(act8[source + index])
        if requantize == _SCALAR:
            value = multiply_by_quantized_multiplier(value, m_source, s_source)
        elif requantize == _CHANNEL:
            at = channels // 4 + 2 * index
            value = multiply_by_quantized_multiplier(value, int(par32[at]), int(par32[at + 1]))
        elif requantize == _REAL:
            value = int(round_half_away(value * par_real[channels // 8 + index]))
        if added == _ADD_INT16:
            value += int(act16[addend // 2 + index])
        elif added == _ADD_INT32:
            other = multiply_by_quantized_multiplier(int(sums[addend // 4 + index]), m_addend, s_addend)
            value += _saturate(other, _LOW16, _HIGH16)
        value = _saturate(value, _LOW16, _HIGH16)
        if activation != _NO_ACTIVATION:
            value = int(tables[(activation - 1) * 65536 + value + 32768])
        if multiply:
            value = _divide_by_pot(value * int(act16[factor // 2 + index]), shift)
        if accumulate:
            value = _saturate(value, _LOW16, _HIGH16) + int(act16[term // 2 + index])
            value = _saturate(value, _LOW16, _HIGH16)
        if keep:
            act16[kept // 2 + index] = _saturate(value, _LOW16, _HIGH16)
        if rescale:
            value = multiply_by_quantized_multiplier(value, m_output, s_output)
        value = _saturate(value + zero, low, high)
        if size == _OUT_INT8:
            act8[destination + index] = value
        else:
            act16[destination // 2 + index] = value
