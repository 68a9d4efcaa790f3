"""Quantizing GRU, vanilla RNN, reversed and joined layers: shared scales, folding into every reader, refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quantizer_graphs import (
    CELLS,
    array,
    bidirectional_model,
    cell,
    concat,
    ends_model,
    features,
    linear,
    lstm,
    rnn,
)

from accelsim.errors import InputError
from accelsim.graph.execute import run_float
from accelsim.graph.model import Graph, Gru, Rnn, SelectStep, Tensor
from accelsim.quant.calibrate import calibrate, preactivation_scale, scale_groups
from accelsim.quant.equalize import fold_input_scales, input_layers
from accelsim.quant.execute import dequantize, quantize_input, run_quantized
from accelsim.quant.model import QConcat, QGraph, QGru, QLstm, QRnn
from accelsim.quant.observers import METHODS
from accelsim.quant.quantize import quantize
from accelsim.quant.quantize_layers import smallest_hidden_scale
from accelsim.quant.sensitivity import sensitivity
from accelsim.quant.validate import check_quantized_graph

MODELS: dict[str, Callable[[int], Graph]] = {
    **{kind: (lambda seed, kind=kind: bidirectional_model(kind, seed)) for kind in CELLS},
    "both ends": ends_model,
}


def outputs(qgraph: QGraph, data: np.ndarray) -> np.ndarray:
    values = run_quantized(qgraph, quantize_input(qgraph.input, data))
    return dequantize(qgraph.output, values[qgraph.output.name])


def sqnr(exact: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10((exact.astype(float) ** 2).sum() / ((exact - found).astype(float) ** 2).sum()))


@pytest.mark.parametrize("equalize", [True, False])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MODELS)
def test_quantized_stays_close_to_float(name: str, method: str, equalize: bool) -> None:
    graph = MODELS[name](0)
    data = features(graph, frames=100)
    result = quantize(graph, data[:60], method=method, equalize=equalize)  # type: ignore[arg-type]
    check_quantized_graph(result.qgraph, "g")
    exact = run_float(graph, data[60:])[graph.output.name]
    assert sqnr(exact, outputs(result.qgraph, data[60:])) > 18


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(list(MODELS)),
    seed=st.integers(0, 2**16),
    magnitude=st.integers(-30, 8),
    equalize=st.booleans(),
)
def test_any_size_of_data_and_weights(name: str, seed: int, magnitude: int, equalize: bool) -> None:
    graph = MODELS[name](seed)
    for layer in input_layers(graph):
        layer.input_weights[:] *= np.float32(10.0**-magnitude)  # type: ignore[union-attr]
    data = (features(graph, frames=20, seed=seed) * np.float32(10.0**magnitude)).astype(np.float32)
    result = quantize(graph, data, equalize=equalize)
    check_quantized_graph(result.qgraph, "g")
    assert sqnr(run_float(graph, data)[graph.output.name], outputs(result.qgraph, data)) > 10


@pytest.mark.parametrize("equalize", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_an_all_zero_model_and_all_zero_data(name: str, equalize: bool) -> None:
    graph = MODELS[name](0)
    data = features(graph)
    silent = np.zeros_like(data)
    result = quantize(graph, silent, equalize=equalize)
    check_quantized_graph(result.qgraph, "g")
    assert np.isfinite(outputs(result.qgraph, silent)).all()
    for layer in graph.layers:
        for field in ("input_weights", "recurrent_weights", "weights", "bias", "input_bias", "recurrent_bias"):
            if hasattr(layer, field):
                getattr(layer, field)[:] = 0
    result = quantize(graph, data, equalize=equalize)
    check_quantized_graph(result.qgraph, "g")
    assert not outputs(result.qgraph, data).any()


# --- shared scales -----------------------------------------------------------------------------------------------


def test_joined_tensors_share_the_range_of_all_their_values() -> None:
    graph = bidirectional_model()
    data = features(graph)
    tensors = run_float(graph, data)
    calibration = calibrate(graph, data)
    assert set(calibration.ranges) == {"x", "forward_h", "backward_h", "second_h", "head_y"}
    together = np.concatenate([tensors["forward_h"], tensors["backward_h"]])
    for name in ("forward_h", "backward_h"):
        assert calibration.ranges[name].low == pytest.approx(float(together.min()))
        assert calibration.ranges[name].high == pytest.approx(float(together.max()))
    qgraph = quantize(graph, data).qgraph
    joint = qgraph.layers[2]
    assert isinstance(joint, QConcat)
    assert {(float(part.scale[0]), part.zero_point) for part in joint.parts} == {
        (float(joint.y.scale[0]), joint.y.zero_point)
    }
    assert joint.y.name == "both_y"


def test_scales_are_shared_through_steps_and_chains_of_joints() -> None:
    assert len({scale_groups(ends_model())[name] for name in ("forward_h", "backward_h", "last_y", "both_y")}) == 1
    random = np.random.default_rng(0)
    x = Tensor("x", (3, 2))
    a, b, c, d = (lstm(random, name, x, 2) for name in "abcd")
    ab, cd = concat("ab", a.y, b.y), concat("cd", c.y, d.y)
    bc = concat("bc", b.y, c.y)
    groups = scale_groups(Graph("g", x, bc.y, (a, b, c, d, ab, cd, bc)))
    assert len({group for name, group in groups.items() if name != "x"}) == 1
    assert groups["x"] == "x"


def test_a_joint_of_other_kinds_takes_the_coarsest_of_the_finest_scales() -> None:
    random = np.random.default_rng(0)
    x = Tensor("x", (3, 2))
    first, second = lstm(random, "first", x, 2), linear(random, "second", x, 3)
    for weights in (first.input_weights, first.recurrent_weights, first.bias, second.weights, second.bias):
        weights *= np.float32(1e-12)
    both = concat("both", second.y, first.y)
    qgraph = quantize(graph := Graph("g", x, both.y, (first, second, both)), features(graph)).qgraph
    check_quantized_graph(qgraph, "g")
    assert float(qgraph.output.scale[0]) == smallest_hidden_scale(None)


def test_an_input_that_is_joined_keeps_one_scale() -> None:
    random = np.random.default_rng(0)
    x = Tensor("x", (3, 2))
    first = lstm(random, "first", x, 2)
    both = concat("both", x, first.y)
    graph = Graph("g", x, both.y, (first, both))
    assert input_layers(graph) == ()
    result = quantize(graph, features(graph))
    assert not result.report.equalized
    assert result.qgraph.input.scale.shape == (1,)
    check_quantized_graph(result.qgraph, "g")


# --- equalization ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CELLS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_folding_reaches_both_directions_exactly(kind: str, seed: int) -> None:
    graph = bidirectional_model(kind, seed)
    assert [layer.name for layer in input_layers(graph)] == ["forward", "backward"]
    factors = 2.0 ** np.random.default_rng(seed).integers(-6, 6, graph.input.features).astype(np.float32)
    data = features(graph, frames=2, seed=seed)
    expected = run_float(graph, data)
    found = run_float(fold_input_scales(graph, factors), data / factors)
    for name in ("forward_h", "backward_h", "both_y", "head_y"):
        np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_sensitivity_is_the_derivative_of_the_hidden_state(kind: str, reverse: bool) -> None:
    # The last feature is a probe: 1 in the step taken second, so its weights shift that step's pre-activations alone.
    x = Tensor("x", (2, 4))
    layer = cell(np.random.default_rng(3), kind, "cell", x, 5, reverse)
    graph = Graph("g", x, layer.y, (layer,))
    weights = layer.input_weights[np.newaxis] if isinstance(layer, Rnn) else layer.input_weights
    weights[..., -1] = 0
    second = 0 if reverse else 1
    data = features(graph, frames=1, spread=0.0)
    data[0, :, -1] = 0
    data[0, second, -1] = 1
    found = sensitivity(layer, run_float(graph, data))
    assert found.shape == (2, len(weights), 5)
    small = np.float32(1e-2)
    for gate in range(len(weights)):
        for unit in range(5):
            shifted = []
            for shift in (-small, small):
                weights[gate, unit, -1] = shift
                shifted.append(run_float(graph, data)["cell_h"][0, second].astype(np.float64))
            weights[gate, unit, -1] = 0
            slopes = (shifted[1] - shifted[0]) / (2 * float(small))
            assert found[second, gate, unit] == pytest.approx((slopes**2).sum(), rel=0.03, abs=1e-5)


# --- the cells' own ----------------------------------------------------------------------------------------------


def test_a_gru_recurrent_bias_has_the_scale_of_the_recurrent_product() -> None:
    graph = bidirectional_model("gru, linear before reset")
    layer, first = quantize(graph, features(graph)).qgraph.layers[0], graph.layers[0]
    assert isinstance(layer, QGru)
    assert isinstance(first, Gru)
    for gate in range(3):
        assert np.abs(layer.recurrent_weights[gate]).max() == 127
        scale = float(np.abs(first.recurrent_weights[gate]).max()) / 127 * float(layer.y.scale[0])
        row_sums = layer.recurrent_weights[gate].sum(axis=1, dtype=np.int64)
        bias = layer.recurrent_bias[gate] + layer.hidden_zero_point * row_sums
        np.testing.assert_allclose(bias * scale, first.recurrent_bias[gate], atol=scale * 0.51)


def test_directions_and_order_of_reset_are_kept() -> None:
    for kind in CELLS:
        graph = bidirectional_model(kind)
        for layer, found in zip(graph.layers, quantize(graph, features(graph)).qgraph.layers, strict=True):
            for field in ("name", "reverse", "linear_before_reset", "activation"):
                assert getattr(found, field, None) == getattr(layer, field, None)


def relu_model(magnitude: float = 1.0) -> Graph:
    x = Tensor("x", (6, 4))
    layer = rnn(np.random.default_rng(4), "rnn", x, 5, "relu")
    layer.input_weights[:] *= np.float32(magnitude)
    layer.bias[:] *= np.float32(magnitude)
    return Graph("relu", x, layer.y, (layer,))


@pytest.mark.parametrize("power", [-12, -5, 3, 16])
def test_a_relu_network_in_another_unit_has_the_same_bytes(power: int) -> None:
    one, other = relu_model(), relu_model(2.0**power)
    data = features(one)
    first, second = (quantize(graph, data).qgraph for graph in (one, other))
    before, after = first.layers[0], second.layers[0]
    assert isinstance(before, QRnn)
    assert isinstance(after, QRnn)
    assert after.preactivation_scale_log2 == before.preactivation_scale_log2 + power
    assert float(after.y.scale[0]) == float(before.y.scale[0]) * 2.0**power
    integers = quantize_input(first.input, data)
    np.testing.assert_array_equal(run_quantized(first, integers)["rnn_h"], run_quantized(second, integers)["rnn_h"])


def test_the_scale_of_relu_is_the_smallest_power_of_two_that_holds_its_argument() -> None:
    graph = relu_model()
    data = features(graph)
    largest = float(np.abs(run_float(graph, data)["rnn.preactivation"]).max())
    found = calibrate(graph, data).preactivations["rnn"]
    assert found.largest == pytest.approx(largest)
    assert largest <= 2.0 ** (found.log2 + 15) < 2 * largest
    assert calibrate(bidirectional_model("rnn, tanh"), features(bidirectional_model())).preactivations == {}


@pytest.mark.parametrize(
    ("largest", "log2", "note"),
    [
        (0.0, -12, ""),
        (1.0, -15, ""),
        (1.01, -14, ""),
        (8.0, -12, ""),
        (1e-9, -31, "would fit 2^-44; raised to 2^-31, the finest scale there is"),
        (1e30, 31, "lowered to 2^31, the pre-activation saturates at 7.03687e+13"),
    ],
)
def test_preactivation_scale(largest: float, log2: int, note: str) -> None:
    found = preactivation_scale(largest)
    assert (found.log2, found.largest) == (log2, largest)
    assert note in found.note
    assert bool(note) == bool(found.note)


def test_relu_far_below_zero_leaves_room_for_its_left_shift() -> None:
    """Arguments of -1e6 and results of 1e-3: a factor of more than 2**15 would wrap in int32."""
    x = Tensor("x", (3, 2))
    layer = Rnn(
        "rnn",
        x,
        Tensor("y", (3, 2)),
        np.zeros((2, 2), np.float32),
        np.zeros((2, 2), np.float32),
        array(np.random.default_rng(0), 2),
        "relu",
    )
    layer.bias[:] = [-1e6, 1e-3]
    graph = Graph("g", x, layer.y, (layer,))
    data = features(graph)
    qgraph = quantize(graph, data).qgraph
    found = qgraph.layers[0]
    assert isinstance(found, QRnn)
    assert found.hidden_requantizer.shift <= 16
    assert (outputs(qgraph, data)[..., 0] == 0).all()


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("gru", {"input_weights": 1e7}, "layer 'forward': reset gate, input: its pre-activation can reach"),
        ("gru", {"recurrent_weights": 1e7}, "layer 'forward': reset gate, recurrent: its pre-activation can reach"),
        ("gru", {"recurrent_bias": 1e7}, "layer 'forward': reset gate, recurrent: its pre-activation can reach"),
        ("rnn, tanh", {"input_weights": 1e7}, "layer 'forward': input: its pre-activation can reach"),
        ("rnn, tanh", {"recurrent_weights": 1e7}, "layer 'forward': recurrent: its pre-activation can reach"),
    ],
)
def test_pre_activations_beyond_the_requantization_are_refused(
    kind: str, change: dict[str, float], message: str
) -> None:
    graph = bidirectional_model(kind)
    changed = {field: getattr(graph.layers[0], field) * np.float32(by) for field, by in change.items()}
    graph = replace(graph, layers=(replace(graph.layers[0], **changed), *graph.layers[1:]))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=f"^bidirectional.pth: {message}.*; expected less than 262144"):
        quantize(graph, features(graph))


def test_relu_calibrated_on_far_smaller_data_is_refused() -> None:
    """Silence on both inputs, whose weights outweigh the bias by more than the int32 requantization holds."""
    graph = relu_model()
    layer = graph.layers[0]
    assert isinstance(layer, Rnn)
    layer.bias[:] = 1e-6
    data = np.zeros((2, *graph.input.shape), np.float32)
    data[0, 0, 0], layer.input_weights[:, 0] = 1.0, 0.0
    with pytest.raises(InputError, match=r"'rnn': (input|recurrent): its pre-activation can reach .*; expected less"):
        quantize(graph, data, equalize=False)


def test_the_report_names_every_computed_layer() -> None:
    graph = bidirectional_model("rnn, relu")
    result = quantize(graph, features(graph))
    found = {tensor.layer: tensor for tensor in result.report.tensors}
    assert list(found) == ["input", "forward", "backward", "second", "head"]
    assert [tensor.kind for tensor in found.values()] == ["input", "rnn", "rnn", "rnn", "linear"]
    layer = next(layer for layer in result.qgraph.layers if layer.name == "second")
    assert isinstance(layer, QRnn)
    assert found["second"].preactivation_scale_log2 == layer.preactivation_scale_log2
    assert found["second"].largest_preactivation is not None
    rows = {row[0]: row for row in result.report.rows()}
    assert rows["second"][5] == f"2^{layer.preactivation_scale_log2}"
    for kind in ("gru", "rnn, tanh"):
        graph = bidirectional_model(kind)
        report = quantize(graph, features(graph)).report
        assert [tensor.kind for tensor in report.tensors[1:4]] == [kind.partition(",")[0]] * 3
        assert report.rows()[1][5] == ""


def test_reversed_lstm_reads_the_end_first() -> None:
    """Quantized and float agree on which direction is which: features after the selected step don't count."""
    random = np.random.default_rng(5)
    x = Tensor("x", (6, 3))
    back = lstm(random, "back", x, 4, reverse=True)
    last = SelectStep("last", back.y, Tensor("last_y", (4,)), 4)
    graph = Graph("g", x, last.y, (back, last))
    data = features(graph)
    qgraph = quantize(graph, data).qgraph
    assert isinstance(qgraph.layers[0], QLstm)
    early, late = data.copy(), data.copy()
    early[:, :4] *= -1
    late[:, 5] *= -1
    np.testing.assert_array_equal(outputs(qgraph, early), outputs(qgraph, data))
    assert (outputs(qgraph, late) != outputs(qgraph, data)).any()
