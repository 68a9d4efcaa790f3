"""GRU and vanilla RNN in integers against their definitions written out one number at a time; reversal and joints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import InputError
from accelsim.fixedpoint import activation_tables
from accelsim.quant.execute import gru_sequence, lstm_sequence, rnn_sequence, run_quantized
from accelsim.quant.model import QGraph, QGru, QLayer, QLstm, QRnn, Requantizer
from accelsim.quant.recurrent_parameters import gru_from_scales, rnn_from_scales
from tests.support.quantized_graphs import (
    CELLS,
    concat,
    random_cell,
    random_gru,
    random_layers,
    random_linear,
    random_rnn,
    random_tensor,
    select_step,
)

SIGMOID = activation_tables()[0].tolist()
TANH = activation_tables()[4].tolist()


def saturate(value: int, bits: int) -> int:
    return max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, value))


def divide(value: int, bits: int) -> int:
    """By 2**bits, to nearest, ties away from zero."""
    magnitude = (2 * abs(value) + 2**bits) // 2 ** (bits + 1)
    return magnitude if value >= 0 else -magnitude


def multiply(value: int, factor: Requantizer) -> int:
    """In two roundings: to the high half, ties up; then the right shift, ties away from zero."""
    shifted = value * 2 ** max(factor.shift, 0)
    shifted = (shifted + 2**31) % 2**32 - 2**31
    high = (shifted * factor.multiplier + 2**30) // 2**31
    return divide(high, -factor.shift) if factor.shift < 0 else high


def dot(weights: np.ndarray, values: list[int], bias: int) -> int:
    return sum(int(w) * v for w, v in zip(weights, values, strict=True)) + int(bias)


def gru_by_hand(layer: QGru, x: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """One frame: bytes int8[T, units], and the last state."""
    units = range(layer.units)
    hidden, state = [layer.hidden_zero_point] * layer.units, [0] * layer.units
    y = np.zeros((len(x), layer.units), dtype=np.int8)
    for step in reversed(range(len(x))) if layer.reverse else range(len(x)):
        inputs = x[step].tolist()

        def from_input(gate: int, unit: int, inputs: list[int] = inputs) -> int:
            total = dot(layer.input_weights[gate, unit], inputs, layer.input_bias[gate, unit])
            return saturate(multiply(total, layer.input_requantizers[gate]), 16)

        def from_bytes(gate: int, unit: int, values: list[int]) -> int:
            total = dot(layer.recurrent_weights[gate, unit], values, layer.recurrent_bias[gate, unit])
            return multiply(total, layer.recurrent_requantizers[gate])

        def to_byte(value: int) -> int:
            return saturate(multiply(value, layer.hidden_requantizer) + layer.hidden_zero_point, 8)

        r = [SIGMOID[saturate(from_bytes(0, u, hidden) + from_input(0, u), 16) + 32768] for u in units]
        z = [SIGMOID[saturate(from_bytes(1, u, hidden) + from_input(1, u), 16) + 32768] for u in units]
        if layer.linear_before_reset:
            inner = [divide(r[u] * saturate(from_bytes(2, u, hidden), 16), 15) for u in units]
        else:
            let_through = [to_byte(divide(r[u] * state[u], 15)) for u in units]
            inner = [from_bytes(2, u, let_through) for u in units]
        n = [TANH[saturate(from_input(2, u) + inner[u], 16) + 32768] for u in units]
        state = [saturate(divide(n[u] * (32767 - z[u]), 15) + divide(z[u] * state[u], 15), 16) for u in units]
        hidden = [to_byte(value) for value in state]
        y[step] = hidden
    return y, state


def rnn_by_hand(layer: QRnn, x: np.ndarray) -> np.ndarray:
    """One frame: bytes int8[T, units]."""
    units = range(layer.units)
    hidden = [layer.hidden_zero_point] * layer.units
    y = np.zeros((len(x), layer.units), dtype=np.int8)
    for step in reversed(range(len(x))) if layer.reverse else range(len(x)):
        inputs, before, hidden = x[step].tolist(), hidden, []
        for u in units:
            a = multiply(dot(layer.input_weights[u], inputs, layer.input_bias[u]), layer.input_requantizer)
            m = multiply(dot(layer.recurrent_weights[u], before, layer.recurrent_bias[u]), layer.recurrent_requantizer)
            p = saturate(m + saturate(a, 16), 16)
            value = TANH[p + 32768] if layer.activation == "tanh" else max(p, 0)
            hidden.append(saturate(multiply(value, layer.hidden_requantizer) + layer.hidden_zero_point, 8))
        y[step] = hidden
    return y


SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("linear_before_reset", [True, False])
@given(seed=SEEDS, reverse=st.booleans(), excess=st.sampled_from([0.3, 1.0, 20.0]))
@settings(max_examples=30, deadline=None)
def test_gru_is_its_definition(linear_before_reset: bool, seed: int, reverse: bool, excess: float) -> None:
    rng = np.random.default_rng(seed)
    source, units = random_tensor(rng, "x", (5, 3)), 4
    layer = random_gru(
        rng, "gru", source, units, linear_before_reset=linear_before_reset, reverse=reverse, excess=excess
    )
    x = rng.integers(-128, 128, (2, 5, 3)).astype(np.int8)
    y, hidden, state = gru_sequence(layer, x)
    for frame in range(2):
        expected, last = gru_by_hand(layer, x[frame])
        np.testing.assert_array_equal(y[frame], expected)
        assert state[frame].tolist() == last
    np.testing.assert_array_equal(hidden, y[:, 0 if reverse else -1])
    assert (y.dtype, hidden.dtype, state.dtype) == (np.int8, np.int8, np.int16)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@given(seed=SEEDS, reverse=st.booleans(), excess=st.sampled_from([0.3, 1.0, 20.0]))
@settings(max_examples=30, deadline=None)
def test_rnn_is_its_definition(activation: str, seed: int, reverse: bool, excess: float) -> None:
    rng = np.random.default_rng(seed)
    layer = random_rnn(
        rng, "rnn", random_tensor(rng, "x", (5, 3)), 4, activation=activation, reverse=reverse, excess=excess
    )
    x = rng.integers(-128, 128, (2, 5, 3)).astype(np.int8)
    y, hidden = rnn_sequence(layer, x)
    for frame in range(2):
        np.testing.assert_array_equal(y[frame], rnn_by_hand(layer, x[frame]))
    np.testing.assert_array_equal(hidden, y[:, 0 if reverse else -1])


def run(layer: QLstm | QGru | QRnn, x: np.ndarray, *state: np.ndarray) -> tuple[np.ndarray, ...]:
    function = {QLstm: lstm_sequence, QGru: gru_sequence, QRnn: rnn_sequence}[type(layer)]
    return function(layer, x, *state)  # type: ignore[operator]


@pytest.mark.parametrize("cell", CELLS)
@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_a_reversed_layer_is_the_layer_on_the_reversed_sequence(cell: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = random_cell(rng, cell, "cell", random_tensor(rng, "x", (6, 3)), 4)
    x = rng.integers(-128, 128, (2, 6, 3)).astype(np.int8)
    y, *last = run(layer, x)
    y_reversed, *last_reversed = run(replace(layer, reverse=True), x[:, ::-1])
    np.testing.assert_array_equal(y_reversed[:, ::-1], y)
    for one, other in zip(last, last_reversed, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cell", CELLS)
@given(seed=SEEDS, cut=st.integers(1, 5), reverse=st.booleans())
@settings(max_examples=15, deadline=None)
def test_kept_state_continues_the_sequence(cell: str, seed: int, cut: int, reverse: bool) -> None:
    rng = np.random.default_rng(seed)
    layer = random_cell(rng, cell, "cell", random_tensor(rng, "x", (6, 3)), 4, reverse=reverse)
    x = rng.integers(-128, 128, (2, 6, 3)).astype(np.int8)
    whole, *last = run(layer, x)
    first, second = (x[:, cut:], x[:, :cut]) if reverse else (x[:, :cut], x[:, cut:])
    y_first, *state = run(layer, first)
    y_second, *state = run(layer, second, *state)
    parts = [y_second, y_first] if reverse else [y_first, y_second]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    for one, other in zip(last, state, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_gru_keeps_more_than_its_bytes() -> None:
    """An update gate near 1 changes the state by less than half a step of the bytes; it adds up all the same."""
    source = random_tensor(np.random.default_rng(0), "x", (200, 1))
    zeros = np.zeros((3, 1, 1), dtype=np.int8)
    layer = gru_from_scales(
        "gru",
        source,
        replace(source, name="y"),
        input_weights=zeros,
        input_weight_scales=[2.0**-12] * 3,
        recurrent_weights=zeros,
        recurrent_weight_scales=[2.0**-12] * 3,
        # r = 1/2, z = sigmoid(5) = 0.993, n = tanh(2) = 0.964: each step moves s by at most 0.0065, a step being 1/127.
        input_bias=np.array([[0], [5 * 4096], [2 * 4096]], dtype=np.int32),
        recurrent_bias=np.zeros((3, 1), dtype=np.int32),
        input_scale=1.0,
        input_zero_point=0,
        hidden_scale=1 / 127,
        hidden_zero_point=0,
        linear_before_reset=True,
    )
    y, _, state = gru_sequence(layer, np.zeros((1, 200, 1), dtype=np.int8))
    assert state[0, 0] == pytest.approx(32768 * np.tanh(2.0) * (1 - 0.99330715**200), rel=0.02)
    assert y[0, -1, 0] == round(float(state[0, 0]) / 32768 * 127)


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_tensors_with_several_readers(seed: int) -> None:
    """The input, a hidden state and a joint each read twice; joined bytes are copies of their parts' bytes."""
    rng = np.random.default_rng(seed)
    source = random_tensor(rng, "x", (4, 3))
    layers: list[QLayer] = list(random_layers(rng, "gru", "bidirectional", "a", source, 2))
    forward, backward, joint = layers
    layers.append(select_step("last", joint.y, 3))
    layers.append(select_step("first", joint.y, 0))
    layers.append(concat("ends", layers[-2].y, layers[-1].y, layers[-2].y))
    layers.append(random_linear(rng, "fc", layers[-1].y, 2))
    layers.append(random_cell(rng, "rnn, relu", "again", forward.y, 3, reverse=True))
    qgraph = QGraph("g", source, layers[-1].y, tuple(layers))
    found = run_quantized(qgraph, rng.integers(-128, 128, (2, 4, 3)).astype(np.int8))
    assert list(found) == ["x", *(layer.y.name for layer in layers)]
    both = np.concatenate([found[forward.y.name], found[backward.y.name]], axis=-1)
    np.testing.assert_array_equal(found[joint.y.name], both)
    np.testing.assert_array_equal(found["ends.y"], np.concatenate([both[:, 3], both[:, 0], both[:, 3]], axis=-1))


