"""Moving named axes gives what numpy gives when it moves the values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.frontend.onnx_glue import Glue
from accelsim.frontend.onnx_values import (
    Activation,
    Axis,
    Constant,
    Node,
    RefusedError,
    Stack,
    constant_input,
    laid_out,
    regroup,
)
from accelsim.graph.model import Tensor

B, T, F = Axis.BATCH, Axis.TIME, Axis.FEATURE
ORDER = (B, T, F)


def node(operator: str, outputs: int = 1, **attributes: Any) -> Node:
    return Node(operator, "", "node", ("x",), tuple(f"y{index}" for index in range(outputs)), attributes)


def selected(tensor: Tensor, step: int, name: str) -> Tensor:
    return Tensor(f"{tensor.name}[{step}]", tensor.shape[1:])


def sequence(batch: int = 2, steps: int = 3, features: int = 4) -> Activation:
    return laid_out(Tensor("x", (steps, features)), batch, [(B,), (T,), (F,)])


def materialized(value: Activation) -> Any:
    """The array an activation stands for, of the canonical values 0, 1, 2 ... in batch, time, feature order."""
    sizes = [value.size_of(axis) for axis in ORDER]
    canonical = np.arange(int(np.prod(sizes))).reshape(sizes)
    kept = [axis for dimension in value.dimensions for axis in dimension]
    order = [ORDER.index(axis) for axis in kept] + [index for index, axis in enumerate(ORDER) if axis not in kept]
    return canonical.transpose(order).reshape(value.shape)


def constant(*values: int) -> Constant:
    return Constant(np.array(values, np.int64))


def applied(operator: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
    return Glue(selected).handlers[operator](node(operator, outputs, **attributes), list(inputs))[0]


@given(st.data())
def test_any_chain_of_moves_is_what_numpy_does(data: st.DataObject) -> None:
    value = sequence(*(data.draw(st.integers(1, 3)) for _ in range(3)))
    array = materialized(value)
    for _ in range(data.draw(st.integers(1, 6))):
        move = data.draw(st.sampled_from(["Transpose", "Unsqueeze", "Squeeze", "Reshape", "Flatten"]))
        if move == "Transpose":
            order = data.draw(st.permutations(range(value.rank)))
            value, array = applied(move, value, perm=order), array.transpose(order)
        elif move == "Unsqueeze":
            axis = data.draw(st.integers(-value.rank - 1, value.rank))
            value, array = applied(move, value, constant(axis)), np.expand_dims(array, axis)
        elif move == "Squeeze":
            axes = [axis for axis, size in enumerate(value.shape) if size == 1]
            value, array = applied(move, value), np.squeeze(array, tuple(axes))
        elif move == "Flatten":
            axis = data.draw(st.integers(0, value.rank))
            front = int(np.prod(array.shape[:axis], dtype=int))
            value, array = applied(move, value, axis=axis), array.reshape(front, -1)
        else:
            shape = data.draw(st.permutations([*array.shape, 1]))
            try:
                value = applied(move, value, constant(*shape))
            except RefusedError:
                continue
            array = array.reshape(shape)
        assert value.shape == array.shape
        np.testing.assert_array_equal(materialized(value), array)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_a_reshape_is_exact_or_refused(shape: list[int]) -> None:
    value = sequence()
    fronts = {1, 2, 6, 24}  # where the axes of (2, 3, 4) may be cut, as products from the front
    if not {int(product) for product in np.cumprod(shape)} <= fronts or np.prod(shape) != 24:
        with pytest.raises(RefusedError, match=r"reshape of \(batch, time, feature\)"):
            regroup(value, shape)
        return
    moved = regroup(value, shape)
    np.testing.assert_array_equal(materialized(moved), materialized(value).reshape(shape))


def test_merged_rows_come_apart_again() -> None:
    rows = applied("Reshape", sequence(), constant(-1, 4))
    assert rows.dimensions == ((B, T), (F,))
    assert applied("Reshape", rows, constant(2, 3, 4)).dimensions == ((B,), (T,), (F,))


def test_a_time_step_of_a_vector_is_itself() -> None:
    step = applied("Gather", sequence(), Constant(np.array(1)), axis=1)
    assert step.tensor == Tensor("x[1]", (4,))
    assert step.dimensions == ((B,), (F,))


def test_an_axis_of_size_one_may_be_indexed_away() -> None:
    value = sequence(batch=1)
    assert applied("Gather", value, Constant(np.array(-1)), axis=0).dimensions == ((T,), (F,))


def test_shape_and_size() -> None:
    stack = Stack((sequence(batch=1),) * 3, 0)
    assert applied("Shape", sequence()).array.tolist() == [2, 3, 4]
    assert applied("Shape", stack, start=0, end=2).array.tolist() == [3, 3]
    assert applied("Size", sequence()).array.tolist() == 24


def test_a_stack_is_the_part_that_is_taken() -> None:
    parts = tuple(laid_out(Tensor(name, (4,)), 2, [(), (B,), (F,)]) for name in "abc")
    stack = applied("Concat", *parts, axis=-3)
    assert applied("Gather", stack, constant(-1), axis=0) == parts[2]
    assert applied("Slice", stack, constant(1), constant(2)) == parts[1]
    assert applied("Split", stack, outputs=3, axis=0) == parts[0]
    assert applied("Identity", stack) == stack


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "text"),
    [
        ("Unsqueeze", [sequence()], {}, "axes are missing"),
        ("Reshape", [sequence(), None], {}, "the shape is missing"),
        ("Slice", [sequence(), None, None], {}, "starts or ends is missing"),
        ("Slice", [constant(1), sequence()], {}, "its first input is a constant"),
        ("Slice", [sequence(), sequence(), constant(1)], {}, "starts depends on the model's input"),
        ("Gather", [sequence(), None], {}, "not one integer"),
        ("Gather", [sequence(), Constant(np.array([0.0]))], {}, "not one integer"),
        ("Transpose", [Stack((sequence(),), 0)], {}, "a concatenation of several values"),
        ("Flatten", [sequence()], {"axis": -4}, "axis -4"),
        ("Squeeze", [sequence(), constant(3)], {}, "axis 3 of a value of rank 3"),
    ],
)
def test_refusals(operator: str, inputs: list[Any], attributes: dict[str, Any], text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        applied(operator, *inputs, **attributes)
    assert text in caught.value.reason


def test_an_input_left_out_is_none() -> None:
    assert constant_input([None], 0, "it") is None
    assert constant_input([], 3, "it") is None
