"""Vanilla RNN layers unrolled in time, as PyTorch's newer exporter writes `nn.RNN`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.support.onnx_exports import Net


@dataclass(frozen=True)
class Unrolled:
    """One direction of a layer on a sequence that runs time first.

    `step_bias` and `step_weights` may give a step a bias or recurrent weights of its own, `order` the steps another
    order, and `operators` another activation, to spoil it.
    """

    inputs: int
    units: int
    steps: int
    bias: bool = True
    reverse: bool = False
    operator: str = "Tanh"
    state_first: bool = False
    step_bias: Callable[[Net, int, str], str] = lambda _net, _step, name: name
    step_weights: Callable[[Net, int, str], str] = lambda _net, _step, name: name
    order: tuple[int, ...] = ()
    operators: tuple[str, ...] = ()

    def add(self, net: Net, x: str) -> tuple[str, str]:
        """Add its nodes; gives all states in the order of time, and the last one without its axis of size 1."""
        rows = net.node("MatMul", [x, net.weights(self.inputs, self.units)])
        bias = net.weights(self.units) if self.bias else ""
        if self.bias:
            rows = net.node("Add", [rows, net.weights(self.units)])
        if self.reverse:
            bounds = [net.constant([-1]), net.constant([-(2**63)]), net.constant([0]), net.constant([-1])]
            rows = net.node("Slice", [rows, *bounds])
        weights = net.weights(self.units, self.units)
        batch = net.node("Shape", ["x"], start=1, end=2)
        target = net.node("Concat", [net.constant([1]), batch, net.constant([self.units])], axis=0)
        state = net.node("Expand", [net.constant(0.0, np.float32), target])
        states = []
        for position, step in enumerate(self.order or range(self.steps)):
            window = net.node("Slice", [rows, net.constant([step]), net.constant([step + 1]), net.constant([0])])
            product = net.node("MatMul", [state, self.step_weights(net, position, weights)])
            if self.bias:
                product = net.node("Add", [product, self.step_bias(net, position, bias)])
            terms = [product, net.node("Squeeze", [window, net.constant([0])])]
            total = net.node("Add", terms if self.state_first else terms[::-1])
            state = net.node(self.operators[position] if self.operators else self.operator, [total])
            states.append(state)
        every = net.node("Concat", states[::-1] if self.reverse else states, axis=0)
        return every, net.node("Squeeze", [state, net.constant([0])])
