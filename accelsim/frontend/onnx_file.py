"""ONNX files: opened, checked by `onnx.checker`, and turned from protobuf messages into Python types.

The only module of the ONNX front end that touches the `onnx` package, which is imported when a model is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accelsim.errors import InputError, UnsupportedOperatorError
from accelsim.frontend.onnx_values import Array, Node

QUANTIZED_DOMAIN = "accelsim"
"""Operator domain of the quantized models this package writes."""
_STANDARD_DOMAINS = ("", "ai.onnx")
_OLDEST_OPSET = 11
_EXPECTED = "an ONNX model"


@dataclass(frozen=True)
class MainInput:
    """The graph's input: its name and sizes, None for one the model leaves open."""

    name: str
    sizes: tuple[int | None, ...]


def open_model(path: str | Path) -> Any:
    """Read a model file: a valid `onnx.ModelProto` with its weights in it and its functions inlined.

    Raises
    ------
    InputError
        If the file is missing, damaged, invalid, or already quantized.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(path, "", f"can't be read ({error.strerror or error})", f"{_EXPECTED} file") from error
    if not data:
        raise InputError(path, "", "the file is empty", _EXPECTED)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise InputError(path, "", "is no ONNX model, or is damaged (not a protobuf message)", _EXPECTED) from error
    if not model.HasField("graph"):
        raise InputError(path, "", "holds no graph", _EXPECTED)
    _refuse_broken_text(path, model)
    _refuse_foreign_nodes(path, model)
    try:
        onnx.load_external_data_for_model(model, str(Path(path).parent))
        onnx.checker.check_model(model)
        if model.functions:
            from onnx import inliner

            model = inliner.inline_local_functions(model)
    # onnx reports an invalid model with these; the checker's own error is a RuntimeError in some versions.
    except (onnx.checker.ValidationError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(path, "", f"is no valid model: {_first_line(error)}", _EXPECTED) from error
    for opset in model.opset_import:
        if opset.domain in _STANDARD_DOMAINS and opset.version < _OLDEST_OPSET:
            raise InputError(path, "opset", str(opset.version), f"{_OLDEST_OPSET} or newer")
    if model.graph.sparse_initializer:
        raise InputError(path, "sparse_initializer", "sparse weights are not supported", "dense ones")
    return model


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _refuse_broken_text(path: str | Path, model: Any) -> None:
    """protobuf hands out text that is no UTF-8 as bytes: a damaged name, on which everything later would stumble."""
    pending = [model]
    while pending:
        for field, value in pending.pop().ListFields():
            if field.type not in (field.TYPE_MESSAGE, field.TYPE_STRING):
                continue
            # One message or text, or a container of them.
            values = [value] if isinstance(value, str | bytes) or hasattr(value, "ListFields") else value
            if field.type == field.TYPE_MESSAGE:
                pending.extend(values)
            elif not all(isinstance(text, str) for text in values):
                raise InputError(path, field.full_name, "is damaged (text that is no UTF-8)", _EXPECTED)


def _all_nodes(model: Any) -> Iterator[Any]:
    pending: list[Iterable[Any]] = [model.graph.node, *(function.node for function in model.functions)]
    while pending:
        for node in pending.pop():
            yield node
            pending.extend(attribute.g.node for attribute in node.attribute if attribute.HasField("g"))
            pending.extend(graph.node for attribute in node.attribute for graph in attribute.graphs)


def _refuse_foreign_nodes(path: str | Path, model: Any) -> None:
    """Refuse by name what the checker would refuse with a general text, or what another command takes."""
    from onnx import defs

    functions = {(function.domain, function.name) for function in model.functions}
    for node in _all_nodes(model):
        if node.domain == QUANTIZED_DOMAIN:
            raise InputError(
                path,
                "",
                f"is quantized already (operator {node.op_type} of domain {QUANTIZED_DOMAIN})",
                "a float model; `accelsim compile` takes this file as it is",
            )
    for node in _all_nodes(model):
        if (node.domain, node.op_type) in functions:
            continue
        if node.domain not in _STANDARD_DOMAINS:
            raise UnsupportedOperatorError(
                path, node.op_type, _label(node), f"operators of domain {node.domain!r} are unknown"
            )
        if not defs.has(node.op_type):
            raise UnsupportedOperatorError(path, node.op_type, _label(node), "no operator of ONNX")


def _label(proto: Any) -> str:
    return str(proto.name or next(iter(proto.output), "") or proto.op_type)


def node_of(path: str | Path, proto: Any) -> Node:
    """A `NodeProto` in Python types; tensors as arrays, subgraphs as they are.

    Raises
    ------
    InputError
        If a tensor in an attribute is damaged.
    """
    from onnx import AttributeProto, helper

    attributes: dict[str, Any] = {}
    for attribute in proto.attribute:
        value = helper.get_attribute_value(attribute)
        if attribute.type == AttributeProto.TENSOR:
            value = tensor_array(path, value)
        elif attribute.type == AttributeProto.STRING:
            value = value.decode("utf-8", "replace")
        elif attribute.type == AttributeProto.STRINGS:
            value = [item.decode("utf-8", "replace") for item in value]
        attributes[attribute.name] = value
    outputs = tuple(proto.output)
    return Node(proto.op_type, proto.domain, _label(proto), tuple(proto.input), outputs, attributes)


def tensor_array(path: str | Path, proto: Any) -> Array:
    """A `TensorProto` as an array.

    Raises
    ------
    InputError
        If its data do not fill its shape, or its type is unknown.
    """
    from onnx import numpy_helper

    try:
        array = np.asarray(numpy_helper.to_array(proto))
    # to_array trusts its message: a wrong size, type or count surfaces as any of these.
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(path, f"tensor {proto.name!r}", f"can't be read ({_first_line(error)})") from error
    return array


def main_input(path: str | Path, graph: Any, used: set[str]) -> MainInput:
    """The one graph input that the nodes read.

    Raises
    ------
    InputError
        If there is none or more than one, or it is not float32 with a known number of features.
    """
    import onnx

    initialized = {item.name for item in graph.initializer}
    inputs = [item for item in graph.input if item.name not in initialized and item.name in used]
    if not inputs:
        raise InputError(path, "inputs", "the output depends on no input", "one input")
    if len(inputs) > 1:
        others = ", ".join(repr(item.name) for item in inputs[1:])
        raise InputError(
            path,
            "inputs",
            f"the model reads {others} beside {inputs[0].name!r}",
            "one input: each frame starts from zero states, export the model without state inputs",
        )
    tensor_type = inputs[0].type.tensor_type
    name, field = inputs[0].name, f"input {inputs[0].name!r}"
    if tensor_type.elem_type != onnx.TensorProto.FLOAT:
        type_names = {number: text for text, number in onnx.TensorProto.DataType.items()}
        raise InputError(path, field, f"is {type_names.get(tensor_type.elem_type, 'of unknown type')}", "FLOAT")
    if not tensor_type.HasField("shape") or not tensor_type.shape.dim:
        raise InputError(path, field, "has no shape", "a shape with the number of features")
    sizes = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor_type.shape.dim)
    if any(size is not None and size < 1 for size in sizes):
        raise InputError(path, field, f"has shape {sizes}", "sizes of at least 1")
    if sizes[-1] is None:
        raise InputError(path, field, "leaves the number of features (its last axis) open", "a number")
    return MainInput(name, sizes)


def output_names(path: str | Path, graph: Any) -> tuple[str, ...]:
    """The names of the graph's outputs.

    Raises
    ------
    InputError
        If there is none.
    """
    if not graph.output:
        raise InputError(path, "outputs", "none", "one output")
    return tuple(str(item.name) for item in graph.output)
