"""Alterations of a quantized ONNX model, each a function of the model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import numpy_helper


def node(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    (found,) = [node for node in model.graph.node if node.name == name]
    return found


def attribute(model: onnx.ModelProto, owner: str, name: str) -> onnx.AttributeProto:
    (found,) = [attribute for attribute in node(model, owner).attribute if attribute.name == name]
    return found


def initializer(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    (found,) = [initializer for initializer in model.graph.initializer if initializer.name == name]
    return found


def set_integer(owner: str, name: str, value: int) -> Callable[[onnx.ModelProto], None]:
    def alter(model: onnx.ModelProto) -> None:
        attribute(model, owner, name).i = value

    return alter


def set_integers(owner: str, name: str, values: list[int]) -> Callable[[onnx.ModelProto], None]:
    def alter(model: onnx.ModelProto) -> None:
        target = attribute(model, owner, name)
        del target.ints[:]
        target.ints.extend(values)

    return alter


def set_values(name: str, values: np.ndarray) -> Callable[[onnx.ModelProto], None]:
    def alter(model: onnx.ModelProto) -> None:
        initializer(model, name).CopyFrom(numpy_helper.from_array(values, name))

    return alter


def set_dims(name: str, dims: list[int]) -> Callable[[onnx.ModelProto], None]:
    def alter(model: onnx.ModelProto) -> None:
        target = initializer(model, name)
        del target.dims[:]
        target.dims.extend(dims)

    return alter


def set_input(owner: str, index: int, name: str) -> Callable[[onnx.ModelProto], None]:
    def alter(model: onnx.ModelProto) -> None:
        node(model, owner).input[index] = name

    return alter


def set_version(domain: str, version: int) -> Callable[[onnx.ModelProto], None]:
    def alter(model: onnx.ModelProto) -> None:
        (entry,) = [entry for entry in model.opset_import if entry.domain == domain]
        entry.version = version

    return alter


def each(*steps: Callable[[onnx.ModelProto], object]) -> Callable[[onnx.ModelProto], None]:
    def alter(model: onnx.ModelProto) -> None:
        for step in steps:
            step(model)

    return alter
