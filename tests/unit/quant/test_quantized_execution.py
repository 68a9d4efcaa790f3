"""Integer execution: conversions at the boundary, kept state, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import InputError
from accelsim.quant.execute import (
    dequantize,
    linear,
    lstm_sequence,
    matrix_product,
    quantize_input,
    run_quantized,
)
from accelsim.quant.model import QGraph, QTensor
from tests.support.quantized_graphs import random_graph, random_linear, random_lstm, random_tensor, select_step

ONE = QTensor("x", (1,), np.array([1.0], dtype=np.float32), 0)


def test_quantize_rounds_half_to_even_and_saturates() -> None:
    features = np.array([[-0.5], [0.5], [1.5], [2.5], [-2.5], [126.5], [127.5], [-128.5], [1e30], [-np.inf]])
    found = quantize_input(ONE, features.astype(np.float32))
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found[:, 0], [0, 0, 2, 2, -2, 126, 127, -128, 127, -128])


def test_quantize_divides_in_float32() -> None:
    # A quotient that float32 rounds up to the tie 1.5, which goes to 2; in float64 it stays below and goes to 1.
    tensor = QTensor("x", (1,), np.array([0.03], dtype=np.float32), 0)
    feature = np.array([[0.03]], dtype=np.float32) * np.float32(1.5)
    assert np.float64(feature[0, 0]) / np.float64(tensor.scale[0]) < 1.5
    assert quantize_input(tensor, feature)[0, 0] == 2


def test_quantize_one_scale_a_feature() -> None:
    tensor = QTensor("x", (2, 3), np.array([1.0, 2.0, 0.5], dtype=np.float32), -1)
    found = quantize_input(tensor, np.full((1, 2, 3), 4.0, dtype=np.float32))
    np.testing.assert_array_equal(found, np.tile([3, 1, 7], (1, 2, 1)))
    np.testing.assert_array_equal(dequantize(tensor, found), np.full((1, 2, 3), 4.0, dtype=np.float32))


def test_dequantize_is_float32() -> None:
    tensor = QTensor("x", (1,), np.array([0.1], dtype=np.float32), -128)
    found = dequantize(tensor, np.array([127, -128], dtype=np.int8))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([255, 0], dtype=np.float32) * np.float32(0.1))


@pytest.mark.parametrize("shape", [(4, 2), ()])
def test_quantize_refuses_another_width(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"input: x: shape .*; expected 1 features on the last axis"):
        quantize_input(ONE, np.zeros(shape, dtype=np.float32))


def test_quantize_refuses_a_nan() -> None:
    with pytest.raises(InputError, match="input: x: a NaN among the features; expected numbers"):
        quantize_input(ONE, np.array([[np.nan]], dtype=np.float32))


@given(columns=st.sampled_from([1, 7, 1024, 1025, 3000]), sign=st.sampled_from([-128, 127]), odd=st.booleans())
@settings(max_examples=30, deadline=None)
def test_matrix_product_is_exact_at_its_largest(columns: int, sign: int, odd: bool) -> None:
    x = np.full((2, columns), -128, dtype=np.int8)
    x[1] = 127
    weights = np.full((3, columns), sign, dtype=np.int8)
    if odd:
        weights[:, 0] = 1  # an odd sum: float32 would lose it above 2**24
    bias = np.array([0, 5, -(2**31)], dtype=np.int32)
    exact = [[sum(int(a) * int(b) for a, b in zip(row, w, strict=True)) for w in weights] for row in x]
    wrapped = [[(total + int(b) + 2**31) % 2**32 - 2**31 for total, b in zip(row, bias, strict=True)] for row in exact]
    assert matrix_product(x, weights, bias).tolist() == wrapped


def test_matrix_product_wraps_at_32_bits() -> None:
    x, weights = np.array([[-1, 127]], dtype=np.int8), np.array([[1, 0]], dtype=np.int8)
    assert matrix_product(x, weights, np.array([-(2**31)], dtype=np.int32)).tolist() == [[2**31 - 1]]


@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 7))
@settings(max_examples=20, deadline=None)
def test_kept_state_continues_the_sequence(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    layer = random_lstm(rng, "lstm", random_tensor(rng, "x", (8, 3)), 5)
    x = rng.integers(-128, 128, (2, 8, 3)).astype(np.int8)
    whole, hidden, cell = lstm_sequence(layer, x)
    first, *state = lstm_sequence(layer, x[:, :cut])
    second, hidden_again, cell_again = lstm_sequence(layer, x[:, cut:], *state)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), whole)
    np.testing.assert_array_equal(hidden_again, hidden)
    np.testing.assert_array_equal(cell_again, cell)
    np.testing.assert_array_equal(hidden, whole[:, -1])
    assert (hidden.dtype, cell.dtype) == (np.int8, np.int16)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_frames_are_independent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    qgraph = random_graph(rng, largest=6)
    frames = rng.integers(-128, 128, (4, *qgraph.input.shape)).astype(np.int8)
    together = run_quantized(qgraph, frames)
    assert list(together) == [qgraph.input.name, *(layer.y.name for layer in qgraph.layers)]
    for index in range(4):
        alone = run_quantized(qgraph, frames[index : index + 1])
        for name, values in together.items():
            np.testing.assert_array_equal(alone[name][0], values[index])


def test_no_frames_give_no_outputs() -> None:
    qgraph = random_graph(np.random.default_rng(1), largest=4)
    outputs = run_quantized(qgraph, np.zeros((0, *qgraph.input.shape), dtype=np.int8))
    assert {len(values) for values in outputs.values()} == {0}


def test_linear_works_on_each_step() -> None:
    rng = np.random.default_rng(2)
    layer = random_linear(rng, "fc", random_tensor(rng, "x", (3, 4)), 5)
    x = rng.integers(-128, 128, (2, 3, 4)).astype(np.int8)
    found = linear(layer, x)
    assert found.shape == (2, 3, 5)
    np.testing.assert_array_equal(found[:, 1], linear(layer, x[:, 1]))


def test_inputs_of_another_type_or_shape() -> None:
    rng = np.random.default_rng(3)
    step = select_step("select", random_tensor(rng, "x", (3, 4)), 1)
    qgraph = QGraph("g", step.x, step.y, (step,))
    with pytest.raises(InputError, match="input: x: type float32; expected int8"):
        run_quantized(qgraph, np.zeros((1, 3, 4), dtype=np.float32))
    for shape in ((3, 4), (1, 4, 3), ()):
        with pytest.raises(InputError, match=r"input: x: shape .*; expected frames of shape \(3, 4\)"):
            run_quantized(qgraph, np.zeros(shape, dtype=np.int8))