# --- from scales to integers -------------------------------------------------------------------------------------

SOURCE = random_tensor(np.random.default_rng(1), "x", (3, 2))
TARGET = random_tensor(np.random.default_rng(2), "y", (3, 1))
GRU = {
    "input_weights": np.arange(6, dtype=np.int8).reshape(3, 1, 2),
    "input_weight_scales": [0.25, 0.5, 1.0],
    "recurrent_weights": np.full((3, 1, 1), -5, dtype=np.int8),
    "recurrent_weight_scales": np.ones(3, np.float32),
    "input_bias": np.full((3, 1), 100, dtype=np.int32),
    "recurrent_bias": np.full((3, 1), 7, dtype=np.int32),
    "input_scale": 0.5,
    "input_zero_point": 7,
    "hidden_scale": 2.0**-7,
    "hidden_zero_point": 2,
    "linear_before_reset": True,
}
RNN = {
    "input_weights": np.array([[3, 4]], dtype=np.int8),
    "input_weight_scale": 0.25,
    "recurrent_weights": np.array([[-5]], dtype=np.int8),
    "recurrent_weight_scale": 1.0,
    "bias": np.array([100], dtype=np.int32),
    "input_scale": 0.5,
    "input_zero_point": 7,
    "hidden_scale": 2.0**-7,
    "hidden_zero_point": 2,
    "activation": "relu",
    "preactivation_scale_log2": -10,
}


