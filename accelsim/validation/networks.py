"""Networks of random weights, quantized from the start: what a machine's published figures are of is their shape.

Cycles do not depend on data, so any weights do; these have scales with which gates reach their curved parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.graph.model import Gate, GruGate
from accelsim.quant.lstm_parameters import lstm_from_scales
from accelsim.quant.model import QConcat, QGraph, QLayer, QLinear, QSelectStep, QTensor
from accelsim.quant.recurrent_parameters import gru_from_scales, rnn_from_scales

CELLS = ("gemv", "rnn", "gru", "lstm")
"""A product alone, and the recurrent layers. The GRU has its reset gate before the recurrent product."""

INPUT = "input"
"""What layers call the input of their network."""

ACTIVATION_SCALE = 1 / 64
"""Of the input and of every layer's results: +-2."""

_SEED = 2020
_SPREAD = 2.0
"""Standard deviation that products are made to have."""
_CELL_SCALE_LOG2 = -12
_LARGEST = 1 << 15
"""A size or number of steps beyond it is a slip of the pen, and would only fail later and less clearly."""


@dataclass(frozen=True)
class Shape:
    """What a row of a published table says of its network.

    Parameters
    ----------
    cell : str
        One of `CELLS`.
    input, hidden : int
        Inputs, and outputs (a recurrent layer's units).
    timesteps : int
        Of which only the last one's result is the output; for `gemv`, products with one after the other, all kept.

    Raises
    ------
    InputError
        An unknown cell, or a size out of range.
    """

    cell: str
    input: int
    hidden: int
    timesteps: int = 1

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise InputError("--cell", "", f"found {self.cell!r}", f"one of {', '.join(CELLS)}")
        for name in ("input", "hidden", "timesteps"):
            value = getattr(self, name)
            if not 1 <= value <= _LARGEST:
                raise InputError(f"--{name}", "", f"found {value}", f"1 to {_LARGEST:,}")

    @property
    def weights(self) -> int:
        """Weights of the layer, biases apart."""
        gates = {"gemv": 1, "rnn": 1, "gru": len(GruGate), "lstm": len(Gate)}[self.cell]
        return gates * self.hidden * (self.input + (0 if self.cell == "gemv" else self.hidden))

    def __str__(self) -> str:
        steps = f", {self.timesteps} steps" if self.timesteps > 1 else ""
        return f"{self.cell} {self.input} -> {self.hidden}{steps}"


@dataclass(frozen=True)
class Node:
    """A layer of a network of several.

    Parameters
    ----------
    name : str
    shape : Shape
    reads : tuple of str
        Names of the layers whose results it reads side by side, in this order; `INPUT` is the network's own input.
    """

    name: str
    shape: Shape
    reads: tuple[str, ...]


def build_network(shape: Shape) -> QGraph:
    """A network of one layer, one direction, with random weights; the same ones each time.

    Parameters
    ----------
    shape : Shape
    """
    rng = np.random.default_rng(_SEED)
    name = f"{shape.cell}_{shape.input}_{shape.hidden}_{shape.timesteps}"
    if shape.cell == "gemv":
        steps = (shape.timesteps,) if shape.timesteps > 1 else ()
        x, y = _tensor("x", (*steps, shape.input)), _tensor("y", (*steps, shape.hidden))
        return QGraph(name, x, y, (_layer(rng, "product", shape.cell, x, y),))
    x, y = _tensor("x", (shape.timesteps, shape.input)), _tensor("h", (shape.timesteps, shape.hidden))
    last = _tensor("y", (shape.hidden,))
    layer = _layer(rng, shape.cell, shape.cell, x, y)
    return QGraph(name, x, last, (layer, QSelectStep("last", y, last, shape.timesteps - 1)))


def build_joined(name: str, nodes: Sequence[Node]) -> QGraph:
    """A network of several layers, of which some read others' results side by side, with random weights.

    Parameters
    ----------
    name : str
    nodes : sequence of Node
        Each after those it reads; all of as many time steps. What no layer reads is the output, side by side.

    Raises
    ------
    InputError
        A layer reads one that does not come before it, or others in all than its inputs; two have one name, or other
        numbers of time steps; nothing reads the network's input.
    """
    rng = np.random.default_rng(_SEED)
    steps = nodes[0].shape.timesteps
    made: list[QLayer] = []
    start = _tensor(INPUT, (steps, _input_features(name, nodes)))
    results = {INPUT: start}

    def join(label: str, tensors: Sequence[QTensor]) -> QTensor:
        if len(tensors) == 1:
            return tensors[0]
        joined = _tensor(label, (steps, sum(one.features for one in tensors)))
        made.append(QConcat(label, tuple(tensors), joined))
        return joined

    for node in nodes:
        where = f"layer {node.name}"
        unknown = [one for one in node.reads if one not in results]
        if unknown or not node.reads:
            found = f"reads {', '.join(unknown) or 'nothing'}"
            raise InputError(name, where, found, f"some of {', '.join(results)}")
        if node.name in results or node.shape.timesteps != steps:
            found = f"found {node.name!r} of {node.shape.timesteps} time steps"
            raise InputError(name, where, found, f"a new name, and {steps} time steps")
        x = join(f"{node.name}, joined", [results[one] for one in node.reads])
        if x.features != node.shape.input:
            raise InputError(name, where, f"reads {x.features} features", f"its input, {node.shape.input}")
        results[node.name] = y = _tensor(node.name, (steps, node.shape.hidden))
        made.append(_layer(rng, node.name, node.shape.cell, x, y))
    read = {one for node in nodes for one in node.reads}
    output = join("output", [results[node.name] for node in nodes if node.name not in read])
    return QGraph(name, start, output, tuple(made))


