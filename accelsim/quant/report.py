"""What quantization did to a model, measured on the calibration data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.graph.model import FloatArray, Graph
from accelsim.quant.calibrate import Calibration, Progress, run_float_checked
from accelsim.quant.equalize import InputEqualization
from accelsim.quant.execute import dequantize, quantize_input, run_quantized
from accelsim.quant.model import QConcat, QGraph, QGru, QLinear, QLstm, QRnn, QSelectStep, QTensor
from accelsim.quant.observers import Method

CHUNK_FRAMES = 32
"""Frames measured at a time; bounds the memory."""


@dataclass(frozen=True)
class TensorReport:
    """One tensor's int8 form.

    Parameters
    ----------
    layer : str
        The layer that makes it; "input" for the model's input.
    kind : str
        The operator: "input", "lstm", "gru", "rnn" or "linear".
    tensor : str
    low, high : float
        The calibrated range.
    scale_min, scale_max : float
        Smallest and largest scale; they differ for an equalized input only.
    zero_point : int
    sqnr_db : float or None
        Signal to quantization noise ratio of the quantized model's tensor against the float model's, in decibels,
        the errors of all layers before included. None where there is no error or no signal.
    cell_scale_log2 : int or None
        Of an LSTM.
    largest_cell : float or None
        Largest magnitude of its cell state in float.
    preactivation_scale_log2 : int or None
        Of a vanilla RNN with relu.
    largest_preactivation : float or None
        Largest magnitude of relu's argument in float.
    note : str
        Why a parameter is not the one the data asks for; empty otherwise.
    """

    layer: str
    kind: str
    tensor: str
    low: float
    high: float
    scale_min: float
    scale_max: float
    zero_point: int
    sqnr_db: float | None
    cell_scale_log2: int | None = None
    largest_cell: float | None = None
    preactivation_scale_log2: int | None = None
    largest_preactivation: float | None = None
    note: str = ""


@dataclass(frozen=True)
class QuantizationReport:
    """How a model was quantized, and how close it stays to the float model on the calibration data.

    Parameters
    ----------
    model : str
    method : str
    equalized : bool
    frames : int
        Calibration frames.
    input_scales : tuple of float
        One a feature, or one for all.
    tensors : tuple of TensorReport
        The input and every layer's output but copies: selected steps and joined parts.
    same_class : int or None
        Frames whose largest output has the same index in float and quantized; None where the output is no vector
        of at least two.
    """

    model: str
    method: str
    equalized: bool
    frames: int
    input_scales: tuple[float, ...]
    tensors: tuple[TensorReport, ...]
    same_class: int | None

    HEADERS = ("layer", "operator", "range", "scale", "zero point", "int16 scale", "SQNR dB", "note")

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, for JSON."""
        plain = asdict(self)
        plain["input_scales"] = list(self.input_scales)
        plain["tensors"] = [asdict(tensor) for tensor in self.tensors]
        return plain

    def rows(self) -> list[tuple[str, ...]]:
        """One row of text a tensor, columns as `HEADERS`."""
        return [_row(tensor) for tensor in self.tensors]


def _row(tensor: TensorReport) -> tuple[str, ...]:
    scale = f"{tensor.scale_min:.4g}"
    if tensor.scale_max != tensor.scale_min:
        scale += f" .. {tensor.scale_max:.4g}"
    int16 = tensor.cell_scale_log2 if tensor.preactivation_scale_log2 is None else tensor.preactivation_scale_log2
    return (
        tensor.layer,
        tensor.kind,
        f"{tensor.low:.4g} .. {tensor.high:.4g}",
        scale,
        str(tensor.zero_point),
        "" if int16 is None else f"2^{int16}",
        "" if tensor.sqnr_db is None else f"{tensor.sqnr_db:.1f}",
        tensor.note,
    )


