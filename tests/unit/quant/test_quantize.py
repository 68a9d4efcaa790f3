"""The quantizer: integers within their types, close to the float model, whatever the model and the data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quantizer_graphs import features, linear_model, recurrent_model, selecting_model

from accelsim.errors import InputError
from accelsim.graph.execute import run_float
from accelsim.graph.model import Graph, Linear, Lstm, SelectStep
from accelsim.quant.execute import dequantize, quantize_input, run_quantized
from accelsim.quant.model import QGraph, QLinear, QLstm, QSelectStep
from accelsim.quant.observers import METHODS
from accelsim.quant.quantize import quantize
from accelsim.quant.quantize_layers import weight_scale
from accelsim.quant.report import QuantizationReport

BUILDERS = [recurrent_model, linear_model, selecting_model]


def outputs(qgraph: QGraph, data: np.ndarray) -> np.ndarray:
    values = run_quantized(qgraph, quantize_input(qgraph.input, data))
    return dequantize(qgraph.output, values[qgraph.output.name])


def sqnr(exact: np.ndarray, found: np.ndarray) -> float:
    return float(10 * np.log10((exact.astype(float) ** 2).sum() / ((exact - found).astype(float) ** 2).sum()))


def check_types(qgraph: QGraph) -> None:
    for layer in qgraph.layers:
        if isinstance(layer, QLstm):
            weights, biases = [layer.input_weights, layer.recurrent_weights], [layer.input_bias, layer.recurrent_bias]
            assert -15 <= layer.cell_scale_log2 <= -9
            assert layer.initial_hidden == layer.hidden_zero_point == layer.y.zero_point
        elif isinstance(layer, QLinear):
            weights, biases = [layer.weights], [layer.bias]
            assert layer.output_scale.dtype == np.float64
            assert np.isfinite(layer.output_scale).all()
        else:
            continue
        assert all(array.dtype == np.int8 and array.min() >= -127 for array in weights)
        assert all(array.dtype == np.int32 for array in biases)
        assert -128 <= layer.y.zero_point <= 127
        assert layer.y.scale.dtype == np.float32


@pytest.mark.parametrize("equalize", [True, False])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("build", BUILDERS)
def test_quantized_stays_close_to_float(build: Callable[..., Graph], method: str, equalize: bool) -> None:
    graph = build()
    data = features(graph, frames=100)
    result = quantize(graph, data[:60], method=method, equalize=equalize)  # type: ignore[arg-type]
    check_types(result.qgraph)
    held_out = data[60:]
    exact = run_float(graph, held_out)[graph.output.name]
    assert sqnr(exact, outputs(result.qgraph, held_out)) > 20


def test_equalization_helps_features_of_different_size() -> None:
    graph = linear_model(inputs=20, outputs=8)
    head = graph.layers[0]
    assert isinstance(head, Linear)
    data = features(graph, frames=200, spread=10.0)
    # Trained weights are large where features are small.
    head.weights[:] /= data.std(axis=0)
    exact = run_float(graph, data)[graph.output.name]
    with_it, without = (outputs(quantize(graph, data, equalize=on).qgraph, data) for on in (True, False))
    assert sqnr(exact, with_it) > sqnr(exact, without) + 10


@pytest.mark.parametrize("build", BUILDERS)
def test_structure_follows_the_graph(build: Callable[..., Graph]) -> None:
    graph = build()
    qgraph = quantize(graph, features(graph)).qgraph
    kinds = {Lstm: QLstm, Linear: QLinear, SelectStep: QSelectStep}
    assert [type(layer) for layer in qgraph.layers] == [kinds[type(layer)] for layer in graph.layers]
    assert [layer.name for layer in qgraph.layers] == [layer.name for layer in graph.layers]
    assert (qgraph.name, qgraph.input.name, qgraph.output.name) == (graph.name, graph.input.name, graph.output.name)
    made = {qgraph.input.name: qgraph.input}
    for layer in qgraph.layers:
        assert layer.x is made[layer.x.name]
        made[layer.y.name] = layer.y
    assert qgraph.output is made[qgraph.output.name]


def test_an_equalized_input_has_a_scale_a_feature_and_keeps_it_through_selection() -> None:
    graph = selecting_model()
    data = features(graph)
    equalized, plain = quantize(graph, data).qgraph, quantize(graph, data, equalize=False).qgraph
    assert equalized.input.scale.shape == (graph.input.features,)
    assert equalized.layers[0].y.scale is equalized.input.scale
    assert plain.input.scale.shape == (1,)


def test_an_input_nothing_multiplies_is_not_equalized() -> None:
    graph = selecting_model()
    select = graph.layers[0]
    bare = replace(graph, output=select.y, layers=(select,))
    result = quantize(bare, features(bare))
    assert not result.report.equalized
    assert result.qgraph.input.scale.shape == (1,)


def test_weights_of_a_gate_reach_127_and_its_bias_has_their_scale() -> None:
    graph = recurrent_model()
    layer = quantize(graph, features(graph), equalize=False).qgraph.layers[0]
    first = graph.layers[0]
    assert isinstance(layer, QLstm)
    assert isinstance(first, Lstm)
    for gate in range(4):
        assert np.abs(layer.input_weights[gate]).max() == 127
        assert np.abs(layer.recurrent_weights[gate]).max() == 127
        scale = float(np.abs(first.input_weights[gate]).max()) / 127 * float(layer.x.scale[0])
        row_sums = layer.input_weights[gate].sum(axis=1, dtype=np.int64)
        bias = layer.input_bias[gate] + layer.x.zero_point * row_sums
        np.testing.assert_allclose(bias * scale, first.bias[gate], atol=scale * 0.51)


def test_linear_weights_have_a_scale_a_row() -> None:
    graph = linear_model()
    head = graph.layers[0]
    assert isinstance(head, Linear)
    head.weights[:] *= np.array([[1e-3], [1.0], [1e3]], np.float32)
    layer = quantize(graph, features(graph), equalize=False).qgraph.layers[0]
    assert isinstance(layer, QLinear)
    assert (np.abs(layer.weights).max(axis=1) == 127).all()


def test_cell_clip() -> None:
    graph = recurrent_model()
    layer = quantize(graph, features(graph), cell_clip=0.25).qgraph.layers[0]
    assert isinstance(layer, QLstm)
    assert layer.cell_clip == round(0.25 / 2.0**layer.cell_scale_log2)
    default = quantize(graph, features(graph)).qgraph.layers[0]
    assert isinstance(default, QLstm)
    assert default.cell_clip == 0


@pytest.mark.parametrize("clip", [-1.0, float("nan"), float("inf"), 1e39])
def test_bad_cell_clip_is_refused(clip: float) -> None:
    graph = recurrent_model()
    with pytest.raises(InputError, match="cell clip"):
        quantize(graph, features(graph), cell_clip=clip)


def test_a_cell_clip_below_one_step_of_the_cell_state_is_refused() -> None:
    """The kernel would take its int16 form, 0, for no clip at all."""
    graph = recurrent_model()
    first = quantize(graph, features(graph)).qgraph.layers[0]
    assert isinstance(first, QLstm)
    step = 2.0**first.cell_scale_log2
    for clip in (0.99 * step, 1e-30):
        with pytest.raises(InputError) as caught:
            quantize(graph, features(graph), cell_clip=clip)
        assert f"layer {first.name!r}: cell clip: {clip:g}; expected at least {step:g}" in str(caught.value)


def test_a_cell_clip_of_one_step_is_taken() -> None:
    graph = recurrent_model()
    lstms = [layer for layer in quantize(graph, features(graph)).qgraph.layers if isinstance(layer, QLstm)]
    step = max(2.0**layer.cell_scale_log2 for layer in lstms)
    clipped = quantize(graph, features(graph), cell_clip=step).qgraph.layers
    assert min(layer.cell_clip for layer in clipped if isinstance(layer, QLstm)) == 1


def test_a_cell_clip_without_an_lstm_is_refused() -> None:
    graph = linear_model()
    with pytest.raises(InputError, match=r"cell clip: 0\.5 for a model without LSTM layers; expected 0 \(none\)"):
        quantize(graph, features(graph), cell_clip=0.5)


@pytest.mark.parametrize("equalize", [True, False])
def test_zero_weights_and_zero_biases(equalize: bool) -> None:
    graph = recurrent_model()
    first, second, _, head = graph.layers
    assert isinstance(first, Lstm)
    assert isinstance(second, Lstm)
    assert isinstance(head, Linear)
    first.input_weights[1] = 0
    first.recurrent_weights[2] = 0
    second.input_weights[3] = 0
    second.bias[3] = 0
    head.weights[0] = 0
    head.weights[1], head.bias[1] = 0, 0
    data = features(graph, frames=40)
    result = quantize(graph, data, equalize=equalize)
    check_types(result.qgraph)
    exact = run_float(graph, data)[graph.output.name]
    found = outputs(result.qgraph, data)
    assert sqnr(exact, found) > 20
    np.testing.assert_allclose(found[:, 0], head.bias[0], atol=float(result.qgraph.output.scale[0]))
    assert (found[:, 1] == 0).all()


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("equalize", [True, False])
def test_an_all_zero_model_and_all_zero_data(build: Callable[..., Graph], equalize: bool) -> None:
    graph = build()
    data = features(graph)
    silent = np.zeros_like(data)
    assert np.isfinite(outputs(quantize(graph, silent, equalize=equalize).qgraph, silent)).all()
    for layer in graph.layers:
        for name in ("input_weights", "recurrent_weights", "weights", "bias"):
            if hasattr(layer, name):
                getattr(layer, name)[:] = 0
    result = quantize(graph, data, equalize=equalize)
    check_types(result.qgraph)
    assert not outputs(result.qgraph, data).any()
    assert json.loads(json.dumps(result.report.to_dict(), allow_nan=False))


def test_constant_data() -> None:
    graph = recurrent_model()
    data = np.full((8, *graph.input.shape), 2.5, np.float32)
    exact = run_float(graph, data)[graph.output.name]
    assert sqnr(exact, outputs(quantize(graph, data).qgraph, data)) > 20


def test_a_bias_far_above_its_weights_still_fits() -> None:
    graph = linear_model()
    head = graph.layers[0]
    assert isinstance(head, Linear)
    head.weights[:] *= 1e-12
    data = features(graph)
    result = quantize(graph, data, equalize=False)
    found = outputs(result.qgraph, data)
    np.testing.assert_allclose(found, np.broadcast_to(head.bias, found.shape), atol=0.02)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    build=st.sampled_from(BUILDERS),
    magnitude=st.integers(-30, 8),
    equalize=st.booleans(),
    method=st.sampled_from(METHODS),
)
def test_any_size_of_data_and_weights(
    seed: int, build: Callable[..., Graph], magnitude: int, equalize: bool, method: str
) -> None:
    graph = build(seed)
    first = next(layer for layer in graph.layers if not isinstance(layer, SelectStep))
    # Features times 10**magnitude and weights divided by it: the float model does the same in another unit.
    (first.input_weights if isinstance(first, Lstm) else first.weights)[:] *= np.float32(10.0**-magnitude)
    data = (features(graph, frames=20, seed=seed) * np.float32(10.0**magnitude)).astype(np.float32)
    result = quantize(graph, data, equalize=equalize, method=method)  # type: ignore[arg-type]
    check_types(result.qgraph)
    exact = run_float(graph, data)[graph.output.name]
    assert sqnr(exact, outputs(result.qgraph, data)) > 12


def test_pre_activations_beyond_the_requantization_are_refused() -> None:
    graph = recurrent_model()
    data = (features(graph) * 1e7).astype(np.float32)
    with pytest.raises(InputError, match=r"recurrent.pth: layer 'first': input gate, input: its pre-activation can"):
        quantize(graph, data)


def test_recurrent_weights_beyond_the_requantization_are_refused() -> None:
    graph = recurrent_model()
    first = graph.layers[0]
    assert isinstance(first, Lstm)
    first.recurrent_weights[2] *= 1e7
    with pytest.raises(InputError, match="'first': cell gate, recurrent: its pre-activation can reach"):
        quantize(graph, features(graph))


def test_a_bias_no_scale_is_large_enough_for_is_refused() -> None:
    graph = linear_model()
    head = graph.layers[0]
    assert isinstance(head, Linear)
    head.bias[1] = 1e38
    data = (features(graph) * np.float32(1e-30)).astype(np.float32)
    with pytest.raises(InputError, match="layer 'head': its sums can leave int32"):
        quantize(graph, data, equalize=False)


@pytest.mark.parametrize("kind", ["lstm", "linear"])
def test_more_inputs_than_the_accumulator_holds_are_refused(kind: str) -> None:
    build = recurrent_model if kind == "lstm" else linear_model
    options = {"steps": 1, "units": 1} if kind == "lstm" else {}
    graph = build(inputs=2**17, outputs=1, **options)  # type: ignore[operator]
    first = graph.layers[0]
    (first.input_weights if isinstance(first, Lstm) else first.weights)[:] = 1e-5  # type: ignore[union-attr]
    first.bias[:] = 0  # type: ignore[union-attr]
    data = np.ones((1, *graph.input.shape), np.float32)
    with pytest.raises(InputError, match="its sums can leave int32"):
        quantize(graph, data, equalize=False)


def test_weight_scale_of_nothing_makes_the_factor_one() -> None:
    nothing = np.zeros((3, 2), np.float32)
    assert weight_scale(nothing, np.zeros(3, np.float32), 2.0**-5) == 2.0**-7


def test_progress_and_batches() -> None:
    graph = recurrent_model()
    calls: list[tuple[int, int]] = []
    result = quantize(
        graph,
        features(graph, frames=50),
        batches=4,
        batch_size=10,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(done, 6) for done in range(1, 7)]
    assert result.report.frames == 40


def test_the_same_input_gives_the_same_integers() -> None:
    graph = recurrent_model()
    data = features(graph)
    first, second = (quantize(graph, data, batch_size=size).qgraph for size in (1, 5))
    for one, other in zip(first.layers, second.layers, strict=True):
        if isinstance(one, QLstm):
            assert isinstance(other, QLstm)
            np.testing.assert_array_equal(one.input_weights, other.input_weights)
            np.testing.assert_array_equal(one.recurrent_weights, other.recurrent_weights)


def report() -> QuantizationReport:
    graph = recurrent_model()
    return quantize(graph, features(graph, frames=30)).report


def test_report_says_what_was_chosen_and_how_good_it_is() -> None:
    graph = recurrent_model()
    data = features(graph, frames=30)
    result = quantize(graph, data)
    found, qgraph = result.report, result.qgraph
    assert (found.model, found.method, found.equalized, found.frames) == ("recurrent", "min_max", True, 30)
    assert found.input_scales == tuple(float(scale) for scale in qgraph.input.scale)
    assert [(tensor.layer, tensor.kind) for tensor in found.tensors] == [
        ("input", "input"),
        ("first", "lstm"),
        ("second", "lstm"),
        ("head", "linear"),
    ]
    exact = run_float(graph, data)[graph.output.name]
    approximate = outputs(qgraph, data)
    assert found.tensors[-1].sqnr_db == pytest.approx(sqnr(exact, approximate), abs=0.01)
    assert found.same_class == (exact.argmax(axis=1) == approximate.argmax(axis=1)).sum()
    cells = [layer.cell_scale_log2 for layer in qgraph.layers if isinstance(layer, QLstm)]
    assert [tensor.cell_scale_log2 for tensor in found.tensors[1:3]] == cells


def test_report_as_json_and_as_table() -> None:
    found = report()
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["same_class"] == found.same_class
    assert plain["tensors"][1]["layer"] == "first"
    rows = found.rows()
    assert len(rows) == 4
    assert all(len(row) == len(QuantizationReport.HEADERS) for row in rows)
    assert ".." in rows[0][3]
    assert "clipped" in rows[0][-1]
    assert rows[1][5].startswith("2^-")
    assert ".." not in rows[1][3]


def test_report_carries_the_reason_of_a_clamped_cell_scale() -> None:
    graph = recurrent_model(steps=100)
    first = graph.layers[0]
    assert isinstance(first, Lstm)
    first.bias[:] = 20
    result = quantize(graph, features(graph, frames=3))
    tensor = result.report.tensors[1]
    assert tensor.largest_cell is not None
    assert tensor.largest_cell > 64
    assert "saturates at 64" in tensor.note
    assert tensor.note == result.report.rows()[1][-1]


def test_a_sequence_has_no_class() -> None:
    graph = recurrent_model()
    first = graph.layers[0]
    sequence = replace(graph, output=first.y, layers=(first,))
    assert quantize(sequence, features(sequence)).report.same_class is None
