"""The pipeline as instructions: loads, then one loop over waves in which every stage does its step.

Order inside a wave: all matrix products, then the vector instructions phase by phase (input gates, output gates,
candidates, cells, hidden states), stages from the last to the first in each. Executed one after the other in this
order, the instructions give the right result; the semaphores keep the units to it. Every wait is for an earlier
instruction, so the program can't deadlock.

What the units' order alone guarantees, and no semaphore repeats: a unit issues in order, and completes in order, since
its latency is constant. So when a chained consumer sees an element, the instructions before its producer are complete
up to their last element.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from accelsim.chip import Chip
from accelsim.compiler.emitter import Emitter, Operand, Token
from accelsim.compiler.placement import PlacedProduct, PlacedStage, Placement
from accelsim.compiler.stages import GATE_ROWS, Pipeline
from accelsim.graph import Gate
from accelsim.isa.opcodes import Activation, Addend, Destination, Memory, Requantize, Source, Start, Unit
from accelsim.quant.model import QLstm


@dataclass
class _Link:
    """Semaphores of a stage. 'Free' means that a buffer's readers are done."""

    ready: int
    weights: int
    sums: int
    sums_free: int
    hidden: int
    blocks: dict[int, tuple[int, int]] = field(default_factory=dict)


def lower(pipeline: Pipeline, placement: Placement, chip: Chip) -> Emitter:
    """The program of a placed pipeline.

    Raises
    ------
    CapacityError
        More semaphores, address registers or guard registers than there are.
    """
    return _Lowering(pipeline, placement, chip).run()


