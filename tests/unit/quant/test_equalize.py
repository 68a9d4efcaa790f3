"""Input equalization: folding changes nothing in float, and the chosen scales are the best ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quantizer_graphs import features, linear_model, recurrent_model, selecting_model

from accelsim.graph.execute import run_float
from accelsim.graph.model import Graph, Lstm
from accelsim.quant import equalize
from accelsim.quant.equalize import EqualizationStatistics, InputEqualization, fold_input_scales, input_layers
from accelsim.quant.sensitivity import sensitivity

BUILDERS = [recurrent_model, linear_model, selecting_model]


def solve(graph: Graph, data: np.ndarray, batch: int = 4) -> InputEqualization:
    largest = np.abs(data).reshape(-1, data.shape[-1]).max(axis=0)
    statistics = EqualizationStatistics(graph, largest, data.size // data.shape[-1])
    for start in range(0, len(data), batch):
        statistics.observe(run_float(graph, data[start : start + batch]))
    return statistics.solve()


@pytest.mark.parametrize("build", BUILDERS)
@settings(deadline=None)
@given(seed=st.integers(0, 2**16))
def test_folding_powers_of_two_is_exact(build: Callable[..., Graph], seed: int) -> None:
    graph = build(seed)
    factors = 2.0 ** np.random.default_rng(seed).integers(-6, 6, graph.input.features).astype(np.float32)
    data = features(graph, frames=2, seed=seed)
    expected = run_float(graph, data)
    found = run_float(fold_input_scales(graph, factors), data / factors)
    for layer in graph.layers:
        if layer.name != "last":
            np.testing.assert_array_equal(found[layer.y.name], expected[layer.y.name])


@pytest.mark.parametrize("build", BUILDERS)
@settings(deadline=None)
@given(seed=st.integers(0, 2**16))
def test_folding_any_factors_is_exact_to_rounding(build: Callable[..., Graph], seed: int) -> None:
    graph = build(seed)
    factors = np.random.default_rng(seed).uniform(0.01, 100, graph.input.features).astype(np.float32)
    data = features(graph, frames=2, seed=seed)
    expected = run_float(graph, data)[graph.output.name]
    found = run_float(fold_input_scales(graph, factors), data / factors)[graph.output.name]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_factors_times_reference_are_the_scales_exactly() -> None:
    graph = recurrent_model()
    chosen = solve(graph, features(graph))
    assert np.log2(chosen.reference) == np.floor(np.log2(chosen.reference))
    np.testing.assert_array_equal(chosen.factors * np.float32(chosen.reference), chosen.scale)
    assert chosen.scale.dtype == np.float32
    assert (chosen.scale > 0).all()


def test_input_layers_reach_through_selected_steps() -> None:
    assert [layer.name for layer in input_layers(selecting_model())] == ["head"]
    assert [layer.name for layer in input_layers(recurrent_model())] == ["first"]


def first_layer_error(graph: Graph, data: np.ndarray, scale: np.ndarray, zero_point: int) -> float:
    """Mean squared error of a linear first layer with input and weights rounded, its weights a scale a row."""
    weights = graph.layers[-1].weights.astype(np.float64)  # type: ignore[union-attr]
    folded = weights * scale
    steps = np.abs(folded).max(axis=1, keepdims=True) / 127
    quantized = np.clip(np.rint(data / scale), -128 - zero_point, 127 - zero_point)
    return float(((quantized @ (np.rint(folded / steps) * steps).T - data @ weights.T) ** 2).mean())


def test_expected_error_is_what_a_linear_layer_shows() -> None:
    graph = linear_model(inputs=40, outputs=30)
    data = features(graph, frames=400, spread=6.0)
    chosen = solve(graph, data, batch=64)
    measured = first_layer_error(graph, data, chosen.scale, chosen.zero_point)
    assert chosen.expected_error / 30 == pytest.approx(measured, rel=0.35)


@pytest.mark.parametrize("spread", [0.0, 4.0, 10.0])
def test_no_common_multiple_of_sigma_does_better(spread: float) -> None:
    graph = linear_model(inputs=24, outputs=16)
    data = features(graph, frames=500, spread=spread)
    chosen = solve(graph, data, batch=100)
    found = first_layer_error(graph, data, chosen.scale, chosen.zero_point)
    deviation = data.std(axis=0)
    for multiple in (2.0, 2.5, 3.0, 3.5, 4.0, 5.0):
        assert found <= first_layer_error(graph, data, deviation * multiple / 127, 0) * 1.1
    assert found <= first_layer_error(graph, data, np.full(24, np.abs(data).max() / 127), 0) * 1.1


def test_one_sided_features_get_all_levels() -> None:
    graph = linear_model()
    assert solve(graph, np.abs(features(graph, frames=100))).zero_point == -128
    assert solve(graph, -np.abs(features(graph, frames=100))).zero_point == 127
    assert solve(graph, features(graph, frames=400)).zero_point == 0


def test_an_extreme_that_saturates_every_gate_is_clipped() -> None:
    graph = recurrent_model(units=12)
    first = graph.layers[0]
    assert isinstance(first, Lstm)
    first.input_weights[..., 0] = np.where(first.input_weights[..., 0] < 0, -0.4, 0.4)
    data = features(graph, frames=64, spread=0.0)
    quiet = solve(graph, data).scale[0]
    data[0, 2:, 0] = -400.0
    # Plain squared error would stretch the scale about a hundredfold to hold the extreme.
    assert solve(graph, data).scale[0] < 4 * quiet


def test_batch_size_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equalize, "MAX_ROWS", 50)
    graph = recurrent_model()
    data = features(graph, frames=40)
    whole, single = solve(graph, data, batch=40), solve(graph, data, batch=1)
    np.testing.assert_array_equal(whole.scale, single.scale)
    assert whole.expected_error == pytest.approx(single.expected_error, rel=1e-5)


def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equalize, "MAX_ROWS", 10)
    graph = linear_model()
    rows: list[int] = []
    observe = equalize._LayerStatistics.observe
    monkeypatch.setattr(
        equalize._LayerStatistics,
        "observe",
        lambda self, x, weighting: (rows.append(len(x)), observe(self, x, weighting)),
    )
    solve(graph, features(graph, frames=95), batch=7)
    assert 5 <= sum(rows) <= 10


@pytest.mark.parametrize("build", BUILDERS)
def test_all_zero_data_and_all_zero_features(build: Callable[..., Graph]) -> None:
    graph = build()
    data = features(graph)
    silent = solve(graph, np.zeros_like(data))
    assert np.isfinite(silent.scale).all()
    assert (silent.scale > 0).all()
    data[..., 2] = 0
    chosen = solve(graph, data)
    assert np.isfinite(chosen.scale).all()
    # A feature not seen yet is given reach, as far as its weights cost the others nothing.
    assert chosen.scale[2] >= np.delete(chosen.scale, 2).min()


def test_sensitivity_is_the_derivative_of_the_hidden_state() -> None:
    # The last feature is a probe: 0 in the first step, 1 in the second, so its weights shift the second step's
    # pre-activations alone.
    graph = recurrent_model(seed=5, steps=2)
    layer = graph.layers[0]
    assert isinstance(layer, Lstm)
    layer.input_weights[..., -1] = 0
    data = features(graph, frames=1, spread=0.0)
    data[0, :, -1] = [0, 1]
    found = sensitivity(layer, run_float(graph, data))[1]
    small = np.float32(1e-2)
    for gate in range(4):
        for unit in range(layer.units):
            shifted = []
            for shift in (-small, small):
                layer.input_weights[gate, unit, -1] = shift
                shifted.append(float(run_float(graph, data)["first_h"][0, 1, unit]))
            layer.input_weights[gate, unit, -1] = 0
            slope = (shifted[1] - shifted[0]) / (2 * float(small))
            assert found[gate, unit] == pytest.approx(slope**2, rel=0.02, abs=1e-6)
