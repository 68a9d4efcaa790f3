"""Quantizing one layer: float weights and the operands' scales in, the integers of the layer out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.fixedpoint import GATE_SCALE, INT8_MAX, INT8_MIN, INT32_MAX
from accelsim.graph.model import FloatArray, Gate, Gru, GruGate, Linear, Lstm, Rnn, Tensor
from accelsim.quant.calibrate import Int16Scale
from accelsim.quant.lstm_parameters import lstm_from_scales
from accelsim.quant.model import (
    Int8Array,
    Int32Array,
    QGru,
    QLinear,
    QLstm,
    QRnn,
    QTensor,
    fold_zero_point,
    quantized_cell_clip,
)
from accelsim.quant.observers import SMALLEST_SCALE, Int8Parameters, symmetric_scale
from accelsim.quant.recurrent_parameters import TANH_PREACTIVATION_SCALE_LOG2, gru_from_scales, rnn_from_scales

SMALLEST_HIDDEN_SCALE = 2.0**-24
"""A finer one would need a factor above 1 on the Q0.30 product, whose left shift can leave int32."""

_BIAS_LIMIT = 2**29
"""Largest quantized bias: leaves the products of 2**15 inputs room in the int32 accumulator."""

PRE_ACTIVATION_LIMIT = 2.0**18
"""Pre-activations below it never wrap: 2**30 in Q3.12 before saturation, half of what the left shift holds."""


@dataclass(frozen=True, eq=False)
class Operand:
    """A tensor and the one scale with which the machine reads it (the folded one, for an equalized input)."""

    tensor: QTensor
    scale: float

    @property
    def zero_point(self) -> int:
        """The tensor's."""
        return self.tensor.zero_point

    def copied(self, tensor: Tensor) -> Operand:
        """The same form for a tensor that bytes are copied to."""
        return replace(self, tensor=replace(self.tensor, name=tensor.name, shape=tensor.shape))


def operand(tensor: Tensor, parameters: Int8Parameters) -> Operand:
    """A tensor with one scale for all features."""
    scale = np.array([parameters.scale], dtype=np.float32)
    return Operand(QTensor(tensor.name, tensor.shape, scale, parameters.zero_point), parameters.scale)


def smallest_hidden_scale(preactivation: Int16Scale | None) -> float:
    """The finest scale a hidden state can have; `preactivation` is that of relu, whose results have its scale.

    For the others it is that of an LSTM: the int16 results of a GRU and of tanh leave more room for a left shift.
    """
    if preactivation is None:
        return SMALLEST_HIDDEN_SCALE
    # An int16 value times 2**15, shifted left by up to 16, just stays in int32.
    return max(2.0 ** (preactivation.log2 - 15), SMALLEST_SCALE)


def weight_scale(weights: FloatArray, bias: FloatArray, operand_scale: float) -> float:
    """Scale of weights that share one: the largest magnitude at 127, more where the bias asks for it.

    The bias is quantized with weight scale times operand scale, so weights far smaller than the bias would push it
    out of int32; the scale then grows until the bias fits, at the cost of weights that are negligible beside it.

    Parameters
    ----------
    weights : float32[..., columns]
        Any number of rows.
    bias : float32[...]
        Of those rows; may be empty.
    operand_scale : float
        Scale of what the weights are multiplied by.

    Returns
    -------
    float
        A positive normal float32 value; infinity where none is large enough.

    Source: TensorFlow Lite 8-bit quantization specification; the adjustment for the bias is TensorFlow Lite's
    `quantize_weights` "AdjustWeightsForBiasScale" idea with this package's own bound.
    """
    largest_bias = float(np.abs(bias).max()) if bias.size else 0.0
    for_bias = largest_bias / operand_scale / _BIAS_LIMIT
    largest = float(np.abs(weights).max()) if weights.size else 0.0
    if largest == 0.0 and largest_bias == 0.0:
        # Any scale will do; this one makes the requantization factor 1.
        return float(np.float32(min(max(GATE_SCALE / operand_scale, SMALLEST_SCALE), 1.0)))
    needed = max(symmetric_scale(largest) if largest > 0.0 else 0.0, for_bias, SMALLEST_SCALE)
    return float(np.float32(needed)) if needed <= float(np.finfo(np.float32).max) else math.inf