class _Noise:
    """Running sums of a signal's and its error's squares."""

    def __init__(self) -> None:
        self.signal = 0.0
        self.noise = 0.0

    def add(self, exact: FloatArray, approximate: NDArray[np.float32]) -> None:
        wide = exact.astype(np.float64)
        self.signal += float((wide**2).sum())
        self.noise += float(((approximate.astype(np.float64) - wide) ** 2).sum())

    def decibels(self) -> float | None:
        if self.signal == 0.0 or self.noise == 0.0:
            return None
        return 10.0 * math.log10(self.signal / self.noise)


def measure(
    graph: Graph,
    qgraph: QGraph,
    features: FloatArray,
    calibration: Calibration,
    *,
    method: Method,
    equalization: InputEqualization | None = None,
    progress: Progress | None = None,
) -> QuantizationReport:
    """Run the float and the quantized graph side by side and compare every tensor.

    Parameters
    ----------
    graph : Graph
    qgraph : QGraph
        `graph`, quantized.
    features : float32[N, *graph.input.shape]
    calibration : Calibration
        What `qgraph`'s ranges came from.
    method : {"min_max", "percentile", "mse", "kl"}
        Named in the report.
    equalization : InputEqualization, optional
        Likewise.
    progress : callable, optional
        Called with (pieces done, pieces in all).
    """
    compared: dict[str, QTensor] = {qgraph.input.name: qgraph.input}
    compared |= {layer.y.name: layer.y for layer in qgraph.layers}
    noise = {name: _Noise() for name in compared}
    judged = len(qgraph.output.shape) == 1 and qgraph.output.features >= 2
    same = 0
    starts = range(0, len(features), CHUNK_FRAMES)
    for done, start in enumerate(starts, start=1):
        part = features[start : start + CHUNK_FRAMES]
        exact = run_float_checked(graph, part)
        approximate = run_quantized(qgraph, quantize_input(qgraph.input, part))
        for name, tensor in compared.items():
            noise[name].add(exact[name], dequantize(tensor, approximate[name]))
        if judged:
            name = qgraph.output.name
            same += int((exact[name].argmax(axis=1) == approximate[name].argmax(axis=1)).sum())
        if progress is not None:
            progress(done, len(starts))
    return QuantizationReport(
        model=graph.name,
        method=method,
        equalized=equalization is not None,
        frames=len(features),
        input_scales=tuple(float(scale) for scale in qgraph.input.scale),
        tensors=tuple(_tensor_reports(qgraph, calibration, noise, equalization is not None)),
        same_class=same if judged else None,
    )


def _tensor_reports(
    qgraph: QGraph, calibration: Calibration, noise: dict[str, _Noise], equalized: bool
) -> list[TensorReport]:
    def report(layer: str, kind: str, tensor: QTensor, **more: Any) -> TensorReport:
        interval = calibration.ranges[tensor.name]
        return TensorReport(
            layer=layer,
            kind=kind,
            tensor=tensor.name,
            low=interval.low,
            high=interval.high,
            scale_min=float(tensor.scale.min()),
            scale_max=float(tensor.scale.max()),
            zero_point=tensor.zero_point,
            sqnr_db=noise[tensor.name].decibels(),
            **more,
        )

    note = "one scale a feature; rare extremes are clipped" if equalized else ""
    reports = [report("input", "input", qgraph.input, note=note)]
    for layer in qgraph.layers:
        match layer:
            case QSelectStep() | QConcat():
                continue
            case QLstm():
                cell = calibration.cells[layer.name]
                more = {"cell_scale_log2": layer.cell_scale_log2, "largest_cell": cell.largest, "note": cell.note}
                reports.append(report(layer.name, "lstm", layer.y, **more))
            case QRnn() if layer.name in calibration.preactivations:
                argument = calibration.preactivations[layer.name]
                more = {"preactivation_scale_log2": argument.log2, "largest_preactivation": argument.largest}
                reports.append(report(layer.name, "rnn", layer.y, note=argument.note, **more))
            case QRnn():
                reports.append(report(layer.name, "rnn", layer.y))
            case QGru():
                reports.append(report(layer.name, "gru", layer.y))
            case QLinear():
                reports.append(report(layer.name, "linear", layer.y))
    return reports
