"""Vanilla RNN layers that an exporter unrolled in time: recognised, judged by ONNX Runtime, or refused."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.errors import InputError, UnsupportedOperatorError
from accelsim.frontend.onnx import load_onnx
from accelsim.graph.execute import run_float
from accelsim.graph.model import Concat, Graph, Linear, Rnn, SelectStep
from tests.support.onnx_exports import Net, saved
from tests.support.unrolled_rnn import Unrolled

onnxruntime = pytest.importorskip("onnxruntime")

LAYER = Unrolled(inputs=3, units=4, steps=5)


def compare(net: Net, result: str, rank: int, steps: int, inputs: int, folder: Path) -> Graph:
    """Load and run a model of a time-first input both ways; the graph, for further looks at it."""
    path = saved(net.model([steps, "batch", inputs], result, rank=rank), folder)
    frames = np.random.default_rng(7).normal(size=(3, steps, inputs)).astype(np.float32)
    graph = load_onnx(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": np.ascontiguousarray(frames.transpose(1, 0, 2))})[0]
    ours = run_float(graph, frames)[graph.output.name]
    if rank == 3:
        expected = expected.transpose(1, 0, 2)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    return graph


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.builds(
        Unrolled,
        inputs=st.integers(1, 4),
        units=st.integers(1, 4),
        steps=st.integers(2, 6),
        bias=st.booleans(),
        reverse=st.booleans(),
        operator=st.sampled_from(["Tanh", "Relu"]),
        state_first=st.booleans(),
    ),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_one_direction_is_one_layer(layer: Unrolled, last: bool, seed: int) -> None:
    net = Net(np.random.default_rng(seed))
    every, state = layer.add(net, "x")
    with tempfile.TemporaryDirectory() as folder:
        graph = compare(net, state if last else every, 2 if last else 3, layer.steps, layer.inputs, Path(folder))
    rnn = graph.layers[0]
    assert isinstance(rnn, Rnn)
    assert [type(one) for one in graph.layers[1:]] == ([SelectStep] if last else [])
    assert (rnn.activation, rnn.reverse) == (layer.operator.lower(), layer.reverse)


def both_directions(net: Net, x: str, layer: Unrolled) -> tuple[str, list[str]]:
    """All states of both directions beside each other, and the last one of each."""
    one, other = layer.add(net, x), replace(layer, reverse=True).add(net, x)
    return str(net.node("Concat", [one[0], other[0]], axis=2)), [one[1], other[1]]


def test_stacked_layers_of_both_directions(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(1))
    x, _ = both_directions(net, "x", LAYER)
    y, _ = both_directions(net, x, replace(LAYER, inputs=8))
    result = net.node("MatMul", [y, net.weights(8, 2)])
    graph = compare(net, result, 3, 5, 3, tmp_path)
    assert [type(layer) for layer in graph.layers] == [Rnn, Rnn, Concat, Rnn, Rnn, Concat, Linear]


def test_last_states_are_stacked_and_viewed_by_layer_and_direction(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(1))
    x, lower = both_directions(net, "x", LAYER)
    _, upper = both_directions(net, x, replace(LAYER, inputs=8))
    apart = [net.node("Unsqueeze", [state, net.constant([0])]) for state in lower + upper]
    view = net.node("Reshape", [net.node("Concat", apart, axis=0), net.constant([2, 2, -1, 4])])
    last = net.node("Transpose", [net.node("Gather", [view, net.constant(-1)], axis=0)], perm=[1, 0, 2])
    graph = compare(net, net.node("Reshape", [last, net.constant([-1, 8])]), 2, 5, 3, tmp_path)
    assert [layer.step for layer in graph.layers if isinstance(layer, SelectStep)] == [4, 0]


def test_states_put_together_in_the_order_they_were_made(tmp_path: Path) -> None:
    """Those of a reverse layer then run backward in time, until a flip."""
    net = Net(np.random.default_rng(1))
    every, _ = replace(LAYER, reverse=True).add(net, "x")
    states = list(net.nodes.pop(next(i for i, node in enumerate(net.nodes) if node.output[0] == every)).input)
    bounds = [net.constant([-1]), net.constant([-(2**63)]), net.constant([0]), net.constant([-1])]
    made = net.node("Concat", states[::-1], axis=0)
    graph = compare(net, net.node("Slice", [made, *bounds]), 3, 5, 3, tmp_path)
    assert [(type(layer), layer.reverse) for layer in graph.layers if isinstance(layer, Rnn)] == [(Rnn, True)]


def refused(net: Net, result: str, folder: Path, rank: int = 2, shape: Any = ("batch", 5, 3)) -> Any:
    with pytest.raises(UnsupportedOperatorError) as caught:
        load_onnx(saved(net.model(list(shape), result, rank=rank), folder))
    return caught.value


def other_from(step: int, *shape: int) -> Any:
    """Weights of their own from a step on."""
    return lambda net, position, name: net.weights(*shape) if position >= step else name


@pytest.mark.parametrize(
    ("changes", "operator", "reason"),
    [
        ({"step_bias": other_from(2, 4)}, "Tanh", "differ in their bias"),
        ({"step_bias": other_from(0, 1, 1, 4)}, "Tanh", "differ in their bias"),
        ({"step_weights": other_from(3, 4, 4)}, "Tanh", "differ in their recurrent weights"),
        ({"order": (0, 1, 3, 4)}, "Tanh", "step 3 does not follow on step 1"),
        ({"order": (1, 2, 3, 4)}, "Tanh", "step 1 of 5 is taken without a state before it"),
        ({"operators": ("Tanh", "Tanh", "Relu", "Tanh", "Tanh")}, "Relu", "step 2 does not follow on step 1"),
    ],
)
def test_steps_that_are_not_one_layers(tmp_path: Path, changes: Any, operator: str, reason: str) -> None:
    net = Net(np.random.default_rng(1))
    error = refused(net, replace(LAYER, **changes).add(net, "x")[0], tmp_path, 3, (5, "batch", 3))
    assert error.operator == operator
    assert reason in error.reason


def first_step(net: Net) -> tuple[str, str]:
    """A product of the whole sequence, and its first step float32[batch, 4]."""
    rows = str(net.node("MatMul", ["x", net.weights(3, 4)]))
    return rows, str(net.node("Gather", [rows, net.constant(0)], axis=1))


def test_a_constant_that_differs_between_frames(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(1))
    total = net.node("Add", [first_step(net)[1], net.weights(2, 4)])
    error = refused(net, str(net.node("Tanh", [total])), tmp_path, shape=(2, 5, 3))
    assert error.reason.startswith("a constant that is not finite or differs between frames")


def test_a_constant_of_another_shape_or_type(tmp_path: Path) -> None:
    for constant in (np.zeros((3, 1, 2, 4), np.float32), np.full(4, np.nan, np.float32)):
        net = Net(np.random.default_rng(1))
        total = net.node("Add", [first_step(net)[1], net.constant(constant, np.float32)])
        error = refused(net, str(net.node("Tanh", [total])), tmp_path)
        assert error.operator == "Add"


def test_a_sum_that_no_activation_follows(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(1))
    total = net.node("Add", [net.weights(4), first_step(net)[1]])
    error = refused(net, str(net.node("Unsqueeze", [total, net.constant([0])])), tmp_path)
    assert error.operator == "Unsqueeze"
    assert "a sum that only an RNN unrolled in time has" in error.reason


def test_a_sum_that_is_the_output(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(1))
    total = net.node("Add", [first_step(net)[1], net.weights(4)])
    with pytest.raises(InputError, match=f"output '{total}': is no result of a layer"):
        load_onnx(saved(net.model(["batch", 5, 3], total), tmp_path))


def test_two_layouts_are_not_added(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(1))
    rows, first = first_step(net)
    product = net.node("MatMul", [net.node("Tanh", [first]), net.weights(4, 4)])
    second = net.node("Gather", [rows, net.constant(1)], axis=1)
    turned = net.node("Transpose", [second], perm=[1, 0])
    error = refused(net, str(net.node("Tanh", [net.node("Add", [product, turned])])), tmp_path)
    assert "a sum of (feature, batch)" in error.reason


def test_steps_of_two_products(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(1))
    product = net.node("MatMul", [net.node("Tanh", [first_step(net)[1]]), net.weights(4, 4)])
    other = net.node("Gather", [net.node("MatMul", ["x", net.weights(3, 4)]), net.constant(1)], axis=1)
    error = refused(net, str(net.node("Tanh", [net.node("Add", [product, other])])), tmp_path)
    assert error.reason.startswith("step 1 does not follow on step 0")


def test_an_activation_of_anything_else(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(1))
    error = refused(net, str(net.node("Tanh", [first_step(net)[0]])), tmp_path)
    assert error.reason.startswith("no layer of this kind, but as the activation of an RNN unrolled in time")


def test_an_activation_of_one_step_alone(tmp_path: Path) -> None:
    """As a head's: its numbers would be those of a layer without recurrent weights, but it is none."""
    for step in (0, -1):
        net = Net(np.random.default_rng(1))
        rows = net.node("Gemm", [net.node("Reshape", ["x", net.constant([-1, 3])]), net.weights(3, 4)])
        apart = net.node("Reshape", [rows, net.constant([-1, 5, 4])])
        result = net.node("Tanh", [net.node("Gather", [apart, net.constant(step)], axis=1)])
        error = refused(net, str(result), tmp_path)
        assert (error.operator, error.node) == ("Tanh", f"/{result}")
        assert error.reason.startswith("no layer of this kind")
