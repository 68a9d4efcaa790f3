"""The quantizer: a float graph and calibration data in, the integers of every layer out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.fixedpoint import GATE_SCALE, INT8_MAX, INT8_MIN, INT32_MAX
from accelsim.graph.check import check_graph
from accelsim.graph.model import FloatArray, Gate, Graph, Linear, Lstm, SelectStep, Tensor
from accelsim.quant.calibrate import Calibration, Progress, calibrate, check_features, split_batches
from accelsim.quant.equalize import EqualizationStatistics, InputEqualization, fold_input_scales, input_layers
from accelsim.quant.lstm_parameters import lstm_from_scales
from accelsim.quant.model import (
    Int8Array,
    Int32Array,
    QGraph,
    QLayer,
    QLinear,
    QLstm,
    QSelectStep,
    QTensor,
    fold_zero_point,
)
from accelsim.quant.observers import (
    DEFAULT_PERCENTILE,
    SMALLEST_SCALE,
    Int8Parameters,
    Method,
    asymmetric_parameters,
    symmetric_scale,
)
from accelsim.quant.report import CHUNK_FRAMES, QuantizationReport, measure

SMALLEST_HIDDEN_SCALE = 2.0**-24
"""A finer one would need a factor above 1 on the Q0.30 product, whose left shift can leave int32."""

_BIAS_LIMIT = 2**29
"""Largest quantized bias: leaves the products of 2**15 inputs room in the int32 accumulator."""

PRE_ACTIVATION_LIMIT = 2.0**18
"""Pre-activations below it never wrap: 2**30 in Q3.12 before saturation, half of what the left shift holds."""


@dataclass(frozen=True, eq=False)
class QuantizationResult:
    """A quantized graph and how good it is.

    Parameters
    ----------
    qgraph : QGraph
    report : QuantizationReport
    """

    qgraph: QGraph
    report: QuantizationReport


def quantize(
    graph: Graph,
    features: FloatArray,
    *,
    method: Method = "min_max",
    percentile: float = DEFAULT_PERCENTILE,
    batches: int | None = None,
    batch_size: int = 1,
    equalize: bool = True,
    cell_clip: float = 0.0,
    progress: Progress | None = None,
) -> QuantizationResult:
    """Quantize a model to int8 weights and activations with calibration data.

    Parameters
    ----------
    graph : Graph
    features : float32[N, *graph.input.shape]
        Calibration frames: typical input, none of the data the result is judged on.
    method : {"min_max", "percentile", "mse", "kl"}
        How an activation's observed values become its range. With `equalize` the input's scales follow the rule of
        `equalize` instead, whatever the method.
    percentile : float
        For method `percentile`.
    batches : int, optional
        Number of calibration batches; all the data where absent.
    batch_size : int
        Frames a batch.
    equalize : bool
        Give every input feature its own scale, folded into the first weights.
    cell_clip : float
        Bound of every LSTM's cell state, 0 for none.
    progress : callable, optional
        Called with (done, total): first for each calibration batch, then for each piece of the measurement.

    Returns
    -------
    QuantizationResult

    Raises
    ------
    InputError
        A graph that isn't valid, features that don't fit it, a bad option, or values no int8 form exists for.
    """
    if not (np.isfinite(cell_clip) and cell_clip >= 0):
        raise InputError("quantization", "cell clip", f"{cell_clip:g}", "0 (none) or a positive number")
    check_graph(graph)
    check_features(graph, features)
    parts = split_batches(features, batches, batch_size)
    used = features[: sum(len(part) for part in parts)]
    pieces = -(-len(used) // CHUNK_FRAMES)
    total = len(parts) + pieces

    def step(offset: int) -> Progress | None:
        return None if progress is None else lambda done, _: progress(offset + done, total)

    statistics = None
    if equalize and input_layers(graph):
        largest = np.abs(used).reshape(-1, used.shape[-1]).max(axis=0)
        statistics = EqualizationStatistics(graph, largest, used.size // used.shape[-1])
    calibration = calibrate(
        graph,
        used,
        method=method,
        percentile=percentile,
        batch_size=batch_size,
        progress=step(0),
        also=[] if statistics is None else [statistics.observe],
    )
    equalization = None if statistics is None else statistics.solve()
    qgraph = quantize_calibrated(graph, calibration, equalization, cell_clip=cell_clip)
    report = measure(
        graph, qgraph, used, calibration, method=method, equalization=equalization, progress=step(len(parts))
    )
    return QuantizationResult(qgraph, report)


def quantize_calibrated(
    graph: Graph, calibration: Calibration, equalization: InputEqualization | None = None, *, cell_clip: float = 0.0
) -> QGraph:
    """Quantize with ranges known already.

    Parameters
    ----------
    graph : Graph
    calibration : Calibration
    equalization : InputEqualization, optional
        One scale for the whole input where absent.
    cell_clip : float
        0 for none.

    Raises
    ------
    InputError
        Pre-activations that may leave the int32 range.
    """
    where = graph.source or graph.name
    operands: dict[str, _Operand] = {}
    if equalization is None:
        chosen = asymmetric_parameters(calibration.ranges[graph.input.name])
        operands[graph.input.name] = _operand(graph.input, chosen)
    else:
        graph = fold_input_scales(graph, equalization.factors)
        tensor = QTensor(graph.input.name, graph.input.shape, equalization.scale, equalization.zero_point)
        operands[graph.input.name] = _Operand(tensor, equalization.reference)
    layers: list[QLayer] = []
    for layer in graph.layers:
        x = operands[layer.x.name]
        if isinstance(layer, SelectStep):
            y = replace(x, tensor=replace(x.tensor, name=layer.y.name, shape=layer.y.shape))
            layers.append(QSelectStep(layer.name, x.tensor, y.tensor, layer.step))
        elif isinstance(layer, Lstm):
            interval = calibration.ranges[layer.y.name]
            y = _operand(layer.y, asymmetric_parameters(interval, SMALLEST_HIDDEN_SCALE))
            layers.append(_lstm(where, layer, x, y, calibration.cells[layer.name].log2, cell_clip))
        else:
            y = _operand(layer.y, asymmetric_parameters(calibration.ranges[layer.y.name]))
            layers.append(_linear(where, layer, x, y))
        operands[layer.y.name] = y
    return QGraph(graph.name, operands[graph.input.name].tensor, operands[graph.output.name].tensor, tuple(layers))


@dataclass(frozen=True, eq=False)
class _Operand:
    """A tensor and the one scale with which the machine reads it (the folded one, for an equalized input)."""

    tensor: QTensor
    scale: float

    @property
    def zero_point(self) -> int:
        return self.tensor.zero_point


def _operand(tensor: Tensor, parameters: Int8Parameters) -> _Operand:
    scale = np.array([parameters.scale], dtype=np.float32)
    return _Operand(QTensor(tensor.name, tensor.shape, scale, parameters.zero_point), parameters.scale)


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


def _lstm(where: str, layer: Lstm, x: _Operand, y: _Operand, cell_scale_log2: int, cell_clip: float) -> QLstm:
    no_bias = np.zeros_like(layer.bias)
    input_scales, input_weights, bias = _gates(layer.input_weights, layer.bias, x)
    recurrent_scales, recurrent_weights, _ = _gates(layer.recurrent_weights, no_bias, y)
    field = f"layer {layer.name!r}"
    for gate in Gate:
        factor = input_scales[gate] * x.scale
        _check_gate(where, f"{field}: {gate.name.lower()} gate, input", input_weights[gate], bias[gate], x, factor)
        factor = recurrent_scales[gate] * y.scale
        zeros = np.zeros_like(bias[gate])
        _check_gate(where, f"{field}: {gate.name.lower()} gate, recurrent", recurrent_weights[gate], zeros, y, factor)
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
    )


def _gates(weights: FloatArray, bias: FloatArray, operand: _Operand) -> tuple[list[float], Int8Array, Int32Array]:
    """Scale of each gate, weights int8[4, units, columns], bias int32[4, units]."""
    scales = [weight_scale(weights[gate], bias[gate], operand.scale) for gate in Gate]
    return (
        scales,
        np.stack([quantize_weights(weights[gate], scales[gate]) for gate in Gate]),
        np.stack([quantize_bias(bias[gate], scales[gate] * operand.scale) for gate in Gate]),
    )


def _linear(where: str, layer: Linear, x: _Operand, y: _Operand) -> QLinear:
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


def _check_gate(where: str, field: str, weights: Int8Array, bias: Int32Array, operand: _Operand, factor: float) -> None:
    """Refuse a gate whose requantization to Q3.12 could wrap instead of saturating: the kernel shifts in int32."""
    largest = _largest_accumulator(weights, bias, operand.zero_point)
    if largest > INT32_MAX:
        raise InputError(where, field, "its sums can leave int32", "fewer inputs")
    if not largest * factor < PRE_ACTIVATION_LIMIT:
        raise InputError(
            where,
            field,
            f"its pre-activation can reach {largest * factor:.3g}",
            f"less than {PRE_ACTIVATION_LIMIT:.0f}, all the int32 requantization holds; scale the input or the weights",
        )
