"""From a quantized graph to stages and segments: who reads which steps of what, and where it has to wait in DRAM.

Selecting a time step is no stage: it narrows the steps for which others run.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from accelsim.chip import Chip
from accelsim.compiler.cell_choice import cell_of
from accelsim.compiler.cells import Cell
from accelsim.compiler.stages import Part, Plan, Product, Segment, Sequence, Sink, Stage
from accelsim.errors import InputError, InternalError
from accelsim.isa import definition
from accelsim.quant.model import QConcat, QGraph, QLayer, QLinear, QRecurrent, QSelectStep


@dataclass
class _Use:
    """Who reads a tensor: which steps of it, and, for a part of a concatenation, into which column."""

    first: int
    last: int
    layer: QLayer | None
    column: int = 0


def build_plan(
    graph: QGraph,
    batch: int,
    chip: Chip,
    *,
    apart: Collection[str] = (),
    hoisted: Collection[str] = (),
    cells: dict[str, Cell] | None = None,
) -> Plan:
    """The segments of a graph, without delays yet.

    Parameters
    ----------
    graph : QGraph
    batch : int
        Frames handled at once.
    chip : Chip
    apart : collection of str
        Layers that read all steps of their input from DRAM, whatever feeds them.
    hoisted : collection of str
        Of those, the layers whose products with the input are done ahead of all steps.
    cells : dict, optional
        Cells by layer, of an earlier plan for the same batch and chip; new ones are added.

    Raises
    ------
    InputError
        A layer of too many units for the batch, a recurrent layer after a selected step, a graph that computes nothing,
        or one whose output has the input in it.
    """
    planner = _Planner(graph, batch, chip, {} if cells is None else cells)
    planner.apart, planner.hoisted = {*apart, *hoisted}, set(hoisted)
    return planner.plan()


class _Planner:
    def __init__(self, graph: QGraph, batch: int, chip: Chip, cells: dict[str, Cell]) -> None:
        self.graph = graph
        self.batch = batch
        self.chip = chip
        self.cells = cells
        self.apart: set[str] = set()
        self.hoisted: set[str] = set()
        self.steps = graph.input.shape[0] if len(graph.input.shape) == 2 else 1
        # For each tensor: the tensor it is a step of (itself otherwise), and that step.
        self.meaning: dict[str, tuple[str, int | None]] = {
            graph.input.name: (graph.input.name, None if len(graph.input.shape) == 2 else 0)
        }
        self.uses: dict[str, list[_Use]] = {}
        self.joined: dict[str, QConcat] = {}
        self.sequences: dict[str, Sequence] = {}
        self.level: dict[str, int] = {}

    def plan(self) -> Plan:
        for layer in self.graph.layers:
            self._understand(layer)
        output = self._target(self.graph.output.name)
        self.uses.setdefault(output[0], []).append(_Use(output[1], output[2], None))
        for layer in reversed(self.graph.layers):
            self._demand(layer)
        return self._build(output)

    def _understand(self, layer: QLayer) -> None:
        if isinstance(layer, QSelectStep):
            self.meaning[layer.y.name] = self._base(layer.x.name), layer.step
        elif isinstance(layer, QConcat):
            steps = {self.meaning[part.name][1] is None for part in layer.parts}
            if len(steps) > 1:
                raise InputError(self.graph.name, f"layer {layer.name}", "joins sequences and single steps", "one kind")
            self.meaning[layer.y.name] = layer.y.name, None if steps == {True} else 0
            self.joined[layer.y.name] = layer
        else:
            step = self.meaning[layer.x.name][1]
            if step is not None and not isinstance(layer, QLinear):
                raise InputError(
                    self.graph.name, f"layer {layer.name}", "recurrent, after a selected step", "a sequence"
                )
            self.meaning[layer.y.name] = layer.y.name, step

    def _base(self, name: str) -> str:
        return self.meaning[name][0]

    def _target(self, name: str) -> tuple[str, int, int]:
        """(sequence, first, last): the steps that a tensor means."""
        base, step = self.meaning[name]
        return (base, 0, self.steps) if step is None else (base, step, step + 1)

    def _demand(self, layer: QLayer) -> None:
        """Pass the demand for a layer's result on to what it reads."""
        if isinstance(layer, QSelectStep):
            return
        uses = self.uses.get(layer.y.name)
        if not uses:
            return
        first, last = min(use.first for use in uses), max(use.last for use in uses)
        if isinstance(layer, QConcat):
            column = 0
            for base, step, features in self._pieces(layer, None):
                begin, end = (first, last) if step is None else (step, step + 1)
                self.uses.setdefault(base, []).append(_Use(begin, end, layer, column))
                column += features
            return
        base, begin, end = self._target(layer.x.name)
        if self.meaning[layer.x.name][1] is None:
            begin, end = first, last
            if not isinstance(layer, QLinear):
                # The state runs through every step before.
                begin, end = (first, self.steps) if layer.reverse else (0, last)
        self.uses.setdefault(base, []).append(_Use(begin, end, layer))

    def _pieces(self, layer: QConcat, selected: int | None) -> list[tuple[str, int | None, int]]:
        """(tensor, step, features) of all that is joined, through joined parts too.

        `selected` is the step of the whole that is meant; None for all.
        """
        pieces = []
        for part in layer.parts:
            base, step = self.meaning[part.name]
            step = selected if step is None else step
            inner = self.joined.get(base)
            if inner is not None:
                pieces += self._pieces(inner, step)
            else:
                pieces.append((base, step, part.features * self.batch))
        return pieces

    def _sequence(self, name: str, features: int) -> Sequence:
        if name not in self.sequences:
            uses = self.uses[name]
            first, last = min(use.first for use in uses), max(use.last for use in uses)
            self.sequences[name] = Sequence(name, self.steps, features * self.batch, self.batch, first, last)
        return self.sequences[name]

    def _build(self, output: tuple[str, int, int]) -> Plan:
        graph = self.graph
        whole_input = Sequence(
            graph.input.name, self.steps, graph.input.features * self.batch, self.batch, 0, self.steps
        )
        self.sequences[graph.input.name] = whole_input
        self.level[graph.input.name] = 0
        # A stage's place: the segment, and its index there.
        places: dict[str, tuple[int, int]] = {}
        reversed_order: dict[str, bool] = {}
        segments: list[list[Stage]] = []
        for layer in graph.layers:
            if isinstance(layer, QSelectStep) or layer.y.name not in self.uses:
                continue
            if isinstance(layer, QConcat):
                self._join(layer, whole_input, is_output=layer.y.name == output[0])
                self.level[layer.y.name] = max(self.level[base] for base, _, _ in self._pieces(layer, None))
                continue
            base = self._base(layer.x.name)
            fed_by = places.get(base)
            backwards = not isinstance(layer, QLinear) and layer.reverse
            if fed_by is not None and base not in self.sequences:
                level, source = fed_by[0], fed_by[1]
                backwards = reversed_order[base]
                origin: int | Sequence = source
            else:
                level, origin = self.level[base], self.sequences[base]
            stage = self._stage(layer, backwards, origin)
            while len(segments) <= level:
                segments.append([])
            places[layer.y.name] = level, len(segments[level])
            reversed_order[layer.y.name] = backwards
            segments[level].append(stage)
            self.level[layer.y.name] = level + 1
        if not segments:
            raise InputError(graph.name, "layers", "none that computes", "at least one recurrent or linear layer")
        last = self.sequences.get(output[0])
        if last is None:
            raise InternalError(f"{graph.name}: the output is stored nowhere")
        between = [one for one in self.sequences.values() if one is not whole_input and one is not last]
        return Plan(tuple(Segment(tuple(stages)) for stages in segments), whole_input, last, tuple(between))

    def _join(self, layer: QConcat, whole_input: Sequence, *, is_output: bool) -> None:
        """The sequence of a concatenation; what it has of the input is loaded from there."""
        joined = self._sequence(layer.y.name, layer.y.features)
        parts, column = [], 0
        for base, step, size in self._pieces(layer, None):
            if base == whole_input.name:
                parts.append(Part(whole_input, column, 0, size, -(step or 0)))
            column += size
        if parts and is_output:
            where = f"layer {layer.name}"
            raise InputError(self.graph.name, where, "joins the input itself, and is the output", "results of layers")
        joined.borrowed = tuple(parts)

    def _stage(self, layer: QRecurrent | QLinear, backwards: bool, source: int | Sequence) -> Stage:
        uses = self.uses[layer.y.name]
        sinks = []
        readers = [use for use in uses if use.layer is not None and not isinstance(use.layer, QConcat)]
        stored = [use for use in uses if use.layer is None]
        if not self._feeds_directly(readers, stored, backwards):
            stored += readers
        if stored:
            own = self._sequence(layer.y.name, layer.y.features)
            own.first, own.last = min(use.first for use in stored), max(use.last for use in stored)
            sinks.append(Sink(own, 0, own.first, own.last))
        for use in uses:
            if isinstance(use.layer, QConcat):
                joined = self._sequence(use.layer.y.name, use.layer.y.features)
                sinks.append(Sink(joined, use.column, use.first, use.last))
        if layer.name not in self.cells:
            self.cells[layer.name] = cell_of(layer, self.batch, self.chip)
        cell = self.cells[layer.name]
        self._check_length(layer, cell.units)
        products = tuple(Product(one.name, one.weights, one.bias) for one in cell.products)
        first, last = min(use.first for use in uses), max(use.last for use in uses)
        stage = Stage(layer, cell, products, backwards, self.steps, 0, 0, source, tuple(sinks), batch=self.batch)
        stage = replace(stage, hoisted=layer.name in self.hoisted)
        begin, end = stage.handled(first, last)
        return replace(stage, first=0 if not isinstance(layer, QLinear) else begin, last=end)

    def _check_length(self, layer: QRecurrent | QLinear, units: int) -> None:
        """A vector instruction works on all units of all frames of a batch."""
        most = definition().formats["vector"].field("length").maximum
        if units * self.batch > most:
            found = f"{units:,} units for --batch {self.batch} are {units * self.batch:,} elements of an instruction"
            fewer = f", as with --batch {most // units}" if units <= most else ""
            raise InputError(self.graph.name, f"layer {layer.name}", found, f"at most {most:,}{fewer}")

    def _feeds_directly(self, readers: list[_Use], stored: list[_Use], backwards: bool) -> bool:
        """Whether the only reader takes the steps as they come."""
        if len(readers) != 1 or stored:
            return False
        reader = readers[0].layer
        if reader is not None and reader.name in self.apart:
            return False
        return isinstance(reader, QLinear) or (isinstance(reader, QRecurrent) and reader.reverse == backwards)


def frame_bytes(graph: QGraph) -> int:
    """Bytes of the input of a frame."""
    return math.prod(graph.input.shape)
