"""Fully connected layers of ONNX models: Gemm, and MatMul with the Add of its bias.

Source: the operators' specifications in the ONNX repository, `docs/Operators.md`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from accelsim.frontend.onnx_layers import LayerBuilder
from accelsim.frontend.onnx_values import (
    Activation,
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
from accelsim.graph.model import FloatArray, Linear


class LinearReader:
    """The handlers of operators that make fully connected layers.

    Parameters
    ----------
    builder : LayerBuilder
    """

    def __init__(self, builder: LayerBuilder) -> None:
        self._builder = builder
        self._without_bias: dict[str, Linear] = {}
        self.handlers: Mapping[str, Handler] = {"Add": self.add, "Gemm": self.gemm, "MatMul": self.matmul}

    def gemm(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """A matrix of rows times weights, and a bias."""
        x = activation_input(inputs, 0, "A")
        for name in ("alpha", "beta"):
            if node.attribute(name, 1.0) != 1.0:
                raise RefusedError(f"{name} is {node.attribute(name)}; 1 is supported")
        if x.rank != 2:
            raise RefusedError(f"A has axes {x.describe()}; a matrix is needed")
        if node.attribute("transA", 0):
            x = x.with_dimensions(x.dimensions[::-1])
        weights = weights_input(inputs, 1, "B")
        if weights.ndim != 2:
            raise RefusedError(f"B has shape {weights.shape}; a matrix is needed")
        if not node.attribute("transB", 0):
            weights = weights.T
        bias = None if is_absent(inputs, 2) else _row(weights_input(inputs, 2, "C"), int(weights.shape[0]), 2)
        return [self._linear(node, x, weights, bias)]

    def matmul(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """Rows times weights."""
        x = activation_input(inputs, 0, "A")
        weights = weights_input(inputs, 1, "B")
        if weights.ndim != 2 or x.rank < 2:
            raise RefusedError(f"a product of {x.describe()} and a constant of shape {weights.shape}")
        return [self._linear(node, x, weights.T, None)]

    def add(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """The bias of a MatMul, in either order."""
        activations = [value for value in inputs if isinstance(value, Activation)]
        constants = [index for index, value in enumerate(inputs) if isinstance(value, Constant)]
        if len(activations) != 1 or len(constants) != 1:
            raise RefusedError("only a constant can be added, as the bias of a MatMul")
        x = activations[0]
        linear = self._without_bias.get(x.parts[0].name)
        if linear is None:
            raise RefusedError("a constant can be added only as the bias of a MatMul")
        if x.dimensions[-1:] != x.expected(Axis.FEATURE):
            raise RefusedError(f"the bias is added along another axis of {x.describe()}")
        bias = _row(weights_input(inputs, constants[0], "the bias"), x.tensor.features, x.rank)
        y = self._builder.tensor(node.outputs[0], x.tensor.shape)
        # The product without its bias stays a layer of its own, under another name, only where something reads it.
        self._builder.add(Linear(self._builder.unique(linear.name), linear.x, y, linear.weights, bias))
        return [x.with_tensor(y)]

    def _linear(self, node: Node, value: Activation, weights: FloatArray, bias: FloatArray | None) -> Activation:
        x = self._builder.joined(value)
        if x.dimensions[-1:] != x.expected(Axis.FEATURE):
            raise RefusedError(f"the last axis of {x.describe()} is not the features alone")
        outputs, features = (int(size) for size in weights.shape)
        if features != x.tensor.features:
            raise RefusedError(f"weights for {features} features, its input has {x.tensor.features}")
        y = self._builder.tensor(node.outputs[0], (*x.tensor.shape[:-1], outputs))
        row = np.zeros(outputs, np.float32) if bias is None else bias
        linear = Linear(self._builder.node_name(node), x.tensor, y, np.ascontiguousarray(weights), row)
        self._builder.add(linear)
        if bias is None:
            self._without_bias[y.name] = linear
        # The features may have been one, on no tracked axis, and be several now.
        return x.with_tensor(y).with_dimensions((*x.dimensions[:-1], (Axis.FEATURE,)))


def _row(bias: FloatArray, features: int, rank: int) -> FloatArray:
    """A constant that is broadcast to the rows of a result, as float32[features]."""
    if bias.ndim > rank or bias.size not in (1, features) or any(size != 1 for size in bias.shape[:-1]):
        raise RefusedError(f"a bias of shape {bias.shape} for {features} features")
    return np.broadcast_to(bias.reshape(-1), (features,))
