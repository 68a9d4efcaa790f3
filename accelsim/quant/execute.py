"""Integer execution of a quantized graph in numpy: what every other engine has to equal, byte for byte.

Time steps run in a loop, all frames of a step at once. Matrix products run in floating point where that is exact:
an int8 product is below 2**14 in magnitude, so 2**10 of them add up without rounding in float32 and 2**39 in float64,
and both have a fast BLAS, which numpy's integers don't.

Source: TensorFlow Lite `LstmStepInteger8x8_16` (lstm_eval.cc) and `FullyConnectedPerChannel`
(reference/integer_ops/fully_connected.h), by way of the formulas of `accelsim.fixedpoint`; `quant.model.QGru` and
`QRnn` define the two layers that TensorFlow Lite has no integer form of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim import fixedpoint
from accelsim.errors import InputError
from accelsim.fixedpoint import INT8_MAX, INT8_MIN, INT16_MAX, INT16_MIN, SIGMOID, TANH
from accelsim.graph.model import Gate, GruGate
from accelsim.quant.model import (
    Int8Array,
    QConcat,
    QGraph,
    QGru,
    QLinear,
    QLstm,
    QRecurrent,
    QRnn,
    QSelectStep,
    QTensor,
    Requantizer,
)

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
    """Run one direction of an LSTM layer over a batch of sequences.

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
        After the last step taken, which is step 0 of a reversed layer.
    cell : int16[N, units]
        Likewise, scale ``2**layer.cell_scale_log2``.

    Source: TensorFlow Lite `LstmStepInteger8x8_16`, `CalculateLstmGateInteger8x8_16`, `UpdateLstmCellInteger`,
    `CalculateLstmOutputInteger8x8_16` (lstm_eval.cc).
    """
    frames, steps, _ = x.shape
    tables = fixedpoint.activation_tables()
    sigmoid, gate_tanh = tables[SIGMOID], tables[TANH + fixedpoint.GATE_INTEGER_BITS]
    cell_tanh = tables[TANH + 15 + layer.cell_scale_log2]
    hidden = _initial_hidden(layer, frames) if hidden is None else hidden
    state = _initial_state(layer, frames) if cell is None else cell.astype(np.int64)

    # The input products of all steps need no state: one large matrix product instead of many small ones.
    from_input = _clamp16(_gate_products(x, layer.input_weights, layer.input_bias, layer.input_requantizers))
    y = np.empty((frames, steps, layer.units), dtype=np.int8)
    for step in _order(layer, steps):
        from_hidden = _gate_products(
            hidden, layer.recurrent_weights, layer.recurrent_bias, layer.recurrent_requantizers
        )
        gates = _clamp16(from_input[:, step] + from_hidden)
        input_gate = _look_up(sigmoid, gates[:, Gate.INPUT])
        forget_gate = _look_up(sigmoid, gates[:, Gate.FORGET])
        candidate = _look_up(gate_tanh, gates[:, Gate.CELL])
        output_gate = _look_up(sigmoid, gates[:, Gate.OUTPUT])

        kept = fixedpoint.rounding_divide_by_pot(forget_gate * state, 15)
        added = fixedpoint.rounding_divide_by_pot(input_gate * candidate, 30 + layer.cell_scale_log2)
        state = _clamp16(kept + added)
        if layer.cell_clip > 0:
            state = np.clip(state, -layer.cell_clip, layer.cell_clip)

        hidden = _hidden_bytes(layer, output_gate * _look_up(cell_tanh, state))
        y[:, step] = hidden
    return y, hidden, state.astype(np.int16)


def gru_sequence(
    layer: QGru, x: Int8Array, hidden: Int8Array | None = None, state: Int16Array | None = None
) -> tuple[Int8Array, Int8Array, Int16Array]:
    """Run one direction of a GRU layer over a batch of sequences, as `QGru` defines it.

    Parameters
    ----------
    layer : QGru
    x : int8[N, T, inputs]
    hidden : int8[N, units], optional
        Bytes to go on from; every one `layer.initial_hidden` where absent.
    state : int16[N, units], optional
        State in Q0.15 to go on from, the one those bytes came from; 0 where absent.

    Returns
    -------
    y : int8[N, T, units]
    hidden : int8[N, units]
        After the last step taken.
    state : int16[N, units]
        Likewise.
    """
    frames, steps, _ = x.shape
    tables = fixedpoint.activation_tables()
    sigmoid, tanh = tables[SIGMOID], tables[TANH + fixedpoint.GATE_INTEGER_BITS]
    hidden = _initial_hidden(layer, frames) if hidden is None else hidden
    wide = _initial_state(layer, frames) if state is None else state.astype(np.int64)
    weights, bias, factors = layer.recurrent_weights, layer.recurrent_bias, layer.recurrent_requantizers
    # Where the candidate's product waits for the reset gate, only the gates before it take the plain hidden state.
    before = len(GruGate) if layer.linear_before_reset else int(GruGate.CANDIDATE)
    last = int(GruGate.CANDIDATE)

    from_input = _clamp16(_gate_products(x, layer.input_weights, layer.input_bias, layer.input_requantizers))
    y = np.empty((frames, steps, layer.units), dtype=np.int8)
    for step in _order(layer, steps):
        added = from_input[:, step]
        products = _gate_products(hidden, weights[:before], bias[:before], factors[:before])
        reset = _look_up(sigmoid, _clamp16(products[:, GruGate.RESET] + added[:, GruGate.RESET]))
        update = _look_up(sigmoid, _clamp16(products[:, GruGate.UPDATE] + added[:, GruGate.UPDATE]))
        if layer.linear_before_reset:
            product = fixedpoint.rounding_divide_by_pot(reset * _clamp16(products[:, GruGate.CANDIDATE]), 15)
        else:
            let_through = _hidden_bytes(layer, fixedpoint.rounding_divide_by_pot(reset * wide, 15))
            product = _gate_products(let_through, weights[last:], bias[last:], factors[last:])[:, 0]
        candidate = _look_up(tanh, _clamp16(product + added[:, GruGate.CANDIDATE]))

        replaced = fixedpoint.rounding_divide_by_pot(candidate * (INT16_MAX - update), 15)
        kept = fixedpoint.rounding_divide_by_pot(update * wide, 15)
        wide = _clamp16(replaced + kept)
        hidden = _hidden_bytes(layer, wide)
        y[:, step] = hidden
    return y, hidden, wide.astype(np.int16)


def rnn_sequence(layer: QRnn, x: Int8Array, hidden: Int8Array | None = None) -> tuple[Int8Array, Int8Array]:
    """Run one direction of a vanilla RNN layer over a batch of sequences, as `QRnn` defines it.

    Parameters
    ----------
    layer : QRnn
    x : int8[N, T, inputs]
    hidden : int8[N, units], optional
        State to go on from; every byte `layer.initial_hidden` where absent.

    Returns
    -------
    y : int8[N, T, units]
    hidden : int8[N, units]
        After the last step taken.
    """
    frames, steps, _ = x.shape
    activation = rnn_activation_table(layer.activation)
    hidden = _initial_hidden(layer, frames) if hidden is None else hidden
    weights, bias = layer.recurrent_weights[np.newaxis], layer.recurrent_bias[np.newaxis]

    from_input = _clamp16(
        _gate_products(x, layer.input_weights[np.newaxis], layer.input_bias[np.newaxis], (layer.input_requantizer,))
    )[:, :, 0]
    y = np.empty((frames, steps, layer.units), dtype=np.int8)
    for step in _order(layer, steps):
        product = _gate_products(hidden, weights, bias, (layer.recurrent_requantizer,))[:, 0]
        hidden = _hidden_bytes(layer, _look_up(activation, _clamp16(product + from_input[:, step])))
        y[:, step] = hidden
    return y, hidden


def rnn_activation_table(activation: str) -> Int16Array:
    """int16[65536]: a vanilla RNN's activation by its pre-activation + 32768; Q0.15 for tanh, unscaled for relu."""
    row = fixedpoint.RELU if activation == "relu" else TANH + fixedpoint.GATE_INTEGER_BITS
    return np.asarray(fixedpoint.activation_tables()[row])


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
        match layer:
            case QLstm():
                y = lstm_sequence(layer, tensors[layer.x.name])[0]
            case QGru():
                y = gru_sequence(layer, tensors[layer.x.name])[0]
            case QRnn():
                y = rnn_sequence(layer, tensors[layer.x.name])[0]
            case QLinear():
                y = linear(layer, tensors[layer.x.name])
            case QSelectStep():
                y = np.ascontiguousarray(tensors[layer.x.name][:, layer.step])
            case QConcat():
                y = np.concatenate([tensors[part.name] for part in layer.parts], axis=-1)
        tensors[layer.y.name] = y
    return tensors


