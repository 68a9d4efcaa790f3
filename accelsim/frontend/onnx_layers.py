"""The layers made so far while an ONNX model's nodes are read in order, and the names they take."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from accelsim.frontend.onnx_values import Activation, Axis, Node, RefusedError
from accelsim.graph.check import inputs_of
from accelsim.graph.model import Concat, Gru, Layer, Lstm, Recurrent, Rnn, SelectStep, Tensor

_UNSAFE = re.compile(r"[^A-Za-z0-9_.:/-]+")


class LayerBuilder:
    """Collects layers, in an order in which they can run."""

    def __init__(self) -> None:
        self._layers: dict[str, Layer] = {}
        self._names: set[str] = set()
        self._joined: dict[tuple[str, ...], Tensor] = {}
        self._cell_states: dict[str, str] = {}

    def add(self, layer: Layer) -> None:
        """Take a layer in; a later one of the same output replaces it.

        Raises
        ------
        RefusedError
            If it reads a cell state.
        """
        self._check_readable(inputs_of(layer))
        self._layers[layer.y.name] = layer

    def producer(self, tensor: Tensor) -> Layer | None:
        """The layer that writes a tensor; None for the graph's input."""
        return self._layers.get(tensor.name)

    def unique(self, name: str) -> str:
        """A name close to the one given, which nothing else has."""
        base = _UNSAFE.sub("_", name) or "unnamed"
        unique, count = base, 1
        while unique in self._names:
            count += 1
            unique = f"{base}_{count}"
        self._names.add(unique)
        return unique

    def tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor under a name no other has."""
        return Tensor(self.unique(name), shape)

    def layer_name(self, name: str) -> str:
        """A name for a layer, and those under which float execution reports more than its output."""
        unique = self.unique(name)
        self._names.update((f"{unique}.cell", f"{unique}.preactivation"))
        return unique

    def node_name(self, node: Node) -> str:
        """A name for a node's layer: the node's; of the module's path and operator that exporters write, the path."""
        name = node.name.lstrip("/")
        module, _, last = name.rpartition("/")
        return self.layer_name(module if module and last.split("_")[0] == node.operator else name)

    def select_step(self, x: Tensor, step: int, name: str) -> Tensor:
        """Add the layer that takes one time step of `x`; gives its output."""
        layer_name = self.unique(name.lstrip("/"))
        y = self.tensor(f"{layer_name}.y", x.shape[1:])
        self.add(SelectStep(layer_name, x, y, step))
        return y

    def concat(self, parts: Sequence[Tensor]) -> Tensor:
        """Add the layer that lays tensors side by side along their features; gives its output.

        Raises
        ------
        RefusedError
            If a part is no result of a recurrent layer, or they differ in their number of steps.
        """
        flat = tuple(inner for part in parts for inner in self._within(part))
        key = tuple(part.name for part in flat)
        if len(flat) == 1:
            return flat[0]
        if key not in self._joined:
            self._joined[key] = self._concat(flat)
        return self._joined[key]

    def final_state(self, layer: Recurrent) -> Tensor:
        """A layer's hidden state after the last step that it takes, as a vector of its own."""
        return self.select_step(layer.y, _last_step(layer), f"{layer.name}.last")

    def final_cell_state(self, layer: Lstm) -> Tensor:
        """An LSTM's cell state after that step: a name that axes can be moved of, for no layer reads its values."""
        state = self.tensor(f"{layer.name}.last_cell", layer.y.shape[1:])
        self._cell_states[state.name] = layer.name
        return state

    def is_final_state(self, tensor: Tensor) -> bool:
        """Whether a tensor is a recurrent layer's hidden or cell state after its last step, or several side by side."""
        if tensor.name in self._cell_states:
            return True
        layer = self.producer(tensor)
        if isinstance(layer, Concat):
            return all(map(self.is_final_state, layer.parts))
        return isinstance(layer, SelectStep) and self._ends_at(layer.x, layer.step)

    def cell_states(self, tensors: Iterable[Tensor]) -> list[str]:
        """The layers whose cell states are among some tensors."""
        return [self._cell_states[tensor.name] for tensor in tensors if tensor.name in self._cell_states]

    def sequence_of(self, steps: Sequence[Tensor]) -> tuple[Tensor, bool] | None:
        """The sequence whose steps these are, all of them and in order; and whether from the last to the first."""
        taken = [layer for layer in map(self.producer, steps) if isinstance(layer, SelectStep)]
        if len(taken) != len(steps) or len(taken) < 2 or any(layer.x != taken[0].x for layer in taken):
            return None
        order, every = [layer.step for layer in taken], list(range(taken[0].x.shape[0]))
        if order not in (every, every[::-1]):
            return None
        return taken[0].x, order != every

    def joined(self, value: Activation) -> Activation:
        """The same value as one tensor: directions and layers that are merged with the features become features.

        Raises
        ------
        RefusedError
            If they lie on an axis of their own.
        """
        if len(value.parts) == 1:
            return value
        block = value.feature_block()
        if block not in value.dimensions:
            raise RefusedError(f"directions or layers lie on an axis of their own in {value.describe()}")
        merged = value.with_tensor(self.concat(value.parts))
        return merged.with_dimensions([(Axis.FEATURE,) if d == block else d for d in value.dimensions])

    def finish(self, output: Tensor, name: str) -> tuple[Tensor, tuple[Layer, ...]]:
        """The layers that `output` depends on, in order, and `output` under the model's name for it."""
        needed = {output.name}
        kept: list[Layer] = []
        for layer in reversed(self._layers.values()):
            if layer.y.name in needed:
                needed.update(x.name for x in inputs_of(layer))
                kept.append(layer)
        if not kept or output.name == name:
            return output, tuple(reversed(kept))
        # The model's last node may have moved axes only; the tensor then bears the name of an earlier value.
        renamed = self.tensor(name, output.shape)
        return renamed, tuple(_renamed(layer, {output.name: renamed}) for layer in reversed(kept))

    def _within(self, part: Tensor) -> tuple[Tensor, ...]:
        """What a part that is a concatenation itself is made of."""
        layer = self.producer(part)
        return layer.parts if isinstance(layer, Concat) else (part,)

    def _check_readable(self, tensors: Iterable[Tensor]) -> None:
        for layer in self.cell_states(tensors):
            raise RefusedError(f"it reads the final cell state of {layer!r}; hidden states are supported")

    def _ends_at(self, sequence: Tensor, step: int) -> bool:
        """Whether `step` is the last one that the recurrent layer, or each of those side by side, takes."""
        layer = self.producer(sequence)
        if isinstance(layer, Concat):
            return all(self._ends_at(part, step) for part in layer.parts)
        return isinstance(layer, Lstm | Gru | Rnn) and step == _last_step(layer)

    def _concat(self, parts: tuple[Tensor, ...]) -> Tensor:
        self._check_readable(parts)
        selections = [layer for layer in map(self.producer, parts) if isinstance(layer, SelectStep)]
        if len(selections) == len(parts) and len({(layer.step, layer.x.shape[0]) for layer in selections}) == 1:
            # One step of each is that step of the concatenation, which other nodes may read as a whole.
            whole = self.concat([layer.x for layer in selections])
            return self.select_step(whole, selections[0].step, selections[0].name)
        for part in parts:
            if part.shape[:-1] != parts[0].shape[:-1]:
                raise RefusedError(f"{part.name!r} of shape {part.shape} is concatenated to one of {parts[0].shape}")
        producer = self.producer(parts[0])
        first = parts[0].name if producer is None else producer.name
        name = self.layer_name(f"{first.removesuffix('.forward')}.concat")
        y = self.tensor(f"{name}.y", (*parts[0].shape[:-1], sum(part.features for part in parts)))
        self.add(Concat(name, parts, y))
        return y


def _last_step(layer: Recurrent) -> int:
    return 0 if layer.reverse else layer.x.shape[0] - 1


def _renamed(layer: Layer, moved: dict[str, Tensor]) -> Layer:
    """The layer with some of its tensors exchanged, by name."""
    y = moved.get(layer.y.name, layer.y)
    if isinstance(layer, Concat):
        return replace(layer, parts=tuple(moved.get(part.name, part) for part in layer.parts), y=y)
    return replace(layer, x=moved.get(layer.x.name, layer.x), y=y)
