"""Reads back what `onnx_writer` wrote: the same quantized graph, or one line that says what is wrong with the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.quant import onnx_functions
from accelsim.quant.model import QConcat, QGraph, QLayer, QLinear, QSelectStep, QTensor, Requantizer
from accelsim.quant.onnx_functions import DOMAIN, DOMAIN_VERSION, OPSET_VERSION
from accelsim.quant.onnx_signatures import (
    CONCAT,
    SELECT_STEP,
    SIGNATURES,
    Signature,
    activation_tables_of,
    factor_attributes,
)
from accelsim.quant.onnx_writer import BATCH_AXIS, DIGEST_KEY, INTEGER_SUFFIX, content_digest
from accelsim.quant.validate import check_quantized_graph

if TYPE_CHECKING:
    from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

_OPERANDS = {operator: signature.operands for operator, signature in SIGNATURES.items()}
_OPERANDS |= {SELECT_STEP: 1, "QuantizeLinear": 3, "DequantizeLinear": 3}


def read_quantized_onnx(path: str | Path) -> QGraph:
    """Read a quantized graph and check it.

    Parameters
    ----------
    path : str or Path
        A file of `write_quantized_onnx`.

    Raises
    ------
    InputError
        The file is missing, truncated, altered, a float model, of another version, or holds something out of its
        range; the message names the node and the field.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(path, "", f"can't be read: {error.strerror or error}") from error
    return read_quantized_model(content, path)


def read_quantized_model(content: bytes, where: str | Path) -> QGraph:
    """`read_quantized_onnx` of a file's bytes; `where` is for messages."""
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    try:
        model = ModelProto.FromString(content)
    except (DecodeError, UnicodeDecodeError) as error:
        raise InputError(where, "", "not an ONNX file, or a truncated one") from error
    _check_text(model, where)
    _check_versions(model, where)
    _check_digest(model, content, where)
    qgraph = _Reader(model, where).graph()
    check_quantized_graph(qgraph, where)
    return qgraph


def is_quantized_model(content: bytes) -> bool:
    """Whether a file's bytes are a model with operators of our domain, right or wrong."""
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    try:
        return any(entry.domain == DOMAIN for entry in ModelProto.FromString(content).opset_import)
    except (DecodeError, UnicodeDecodeError):
        return False


def _check_text(model: ModelProto, where: str | Path) -> None:
    """Protobuf hands out bytes where a string is not UTF-8; nothing after this expects them."""
    graph = model.graph
    strings = [graph.name]
    for node in graph.node:
        strings += [node.name, node.op_type, node.domain, *node.input, *node.output]
        strings += [attribute.name for attribute in node.attribute]
    for named in (graph.initializer, graph.input, graph.output, model.functions):
        strings += [entry.name for entry in named]
    strings += [entry.domain for entry in model.opset_import]
    strings += [text for entry in model.metadata_props for text in (entry.key, entry.value)]
    for string in strings:
        if not isinstance(string, str):
            raise InputError(where, f"name {string!r}", "not UTF-8 text")


def _check_versions(model: ModelProto, where: str | Path) -> None:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if DOMAIN not in versions:
        raise InputError(
            where, "", f"holds no operators of domain {DOMAIN}", "a quantized model; a float model is quantized first"
        )
    for domain, expected in ((DOMAIN, DOMAIN_VERSION), ("", OPSET_VERSION)):
        if versions.get(domain) != expected:
            name = f"version of domain {domain or 'ai.onnx'}"
            raise InputError(where, name, str(versions.get(domain, "none")), str(expected))


def _check_digest(model: ModelProto, content: bytes, where: str | Path) -> None:
    stated = [entry.value for entry in model.metadata_props if entry.key == DIGEST_KEY]
    if len(stated) != 1:
        raise InputError(where, f"metadata {DIGEST_KEY}", f"{len(stated)} entries", "one")
    found = content_digest(content, stated[0])
    if found != stated[0]:
        raise InputError(where, f"metadata {DIGEST_KEY}", f"the content's is {found}: altered since", stated[0])


def _text(function: FunctionProto) -> str:
    from onnx import printer, shape_inference

    try:
        return printer.to_text(function)
    except (UnicodeDecodeError, shape_inference.InferenceError):
        # A name in it is no text, or a constant has not the bytes of its type: it is none of ours.
        return ""