def _initial_hidden(layer: QRecurrent, frames: int) -> Int8Array:
    return np.full((frames, layer.units), layer.initial_hidden, dtype=np.int8)


def _initial_state(layer: QRecurrent, frames: int) -> Int64Array:
    return np.zeros((frames, layer.units), dtype=np.int64)


def _order(layer: QRecurrent, steps: int) -> range:
    """The steps in the order the layer takes them."""
    return range(steps - 1, -1, -1) if layer.reverse else range(steps)


def _gate_products(
    x: Int8Array, weights: Int8Array, bias: NDArray[np.int32], factors: Sequence[Requantizer]
) -> Int64Array:
    """Each gate's ``bias + weights @ x``, requantized; int64[..., gates, units], not yet clamped.

    Parameters
    ----------
    x : int8[..., columns]
    weights : int8[gates, units, columns]
    bias : int32[gates, units]
    factors : sequence of Requantizer
        One a gate.
    """
    rows = weights.reshape(-1, weights.shape[-1])
    accumulators = matrix_product(x, rows, bias.reshape(-1)).reshape(*x.shape[:-1], *bias.shape)
    multipliers = np.array([[factor.multiplier] for factor in factors], dtype=np.int64)
    shifts = np.array([[factor.shift] for factor in factors], dtype=np.int64)
    return np.asarray(fixedpoint.multiply_by_quantized_multiplier(accumulators, multipliers, shifts))


def _hidden_bytes(layer: QRecurrent, values: Int64Array) -> Int8Array:
    """Values in the fixed point the layer's `hidden_requantizer` takes, as bytes of its hidden state."""
    factor = layer.hidden_requantizer
    scaled = fixedpoint.multiply_by_quantized_multiplier(values, factor.multiplier, factor.shift)
    return saturate_to_int8(np.asarray(scaled + layer.hidden_zero_point))


def _look_up(table: Int16Array, argument: Int64Array) -> Int64Array:
    return table[argument - INT16_MIN].astype(np.int64)


def _clamp16(values: Any) -> Int64Array:
    return np.asarray(fixedpoint.saturate(values, INT16_MIN, INT16_MAX))
