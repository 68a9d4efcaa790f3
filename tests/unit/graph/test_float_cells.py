"""GRU, vanilla RNN, reversed and concatenated layers in float, against the equations in float64."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.graph.check import check_graph
from accelsim.graph.execute import run_float
from accelsim.graph.model import Concat, Graph, Gru, GruGate, Lstm, Rnn, SelectStep, Tensor

STEPS, INPUTS, UNITS = 4, 3, 5
X, Y = Tensor("x", (STEPS, INPUTS)), Tensor("y", (STEPS, UNITS))
KINDS = ["lstm", "gru before", "gru after", "rnn tanh", "rnn relu"]


def layer_of(kind: str, seed: int, reverse: bool = False, x: Tensor = X, y: Tensor = Y, name: str = "cell") -> Any:
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> Any:
        return rng.normal(size=shape).astype(np.float32)

    cell, _, variant = kind.partition(" ")
    if cell == "lstm":
        return Lstm(name, x, y, weights(4, UNITS, x.features), weights(4, UNITS, UNITS), weights(4, UNITS), reverse)
    if cell == "rnn":
        return Rnn(name, x, y, weights(UNITS, x.features), weights(UNITS, UNITS), weights(UNITS), variant, reverse)
    gates = weights(3, UNITS, x.features), weights(3, UNITS, UNITS), weights(3, UNITS), weights(3, UNITS)
    return Gru(name, x, y, *gates, variant == "before", reverse)


def run(layer: Any, features: Any) -> Any:
    graph = Graph("net", X, layer.y, (layer,))
    check_graph(graph)
    return run_float(graph, features)


def frames(seed: int, count: int = 2) -> Any:
    return np.random.default_rng(seed).normal(size=(count, STEPS, INPUTS)).astype(np.float32)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("before", [False, True])
def test_gru_by_hand(before: bool) -> None:
    gru = layer_of("gru before" if before else "gru after", 0)
    features = frames(1)
    found = run(gru, features)["y"]
    w, r = gru.input_weights.astype(np.float64), gru.recurrent_weights.astype(np.float64)
    b, c = gru.input_bias.astype(np.float64), gru.recurrent_bias.astype(np.float64)
    reset, update, candidate = GruGate.RESET, GruGate.UPDATE, GruGate.CANDIDATE
    for frame in range(2):
        h = np.zeros(UNITS)
        for step, row in enumerate(features[frame].astype(np.float64)):
            z = sigmoid(w[update] @ row + b[update] + r[update] @ h + c[update])
            g = sigmoid(w[reset] @ row + b[reset] + r[reset] @ h + c[reset])
            recalled = g * (r[candidate] @ h + c[candidate]) if before else r[candidate] @ (g * h) + c[candidate]
            n = np.tanh(w[candidate] @ row + b[candidate] + recalled)
            h = (1 - z) * n + z * h
            np.testing.assert_allclose(found[frame, step], h, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_rnn_by_hand(activation: str) -> None:
    rnn = layer_of(f"rnn {activation}", 0)
    features = frames(1)
    found = run(rnn, features)
    function = np.tanh if activation == "tanh" else lambda p: np.maximum(p, 0)
    assert ("cell.preactivation" in found) == (activation == "relu")
    for frame in range(2):
        h = np.zeros(UNITS)
        for step, row in enumerate(features[frame].astype(np.float64)):
            p = rnn.input_weights @ row + rnn.recurrent_weights @ h + rnn.bias
            h = function(p)
            np.testing.assert_allclose(found["y"][frame, step], h, rtol=1e-5, atol=1e-5)
            if activation == "relu":
                np.testing.assert_allclose(found["cell.preactivation"][frame, step], p, rtol=1e-5, atol=1e-5)


@given(st.sampled_from(KINDS), st.integers(0, 2**16))
def test_a_reverse_layer_is_a_forward_one_between_two_flips(kind: str, seed: int) -> None:
    forward, features = layer_of(kind, seed), frames(seed)
    found = run(replace(forward, reverse=True), features)
    expected = run(forward, features[:, ::-1])
    assert found.keys() == expected.keys()
    for name in found.keys() - {"x"}:
        np.testing.assert_array_equal(found[name], expected[name][:, ::-1])


@given(st.sampled_from(KINDS), st.integers(0, 2**16), st.integers(1, STEPS - 1))
def test_a_reverse_layer_sees_only_what_comes_after(kind: str, seed: int, step: int) -> None:
    layer = layer_of(kind, seed, reverse=True)
    features = frames(seed)
    changed = features.copy()
    changed[:, :step] += 1
    one, other = run(layer, features)["y"], run(layer, changed)["y"]
    np.testing.assert_array_equal(one[:, step:], other[:, step:])


@pytest.mark.parametrize("kind", KINDS)
def test_all_values_are_float32(kind: str) -> None:
    assert {value.dtype for value in run(layer_of(kind, 0), frames(0)).values()} == {np.dtype(np.float32)}


def test_both_directions_side_by_side() -> None:
    back, both, last = Tensor("back", (STEPS, UNITS)), Tensor("both", (STEPS, 2 * UNITS)), Tensor("last", (2 * UNITS,))
    layers = (
        layer_of("gru before", 0),
        layer_of("rnn tanh", 1, reverse=True, y=back, name="other"),
        Concat("concat", (Y, back), both),
        SelectStep("select", both, last, STEPS - 1),
    )
    graph = Graph("net", X, last, layers)
    check_graph(graph)
    values = run_float(graph, frames(2))
    np.testing.assert_array_equal(values["both"][..., :UNITS], values["y"])
    np.testing.assert_array_equal(values["both"][..., UNITS:], values["back"])
    np.testing.assert_array_equal(values["last"], values["both"][:, -1])
