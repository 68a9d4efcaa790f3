"""Vanilla RNN layers that an exporter has unrolled in time.

PyTorch's newer exporter writes `nn.RNN` as one product of the whole sequence and then, for each time step, a product
of the state before, two sums and an activation. Read one after the other, these steps are those of one layer: the
first one shows its input weights, bias and direction, the second one its recurrent weights, and each further one has
to repeat them. A state is then a time step of the layer's output; states put one after the other again are all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from accelsim.frontend.onnx_layers import LayerBuilder
from accelsim.frontend.onnx_values import (
    Activation,
    Axis,
    Constant,
    Dimension,
    Handler,
    Node,
    Preactivation,
    RefusedError,
    Value,
)
from accelsim.graph.model import FloatArray, Layer, Linear, Rnn, SelectStep

UNROLLED_OPERATORS = {"Tanh": "tanh", "Relu": "relu"}
"""Activations by operator."""
NO_LAYER = "no layer of this kind, but as the activation of an RNN unrolled in time"
"""Why such an operator is refused anywhere else."""


@dataclass
class _Chain:
    """A layer, as far as its steps have been read.

    Parameters
    ----------
    layer : Rnn
    first : Node
        The activation of its first step.
    source : Linear
        The product of the whole sequence and the input weights.
    bias : float32[units]
        What is added to a step of it beside the recurrent product.
    recurrent : bool
        Whether the recurrent weights are known: not before the second step.
    """

    layer: Rnn
    first: Node
    source: Linear
    bias: FloatArray
    recurrent: bool = False


class UnrolledReader:
    """The handlers of an unrolled layer's sums and activations.

    Parameters
    ----------
    builder : LayerBuilder
    confirm_input : callable
        Called when a layer has been recognised: its time axis is where it was assumed.
    add : Handler
        Reads the sums that are none of these.
    """

    def __init__(self, builder: LayerBuilder, confirm_input: Callable[[], None], add: Handler) -> None:
        self._builder = builder
        self._confirm_input = confirm_input
        self._other_add = add
        self._chains: dict[str, _Chain] = {}
        self.handlers: Mapping[str, Handler] = {"Add": self.add, **dict.fromkeys(UNROLLED_OPERATORS, self.activate)}

    def add(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """The sum of a step's two products, or any other sum."""
        for one, other in (inputs, inputs[::-1]):
            product = self._input_product(one)
            if not isinstance(one, Activation) or product is None:
                continue
            recurrent = self._recurrent_product(other)
            if isinstance(other, Activation) and recurrent is not None:
                layout = replace(one, dimensions=_sum_layout(one, other))
                return [Preactivation(*product, recurrent, recurrent[0].bias, layout)]
            if isinstance(other, Constant):
                row, dimensions = _row(one, other)
                return [Preactivation(*product, None, row, replace(one, dimensions=dimensions))]
        return self._other_add(node, inputs)

    def activate(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """The state after a step."""
        value = inputs[0]
        product = self._input_product(value)
        if isinstance(value, Activation) and product is not None:
            value = Preactivation(*product, None, np.zeros(value.tensor.features, np.float32), value)
        if not isinstance(value, Preactivation):
            raise RefusedError(NO_LAYER)
        self._confirm_input()
        layer = (
            self._started(node, value) if value.recurrent is None else self._continued(node, value, *value.recurrent)
        )
        y = self._builder.select_step(layer.y, value.step.step, node.name)
        return [value.layout.with_tensor(y)]

    def single_step(self, layers: Iterable[Layer]) -> Node | None:
        """The activation that only looked like an unrolled layer's first step: one of `layers` has no second."""
        for layer in layers:
            chain = self._chains.get(layer.y.name)
            if chain is not None and not chain.recurrent:
                return chain.first
        return None

    def _input_product(self, value: Value | None) -> tuple[SelectStep, Linear] | None:
        """The step of a product of the whole sequence that a value is, and that product."""
        step = self._producer(value)
        source = self._builder.producer(step.x) if isinstance(step, SelectStep) else None
        return (step, source) if isinstance(step, SelectStep) and isinstance(source, Linear) else None

    def _recurrent_product(self, value: Value | None) -> tuple[Linear, SelectStep] | None:
        """The product of a layer's state that a value is, and that state."""
        product = self._producer(value)
        state = self._builder.producer(product.x) if isinstance(product, Linear) else None
        if not isinstance(product, Linear) or not isinstance(state, SelectStep) or state.x.name not in self._chains:
            return None
        return product, state

    def _producer(self, value: Value | None) -> Layer | None:
        """The layer that writes a value of one tensor."""
        if not isinstance(value, Activation) or len(value.parts) > 1:
            return None
        return self._builder.producer(value.tensor)

    def _started(self, node: Node, value: Preactivation) -> Rnn:
        """A layer whose first step this is."""
        source, step = value.source, value.step.step
        steps, units = source.y.shape
        if step not in (0, steps - 1):
            raise RefusedError(f"step {step} of {steps} is taken without a state before it")
        name = self._builder.node_name(node)
        y = self._builder.tensor(f"{name}.y", (steps, units))
        # The state before is zero; until the next step shows them, no recurrent weights matter.
        unknown = np.zeros((units, units), np.float32)
        activation, bias = UNROLLED_OPERATORS[node.operator], source.bias + value.bias
        layer = Rnn(name, source.x, y, source.weights, unknown, bias, activation, reverse=step > 0)
        self._builder.add(layer)
        self._chains[y.name] = _Chain(layer, node, source, value.bias)
        return layer

    def _continued(self, node: Node, value: Preactivation, product: Linear, before: SelectStep) -> Rnn:
        """The layer that the state before belongs to, if this is its next step and one like the others."""
        chain = self._chains[before.x.name]
        layer, step = chain.layer, value.step.step
        follows = step == (before.step - 1 if layer.reverse else before.step + 1)
        if not follows or value.source is not chain.source or UNROLLED_OPERATORS[node.operator] != layer.activation:
            raise RefusedError(f"step {step} does not follow on step {before.step} of an unrolled RNN")
        if not np.array_equal(product.bias, chain.bias):
            raise RefusedError("the steps of an unrolled RNN differ in their bias")
        if not chain.recurrent:
            chain.layer, chain.recurrent = replace(layer, recurrent_weights=product.weights), True
            self._builder.add(chain.layer)
        elif not np.array_equal(product.weights, layer.recurrent_weights):
            raise RefusedError("the steps of an unrolled RNN differ in their recurrent weights")
        return chain.layer


def _aligned(one: Activation, rank: int) -> tuple[Dimension, ...]:
    """Dimensions as broadcasting sees them: filled up with size 1 in front."""
    return ((),) * (rank - one.rank) + one.dimensions


def _sum_layout(one: Activation, other: Activation) -> tuple[Dimension, ...]:
    rank = max(one.rank, other.rank)
    if one.tensor.shape != other.tensor.shape or _aligned(one, rank) != _aligned(other, rank):
        raise RefusedError(f"a sum of {one.describe()} and {other.describe()}")
    return _aligned(one, rank)


def _row(one: Activation, constant: Constant) -> tuple[FloatArray, tuple[Dimension, ...]]:
    """A constant that is the same for each frame, as float32[features], and the layout of its sum with `one`."""
    array, features = constant.array, one.tensor.features
    rank = max(one.rank, array.ndim)
    layout = _aligned(one, rank)
    shape = (1,) * (rank - one.rank) + one.shape
    sizes = (1,) * (rank - array.ndim) + array.shape
    suits = array.dtype == np.float32 and one.dimensions[-1:] == one.expected(Axis.FEATURE)
    if not suits or any(size not in (1, full) for size, full in zip(sizes, shape, strict=True)):
        raise RefusedError(f"a sum of {one.describe()} and a constant {array.dtype}{list(array.shape)}")
    rows = np.broadcast_to(array, shape).reshape(-1, features)
    if not np.isfinite(rows).all() or np.any(rows != rows[0]):
        raise RefusedError(f"a constant that is not finite or differs between frames is added to {one.describe()}")
    return np.ascontiguousarray(rows[0]), layout
