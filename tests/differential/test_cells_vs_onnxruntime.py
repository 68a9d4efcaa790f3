"""Every recurrent operator, direction and way of using it, read and run in float, against ONNX Runtime."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.frontend.onnx import load_onnx
from accelsim.graph.execute import run_float
from accelsim.graph.model import Concat, Graph, Gru, Linear, Lstm, Rnn, SelectStep
from tests.support.onnx_exports import Net, saved

onnxruntime = pytest.importorskip("onnxruntime")

CELLS = {"lstm": Lstm, "gru before": Gru, "gru after": Gru, "rnn tanh": Rnn, "rnn relu": Rnn}
DIRECTIONS = ["forward", "reverse", "bidirectional"]
HEADS = ["last", "all", "hidden", "ends", "layers"]


@dataclass(frozen=True)
class Model:
    """Stacked recurrent nodes of one kind and a Linear."""

    cell: str
    direction: str = "forward"
    bias: bool = True
    head: str = "last"
    exporter: str = "legacy"
    layers: int = 1
    batch_first: bool = True
    batch: int = 2
    steps: int = 5
    inputs: int = 3
    units: int = 4
    outputs: int = 3

    @property
    def directions(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    def attributes(self) -> dict[str, Any]:
        operator, _, kind = self.cell.partition(" ")
        if operator == "gru":
            return {"linear_before_reset": int(kind == "before")}
        return {"activations": [kind.capitalize()] * self.directions} if operator == "rnn" else {}

    def build(self, seed: int) -> Any:
        net = Net(np.random.default_rng(seed))
        x = net.node("Transpose", ["x"], perm=[1, 0, 2]) if self.batch_first else "x"
        hidden = []
        for layer in range(self.layers):
            x, last = self.node(net, x, self.inputs if layer == 0 else self.units * self.directions)
            hidden.append(last)
        return self.headed(net, x, hidden)

    def node(self, net: Net, x: str, features: int) -> tuple[str, str]:
        """One node and what makes its output time, batch, features; and its last states."""
        operator = self.cell.partition(" ")[0].upper()
        rows = {"LSTM": 4, "GRU": 3, "RNN": 1}[operator] * self.units
        weights = [net.weights(self.directions, rows, features), net.weights(self.directions, rows, self.units)]
        if self.bias:
            weights.append(net.weights(self.directions, 2 * rows))
        attributes = {"hidden_size": self.units, "direction": self.direction, **self.attributes()}
        y, last = net.node(operator, [x, *weights], 2, **attributes)
        if self.directions == 1 and self.exporter == "legacy":
            return net.node("Squeeze", [y, net.constant([1])]), last
        moved = net.node("Transpose", [y], perm=[0, 2, 1, 3])
        if self.exporter == "legacy":
            return net.node("Reshape", [moved, net.constant([0, 0, -1])]), last
        shape = net.node("Shape", [moved])
        sizes = [net.node("Slice", [shape, net.constant([i]), net.constant([i + 1])]) for i in range(4)]
        merged = net.node("Concat", [*sizes[:2], net.node("Mul", sizes[2:])], axis=0)
        return net.node("Reshape", [moved, merged]), last

    def headed(self, net: Net, x: str, hidden: list[str]) -> Any:
        features, rank = self.units * self.directions, 2
        if self.head == "all":
            rank = 3
            if self.batch_first:
                x = net.node("Transpose", [x], perm=[1, 0, 2])
        elif self.head == "last":
            x = net.node("Gather", [x, net.constant(-1)], axis=0)
        elif self.head == "ends":
            # The last result of each direction, cut out of the first and the last time step.
            parts = []
            for index in range(self.directions):
                reverse = index == 1 or self.direction == "reverse"
                step = net.node("Gather", [x, net.constant(0 if reverse else -1)], axis=0)
                bounds = [net.constant([index * self.units]), net.constant([(index + 1) * self.units])]
                parts.append(net.node("Slice", [step, *bounds, net.constant([1])]))
            x = net.node("Concat", parts, axis=1)
        elif self.head == "hidden":
            # h_n[-2] beside h_n[-1], or h_n[-1] alone.
            stack = net.node("Concat", hidden, axis=0)
            indices = range(-self.directions, 0)
            parts = [net.node("Gather", [stack, net.constant(index)], axis=0) for index in indices]
            x = net.node("Concat", parts, axis=-1)
        else:
            # h_n.view(layers, directions, batch, units)[-1], its directions brought beside the units.
            stack = net.node("Concat", hidden, axis=0)
            shape = net.constant([self.layers, self.directions, -1, self.units])
            last = net.node("Gather", [net.node("Reshape", [stack, shape]), net.constant(-1)], axis=0)
            x = net.node("Reshape", [net.node("Transpose", [last], perm=[1, 0, 2]), net.constant([-1, features])])
        y = net.node("Add", [net.node("MatMul", [x, net.weights(features, self.outputs)]), net.weights(self.outputs)])
        shape = [self.steps, self.inputs]
        shape.insert(0 if self.batch_first else 1, "batch")
        return net.model(shape, y, rank=rank)

    def frames(self, seed: int) -> Any:
        shape = (self.batch, self.steps, self.inputs)
        return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


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