def test_gru_scales_become_integers() -> None:
    layer = gru_from_scales("gru", SOURCE, TARGET, **GRU)  # type: ignore[arg-type]
    np.testing.assert_array_equal(layer.input_bias[:, 0], 100 - 7 * np.array([1, 5, 9]))
    np.testing.assert_array_equal(layer.recurrent_bias[:, 0], [7 + 10] * 3)  # -2 * -5
    # 0.25 * 0.5 * 2**12 = 2**9 = 2**30 * 2**(10 - 31); 2**-7 * 2**12 = 2**5.
    assert layer.input_requantizers == tuple(Requantizer(2**30, shift) for shift in (10, 11, 12))
    assert layer.recurrent_requantizers == (Requantizer(2**30, 6),) * 3
    assert layer.hidden_requantizer == Requantizer(2**30, -7)  # 2**-15 / 2**-7
    assert (layer.hidden_zero_point, layer.initial_hidden) == (2, 2)
    assert (layer.linear_before_reset, layer.reverse) == (True, False)


def test_rnn_scales_become_integers() -> None:
    layer = rnn_from_scales("rnn", SOURCE, TARGET, **RNN)  # type: ignore[arg-type]
    assert (layer.input_bias.tolist(), layer.recurrent_bias.tolist()) == ([100 - 7 * 7], [10])
    assert layer.input_requantizer == Requantizer(2**30, 8)  # 0.25 * 0.5 * 2**10
    assert layer.recurrent_requantizer == Requantizer(2**30, 4)  # 2**-7 * 2**10
    assert layer.hidden_requantizer == Requantizer(2**30, -2)  # 2**-10 / 2**-7
    tanh = rnn_from_scales("rnn", SOURCE, TARGET, **RNN | {"activation": "tanh", "preactivation_scale_log2": -12})  # type: ignore[arg-type]
    assert tanh.hidden_requantizer == Requantizer(2**30, -7)  # 2**-15 / 2**-7
    assert tanh.input_requantizer == Requantizer(2**30, 10)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("input_weights", np.zeros((3, 2), dtype=np.int8), r"input_weights: shape \(3, 2\)"),
        ("recurrent_weights", np.zeros((4, 1, 1), dtype=np.int8), r"recurrent_weights: shape \(4, 1, 1\)"),
        ("input_bias", np.zeros(3, dtype=np.int32), r"input_bias: shape \(3,\); expected shape \(3, 1\)"),
        ("recurrent_bias", np.zeros((4, 1), dtype=np.int32), r"recurrent_bias: shape \(4, 1\)"),
        ("input_weight_scales", [1.0] * 4, r"input_weight_scales: shape \(4,\)"),
        ("recurrent_weight_scales", [1.0, 0.0, 1.0], r"recurrent_weight_scales: .*; expected positive numbers"),
        ("input_scale", 0.0, r"input_scale: \[0\.0\]; expected positive"),
        ("hidden_scale", float("nan"), r"hidden_scale: \[nan\]; expected positive"),
    ],
)
def test_scales_that_make_no_gru(field: str, value: object, expected: str) -> None:
    with pytest.raises(InputError, match=rf"^layer gru: {expected}"):
        gru_from_scales("gru", SOURCE, TARGET, **GRU | {field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("input_weights", np.zeros(2, dtype=np.int8), r"input_weights: shape \(2,\)"),
        ("recurrent_weights", np.zeros((1, 2), dtype=np.int8), r"recurrent_weights: shape \(1, 2\)"),
        ("bias", np.zeros((1, 1), dtype=np.int32), r"bias: shape \(1, 1\)"),
        ("input_weight_scale", -1.0, r"input_weight_scale: \[-1\.0\]; expected positive"),
        ("recurrent_weight_scale", float("inf"), r"recurrent_weight_scale: \[inf\]; expected positive"),
        ("activation", "sine", r"activation: 'sine'; expected tanh or relu"),
        ("activation", "tanh", r"preactivation_scale_log2: -10; expected -12 for tanh"),
        ("preactivation_scale_log2", -32, r"preactivation_scale_log2: -32; expected -31 to 31"),
        ("preactivation_scale_log2", 32, r"preactivation_scale_log2: 32; expected -31 to 31"),
    ],
)
def test_scales_that_make_no_rnn(field: str, value: object, expected: str) -> None:
    with pytest.raises(InputError, match=rf"^layer rnn: {expected}"):
        rnn_from_scales("rnn", SOURCE, TARGET, **RNN | {field: value})  # type: ignore[arg-type]
