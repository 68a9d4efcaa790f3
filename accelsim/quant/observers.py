"""Observers: from the values a tensor takes to the range its int8 form covers.

Four methods. Each sees the values batch by batch and keeps a bounded memory: `min_max` two numbers, the others a
histogram whose bins double in width when a value falls outside, by adding neighbours, so no count is ever lost.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.fixedpoint import INT8_MAX, INT8_MIN

Method = Literal["min_max", "percentile", "mse", "kl"]
METHODS: tuple[Method, ...] = get_args(Method)

DEFAULT_PERCENTILE = 99.99

HISTOGRAM_BINS = 2048
"""Bins a side of zero; between half of them and all are in use, as the bound doubles."""

SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
"""Scales stay normal float32 numbers: a subnormal one would lose the precision every later product counts on."""

_LEVELS = INT8_MAX - INT8_MIN


@dataclass(frozen=True)
class Range:
    """The interval a quantized tensor is to cover; always contains zero.

    Parameters
    ----------
    low, high : float
        ``low <= 0 <= high``.
    """

    low: float
    high: float


@dataclass(frozen=True)
class Int8Parameters:
    """``real = scale * (value - zero_point)``.

    Parameters
    ----------
    scale : float
        A positive normal float32 value.
    zero_point : int
        In [-128, 127]; real zero is exactly this integer.
    """

    scale: float
    zero_point: int


def asymmetric_parameters(interval: Range, smallest_scale: float = SMALLEST_SCALE) -> Int8Parameters:
    """Scale and zero point whose 256 levels cover the interval, to within half a step at either end.

    The scale is (high - low) / 255, as float32; the zero point is rounded to nearest, ties to even, and real zero
    is exactly representable. An interval of no width gets scale 1.

    Parameters
    ----------
    interval : Range
    smallest_scale : float
        Narrower intervals get this scale.

    Source: TensorFlow Lite `quantization_utils` (asymmetric int8 with a nudged zero point).
    """
    width = interval.high - interval.low
    if width == 0.0:
        return Int8Parameters(1.0, 0)
    scale = _as_scale(width / _LEVELS, smallest_scale)
    zero_point = round(INT8_MIN - interval.low / scale)
    return Int8Parameters(scale, min(max(zero_point, INT8_MIN), INT8_MAX))


def symmetric_scale(largest: float, smallest_scale: float = SMALLEST_SCALE) -> float:
    """``largest / 127`` as float32, 1 for a tensor of zeros: values in [-127, 127], zero point 0.

    Source: TensorFlow Lite 8-bit quantization specification (weights are symmetric and leave out -128).
    """
    return _as_scale(largest / INT8_MAX, smallest_scale) if largest > 0.0 else 1.0


def _as_scale(value: float, smallest_scale: float) -> float:
    return float(np.float32(max(value, smallest_scale)))


class Observer(ABC):
    """Sees a tensor's values batch by batch and then proposes a range."""

    def __init__(self) -> None:
        self.minimum = 0.0
        self.maximum = 0.0

    def observe(self, values: NDArray[np.float32]) -> None:
        """Take in one batch of finite values, float32 of any shape."""
        if values.size:
            self.minimum = min(self.minimum, float(values.min()))
            self.maximum = max(self.maximum, float(values.max()))

    @abstractmethod
    def range(self) -> Range:
        """The range to cover, after everything observed so far."""


class MinMaxObserver(Observer):
    """Covers every value seen, and zero."""

    def range(self) -> Range:
        """Smallest to largest value."""
        return Range(self.minimum, self.maximum)