class _Lowering:
    def __init__(self, pipeline: Pipeline, placement: Placement, chip: Chip) -> None:
        self.pipeline = pipeline
        self.placement = placement
        self.chip = chip
        self.chained = chip.chaining.enabled
        self.emitter = emitter = Emitter(chip)
        self.links = [
            _Link(
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

    def run(self) -> Emitter:
        emitter = self.emitter
        self._loads()
        self._initial_state()
        stages = list(enumerate(self.placement.stages))
        with emitter.loop(self.pipeline.waves):
            for index, placed in stages:
                self._products(index, placed)
                if index == 0:
                    self._load_input()
            lstms = [(index, placed) for index, placed in reversed(stages) if isinstance(placed.stage.layer, QLstm)]
            for phase in (self._input_gate, self._output_gate, self._candidate, self._cell):
                for index, placed in lstms:
                    phase(index, placed)
                if phase == self._input_gate:
                    for index, placed in reversed(stages):
                        if not isinstance(placed.stage.layer, QLstm):
                            self._linear_result(index, placed)
            for index, placed in lstms:
                self._hidden(index, placed)
            self._store_output()
        emitter.emit("halt")
        return emitter

    # --- before the loop ----------------------------------------------------------------------------------------

    def _loads(self) -> None:
        for index, placed in enumerate(self.placement.stages):
            ready = [Token(self.links[index].weights)]
            resident = placed.resident_bytes > 0
            # The blocks of every stage's initial state come with the first stage's parameters.
            early = [Token(self.constants)] if index == 0 else []
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
                place, features = self.placement, placed.stage.layer.x.features
                self.emitter.emit(
                    "load",
                    layer=0,
                    memory=Memory.ACTIVATIONS,
                    source=self.emitter.operand("load", "source", place.input_dram),
                    destination=self.emitter.operand("load", "destination", place.input_ring),
                    row_bytes=features,
                    rows=place.input_slots,
                    source_pitch=features,
                    destination_pitch=place.input_pitch,
                    signals=[Token(self.links[0].ready, each=True)],
                )

    def _load_range(
        self, index: int, memory: Memory, dram: int, sram: int, size: int, signals: list[Token]
    ) -> None:
        """One contiguous copy, cut only where it is longer than a row can be."""
        longest = (1 << 20) - 1 & ~(self.chip.dram.burst_bytes - 1 if _is_power(self.chip.dram.burst_bytes) else 0)
        for start in range(0, size, longest):
            length = min(longest, size - start)
            self.emitter.emit(
                "load",
                layer=index,
                memory=memory,
                source=self.emitter.operand("load", "source", dram + start),
                destination=self.emitter.operand("load", "destination", sram + start),
                row_bytes=length,
                rows=1,
                signals=signals if start + length == size else [],
            )

    def _initial_state(self) -> None:
        emitter = self.emitter
        emitter.emit("sync", layer=0, unit=Unit.VECTOR, waits=[Token(self.constants)])
        for index, placed in enumerate(self.placement.stages):
            link, layer = self.links[index], placed.stage.layer
            emitter.credit(link.sums_free, 1)
            if not isinstance(layer, QLstm):
                continue
            self._vector(
                index, "initial cell", source_type=Source.NONE, length=layer.units, destination_type=Destination.INT16,
                destination=self._at("destination", placed.buffers["cell"]),
            )  # fmt: skip
            slot = (placed.stage.first + placed.stage.delay - 1) % placed.slots
            self._vector(
                index, "initial hidden", source_type=Source.NONE, length=layer.units,
                destination_type=Destination.INT8,
                destination=self._at("destination", placed.output + slot * self.placement.pitch),
                signals=[Token(link.hidden)],
            )  # fmt: skip
        if self._stores_every_step():
            emitter.credit(self.output_free, self.placement.stages[-1].slots)

    # --- matrix products ----------------------------------------------------------------------------------------

    def _products(self, index: int, placed: PlacedStage) -> None:
        link = self.links[index]
        waits = [Token(link.ready), Token(link.weights), Token(link.sums_free)]
        signals = [Token(link.weights)]
        if index == 0:
            source = self._ring(self.placement.input_ring, self.placement.input_slots, self.placement.input_pitch, 0)
            signals.append(Token(self.input_free))
        else:
            before = self.placement.stages[index - 1]
            behind = placed.stage.delay - before.stage.delay
            source = self._ring(before.output, before.slots, self.placement.pitch, behind)
        sums = Token(link.sums, each=self.chained)
        if isinstance(placed.stage.layer, QLstm):
            self._product(index, 0, source, waits, signals)
            own = self._ring(placed.output, placed.slots, self.placement.pitch, 1)
            self._product(index, 1, own, [Token(link.hidden)], [sums])
        else:
            self._product(index, 0, source, waits, [*signals, sums])

    def _product(self, index: int, which: int, source: Operand, waits: list[Token], signals: list[Token]) -> None:
        placed = self.placement.stages[index]
        one, sums, guard = placed.products[which], placed.accumulators[which], self.guards[index]
        emitter = self.emitter
        if not one.block_rows:
            emitter.emit(
                "matmul",
                layer=index,
                guard=guard,
                start=Start.BIAS,
                rows=one.product.rows,
                columns=one.product.columns,
                weights=emitter.operand("matmul", "weights", one.weights),
                input=source,
                accumulators=emitter.operand("matmul", "accumulators", sums),
                bias=emitter.operand("matmul", "bias", one.bias),
                waits=waits,
                signals=signals,
            )
            return
        # What holds for the product as a whole is waited for and signalled around its blocks.
        chained = [token for token in signals if token.each]
        whole = [token for token in signals if not token.each]
        emitter.emit("sync", layer=index, guard=guard, unit=Unit.MATRIX, waits=waits)
        if one.blocks:
            with emitter.loop(one.blocks, guard=guard, layer=index):
                self._block(index, one, sums, source, 0, chained)
        if one.rest_rows:
            self._block(index, one, sums, source, one.blocks, chained)
        if whole:
            emitter.emit("sync", layer=index, guard=guard, unit=Unit.MATRIX, signals=whole)

    def _block(
        self, index: int, one: PlacedProduct, sums: int, source: Operand, first: int, signals: list[Token]
    ) -> None:
        """Load and use a block of rows: block `first` + the counter of the loop over blocks."""
        emitter, guard = self.emitter, self.guards[index]
        placed = self.placement.stages[index]
        rest = first == one.blocks
        filled, free = self._block_semaphores(index, one)
        rows = one.rest_rows if rest else one.block_rows
        size = -(-rows // self.chip.mac.rows) * self.chip.mac.rows * one.product.columns
        a_step = one.blocks + (1 if one.rest_rows else 0)
        inner = 0 if rest else 1
        slot = (
            emitter.register(
                0,
                phase=(first - (placed.stage.first + placed.stage.delay) * a_step) % 2 * one.slot_bytes,
                wrap=2 * one.slot_bytes,
                strides=(a_step * one.slot_bytes, inner * one.slot_bytes),
            ),
            one.weights,
        )
        offset = first * one.block_rows

        def strided(instruction: str, name: str, address: int, stride: int) -> Operand:
            if not inner:
                return emitter.operand(instruction, name, address)
            return emitter.register(address, strides=(0, stride)), 0

        emitter.emit(
            "load",
            layer=index,
            guard=guard,
            memory=Memory.WEIGHTS,
            source=strided("load", "source", one.dram + offset * one.product.columns, size),
            destination=slot,
            row_bytes=size,
            rows=1,
            waits=[Token(free)],
            signals=[Token(filled)],
        )
        emitter.emit(
            "matmul",
            layer=index,
            guard=guard,
            start=Start.BIAS,
            rows=rows,
            columns=one.product.columns,
            weights=slot,
            input=source,
            accumulators=strided("matmul", "accumulators", sums + 4 * offset, 4 * rows),
            bias=strided("matmul", "bias", one.bias + 4 * offset, 4 * rows),
            waits=[Token(filled)],
            signals=[Token(free), *signals],
        )

    def _block_semaphores(self, index: int, one: PlacedProduct) -> tuple[int, int]:
        """(filled, free) of a streamed product's slots; both are free at first."""
        blocks = self.links[index].blocks
        key = id(one)
        if key not in blocks:
            blocks[key] = self.emitter.semaphore(), self.emitter.semaphore()
            self.emitter.credit(blocks[key][1], 2)
        return blocks[key]

    # --- vector phases ------------------------------------------------------------------------------------------

    def _input_gate(self, index: int, placed: PlacedStage) -> None:
        self._gate_phase(
            index, Gate.INPUT, Activation.SIGMOID, placed.buffers["input gate"],
            first=True, signals=[Token(self.gate, self.chained)],
        )  # fmt: skip

    def _output_gate(self, index: int, placed: PlacedStage) -> None:
        self._gate_phase(index, Gate.OUTPUT, Activation.SIGMOID, placed.buffers["output gate"])

    def _candidate(self, index: int, placed: PlacedStage) -> None:
        layer = placed.stage.layer
        if isinstance(layer, QLstm):
            self._gate_phase(
                index, Gate.CELL, Activation.TANH3, placed.buffers["candidate"],
                waits=[Token(self.gate, self.chained)], signals=[Token(self.candidate, self.chained)],
                multiply=1, shift=30 + layer.cell_scale_log2, factor=self._at("factor", placed.buffers["input gate"]),
            )  # fmt: skip

    def _cell(self, index: int, placed: PlacedStage) -> None:
        cell = placed.buffers["cell"]
        self._gate_phase(
            index, Gate.FORGET, Activation.SIGMOID, cell,
            waits=[Token(self.candidate, self.chained)],
            signals=[Token(self.cell, self.chained), Token(self.links[index].sums_free)],
            multiply=1, shift=15, factor=self._at("factor", cell),
            accumulate=1, term=self._at("term", placed.buffers["candidate"]),
        )  # fmt: skip

    def _gate_phase(
        self,
        index: int,
        gate: Gate,
        activation: Activation,
        destination: int,
        *,
        first: bool = False,
        waits: list[Token] | None = None,
        signals: list[Token] | None = None,
        **fields: int | Operand,
    ) -> None:
        """One gate: both sums requantized and added, the activation, and what `fields` adds."""
        placed = self.placement.stages[index]
        units = placed.stage.outputs
        start = 4 * units * GATE_ROWS.index(gate)
        input_sums, recurrent_sums = placed.accumulators
        sums = [Token(self.links[index].sums, self.chained)] if self.chained or first else []
        names = {Gate.INPUT: "input", Gate.OUTPUT: "output", Gate.CELL: "cell", Gate.FORGET: "forget"}
        self._vector(
            index, names[gate], guard=self.guards[index], length=units, waits=sums + (waits or []),
            signals=signals or [], source_type=Source.INT32, requantize=Requantize.SCALAR,
            source=self._at("source", recurrent_sums + start), addend_type=Addend.INT32,
            addend=self._at("addend", input_sums + start), activation=activation,
            destination_type=Destination.INT16, destination=self._at("destination", destination), **fields,
        )  # fmt: skip

    def _hidden(self, index: int, placed: PlacedStage) -> None:
        layer, link = placed.stage.layer, self.links[index]
        if not isinstance(layer, QLstm):
            return
        waits = [Token(self.cell, self.chained)]
        signals = [Token(link.hidden)]
        self._result(
            index, "hidden", waits, signals, length=layer.units, source_type=Source.INT16,
            source=self._at("source", placed.buffers["cell"]),
            activation=Activation.TANH0 + 15 + layer.cell_scale_log2,
            multiply=1, factor=self._at("factor", placed.buffers["output gate"]), output_requantize=1,
        )  # fmt: skip

    def _linear_result(self, index: int, placed: PlacedStage) -> None:
        link = self.links[index]
        self._result(
            index, "requantize", [Token(link.sums, self.chained)], [Token(link.sums_free)],
            length=placed.stage.outputs, source_type=Source.INT32, requantize=Requantize.REAL,
            source=self._at("source", placed.accumulators[0]),
        )  # fmt: skip

    def _result(
        self, index: int, block: str, waits: list[Token], signals: list[Token], **fields: int | Operand
    ) -> None:
        """A stage's last instruction: into its ring, for the next stage and for the output."""
        placed = self.placement.stages[index]
        stage, last = placed.stage, index + 1 == len(self.placement.stages)
        announce: list[tuple[int, int, int]] = []
        if not last:
            following = self.placement.stages[index + 1].stage
            announce.append((self.links[index + 1].ready, following.first, following.last))
        else:
            announce.append((self.output_ready, self.pipeline.output_first, self.pipeline.output_last))
            if self._stores_every_step():
                waits = [*waits, Token(self.output_free)]
        late = []
        for semaphore, first, end in announce:
            if (first, end) == (stage.first, stage.last):
                signals = [*signals, Token(semaphore)]
            else:
                late.append((semaphore, first, end))
        self._vector(
            index, block, guard=self.guards[index], waits=waits, signals=signals,
            destination_type=Destination.INT8,
            destination=self._ring(placed.output, placed.slots, self.placement.pitch, 0), **fields,
        )  # fmt: skip
        for semaphore, first, end in late:
            # Only some of the steps are wanted: only those are announced.
            guard = self.emitter.guard(first + stage.delay, end + stage.delay, self.pipeline.waves)
            self.emitter.emit(
                "sync", layer=index, guard=guard, unit=Unit.VECTOR, signals=[Token(semaphore)]
            )

    def _vector(
        self,
        index: int,
        block: str,
        *,
        waits: list[Token] | None = None,
        signals: list[Token] | None = None,
        **fields: int | Operand,
    ) -> None:
        blocks = self.placement.stages[index].blocks
        parameters = self._at("parameters", blocks[block] if block in blocks else self.placement.constants[index, block])
        self.emitter.emit(
            "vector", layer=index, parameters=parameters, waits=waits or [], signals=signals or [], **fields
        )

    # --- input and output ---------------------------------------------------------------------------------------

    def _load_input(self) -> None:
        """Refill the slot whose step was just used; nothing is left to load where the ring holds all steps."""
        place = self.placement
        steps, slots = self.pipeline.steps, place.input_slots
        features = place.stages[0].stage.layer.x.features
        self.emitter.emit(
            "load",
            layer=0,
            guard=self.emitter.guard(0, steps - slots, self.pipeline.waves),
            memory=Memory.ACTIVATIONS,
            source=(self.emitter.register(place.input_dram + slots * features, strides=(features,)), 0),
            destination=self._ring(place.input_ring, slots, place.input_pitch, 0),
            row_bytes=features,
            rows=1,
            waits=[Token(self.input_free)],
            signals=[Token(self.links[0].ready)],
        )

    def _store_output(self) -> None:
        place, pipeline = self.placement, self.pipeline
        placed = place.stages[-1]
        stage, size = placed.stage, placed.stage.outputs
        first = pipeline.output_first + stage.delay
        single = pipeline.output_last - pipeline.output_first == 1
        if single:
            destination = self.emitter.operand("store", "destination", place.output_dram)
        else:
            # Step t leaves in wave t + delay.
            destination = self.emitter.register(place.output_dram - first * size, strides=(size,)), 0
        self.emitter.emit(
            "store",
            layer=len(place.stages) - 1,
            guard=self.emitter.guard(first, pipeline.output_last + stage.delay, pipeline.waves),
            memory=Memory.ACTIVATIONS,
            destination=destination,
            source=self._ring(placed.output, placed.slots, place.pitch, 0),
            row_bytes=size,
            rows=1,
            waits=[Token(self.output_ready)],
            signals=[Token(self.output_free)],
        )

    def _stores_every_step(self) -> bool:
        stage = self.pipeline.stages[-1]
        return (self.pipeline.output_first, self.pipeline.output_last) == (stage.first, stage.last) and stage.steps > 1

    def _ring(self, base: int, slots: int, pitch: int, behind: int) -> Operand:
        """The slot of the wave `behind` waves ago."""
        phase = -behind % slots * pitch
        reach = 1 << 20
        inside, outside = (base, 0) if base < reach else (0, base)
        return self.emitter.register(outside, phase=phase, wrap=slots * pitch, strides=(pitch,)), inside

    def _at(self, name: str, address: int) -> Operand:
        return self.emitter.operand("vector", name, address)


def _is_power(value: int) -> bool:
    return value & (value - 1) == 0
