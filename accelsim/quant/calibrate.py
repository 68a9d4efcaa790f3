"""Calibration: the ranges a float model's tensors take on real data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accelsim.errors import InputError
from accelsim.graph.check import cell_key, check_graph, preactivation_key
from accelsim.graph.execute import run_float
from accelsim.graph.model import Concat, FloatArray, Graph, Lstm, Rnn, SelectStep
from accelsim.quant.calibration_data import check_finite
from accelsim.quant.lstm_parameters import CELL_SCALE_LOG2_MAX, CELL_SCALE_LOG2_MIN
from accelsim.quant.observers import DEFAULT_PERCENTILE, Method, Observer, Range, make_observer
from accelsim.quant.recurrent_parameters import (
    PREACTIVATION_SCALE_LOG2_MAX,
    PREACTIVATION_SCALE_LOG2_MIN,
    TANH_PREACTIVATION_SCALE_LOG2,
)

Progress = Callable[[int, int], None]
"""Called with (done, total) after each piece of work."""


@dataclass(frozen=True)
class Int16Scale:
    """Scale of one recurrent layer's int16 values: an LSTM's cell state, a relu RNN's pre-activations.

    Parameters
    ----------
    log2 : int
        The scale is ``2**log2``.
    largest : float
        Largest magnitude of the values seen.
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
        By tensor name: the input, every recurrent layer's hidden state, every fully connected layer's output.
        Tensors that have to share a scale (see `scale_groups`) have one range, of all their values together.
    cells : mapping of str to Int16Scale
        By LSTM layer name.
    preactivations : mapping of str to Int16Scale
        By name of a vanilla RNN layer with relu.
    """

    frames: int
    ranges: Mapping[str, Range]
    cells: Mapping[str, Int16Scale]
    preactivations: Mapping[str, Int16Scale]


def scale_groups(graph: Graph) -> dict[str, str]:
    """For every tensor one of those it shares scale and zero point with, the same for all of them.

    A joined tensor's bytes are those of its parts, and a selected step's those of the sequence: nothing on the way
    could rescale them.
    """
    group = {graph.input.name: graph.input.name}
    for layer in graph.layers:
        if isinstance(layer, Concat):
            merged = {group[part.name] for part in layer.parts}
            first = group[layer.parts[0].name]
            group = {name: first if leader in merged else leader for name, leader in group.items()}
            group[layer.y.name] = first
        else:
            group[layer.y.name] = group[layer.x.name] if isinstance(layer, SelectStep) else layer.y.name
    return group


def cell_scale(largest: float) -> Int16Scale:
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
    return Int16Scale(log2, largest, note)


def preactivation_scale(largest: float) -> Int16Scale:
    """The smallest power of two whose int16 pre-activation of relu holds `largest`, as far as requantization reaches.

    Parameters
    ----------
    largest : float
        Largest magnitude of the pre-activation; where it is 0 the scale is that of tanh.

    Source: as for `cell_scale`.
    """
    low, high = PREACTIVATION_SCALE_LOG2_MIN, PREACTIVATION_SCALE_LOG2_MAX
    wanted = math.ceil(math.log2(largest)) - 15 if largest > 0 else TANH_PREACTIVATION_SCALE_LOG2
    log2 = min(max(wanted, low), high)
    note = ""
    if wanted < log2:
        note = f"max|p| {largest:.4g} would fit 2^{wanted}; raised to 2^{log2}, the finest scale there is"
    elif wanted > log2:
        limit = 2.0 ** (log2 + 15)
        note = f"max|p| {largest:.4g} needs 2^{wanted}; lowered to 2^{log2}, the pre-activation saturates at {limit:g}"
    return Int16Scale(log2, largest, note)


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
        How a tensor's values become a range; see `observers`. int16 values always use their largest magnitude.
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
    copies = {layer.y.name for layer in graph.layers if isinstance(layer, SelectStep | Concat)}
    groups = {name: group for name, group in scale_groups(graph).items() if name not in copies}
    observers: dict[str, Observer] = {group: make_observer(method, percentile) for group in groups.values()}
    largest_cell = {layer.name: 0.0 for layer in graph.layers if isinstance(layer, Lstm)}
    largest_argument = {
        layer.name: 0.0 for layer in graph.layers if isinstance(layer, Rnn) and layer.activation == "relu"
    }
    for done, part in enumerate(parts, start=1):
        tensors = run_float_checked(graph, part)
        for name, group in groups.items():
            observers[group].observe(tensors[name])
        for layer in graph.layers:
            if isinstance(layer, Lstm):
                largest_cell[layer.name] = max(largest_cell[layer.name], _magnitude(tensors[cell_key(layer)]))
            elif layer.name in largest_argument and isinstance(layer, Rnn):
                found = _magnitude(tensors[preactivation_key(layer)])
                largest_argument[layer.name] = max(largest_argument[layer.name], found)
        for observe in also:
            observe(tensors)
        if progress is not None:
            progress(done, len(parts))
    ranges = {group: observer.range() for group, observer in observers.items()}
    return Calibration(
        frames=sum(len(part) for part in parts),
        ranges={name: ranges[group] for name, group in groups.items()},
        cells={name: cell_scale(largest) for name, largest in largest_cell.items()},
        preactivations={name: preactivation_scale(largest) for name, largest in largest_argument.items()},
    )


def _magnitude(values: FloatArray) -> float:
    return float(np.abs(values).max())


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
