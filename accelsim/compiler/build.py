"""The compiler's entry: quantized graph and chip in, program out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from accelsim.chip import Chip
from accelsim.compiler.arrangement import Arrangement, describe
from accelsim.compiler.cells import Cell
from accelsim.compiler.hoisting import Blocks, blocks_ahead
from accelsim.compiler.layout import Packer
from accelsim.compiler.lowering import lower
from accelsim.compiler.placed import PlacedStage, Placement
from accelsim.compiler.placement import place
from accelsim.compiler.planner import build_plan, frame_bytes
from accelsim.compiler.residency import residency
from accelsim.compiler.reuse import Reuse
from accelsim.compiler.schedule import choose
from accelsim.compiler.stages import Plan
from accelsim.errors import CapacityError, InputError
from accelsim.isa import opcodes
from accelsim.isa.program import HostTensor, LayerInfo, Program
from accelsim.quant.model import QGraph, QTensor

MOST_FRAMES = 64
"""Largest batch: what a product's word can say."""


class Compiler:
    """Compiles a quantized graph for a chip, in one arrangement or several, which share what they have in common.

    Parameters
    ----------
    graph : QGraph
    chip : Chip
    batch : int
        Frames handled at once, 1 to 64. Up to the chip's `mac.batch_columns` of them share each read of the weights'
        memory; all of them share what is loaded from DRAM.
    reuse : Reuse, optional
        With what was compiled for other chips.

    Raises
    ------
    InputError
        A batch of another size.
    """

    def __init__(self, graph: QGraph, chip: Chip, *, batch: int = 1, reuse: Reuse | None = None) -> None:
        if type(batch) is not int or not 1 <= batch <= MOST_FRAMES:
            raise InputError("--batch", "", f"found {batch}", f"1 to {MOST_FRAMES}")
        self.graph = graph
        self.chip = chip
        self.batch = batch
        self._reuse = reuse
        self._cells: dict[str, Cell] = {}
        self._pack = Packer(chip.mac)
        self._originals: dict[int, Program] = {}
        """What programs of this chip were taken from, by their id."""

    def plan(self, arrangement: Arrangement | None = None) -> Plan:
        """The segments, without delays yet.

        Raises
        ------
        InputError
            As `build_plan`; the arrangement hoists, and the chip loads through its vector unit.
        """
        arrangement = arrangement or Arrangement()
        if arrangement.hoisted and self.chip.dma.loads_through_vector:
            # Steps come in order with the vector unit's results, one by one.
            expected = "false, where inputs are to be hoisted"
            raise InputError(self.chip.name, "dma.loads_through_vector", "found true", expected)
        apart, hoisted = arrangement.apart, arrangement.hoisted
        if self._reuse is None:
            return build_plan(self.graph, self.batch, self.chip, apart=apart, hoisted=hoisted, cells=self._cells)
        make = partial(build_plan, self.graph, self.batch, apart=apart, hoisted=hoisted)
        return self._reuse.get((self.graph, self.batch, apart, hoisted), self.chip, make)

    def program(self, arrangement: Arrangement | None = None, *, is_checked: bool = True) -> Program:
        """The program: it handles a batch of frames; weights are loaded, the states start anew.

        Parameters
        ----------
        arrangement : Arrangement, optional
            By default nothing is hoisted, directions are interleaved, and an estimate says how far layers are apart.
        is_checked : bool
            Check the program as one out of a file is; a candidate that loses need not be.

        Raises
        ------
        CapacityError
            The model does not fit: which memory or table, how much is needed, how much is there.
        InputError
            The graph has a form that can't be compiled; or as `plan`.
        """
        arrangement = arrangement or Arrangement()
        base = self.plan(arrangement)
        blocks = residency(base, self.chip)
        plan, slots = choose(base, blocks, self.chip, arrangement)
        stages = [stage for segment in plan.segments for stage in segment.stages]
        ahead = blocks_ahead(stages, self.chip)
        make = partial(self._emit, arrangement.name, plan, blocks, ahead, slots)
        if self._reuse is None:
            program = make(self.chip)
        else:
            # All that it depends on, beside what it looks at itself.
            timing = tuple((stage.delay, slots.get(id(stage))) for stage in stages)
            key = base, arrangement.name, timing, tuple(blocks), ahead, self._pack.form
            original = self._reuse.get(key, self.chip, make)
            program = original.for_chip(self.chip)
            self._originals[id(program)] = original
        if is_checked:
            self.check(program)
        return program

    def check(self, program: Program) -> None:
        """Check a program of this compiler's as one out of a file is.

        Raises
        ------
        InputError
            As `Program.validate`.
        """
        original = self._originals.get(id(program))
        if self._reuse is None or original is None:
            program.validate()
        else:
            self._reuse.get(("checked", original), self.chip, lambda chip: original.for_chip(chip).validate())

    def _emit(
        self,
        name: str,
        plan: Plan,
        blocks: Sequence[int],
        ahead: Sequence[Blocks],
        slots: dict[int, tuple[int, int]],
        chip: Chip,
    ) -> Program:
        """The program of a plan: addresses, then instructions."""
        graph, batch = self.graph, self.batch
        placement = place(plan, blocks, ahead, slots, batch * frame_bytes(graph), chip, self._pack)
        instructions, layers = lower(plan, placement, chip).finish()
        steps = plan.output.last - plan.output.first
        features = plan.output.row_bytes // batch
        output_shape = (steps, features) if len(graph.output.shape) == 2 else (features,)
        program = Program.assembled(
            instructions,
            name=graph.name,
            isa_version=opcodes.ISA_VERSION,
            chip=chip,
            schedule=describe(plan, name),
            inputs=(_host_tensor(graph.input, graph.input.shape, placement.sequences[plan.input.name], batch),),
            outputs=(_host_tensor(graph.output, output_shape, placement.sequences[plan.output.name], batch),),
            regions=tuple(placement.regions),
            layers=_layer_table(placement, layers),
            image=placement.image,
            image_address=0,
        )
        words = chip.sequencer.instruction_memory_words
        if len(program.words) > words:
            raise CapacityError(chip.name, "instruction memory", len(program.words), words, "words")
        return program


