"""What makes a graph valid: layers chain, shapes agree, names are distinct, weights are finite float32."""

from __future__ import annotations

import numpy as np

from accelsim.errors import InputError
from accelsim.graph.model import (
    Concat,
    FloatArray,
    Gate,
    Graph,
    Gru,
    GruGate,
    Layer,
    Linear,
    Lstm,
    Recurrent,
    Rnn,
    SelectStep,
    Tensor,
)

RNN_ACTIVATIONS = ("tanh", "relu")
"""What `Rnn.activation` may be."""


def inputs_of(layer: Layer) -> tuple[Tensor, ...]:
    """The tensors a layer reads, in order."""
    return layer.parts if isinstance(layer, Concat) else (layer.x,)


def cell_key(layer: Lstm) -> str:
    """The name under which float execution reports the cell state of `layer`."""
    return f"{layer.name}.cell"


def preactivation_key(layer: Rnn) -> str:
    """The name under which float execution reports what a relu `layer` applies its activation to."""
    return f"{layer.name}.preactivation"


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
        field = f"layer {layer.name!r}"
        if layer.name in layers:
            raise InputError(where, field, "is defined twice", "distinct names")
        layers.add(layer.name)
        for x in inputs_of(layer):
            _same(where, known, x, field)
        _check_layer(where, field, layer)
        _define(where, known, reserved, layer.y)
        _reserve(where, field, known, reserved, layer)
    _same(where, known, graph.output, "graph output")


def _define(where: str, known: dict[str, Tensor], reserved: set[str], tensor: Tensor) -> None:
    field = f"tensor {tensor.name!r}"
    if tensor.name in known or tensor.name in reserved:
        raise InputError(where, field, "is defined twice", "distinct names")
    if len(tensor.shape) not in (1, 2) or min(tensor.shape) < 1:
        raise InputError(where, field, f"shape {tensor.shape}", "(T, F) or (F,), each at least 1")
    known[tensor.name] = tensor


def _reserve(where: str, field: str, known: dict[str, Tensor], reserved: set[str], layer: Layer) -> None:
    """Keep the name of what float execution reports beside the layer's output."""
    if isinstance(layer, Lstm):
        key = cell_key(layer)
    elif isinstance(layer, Rnn):
        key = preactivation_key(layer)
    else:
        return
    if key in known or key in reserved:
        raise InputError(where, field, f"the name {key!r} is taken", "distinct names")
    reserved.add(key)


def _same(where: str, known: dict[str, Tensor], tensor: Tensor, field: str) -> None:
    if tensor.name not in known:
        raise InputError(where, field, f"reads {tensor.name!r}, which no earlier layer writes")
    if known[tensor.name] != tensor:
        raise InputError(
            where, field, f"reads {tensor.name!r} with shape {tensor.shape}", f"shape {known[tensor.name].shape}"
        )


def _check_layer(where: str, field: str, layer: Layer) -> None:
    if isinstance(layer, Concat):
        _check_concat(where, field, layer)
    elif isinstance(layer, Linear):
        x, outputs = layer.x, int(layer.weights.shape[0])
        _check_weights(where, field, "weights", layer.weights, (outputs, x.features))
        _check_weights(where, field, "bias", layer.bias, (outputs,))
        _check_output(where, field, layer.y, (*x.shape[:-1], outputs))
    elif isinstance(layer, SelectStep):
        _check_select(where, field, layer)
    else:
        _check_recurrent(where, field, layer)


def _check_recurrent(where: str, field: str, layer: Recurrent) -> None:
    x, units = layer.x, layer.units
    if not x.is_sequence:
        raise InputError(where, field, f"its input has shape {x.shape}", "a sequence (T, F)")
    gates: tuple[int, ...] = ()
    biases = {}
    if isinstance(layer, Gru):
        gates = (len(GruGate),)
        biases = {"input_bias": layer.input_bias, "recurrent_bias": layer.recurrent_bias}
    else:
        biases = {"bias": layer.bias}
        if isinstance(layer, Lstm):
            gates = (len(Gate),)
        elif layer.activation not in RNN_ACTIVATIONS:
            raise InputError(where, field, f"activation is {layer.activation!r}", " or ".join(RNN_ACTIVATIONS))
    _check_weights(where, field, "input_weights", layer.input_weights, (*gates, units, x.features))
    _check_weights(where, field, "recurrent_weights", layer.recurrent_weights, (*gates, units, units))
    for what, bias in biases.items():
        _check_weights(where, field, what, bias, (*gates, units))
    _check_output(where, field, layer.y, (x.shape[0], units))


def _check_concat(where: str, field: str, layer: Concat) -> None:
    if len(layer.parts) < 2:
        raise InputError(where, field, f"has {len(layer.parts)} parts", "at least 2")
    front = layer.parts[0].shape[:-1]
    for part in layer.parts[1:]:
        if part.shape[:-1] != front:
            shapes = f"parts {layer.parts[0].name!r} {layer.parts[0].shape} and {part.name!r} {part.shape}"
            raise InputError(where, field, shapes, "parts of the same number of steps")
    _check_output(where, field, layer.y, (*front, sum(part.features for part in layer.parts)))


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
