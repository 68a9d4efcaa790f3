"""Moving named axes and taking parts gives what numpy gives when it does the same to the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
    constant_input,
    laid_out,
    regroup,
)
from accelsim.graph.model import Tensor

B, T, F, L, D = Axis.BATCH, Axis.TIME, Axis.FEATURE, Axis.LAYER, Axis.DIRECTION
ORDER = (L, D, B, T, F)


class Maker:
    """Layers that are carried out at once: `arrays` holds each tensor's value, batch axis first."""

    def __init__(self) -> None:
        self.arrays: dict[str, Any] = {}

    def _named(self, array: Any) -> Tensor:
        tensor = Tensor(f"t{len(self.arrays)}", array.shape[1:])
        self.arrays[tensor.name] = array
        return tensor

    def tensor(self, batch: int, shape: Sequence[int]) -> Tensor:
        count = batch * int(np.prod(shape))
        return self._named(np.arange(count).reshape(batch, *shape) + 1000 * len(self.arrays))

    def select_step(self, x: Tensor, step: int, name: str) -> Tensor:
        return self._named(self.arrays[x.name][:, step])

    def concat(self, parts: Sequence[Tensor]) -> Tensor:
        return self._named(np.concatenate([self.arrays[part.name] for part in parts], axis=-1))

    def sequence_of(self, steps: Sequence[Tensor]) -> None:
        return None

    def materialized(self, value: Activation) -> Any:
        """The array that an activation stands for."""
        arrays = np.array([self.arrays[part.name] for part in value.parts])
        if value.backward:
            arrays = arrays[:, :, ::-1]
        sizes = [value.size_of(axis) for axis in ORDER]
        kept = [axis for dimension in value.dimensions for axis in dimension]
        order = [ORDER.index(axis) for axis in kept] + [index for index, axis in enumerate(ORDER) if axis not in kept]
        return arrays.reshape(sizes).transpose(order).reshape(value.shape)


def node(operator: str, outputs: int = 1, **attributes: Any) -> Node:
    return Node(operator, "", "node", ("x",), tuple(f"y{index}" for index in range(outputs)), attributes)


MAKER = Maker()


def sequence(batch: int = 2, steps: int = 3, features: int = 4) -> Activation:
    return laid_out(MAKER.tensor(batch, (steps, features)), batch, [(B,), (T,), (F,)])


def states(layers: int, directions: int, batch: int, features: int) -> Activation:
    """Last states as PyTorch's ``h_n`` holds them: layers times directions, batch, features."""
    parts = tuple(MAKER.tensor(batch, (features,)) for _ in range(layers * directions))
    return Activation(parts, batch, (), directions).with_dimensions([(L, D), (B,), (F,)])


def outputs(directions: int, batch: int, steps: int, features: int) -> Activation:
    """All states as an ONNX node gives them: time, directions, batch, features."""
    parts = tuple(MAKER.tensor(batch, (steps, features)) for _ in range(directions))
    return Activation(parts, batch, (), directions).with_dimensions([(T,), (D,), (B,), (F,)])


def constant(*values: int) -> Constant:
    return Constant(np.array(values, np.int64))


