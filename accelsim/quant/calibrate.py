"""Calibration: the ranges a float model's tensors take on real data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accelsim.errors import InputError
from accelsim.graph.check import cell_key, check_graph
from accelsim.graph.execute import run_float
from accelsim.graph.model import FloatArray, Graph, Lstm, SelectStep
from accelsim.quant.calibration_data import check_finite
from accelsim.quant.lstm_parameters import CELL_SCALE_LOG2_MAX, CELL_SCALE_LOG2_MIN
from accelsim.quant.observers import DEFAULT_PERCENTILE, Method, Observer, Range, make_observer

Progress = Callable[[int, int], None]
"""Called with (done, total) after each piece of work."""


@dataclass(frozen=True)
class CellScale:
    """Scale of one LSTM's int16 cell state.

    Parameters
    ----------
    log2 : int
        In [-15, -9].
    largest : float
        Largest magnitude of the cell state seen.
    note : str
        Why `log2` is not the one `largest` asks for; empty when it is.
    """

    log2: int
    largest: float
    note: str = ""


@dataclass(frozen=True)
class Calibration:
    """What was seen.

    Parameters
    ----------
    frames : int
        Frames observed.
    ranges : mapping of str to Range
        By tensor name: the input, every LSTM's hidden state, every fully connected layer's output.
    cells : mapping of str to CellScale
        By LSTM layer name.
    """

    frames: int
    ranges: Mapping[str, Range]
    cells: Mapping[str, CellScale]


def cell_scale(largest: float) -> CellScale:
    """The smallest power of two whose int16 cell state holds `largest`, as far as the kernel's tanh reaches.

    Parameters
    ----------
    largest : float
        Largest magnitude of the cell state.

    Source: n = ceil(log2 max|c|) - 15 is TensorFlow's `PowerOfTwoBound`; the limits are those of
    `PortableApplyTanh`, which has no tanh for a cell state of fewer than 0 or more than 6 integer bits.
    """
    wanted = math.ceil(math.log2(largest)) - 15 if largest > 0 else CELL_SCALE_LOG2_MIN
    log2 = min(max(wanted, CELL_SCALE_LOG2_MIN), CELL_SCALE_LOG2_MAX)
    note = ""
    if wanted < log2:
        note = f"max|c| {largest:.4g} would fit 2^{wanted}; raised to 2^{log2}, the finest scale tanh exists for"
    elif wanted > log2:
        limit = 2.0 ** (log2 + 15)
        note = f"max|c| {largest:.4g} needs 2^{wanted}; lowered to 2^{log2}, the cell state saturates at {limit:g}"
    return CellScale(log2, largest, note)


def check_features(graph: Graph, features: FloatArray) -> None:
    """Refuse features the graph can't take.

    Raises
    ------
    InputError
        Not float32 of shape [N, *graph.input.shape] with N >= 1, or not finite.
    """
    expected = f"float32 [N, {', '.join(str(size) for size in graph.input.shape)}], N at least 1"
    found = f"{features.dtype} {list(features.shape)}"
    if features.dtype != np.float32 or features.shape[1:] != graph.input.shape or features.size == 0:
        raise InputError("calibration data", graph.input.name, found, expected)
    check_finite("calibration data", graph.input.name, features)


def split_batches(features: FloatArray, batches: int | None = None, batch_size: int = 1) -> list[FloatArray]:
    """The first `batches` batches, as views; the last one of the data may be smaller.

    Parameters
    ----------
    features : float32[N, ...]
    batches : int, optional
        All of them where absent.
    batch_size : int
        Frames a batch.

    Raises
    ------
    InputError
        A number below 1, or more batches than the data holds.
    """
    if batch_size < 1:
        raise InputError("calibration", "batch size", str(batch_size), "at least 1")
    held = math.ceil(len(features) / batch_size)
    wanted = held if batches is None else batches
    if not 1 <= wanted <= held:
        raise InputError(
            "calibration", "batches", str(wanted), f"1 to {held} ({len(features)} frames, {batch_size} a batch)"
        )
    return [features[start : start + batch_size] for start in range(0, wanted * batch_size, batch_size)]


def calibrate(
    graph: Graph,
    features: FloatArray,
    *,
    method: Method = "min_max",
    percentile: float = DEFAULT_PERCENTILE,
    batches: int | None = None,
    batch_size: int = 1,
    progress: Progress | None = None,
    also: Sequence[Callable[[dict[str, FloatArray]], None]] = (),
) -> Calibration:
    """Run the float graph over calibration data and observe its tensors.

    Parameters
    ----------
    graph : Graph
    features : float32[N, *graph.input.shape]
    method : {"min_max", "percentile", "mse", "kl"}
        How a tensor's values become a range; see `observers`. Cell states always use their largest magnitude.
    percentile : float
        For method `percentile`.
    batches : int, optional
        Number of batches to use; all where absent.
    batch_size : int
        Frames a batch.
    progress : callable, optional
        Called with (batches done, batches in all).
    also : sequence of callable
        Further observers of all tensors, each called with every batch's.

    Raises
    ------
    InputError
        An invalid graph, features that don't fit it, a bad option, or a model whose values overflow float32.
    """
    check_graph(graph)
    check_features(graph, features)
    parts = split_batches(features, batches, batch_size)
    lstms = [layer for layer in graph.layers if isinstance(layer, Lstm)]
    observed = [graph.input.name, *(layer.y.name for layer in graph.layers if not isinstance(layer, SelectStep))]
    observers: dict[str, Observer] = {name: make_observer(method, percentile) for name in observed}
    largest_cell = {layer.name: 0.0 for layer in lstms}
    for done, part in enumerate(parts, start=1):
        tensors = run_float_checked(graph, part)
        for name, observer in observers.items():
            observer.observe(tensors[name])
        for layer in lstms:
            largest_cell[layer.name] = max(largest_cell[layer.name], float(np.abs(tensors[cell_key(layer)]).max()))
        for observe in also:
            observe(tensors)
        if progress is not None:
            progress(done, len(parts))
    return Calibration(
        frames=sum(len(part) for part in parts),
        ranges={name: observer.range() for name, observer in observers.items()},
        cells={name: cell_scale(largest) for name, largest in largest_cell.items()},
    )


def run_float_checked(graph: Graph, features: FloatArray) -> dict[str, FloatArray]:
    """`run_float`, refusing a model whose values overflow.

    Raises
    ------
    InputError
        Names the first tensor that holds NaN or infinity.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        tensors = run_float(graph, features)
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise InputError(
                graph.source or graph.name, f"tensor {name!r}", "overflows float32 on the calibration data"
            )
    return tensors
