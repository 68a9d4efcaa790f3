"""A quantized graph as segments of stages that each handle one time step at a time.

A stage is a layer, or one direction of one. It handles the steps of its sequence in order, from the first to the last
or, reversed, from the last to the first; p counts them as it handles them. Stages that feed each other in the same
order form a chain, and all chains that can run side by side a segment: one loop over waves, in which a stage handles
step p in wave p + delay. Where the order turns, or where several layers meet, the sequence is stored in DRAM and read
by a later segment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accelsim.compiler.cells import INPUT, Cell
from accelsim.quant.model import QLinear, QRecurrent


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
class Part:
    """Columns of a sequence's steps that lie side by side.

    Parameters
    ----------
    sequence : Sequence
        The one they lie in.
    column : int
        First byte in a step of the whole.
    offset : int
        First byte in a row of `sequence`.
    bytes : int
    first : int
        The step of the whole that is row 0 of `sequence`.
    """

    sequence: Sequence
    column: int
    offset: int
    bytes: int
    first: int


@dataclass(eq=False)
class Sequence:
    """A sequence in DRAM: the input, the output, or what one segment leaves to another.

    Parameters
    ----------
    name : str
    steps : int
        Length of the time axis.
    row_bytes : int
        Bytes of a step of all frames of a batch.
    batch : int
        Frames of a batch.
    first, last : int
        The steps (in time) that are there: first <= t < last.
    borrowed : tuple of Part
        Columns that nobody writes here, since they lie in another sequence.
    """

    name: str
    steps: int
    row_bytes: int
    batch: int
    first: int
    last: int
    borrowed: tuple[Part, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """All columns of a step, in order, and where each run of them lies."""
        parts: list[Part] = []
        column = 0
        for part in (*self.borrowed, None):
            end = self.row_bytes if part is None else part.column
            if end > column:
                parts.append(Part(self, column, column, end - column, self.first))
            if part is not None:
                parts.append(part)
                column = part.column + part.bytes
        return tuple(parts)

    @property
    def bytes(self) -> int:
        """Size of what is there."""
        return (self.last - self.first) * self.row_bytes


@dataclass(frozen=True, eq=False)
class Sink:
    """Where results of a stage go in DRAM.

    Parameters
    ----------
    sequence : Sequence
    column : int
        First byte in a row, which holds the batch's bytes of a feature side by side.
    first, last : int
        The steps (in time) that go there; step t goes to row ``t - first``.
    """

    sequence: Sequence
    column: int
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Stage:
    """A layer in a segment.

    Parameters
    ----------
    layer : QRecurrent or QLinear
    cell : Cell
        Its products and vector instructions.
    products : tuple of Product
    reverse : bool
        It handles the last step first.
    steps_there : int
        Length of the time axis.
    first, last : int
        It handles first <= p < last.
    source : int or Sequence
        The stage of the same segment that feeds it, or a sequence.
    sinks : tuple of Sink
    delay : int
        It handles p in wave p + delay.
    batch : int
        Frames handled at once.
    hoisted : bool
        The products with its input are done ahead of the segment's loop, for many steps at once; it reads a sequence.
    """

    layer: QRecurrent | QLinear
    cell: Cell
    products: tuple[Product, ...]
    reverse: bool
    steps_there: int
    first: int
    last: int
    source: int | Sequence
    sinks: tuple[Sink, ...] = ()
    delay: int = 0
    batch: int = 1
    hoisted: bool = False

    @property
    def steps(self) -> int:
        """Time steps it handles."""
        return self.last - self.first

    @property
    def outputs(self) -> int:
        """Bytes it makes a step, of all frames of a batch."""
        return self.layer.y.features * self.batch

    @property
    def elements(self) -> int:
        """Elements of its vector instructions: `outputs` and padding."""
        return self.cell.units * self.batch

    @property
    def ahead(self) -> list[int]:
        """The products that are done ahead of the loop, where it is hoisted: those with its input."""
        return self.cell.reading(INPUT) if self.hoisted else []

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame, without those of padding."""
        # A product of padded units has this share of rows that are the model's.
        rows = [product.rows * self.layer.y.features // self.cell.units for product in self.products]
        return self.steps * sum(own * product.columns for own, product in zip(rows, self.products, strict=True))

    def handled(self, first: int, last: int) -> tuple[int, int]:
        """The p for steps first <= t < last of time."""
        return (self.steps_there - last, self.steps_there - first) if self.reverse else (first, last)

    @property
    def times(self) -> tuple[int, int]:
        """The steps of time it handles: first <= t < last."""
        return self.handled(self.first, self.last)

    def waves(self, first: int, last: int) -> tuple[int, int]:
        """The waves for first <= p < last."""
        return first + self.delay, last + self.delay


@dataclass(frozen=True, eq=False)
class Segment:
    """Stages that share a loop over waves, each after the one that feeds it."""

    stages: tuple[Stage, ...]

    @property
    def waves(self) -> int:
        """Iterations of the loop."""
        return max(stage.last + stage.delay for stage in self.stages)

    def reader(self, index: int) -> int | None:
        """The stage that the stage at `index` feeds directly."""
        return next((place for place, stage in enumerate(self.stages) if stage.source == index), None)

    def with_lag(self, lag: int, *, side_by_side: bool = True) -> Segment:
        """Recurrent stages `lag` waves behind the stage that feeds them, linear ones one wave.

        Chains that read sequences begin together, or, where not `side_by_side`, each when the one before has ended.
        """
        delays: list[int] = []
        chains: list[int] = []
        for index, stage in enumerate(self.stages):
            if isinstance(stage.source, int):
                behind = 1 if isinstance(stage.layer, QLinear) else lag
                delays.append(delays[stage.source] + behind)
                chains.append(chains[stage.source])
            else:
                # The first step it handles comes in wave 0.
                delays.append(-stage.first)
                chains.append(index)
        begin, begins = 0, dict.fromkeys(chains, 0)
        for chain in begins:
            begins[chain] = begin
            if not side_by_side:
                members = (number for number, own in enumerate(chains) if own == chain)
                begin += max(self.stages[number].last + delays[number] for number in members)
        moved = zip(self.stages, delays, chains, strict=True)
        return Segment(tuple(replace(stage, delay=delay + begins[chain]) for stage, delay, chain in moved))


@dataclass(frozen=True, eq=False)
class Plan:
    """A graph as segments, in the order they run.

    Parameters
    ----------
    segments : tuple of Segment
    input, output : Sequence
    between : tuple of Sequence
        What segments leave to later ones.
    """

    segments: tuple[Segment, ...]
    input: Sequence
    output: Sequence
    between: tuple[Sequence, ...]
