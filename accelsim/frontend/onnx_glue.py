"""Operators that only move axes: each maps the layout of an activation to another, or refuses.

Source: the operators' specifications in the ONNX repository, `docs/Operators.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from accelsim.frontend.onnx_fold import reshape_target, shape_of, slices, split_sizes
from accelsim.frontend.onnx_values import (
    Activation,
    Axis,
    Constant,
    Handler,
    Node,
    RefusedError,
    Stack,
    Value,
    axes_of,
    constant_input,
    integers,
    normalized_axes,
    normalized_axis,
    regroup,
)
from accelsim.graph.model import Tensor

_FLOAT32 = 1
"""ONNX `TensorProto.FLOAT`."""


SelectStepMaker = Callable[[Tensor, int, str], Tensor]
"""Adds the layer that takes one time step of a sequence, under a name close to the one given; gives its output."""


class Glue:
    """The handlers of operators that move axes.

    Parameters
    ----------
    select_step : SelectStepMaker
    """

    def __init__(self, select_step: SelectStepMaker) -> None:
        self._select_step = select_step
        self.handlers: Mapping[str, Handler] = {
            "Cast": self.cast,
            "Concat": self.concat,
            "Dropout": self.dropout,
            "Flatten": self.flatten,
            "Gather": self.gather,
            "Identity": self.identity,
            "Reshape": self.reshape,
            "Shape": self.shape,
            "Size": self.size,
            "Slice": self.slice,
            "Split": self.split,
            "Squeeze": self.squeeze,
            "Transpose": self.transpose,
            "Unsqueeze": self.unsqueeze,
        }

    def identity(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """The value itself."""
        return [_movable(inputs)]

    def cast(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """Nothing, to float32, which the model computes in."""
        if node.attribute("to") != _FLOAT32:
            raise RefusedError("only a cast to float32 leaves activations as they are")
        return [_activation(inputs)]

    def dropout(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """Nothing, in inference."""
        training = constant_input(inputs, 2, "training_mode")
        if training is not None and np.any(training):
            raise RefusedError("training mode")
        return [_activation(inputs)]

    def shape(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """The ONNX shape, with the batch axis at the size it is read with."""
        value = _movable(inputs)
        return [Constant(shape_of(node, [_size(value, axis) for axis in range(_rank(value))]))]

    def size(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """The number of elements."""
        return [Constant(np.array(math.prod(_activation(inputs).shape), np.int64))]

    def transpose(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """Dimensions in another order."""
        value = _activation(inputs)
        order = [int(axis) for axis in node.attribute("perm", list(range(value.rank))[::-1])]
        if sorted(order) != list(range(value.rank)):
            raise RefusedError(f"perm {order} for a value of rank {value.rank}")
        return [value.with_dimensions([value.dimensions[axis] for axis in order])]

    def squeeze(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """Dimensions of size 1 dropped."""
        value = _activation(inputs)
        axes = axes_of(node, inputs)
        if axes is None:
            dropped = {axis for axis, dimension in enumerate(value.dimensions) if not dimension}
        else:
            dropped = set(normalized_axes(axes, value.rank))
        for axis in dropped:
            if value.dimensions[axis]:
                raise RefusedError(f"dimension {axis} of {value.describe()} is not of size 1")
        return [value.with_dimensions([d for axis, d in enumerate(value.dimensions) if axis not in dropped])]

    def unsqueeze(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """Dimensions of size 1 added."""
        value = _activation(inputs)
        axes = axes_of(node, inputs)
        if axes is None:
            raise RefusedError("axes are missing")
        rank = value.rank + len(axes)
        added = set(normalized_axes(axes, rank))
        kept = iter(value.dimensions)
        return [value.with_dimensions([() if axis in added else next(kept) for axis in range(rank)])]

    def reshape(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """The same elements cut into other dimensions."""
        value = _activation(inputs)
        requested = integers(inputs, 1, "the shape")
        if requested is None:
            raise RefusedError("the shape is missing")
        return [regroup(value, reshape_target(node, requested, value.shape))]

    def flatten(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """Two dimensions, cut before `axis`."""
        value = _activation(inputs)
        axis = node.attribute("axis", 1)
        if not -value.rank <= axis <= value.rank:
            raise RefusedError(f"axis {axis} of a value of rank {value.rank}")
        cut = axis + value.rank if axis < 0 else axis
        return [regroup(value, (math.prod(value.shape[:cut]), math.prod(value.shape[cut:])))]

    def concat(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """Values of size 1 on the axis, gathered until one of them is taken out again."""
        parts: list[Activation] = []
        for value in inputs:
            if not isinstance(value, Activation):
                raise RefusedError("only activations of equal layout can be concatenated")
            axis = normalized_axis(node.attributes["axis"], value.rank)
            if value.dimensions[axis] or (parts and value.shape != parts[0].shape):
                raise RefusedError(f"concatenation along dimension {axis} of {value.describe()}")
            parts.append(value)
        return [Stack(tuple(parts), axis)]

    def gather(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """One time step, one part of a stack, or an axis of size 1 dropped."""
        data = _movable(inputs)
        indices = constant_input(inputs, 1, "the index")
        if indices is None or indices.size != 1 or indices.ndim > 1 or indices.dtype.kind != "i":
            raise RefusedError("an index that is not one integer")
        axis = normalized_axis(node.attribute("axis", 0), _rank(data))
        taken = self._take(node, data, axis, int(indices.reshape(())))
        if indices.ndim == 1:
            return [taken]
        return [taken.with_dimensions(taken.dimensions[:axis] + taken.dimensions[axis + 1 :])]

    def slice(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """All of each axis, or one time step, or one part of a stack."""
        data = _movable(inputs)
        starts, ends = integers(inputs, 1, "starts"), integers(inputs, 2, "ends")
        if starts is None or ends is None:
            raise RefusedError("starts or ends is missing")
        axes, steps = integers(inputs, 3, "axes"), integers(inputs, 4, "steps")
        chosen = normalized_axes(list(range(len(starts))) if axes is None else axes, _rank(data))
        by_axis = slices(starts, ends, chosen, [1] * len(starts) if steps is None else steps)
        for axis, window in by_axis.items():
            data = self._window(node, data, axis, range(_size(data, axis))[window])
        return [data]

    def split(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """Single time steps or single parts of a stack; a part that is neither is refused."""
        data = _movable(inputs)
        axis = normalized_axis(node.attribute("axis", 0), _rank(data))
        requested = node.attribute("split") or integers(inputs, 1, "split")
        outputs: list[Value] = []
        start = 0
        for size in split_sizes(node, requested, _size(data, axis)):
            outputs.append(self._window(node, data, axis, range(start, start + size)))
            start += size
        return outputs

    def _window(self, node: Node, data: Activation | Stack, axis: int, window: range) -> Activation | Stack:
        """`data` restricted along one dimension to the indices of `window`."""
        if window == range(_size(data, axis)):
            return data
        if len(window) != 1:
            raise RefusedError(
                f"{len(window)} of {_size(data, axis)} indices of dimension {axis} are taken; one or all"
            )
        return self._take(node, data, axis, window[0])

    def _take(self, node: Node, data: Activation | Stack, axis: int, index: int) -> Activation:
        """One index along one dimension, which stays with size 1."""
        size = _size(data, axis)
        if not -size <= index < size:
            raise RefusedError(f"index {index} of dimension {axis}, whose size is {size}")
        index %= size
        if isinstance(data, Stack):
            if axis != data.axis:
                raise RefusedError("a part of each of several concatenated values is taken")
            return data.parts[index]
        dimension = data.dimensions[axis]
        if not dimension:
            return data
        if dimension != (Axis.TIME,):
            raise RefusedError(f"one index of dimension {axis} of {data.describe()} is taken; only of the time axis")
        dimensions = [() if position == axis else other for position, other in enumerate(data.dimensions)]
        return Activation(self._select_step(data.tensor, index, node.name), data.batch, tuple(dimensions))


def _movable(inputs: list[Value | None]) -> Activation | Stack:
    value = inputs[0]
    if not isinstance(value, Activation | Stack):
        raise RefusedError("its first input is a constant, another one is not")
    return value


def _activation(inputs: list[Value | None]) -> Activation:
    value = _movable(inputs)
    if isinstance(value, Stack):
        raise RefusedError("its input is a concatenation of several values")
    return value


def _rank(data: Activation | Stack) -> int:
    return data.rank if isinstance(data, Activation) else data.parts[0].rank


def _size(data: Activation | Stack, axis: int) -> int:
    if isinstance(data, Activation):
        return data.shape[axis]
    return len(data.parts) if axis == data.axis else data.parts[0].shape[axis]