def applied(operator: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
    return Glue(MAKER).handlers[operator](node(operator, outputs, **attributes), list(inputs))[0]


def check(value: Activation, array: Any) -> None:
    assert value.shape == array.shape
    np.testing.assert_array_equal(MAKER.materialized(value), array)


def moved(data: st.DataObject, value: Activation, array: Any) -> tuple[Activation, Any]:
    """One move, of the value and of the array; neither where it is refused."""
    choices = ["Transpose", "Unsqueeze", "Squeeze", "Reshape", "Flatten", "Gather", "Slice", "Concat", "Flip"]
    move = data.draw(st.sampled_from(choices if value.rank else ["Unsqueeze"]))
    axis = data.draw(st.integers(0, max(value.rank - 1, 0)))
    if move == "Transpose":
        order = data.draw(st.permutations(range(value.rank)))
        return applied(move, value, perm=order), array.transpose(order)
    if move == "Unsqueeze":
        axis = data.draw(st.integers(-value.rank - 1, value.rank))
        return applied(move, value, constant(axis)), np.expand_dims(array, axis)
    if move == "Squeeze":
        axes = [axis for axis, size in enumerate(value.shape) if size == 1]
        return applied(move, value), np.squeeze(array, tuple(axes))
    if move == "Flatten":
        front = int(np.prod(array.shape[:axis], dtype=int))
        return applied(move, value, axis=axis), array.reshape(front, -1)
    size = value.shape[axis]
    if move == "Gather":
        index = data.draw(st.integers(-size, size - 1))
        return applied(move, value, Constant(np.array(index)), axis=axis), np.take(array, index, axis)
    if move == "Slice":
        start = data.draw(st.integers(0, size - 1))
        stop = data.draw(st.integers(start + 1, size))
        window = tuple(slice(start, stop) if other == axis else slice(None) for other in range(value.rank))
        return applied(move, value, constant(start), constant(stop), constant(axis)), array[window]
    if move == "Flip":
        bounds = (constant(-1), constant(-(2**63)), constant(axis), constant(-1))
        return applied("Slice", value, *bounds), np.flip(array, axis)
    if move == "Concat":
        fresh = {part: MAKER.tensor(value.batch, part.shape) for part in set(value.parts)}
        other = replace(value, parts=tuple(fresh[part] for part in value.parts))
        both = np.concatenate([array, MAKER.materialized(other)], axis)
        return applied(move, value, other, axis=axis), both
    cuts = [2] if array.size % 2 == 0 else []
    shape = data.draw(st.permutations([*array.shape, 1]) | st.just([*cuts, *([array.size // 2] if cuts else [-1])]))
    return applied(move, value, constant(*shape)), array.reshape(shape)


@given(st.data())
def test_any_chain_of_moves_is_what_numpy_does(data: st.DataObject) -> None:
    sizes = [data.draw(st.integers(1, 3)) for _ in range(4)]
    make = data.draw(st.sampled_from([lambda a, b, c, d: sequence(a, b, c), states, outputs]))
    value = make(*sizes)
    array = MAKER.materialized(value)
    for _ in range(data.draw(st.integers(1, 7))):
        try:
            value, array = moved(data, value, array)
        except RefusedError:
            continue
        check(value, array)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_a_reshape_is_exact_or_refused(shape: list[int]) -> None:
    value = sequence()
    fronts = {1, 2, 6, 24}  # where the axes of (2, 3, 4) may be cut, as products from the front
    if not {int(product) for product in np.cumprod(shape)} <= fronts or np.prod(shape) != 24:
        with pytest.raises(RefusedError, match=r"reshape of \(batch, time, feature\)"):
            regroup(value, shape)
        return
    check(regroup(value, shape), MAKER.materialized(value).reshape(shape))


def test_merged_rows_come_apart_again() -> None:
    rows = applied("Reshape", sequence(), constant(-1, 4))
    assert rows.dimensions == ((B, T), (F,))
    assert applied("Reshape", rows, constant(2, 3, 4)).dimensions == ((B,), (T,), (F,))


def test_directions_are_merged_with_the_features_and_come_apart_again() -> None:
    y = outputs(2, 3, 5, 4)
    merged = applied("Reshape", applied("Transpose", y, perm=[0, 2, 1, 3]), constant(0, 0, -1))
    assert merged.dimensions == ((T,), (B,), (D, F))
    one = applied("Slice", merged, constant(0), constant(4), constant(2))
    assert (one.parts, one.dimensions) == (y.parts[:1], ((T,), (B,), (F,)))
    other = applied("Slice", merged, constant(4), constant(8), constant(2))
    assert other.parts == y.parts[1:]
    apart = applied("Reshape", merged, constant(5, 3, 2, 4))
    assert applied("Gather", apart, constant(1), axis=2).parts == y.parts[1:]


def test_layers_and_directions_of_the_last_states_come_apart() -> None:
    hidden = states(3, 2, 2, 4)
    assert hidden.dimensions == ((L, D), (B,), (F,))
    assert applied("Gather", hidden, constant(-1), axis=0).parts == hidden.parts[5:]
    assert applied("Slice", hidden, constant(-2), constant(9), constant(0)).parts == hidden.parts[4:]
    view = applied("Reshape", hidden, constant(3, 2, 2, 4))
    assert applied("Gather", view, Constant(np.array(-1)), axis=0).parts == hidden.parts[4:]
    assert applied("Gather", view, Constant(np.array(0)), axis=1).parts == hidden.parts[::2]
    with pytest.raises(RefusedError, match="3 of 6 indices of dimension 0"):
        applied("Slice", hidden, constant(1), constant(4), constant(0))


def test_running_backward_twice_is_running_forward() -> None:
    bounds = (constant(-1), constant(-99), constant(1), constant(-1))
    value = sequence()
    back = applied("Slice", value, *bounds)
    assert back.backward
    assert applied("Slice", back, *bounds) == value
    step = applied("Gather", back, Constant(np.array(0)), axis=1)
    check(step, MAKER.materialized(value)[:, -1])
    assert not step.backward


def test_a_time_step_of_a_vector_is_itself() -> None:
    step = applied("Gather", sequence(), Constant(np.array(1)), axis=1)
    assert step.tensor.shape == (4,)
    assert step.dimensions == ((B,), (F,))


def test_an_axis_of_size_one_may_be_indexed_away() -> None:
    value = sequence(batch=1)
    assert applied("Gather", value, Constant(np.array(-1)), axis=0).dimensions == ((T,), (F,))


def test_shape_and_size() -> None:
    assert applied("Shape", sequence()).array.tolist() == [2, 3, 4]
    assert applied("Shape", states(3, 2, 2, 4), start=0, end=2).array.tolist() == [6, 2]
    assert applied("Size", sequence()).array.tolist() == 24


def test_a_stack_is_the_part_that_is_taken() -> None:
    parts = tuple(laid_out(Tensor(name, (4,)), 2, [(), (B,), (F,)]) for name in "abc")
    stack = applied("Concat", *parts, axis=-3)
    assert applied("Gather", stack, constant(-1), axis=0) == parts[2]
    assert applied("Slice", stack, constant(1), constant(2)) == parts[1]
    assert applied("Split", stack, outputs=3, axis=0) == parts[0]
    assert applied("Identity", stack) == stack


def test_what_differs_is_not_concatenated_but_along_the_features() -> None:
    narrow, wide = sequence(features=1), sequence(features=4)
    both = applied("Concat", narrow, wide, axis=2)
    check(both, np.concatenate([MAKER.materialized(narrow), MAKER.materialized(wide)], 2))
    back = applied("Slice", wide, constant(-1), constant(-99), constant(1), constant(-1))
    for other in (back, applied("Transpose", wide, perm=[1, 0, 2])):
        with pytest.raises(RefusedError, match="concatenation of"):
            applied("Concat", wide, other, axis=2)
    with pytest.raises(RefusedError, match="a constant is concatenated"):
        applied("Concat", wide, constant(1), axis=0)
    with pytest.raises(RefusedError, match="concatenation along dimension 1"):
        applied("Concat", wide, wide, axis=1)


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "text"),
    [
        ("Unsqueeze", [sequence()], {}, "axes are missing"),
        ("Reshape", [sequence(), None], {}, "the shape is missing"),
        ("Slice", [sequence(), None, None], {}, "starts or ends is missing"),
        ("Slice", [constant(1), sequence()], {}, "its first input is a constant"),
        ("Slice", [sequence(), sequence(), constant(1)], {}, "starts depends on the model's input"),
        ("Identity", [None], {}, "its first input is left out"),
        ("Gather", [sequence(), None], {}, "not one integer"),
        ("Gather", [sequence(), Constant(np.array([0.0]))], {}, "not one integer"),
        ("Flatten", [sequence()], {"axis": -4}, "axis -4"),
        ("Squeeze", [sequence(), constant(3)], {}, "axis 3 of a value of rank 3"),
        ("Slice", [outputs(2, 2, 3, 4), constant(2), constant(-99), constant(1), constant(-1)], {}, "2 of 2 indices"),
    ],
)
def test_refusals(operator: str, inputs: list[Any], attributes: dict[str, Any], text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        applied(operator, *inputs, **attributes)
    assert text in caught.value.reason


def test_several_tensors_are_no_single_one() -> None:
    with pytest.raises(RefusedError, match="on an axis of their own"):
        _ = states(1, 2, 2, 4).tensor


def test_an_input_left_out_is_none() -> None:
    assert constant_input([None], 0, "it") is None
    assert constant_input([], 3, "it") is None
