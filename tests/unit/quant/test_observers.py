"""Ranges, int8 parameters and the four observers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from accelsim.errors import InputError
from accelsim.quant.observers import (
    HISTOGRAM_BINS,
    METHODS,
    SMALLEST_SCALE,
    HistogramObserver,
    KlObserver,
    MinMaxObserver,
    MseObserver,
    PercentileObserver,
    Range,
    asymmetric_parameters,
    make_observer,
    symmetric_scale,
)

LARGEST = 2.0**127
finite = st.floats(-LARGEST, LARGEST, width=32, allow_subnormal=True)
values = hnp.arrays(np.float32, hnp.array_shapes(max_dims=2, max_side=20), elements=finite)


@settings(deadline=None)
@given(low=st.floats(-3e38, 0.0), high=st.floats(0.0, 3e38))
def test_zero_is_exact_and_the_ends_are_within_half_a_step(low: float, high: float) -> None:
    parameters = asymmetric_parameters(Range(low, high))
    assert parameters.scale >= SMALLEST_SCALE
    assert np.float32(parameters.scale) == parameters.scale
    assert -128 <= parameters.zero_point <= 127
    slack = parameters.scale * (0.5 + 1e-4)
    assert parameters.scale * (-128 - parameters.zero_point) <= low + slack
    assert parameters.scale * (127 - parameters.zero_point) >= high - slack


@settings(deadline=None)
@given(batches=st.lists(values, min_size=1, max_size=4))
def test_min_max_restores_every_value_to_half_a_step(batches: list[np.ndarray]) -> None:
    observer = MinMaxObserver()
    for batch in batches:
        observer.observe(batch)
    seen = np.concatenate([batch.reshape(-1) for batch in batches]).astype(np.float64)
    parameters = asymmetric_parameters(observer.range())
    quantized = np.clip(np.rint(seen / parameters.scale) + parameters.zero_point, -128, 127)
    restored = (quantized - parameters.zero_point) * parameters.scale
    assert np.abs(restored - seen).max() <= parameters.scale * (0.5 + 1e-4)


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None)
@given(batches=st.lists(values, min_size=1, max_size=3))
def test_every_method_stays_within_the_data_and_contains_zero(method: str, batches: list[np.ndarray]) -> None:
    observer = make_observer(method)  # type: ignore[arg-type]
    for batch in batches:
        observer.observe(batch)
    interval = observer.range()
    assert min(0.0, *(float(batch.min()) for batch in batches)) <= interval.low <= 0.0
    assert 0.0 <= interval.high <= max(0.0, *(float(batch.max()) for batch in batches))
    assert asymmetric_parameters(interval).scale > 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("constant", [0.0, 2.5, -3.0])
def test_constant_data(method: str, constant: float) -> None:
    observer = make_observer(method)  # type: ignore[arg-type]
    observer.observe(np.full((3, 5), constant, np.float32))
    interval = observer.range()
    parameters = asymmetric_parameters(interval)
    quantized = np.clip(np.rint(constant / parameters.scale) + parameters.zero_point, -128, 127)
    # The only value there is comes back, to the resolution of a histogram bin.
    assert (quantized - parameters.zero_point) * parameters.scale == pytest.approx(constant, rel=2 / HISTOGRAM_BINS)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_observed_gives_an_empty_range(method: str) -> None:
    observer = make_observer(method)  # type: ignore[arg-type]
    observer.observe(np.empty((0, 4), np.float32))
    assert observer.range() == Range(0.0, 0.0)
    assert asymmetric_parameters(observer.range()).scale == 1.0


def test_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match="method: 'median'; expected one of: min_max, percentile, mse, kl"):
        make_observer("median")  # type: ignore[arg-type]


@pytest.mark.parametrize("percentile", [50.0, 100.5, float("nan")])
def test_percentile_outside_its_range_is_refused(percentile: float) -> None:
    with pytest.raises(InputError, match="percentile"):
        PercentileObserver(percentile)


@settings(deadline=None)
@given(largest=st.floats(0.0, 3e38))
def test_symmetric_scale_reaches_the_largest_value(largest: float) -> None:
    scale = symmetric_scale(largest)
    assert scale > 0
    assert round(largest / scale) <= 127
    assert scale * 127 >= largest * (1 - 1e-6)


@settings(deadline=None)
@given(batches=st.lists(values, min_size=1, max_size=5))
def test_histogram_loses_no_count_and_reaches_the_data(batches: list[np.ndarray]) -> None:
    observer = HistogramObserverForTest()
    for batch in batches:
        observer.observe(batch)
    assert observer.counts.sum() == sum(batch.size for batch in batches)
    largest = max(float(np.abs(batch).max()) for batch in batches)
    assert observer.bound >= largest


class HistogramObserverForTest(HistogramObserver):
    def range(self) -> Range:
        return Range(self.minimum, self.maximum)


@pytest.mark.parametrize("method", ["percentile", "mse", "kl"])
def test_histograms_that_had_to_grow_agree_with_one_that_had_not(method: str) -> None:
    data = np.random.default_rng(3).normal(size=(40, 500)).astype(np.float32)
    data[-1, -1] = 8.0
    grown, whole = make_observer(method), make_observer(method)  # type: ignore[arg-type]
    for row in data:
        grown.observe(row)
    whole.observe(data)
    assert grown.range().low == pytest.approx(whole.range().low, rel=0.08)
    assert grown.range().high == pytest.approx(whole.range().high, rel=0.08)


def test_percentile_matches_the_quantiles_of_the_data() -> None:
    data = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    observer = PercentileObserver(99.0)
    observer.observe(data)
    low, high = np.quantile(data, [0.005, 0.995])
    assert observer.range().low == pytest.approx(low, abs=0.01)
    assert observer.range().high == pytest.approx(high, abs=0.01)


def test_percentile_of_one_hundred_is_min_max() -> None:
    data = np.array([-3.0, 0.5, 7.0], np.float32)
    observer = PercentileObserver(100.0)
    observer.observe(data)
    assert observer.range() == Range(-3.0, 7.0)


def heavy_tailed() -> np.ndarray:
    data = np.random.default_rng(1).normal(size=100_000).astype(np.float32)
    data[:5] = [60.0, -50.0, 55.0, 40.0, -45.0]
    return data


@pytest.mark.parametrize("method", ["percentile", "mse", "kl"])
def test_rare_extremes_are_clipped(method: str) -> None:
    observer = make_observer(method)  # type: ignore[arg-type]
    observer.observe(heavy_tailed())
    interval = observer.range()
    assert -48.0 < interval.low < -2.0
    assert 2.0 < interval.high < 58.0


@settings(deadline=None)
@given(data=hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-1000, 1000, width=32)))
def test_mse_is_never_worse_than_the_full_range(data: np.ndarray) -> None:
    observer = MseObserver()
    observer.observe(data)
    full = Range(observer.minimum, observer.maximum)
    assert observer.squared_error(observer.range()) <= observer.squared_error(full)


def test_mse_finds_what_exhaustive_search_finds() -> None:
    observer = MseObserver()
    observer.observe(heavy_tailed())
    fractions = np.arange(1, 65) / 64
    exhaustive = min(
        observer.squared_error(Range(observer.minimum * low, observer.maximum * high))
        for low in fractions
        for high in fractions
    )
    assert observer.squared_error(observer.range()) <= exhaustive * 1.02


def test_kl_keeps_everything_where_nothing_is_rare() -> None:
    observer = KlObserver()
    observer.observe(np.random.default_rng(2).uniform(-1, 1, 400_000).astype(np.float32))
    assert observer.range().high > 0.95
    assert observer.range().low < -0.95


def test_kl_of_few_values_covers_them_all() -> None:
    observer = KlObserver()
    observer.observe(heavy_tailed()[: KlObserver.FEWEST_VALUES - 1])
    assert observer.range() == Range(observer.minimum, observer.maximum)


def test_kl_gives_one_sided_data_all_levels() -> None:
    observer = KlObserver()
    observer.observe(np.abs(heavy_tailed()))
    assert observer.range().low == 0.0
    assert 2.0 < observer.range().high < 58.0
