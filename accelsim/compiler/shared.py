"""What the parts of the lowering share: the semaphores of each stage, and addresses as operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from accelsim.chip import Chip
from accelsim.compiler.cells import Cell
from accelsim.compiler.emitter import Emitter, Operand, Token, sram_reach
from accelsim.compiler.placed import PlacedStage, Placement
from accelsim.compiler.stages import Plan, Segment, Stage


@dataclass
class Link:
    """Semaphores of a stage. 'Free' means that a buffer's readers are done.

    Parameters
    ----------
    ready : int
        A step of the stage's input is there.
    weights : int
        Its weights and parameters are there: one token, which each product takes and gives back.
    sums : list of int
        The accumulators of each product are written; 0 where no step takes them so.
    sums_free : int
        The accumulators of the input product are read.
    sums_there : int
        Sums of the input product, done ahead, are loaded; 0 where it is done step by step.
    hidden : int
        The last result is there, for the stage's own next step; 0 where it has no recurrence.
    input_free : int
        A slot of the input's ring is read; 0 for a stage fed by another.
    stored : list of (int, int)
        For each sink: (a result is there, a result has left).
    blocks : dict
        (filled, free) of each streamed product's slots.
    """

    ready: int
    weights: int
    sums: list[int]
    sums_free: int
    sums_there: int
    hidden: int
    input_free: int
    stored: list[tuple[int, int]]
    blocks: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """A stage in the lowering.

    Parameters
    ----------
    layer : int
        Its row in the layer table.
    segment : Segment
    index : int
        In the segment.
    placed : PlacedStage
    link : Link
    """

    layer: int
    segment: Segment
    index: int
    placed: PlacedStage
    link: Link

    @property
    def stage(self) -> Stage:
        """The stage."""
        return self.placed.stage


class Shared:
    """Plan, placement, emitter and semaphores of one lowering.

    Parameters
    ----------
    plan : Plan
    placement : Placement
    chip : Chip
    """

    def __init__(self, plan: Plan, placement: Placement, chip: Chip) -> None:
        self.plan = plan
        self.placement = placement
        self.chip = chip
        self.chained = chip.chaining.enabled
        self.emitter = Emitter(chip)
        self.constants = self.emitter.semaphore()
        self.places: list[list[Place]] = []
        layer = 0
        for segment, placed_stages in zip(plan.segments, placement.segments, strict=True):
            self.places.append([])
            for index, placed in enumerate(placed_stages):
                self.places[-1].append(Place(layer, segment, index, placed, self._link(placed)))
                layer += 1

    def _link(self, placed: PlacedStage) -> Link:
        semaphore, cell = self.emitter.semaphore, placed.stage.cell
        return Link(
            ready=semaphore(),
            weights=semaphore(),
            sums=self._sums(cell),
            sums_free=semaphore(),
            sums_there=semaphore() if placed.projection else 0,
            hidden=semaphore() if cell.is_recurrent else 0,
            input_free=semaphore() if placed.input_slots else 0,
            stored=[(semaphore(), semaphore()) for _ in placed.stage.sinks],
        )

    def _sums(self, cell: Cell) -> list[int]:
        """One semaphore for all products, where their sums are taken in the products' order; else one for each."""
        taken = [step.takes_sums for step in cell.steps if step.takes_sums is not None]
        if taken == sorted(taken):
            common = self.emitter.semaphore()
            return [common if number in taken else 0 for number in range(len(cell.products))]
        return [self.emitter.semaphore() if number in taken else 0 for number in range(len(cell.products))]

    def guard(self, place: Place, first: int | None = None, last: int | None = None) -> int:
        """The guard for first <= p < last of a stage, by default for all steps it handles."""
        stage = place.stage
        first, last = stage.first if first is None else first, stage.last if last is None else last
        return self.emitter.guard(*stage.waves(first, last), place.segment.waves)

    def ring(self, base: int, slots: int, pitch: int, behind: int) -> Operand:
        """The slot of the wave `behind` waves ago."""
        phase = -behind % slots * pitch
        # Rings that differ in nothing but where they lie share a register, as far as the offsets reach.
        inside, outside = (base, 0) if base < sram_reach() else (0, base)
        return self.emitter.register(outside, phase=phase, wrap=slots * pitch, strides=(pitch,)), inside

    def result(self, place: Place, behind: int) -> Operand:
        """A stage's result of the wave `behind` waves ago."""
        return self.ring(place.placed.output, place.placed.slots, self.placement.pitch, behind)

    def at(self, name: str, address: int) -> Operand:
        """A fixed address as an operand of a vector instruction."""
        return self.emitter.operand("vector", name, address)

    def buffer(self, place: Place, name: str, operand: str) -> Operand:
        """A buffer of a cell; the two sides of a state take turns from wave to wave."""
        state, _, side = name.partition(".")
        address = place.placed.buffers[state]
        if not side:
            return self.at(operand, address)
        return self.ring(address, 2, self.placement.state_pitch, 1 if side == "old" else 0)

    def vector(
        self,
        place: Place,
        parameters: int,
        *,
        waits: Sequence[Token] = (),
        signals: Sequence[Token] = (),
        **fields: int | Operand,
    ) -> None:
        """A vector instruction of a stage with the parameter block at an address."""
        block = self.at("parameters", parameters)
        self.emitter.emit("vector", layer=place.layer, parameters=block, waits=waits, signals=signals, **fields)
