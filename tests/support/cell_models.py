"""ONNX models of any recurrent operator and direction, as exporters write them around one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.support.onnx_exports import Net

DIRECTIONS = ["forward", "reverse", "bidirectional"]
HEADS = ["last", "all", "hidden", "ends", "layers"]


@dataclass(frozen=True)
class Model:
    """Stacked recurrent nodes of one kind and a Linear."""

    cell: str
    direction: str = "forward"
    bias: bool = True
    head: str = "last"
    exporter: str = "legacy"
    layers: int = 1
    batch_first: bool = True
    batch: int = 2
    steps: int = 5
    inputs: int = 3
    units: int = 4
    outputs: int = 3

    @property
    def directions(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    def attributes(self) -> dict[str, Any]:
        operator, _, kind = self.cell.partition(" ")
        if operator == "gru":
            return {"linear_before_reset": int(kind == "before")}
        return {"activations": [kind.capitalize()] * self.directions} if operator == "rnn" else {}

    def build(self, seed: int) -> Any:
        net = Net(np.random.default_rng(seed))
        x = net.node("Transpose", ["x"], perm=[1, 0, 2]) if self.batch_first else "x"
        hidden = []
        for layer in range(self.layers):
            x, last = self.node(net, x, self.inputs if layer == 0 else self.units * self.directions)
            hidden.append(last)
        return self.headed(net, x, hidden)

    def node(self, net: Net, x: str, features: int) -> tuple[str, str]:
        """One node and what makes its output time, batch, features; and its last states."""
        operator = self.cell.partition(" ")[0].upper()
        rows = {"LSTM": 4, "GRU": 3, "RNN": 1}[operator] * self.units
        weights = [net.weights(self.directions, rows, features), net.weights(self.directions, rows, self.units)]
        if self.bias:
            weights.append(net.weights(self.directions, 2 * rows))
        attributes = {"hidden_size": self.units, "direction": self.direction, **self.attributes()}
        y, last = net.node(operator, [x, *weights], 2, **attributes)
        if self.directions == 1 and self.exporter == "legacy":
            return net.node("Squeeze", [y, net.constant([1])]), last
        moved = net.node("Transpose", [y], perm=[0, 2, 1, 3])
        if self.exporter == "legacy":
            return net.node("Reshape", [moved, net.constant([0, 0, -1])]), last
        shape = net.node("Shape", [moved])
        sizes = [net.node("Slice", [shape, net.constant([i]), net.constant([i + 1])]) for i in range(4)]
        merged = net.node("Concat", [*sizes[:2], net.node("Mul", sizes[2:])], axis=0)
        return net.node("Reshape", [moved, merged]), last

    def headed(self, net: Net, x: str, hidden: list[str]) -> Any:
        features, rank = self.units * self.directions, 2
        if self.head == "all":
            rank = 3
            if self.batch_first:
                x = net.node("Transpose", [x], perm=[1, 0, 2])
        elif self.head == "last":
            x = net.node("Gather", [x, net.constant(-1)], axis=0)
        elif self.head == "ends":
            # The last result of each direction, cut out of the first and the last time step.
            parts = []
            for index in range(self.directions):
                reverse = index == 1 or self.direction == "reverse"
                step = net.node("Gather", [x, net.constant(0 if reverse else -1)], axis=0)
                bounds = [net.constant([index * self.units]), net.constant([(index + 1) * self.units])]
                parts.append(net.node("Slice", [step, *bounds, net.constant([1])]))
            x = net.node("Concat", parts, axis=1)
        elif self.head == "hidden":
            # h_n[-2] beside h_n[-1], or h_n[-1] alone.
            stack = net.node("Concat", hidden, axis=0)
            indices = range(-self.directions, 0)
            parts = [net.node("Gather", [stack, net.constant(index)], axis=0) for index in indices]
            x = net.node("Concat", parts, axis=-1)
        else:
            # h_n.view(layers, directions, batch, units)[-1], its directions brought beside the units.
            stack = net.node("Concat", hidden, axis=0)
            shape = net.constant([self.layers, self.directions, -1, self.units])
            last = net.node("Gather", [net.node("Reshape", [stack, shape]), net.constant(-1)], axis=0)
            x = net.node("Reshape", [net.node("Transpose", [last], perm=[1, 0, 2]), net.constant([-1, features])])
        y = net.node("Add", [net.node("MatMul", [x, net.weights(features, self.outputs)]), net.weights(self.outputs)])
        shape = [self.steps, self.inputs]
        shape.insert(0 if self.batch_first else 1, "batch")
        return net.model(shape, y, rank=rank)

    def frames(self, seed: int) -> Any:
        shape = (self.batch, self.steps, self.inputs)
        return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