def quantize_weights(weights: FloatArray, scale: NDArray[np.float64] | float) -> Int8Array:
    """``round(weights / scale)`` in [-127, 127], ties to even, the division in float64; `scale` broadcasts."""
    rounded = np.rint(weights.astype(np.float64) / scale)
    return np.clip(rounded, -INT8_MAX, INT8_MAX).astype(np.int8)


def quantize_bias(bias: FloatArray, scale: NDArray[np.float64] | float) -> Int32Array:
    """``round(bias / scale)``, ties to even; `scale` is weight scale times operand scale."""
    return np.rint(bias.astype(np.float64) / scale).astype(np.int32)


def quantize_lstm(where: str, layer: Lstm, x: Operand, y: Operand, cell_scale_log2: int, cell_clip: float) -> QLstm:
    """One direction of an LSTM layer, its weights with a scale a gate.

    Parameters
    ----------
    where : str
        The model, for messages.
    layer : Lstm
    x, y : Operand
    cell_scale_log2 : int
    cell_clip : float
        0 for none.

    Raises
    ------
    InputError
        Pre-activations that may leave the int32 range, or a `cell_clip` that is no step of the int16 cell state,
        which the kernel would take for none.
    """
    if cell_clip > 0 and quantized_cell_clip(cell_clip, cell_scale_log2) == 0:
        step = f"{2.0**cell_scale_log2:g}, one step of its int16 cell state, or 0 (none)"
        raise InputError(where, f"layer {layer.name!r}: cell clip", f"{cell_clip:g}", f"at least {step}")
    no_bias = np.zeros_like(layer.bias)
    input_scales, input_weights, bias = _gates(where, layer, "input", layer.input_weights, layer.bias, x, Gate)
    recurrent_scales, recurrent_weights, _ = _gates(
        where, layer, "recurrent", layer.recurrent_weights, no_bias, y, Gate
    )
    return lstm_from_scales(
        layer.name,
        x.tensor,
        y.tensor,
        input_weights=input_weights,
        input_weight_scales=input_scales,
        recurrent_weights=recurrent_weights,
        recurrent_weight_scales=recurrent_scales,
        bias=bias,
        input_scale=x.scale,
        input_zero_point=x.zero_point,
        recurrent_scale=y.scale,
        recurrent_zero_point=y.zero_point,
        hidden_scale=y.scale,
        hidden_zero_point=y.zero_point,
        cell_scale_log2=cell_scale_log2,
        cell_clip=cell_clip,
        reverse=layer.reverse,
    )


def quantize_gru(where: str, layer: Gru, x: Operand, y: Operand) -> QGru:
    """One direction of a GRU layer, its weights with a scale a gate.

    The recurrent bias has the recurrent weights' scale: it belongs to their product, which the reset gate multiplies
    where `linear_before_reset`.

    Raises
    ------
    InputError
        Pre-activations that may leave the int32 range.
    """
    input_scales, input_weights, input_bias = _gates(
        where, layer, "input", layer.input_weights, layer.input_bias, x, GruGate
    )
    recurrent_scales, recurrent_weights, recurrent_bias = _gates(
        where, layer, "recurrent", layer.recurrent_weights, layer.recurrent_bias, y, GruGate
    )
    return gru_from_scales(
        layer.name,
        x.tensor,
        y.tensor,
        input_weights=input_weights,
        input_weight_scales=input_scales,
        recurrent_weights=recurrent_weights,
        recurrent_weight_scales=recurrent_scales,
        input_bias=input_bias,
        recurrent_bias=recurrent_bias,
        input_scale=x.scale,
        input_zero_point=x.zero_point,
        hidden_scale=y.scale,
        hidden_zero_point=y.zero_point,
        linear_before_reset=layer.linear_before_reset,
        reverse=layer.reverse,
    )


