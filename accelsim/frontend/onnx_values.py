"""What a value of an ONNX graph is while it is read: a known constant, or tensors of ours under some layout of axes.

ONNX moves the axes of a recurrent model around (batch first or time first, a direction axis, rows of a merged
reshape); a `Graph` has none of that. So each ONNX value is a tensor of the graph plus, for each ONNX dimension, the
named axes it is made of: ``((BATCH,), (TIME,), (FEATURE,))``, or ``((BATCH, TIME), (FEATURE,))`` once rows are merged.
Where directions or layers lie side by side, a value is several tensors of one shape, and which one it is, is an axis
too: a bidirectional layer's merged output is ``((TIME,), (BATCH,), (DIRECTION, FEATURE))`` of two tensors.
Axes of size 1 are not tracked: their place never changes a value. Operators that only move axes then move names, and
whatever does not map exactly is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.graph.model import FloatArray, Linear, SelectStep, Tensor

Array = NDArray[Any]


class Axis(Enum):
    """What an axis of an activation runs over."""

    LAYER = "layer"
    DIRECTION = "direction"
    BATCH = "batch"
    TIME = "time"
    FEATURE = "feature"


PART_AXES = (Axis.LAYER, Axis.DIRECTION)
"""The axes that run over an activation's tensors, the outer one first."""

Dimension = tuple[Axis, ...]


class RefusedError(Exception):
    """A node can't be mapped; the reader adds the file, the operator and the node."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True)
class Node:
    """An ONNX node in Python types.

    Parameters
    ----------
    operator, domain : str
    name : str
        The node's name, or its first output's where it has none.
    inputs, outputs : tuple of str
        Value names; empty for one left out.
    attributes : mapping of str to int, float, str, list, ndarray or subgraph
    """

    operator: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value, or `default`."""
        return self.attributes.get(name, default)


@dataclass(frozen=True, eq=False)
class Constant:
    """A value known before the model runs; `name` is its ONNX name."""

    array: Array
    name: str = ""


