"""ONNX models of stacked recurrent and fully connected layers, as PyTorch's two exporters write them.

The nodes that the output depends on are read in order. A node of constants is folded; one that moves axes changes a
layout (`onnx_glue`); one that computes becomes a layer (`onnx_recurrent`, `onnx_unrolled`, `onnx_linear`); any other
is refused by operator, node and reason. Outputs that are final states of recurrent layers, as `nn.LSTM` itself has,
are told apart once all nodes have been read, and left out. A batch axis of any size is read twice, at two unlikely
sizes, and has to give one graph: no number of the graph then comes from the batch size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accelsim.errors import InputError, UnsupportedOperatorError
from accelsim.frontend.onnx_file import main_input, node_of, open_model, output_names, tensor_array
from accelsim.frontend.onnx_fold import FOLDED_OPERATORS, fold
from accelsim.frontend.onnx_glue import Glue
from accelsim.frontend.onnx_layers import LayerBuilder
from accelsim.frontend.onnx_linear import LinearReader
from accelsim.frontend.onnx_recurrent import RECURRENT_OPERATORS, RecurrentReader
from accelsim.frontend.onnx_unrolled import NO_LAYER, UNROLLED_OPERATORS, UnrolledReader
from accelsim.frontend.onnx_values import (
    Activation,
    Axis,
    Constant,
    Handler,
    Node,
    RefusedError,
    Value,
    laid_out,
)
from accelsim.graph.check import check_graph
from accelsim.graph.model import Graph, Tensor

_ANY_BATCH = (1009, 1013)
"""Sizes that stand for a batch of any size; primes, as no product of other sizes is. Both must give the same graph."""
_UNKNOWN_TIME = 1291
"""Size of a time axis not known yet; the model is refused once a recurrent layer has shown which axis it is."""


@dataclass(frozen=True)
class _Reading:
    """The axes assumed for the graph's input."""

    axes: tuple[Axis, ...]
    shape: tuple[int, ...]
    tensor_shape: tuple[int, ...]


def load_onnx(path: str | Path, *, timesteps: int | None = None) -> Graph:
    """Read an ONNX model of stacked recurrent layers and fully connected layers.

    Parameters
    ----------
    path : str or Path
        Weights in external files are looked for beside it.
    timesteps : int, optional
        T, the length of a frame; needed where the model leaves it open, checked where it does not.

    Returns
    -------
    Graph
        Tensors are named as in the model. The batch axis and axes of size 1 are gone. Its output is the model's only
        one that is no final state of a recurrent layer, or the first where all are; `left_out` names the others.

    Raises
    ------
    InputError
        If the file is missing, damaged or already quantized, or `timesteps` is missing or does not fit.
    UnsupportedOperatorError
        If a node can't be mapped exactly; it names the operator, the node and the reason.
    """
    if timesteps is not None and (type(timesteps) is not int or timesteps < 1):
        raise InputError(path, "timesteps", repr(timesteps), "an integer of at least 1")
    model = _Model(path, open_model(path).graph)
    graph = model.read(timesteps, _ANY_BATCH[0])
    # A size that only the batch explains must not have become a number of the graph: it would not change with it.
    if None in model.input.sizes and not _equal(graph, model.read(timesteps, _ANY_BATCH[1])):
        raise InputError(path, f"output {graph.output.name!r}", "depends on the batch size", "independent frames")
    check_graph(graph)
    return graph