def quantize_rnn(where: str, layer: Rnn, x: Operand, y: Operand, preactivation: Int16Scale | None) -> QRnn:
    """One direction of a vanilla RNN layer, its weights with one scale each.

    Parameters
    ----------
    where : str
        The model, for messages.
    layer : Rnn
    x, y : Operand
    preactivation : Int16Scale or None
        Of relu's argument; None for tanh.

    Raises
    ------
    InputError
        Pre-activations that may leave the int32 range.
    """
    log2 = TANH_PREACTIVATION_SCALE_LOG2 if preactivation is None else preactivation.log2
    bias = layer.bias[np.newaxis]
    input_scales, input_weights, input_bias = _gates(
        where, layer, "input", layer.input_weights[np.newaxis], bias, x, (), 2.0**log2
    )
    recurrent_scales, recurrent_weights, _ = _gates(
        where, layer, "recurrent", layer.recurrent_weights[np.newaxis], np.zeros_like(bias), y, (), 2.0**log2
    )
    return rnn_from_scales(
        layer.name,
        x.tensor,
        y.tensor,
        input_weights=input_weights[0],
        input_weight_scale=input_scales[0],
        recurrent_weights=recurrent_weights[0],
        recurrent_weight_scale=recurrent_scales[0],
        bias=input_bias[0],
        input_scale=x.scale,
        input_zero_point=x.zero_point,
        hidden_scale=y.scale,
        hidden_zero_point=y.zero_point,
        activation=layer.activation,
        preactivation_scale_log2=log2,
        reverse=layer.reverse,
    )


def _gates(
    where: str,
    layer: Lstm | Gru | Rnn,
    side: str,
    weights: FloatArray,
    bias: FloatArray,
    operand: Operand,
    gates: Iterable[IntEnum],
    scale: float = GATE_SCALE,
) -> tuple[list[float], Int8Array, Int32Array]:
    """Scale of each gate, weights int8[gates, units, columns], bias int32[gates, units]; checked.

    `side` (input or recurrent) and `gates`, none for a cell without, are for messages; pre-activations get `scale`.
    """
    scales = [weight_scale(*part, operand.scale) for part in zip(weights, bias, strict=True)]
    named = [f"{gate.name.lower()} gate, {side}" for gate in gates] or [side]
    quantized: list[Int8Array] = []
    biases: list[Int32Array] = []
    for name, gate_scale, gate_weights, gate_bias in zip(named, scales, weights, bias, strict=True):
        factor = gate_scale * operand.scale
        quantized.append(quantize_weights(gate_weights, gate_scale))
        biases.append(quantize_bias(gate_bias, factor))
        _check_gate(where, f"layer {layer.name!r}: {name}", quantized[-1], biases[-1], operand, factor, scale)
    return scales, np.stack(quantized), np.stack(biases)


def quantize_linear(where: str, layer: Linear, x: Operand, y: Operand) -> QLinear:
    """A fully connected layer, its weights with a scale a row.

    Raises
    ------
    InputError
        Its sums can leave int32.
    """
    rows = range(len(layer.weights))
    scales = np.array([weight_scale(layer.weights[row], layer.bias[row], x.scale) for row in rows])
    field = f"layer {layer.name!r}"
    weights = quantize_weights(layer.weights, scales[:, np.newaxis])
    bias = quantize_bias(layer.bias, scales * x.scale)
    largest = _largest_accumulator(weights, bias, x.zero_point)
    if largest > INT32_MAX or not np.isfinite(scales).all():
        raise InputError(where, field, "its sums can leave int32", "fewer inputs, or a smaller bias")
    return QLinear(
        name=layer.name,
        x=x.tensor,
        y=y.tensor,
        weights=weights,
        bias=fold_zero_point(weights, bias, x.zero_point),
        output_scale=x.scale * scales / y.scale,
    )


def _largest_accumulator(weights: Int8Array, bias: Int32Array, zero_point: int) -> int:
    """Largest magnitude of ``weights @ (x - zero_point) + bias`` over all int8 x; one for all rows."""
    wide = weights.astype(np.int64)
    at_low, at_high = wide * (INT8_MIN - zero_point), wide * (INT8_MAX - zero_point)
    upper = np.maximum(at_low, at_high).sum(axis=-1) + bias
    lower = np.minimum(at_low, at_high).sum(axis=-1) + bias
    return int(max(upper.max(), -lower.min()))


def _check_gate(
    where: str, field: str, weights: Int8Array, bias: Int32Array, operand: Operand, factor: float, scale: float
) -> None:
    """Refuse a gate whose requantization to `scale` could wrap instead of saturating: the kernel shifts in int32."""
    largest = _largest_accumulator(weights, bias, operand.zero_point)
    if largest > INT32_MAX:
        raise InputError(where, field, "its sums can leave int32", "fewer inputs")
    limit = PRE_ACTIVATION_LIMIT * (scale / GATE_SCALE)
    if not largest * factor < limit:
        raise InputError(
            where,
            field,
            f"its pre-activation can reach {largest * factor:.3g}",
            f"less than {limit:.6g}, all the int32 requantization holds; scale the input or the weights",
        )
