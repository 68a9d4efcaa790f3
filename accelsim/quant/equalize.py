"""Input equalization: one scale a feature, folded into the weights that read it.

Features of one input differ in size by orders of magnitude (coefficient 0 of a cepstrum is a log energy, the last one
a ripple), and one int8 scale for all leaves the small ones a few levels. A layer that multiplies by weights can
undo any scale a feature: W x = (W S)(x / S) for a diagonal S. So the host quantizes feature f with its own scale s_f
and the machine, which knows one scale only, multiplies by the columns of W S.

How to choose S. A larger s_f covers rarer values but rounds all others more coarsely; it also makes column f of
W S larger, and since a gate's weights share one scale max|W S| / 127, one large column makes the weights of every
other feature coarser. `EqualizationStatistics.solve` minimizes the expected squared error these three together put
on what the layer computes, to first order:

    E(s) = sum over samples and rows r of D[r] * ( sum_f W[r,f]^2 (Q(x_f) - x_f)^2          rounding and clipping of x
                                                 + theta[r]^2 / 12 * sum_f (Q(x_f) / s_f)^2 )    rounding of the weights

with theta[r] the scale of the weights of row r's gate, a rounding error uniform in +-theta/2, and errors of
different features uncorrelated. D[r] is the squared derivative of the layer's result by the pre-activation of row r
at that sample: where a gate is saturated an error of its argument does nothing. That weighting matters: a rare
extreme value (digital silence, say) that saturates all gates may be clipped hard, while plain squared error would
stretch the range to hold it at every other value's cost. Only calibration data enters.

Source: M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (ICCV 2019), for
folding scales; the diagonal second-order weighting is that of Y. LeCun et al., "Optimal Brain Damage" (NIPS 1989);
the combination is this package's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accelsim.fixedpoint import INT8_MAX, INT8_MIN
from accelsim.graph.check import inputs_of
from accelsim.graph.model import Concat, FloatArray, Graph, Layer, Linear, Recurrent, Rnn, SelectStep
from accelsim.quant.sensitivity import sensitivity

Float64Array = NDArray[np.float64]

ZERO_POINTS = (-128, -96, -64, -32, 0, 32, 64, 96, 127)
"""Candidates: the input has one zero point; features that lean to one side are better off with another than 0."""

LEVELS_PER_OCTAVE = 4
OCTAVES_BELOW, OCTAVES_ABOVE = 7, 1
"""Candidate scales, relative to (largest magnitude) / 127: the octave above is for zero points other than 0."""

MAX_ROWS = 8192
"""Samples (frame and time step) the statistics use at most, evenly spaced; bounds their cost on large data."""

_CHUNK_ROWS = 1024


@dataclass(frozen=True, eq=False)
class InputEqualization:
    """The chosen form of the input.

    Parameters
    ----------
    scale : float32[F]
        The host's scale of each feature.
    zero_point : int
    reference : float
        A power of two, the scale of the folded input: ``scale = reference * factors``.
    expected_error : float
        The minimum found, mean over the samples and the layers that read them.
    """

    scale: FloatArray
    zero_point: int
    reference: float
    expected_error: float

    @property
    def factors(self) -> FloatArray:
        """float32[F]: what the columns of the weights are multiplied by; exact, as `reference` is a power of two."""
        return self.scale / np.float32(self.reference)


def input_tensors(graph: Graph) -> frozenset[str]:
    """Names of the tensors that hold the input's bytes: the input, and steps selected from it."""
    names = {graph.input.name}
    for layer in graph.layers:
        if isinstance(layer, SelectStep) and layer.x.name in names:
            names.add(layer.y.name)
    return frozenset(names)


def input_layers(graph: Graph) -> tuple[Recurrent | Linear, ...]:
    """The layers that multiply the input by weights, all of which a scale has to be folded into.

    None where the input's bytes are also joined with others: those all have one scale.
    """
    names = input_tensors(graph)
    readers = [layer for layer in graph.layers if any(x.name in names for x in inputs_of(layer))]
    if any(isinstance(layer, Concat) for layer in readers):
        return ()
    return tuple(layer for layer in readers if not isinstance(layer, SelectStep | Concat))