class _Model:
    """The parts of a model that every reading shares."""

    def __init__(self, path: str | Path, graph_proto: Any) -> None:
        self.path = path
        self.name = graph_proto.name or Path(path).stem
        self.outputs = output_names(path, graph_proto)
        self.nodes = list(_live_nodes(path, graph_proto, self.outputs))
        self.recurrent = any(node.operator in RECURRENT_OPERATORS | UNROLLED_OPERATORS.keys() for node in self.nodes)
        self.constants = {item.name: Constant(tensor_array(path, item), item.name) for item in graph_proto.initializer}
        self.input = main_input(path, graph_proto, {name for node in self.nodes for name in _reads(path, node)})

    def read(self, timesteps: int | None, any_batch: int) -> Graph:
        """The graph, under the first reading of the input's axes that suits its first recurrent layer."""
        refusals: list[UnsupportedOperatorError] = []
        for reading in self._readings(timesteps, any_batch):
            reader = _Reader(self, reading, timesteps)
            try:
                return reader.graph()
            except UnsupportedOperatorError as error:
                if reader.confirmed:
                    raise
                refusals.append(error)
        if refusals:
            raise refusals[0]
        rank = f"rank {len(self.input.sizes)}"
        raise InputError(self.path, f"input {self.input.name!r}", rank, "rank 3, or 2 without a batch or a time axis")

    def _readings(self, timesteps: int | None, any_batch: int) -> Iterator[_Reading]:
        """What the input's axes may be, likeliest first; a recurrent layer that does not fit one leads to the next."""
        batch, time, feature = Axis.BATCH, Axis.TIME, Axis.FEATURE
        orders: dict[tuple[int, bool], list[tuple[Axis, ...]]] = {
            (3, True): [(batch, time, feature), (time, batch, feature)],
            (3, False): [(batch, time, feature)],
            # A batch axis beside a recurrent layer: the model adds a time axis of one step.
            (2, True): [(time, feature), (batch, feature)],
            (2, False): [(batch, feature)],
        }
        free = {batch: any_batch, time: timesteps or _UNKNOWN_TIME}
        for axes in orders.get((len(self.input.sizes), self.recurrent), []):
            sizes = zip(axes, self.input.sizes, strict=True)
            shape = tuple(free[axis] if size is None else size for axis, size in sizes)
            steps = (shape[axes.index(time)],) if time in axes else (1,) if self.recurrent else ()
            yield _Reading(axes, shape, (*steps, shape[-1]))


def _equal(one: Graph, other: Graph) -> bool:
    """Whether two graphs hold the same layers, weights included."""

    def same(a: Any, b: Any) -> bool:
        return np.array_equal(a, b) if isinstance(a, np.ndarray) else bool(a == b)

    return len(one.layers) == len(other.layers) and all(
        type(left) is type(right) and all(same(value, vars(right)[key]) for key, value in vars(left).items())
        for left, right in zip(one.layers, other.layers, strict=True)
    )


def _reads(path: str | Path, node: Node) -> Iterator[str]:
    """The names a node reads, those of its branches included."""
    yield from (name for name in node.inputs if name)
    for value in node.attributes.values():
        if hasattr(value, "node"):
            for inner in value.node:
                yield from _reads(path, node_of(path, inner))
            yield from (output.name for output in value.output)


def _live_nodes(path: str | Path, graph_proto: Any, outputs: Iterable[str]) -> Iterator[Node]:
    """The nodes the outputs depend on, in order."""
    needed = set(outputs)
    live: list[Node] = []
    for proto in reversed(graph_proto.node):
        if needed.intersection(name for name in proto.output if name):
            node = node_of(path, proto)
            needed.update(_reads(path, node))
            live.append(node)
    return reversed(live)


