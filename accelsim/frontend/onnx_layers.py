"""Operators that become layers: LSTM, Gemm, MatMul and the Add of its bias; and the layers made so far.

Source: the operators' specifications in the ONNX repository, `docs/Operators.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from accelsim.frontend.onnx_values import (
    Activation,
    Array,
    Axis,
    Constant,
    Handler,
    Node,
    RefusedError,
    Value,
)
from accelsim.graph.model import FloatArray, Gate, Layer, Linear, Lstm, SelectStep, Tensor

_LSTM_GATES = (Gate.INPUT, Gate.OUTPUT, Gate.FORGET, Gate.CELL)
"""The order of ONNX's rows. Source: operator LSTM, "W[iofc]"."""
_LSTM_ACTIVATIONS = ["sigmoid", "tanh", "tanh"]
_X, _W, _R, _B, _SEQUENCE_LENS, _INITIAL_H, _INITIAL_C, _P = range(8)
_UNSAFE = re.compile(r"[^A-Za-z0-9_.:/-]+")


class LayerBuilder:
    """Collects the layers while the nodes are read in order.

    Parameters
    ----------
    confirm_input : callable
        Called when an LSTM's input has the axes it should: the order assumed for the graph's input is right.
    """

    def __init__(self, confirm_input: Callable[[], None]) -> None:
        self._confirm_input = confirm_input
        self._layers: list[Layer] = []
        self._names: set[str] = set()
        self._without_bias: dict[str, Linear] = {}
        self.handlers: Mapping[str, Handler] = {
            "Add": self._add,
            "Gemm": self._gemm,
            "LSTM": self._lstm,
            "MatMul": self._matmul,
        }

    def tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor under a name no other has."""
        return Tensor(self._unique(name), shape)

    def select_step(self, x: Tensor, step: int, name: str) -> Tensor:
        """Add the layer that takes one time step of `x`; gives its output."""
        layer_name = self._unique(name.lstrip("/"))
        y = self.tensor(f"{layer_name}.y", x.shape[1:])
        self._layers.append(SelectStep(layer_name, x, y, step))
        return y

    def finish(self, output: Tensor, name: str) -> tuple[Tensor, tuple[Layer, ...]]:
        """The layers that `output` depends on, in order, and `output` under the model's name for it."""
        needed = {output.name}
        kept: list[Layer] = []
        for layer in reversed(self._layers):
            if layer.y.name in needed:
                needed.add(layer.x.name)
                kept.append(layer)
        if not kept or output.name == name:
            return output, tuple(reversed(kept))
        # The model's last node may have moved axes only; the tensor then bears the name of an earlier value.
        renamed = self.tensor(name, output.shape)
        moved = {output.name: renamed}
        layers = [
            replace(layer, x=moved.get(layer.x.name, layer.x), y=moved.get(layer.y.name, layer.y)) for layer in kept
        ]
        return renamed, tuple(reversed(layers))

    def _unique(self, name: str) -> str:
        base = _UNSAFE.sub("_", name) or "unnamed"
        unique, count = base, 1
        while unique in self._names:
            count += 1
            unique = f"{base}_{count}"
        self._names.add(unique)
        return unique

    def _layer_name(self, node: Node) -> str:
        """The node's name; of the module's path and operator that exporters write, the path."""
        name = node.name.lstrip("/")
        module, _, last = name.rpartition("/")
        unique = self._unique(module if module and last.split("_")[0] == node.operator else name)
        self._names.add(f"{unique}.cell")
        return unique

    def _lstm(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        x = _activation(inputs, _X, "X")
        _check_lstm_form(node, inputs)
        batch_first = node.attribute("layout", 0) == 1
        order = (Axis.BATCH, Axis.TIME) if batch_first else (Axis.TIME, Axis.BATCH)
        if not x.tensor.is_sequence:
            raise RefusedError("its input X is a single time step, not a sequence")
        if x.dimensions != x.expected(*order, Axis.FEATURE):
            wanted = " x ".join(axis.value for axis in (*order, Axis.FEATURE))
            raise RefusedError(f"its input X has axes {x.describe()}, not {wanted}")
        self._confirm_input()
        recurrent = _weights(inputs, _R, "R")
        units = int(recurrent.shape[-1])
        steps, features = x.tensor.shape
        _check_shape("R", recurrent, (1, 4 * units, units))
        weights = _weights(inputs, _W, "W")
        _check_shape("W", weights, (1, 4 * units, features))
        if node.attribute("hidden_size", units) != units:
            raise RefusedError(f"hidden_size is {node.attribute('hidden_size')}, R has {units} columns")
        bias = np.zeros((1, 8 * units), np.float32) if _absent(inputs, _B) else _weights(inputs, _B, "B")
        _check_shape("B", bias, (1, 8 * units))
        state = (x.batch, 1, units) if batch_first else (1, x.batch, units)
        _check_zero_state(inputs, _INITIAL_H, "initial_h", state)
        _check_zero_state(inputs, _INITIAL_C, "initial_c", state)
        name = self._layer_name(node)
        rows = np.argsort(_LSTM_GATES)
        y = self.tensor(node.outputs[0] or f"{name}.y", (steps, units))
        input_bias, recurrent_bias = bias.reshape(2, 4, units)
        self._layers.append(
            Lstm(
                name,
                x.tensor,
                y,
                weights.reshape(4, units, features)[rows],
                recurrent.reshape(4, units, units)[rows],
                (input_bias + recurrent_bias)[rows],
            )
        )
        sequence = Activation(y, x.batch, ())
        if batch_first:
            axes: tuple[Axis | None, ...] = (Axis.BATCH, Axis.TIME, None, Axis.FEATURE)
            last_axes: tuple[Axis | None, ...] = (Axis.BATCH, None, Axis.FEATURE)
        else:
            axes, last_axes = (Axis.TIME, None, Axis.BATCH, Axis.FEATURE), (None, Axis.BATCH, Axis.FEATURE)
        outputs: list[Value] = [sequence.with_dimensions(sequence.expected(*axes))]
        if len(node.outputs) > 1 and node.outputs[1]:
            last = Activation(self.select_step(y, steps - 1, f"{name}.last"), x.batch, ())
            outputs.append(last.with_dimensions(last.expected(*last_axes)))
        return outputs

    def _gemm(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        x = _activation(inputs, 0, "A")
        for name in ("alpha", "beta"):
            if node.attribute(name, 1.0) != 1.0:
                raise RefusedError(f"{name} is {node.attribute(name)}; 1 is supported")
        if x.rank != 2:
            raise RefusedError(f"A has axes {x.describe()}; a matrix is needed")
        if node.attribute("transA", 0):
            x = x.with_dimensions(x.dimensions[::-1])
        weights = _weights(inputs, 1, "B")
        if weights.ndim != 2:
            raise RefusedError(f"B has shape {weights.shape}; a matrix is needed")
        if not node.attribute("transB", 0):
            weights = weights.T
        bias = None if _absent(inputs, 2) else _row(_weights(inputs, 2, "C"), int(weights.shape[0]), 2)
        return [self._linear(node, x, weights, bias)]

    def _matmul(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        x = _activation(inputs, 0, "A")
        weights = _weights(inputs, 1, "B")
        if weights.ndim != 2 or x.rank < 2:
            raise RefusedError(f"a product of {x.describe()} and a constant of shape {weights.shape}")
        return [self._linear(node, x, weights.T, None)]

    def _add(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """The bias of a MatMul, in either order."""
        activations = [value for value in inputs if isinstance(value, Activation)]
        constants = [index for index, value in enumerate(inputs) if isinstance(value, Constant)]
        if len(activations) != 1 or len(constants) != 1:
            raise RefusedError("only a constant can be added, as the bias of a MatMul")
        x = activations[0]
        linear = self._without_bias.get(x.tensor.name)
        if linear is None:
            raise RefusedError("a constant can be added only as the bias of a MatMul")
        if x.dimensions[-1:] != x.expected(Axis.FEATURE):
            raise RefusedError(f"the bias is added along another axis of {x.describe()}")
        bias = _row(_weights(inputs, constants[0], "the bias"), x.tensor.features, x.rank)
        y = self.tensor(node.outputs[0], x.tensor.shape)
        # The product without its bias stays a layer of its own, under another name, only where something reads it.
        self._layers.append(Linear(self._unique(linear.name), linear.x, y, linear.weights, bias))
        return [Activation(y, x.batch, x.dimensions)]

    def _linear(self, node: Node, x: Activation, weights: FloatArray, bias: FloatArray | None) -> Activation:
        if x.dimensions[-1:] != x.expected(Axis.FEATURE):
            raise RefusedError(f"the last axis of {x.describe()} is not the features alone")
        outputs, features = (int(size) for size in weights.shape)
        if features != x.tensor.features:
            raise RefusedError(f"weights for {features} features, its input has {x.tensor.features}")
        y = self.tensor(node.outputs[0], (*x.tensor.shape[:-1], outputs))
        row = np.zeros(outputs, np.float32) if bias is None else bias
        linear = Linear(self._layer_name(node), x.tensor, y, np.ascontiguousarray(weights), row)
        self._layers.append(linear)
        if bias is None:
            self._without_bias[y.name] = linear
        value = Activation(y, x.batch, ())
        return value.with_dimensions((*x.dimensions[:-1], (Axis.FEATURE,)))


def _absent(inputs: list[Value | None], index: int) -> bool:
    return index >= len(inputs) or inputs[index] is None


def _activation(inputs: list[Value | None], index: int, what: str) -> Activation:
    value = inputs[index]
    if not isinstance(value, Activation):
        raise RefusedError(f"{what} is a constant or a concatenation of several values")
    return value


def _weights(inputs: list[Value | None], index: int, what: str) -> FloatArray:
    value = inputs[index]
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


def _row(bias: FloatArray, features: int, rank: int) -> FloatArray:
    """A constant that is broadcast to the rows of a result, as float32[features]."""
    if bias.ndim > rank or bias.size not in (1, features) or any(size != 1 for size in bias.shape[:-1]):
        raise RefusedError(f"a bias of shape {bias.shape} for {features} features")
    return np.broadcast_to(bias.reshape(-1), (features,))


def _check_shape(what: str, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise RefusedError(f"{what} has shape {array.shape}, {shape} is needed")


def _check_zero_state(inputs: list[Value | None], index: int, what: str, shape: tuple[int, ...]) -> None:
    if _absent(inputs, index):
        return
    value = inputs[index]
    if not isinstance(value, Constant):
        raise RefusedError(f"{what} is computed from the model's input; each frame starts from zero here")
    _check_shape(what, value.array, shape)
    if value.array.dtype != np.float32 or np.any(value.array):
        raise RefusedError(f"{what} is not zero")


def _check_lstm_form(node: Node, inputs: list[Value | None]) -> None:
    """Refuse every variant that `graph.Lstm` does not stand for."""
    direction = node.attribute("direction", "forward")
    if direction != "forward":
        raise RefusedError(f"direction is {direction}; forward is supported")
    if not _absent(inputs, _SEQUENCE_LENS):
        raise RefusedError("sequence_lens: every frame has the same length here")
    if not _absent(inputs, _P):
        raise RefusedError("peepholes (input P)")
    activations: list[Any] = node.attribute("activations", _LSTM_ACTIVATIONS)
    if [str(activation).lower() for activation in activations] != _LSTM_ACTIVATIONS:
        raise RefusedError(f"activations are {activations}; Sigmoid, Tanh, Tanh are supported")
    for name in ("activation_alpha", "activation_beta", "clip"):
        if name in node.attributes:
            raise RefusedError(f"attribute {name}")
    if node.attribute("input_forget", 0):
        raise RefusedError("input_forget couples the input and forget gates")
    if node.attribute("layout", 0) not in (0, 1):
        raise RefusedError(f"layout is {node.attribute('layout')}")
