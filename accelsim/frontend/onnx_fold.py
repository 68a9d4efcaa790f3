"""Constant folding: the value of a node whose inputs are all known.

Exporters compute shapes, zero states and reordered weights with nodes; these are the operators they use for it.
Broadcasts stay views, so a state of zeros for any batch takes no memory.

Source: the operators' specifications in the ONNX repository, `docs/Operators.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from accelsim.frontend.onnx_values import Array, Constant, Node, RefusedError, axes_of, normalized_axes, normalized_axis

MAX_ELEMENTS = 1 << 27
"""No constant of a model this package can run is larger; a damaged shape could ask for anything."""

_ELEMENT_TYPES = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
    12: np.uint32,
    13: np.uint64,
}
"""ONNX `TensorProto.DataType` to numpy. Source: onnx.proto."""

Arrays = Sequence[Array]


def fold(node: Node, arrays: Arrays) -> list[Array]:
    """The outputs of a node on known inputs.

    Raises
    ------
    RefusedError
        If the operator is not one of `FOLDED_OPERATORS`, or its inputs do not suit it.
    """
    if node.operator not in _FOLDS:
        raise RefusedError("it is computed from constants by an operator that is not folded")
    try:
        with np.errstate(all="ignore"):
            results = _FOLDS[node.operator](node, arrays)
    except (ArithmeticError, IndexError, MemoryError, TypeError, ValueError) as error:
        raise RefusedError(f"its constants do not suit it ({error})") from error
    return [np.asarray(result) for result in results]


def _checked(shape: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in shape)
    if any(size < 0 for size in sizes) or math.prod(sizes) > MAX_ELEMENTS:
        raise RefusedError(f"a constant of shape {sizes}")
    return sizes


def _constant(node: Node, _: Arrays) -> list[Array]:
    for name, dtype in (("value_int", np.int64), ("value_ints", np.int64)):
        if name in node.attributes:
            return [np.array(node.attributes[name], dtype)]
    for name in ("value_float", "value_floats"):
        if name in node.attributes:
            return [np.array(node.attributes[name], np.float32)]
    value = node.attribute("value")
    if not isinstance(value, np.ndarray):
        raise RefusedError("a constant that is neither numbers nor a dense tensor")
    return [value]


def _constant_of_shape(node: Node, arrays: Arrays) -> list[Array]:
    value = node.attribute("value", np.zeros(1, np.float32))
    return [np.broadcast_to(value.reshape(()), _checked(arrays[0].tolist()))]


def _shape(node: Node, arrays: Arrays) -> list[Array]:
    return [shape_of(node, arrays[0].shape)]


def shape_of(node: Node, shape: Sequence[int]) -> Array:
    """What Shape gives for a value of this shape: int64[end - start], opset 15's bounds clamped."""
    return np.array(list(shape)[node.attribute("start", 0) : node.attribute("end")], np.int64)


def _gather(node: Node, arrays: Arrays) -> list[Array]:
    data, indices = arrays
    axis = normalized_axis(node.attribute("axis", 0), data.ndim)
    _checked((*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]))
    return [np.take(data, indices, axis=axis)]


def _concat(node: Node, arrays: Arrays) -> list[Array]:
    axis = normalized_axis(node.attributes["axis"], arrays[0].ndim)
    if sum(array.size for array in arrays) > MAX_ELEMENTS:
        raise RefusedError(f"a constant of more than {MAX_ELEMENTS:,} elements")
    return [np.concatenate(arrays, axis=axis)]


def slices(starts: Sequence[int], ends: Sequence[int], axes: Sequence[int], steps: Sequence[int]) -> dict[int, slice]:
    """Python slices by axis for Slice's four lists, which must be of one length."""
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise RefusedError("starts, ends, axes and steps do not match")
    found: dict[int, slice] = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # ONNX writes "past the first element" as the smallest integer, Python as None.
        stop = None if step < 0 and end <= -(2**31) else end
        found[axis] = slice(start, stop, step)
    return found


def _slice(_: Node, arrays: Arrays) -> list[Array]:
    data, starts, ends = arrays[0], arrays[1].tolist(), arrays[2].tolist()
    axes = arrays[3].tolist() if len(arrays) > 3 else list(range(len(starts)))
    steps = arrays[4].tolist() if len(arrays) > 4 else [1] * len(starts)
    by_axis = slices(starts, ends, normalized_axes(axes, data.ndim), steps)
    return [data[tuple(by_axis.get(axis, slice(None)) for axis in range(data.ndim))]]


def _squeeze(node: Node, arrays: Arrays) -> list[Array]:
    axes = axes_of(node, [Constant(array) for array in arrays])
    return [np.squeeze(arrays[0], None if axes is None else tuple(normalized_axes(axes, arrays[0].ndim)))]


def _unsqueeze(node: Node, arrays: Arrays) -> list[Array]:
    axes = axes_of(node, [Constant(array) for array in arrays])
    if axes is None:
        raise RefusedError("axes are missing")
    return [np.expand_dims(arrays[0], tuple(normalized_axes(axes, arrays[0].ndim + len(axes))))]


