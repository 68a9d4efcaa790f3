"""The quantizer: a float graph and calibration data in, the integers of every layer out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.errors import InputError
from accelsim.graph.check import check_graph
from accelsim.graph.model import Concat, FloatArray, Graph, Gru, Linear, Lstm, Rnn, SelectStep
from accelsim.quant.calibrate import Calibration, Progress, calibrate, check_features, scale_groups, split_batches
from accelsim.quant.equalize import EqualizationStatistics, InputEqualization, fold_input_scales, input_layers
from accelsim.quant.model import QConcat, QGraph, QLayer, QSelectStep, QTensor
from accelsim.quant.observers import DEFAULT_PERCENTILE, SMALLEST_SCALE, Method, asymmetric_parameters
from accelsim.quant.quantize_layers import (
    Operand,
    operand,
    quantize_gru,
    quantize_linear,
    quantize_lstm,
    quantize_rnn,
    smallest_hidden_scale,
)
from accelsim.quant.report import CHUNK_FRAMES, QuantizationReport, measure


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
    if not 0 <= cell_clip <= float(np.finfo(np.float32).max):
        raise InputError("quantization", "cell clip", f"{cell_clip:g}", "0 (none) or a positive float32")
    check_graph(graph)
    if cell_clip and not any(isinstance(layer, Lstm) for layer in graph.layers):
        raise InputError("quantization", "cell clip", f"{cell_clip:g} for a model without LSTM layers", "0 (none)")
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
        Pre-activations that may leave the int32 range, or a `cell_clip` below one step of an int16 cell state.
    """
    where = graph.source or graph.name
    smallest = _smallest_scales(graph, calibration)
    operands: dict[str, Operand] = {}
    if equalization is None:
        chosen = asymmetric_parameters(calibration.ranges[graph.input.name], smallest[graph.input.name])
        operands[graph.input.name] = operand(graph.input, chosen)
    else:
        graph = fold_input_scales(graph, equalization.factors)
        tensor = QTensor(graph.input.name, graph.input.shape, equalization.scale, equalization.zero_point)
        operands[graph.input.name] = Operand(tensor, equalization.reference)
    layers: list[QLayer] = []
    for layer in graph.layers:
        if isinstance(layer, Concat):
            parts = [operands[part.name] for part in layer.parts]
            y = parts[0].copied(layer.y)
            layers.append(QConcat(layer.name, tuple(part.tensor for part in parts), y.tensor))
            operands[layer.y.name] = y
            continue
        x = operands[layer.x.name]
        if isinstance(layer, SelectStep):
            y = x.copied(layer.y)
            layers.append(QSelectStep(layer.name, x.tensor, y.tensor, layer.step))
            operands[layer.y.name] = y
            continue
        y = operand(layer.y, asymmetric_parameters(calibration.ranges[layer.y.name], smallest[layer.y.name]))
        operands[layer.y.name] = y
        match layer:
            case Lstm():
                layers.append(quantize_lstm(where, layer, x, y, calibration.cells[layer.name].log2, cell_clip))
            case Gru():
                layers.append(quantize_gru(where, layer, x, y))
            case Rnn():
                layers.append(quantize_rnn(where, layer, x, y, calibration.preactivations.get(layer.name)))
            case Linear():
                layers.append(quantize_linear(where, layer, x, y))
    return QGraph(graph.name, operands[graph.input.name].tensor, operands[graph.output.name].tensor, tuple(layers))


def _smallest_scales(graph: Graph, calibration: Calibration) -> dict[str, float]:
    """For every tensor the finest scale that the layers which make it, and those it shares its scale with, can take."""
    groups = scale_groups(graph)
    smallest = dict.fromkeys(groups.values(), SMALLEST_SCALE)
    for layer in graph.layers:
        if isinstance(layer, Lstm | Gru | Rnn):
            group = groups[layer.y.name]
            smallest[group] = max(smallest[group], smallest_hidden_scale(calibration.preactivations.get(layer.name)))
    return {name: smallest[group] for name, group in groups.items()}
