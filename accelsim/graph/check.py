"""What makes a graph valid: layers chain, shapes agree, names are distinct, weights are finite float32."""

from __future__ import annotations

import numpy as np

from accelsim.errors import InputError
from accelsim.graph.model import FloatArray, Gate, Graph, Layer, Linear, Lstm, SelectStep, Tensor


def cell_key(layer: Lstm) -> str:
    """The name under which float execution reports the cell state of `layer`."""
    return f"{layer.name}.cell"


def check_graph(graph: Graph) -> None:
    """Refuse a graph whose layers do not chain or whose shapes disagree.

    Raises
    ------
    InputError
        Naming the first layer or tensor that is wrong.
    """
    where = graph.source or graph.name
    known: dict[str, Tensor] = {}
    reserved: set[str] = set()
    layers: set[str] = set()
    _define(where, known, reserved, graph.input)
    for layer in graph.layers:
        if layer.name in layers:
            raise InputError(where, f"layer {layer.name!r}", "is defined twice", "distinct names")
        layers.add(layer.name)
        _same(where, known, layer.x, f"layer {layer.name!r}")
        _check_layer(where, layer)
        _define(where, known, reserved, layer.y)
        if isinstance(layer, Lstm):
            key = cell_key(layer)
            if key in known or key in reserved:
                raise InputError(where, f"layer {layer.name!r}", f"the name {key!r} is taken", "distinct names")
            reserved.add(key)
    _same(where, known, graph.output, "graph output")


def _define(where: str, known: dict[str, Tensor], reserved: set[str], tensor: Tensor) -> None:
    field = f"tensor {tensor.name!r}"
    if tensor.name in known or tensor.name in reserved:
        raise InputError(where, field, "is defined twice", "distinct names")
    if len(tensor.shape) not in (1, 2) or min(tensor.shape) < 1:
        raise InputError(where, field, f"shape {tensor.shape}", "(T, F) or (F,), each at least 1")
    known[tensor.name] = tensor


def _same(where: str, known: dict[str, Tensor], tensor: Tensor, field: str) -> None:
    if tensor.name not in known:
        raise InputError(where, field, f"reads {tensor.name!r}, which no earlier layer writes")
    if known[tensor.name] != tensor:
        raise InputError(
            where, field, f"reads {tensor.name!r} with shape {tensor.shape}", f"shape {known[tensor.name].shape}"
        )


def _check_layer(where: str, layer: Layer) -> None:
    field = f"layer {layer.name!r}"
    x, y = layer.x, layer.y
    if isinstance(layer, Lstm):
        if not x.is_sequence:
            raise InputError(where, field, f"its input has shape {x.shape}", "a sequence (T, F)")
        gates, units = len(Gate), layer.units
        _check_weights(where, field, "input_weights", layer.input_weights, (gates, units, x.features))
        _check_weights(where, field, "recurrent_weights", layer.recurrent_weights, (gates, units, units))
        _check_weights(where, field, "bias", layer.bias, (gates, units))
        _check_output(where, field, y, (x.shape[0], units))
    elif isinstance(layer, Linear):
        outputs = int(layer.weights.shape[0])
        _check_weights(where, field, "weights", layer.weights, (outputs, x.features))
        _check_weights(where, field, "bias", layer.bias, (outputs,))
        _check_output(where, field, y, (*x.shape[:-1], outputs))
    else:
        _check_select(where, field, layer)


def _check_select(where: str, field: str, layer: SelectStep) -> None:
    if not layer.x.is_sequence:
        raise InputError(where, field, f"its input has shape {layer.x.shape}", "a sequence (T, F)")
    steps = layer.x.shape[0]
    if not 0 <= layer.step < steps:
        raise InputError(where, field, f"selects step {layer.step}", f"0 to {steps - 1}")
    _check_output(where, field, layer.y, layer.x.shape[1:])


def _check_weights(where: str, field: str, what: str, weights: FloatArray, shape: tuple[int, ...]) -> None:
    if weights.dtype != np.float32:
        raise InputError(where, field, f"{what} are {weights.dtype}", "float32")
    if weights.shape != shape:
        raise InputError(where, field, f"{what} have shape {weights.shape}", f"{shape}")
    if not np.isfinite(weights).all():
        raise InputError(where, field, f"{what} hold NaN or infinity", "finite numbers")


def _check_output(where: str, field: str, y: Tensor, shape: tuple[int, ...]) -> None:
    if y.shape != shape:
        raise InputError(where, field, f"its output has shape {y.shape}", f"{shape}")