class _Reader:
    """One pass over the nodes under one reading of the input's axes."""

    def __init__(self, model: _Model, reading: _Reading, timesteps: int | None) -> None:
        self._path = model.path
        self._model = model
        self._reading = reading
        self._timesteps = timesteps
        self.confirmed = False
        self._builder = LayerBuilder()
        linear = LinearReader(self._builder)
        recurrent = RecurrentReader(self._builder, self._confirm_time)
        self._unrolled = UnrolledReader(self._builder, self._confirm_time, linear.add)
        # The last reader of an operator takes it: this one passes on the sums that are none of its own.
        readers = (Glue(self._builder), linear, recurrent, self._unrolled)
        self._handlers: dict[str, Handler] = {
            operator: handler for reader in readers for operator, handler in reader.handlers.items()
        }
        self._values: dict[str, Value] = dict(model.constants)
        self._producers: dict[str, Node] = {}

    def graph(self) -> Graph:
        """Read all nodes and return the graph."""
        model, reading = self._model, self._reading
        batch = reading.shape[reading.axes.index(Axis.BATCH)] if Axis.BATCH in reading.axes else 1
        tensor = self._builder.tensor(model.input.name, reading.tensor_shape)
        self._values[model.input.name] = laid_out(tensor, batch, [(axis,) for axis in reading.axes])
        self._run(model.nodes)
        if not self.confirmed:
            self._confirm_time()
        output = self._main_output()
        result, layers = self._builder.finish(self._output(output), output)
        lone = self._unrolled.single_step(layers)
        if lone is not None:
            raise UnsupportedOperatorError(self._path, lone.operator, lone.name, NO_LAYER)
        if not layers:
            raise InputError(self._path, f"output {output!r}", "is the input itself", "at least one layer")
        left_out = tuple(name for name in model.outputs if name != output)
        return Graph(model.name, tensor, result, layers, str(self._path), left_out)

    def _confirm_time(self) -> None:
        """The time axis is where it was assumed: is its size known, and the one asked for?"""
        self.confirmed = True
        axes, sizes = self._reading.axes, self._model.input.sizes
        size = sizes[axes.index(Axis.TIME)] if Axis.TIME in axes else 1
        if size is None and self._timesteps is None:
            raise InputError(
                self._path,
                f"input {self._model.input.name!r}",
                "the number of time steps is open",
                "timesteps to be given",
            )
        if size is not None and self._timesteps not in (None, size):
            raise InputError(self._path, "timesteps", str(self._timesteps), f"{size}, as the model says")

    def _run(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            try:
                outputs = self._evaluate(node)
            except RefusedError as error:
                raise UnsupportedOperatorError(self._path, node.operator, node.name, error.reason) from error
            self._producers.update((name, node) for name in node.outputs if name)
            self._values.update((name, value) for name, value in zip(node.outputs, outputs, strict=False) if name)

    def _evaluate(self, node: Node) -> list[Value]:
        if node.domain not in ("", "ai.onnx"):
            # A function of the model whose operator set differs from the model's is not inlined.
            raise RefusedError(f"operators of domain {node.domain!r} are unknown")
        inputs = [self._value(name) if name else None for name in node.inputs]
        if node.operator == "If":
            return self._branch(node, inputs)
        if all(value is None or isinstance(value, Constant) for value in inputs):
            arrays = [value.array for value in inputs if isinstance(value, Constant)]
            if None in inputs[: len(arrays)]:
                raise RefusedError("an input before its last is left out")
            return [Constant(array, name) for array, name in zip(fold(node, arrays), node.outputs, strict=False)]
        handler = self._handlers.get(node.operator)
        if handler is None:
            reason = "it may compute shapes only" if node.operator in FOLDED_OPERATORS else "no layer of this kind"
            raise RefusedError(f"{reason}; on activations there are {', '.join(sorted(self._handlers))}")
        return handler(node, inputs)

    def _branch(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        """The outputs of the branch that a known condition chooses; the other can never run."""
        condition = inputs[0] if inputs else None
        if not isinstance(condition, Constant) or condition.array.size != 1:
            raise RefusedError("its condition depends on the model's input")
        branch = node.attributes["then_branch" if np.all(condition.array) else "else_branch"]
        for item in branch.initializer:
            self._values[item.name] = Constant(tensor_array(self._path, item), item.name)
        self._run([node_of(self._path, proto) for proto in branch.node])
        return [self._value(output.name) for output in branch.output]

    def _value(self, name: str) -> Value:
        if name in self._values:
            return self._values[name]
        # The checker has seen that some node before this one writes it.
        producer = self._producers[name]
        index = producer.outputs.index(name)
        raise RefusedError(f"it reads output {index} of {producer.operator} {producer.name!r}, which is not supported")

    def _main_output(self) -> str:
        """The model's output: the only one that is no final state of a recurrent layer; the first where all are."""
        names = self._model.outputs
        results = [name for name in names if not self._is_final_state(name)]
        if len(results) > 1:
            expected = "one output, beside final states of recurrent layers, which are left out"
            raise InputError(self._path, "outputs", ", ".join(map(repr, results)), expected)
        return results[0] if results else names[0]

    def _is_final_state(self, name: str) -> bool:
        value = self._values.get(name)
        return isinstance(value, Activation) and all(map(self._builder.is_final_state, value.parts))

    def _output(self, name: str) -> Tensor:
        """The graph's output: per frame, (T, F) or (F,), whatever axes of size 1 stand around."""
        value = self._values.get(name)
        field = f"output {name!r}"
        if not isinstance(value, Activation):
            raise InputError(self._path, field, "is no result of a layer", "a recurrent or Linear layer's result")
        if self._builder.cell_states(value.parts):
            raise InputError(self._path, field, "is an LSTM's final cell state", "a recurrent or Linear layer's result")
        if value.backward:
            raise InputError(self._path, field, "runs from the last time step to the first", "the order of time")
        try:
            value = self._builder.joined(value)
        except RefusedError as error:
            raise InputError(self._path, field, error.reason) from error
        if value.tensor.features > 1 and value.dimensions[-1:] != ((Axis.FEATURE,),):
            raise InputError(self._path, field, f"has axes {value.describe()}", "the features last")
        frame_rank = value.rank - (Axis.BATCH in self._reading.axes)
        if value.tensor.is_sequence and value.tensor.shape[0] == 1 and frame_rank < 2:
            # A single step's time axis is not tracked: here it shows that the model dropped it.
            return self._builder.select_step(value.tensor, 0, "only_step")
        return value.tensor