def reshape_target(node: Node, requested: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """The shape that Reshape gives to a value of `shape`: 0 copies a size, -1 is what remains."""
    sizes = [int(size) for size in requested]
    if not node.attribute("allowzero", 0):
        for axis, size in enumerate(sizes):
            if size == 0:
                if axis >= len(shape):
                    raise RefusedError(f"reshape to {sizes} copies dimension {axis} of a value of rank {len(shape)}")
                sizes[axis] = shape[axis]
    if sizes.count(-1) > 1 or any(size < -1 for size in sizes):
        raise RefusedError(f"reshape to {sizes}")
    total = math.prod(shape)
    if -1 in sizes:
        known = math.prod(size for size in sizes if size != -1)
        if known == 0 or total % known:
            raise RefusedError(f"reshape of {tuple(shape)} to {sizes}")
        sizes[sizes.index(-1)] = total // known
    if math.prod(sizes) != total:
        raise RefusedError(f"reshape of {tuple(shape)} to {sizes}")
    return tuple(sizes)


def _reshape(node: Node, arrays: Arrays) -> list[Array]:
    return [arrays[0].reshape(reshape_target(node, arrays[1].tolist(), arrays[0].shape))]


def _transpose(node: Node, arrays: Arrays) -> list[Array]:
    return [np.transpose(arrays[0], node.attribute("perm"))]


def _cast(node: Node, arrays: Arrays) -> list[Array]:
    target = _ELEMENT_TYPES.get(node.attributes.get("to", 0))
    if target is None:
        raise RefusedError(f"cast to element type {node.attributes.get('to')}")
    return [arrays[0].astype(target)]


def _expand(_: Node, arrays: Arrays) -> list[Array]:
    shape = np.broadcast_shapes(arrays[0].shape, _checked(arrays[1].tolist()))
    return [np.broadcast_to(arrays[0], _checked(shape))]


def _tile(_: Node, arrays: Arrays) -> list[Array]:
    data, repeats = arrays[0], arrays[1].tolist()
    if len(repeats) != data.ndim:
        raise RefusedError(f"{len(repeats)} repeats of a value of rank {data.ndim}")
    _checked([size * count for size, count in zip(data.shape, repeats, strict=True)])
    return [np.tile(data, repeats)]


def _split(node: Node, arrays: Arrays) -> list[Array]:
    data = arrays[0]
    axis = normalized_axis(node.attribute("axis", 0), data.ndim)
    requested = arrays[1].tolist() if len(arrays) > 1 else node.attribute("split")
    sizes = split_sizes(node, requested, data.shape[axis])
    return list(np.split(data, np.cumsum(sizes)[:-1], axis=axis))


def split_sizes(node: Node, requested: Sequence[int] | None, total: int) -> list[int]:
    """The parts' sizes: as requested, else equal but for a smaller last one (opset 18)."""
    count = len(node.outputs)
    if requested is None:
        largest = -(-total // count)
        requested = [largest] * (count - 1) + [total - largest * (count - 1)]
    sizes = [int(size) for size in requested]
    if len(sizes) != count or sum(sizes) != total or min(sizes) < 0:
        raise RefusedError(f"split of {total} elements into {sizes}")
    return sizes


def _divide(_: Node, arrays: Arrays) -> list[Array]:
    left, right = arrays
    if left.dtype.kind == "f":
        return [left / right]
    if not np.all(right):
        raise RefusedError("division by zero")
    # ONNX divides integers as C does, toward zero.
    return [(np.sign(left) * np.sign(right) * (np.abs(left) // np.abs(right))).astype(left.dtype)]


def _reduce_prod(node: Node, arrays: Arrays) -> list[Array]:
    axes = axes_of(node, [Constant(array) for array in arrays])
    chosen = None if axes is None else tuple(normalized_axes(axes, arrays[0].ndim))
    keep = bool(node.attribute("keepdims", 1))
    return [np.prod(arrays[0], axis=chosen, keepdims=keep, dtype=arrays[0].dtype)]


def _matmul(_: Node, arrays: Arrays) -> list[Array]:
    left, right = arrays
    if left.dtype.kind != "f" or not 1 <= right.ndim <= 2 or left.ndim < 1:
        raise RefusedError(
            f"a product of constants {left.dtype}{list(left.shape)} and {right.dtype}{list(right.shape)}"
        )
    _checked((*left.shape[:-1], *right.shape[1:]))
    return [np.matmul(left, right)]


def _elementwise(function: Callable[..., Array]) -> Callable[[Node, Arrays], list[Array]]:
    def folded(_: Node, arrays: Arrays) -> list[Array]:
        _checked(np.broadcast_shapes(*(array.shape for array in arrays)))
        return [function(*arrays)]

    return folded


_FOLDS: dict[str, Callable[[Node, Arrays], list[Array]]] = {
    "Add": _elementwise(np.add),
    "And": _elementwise(np.logical_and),
    "Cast": _cast,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Div": _divide,
    "Equal": _elementwise(np.equal),
    "Expand": _expand,
    "Gather": _gather,
    "Greater": _elementwise(np.greater),
    "Identity": lambda _, arrays: [arrays[0]],
    "Less": _elementwise(np.less),
    "MatMul": _matmul,
    "Mul": _elementwise(np.multiply),
    "Neg": _elementwise(np.negative),
    "Not": _elementwise(np.logical_not),
    "ReduceProd": _reduce_prod,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": lambda _, arrays: [np.array(arrays[0].size, np.int64)],
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _elementwise(np.subtract),
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _elementwise(np.where),
}

FOLDED_OPERATORS = frozenset(_FOLDS)
"""Operators that may compute constants."""