def _input_features(name: str, nodes: Sequence[Node]) -> int:
    """Of the network, as the first layer says that reads nothing else."""
    for node in nodes:
        if node.reads == (INPUT,):
            return node.shape.input
    raise InputError(name, "layers", "none reads the network's input alone", f'one with reads = ["{INPUT}"]')


def _layer(rng: np.random.Generator, name: str, cell: str, x: QTensor, y: QTensor) -> QLayer:
    if cell == "gemv":
        return _linear(rng, name, x, y)
    units, scale = y.features, ACTIVATION_SCALE
    input_scale, recurrent_scale = _weight_scale(x.features), _weight_scale(units)
    if cell == "rnn":
        return rnn_from_scales(
            name,
            x,
            y,
            input_weights=_weights(rng, units, x.features),
            input_weight_scale=input_scale,
            recurrent_weights=_weights(rng, units, units),
            recurrent_weight_scale=recurrent_scale,
            bias=_bias(rng, input_scale, units),
            input_scale=scale,
            input_zero_point=x.zero_point,
            hidden_scale=scale,
            hidden_zero_point=y.zero_point,
            activation="tanh",
        )
    if cell == "gru":
        gates = len(GruGate)
        return gru_from_scales(
            name,
            x,
            y,
            input_weights=_weights(rng, gates, units, x.features),
            input_weight_scales=[input_scale] * gates,
            recurrent_weights=_weights(rng, gates, units, units),
            recurrent_weight_scales=[recurrent_scale] * gates,
            input_bias=_bias(rng, input_scale, gates, units),
            recurrent_bias=_bias(rng, recurrent_scale, gates, units),
            input_scale=scale,
            input_zero_point=x.zero_point,
            hidden_scale=scale,
            hidden_zero_point=y.zero_point,
            linear_before_reset=False,
        )
    gates = len(Gate)
    return lstm_from_scales(
        name,
        x,
        y,
        input_weights=_weights(rng, gates, units, x.features),
        input_weight_scales=[input_scale] * gates,
        recurrent_weights=_weights(rng, gates, units, units),
        recurrent_weight_scales=[recurrent_scale] * gates,
        bias=_bias(rng, input_scale, gates, units),
        input_scale=scale,
        input_zero_point=x.zero_point,
        recurrent_scale=scale,
        recurrent_zero_point=y.zero_point,
        hidden_scale=scale,
        hidden_zero_point=y.zero_point,
        cell_scale_log2=_CELL_SCALE_LOG2,
        cell_clip=0.0,
    )


def _linear(rng: np.random.Generator, name: str, x: QTensor, y: QTensor) -> QLayer:
    weight_scale = _weight_scale(x.features)
    output_scale = np.full(y.features, ACTIVATION_SCALE * weight_scale / ACTIVATION_SCALE, dtype=np.float64)
    weights, bias = _weights(rng, y.features, x.features), _bias(rng, weight_scale, y.features)
    return QLinear(name, x, y, weights, bias, output_scale)


def _tensor(name: str, shape: tuple[int, ...]) -> QTensor:
    return QTensor(name, shape, np.array([ACTIVATION_SCALE], dtype=np.float32), 0)


def _weight_scale(inputs: int) -> float:
    """Such that products with random bytes spread over about +-`_SPREAD`."""
    deviation = 255 / np.sqrt(12)
    return float(_SPREAD / (deviation**2 * np.sqrt(inputs) * ACTIVATION_SCALE))


def _weights(rng: np.random.Generator, *shape: int) -> NDArray[np.int8]:
    return rng.integers(-127, 128, shape, dtype=np.int8)


def _bias(rng: np.random.Generator, weight_scale: float, *shape: int) -> NDArray[np.int32]:
    return (rng.normal(0.0, 0.5, shape) / (weight_scale * ACTIVATION_SCALE)).astype(np.int32)
