"""Recurrent layers of ONNX models: LSTM, GRU and RNN nodes, a layer for each direction.

Source: the operators' specifications in the ONNX repository, `docs/Operators.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelsim.frontend.onnx_layers import LayerBuilder
from accelsim.frontend.onnx_values import (
    Activation,
    Array,
    Axis,
    Constant,
    Handler,
    Node,
    RefusedError,
    Value,
    activation_input,
    is_absent,
    weights_input,
)
from accelsim.graph.check import RNN_ACTIVATIONS
from accelsim.graph.model import FloatArray, Gate, Gru, GruGate, Lstm, Recurrent, Rnn, Tensor


@dataclass(frozen=True)
class _Cell:
    """What tells an operator from the two others.

    Parameters
    ----------
    gates : int
        Its weights have this many times the hidden size as rows.
    activations : tuple of str
        The default of one direction, in lower case: the only ones supported, but of an RNN.
    """

    gates: int
    activations: tuple[str, ...]


_CELLS = {
    "LSTM": _Cell(4, ("sigmoid", "tanh", "tanh")),
    "GRU": _Cell(3, ("sigmoid", "tanh")),
    "RNN": _Cell(1, ("tanh",)),
}
RECURRENT_OPERATORS = frozenset(_CELLS)
"""Operators that become recurrent layers."""
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""Whether each direction runs in reverse, by the value of the attribute."""
_LSTM_ROWS = np.argsort((Gate.INPUT, Gate.OUTPUT, Gate.FORGET, Gate.CELL))
"""ONNX's position of each of our gates: "W[iofc]"."""
_GRU_ROWS = np.argsort((GruGate.UPDATE, GruGate.RESET, GruGate.CANDIDATE))
"""The same of a GRU: "W[zrh]"."""
_X, _W, _R, _B, _SEQUENCE_LENS, _INITIAL_H, _INITIAL_C, _P = range(8)


@dataclass(frozen=True)
class _Weights:
    """One direction's, in ONNX's order of rows."""

    input: FloatArray
    recurrent: FloatArray
    input_bias: FloatArray
    recurrent_bias: FloatArray


