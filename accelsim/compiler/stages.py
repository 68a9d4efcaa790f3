"""A quantized graph as a pipeline of stages that each handle one time step at a time.

Stage s handles step t in wave t + delay(s) of one loop over waves: all stages work in every wave, each on its own
step, and a guard switches a stage on in the waves in which its step exists. Selecting a time step is no stage: it
narrows the steps for which the stages after it run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.graph import Gate
from accelsim.quant.model import QGraph, QLinear, QLstm, QSelectStep

GATE_ROWS = (Gate.INPUT, Gate.OUTPUT, Gate.CELL, Gate.FORGET)
"""Order of the gates among an LSTM's accumulators: the order in which the vector unit takes them."""


@dataclass(frozen=True, eq=False)
class Product:
    """One matrix-vector product of a stage.

    Parameters
    ----------
    name : str
    weights : int8[rows, columns]
    bias : int32[rows]
    """

    name: str
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]

    @property
    def rows(self) -> int:
        """Outputs."""
        return int(self.weights.shape[0])

    @property
    def columns(self) -> int:
        """Inputs."""
        return int(self.weights.shape[1])


@dataclass(frozen=True, eq=False)
class Stage:
    """A layer in the pipeline.

    Parameters
    ----------
    layer : QLstm or QLinear
    first, last : int
        It handles the steps first <= t < last.
    products : tuple of Product
        An LSTM's input and recurrent product, a linear layer's only one.
    delay : int
        It handles step t in wave t + delay.
    """

    layer: QLstm | QLinear
    first: int
    last: int
    products: tuple[Product, ...]
    delay: int = 0

    @property
    def steps(self) -> int:
        """Time steps it handles."""
        return self.last - self.first

    @property
    def outputs(self) -> int:
        """Bytes it makes a step."""
        return self.layer.y.features

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame."""
        return self.steps * sum(product.rows * product.columns for product in self.products)


@dataclass(frozen=True, eq=False)
class Pipeline:
    """All stages of a graph.

    Parameters
    ----------
    stages : tuple of Stage
    steps : int
        Time steps the first stage handles, counted from 0.
    input_bytes, input_offset : int
        Size of the whole input of a frame, and where in it the first handled step begins.
    output_first, output_last : int
        The steps whose results leave the engine.
    """

    stages: tuple[Stage, ...]
    steps: int
    input_bytes: int
    input_offset: int
    output_first: int
    output_last: int

    @property
    def waves(self) -> int:
        """Iterations of the loop over waves."""
        return max(stage.last + stage.delay for stage in self.stages)


def build_pipeline(graph: QGraph) -> Pipeline:
    """The stages of a graph, without delays yet.

    Raises
    ------
    InputError
        The layers don't form a chain from the input to the output.
    """
    steps = graph.input.shape[0] if len(graph.input.shape) == 2 else 1
    chain: list[QLstm | QLinear] = []
    selected: list[tuple[int, int]] = []
    value = graph.input.name
    for layer in graph.layers:
        if layer.x.name != value:
            raise InputError(graph.name, f"layer {layer.name}", f"reads {layer.x.name}", f"a chain, reading {value}")
        value = layer.y.name
        if isinstance(layer, QSelectStep):
            selected.append((len(chain), layer.step))
        else:
            chain.append(layer)
    if value != graph.output.name:
        raise InputError(graph.name, "output", f"is {graph.output.name}", f"the last layer's result, {value}")
    if not chain:
        raise InputError(graph.name, "layers", "none that computes", "at least one LSTM or Linear")
    first, last = (selected[-1][1], selected[-1][1] + 1) if selected else (0, steps)
    output = (first, last)
    stages: list[Stage] = []
    for index in range(len(chain) - 1, -1, -1):
        layer = chain[index]
        after_selection = any(place <= index for place, _ in selected)
        if isinstance(layer, QLstm):
            if after_selection:
                raise InputError(graph.name, f"layer {layer.name}", "an LSTM after a selected step", "a sequence")
            # The state runs through every earlier step, so an LSTM needs them all.
            first = 0
        stages.insert(0, Stage(layer, first, last, _products(layer)))
    # A step selected from the input itself is the only one there is: count from it.
    skipped = stages[0].first
    stages = [replace(stage, first=stage.first - skipped, last=stage.last - skipped) for stage in stages]
    return Pipeline(
        tuple(stages),
        steps=stages[0].last,
        input_bytes=math.prod(graph.input.shape),
        input_offset=skipped * graph.input.features,
        output_first=output[0] - skipped,
        output_last=output[1] - skipped,
    )


def with_delays(pipeline: Pipeline, lag: int) -> Pipeline:
    """The pipeline with each LSTM `lag` waves behind the stage that feeds it, a linear layer one wave."""
    delay = 0
    stages: list[Stage] = []
    for index, stage in enumerate(pipeline.stages):
        if index:
            delay += lag if isinstance(stage.layer, QLstm) else 1
        stages.append(replace(stage, delay=delay))
    return replace(pipeline, stages=tuple(stages))


def _products(layer: QLstm | QLinear) -> tuple[Product, ...]:
    if isinstance(layer, QLinear):
        return (Product("weights", layer.weights, layer.bias),)
    order = list(GATE_ROWS)

    def rows(name: str, weights: NDArray[np.int8], bias: NDArray[np.int32]) -> Product:
        return Product(name, weights[order].reshape(-1, weights.shape[2]), bias[order].reshape(-1))

    return (
        rows("input weights", layer.input_weights, layer.input_bias),
        rows("recurrent weights", layer.recurrent_weights, layer.recurrent_bias),
    )
