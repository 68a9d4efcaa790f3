"""Small float graphs for the quantizer's tests."""

from __future__ import annotations

import numpy as np

from accelsim.graph.model import Graph, Linear, Lstm, SelectStep, Tensor


def array(random: np.random.Generator, *shape: int, scale: float = 1.0) -> np.ndarray:
    return (random.normal(size=shape) * scale).astype(np.float32)


def lstm(random: np.random.Generator, name: str, x: Tensor, units: int, scale: float = 0.5) -> Lstm:
    return Lstm(
        name,
        x,
        Tensor(f"{name}_h", (x.shape[0], units)),
        array(random, 4, units, x.features, scale=scale),
        array(random, 4, units, units, scale=scale),
        array(random, 4, units, scale=0.3),
    )


def linear(random: np.random.Generator, name: str, x: Tensor, outputs: int) -> Linear:
    y = Tensor(f"{name}_y", (*x.shape[:-1], outputs))
    return Linear(name, x, y, array(random, outputs, x.features), array(random, outputs))


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