@dataclass(frozen=True)
class Activation:
    """Tensors of the graph under a layout.

    Parameters
    ----------
    parts : tuple of Tensor
        One, or several of one shape: layers times directions, the directions of a layer next to each other.
    batch : int
        Size of the batch axis.
    dimensions : tuple of tuple of Axis
        Row-major composition of each ONNX dimension; empty for a dimension of size 1. Build with `laid_out`.
    directions : int
        Size of the direction axis.
    backward : bool
        The time axis runs from the tensor's last step to its first.
    """

    parts: tuple[Tensor, ...]
    batch: int
    dimensions: tuple[Dimension, ...]
    directions: int = 1
    backward: bool = False

    @property
    def tensor(self) -> Tensor:
        """The tensor of an activation that is no more than one.

        Raises
        ------
        RefusedError
            If it is several.
        """
        if len(self.parts) != 1:
            raise RefusedError(f"directions or layers lie on an axis of their own in {self.describe()}")
        return self.parts[0]

    def size_of(self, axis: Axis) -> int:
        """Number of elements along a named axis; 1 for one the tensors lack."""
        if axis is Axis.LAYER:
            return len(self.parts) // self.directions
        if axis is Axis.DIRECTION:
            return self.directions
        if axis is Axis.BATCH:
            return self.batch
        if axis is Axis.FEATURE:
            return self.parts[0].features
        return self.parts[0].shape[0] if self.parts[0].is_sequence else 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The ONNX shape."""
        return tuple(math.prod(map(self.size_of, dimension)) for dimension in self.dimensions)

    @property
    def rank(self) -> int:
        """Number of ONNX dimensions."""
        return len(self.dimensions)

    def with_dimensions(self, dimensions: Sequence[Dimension]) -> Activation:
        """The same tensors under another layout, axes of size 1 dropped from `dimensions`."""
        kept = tuple(tuple(axis for axis in dimension if self.size_of(axis) > 1) for dimension in dimensions)
        return replace(self, dimensions=kept)

    def with_tensor(self, tensor: Tensor) -> Activation:
        """Another tensor under the same layout, where it stands for every part of this one."""
        moved = Activation((tensor,), self.batch, (), backward=self.backward and tensor.is_sequence)
        return moved.with_dimensions(self.dimensions)

    def expected(self, *axes: Axis | None) -> tuple[Dimension, ...]:
        """The dimensions of a layout with one named axis (or None: size 1) a dimension."""
        return tuple((axis,) if axis is not None and self.size_of(axis) > 1 else () for axis in axes)

    def chosen(self, axis: Axis, indices: range) -> Activation:
        """The parts at some indices of one of `PART_AXES`, under the same layout."""
        count = self.directions
        layers = [self.parts[start : start + count] for start in range(0, len(self.parts), count)]
        if axis is Axis.LAYER:
            layers = [layers[index] for index in indices]
        else:
            layers, count = [tuple(layer[index] for index in indices) for layer in layers], len(indices)
        parts = tuple(part for layer in layers for part in layer)
        return replace(self, parts=parts, directions=count).with_dimensions(self.dimensions)

    def feature_block(self) -> Dimension:
        """The axes of all features of all parts, where they are merged into one dimension."""
        return tuple(axis for axis in (*PART_AXES, Axis.FEATURE) if self.size_of(axis) > 1)

    def describe(self) -> str:
        """The layout in words, for messages."""
        words = (" x ".join(axis.value for axis in dimension) or "1" for dimension in self.dimensions)
        return f"({', '.join(words)}) of shape {self.shape}"


@dataclass(frozen=True, eq=False)
class Preactivation:
    """The sum of two products in a step of an unrolled RNN, for its activation to follow.

    Parameters
    ----------
    step : SelectStep
        The step of the product of the whole sequence.
    source : Linear
        That product.
    recurrent : (Linear, SelectStep), optional
        The product of the state before, and that state as a step of the layer's output; None in the first step.
    bias : float32[units]
        What is added in the first step; a further one has it in `recurrent`.
    layout : Activation
        The sum's axes.
    """

    step: SelectStep
    source: Linear
    recurrent: tuple[Linear, SelectStep] | None
    bias: FloatArray
    layout: Activation


Value = Constant | Activation | Preactivation
Inputs = Sequence[Value | None]


def laid_out(tensor: Tensor, batch: int, dimensions: Sequence[Dimension]) -> Activation:
    """An activation of one tensor, axes of size 1 dropped from `dimensions`."""
    return Activation((tensor,), batch, ()).with_dimensions(dimensions)


def regroup(value: Activation, shape: Sequence[int]) -> Activation:
    """Reshape: the same elements in the same order, cut into other dimensions.

    Raises
    ------
    RefusedError
        If a cut would fall inside a named axis.
    """
    axes = [axis for dimension in value.dimensions for axis in dimension]
    dimensions: list[Dimension] = []
    position, moved = 0, value
    for size in shape:
        start, product = position, 1
        while product < size and position < len(axes):
            axis, before = axes[position], product
            product *= moved.size_of(axis)
            position += 1
            layers = size // before
            if axis is Axis.LAYER and product > size and moved.directions == 1 and product % size == size % before == 0:
                # Layers in groups: the outputs of both directions' layers, each read on its own, stacked alike.
                moved = replace(moved, directions=len(moved.parts) // layers)
                axes.insert(position, Axis.DIRECTION)
                product = size
        if product != size:
            raise RefusedError(f"reshape of {value.describe()} to {tuple(shape)} cuts an axis")
        dimensions.append(tuple(axes[start:position]))
    if position != len(axes):
        raise RefusedError(f"reshape of {value.describe()} to {tuple(shape)} loses elements")
    return moved.with_dimensions(dimensions)


def normalized_axis(axis: int, rank: int) -> int:
    """A dimension's index counted from 0.

    Raises
    ------
    RefusedError
        If there is no such dimension.
    """
    if not -rank <= axis < rank:
        raise RefusedError(f"axis {axis} of a value of rank {rank}")
    return axis % rank


def normalized_axes(axes: Sequence[int], rank: int) -> list[int]:
    """Distinct dimension indices counted from 0; raises `RefusedError` as `normalized_axis`."""
    normalized = [normalized_axis(int(axis), rank) for axis in axes]
    if len(set(normalized)) != len(normalized):
        raise RefusedError(f"axes {list(axes)} name a dimension twice")
    return normalized


def constant_input(inputs: Inputs, index: int, what: str) -> Array | None:
    """The constant at `index`, None where it is left out.

    Raises
    ------
    RefusedError
        If it depends on the model's input.
    """
    value = inputs[index] if index < len(inputs) else None
    if value is None:
        return None
    if not isinstance(value, Constant):
        raise RefusedError(f"{what} depends on the model's input")
    return value.array


def integers(inputs: Inputs, index: int, what: str) -> list[int] | None:
    """The constant at `index` as a list of integers, None where it is left out."""
    array = constant_input(inputs, index, what)
    if array is None:
        return None
    if array.dtype.kind not in "iu" or array.ndim > 1:
        raise RefusedError(f"{what} is {array.dtype}{list(array.shape)}, not a list of integers")
    return [int(item) for item in np.atleast_1d(array)]


def axes_of(node: Node, inputs: Inputs, index: int = 1) -> list[int] | None:
    """The axes of Squeeze, Unsqueeze and the like: an attribute before opset 13, an input since."""
    attribute = node.attribute("axes")
    if attribute is not None:
        return [int(axis) for axis in attribute]
    return integers(inputs, index, "axes")


def kind_of(value: Value | None) -> str:
    """What a value is, where an activation is needed."""
    if value is None:
        return "left out"
    return "a constant" if isinstance(value, Constant) else "a sum that only an RNN unrolled in time has"


def is_absent(inputs: Inputs, index: int) -> bool:
    """Whether an optional input is left out."""
    return index >= len(inputs) or inputs[index] is None


def activation_input(inputs: Inputs, index: int, what: str) -> Activation:
    """The input at `index`.

    Raises
    ------
    RefusedError
        If it is no activation.
    """
    value = None if is_absent(inputs, index) else inputs[index]
    if not isinstance(value, Activation):
        raise RefusedError(f"{what} is {kind_of(value)}")
    return value


def weights_input(inputs: Inputs, index: int, what: str) -> FloatArray:
    """The constant at `index` as weights: float32, finite and not empty.

    Raises
    ------
    RefusedError
        If it is anything else.
    """
    value = None if is_absent(inputs, index) else inputs[index]
    if not isinstance(value, Constant):
        raise RefusedError(f"{what} is no constant")
    array: Array = value.array
    label = f"{what} ({value.name})"
    if array.dtype != np.float32:
        raise RefusedError(f"{label} is {array.dtype}; float32 is supported")
    if array.size == 0:
        raise RefusedError(f"{label} is empty, of shape {array.shape}")
    if not np.isfinite(array).all():
        raise RefusedError(f"{label} holds NaN or infinity")
    return array


Handler = Callable[[Node, list[Value | None]], list[Value]]