class RecurrentReader:
    """The handlers of operators that make recurrent layers.

    Parameters
    ----------
    builder : LayerBuilder
    confirm_input : callable
        Called when a node's input has the axes it should: the order assumed for the graph's input is right.
    """

    def __init__(self, builder: LayerBuilder, confirm_input: Callable[[], None]) -> None:
        self._builder = builder
        self._confirm_input = confirm_input
        self.handlers: Mapping[str, Handler] = dict.fromkeys(_CELLS, self.recurrent)

    def recurrent(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """All hidden states of each direction, and the last ones; of an LSTM the last cell states too."""
        x = self._builder.joined(activation_input(inputs, _X, "X"))
        reverses = _check_form(node, inputs)
        batch_first = node.attribute("layout", 0) == 1
        order = (Axis.BATCH, Axis.TIME) if batch_first else (Axis.TIME, Axis.BATCH)
        if not x.tensor.is_sequence:
            raise RefusedError("its input X is a single time step, not a sequence")
        if x.dimensions != x.expected(*order, Axis.FEATURE):
            wanted = " x ".join(axis.value for axis in (*order, Axis.FEATURE))
            raise RefusedError(f"its input X has axes {x.describe()}, not {wanted}")
        self._confirm_input()
        directions = _read_weights(node, inputs, len(reverses), x.tensor.features)
        units = int(directions[0].recurrent.shape[-1])
        state = (x.batch, len(reverses), units) if batch_first else (len(reverses), x.batch, units)
        _check_zero_state(inputs, _INITIAL_H, "initial_h", state)
        if node.operator == "LSTM":
            _check_zero_state(inputs, _INITIAL_C, "initial_c", state)
        activations = _activations(node, len(reverses))
        name, both = self._builder.node_name(node), len(reverses) > 1
        layers: list[Recurrent] = []
        for reverse, weights, activation in zip(reverses, directions, activations, strict=True):
            label = f".{'reverse' if reverse else 'forward'}" if both else ""
            layer_name = self._builder.layer_name(name + label) if both else name
            y = self._builder.tensor((node.outputs[0] or f"{name}.y") + label, (x.tensor.shape[0], units))
            # Of a sequence that runs backward, an ONNX node's reverse direction takes the first step first.
            layer = _layer(node, layer_name, x.tensor, y, weights, activation, reverse != x.backward)
            self._builder.add(layer)
            layers.append(layer)
        states = Activation(tuple(layer.y for layer in layers), x.batch, (), len(layers), x.backward)
        axes = (Axis.TIME, Axis.DIRECTION, Axis.BATCH, Axis.FEATURE)
        if batch_first:
            axes = (Axis.BATCH, Axis.TIME, Axis.DIRECTION, Axis.FEATURE)
        outputs: list[Value] = [states.with_dimensions(states.expected(*axes))]
        if any(node.outputs[1:]):
            last = tuple(self._builder.final_state(layer) for layer in layers)
            cells = tuple(self._builder.final_cell_state(layer) for layer in layers if isinstance(layer, Lstm))
            for parts in (last, cells):
                if parts:
                    ends = Activation(parts, x.batch, (), len(parts))
                    without_time = (axis for axis in axes if axis is not Axis.TIME)
                    outputs.append(ends.with_dimensions(ends.expected(*without_time)))
        return outputs


def _layer(node: Node, name: str, x: Tensor, y: Tensor, weights: _Weights, activation: str, reverse: bool) -> Recurrent:
    """One direction as a layer of ours."""
    gates, units = _CELLS[node.operator].gates, y.features
    if node.operator == "RNN":
        bias = weights.input_bias + weights.recurrent_bias
        return Rnn(name, x, y, weights.input, weights.recurrent, bias, activation, reverse)
    rows = _LSTM_ROWS if node.operator == "LSTM" else _GRU_ROWS
    input_weights = weights.input.reshape(gates, units, x.features)[rows]
    recurrent_weights = weights.recurrent.reshape(gates, units, units)[rows]
    input_bias = weights.input_bias.reshape(gates, units)[rows]
    recurrent_bias = weights.recurrent_bias.reshape(gates, units)[rows]
    if node.operator == "LSTM":
        return Lstm(name, x, y, input_weights, recurrent_weights, input_bias + recurrent_bias, reverse)
    before = bool(node.attribute("linear_before_reset", 0))
    return Gru(name, x, y, input_weights, recurrent_weights, input_bias, recurrent_bias, before, reverse)


def _read_weights(node: Node, inputs: list[Value | None], directions: int, features: int) -> list[_Weights]:
    """The inputs W, R and B, checked, by direction."""
    recurrent = weights_input(inputs, _R, "R")
    units = int(recurrent.shape[-1])
    rows = _CELLS[node.operator].gates * units
    _check_shape("R", recurrent, (directions, rows, units))
    weights = weights_input(inputs, _W, "W")
    _check_shape("W", weights, (directions, rows, features))
    if node.attribute("hidden_size", units) != units:
        raise RefusedError(f"hidden_size is {node.attribute('hidden_size')}, R has {units} columns")
    bias = np.zeros((directions, 2 * rows), np.float32) if is_absent(inputs, _B) else weights_input(inputs, _B, "B")
    _check_shape("B", bias, (directions, 2 * rows))
    return [_Weights(w, r, b[:rows], b[rows:]) for w, r, b in zip(weights, recurrent, bias, strict=True)]


def _check_shape(what: str, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise RefusedError(f"{what} has shape {array.shape}, {shape} is needed")


def _check_zero_state(inputs: list[Value | None], index: int, what: str, shape: tuple[int, ...]) -> None:
    if is_absent(inputs, index):
        return
    value = inputs[index]
    if not isinstance(value, Constant):
        raise RefusedError(f"{what} is computed from the model's input; each frame starts from zero here")
    _check_shape(what, value.array, shape)
    if value.array.dtype != np.float32 or np.any(value.array):
        raise RefusedError(f"{what} is not zero")


def _activations(node: Node, directions: int) -> list[str]:
    """The activation of an RNN in each direction; of an operator with several, its last.

    Raises
    ------
    RefusedError
        If they are not those that layers have.
    """
    default = _CELLS[node.operator].activations
    named: list[Any] = node.attribute("activations", list(default) * directions)
    found = [str(activation).lower() for activation in named]
    if node.operator == "RNN":
        supported, fits = "Tanh or Relu", len(found) == directions and set(found) <= set(RNN_ACTIVATIONS)
    else:
        supported, fits = ", ".join(name.capitalize() for name in default), found == list(default) * directions
    if not fits:
        each = " in each direction" if directions > 1 else ""
        raise RefusedError(f"activations are {named}; {supported}{each} are supported")
    return found[len(default) - 1 :: len(default)]


def _check_form(node: Node, inputs: list[Value | None]) -> tuple[bool, ...]:
    """Refuse every variant that no layer stands for; whether each direction runs in reverse."""
    direction = node.attribute("direction", "forward")
    if direction not in _DIRECTIONS:
        raise RefusedError(f"direction is {direction}; {', '.join(_DIRECTIONS)} are supported")
    if not is_absent(inputs, _SEQUENCE_LENS):
        raise RefusedError("sequence_lens: every frame has the same length here")
    if node.operator == "LSTM" and not is_absent(inputs, _P):
        raise RefusedError("peepholes (input P)")
    for name in ("activation_alpha", "activation_beta", "clip"):
        if name in node.attributes:
            raise RefusedError(f"attribute {name}")
    if node.attribute("input_forget", 0):
        raise RefusedError("input_forget couples the input and forget gates")
    if node.attribute("layout", 0) not in (0, 1):
        raise RefusedError(f"layout is {node.attribute('layout')}")
    return _DIRECTIONS[direction]
