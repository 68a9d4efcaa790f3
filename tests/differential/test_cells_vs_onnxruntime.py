"""Every recurrent operator, direction and way of using it, read and run in float, against ONNX Runtime."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.chip import load_chip
from accelsim.compiler import compile_graph
from accelsim.errors import UnsupportedOperatorError
from accelsim.frontend.onnx import load_onnx
from accelsim.graph.execute import run_float
from accelsim.graph.model import Concat, Graph, Gru, Linear, Lstm, Rnn, SelectStep
from accelsim.machine.run import run_program
from accelsim.quant.execute import dequantize, quantize_input
from accelsim.quant.onnx_reader import read_quantized_onnx
from accelsim.quant.onnx_writer import write_quantized_onnx
from accelsim.quant.quantize import quantize
from tests.support.cell_models import DIRECTIONS, HEADS, Model
from tests.support.onnx_exports import Net, saved

onnxruntime = pytest.importorskip("onnxruntime")

CELLS = {"lstm": Lstm, "gru before": Gru, "gru after": Gru, "rnn tanh": Rnn, "rnn relu": Rnn}


def run_both(path: Path, frames: Any, batch_first: bool = True) -> tuple[Graph, Any, Any]:
    """The graph, its output and ONNX Runtime's."""
    graph = load_onnx(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    fed = frames if batch_first else np.ascontiguousarray(frames.transpose(1, 0, 2))
    expected = session.run(None, {"x": fed})[0]
    if expected.ndim == 3 and not batch_first:
        expected = expected.transpose(1, 0, 2)
    return graph, run_float(graph, frames)[graph.output.name], expected


def check_model(model: Model, seed: int, folder: Path) -> Graph:
    path = saved(model.build(seed), folder)
    graph, ours, expected = run_both(path, model.frames(seed + 1), model.batch_first)
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    cells = [layer for layer in graph.layers if not isinstance(layer, Concat | Linear | SelectStep)]
    assert all(isinstance(layer, CELLS[model.cell]) for layer in cells)
    reverses = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[model.direction]
    assert [layer.reverse for layer in cells] == reverses * model.layers
    return graph


@pytest.mark.parametrize(("cell", "direction"), list(itertools.product(CELLS, DIRECTIONS)))
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("head", HEADS)
def test_every_cell_direction_bias_and_head(cell: str, direction: str, bias: bool, head: str, tmp_path: Path) -> None:
    check_model(Model(cell, direction, bias, head, layers=2), 3, tmp_path)


@st.composite
def models(draw: st.DrawFn) -> Model:
    return Model(
        cell=draw(st.sampled_from(sorted(CELLS))),
        direction=draw(st.sampled_from(DIRECTIONS)),
        bias=draw(st.booleans()),
        head=draw(st.sampled_from(HEADS)),
        exporter=draw(st.sampled_from(["legacy", "dynamo"])),
        layers=draw(st.integers(1, 3)),
        batch_first=draw(st.booleans()),
        batch=draw(st.integers(1, 3)),
        steps=draw(st.integers(2, 5)),
        inputs=draw(st.integers(1, 5)),
        units=draw(st.integers(1, 5)),
        outputs=draw(st.integers(1, 4)),
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(models(), st.integers(0, 2**16))
def test_any_model(model: Model, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_model(model, seed, Path(folder))


def test_the_last_step_of_both_directions_is_a_step_of_their_concatenation(tmp_path: Path) -> None:
    """Which is how `load_pytorch` writes it too: every reader of one layer's result meets the same tensors."""
    for head in ("last", "all"):
        graph = check_model(Model("gru before", "bidirectional", head=head), 1, tmp_path)
        kinds = [Gru, Gru, Concat, SelectStep, Linear] if head == "last" else [Gru, Gru, Concat, Linear]
        assert [type(layer) for layer in graph.layers] == kinds
    graph = check_model(Model("gru before", "bidirectional", head="hidden"), 1, tmp_path)
    assert [type(layer) for layer in graph.layers] == [Gru, Gru, SelectStep, SelectStep, Concat, Linear]
    assert [layer.step for layer in graph.layers if isinstance(layer, SelectStep)] == [4, 0]
    assert [layer.name for layer in graph.layers[:2]] == ["gru_5.forward", "gru_5.reverse"]


def two_nodes(joined: Any) -> tuple[Net, str]:
    """A forward and a reverse GRU on one input, and what `joined` makes of them."""
    net = Net(np.random.default_rng(2))
    results = []
    for direction in ("forward", "reverse"):
        operands = ["x", net.weights(1, 12, 3), net.weights(1, 12, 4), net.weights(1, 24)]
        results.append(net.node("GRU", operands, hidden_size=4, direction=direction))
    return net, joined(net, *results)


def beside_each_other_on_the_direction_axis(net: Net, one: str, other: str) -> str:
    both = net.node("Concat", [one, other], axis=1)
    return str(net.node("Reshape", [net.node("Transpose", [both], perm=[0, 2, 1, 3]), net.constant([0, 0, -1])]))


def beside_each_other_along_the_features(net: Net, one: str, other: str) -> str:
    squeezed = [net.node("Squeeze", [y, net.constant([1])]) for y in (one, other)]
    return str(net.node("Concat", squeezed, axis=2))


@pytest.mark.parametrize("joined", [beside_each_other_on_the_direction_axis, beside_each_other_along_the_features])
def test_directions_run_by_nodes_of_their_own(joined: Any, tmp_path: Path) -> None:
    net, y = two_nodes(joined)
    frames = np.random.default_rng(3).normal(size=(2, 6, 3)).astype(np.float32)
    path = saved(net.model([6, "batch", 3], y, rank=3), tmp_path)
    graph, ours, expected = run_both(path, frames, batch_first=False)
    assert [type(layer) for layer in graph.layers] == [Gru, Gru, Concat]
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_layers_that_read_the_input_beside_results(tmp_path: Path) -> None:
    """The wiring of a noise suppressor; quantized, ONNX Runtime and both engines agree on every byte."""
    net = Net(np.random.default_rng(2))

    def dense(x: str, inputs: int, outputs: int) -> str:
        return str(net.node("Add", [net.node("MatMul", [x, net.weights(inputs, outputs)]), net.weights(outputs)]))

    def gru(x: str, inputs: int, units: int) -> str:
        operands = [x, net.weights(1, 3 * units, inputs), net.weights(1, 3 * units, units), net.weights(1, 6 * units)]
        y = net.node("GRU", operands, hidden_size=units)
        return str(net.node("Squeeze", [y, net.constant([1])]))

    first = dense("x", 5, 4)
    voice = gru(first, 4, 3)
    noise = gru(net.node("Concat", [first, voice, "x"], axis=2), 12, 6)
    denoise = gru(net.node("Concat", [voice, "x", noise], axis=-1), 14, 7)
    frames = np.random.default_rng(3).normal(size=(2, 6, 5)).astype(np.float32)
    path = saved(net.model([6, "batch", 5], dense(denoise, 7, 2), rank=3), tmp_path)
    graph, ours, expected = run_both(path, frames, batch_first=False)
    assert [type(layer) for layer in graph.layers] == [Linear, Gru, Concat, Gru, Concat, Gru, Linear]
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    qgraph = quantize(graph, frames).qgraph
    write_quantized_onnx(qgraph, tmp_path / "quantized.onnx")
    judge = onnxruntime.InferenceSession(str(tmp_path / "quantized.onnx"), providers=["CPUExecutionProvider"])
    program = compile_graph(read_quantized_onnx(tmp_path / "quantized.onnx"), load_chip("tx5368"))
    result = run_program(program, quantize_input(qgraph.input, frames)).outputs
    np.testing.assert_array_equal(dequantize(qgraph.output, result), judge.run(None, {qgraph.input.name: frames})[0])


def test_two_readers_of_both_directions_read_one_concatenation(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(2))
    lower = net.node(
        "GRU", ["x", net.weights(2, 12, 3), net.weights(2, 12, 4)], hidden_size=4, direction="bidirectional"
    )
    merged = net.node("Reshape", [net.node("Transpose", [lower], perm=[0, 2, 1, 3]), net.constant([0, 0, -1])])
    upper = [
        net.node("RNN", [merged, net.weights(1, 4, 8), net.weights(1, 4, 4)], hidden_size=4, direction=direction)
        for direction in ("forward", "reverse")
    ]
    result = beside_each_other_along_the_features(net, *upper)
    frames = np.random.default_rng(3).normal(size=(2, 6, 3)).astype(np.float32)
    path = saved(net.model([6, "batch", 3], result, rank=3), tmp_path)
    graph, ours, expected = run_both(path, frames, batch_first=False)
    assert [type(layer) for layer in graph.layers] == [Gru, Gru, Concat, Rnn, Rnn, Concat]
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_a_sequence_of_one_step_is_not_joined_to_a_state(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(2))
    y, last = net.node("GRU", ["x", net.weights(1, 12, 3), net.weights(1, 12, 4)], 2, hidden_size=4)
    joined = net.node("Concat", [net.node("Squeeze", [y, net.constant([1])]), last], axis=2)
    path = saved(net.model([1, "batch", 3], joined, rank=3), tmp_path)
    with pytest.raises(UnsupportedOperatorError, match=r"of shape \(4,\) is concatenated to one of \(1, 4\)"):
        load_onnx(path)


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_a_single_time_step(cell: str, tmp_path: Path) -> None:
    for head in ("last", "all"):
        check_model(Model(cell, "bidirectional", head=head, steps=1), 5, tmp_path)


def flipped(net: Net, x: str, axis: int) -> str:
    bounds = [net.constant([-1]), net.constant([-(2**63)]), net.constant([axis]), net.constant([-1])]
    return str(net.node("Slice", [x, *bounds]))


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("last", [False, True])
def test_a_flipped_sequence_run_forward_is_a_reverse_layer(direction: str, last: bool, tmp_path: Path) -> None:
    net = Net(np.random.default_rng(2))
    y, hidden = net.lstm(flipped(net, "x", 0), 3, 4, outputs=2, direction=direction)
    y = net.node("Squeeze", [hidden if last else flipped(net, y, 0), net.constant([0 if last else 1])])
    path = saved(net.model([6, "batch", 3], y, rank=2 if last else 3), tmp_path)
    frames = np.random.default_rng(3).normal(size=(2, 6, 3)).astype(np.float32)
    graph, ours, expected = run_both(path, frames, batch_first=False)
    lstm = graph.layers[0]
    assert isinstance(lstm, Lstm)
    assert lstm.reverse == (direction == "forward")
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_a_linear_between_two_flips_sees_each_step(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(2))
    rows = net.node("MatMul", [flipped(net, "x", 0), net.weights(3, 5)])
    y, _ = net.lstm(flipped(net, net.node("Add", [rows, net.weights(5)]), 0), 5, 4, outputs=2)
    path = saved(net.model([6, "batch", 3], net.node("Squeeze", [y, net.constant([1])]), rank=3), tmp_path)
    frames = np.random.default_rng(3).normal(size=(2, 6, 3)).astype(np.float32)
    graph, ours, expected = run_both(path, frames, batch_first=False)
    assert [type(layer) for layer in graph.layers] == [Linear, Lstm]
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
