"""Writes a quantized graph as an exact ONNX model: integer nodes of domain `accelsim`, with bodies any runtime runs.

The same graph gives the same bytes. The file carries a digest of itself, so that one flipped bit is noticed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.quant import onnx_functions
from accelsim.quant.model import QConcat, QGraph, QLayer, QLinear, QRecurrent, QSelectStep, QTensor, layer_inputs
from accelsim.quant.onnx_functions import DOMAIN, DOMAIN_VERSION, IR_VERSION, OPSET_VERSION
from accelsim.quant.onnx_signatures import (
    CONCAT,
    SELECT_STEP,
    SIGNATURES,
    activation_tables_of,
    factor_attributes,
)
from accelsim.quant.validate import check_quantized_graph

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto

DIGEST_KEY = "accelsim.sha256"
BATCH_AXIS = "N"
INTEGER_SUFFIX = "_int8"
"""Integer tensors bear it: the float input and output keep the names they have in the float model."""
_BLANK_DIGEST = "0" * 64


def write_quantized_onnx(qgraph: QGraph, path: str | Path) -> None:
    """Write a quantized graph; the file appears whole or not at all.

    Parameters
    ----------
    qgraph : QGraph
    path : str or Path
        Written under a temporary name in the same folder, then renamed.

    Raises
    ------
    InputError
        The graph is inconsistent, two of its values would bear one name, or the file can't be written.
    """
    path = Path(path)
    content = seal(build_model(qgraph, path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(path, "", f"can't be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def seal(model: ModelProto) -> bytes:
    """Serialize with the SHA-256 of the content, itself taken as zeros, in the model's metadata.

    The digest is one of bytes rather than of fields: it does not depend on how some protobuf release orders them.
    """
    entries = [entry for entry in model.metadata_props if entry.key == DIGEST_KEY]
    entry = entries[0] if entries else model.metadata_props.add()
    entry.key, entry.value = DIGEST_KEY, _BLANK_DIGEST
    entry.value = content_digest(model.SerializeToString(deterministic=True), _BLANK_DIGEST)
    return bytes(model.SerializeToString(deterministic=True))


def content_digest(content: bytes, stated: str) -> str:
    """SHA-256 of a file's bytes with the digest it states blanked out.

    Parameters
    ----------
    content : bytes
    stated : str
        The value under `DIGEST_KEY`.
    """
    return hashlib.sha256(content.replace(stated.encode(), _BLANK_DIGEST.encode())).hexdigest()


def build_model(qgraph: QGraph, where: str | Path) -> ModelProto:
    """The ONNX model of a quantized graph, without its digest.

    Parameters
    ----------
    qgraph : QGraph
    where : str or Path
        For messages.

    Raises
    ------
    InputError
        The graph is inconsistent, or two of its values would bear one name.
    """
    from onnx import TensorProto, helper, numpy_helper

    check_quantized_graph(qgraph, where)
    constants: dict[str, NDArray[Any]] = {}

    def constant(name: str, values: NDArray[Any]) -> str:
        if name not in constants:
            constants[name] = values
        return name

    def described(tensor: QTensor, name: str, kind: int) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [BATCH_AXIS, *tensor.shape])

    nodes = [_conversion("QuantizeLinear", qgraph.input, qgraph.input.name, integer_name(qgraph.input), constant)]
    nodes += [_node(layer, constant) for layer in qgraph.layers]
    nodes.append(
        _conversion("DequantizeLinear", qgraph.output, integer_name(qgraph.output), qgraph.output.name, constant)
    )
    integers = [qgraph.input, *(layer.y for layer in qgraph.layers)]
    names = [qgraph.input.name, qgraph.output.name, *map(integer_name, integers), *constants]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(where, f"name {repeated[0]!r}", "two values of the file would bear it", "other tensor names")
    graph = helper.make_graph(
        nodes,
        qgraph.name,
        [described(qgraph.input, qgraph.input.name, TensorProto.FLOAT)],
        [described(qgraph.output, qgraph.output.name, TensorProto.FLOAT)],
        initializer=[
            numpy_helper.from_array(np.asarray(values, order="C"), name) for name, values in constants.items()
        ],
        value_info=[described(tensor, integer_name(tensor), TensorProto.INT8) for tensor in integers],
    )
    return helper.make_model(
        graph,
        producer_name="accelsim",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET_VERSION), helper.make_opsetid(DOMAIN, DOMAIN_VERSION)],
        functions=onnx_functions.functions(),
    )


def integer_name(tensor: QTensor) -> str:
    """The name of a tensor's int8 value in the file."""
    return tensor.name + INTEGER_SUFFIX


_AddConstant = Callable[[str, NDArray[Any]], str]


def _conversion(operator: str, tensor: QTensor, source: str, target: str, constant: _AddConstant) -> NodeProto:
    """A node between float32 and int8; one scale a feature where the tensor has that."""
    from onnx import helper

    per_feature = len(tensor.scale) > 1
    scale = tensor.scale if per_feature else tensor.scale[0]
    zero_point = np.full(np.shape(scale), tensor.zero_point, dtype=np.int8)
    operands = [
        source,
        constant(f"{integer_name(tensor)}.scale", np.asarray(scale, dtype=np.float32)),
        constant(f"{integer_name(tensor)}.zero_point", zero_point),
    ]
    attributes: dict[str, Any] = {"axis": len(tensor.shape)} if per_feature else {}
    return helper.make_node(operator, operands, [target], name=f"{operator}.{tensor.name}", **attributes)


def _node(layer: QLayer, constant: _AddConstant) -> NodeProto:
    from onnx import helper

    operands = [integer_name(tensor) for tensor in layer_inputs(layer)]
    domain = DOMAIN
    attributes: dict[str, Any]
    match layer:
        case QConcat():
            operator, domain, attributes = CONCAT, "", {"axis": len(layer.y.shape)}
        case QSelectStep():
            operator, attributes = SELECT_STEP, {"step": int(layer.step)}
        case _:
            operator, constants, attributes = _computed(layer, constant)
            operands += constants
    return helper.make_node(operator, operands, [integer_name(layer.y)], name=layer.name, domain=domain, **attributes)


def _computed(layer: QRecurrent | QLinear, constant: _AddConstant) -> tuple[str, list[str], dict[str, Any]]:
    """Operator, operands after x, and attributes of a layer whose operator has a signature."""
    operator, signature = next(item for item in SIGNATURES.items() if isinstance(layer, item[1].layer))
    operands = [constant(f"{layer.name}.{name}", getattr(layer, name)) for name in signature.constants]
    if not isinstance(layer, QLinear):
        operands += [constant(name, values) for name, values in activation_tables_of(layer)]
    attributes: dict[str, Any] = {name: int(getattr(layer, name)) for name in signature.integers + signature.flags}
    attributes |= {name: getattr(layer, name) for name in signature.texts}
    for name, count in signature.factors.items():
        factor = getattr(layer, name)
        multiplier, shift = factor_attributes(name)
        attributes[multiplier] = [each.multiplier for each in factor] if count else factor.multiplier
        attributes[shift] = [each.shift for each in factor] if count else factor.shift
    attributes["y_scale"] = [float(scale) for scale in layer.y.scale]
    attributes["y_zero_point"] = int(layer.y.zero_point)
    return operator, operands, attributes
