"""What the parts of the lowering share: the semaphores of each stage, and addresses as operands."""

from __future__ import annotations

from dataclasses import dataclass, field

from accelsim.chip import Chip
from accelsim.compiler.emitter import Emitter, Operand, Token
from accelsim.compiler.placement import Placement
from accelsim.compiler.stages import Pipeline
from accelsim.quant.model import QLstm


@dataclass
class Link:
    """Semaphores of a stage. 'Free' means that a buffer's readers are done.

    Parameters
    ----------
    ready : int
        A step of the stage's input is there.
    weights : int
        Its weights and parameters are there: one token, which each product takes and gives back.
    sums, sums_free : int
        Accumulators are written; those of the input product are read.
    hidden : int
        The hidden state is there, for the stage's own next step; 0 for a linear layer.
    blocks : dict
        (filled, free) of each streamed product's slots.
    """

    ready: int
    weights: int
    sums: int
    sums_free: int
    hidden: int
    blocks: dict[int, tuple[int, int]] = field(default_factory=dict)


class Shared:
    """Pipeline, plan, emitter and semaphores of one lowering.

    Parameters
    ----------
    pipeline : Pipeline
    placement : Placement
    chip : Chip
    """

    def __init__(self, pipeline: Pipeline, placement: Placement, chip: Chip) -> None:
        self.pipeline = pipeline
        self.placement = placement
        self.chip = chip
        self.chained = chip.chaining.enabled
        self.emitter = emitter = Emitter(chip)
        self.links = [
            Link(
                ready=emitter.semaphore(),
                weights=emitter.semaphore(),
                sums=emitter.semaphore(),
                sums_free=emitter.semaphore(),
                hidden=emitter.semaphore() if isinstance(stage.layer, QLstm) else 0,
            )
            for stage in pipeline.stages
        ]
        self.input_free = emitter.semaphore()
        self.output_ready = emitter.semaphore()
        self.output_free = emitter.semaphore()
        self.constants = emitter.semaphore()
        # One of each for all stages: producers and consumers take turns in the same order.
        self.gate, self.candidate, self.cell = (emitter.semaphore() for _ in range(3))
        self.guards = [
            emitter.guard(stage.first + stage.delay, stage.last + stage.delay, pipeline.waves)
            for stage in pipeline.stages
        ]

    def stores_every_step(self) -> bool:
        """Whether the output is a sequence, each step of which leaves as it comes."""
        stage = self.pipeline.stages[-1]
        return (self.pipeline.output_first, self.pipeline.output_last) == (stage.first, stage.last) and stage.steps > 1

    def ring(self, base: int, slots: int, pitch: int, behind: int) -> Operand:
        """The slot of the wave `behind` waves ago."""
        phase = -behind % slots * pitch
        reach = 1 << 20
        inside, outside = (base, 0) if base < reach else (0, base)
        return self.emitter.register(outside, phase=phase, wrap=slots * pitch, strides=(pitch,)), inside

    def at(self, name: str, address: int) -> Operand:
        """A fixed address as an operand of a vector instruction."""
        return self.emitter.operand("vector", name, address)

    def vector(
        self,
        index: int,
        block: str,
        *,
        waits: list[Token] | None = None,
        signals: list[Token] | None = None,
        **fields: int | Operand,
    ) -> None:
        """A vector instruction of a stage with one of its parameter blocks."""
        blocks = self.placement.stages[index].blocks
        parameters = self.at("parameters", blocks[block] if block in blocks else self.placement.constants[index, block])
        self.emitter.emit(
            "vector", layer=index, parameters=parameters, waits=waits or [], signals=signals or [], **fields
        )
