"""Operators that only move axes or take parts: each maps an activation to another, or refuses.

Source: the operators' specifications in the ONNX repository, `docs/Operators.md`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from accelsim.frontend.onnx_fold import reshape_target, shape_of, slices, split_sizes
from accelsim.frontend.onnx_values import (
    PART_AXES,
    Activation,
    Axis,
    Constant,
    Dimension,
    Handler,
    Node,
    RefusedError,
    Value,
    axes_of,
    constant_input,
    integers,
    kind_of,
    normalized_axes,
    normalized_axis,
    regroup,
)
from accelsim.graph.model import Tensor

_FLOAT32 = 1
"""ONNX `TensorProto.FLOAT`."""


class LayerMaker(Protocol):
    """What makes the layers that taking and joining parts of sequences comes down to."""

    def select_step(self, x: Tensor, step: int, name: str) -> Tensor:
        """Add the layer that takes one time step of `x`, under a name close to the one given; gives its output."""

    def concat(self, parts: Sequence[Tensor]) -> Tensor:
        """Add the layer that lays tensors side by side along their features; gives its output."""

    def sequence_of(self, steps: Sequence[Tensor]) -> tuple[Tensor, bool] | None:
        """The sequence whose steps these are, all of them and in order; and whether from the last to the first."""


class Glue:
    """The handlers of operators that move axes.

    Parameters
    ----------
    maker : LayerMaker
    """

    def __init__(self, maker: LayerMaker) -> None:
        self._maker = maker
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
        return [_activation(inputs)]

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
        return [Constant(shape_of(node, _activation(inputs).shape))]

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
        """Layers or directions on an axis of their own, or side by side along the features."""
        values = [value for value in inputs if isinstance(value, Activation)]
        if len(values) != len(inputs):
            other = next(value for value in inputs if not isinstance(value, Activation))
            raise RefusedError(f"{kind_of(other)} is concatenated to activations")
        axis = normalized_axis(node.attributes["axis"], values[0].rank)
        found = [_without(value.dimensions, axis) for value in values]
        if any(layout != found[0] for layout in found) or len({value.backward for value in values}) > 1:
            raise RefusedError(f"concatenation of {' and '.join(value.describe() for value in values)}")
        dimensions = list(values[0].dimensions)
        whole = self._maker.sequence_of([value.parts[0] for value in values])
        if whole is not None and all(len(value.parts) == 1 and not value.dimensions[axis] for value in values):
            dimensions[axis] = (Axis.TIME,)
            return [replace(values[0], parts=whole[:1], backward=whole[1]).with_dimensions(dimensions)]
        stacked = _stacked(values, axis)
        if stacked is not None:
            return [stacked]
        for value in values:
            if value.dimensions[axis] != value.feature_block():
                raise RefusedError(f"concatenation along dimension {axis} of {value.describe()}")
        y = self._maker.concat([part for value in values for part in value.parts])
        dimensions[axis] = (Axis.FEATURE,)
        return [replace(values[0], parts=(y,), directions=1).with_dimensions(dimensions)]

    def gather(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """One time step, one direction or layer, or an axis of size 1 dropped."""
        data = _activation(inputs)
        indices = constant_input(inputs, 1, "the index")
        if indices is None or indices.size != 1 or indices.ndim > 1 or indices.dtype.kind != "i":
            raise RefusedError("an index that is not one integer")
        axis = normalized_axis(node.attribute("axis", 0), data.rank)
        size, index = data.shape[axis], int(indices.reshape(()))
        if not -size <= index < size:
            raise RefusedError(f"index {index} of dimension {axis}, whose size is {size}")
        taken = self._window(node, data, axis, range(size)[index : index + 1 or None])
        if indices.ndim == 1:
            return [taken]
        return [taken.with_dimensions(taken.dimensions[:axis] + taken.dimensions[axis + 1 :])]

    def slice(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """All of each axis, in order or, of the time axis, backward; one time step; directions or layers."""
        data = _activation(inputs)
        starts, ends = integers(inputs, 1, "starts"), integers(inputs, 2, "ends")
        if starts is None or ends is None:
            raise RefusedError("starts or ends is missing")
        axes, steps = integers(inputs, 3, "axes"), integers(inputs, 4, "steps")
        chosen = normalized_axes(list(range(len(starts))) if axes is None else axes, data.rank)
        by_axis = slices(starts, ends, chosen, [1] * len(starts) if steps is None else steps)
        for axis, window in by_axis.items():
            data = self._window(node, data, axis, range(data.shape[axis])[window])
        return [data]

    def split(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """Parts that `slice` could give."""
        data = _activation(inputs)
        axis = normalized_axis(node.attribute("axis", 0), data.rank)
        requested = node.attribute("split") or integers(inputs, 1, "split")
        outputs: list[Value] = []
        start = 0
        for size in split_sizes(node, requested, data.shape[axis]):
            outputs.append(self._window(node, data, axis, range(start, start + size)))
            start += size
        return outputs

    def _window(self, node: Node, data: Activation, axis: int, window: range) -> Activation:
        """`data` restricted along one dimension, which stays, to the indices of `window`."""
        size = data.shape[axis]
        if window == range(size):
            return data
        if window == range(size)[::-1] and data.dimensions[axis] == (Axis.TIME,):
            return replace(data, backward=not data.backward)
        start, stop, whole = window.start, window.start + len(window), data
        fits = len(window) == 1 or (len(window) > 1 and window.step == 1)
        # From the outermost of the dimension's axes inward, to the one along which all indices are taken.
        while fits and stop - start < data.shape[axis]:
            dimension = data.dimensions[axis]
            if dimension == (Axis.TIME,) and stop - start == 1:
                return self._step(node, data, start)
            inner = math.prod(map(data.size_of, dimension[1:]))
            first, last = start // inner, -(-stop // inner)
            fits = dimension[0] in PART_AXES and (last - first == 1 or start % inner == stop % inner == 0)
            if fits:
                data = data.chosen(dimension[0], range(first, last))
                start, stop = start - first * inner, stop - first * inner
        if not fits:
            taken = f"{len(window)} of {size} indices of dimension {axis} of {whole.describe()} are taken"
            raise RefusedError(f"{taken}; all are supported, a time step, and directions or layers")
        return data

    def _step(self, node: Node, data: Activation, index: int) -> Activation:
        """One time step; the time axis stays with size 1."""
        step = data.size_of(Axis.TIME) - 1 - index if data.backward else index
        parts = tuple(self._maker.select_step(part, step, node.name) for part in data.parts)
        return replace(data, parts=parts, backward=False).with_dimensions(data.dimensions)


def _activation(inputs: list[Value | None]) -> Activation:
    value = inputs[0]
    if not isinstance(value, Activation):
        raise RefusedError(f"its first input is {kind_of(value)}, another one is not")
    return value


def _without(dimensions: Sequence[Dimension], axis: int) -> list[Dimension]:
    return [dimension for position, dimension in enumerate(dimensions) if position != axis]


def _stacked(values: Sequence[Activation], axis: int) -> Activation | None:
    """The values as layers on dimension `axis`, if that dimension of each has room for them."""
    first = values[0]
    inner: list[Dimension] = []
    for value in values:
        dimension = value.dimensions[axis]
        if value.size_of(Axis.LAYER) > 1:
            if dimension[:1] != (Axis.LAYER,):
                return None
            dimension = dimension[1:]
        if value.parts[0].shape != first.parts[0].shape or value.directions != first.directions:
            return None
        inner.append(dimension)
    if inner[0] not in ((), (Axis.DIRECTION,)) or any(dimension != inner[0] for dimension in inner):
        return None
    dimensions = list(first.dimensions)
    dimensions[axis] = (Axis.LAYER, *inner[0])
    return replace(first, parts=tuple(part for value in values for part in value.parts)).with_dimensions(dimensions)
