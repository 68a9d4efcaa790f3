"""Integer execution of a quantized graph in numpy: what every other engine has to equal, byte for byte.

Time steps run in a loop, all frames of a step at once. Matrix products run in floating point where that is exact:
an int8 product is below 2**14 in magnitude, so 2**10 of them add up without rounding in float32 and 2**39 in float64,
and both have a fast BLAS, which numpy's integers don't.

Source: TensorFlow Lite `LstmStepInteger8x8_16` (lstm_eval.cc) and `FullyConnectedPerChannel`
(reference/integer_ops/fully_connected.h), by way of the formulas of `accelsim.fixedpoint`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim import fixedpoint
from accelsim.errors import InputError
from accelsim.fixedpoint import INT8_MAX, INT8_MIN, INT16_MAX, INT16_MIN, SIGMOID, TANH
from accelsim.graph.model import Gate
from accelsim.quant.model import Int8Array, QGraph, QLinear, QLstm, QSelectStep, QTensor, Requantizer

Int16Array = NDArray[np.int16]
Int64Array = NDArray[np.int64]

_FLOAT32_EXACT_COLUMNS = 1024


def quantize_input(tensor: QTensor, features: NDArray[np.float32]) -> Int8Array:
    """``saturate(round_half_even(features / scale) + zero_point)``, the division in float32.

    Parameters
    ----------
    tensor : QTensor
        The model's input.
    features : float32[..., F]

    Returns
    -------
    int8[..., F]

    Raises
    ------
    InputError
        Another number of features, or a NaN among them.

    Source: ONNX operator `QuantizeLinear`, version 13.
    """
    features = np.asarray(features, dtype=np.float32)
    if features.ndim == 0 or features.shape[-1] != tensor.features:
        raise InputError(
            "input", tensor.name, f"shape {features.shape}", f"{tensor.features} features on the last axis"
        )
    if np.isnan(features).any():
        raise InputError("input", tensor.name, "a NaN among the features", "numbers")
    with np.errstate(over="ignore"):  # a quotient beyond float32 is infinite and saturates, as it should
        rounded = np.rint(features / tensor.scale)
    return saturate_to_int8(np.clip(rounded, -1024, 1024).astype(np.int64) + tensor.zero_point)


def dequantize(tensor: QTensor, values: Int8Array) -> NDArray[np.float32]:
    """``scale * (values - zero_point)`` in float32.

    Parameters
    ----------
    tensor : QTensor
    values : int8[..., F]

    Source: ONNX operator `DequantizeLinear`, version 13.
    """
    return (values.astype(np.int32) - tensor.zero_point).astype(np.float32) * tensor.scale


def saturate_to_int8(values: Int64Array) -> Int8Array:
    """Clamp int64 values to the range of int8."""
    return np.clip(values, INT8_MIN, INT8_MAX).astype(np.int8)


def matrix_product(x: Int8Array, weights: Int8Array, bias: NDArray[np.int32]) -> Int64Array:
    """``x @ weights.T + bias`` in int32 arithmetic (wrapping), widened.

    Parameters
    ----------
    x : int8[..., columns]
    weights : int8[rows, columns]
    bias : int32[rows]

    Returns
    -------
    int64[..., rows]
        Values of int32.
    """
    exact = np.float32 if weights.shape[-1] <= _FLOAT32_EXACT_COLUMNS else np.float64
    flat = x.reshape(-1, x.shape[-1]).astype(exact) @ weights.T.astype(exact)
    accumulator = flat.astype(np.int64).reshape(*x.shape[:-1], len(weights))
    return np.asarray(fixedpoint.wrap32(accumulator + bias))


def lstm_sequence(
    layer: QLstm, x: Int8Array, hidden: Int8Array | None = None, cell: Int16Array | None = None
) -> tuple[Int8Array, Int8Array, Int16Array]:
    """Run one LSTM layer over a batch of sequences.

    Parameters
    ----------
    layer : QLstm
    x : int8[N, T, inputs]
    hidden : int8[N, units], optional
        State to go on from; every byte `layer.initial_hidden` where absent.
    cell : int16[N, units], optional
        State to go on from; 0 where absent.

    Returns
    -------
    y : int8[N, T, units]
    hidden : int8[N, units]
        After the last step.
    cell : int16[N, units]
        After the last step, scale ``2**layer.cell_scale_log2``.

    Source: TensorFlow Lite `LstmStepInteger8x8_16`, `CalculateLstmGateInteger8x8_16`, `UpdateLstmCellInteger`,
    `CalculateLstmOutputInteger8x8_16` (lstm_eval.cc).
    """
    frames, steps, _ = x.shape
    units = layer.units
    tables = fixedpoint.activation_tables()
    sigmoid, gate_tanh = tables[SIGMOID], tables[TANH + fixedpoint.GATE_INTEGER_BITS]
    cell_tanh = tables[TANH + 15 + layer.cell_scale_log2]
    if hidden is None:
        hidden = np.full((frames, units), layer.initial_hidden, dtype=np.int8)
    state: Int64Array = np.zeros((frames, units), dtype=np.int64) if cell is None else cell.astype(np.int64)

    input_factors = _by_row(layer.input_requantizers, units)
    recurrent_factors = _by_row(layer.recurrent_requantizers, units)
    input_rows = layer.input_weights.reshape(4 * units, -1)
    recurrent_rows = layer.recurrent_weights.reshape(4 * units, units)
    recurrent_bias = layer.recurrent_bias.reshape(-1)

    # The input products of all steps need no state: one large matrix product instead of many small ones.
    accumulators = matrix_product(x, input_rows, layer.input_bias.reshape(-1))
    from_input = _clamp16(fixedpoint.multiply_by_quantized_multiplier(accumulators, *input_factors))
    y = np.empty((frames, steps, units), dtype=np.int8)
    for step in range(steps):
        accumulator = matrix_product(hidden, recurrent_rows, recurrent_bias)
        from_hidden = fixedpoint.multiply_by_quantized_multiplier(accumulator, *recurrent_factors)
        gates = _clamp16(from_input[:, step] + from_hidden).reshape(frames, 4, units)
        input_gate = _look_up(sigmoid, gates[:, Gate.INPUT])
        forget_gate = _look_up(sigmoid, gates[:, Gate.FORGET])
        candidate = _look_up(gate_tanh, gates[:, Gate.CELL])
        output_gate = _look_up(sigmoid, gates[:, Gate.OUTPUT])

        kept = fixedpoint.rounding_divide_by_pot(forget_gate * state, 15)
        added = fixedpoint.rounding_divide_by_pot(input_gate * candidate, 30 + layer.cell_scale_log2)
        state = _clamp16(kept + added)
        if layer.cell_clip > 0:
            state = np.clip(state, -layer.cell_clip, layer.cell_clip)

        product = output_gate * _look_up(cell_tanh, state)
        factor = layer.hidden_requantizer
        scaled = fixedpoint.multiply_by_quantized_multiplier(product, factor.multiplier, factor.shift)
        hidden = saturate_to_int8(scaled + layer.hidden_zero_point)
        y[:, step] = hidden
    return y, hidden, state.astype(np.int16)


def linear(layer: QLinear, x: Int8Array) -> Int8Array:
    """Run one fully connected layer.

    Parameters
    ----------
    layer : QLinear
    x : int8[..., inputs]

    Returns
    -------
    int8[..., outputs]

    Source: TensorFlow Lite `reference/integer_ops/fully_connected.h`, the overload with float scales.
    """
    accumulator = matrix_product(x, layer.weights, layer.bias)
    rounded = fixedpoint.round_half_away(accumulator.astype(np.float64) * layer.output_scale)
    # Bounding before the conversion keeps a huge product from overflowing the integer, and changes no result.
    return saturate_to_int8(np.clip(rounded, -1024, 1024).astype(np.int64) + layer.y.zero_point)


def run_quantized(qgraph: QGraph, inputs: Int8Array) -> dict[str, Int8Array]:
    """Run a quantized graph over a batch of frames, each from the initial state.

    Parameters
    ----------
    qgraph : QGraph
    inputs : int8[N, ...]
        N frames of the shape of ``qgraph.input``.

    Returns
    -------
    dict of str to int8[N, ...]
        Every tensor of the graph by name, the input among them.

    Raises
    ------
    InputError
        Inputs of another type or shape.
    """
    if inputs.dtype != np.int8:
        raise InputError("input", qgraph.input.name, f"type {inputs.dtype}", "int8")
    if inputs.shape[1:] != tuple(qgraph.input.shape) or inputs.ndim == 0:
        raise InputError(
            "input", qgraph.input.name, f"shape {inputs.shape}", f"frames of shape {tuple(qgraph.input.shape)}"
        )
    tensors: dict[str, Int8Array] = {qgraph.input.name: inputs}
    for layer in qgraph.layers:
        x = tensors[layer.x.name]
        match layer:
            case QLstm():
                y = lstm_sequence(layer, x)[0]
            case QLinear():
                y = linear(layer, x)
            case QSelectStep():
                y = np.ascontiguousarray(x[:, layer.step])
        tensors[layer.y.name] = y
    return tensors


def _by_row(requantizers: Sequence[Requantizer], units: int) -> tuple[Int64Array, Int64Array]:
    """Multiplier and shift of every row of the four gates, int64[4 * units] each."""
    multipliers = np.array([factor.multiplier for factor in requantizers], dtype=np.int64)
    shifts = np.array([factor.shift for factor in requantizers], dtype=np.int64)
    return np.repeat(multipliers, units), np.repeat(shifts, units)


def _look_up(table: Int16Array, argument: Int64Array) -> Int64Array:
    return table[argument - INT16_MIN].astype(np.int64)


def _clamp16(values: Any) -> Int64Array:
    return np.asarray(fixedpoint.saturate(values, INT16_MIN, INT16_MAX))