def compile_graph(graph: QGraph, chip: Chip, *, batch: int = 1, arrangement: Arrangement | None = None) -> Program:
    """Compile a quantized graph for a chip, in the arrangement that an estimate says, or in one that is given.

    `accelsim.schedules` compares several.

    Parameters
    ----------
    graph : QGraph
    chip : Chip
    batch : int
        As `Compiler`.
    arrangement : Arrangement, optional
        As `Compiler.program`.

    Raises
    ------
    CapacityError, InputError
        As `Compiler.program`.
    """
    return Compiler(graph, chip, batch=batch).program(arrangement)


def _host_tensor(tensor: QTensor, shape: tuple[int, ...], address: int, batch: int) -> HostTensor:
    return HostTensor(
        name=tensor.name,
        dtype="int8",
        shape=shape,
        scale=tuple(float(value) for value in tensor.scale),
        zero_point=tensor.zero_point,
        address=address,
        batch=batch,
    )


def _layer_table(placement: Placement, layers: list[int | None]) -> tuple[LayerInfo, ...]:
    table = []
    for index, placed in enumerate(placed for segment in placement.segments for placed in segment):
        ranges: list[tuple[int, int]] = []
        for at, layer in enumerate(layers):
            if layer != index:
                continue
            if ranges and ranges[-1][1] == at:
                ranges[-1] = ranges[-1][0], at + 1
            else:
                ranges.append((at, at + 1))
        table.append(
            LayerInfo(
                name=placed.stage.layer.name,
                kind=placed.stage.cell.kind,
                macs=placed.stage.macs,
                parameters_bytes=_model_bytes(placed),
                instructions=tuple(ranges),
            )
        )
    return tuple(table)


def _model_bytes(placed: PlacedStage) -> int:
    """Weights and constants as the model has them, without padding."""
    return sum(one.product.weights.size + 4 * one.product.rows for one in placed.products)