def fold_input_scales(graph: Graph, factors: FloatArray) -> Graph:
    """The graph that computes from ``x / factors`` what `graph` computes from x.

    Exactly so in float where the factors are powers of two, else up to the rounding of the products.

    Parameters
    ----------
    graph : Graph
    factors : float32[F]
        Positive, one a feature of the input.
    """
    readers = {layer.name for layer in input_layers(graph)}

    def fold(layer: Layer) -> Layer:
        if isinstance(layer, SelectStep | Concat) or layer.name not in readers:
            return layer
        if isinstance(layer, Linear):
            return replace(layer, weights=layer.weights * factors)
        return replace(layer, input_weights=layer.input_weights * factors)

    return replace(graph, layers=tuple(fold(layer) for layer in graph.layers))


def _by_group(layer: Recurrent | Linear) -> FloatArray:
    """The weights that read x, float32[groups, rows, F]: the rows of a group share a scale."""
    if isinstance(layer, Linear):
        return layer.weights[:, np.newaxis]
    return layer.input_weights[np.newaxis] if isinstance(layer, Rnn) else layer.input_weights


class _LayerStatistics:
    """Sums over samples of one layer that reads the input, for every zero point, feature and candidate scale.

    Attributes
    ----------
    largest_weight : float64[groups, F]
        Over the rows that share a weight scale: a gate of a recurrent layer, all rows of one without gates, a row of
        a fully connected layer.
    input_error : float64[zero points, F, candidates]
        sum D W^2 (Q(x) - x)^2
    energy : float64[zero points, groups or 1, F, candidates]
        sum D (Q(x) / s)^2; one for all groups where D is constant.
    """

    def __init__(self, layer: Recurrent | Linear, candidates: Float64Array) -> None:
        self.layer = layer
        wide = _by_group(layer).astype(np.float64)
        self.largest_weight: Float64Array = np.abs(wide).max(axis=1)
        self._squared = (wide**2).reshape(-1, wide.shape[-1])
        self._candidates = candidates
        groups = 1 if isinstance(layer, Linear) else len(wide)
        self.input_error = np.zeros((len(ZERO_POINTS), *candidates.shape))
        self.energy = np.zeros((len(ZERO_POINTS), groups, *candidates.shape))

    def observe(self, x: Float64Array, weighting: Float64Array | None) -> None:
        """Add samples ``float64[rows, F]`` with sensitivities ``float64[rows, groups, units]``, None for all ones."""
        if weighting is None:
            by_feature: Float64Array = self._squared.sum(axis=0)
            by_group = np.ones((1, len(x)))
        else:
            by_feature = weighting.reshape(len(x), -1) @ self._squared
            by_group = weighting.sum(axis=2).T
        for index in range(self._candidates.shape[1]):
            scale = self._candidates[:, index]
            rounded = np.rint(x / scale)
            for position, zero_point in enumerate(ZERO_POINTS):
                quantized = np.clip(rounded, INT8_MIN - zero_point, INT8_MAX - zero_point)
                error = quantized * scale - x
                self.input_error[position, :, index] += (by_feature * error**2).sum(axis=0)
                self.energy[position, :, :, index] += by_group @ quantized**2


