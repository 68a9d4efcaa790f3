"""The pipeline as instructions: loads, then one loop over waves in which every stage does its step.

Order inside a wave: all input products, which only need earlier waves and run in the shadow of the recurrence; the
recurrent products; then the vector instructions phase by phase (input gates, output gates, candidates, cells, hidden
states), in each phase stage after stage as their products come. Executed one after the other in this
order, the instructions give the right result; the semaphores keep the units to it. Every wait is for an earlier
instruction, so the program can't deadlock.

What the units' order alone guarantees, and no semaphore repeats: a unit issues in order, and completes in order, since
its latency is constant. So when a chained consumer sees an element, the instructions before its producer are complete
up to their last element.
"""

from __future__ import annotations

from accelsim.chip import Chip
from accelsim.compiler.emitter import Emitter, Token
from accelsim.compiler.phases import Phases
from accelsim.compiler.placement import Placement
from accelsim.compiler.products import Products
from accelsim.compiler.shared import Shared
from accelsim.compiler.stages import Pipeline
from accelsim.isa.opcodes import Destination, Memory, Source, Unit
from accelsim.quant.model import QLstm


def lower(pipeline: Pipeline, placement: Placement, chip: Chip) -> Emitter:
    """The program of a placed pipeline.

    Raises
    ------
    CapacityError
        More semaphores, address registers or guard registers than there are.
    """
    return _Lowering(Shared(pipeline, placement, chip)).run()


class _Lowering:
    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.products = Products(shared)
        self.phases = Phases(shared)

    def run(self) -> Emitter:
        emitter = self.shared.emitter
        self._loads()
        self._initial_state()
        stages = list(enumerate(self.shared.placement.stages))
        lstms = [(index, placed) for index, placed in stages if isinstance(placed.stage.layer, QLstm)]
        linears = [pair for pair in stages if pair not in lstms]
        with emitter.loop(self.shared.pipeline.waves):
            for index, placed in stages:
                self.products.input_product(index, placed)
                if index == 0:
                    self._load_input()
            for index, placed in lstms:
                self.products.recurrent_product(index, placed)
            for index, placed in linears:
                self.phases.linear_result(index, placed)
            for phase in (
                self.phases.input_gate,
                self.phases.output_gate,
                self.phases.candidate,
                self.phases.cell,
                self.phases.hidden,
            ):
                for index, placed in lstms:
                    phase(index, placed)
            self._store_output()
        emitter.emit("halt")
        return emitter

    def _loads(self) -> None:
        for index, placed in enumerate(self.shared.placement.stages):
            ready = [Token(self.shared.links[index].weights)]
            resident = placed.resident_bytes > 0
            # The blocks of every stage's initial state come with the first stage's parameters.
            early = [Token(self.shared.constants)] if index == 0 else []
            self._load_range(
                index,
                Memory.PARAMETERS,
                placed.parameters_dram,
                placed.parameters,
                placed.parameters_bytes,
                early if resident else [*early, *ready],
            )
            if resident:
                self._load_range(
                    index, Memory.WEIGHTS, placed.resident_dram, placed.resident, placed.resident_bytes, ready
                )
            if index == 0:
                place, features = self.shared.placement, placed.stage.layer.x.features
                self.shared.emitter.emit(
                    "load",
                    layer=0,
                    memory=Memory.ACTIVATIONS,
                    source=self.shared.emitter.operand(
                        "load", "source", place.input_dram + self.shared.pipeline.input_offset
                    ),
                    destination=self.shared.emitter.operand("load", "destination", place.input_ring),
                    row_bytes=features,
                    rows=place.input_slots,
                    source_pitch=features,
                    destination_pitch=place.input_pitch,
                    signals=[Token(self.shared.links[0].ready, each=True)],
                )

    def _load_range(self, index: int, memory: Memory, dram: int, sram: int, size: int, signals: list[Token]) -> None:
        """One contiguous copy, cut only where it is longer than a row can be."""
        # Whole bursts, as long as the field for a row's bytes takes them.
        burst = self.shared.chip.dram.burst_bytes
        longest = max(((1 << 20) - 1) // burst * burst, 1 << 19)
        for start in range(0, size, longest):
            length = min(longest, size - start)
            self.shared.emitter.emit(
                "load",
                layer=index,
                memory=memory,
                source=self.shared.emitter.operand("load", "source", dram + start),
                destination=self.shared.emitter.operand("load", "destination", sram + start),
                row_bytes=length,
                rows=1,
                signals=signals if start + length == size else [],
            )

    def _initial_state(self) -> None:
        emitter = self.shared.emitter
        emitter.emit("sync", layer=0, unit=Unit.VECTOR, waits=[Token(self.shared.constants)])
        for index, placed in enumerate(self.shared.placement.stages):
            link, layer = self.shared.links[index], placed.stage.layer
            emitter.credit(link.sums_free, 1)
            if not isinstance(layer, QLstm):
                continue
            wave_before = placed.stage.first + placed.stage.delay - 1
            cell = placed.buffers["cell"] + wave_before % 2 * self.shared.placement.cell_pitch
            slot = wave_before % placed.slots
            self.shared.vector(
                index,
                "initial cell",
                source_type=Source.NONE,
                length=layer.units,
                destination_type=Destination.INT16,
                destination=self.shared.at("destination", cell),
            )
            self.shared.vector(
                index,
                "initial hidden",
                source_type=Source.NONE,
                length=layer.units,
                destination_type=Destination.INT8,
                destination=self.shared.at("destination", placed.output + slot * self.shared.placement.pitch),
                signals=[Token(link.hidden)],
            )
        if self.shared.stores_every_step():
            emitter.credit(self.shared.output_free, self.shared.placement.stages[-1].slots)

    def _load_input(self) -> None:
        """Refill the slot whose step was just used; nothing is left to load where the ring holds all steps."""
        place = self.shared.placement
        steps, slots = self.shared.pipeline.steps, place.input_slots
        features = place.stages[0].stage.layer.x.features
        self.shared.emitter.emit(
            "load",
            layer=0,
            guard=self.shared.emitter.guard(0, steps - slots, self.shared.pipeline.waves),
            memory=Memory.ACTIVATIONS,
            source=(
                self.shared.emitter.register(
                    place.input_dram + self.shared.pipeline.input_offset + slots * features, strides=(features,)
                ),
                0,
            ),
            destination=self.shared.ring(place.input_ring, slots, place.input_pitch, 0),
            row_bytes=features,
            rows=1,
            waits=[Token(self.shared.input_free)],
            signals=[Token(self.shared.links[0].ready)],
        )

    def _store_output(self) -> None:
        place, pipeline = self.shared.placement, self.shared.pipeline
        placed = place.stages[-1]
        stage, size = placed.stage, placed.stage.outputs
        first = pipeline.output_first + stage.delay
        single = pipeline.output_last - pipeline.output_first == 1
        if single:
            destination = self.shared.emitter.operand("store", "destination", place.output_dram)
        else:
            # Step t leaves in wave t + delay.
            destination = self.shared.emitter.register(place.output_dram - first * size, strides=(size,)), 0
        self.shared.emitter.emit(
            "store",
            layer=len(place.stages) - 1,
            guard=self.shared.emitter.guard(first, pipeline.output_last + stage.delay, pipeline.waves),
            memory=Memory.ACTIVATIONS,
            destination=destination,
            source=self.shared.ring(placed.output, placed.slots, place.pitch, 0),
            row_bytes=size,
            rows=1,
            waits=[Token(self.shared.output_ready)],
            signals=[Token(self.shared.output_free)],
        )