class _Reader:
    """One parsed file, its digest verified; each method reads one kind of thing or raises an InputError."""

    def __init__(self, model: ModelProto, where: str | Path) -> None:
        self.model = model
        self.where = where
        self.initializers: dict[str, TensorProto] = {}
        for initializer in model.graph.initializer:
            if initializer.name in self.initializers:
                self.fail(f"initializer {initializer.name!r}", "occurs twice")
            self.initializers[initializer.name] = initializer

    def fail(self, field: str, found: str, expected: str = "") -> NoReturn:
        raise InputError(self.where, field, found, expected)

    def graph(self) -> QGraph:
        """The quantized graph, its connections and ranges not yet checked."""
        self.check_functions()
        graph = self.model.graph
        nodes = list(graph.node)
        operators = [(node.domain, node.op_type) for node in nodes]
        if len(nodes) < 3 or operators[0] != ("", "QuantizeLinear") or operators[-1] != ("", "DequantizeLinear"):
            self.fail("graph", f"{len(nodes)} nodes", "QuantizeLinear, then the layers, then DequantizeLinear")
        first, last = nodes[0], nodes[-1]
        source = self.boundary("input", graph.input, first.input[:1])
        self.operand_count(first)
        x = self.converted(first, first.output[:1], source)
        tensors = {x.name: x}
        layers: list[QLayer] = []
        for node in nodes[1:-1]:
            layer = self.layer(node, tensors)
            layers.append(layer)
            tensors[layer.y.name] = layer.y
        self.operand_count(last)
        target = self.boundary("output", graph.output, last.output[:1])
        output = self.converted(last, last.input[:1], target)
        for name, value, tensor in (("input", source, x), ("output", target, output)):
            if value[0] != tensor.name:
                self.fail(f"{name} {value[0]!r}", f"converted to {tensor.name + INTEGER_SUFFIX!r}", value[0])
        return QGraph(graph.name, x, output, tuple(layers))

    def check_functions(self) -> None:
        """What other runtimes run has to be what this version of the domain says.

        Compared as text, since two releases of the ONNX package may encode the same function differently.
        """
        expected = {function.name: _text(function) for function in onnx_functions.functions()}
        found = {function.name: _text(function) for function in self.model.functions}
        for name in sorted(expected.keys() | found.keys()):
            if found.get(name) != expected.get(name) or len(found) != len(self.model.functions):
                self.fail(f"function {name}", "its body is another", f"that of version {DOMAIN_VERSION} of {DOMAIN}")

    def boundary(self, kind: str, values: Sequence[ValueInfoProto], used: Sequence[str]) -> tuple[str, tuple[int, ...]]:
        """Name and shape of one frame of the model's float input or output."""
        from onnx import TensorProto

        names = [value.name for value in values]
        if len(values) != 1 or names != list(used):
            self.fail(f"{kind}s", f"{names}", f"one, which the conversion node uses: {list(used)}")
        tensor = values[0].type.tensor_type
        dimensions = [dimension.dim_param or dimension.dim_value for dimension in tensor.shape.dim]
        if tensor.elem_type != TensorProto.FLOAT:
            self.fail(f"{kind} {names[0]!r}", f"element type {tensor.elem_type}", "float32")
        if dimensions[:1] != [BATCH_AXIS] or not all(isinstance(size, int) for size in dimensions[1:]):
            self.fail(f"{kind} {names[0]!r}", f"shape {dimensions}", f"[{BATCH_AXIS}, then numbers]")
        return names[0], tuple(int(size) for size in dimensions[1:])

    def converted(self, node: NodeProto, integer: Sequence[str], boundary: tuple[str, tuple[int, ...]]) -> QTensor:
        """The int8 tensor that a QuantizeLinear makes or a DequantizeLinear takes."""
        shape = boundary[1]
        scale = self.constant(node, 1, "scale", np.float32)
        zero_point = self.constant(node, 2, "zero point", np.int8)
        per_feature = scale.ndim == 1
        if not shape or scale.shape not in ((), shape[-1:]) or zero_point.shape != scale.shape:
            self.fail(
                f"node {node.name!r}: scale, zero point",
                f"shapes {scale.shape}, {zero_point.shape}",
                f"() or one a feature of {shape}",
            )
        if (zero_point != zero_point.flat[0]).any():
            self.fail(f"node {node.name!r}: zero point", "differs between features", "one for all")
        attributes = self.attributes(node, {"axis": int} if per_feature else {})
        if per_feature and attributes["axis"] != len(shape):
            self.fail(f"node {node.name!r}: axis", str(attributes["axis"]), f"{len(shape)}, the last")
        return QTensor(self.tensor_name(node, integer), shape, scale.reshape(-1), int(zero_point.flat[0]))

    def layer(self, node: NodeProto, tensors: dict[str, QTensor]) -> QLayer:
        """One node between the conversions."""
        if (node.domain, node.op_type) == ("", CONCAT):
            return self.concat(node, tensors)
        if node.domain != DOMAIN or node.op_type not in (SELECT_STEP, *SIGNATURES):
            expected = f"{CONCAT}, or one of {DOMAIN}"
            self.fail(f"node {node.name!r}", f"operator {node.domain}.{node.op_type}", expected)
        self.operand_count(node)
        x, y = self.earlier(node, 0, tensors), self.tensor_name(node, node.output)
        if node.op_type == SELECT_STEP:
            step = self.attributes(node, {"step": int})["step"]
            return QSelectStep(node.name, x, QTensor(y, x.shape[-1:], x.scale, x.zero_point), step)
        return self.computed(node, x, y, SIGNATURES[node.op_type])

    def concat(self, node: NodeProto, tensors: dict[str, QTensor]) -> QConcat:
        if not node.input or len(node.output) != 1:
            self.fail(
                f"node {node.name!r}", f"{len(node.input)} inputs, {len(node.output)} outputs", "inputs, 1 output"
            )
        parts = tuple(self.earlier(node, index, tensors) for index in range(len(node.input)))
        first = parts[0]
        shape = (*first.shape[:-1], sum(part.features for part in parts))
        axis = self.attributes(node, {"axis": int})["axis"]
        if axis != len(shape):
            self.fail(f"node {node.name!r}: axis", str(axis), f"{len(shape)}, the last")
        y = QTensor(self.tensor_name(node, node.output), shape, first.scale, first.zero_point)
        return QConcat(node.name, parts, y)

    def computed(self, node: NodeProto, x: QTensor, y: str, signature: Signature) -> QLayer:
        """A node whose operator has a signature."""
        wanted: dict[str, type] = dict.fromkeys(signature.integers, int)
        wanted |= dict.fromkeys(signature.flags, bool) | dict.fromkeys(signature.texts, str)
        for name, count in signature.factors.items():
            wanted |= dict.fromkeys(factor_attributes(name), list if count else int)
        attributes = self.attributes(node, wanted | {"y_scale": np.float32, "y_zero_point": int})
        arrays: dict[str, Any] = {
            field: self.constant(node, index, field, kind)
            for index, (field, kind) in enumerate(signature.constants.items(), start=1)
        }
        fields = {name: attributes[name] for name in (*signature.integers, *signature.flags, *signature.texts)}
        for name, count in signature.factors.items():
            fields[name] = self.factors(node, name, count, attributes)
        # Rows are the last but one axis of weights by gate and the first of plain ones; a vector has none.
        first = next(iter(arrays.values()))
        rows = first.shape[-2:-1] or first.shape
        tensor = QTensor(y, (*x.shape[:-1], *rows), attributes["y_scale"], attributes["y_zero_point"])
        layer = signature.layer(name=node.name, x=x, y=tensor, **arrays, **fields)
        if not isinstance(layer, QLinear):
            tables = zip(signature.tables, activation_tables_of(layer), strict=True)
            for offset, (field, (name, expected)) in enumerate(tables, start=1 + len(arrays)):
                if not np.array_equal(self.constant(node, offset, field, np.int16), expected):
                    self.fail(f"node {node.name!r}: {field}", "other values", f"the table {name}")
        return layer

    def factors(
        self, node: NodeProto, name: str, count: int, attributes: dict[str, Any]
    ) -> Requantizer | tuple[Requantizer, ...]:
        """A field of one Requantizer, `count` 0, or of one a gate."""
        names = factor_attributes(name)
        multipliers, shifts = (attributes[attribute] for attribute in names)
        if not count:
            return Requantizer(multipliers, shifts)
        if len(multipliers) != count or len(shifts) != count:
            found = f"{len(multipliers)} and {len(shifts)}"
            self.fail(f"node {node.name!r}: {', '.join(names)}", found, f"{count}, one a gate")
        return tuple(map(Requantizer, multipliers, shifts))

    # --- parts of a node ----------------------------------------------------------------------------------------

    def operand_count(self, node: NodeProto) -> None:
        expected = _OPERANDS[node.op_type]
        if len(node.input) != expected or len(node.output) != 1:
            found = f"{len(node.input)} inputs, {len(node.output)} outputs"
            self.fail(f"node {node.name!r}", found, f"{expected} inputs, 1 output")

    def earlier(self, node: NodeProto, index: int, tensors: dict[str, QTensor]) -> QTensor:
        """The int8 tensor that is a node's operand, made by a node before."""
        name = self.tensor_name(node, node.input[index : index + 1])
        if name not in tensors:
            self.fail(f"node {node.name!r}: x", f"no earlier tensor {name!r}")
        return tensors[name]

    def tensor_name(self, node: NodeProto, names: Sequence[str]) -> str:
        """The name of an int8 tensor without its suffix."""
        name = names[0]
        if not name.endswith(INTEGER_SUFFIX):
            self.fail(f"node {node.name!r}", f"tensor {name!r}", f"a name that ends in {INTEGER_SUFFIX}")
        return name.removesuffix(INTEGER_SUFFIX)

    def constant(self, node: NodeProto, index: int, field: str, kind: type) -> NDArray[Any]:
        """The initializer that is a node's operand."""
        from onnx import TensorProto, helper, numpy_helper

        place = f"node {node.name!r}: {field}"
        initializer = self.initializers.get(node.input[index])
        if initializer is None:
            self.fail(place, f"no initializer {node.input[index]!r}")
        if initializer.data_type != helper.np_dtype_to_tensor_dtype(np.dtype(kind)):
            self.fail(place, f"element type {initializer.data_type}", np.dtype(kind).name)
        if initializer.data_location != TensorProto.DEFAULT:
            self.fail(place, "stored in another file", "its values here")
        try:
            values = numpy_helper.to_array(initializer)
        except (ValueError, TypeError, OverflowError):
            values = np.empty(0)
        if values.shape != tuple(initializer.dims) or values.dtype != kind:
            self.fail(place, f"values that don't fill its shape {tuple(initializer.dims)}")
        return values

    def attributes(self, node: NodeProto, wanted: dict[str, type]) -> dict[str, Any]:
        """A node's attributes: each wanted one of its type, and no other."""
        from onnx import AttributeProto

        types = {
            int: AttributeProto.INT,
            bool: AttributeProto.INT,
            list: AttributeProto.INTS,
            np.float32: AttributeProto.FLOATS,
            str: AttributeProto.STRING,
        }
        found = {attribute.name: attribute for attribute in node.attribute}
        strange = sorted(found.keys() ^ wanted.keys())
        if strange or len(found) != len(node.attribute):
            name = strange[0] if strange else "attributes"
            state = "unknown" if name in found else "missing"
            self.fail(f"node {node.name!r}: {name}", state if strange else "one occurs twice")
        values: dict[str, Any] = {}
        for name, kind in wanted.items():
            attribute = found[name]
            if attribute.type != types[kind] or attribute.ref_attr_name:
                self.fail(f"node {node.name!r}: {name}", f"attribute type {attribute.type}", f"{types[kind]}")
            if kind is int:
                values[name] = int(attribute.i)
            elif kind is bool:
                if attribute.i not in (0, 1):
                    self.fail(f"node {node.name!r}: {name}", str(attribute.i), "0 or 1")
                values[name] = bool(attribute.i)
            elif kind is str:
                values[name] = attribute.s.decode(errors="replace")
            elif kind is list:
                values[name] = list(attribute.ints)
            else:
                values[name] = np.array(attribute.floats, dtype=np.float32)
        return values