class EqualizationStatistics:
    """Observes a float graph on calibration data, then chooses the input's scales.

    Parameters
    ----------
    graph : Graph
        With at least one of `input_layers`.
    largest : float[F]
        Largest magnitude of each feature over all calibration data.
    rows : int
        Samples that will be observed: frames times time steps.
    """

    def __init__(self, graph: Graph, largest: NDArray[np.floating], rows: int) -> None:
        self._stride = max(1, math.ceil(rows / MAX_ROWS))
        self._rows = 0
        # A feature that is always zero here may not be so later: give it the reach of the largest one.
        reach = np.where(largest > 0, largest, largest.max() if largest.max() > 0 else 1.0).astype(np.float64)
        steps = np.arange(OCTAVES_ABOVE * LEVELS_PER_OCTAVE, -OCTAVES_BELOW * LEVELS_PER_OCTAVE - 1, -1)
        # Largest first, so that of equally good scales the one with the longest reach is taken.
        wide = reach[:, np.newaxis] / INT8_MAX * 2.0 ** (steps / LEVELS_PER_OCTAVE)
        limits = np.finfo(np.float32)
        self._candidates = np.clip(wide, limits.tiny, limits.max / 256).astype(np.float32).astype(np.float64)
        self._layers = [_LayerStatistics(layer, self._candidates) for layer in input_layers(graph)]
        self._offset = {layer.layer.name: 0 for layer in self._layers}

    def observe(self, tensors: dict[str, FloatArray]) -> None:
        """Take in one batch's tensors, as `graph.execute.run_float` returns them."""
        for statistics in self._layers:
            layer = statistics.layer
            x = tensors[layer.x.name]
            flat = x.reshape(-1, x.shape[-1])
            weighting = None if isinstance(layer, Linear) else sensitivity(layer, tensors)
            # The stride goes on across batches, so that the batch size does not change which samples are used.
            offset = self._offset[layer.name]
            picked = np.arange(-offset % self._stride, len(flat), self._stride)
            self._offset[layer.name] = offset + len(flat)
            for start in range(0, len(picked), _CHUNK_ROWS):
                rows = picked[start : start + _CHUNK_ROWS]
                statistics.observe(flat[rows].astype(np.float64), None if weighting is None else weighting[rows])
            self._rows += len(picked)

    def solve(self) -> InputEqualization:
        """The zero point and scales with the smallest expected error."""
        # Zero point 0 first: it stays where nothing is better.
        positions = sorted(range(len(ZERO_POINTS)), key=lambda index: abs(ZERO_POINTS[index]))
        solutions = [(position, *self._solve_for(position)) for position in positions]
        position, error, choice = min(solutions, key=lambda solution: solution[1])
        scale = self._candidates[np.arange(len(choice)), choice].astype(np.float32)
        reference = 2.0 ** math.floor(math.log2(float(scale.max())))
        return InputEqualization(scale, ZERO_POINTS[position], reference, error / max(self._rows, 1))

    def _solve_for(self, position: int) -> tuple[float, NDArray[np.intp]]:
        """Smallest error and each feature's candidate for one zero point.

        Features meet only in the weight scales. Given an upper bound for each weight scale, every feature chooses by
        itself; so scan bounds, all in proportion, from those of the widest candidates down, then again around the
        weight scales the best choice has, until that finds nothing better.
        """
        bounds = [(layer.largest_weight * self._candidates[:, 0]).max(axis=1) / INT8_MAX for layer in self._layers]
        reach = (OCTAVES_BELOW + OCTAVES_ABOVE) * LEVELS_PER_OCTAVE
        error, choice, scales = self._scan(position, bounds, range(-reach, 1))
        while True:
            next_error, next_choice, next_scales = self._scan(position, scales, range(-reach // 2, reach // 4))
            if not next_error < error * (1 - 1e-9):
                return error, choice
            error, choice, scales = next_error, next_choice, next_scales

    def _scan(
        self, position: int, bounds: list[Float64Array], steps: range
    ) -> tuple[float, NDArray[np.intp], list[Float64Array]]:
        found = (
            self._choose(position, [bound * 2.0 ** (step / LEVELS_PER_OCTAVE) for bound in bounds]) for step in steps
        )
        return min(found, key=lambda result: result[0])

    def _choose(self, position: int, bounds: list[Float64Array]) -> tuple[float, NDArray[np.intp], list[Float64Array]]:
        """Each feature's best candidate with no weight scale above its bound; and the error and weight scales."""
        cost = np.zeros(self._candidates.shape)
        allowed = np.ones(self._candidates.shape, dtype=bool)
        for layer, bound in zip(self._layers, bounds, strict=True):
            cost += layer.input_error[position] + _weighted(bound, layer.energy[position])
            # The largest candidate feature f may take, from the tightest group.
            limits = np.full(layer.largest_weight.shape, np.inf)
            np.divide(INT8_MAX * bound[:, np.newaxis], layer.largest_weight, out=limits, where=layer.largest_weight > 0)
            limit = limits.min(axis=0)
            allowed &= self._candidates <= limit[:, np.newaxis] * (1 + 1e-9)
        allowed[:, -1] = True  # the smallest scale is always there
        choice = np.where(allowed, cost, np.inf).argmin(axis=1)
        features = np.arange(len(choice))
        chosen = self._candidates[features, choice]
        scales = [(layer.largest_weight * chosen).max(axis=1) / INT8_MAX for layer in self._layers]
        error = 0.0
        for layer, scale in zip(self._layers, scales, strict=True):
            error += float(layer.input_error[position, features, choice].sum())
            error += float(_weighted(scale, layer.energy[position])[features, choice].sum())
        return error, choice, scales


def _weighted(weight_scales: Float64Array, energy: Float64Array) -> Float64Array:
    """Error of rounded weights, float64[F, candidates]: the variance theta^2 / 12 of each group times its energy."""
    variance = weight_scales**2 / 12
    if len(energy) == 1:
        return np.asarray(energy[0] * variance.sum())
    return np.asarray(np.tensordot(variance, energy, 1))
