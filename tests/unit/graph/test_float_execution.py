"""Float execution against the equations, one frame and one step at a time in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import InputError
from accelsim.graph.execute import run_float, sigmoid
from accelsim.graph.model import Gate, Graph, Linear, Lstm, SelectStep, Tensor


def network(seed: int, steps: int = 4, inputs: int = 3, units: int = 5, outputs: int = 2, step: int = 2) -> Graph:
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    x, h = Tensor("x", (steps, inputs)), Tensor("h", (steps, units))
    every, chosen = Tensor("every", (steps, outputs)), Tensor("chosen", (outputs,))
    layers = (
        Lstm("lstm", x, h, weights(4, units, inputs), weights(4, units, units), weights(4, units)),
        Linear("fc", h, every, weights(outputs, units), weights(outputs)),
        SelectStep("select", every, chosen, step),
    )
    return Graph("net", x, chosen, layers)


def by_hand(lstm: Lstm, x: Any) -> tuple[Any, Any]:
    """Hidden and cell states of one frame in float64."""
    h = c = np.zeros(lstm.units)
    hidden, cell = [], []
    for row in x.astype(np.float64):
        gates = [lstm.input_weights[g] @ row + lstm.recurrent_weights[g] @ h + lstm.bias[g] for g in range(4)]
        i, f, o = (1 / (1 + np.exp(-gates[g])) for g in (Gate.INPUT, Gate.FORGET, Gate.OUTPUT))
        c = f * c + i * np.tanh(gates[Gate.CELL])
        h = o * np.tanh(c)
        hidden.append(h)
        cell.append(c)
    return np.array(hidden), np.array(cell)


def test_every_tensor_of_every_frame() -> None:
    graph = network(0)
    lstm, linear, _ = graph.layers
    assert isinstance(lstm, Lstm)
    assert isinstance(linear, Linear)
    features = np.random.default_rng(1).normal(size=(6, 4, 3)).astype(np.float32)
    values = run_float(graph, features)
    assert list(values) == ["x", "h", "lstm.cell", "every", "chosen"]
    assert all(value.dtype == np.float32 for value in values.values())
    for frame in range(6):
        hidden, cell = by_hand(lstm, features[frame])
        every = hidden @ linear.weights.T + linear.bias
        expected = {"x": features[frame], "h": hidden, "lstm.cell": cell, "every": every, "chosen": every[2]}
        for name, value in expected.items():
            np.testing.assert_allclose(values[name][frame], value, rtol=1e-5, atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_frames_are_independent(seed: int, frames: int) -> None:
    graph = network(seed % 100)
    features = np.random.default_rng(seed).normal(size=(frames, 4, 3)).astype(np.float32)
    together = run_float(graph, features)
    for frame in range(frames):
        alone = run_float(graph, features[frame : frame + 1])
        for name, value in together.items():
            np.testing.assert_allclose(value[frame], alone[name][0], rtol=1e-5, atol=1e-6)


def test_a_vector_graph() -> None:
    x, y = Tensor("x", (3,)), Tensor("y", (2,))
    weights = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    graph = Graph("net", x, y, (Linear("fc", x, y, weights, np.array([10, 20], np.float32)),))
    values = run_float(graph, np.array([[1, 0, -1]], np.float32))
    np.testing.assert_array_equal(values["y"], [[8, 18]])


@pytest.mark.parametrize(
    "features",
    [
        np.zeros((2, 4, 3)),
        np.zeros((4, 3), np.float32),
        np.zeros((2, 5, 3), np.float32),
        np.zeros((2, 4, 2), np.float32),
    ],
)
def test_features_of_another_type_or_shape(features: Any) -> None:
    with pytest.raises(InputError, match="features: x"):
        run_float(network(0), features)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_sigmoid_is_stable_everywhere(x: float) -> None:
    value = sigmoid(np.array([x], np.float32))
    assert value.dtype == np.float32
    exact = 1 / (1 + np.exp(-np.float64(x))) if x > -700 else 0.0
    np.testing.assert_allclose(value, [exact], rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(value + sigmoid(np.array([-x], np.float32)), [1], rtol=1e-6)