class HistogramObserver(Observer):
    """Counts values in equal bins on both sides of zero.

    Attributes
    ----------
    counts : int64[2 * HISTOGRAM_BINS]
        Bin i covers [(i - HISTOGRAM_BINS) * width, (i + 1 - HISTOGRAM_BINS) * width).
    bound : float
        HISTOGRAM_BINS * width; 0 as long as only zeros were seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts = np.zeros(2 * HISTOGRAM_BINS, dtype=np.int64)
        self.bound = 0.0

    def observe(self, values: NDArray[np.float32]) -> None:
        """Count one batch of finite values, widening the bins where they don't reach."""
        super().observe(values)
        if not values.size:
            return
        largest = max(self.maximum, -self.minimum)
        if self.bound == 0.0:
            # So far only zeros, all in the first bin above zero whatever its width; any bound will do.
            self.bound = largest
        while largest > self.bound:
            self._double()
        wide = values.astype(np.float64).reshape(-1)
        index = np.zeros(wide.shape, dtype=np.int64)
        if self.bound > 0.0:
            index = np.floor(wide * (HISTOGRAM_BINS / self.bound)).astype(np.int64)
        # A value equal to the bound belongs to the last bin.
        index = np.clip(index + HISTOGRAM_BINS, 0, 2 * HISTOGRAM_BINS - 1)
        self.counts += np.bincount(index, minlength=2 * HISTOGRAM_BINS)

    def _double(self) -> None:
        pairs = self.counts.reshape(HISTOGRAM_BINS, 2).sum(axis=1)
        self.counts[:] = 0
        self.counts[HISTOGRAM_BINS // 2 : HISTOGRAM_BINS // 2 + HISTOGRAM_BINS] = pairs
        self.bound *= 2.0

    @property
    def width(self) -> float:
        """Width of a bin."""
        return self.bound / HISTOGRAM_BINS

    def centres(self) -> NDArray[np.float64]:
        """float64[2 * HISTOGRAM_BINS]: the middle of each bin."""
        return np.asarray((np.arange(2 * HISTOGRAM_BINS) - HISTOGRAM_BINS + 0.5) * self.width, dtype=np.float64)

    def _within(self, low: float, high: float) -> Range:
        """The interval cut to the values seen, and containing zero."""
        return Range(min(max(low, self.minimum), 0.0), max(min(high, self.maximum), 0.0))


class PercentileObserver(HistogramObserver):
    """Leaves out the rarest values, half of them at each end.

    Parameters
    ----------
    percentile : float
        Share of the values to cover, in percent; in (50, 100].

    Raises
    ------
    InputError
        A percentile outside (50, 100].
    """

    def __init__(self, percentile: float = DEFAULT_PERCENTILE) -> None:
        super().__init__()
        if not 50.0 < percentile <= 100.0:
            raise InputError("quantization", "percentile", f"{percentile:g}", "more than 50, at most 100")
        self.percentile = percentile

    def range(self) -> Range:
        """The two quantiles, interpolated linearly inside their bins."""
        total = int(self.counts.sum())
        if self.percentile == 100.0 or total == 0:
            return Range(self.minimum, self.maximum)
        tail = total * (1.0 - self.percentile / 100.0) / 2.0
        return self._within(self._quantile(tail), self._quantile(total - tail))

    def _quantile(self, rank: float) -> float:
        """The value that `rank` of the counts, 0 < rank <= their sum, lie below."""
        below = np.cumsum(self.counts)
        index = int(np.searchsorted(below, rank))
        inside = (rank - float(below[index] - self.counts[index])) / float(self.counts[index])
        return (index - HISTOGRAM_BINS + inside) * self.width


class MseObserver(HistogramObserver):
    """The range whose int8 form has the smallest mean squared error over the histogram.

    Both ends shrink together first, over `STEPS` fractions of the extreme values, then each alone in turn, until
    neither moves.
    """

    STEPS = 64
    _ROUNDS = 8

    def range(self) -> Range:
        """The best range found; never worse than the full one on the histogram."""
        low, high = self.minimum, self.maximum
        fractions = [step / self.STEPS for step in range(self.STEPS, 0, -1)]
        best = min((Range(low * f, high * f) for f in fractions), key=self.squared_error)
        for _ in range(self._ROUNDS):
            before = best
            best = min((best, *(Range(low * f, best.high) for f in fractions)), key=self.squared_error)
            best = min((best, *(Range(best.low, high * f) for f in fractions)), key=self.squared_error)
            if best == before:
                break
        return best

    def squared_error(self, interval: Range) -> float:
        """Sum of squared errors of the histogram's values, taken at the bins' centres, in int8 over `interval`."""
        used = np.flatnonzero(self.counts)
        values = self.centres()[used]
        parameters = asymmetric_parameters(interval)
        quantized = np.rint(values / parameters.scale) + parameters.zero_point
        restored = (np.clip(quantized, INT8_MIN, INT8_MAX) - parameters.zero_point) * parameters.scale
        return float(((values - restored) ** 2 * self.counts[used]).sum())


class KlObserver(HistogramObserver):
    """The threshold on magnitudes at which the int8 distribution tells least apart from the float one.

    The magnitudes' histogram P is cut at each threshold, what lies beyond counted into the last bin, and compared
    with Q, the same histogram (without what lies beyond) merged into int8's levels and spread out again over the
    bins that were not empty. The threshold with the smallest Kullback-Leibler divergence sum P log(P / Q) wins,
    the larger one of equals. Values of both signs have 128 levels a side, of one sign 256.

    Fewer than `FEWEST_VALUES` values leave most bins with none or one, and any such histogram survives merging
    unharmed: the divergence then favours absurdly small thresholds. All the values seen are covered instead.

    Source: S. Migacz, "8-bit Inference with TensorRT", GPU Technology Conference 2017.
    """

    FEWEST_VALUES = 4 * HISTOGRAM_BINS

    def range(self) -> Range:
        """The values seen, cut at the threshold."""
        if self.counts.sum() < self.FEWEST_VALUES:
            return Range(self.minimum, self.maximum)
        magnitudes = self.counts[HISTOGRAM_BINS:] + self.counts[HISTOGRAM_BINS - 1 :: -1]
        one_sided = self.minimum == 0.0 or self.maximum == 0.0
        levels = 256 if one_sided else 128
        used = np.flatnonzero(magnitudes)
        last = int(used[-1]) + 1 if used.size else 0
        best, smallest = last, math.inf
        for bins in range(last, levels - 1, -1):
            divergence = _divergence(magnitudes[:last], bins, levels)
            if divergence < smallest:
                best, smallest = bins, divergence
        if best == last:
            return Range(self.minimum, self.maximum)
        threshold = best * self.width
        return self._within(-threshold, threshold)


def _divergence(counts: NDArray[np.int64], bins: int, levels: int) -> float:
    """Kullback-Leibler divergence in nats of the first `bins` counts from their form in `levels` levels."""
    kept = counts[:bins].astype(np.float64)
    reference = kept.copy()
    reference[-1] += counts[bins:].sum()
    level = np.arange(bins) * levels // bins
    total = np.bincount(level, weights=kept, minlength=levels)
    occupied = np.bincount(level, weights=kept > 0, minlength=levels)
    spread = np.where(kept > 0, (total / np.maximum(occupied, 1))[level], 0.0)
    mass = spread.sum()
    present = reference > 0
    if mass == 0.0 or (spread[present] == 0.0).any():
        # Values beyond the threshold fell on an empty bin: Q says impossible where P says possible.
        return math.inf
    p = reference[present] / reference.sum()
    return float((p * np.log(p / (spread[present] / mass))).sum())


def make_observer(method: Method, percentile: float = DEFAULT_PERCENTILE) -> Observer:
    """A fresh observer.

    Parameters
    ----------
    method : {"min_max", "percentile", "mse", "kl"}
    percentile : float
        For `percentile` alone.

    Raises
    ------
    InputError
        No such method, or a percentile outside (50, 100].
    """
    match method:
        case "min_max":
            return MinMaxObserver()
        case "percentile":
            return PercentileObserver(percentile)
        case "mse":
            return MseObserver()
        case "kl":
            return KlObserver()
    raise InputError("quantization", "method", repr(method), "one of: " + ", ".join(METHODS))
