"""Small float graphs for the quantizer's tests."""

from __future__ import annotations

import numpy as np

from accelsim.graph.model import Concat, Graph, Gru, Linear, Lstm, Recurrent, Rnn, SelectStep, Tensor


def array(random: np.random.Generator, *shape: int, scale: float = 1.0) -> np.ndarray:
    return (random.normal(size=shape) * scale).astype(np.float32)


def lstm(
    random: np.random.Generator, name: str, x: Tensor, units: int, scale: float = 0.5, reverse: bool = False
) -> Lstm:
    return Lstm(
        name,
        x,
        Tensor(f"{name}_h", (x.shape[0], units)),
        array(random, 4, units, x.features, scale=scale),
        array(random, 4, units, units, scale=scale),
        array(random, 4, units, scale=0.3),
        reverse,
    )


def gru(random: np.random.Generator, name: str, x: Tensor, units: int, linear: bool, reverse: bool = False) -> Gru:
    return Gru(
        name,
        x,
        Tensor(f"{name}_h", (x.shape[0], units)),
        array(random, 3, units, x.features, scale=0.5),
        array(random, 3, units, units, scale=0.5),
        array(random, 3, units, scale=0.3),
        array(random, 3, units, scale=0.3),
        linear,
        reverse,
    )


def rnn(random: np.random.Generator, name: str, x: Tensor, units: int, activation: str, reverse: bool = False) -> Rnn:
    return Rnn(
        name,
        x,
        Tensor(f"{name}_h", (x.shape[0], units)),
        array(random, units, x.features, scale=0.3),
        array(random, units, units, scale=0.5 / np.sqrt(units)),
        array(random, units, scale=0.3),
        activation,
        reverse,
    )


CELLS = ("lstm", "gru, linear before reset", "gru", "rnn, tanh", "rnn, relu")


def cell(random: np.random.Generator, kind: str, name: str, x: Tensor, units: int, reverse: bool = False) -> Recurrent:
    """One direction of one of `CELLS`."""
    kind, _, which = kind.partition(", ")
    if kind == "lstm":
        return lstm(random, name, x, units, reverse=reverse)
    if kind == "gru":
        return gru(random, name, x, units, bool(which), reverse)
    return rnn(random, name, x, units, which, reverse)


def concat(name: str, *parts: Tensor) -> Concat:
    features = sum(part.features for part in parts)
    return Concat(name, parts, Tensor(f"{name}_y", (*parts[0].shape[:-1], features)))


def bidirectional_model(kind: str = "gru", seed: int = 0, steps: int = 6, inputs: int = 5, units: int = 6) -> Graph:
    """Two directions of a cell that read the input, joined; one more of it, reversed; last step, fully connected."""
    random = np.random.default_rng(seed)
    x = Tensor("x", (steps, inputs))
    forward = cell(random, kind, "forward", x, units)
    backward = cell(random, kind, "backward", x, units, reverse=True)
    both = concat("both", forward.y, backward.y)
    second = cell(random, kind, "second", both.y, units, reverse=True)
    last = SelectStep("last", second.y, Tensor("last_y", (units,)), steps - 1)
    head = linear(random, "head", last.y, 4)
    return Graph(kind, x, head.y, (forward, backward, both, second, last, head), "bidirectional.pth")


def linear(random: np.random.Generator, name: str, x: Tensor, outputs: int) -> Linear:
    y = Tensor(f"{name}_y", (*x.shape[:-1], outputs))
    return Linear(name, x, y, array(random, outputs, x.features), array(random, outputs))


def ends_model(seed: int = 0, steps: int = 5, inputs: int = 4, units: int = 5) -> Graph:
    """The last step of one direction beside the first of the other, as `h_n` of a bidirectional layer is joined."""
    random = np.random.default_rng(seed)
    x = Tensor("x", (steps, inputs))
    forward, backward = lstm(random, "forward", x, units), lstm(random, "backward", x, units, reverse=True)
    last = SelectStep("last", forward.y, Tensor("last_y", (units,)), steps - 1)
    first = SelectStep("first", backward.y, Tensor("first_y", (units,)), 0)
    both = concat("both", last.y, first.y)
    head = linear(random, "head", both.y, 3)
    return Graph("ends", x, head.y, (forward, backward, last, first, both, head), "ends.pth")


def recurrent_model(seed: int = 0, steps: int = 6, inputs: int = 5, units: int = 7, outputs: int = 4) -> Graph:
    """Two LSTMs, the last step, a fully connected layer."""
    random = np.random.default_rng(seed)
    x = Tensor("x", (steps, inputs))
    first = lstm(random, "first", x, units)
    second = lstm(random, "second", first.y, units)
    last = SelectStep("last", second.y, Tensor("last_y", (units,)), steps - 1)
    head = linear(random, "head", last.y, outputs)
    return Graph("recurrent", x, head.y, (first, second, last, head), "recurrent.pth")


def linear_model(seed: int = 0, inputs: int = 6, outputs: int = 3) -> Graph:
    """One fully connected layer on a vector."""
    x = Tensor("x", (inputs,))
    layer = linear(np.random.default_rng(seed), "head", x, outputs)
    return Graph("linear", x, layer.y, (layer,))


def selecting_model(seed: int = 0, steps: int = 4, inputs: int = 5, outputs: int = 3) -> Graph:
    """A fully connected layer that reads one step of the input."""
    x = Tensor("x", (steps, inputs))
    last = SelectStep("last", x, Tensor("last_y", (inputs,)), steps - 1)
    layer = linear(np.random.default_rng(seed), "head", last.y, outputs)
    return Graph("selecting", x, layer.y, (last, layer))


def features(graph: Graph, frames: int = 12, seed: int = 1, spread: float = 3.0) -> np.ndarray:
    """Normal values whose standard deviations span `spread` octaves over the features."""
    random = np.random.default_rng(seed)
    deviations = 2.0 ** np.linspace(-spread / 2, spread / 2, graph.input.features)
    return (random.normal(size=(frames, *graph.input.shape)) * deviations).astype(np.float32)
