"""Segments as instructions: loads, then a loop over waves for each segment, in which every stage does its step.

Order inside a wave: all input products, which only need earlier waves and run in the shadow of the recurrence; the
recurrent products; then the vector instructions phase by phase, in each phase stage after stage as their products
come, and products inside a cell where their operand is made. Executed one after the other in this order, the
instructions give the right result; the semaphores keep the units to it. Every wait is for an earlier instruction, so
the program can't deadlock.

What the units' order alone guarantees, and no semaphore repeats: a unit issues in order, and completes in order, since
its latency is constant. So when a chained consumer sees an element, the instructions before its producer are complete
up to their last element.
"""

from __future__ import annotations

from typing import Any

from accelsim.chip import Chip
from accelsim.compiler.emitter import Emitter, Operand, Token
from accelsim.compiler.phases import Phases
from accelsim.compiler.placed import STATE_BLOCK, Placement
from accelsim.compiler.products import Products
from accelsim.compiler.projections import Projections
from accelsim.compiler.shared import Place, Shared
from accelsim.compiler.stages import Part, Plan, Sequence, Sink
from accelsim.isa import definition
from accelsim.isa.opcodes import Destination, Memory, Source, Unit


def lower(plan: Plan, placement: Placement, chip: Chip) -> Emitter:
    """The program of a placed plan.

    Raises
    ------
    CapacityError
        More semaphores, address registers or guard registers than there are.
    """
    return _Lowering(Shared(plan, placement, chip)).run()


class _Lowering:
    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.products = Products(shared)
        self.phases = Phases(shared)
        self.projections = Projections(shared)
        # Signalled when the constants of all cells are loaded; 0 where there are none.
        self.zeros = 0
        # For each sequence between segments: what its writers signal when their last step has left.
        self.written: dict[str, list[int]] = {}

    def run(self) -> Emitter:
        shared, emitter = self.shared, self.shared.emitter
        preloaded = shared.chip.schedule.weights_preloaded
        for places in shared.places:
            for place in places:
                self._load_constants(place)
                if place.layer == 0 and not preloaded:
                    self._load_first_steps(place)
        if preloaded:
            emitter.begin_frame()
        self._load_zeros()
        if preloaded:
            self._load_first_steps(shared.places[0][0])
        self._initial_state()
        for number, places in enumerate(shared.places):
            if number or not preloaded:
                emitter.new_section()
            self.projections.begin(places, number, self.written)
            for place in places:
                if place.layer and place.placed.input_slots:
                    self._load_first_steps(place)
            self._waves(places)
            self.projections.end(places, number)
            self._close(places, number)
        emitter.emit("halt")
        return emitter

    def _waves(self, places: list[Place]) -> None:
        with self.shared.emitter.loop(places[0].segment.waves):
            for place in places:
                if place.stage.hoisted:
                    self.projections.load_sums(place)
                else:
                    self.products.input_product(place)
                for phase, step in enumerate(place.stage.cell.steps):
                    if step.early:
                        self.phases.step(place, phase)
                if place.placed.input_slots:
                    self._load_next_step(place)
            for place in places:
                if place.stage.cell.is_recurrent:
                    self.products.recurrent_product(place)
            for phase in range(max(len(place.stage.cell.steps) for place in places)):
                for place in places:
                    if phase < len(place.stage.cell.steps) and not place.stage.cell.steps[phase].early:
                        self._phase(place, phase)
            for place in places:
                for number in range(len(place.stage.sinks)):
                    self._store(place, number)

    def _phase(self, place: Place, phase: int) -> None:
        self.phases.step(place, phase)
        cell = place.stage.cell
        written = cell.steps[phase].destination
        for which, product in enumerate(cell.products):
            if product.reads == written:
                self.products.inner_product(place, which, self.phases.inner_ready(place, written))

    # Before the loops.

    def _load_constants(self, place: Place) -> None:
        placed, ready = place.placed, [Token(place.link.weights)]
        # The blocks of every stage's initial state come with the first stage's parameters.
        early = [Token(self.shared.constants)] if place.layer == 0 else []
        parameters = Memory.PARAMETERS, placed.parameters_dram, placed.parameters, placed.parameters_bytes
        if placed.resident_bytes:
            self._load_range(place, *parameters, early)
            self._load_range(place, Memory.WEIGHTS, placed.resident_dram, placed.resident, placed.resident_bytes, ready)
        else:
            self._load_range(place, *parameters, [*early, *ready])

    def _load_range(self, place: Place, memory: Memory, dram: int, sram: int, size: int, signals: list[Token]) -> None:
        """One contiguous copy, cut only where it is longer than a row can be."""
        emitter = self.shared.emitter
        # Whole bursts, as many as the field for a row's bytes takes.
        most, burst = definition().formats["load"].field("row_bytes").maximum, self.shared.chip.dram.burst_bytes
        longest = most // burst * burst or most
        for start in range(0, size, longest):
            length = min(longest, size - start)
            emitter.emit(
                "load",
                layer=place.layer,
                memory=memory,
                source=emitter.operand("load", "source", dram + start),
                destination=emitter.operand("load", "destination", sram + start),
                row_bytes=length,
                rows=1,
                signals=signals if start + length == size else [],
            )

    def _load_zeros(self) -> None:
        emitter = self.shared.emitter
        wanted = [
            (place, name) for places in self.shared.places for place in places for name in place.stage.cell.constants
        ]
        if wanted:
            self.zeros = emitter.semaphore()
        for place, name in wanted:
            emitter.emit(
                "load",
                layer=place.layer,
                memory=Memory.ACTIVATIONS,
                source=emitter.operand("load", "source", place.placed.constants_dram),
                destination=emitter.operand("load", "destination", place.placed.buffers[name]),
                row_bytes=place.stage.elements,
                rows=1,
                signals=[Token(self.zeros)] if (place, name) == wanted[-1] else [],
            )

    def _initial_state(self) -> None:
        shared, emitter = self.shared, self.shared.emitter
        self.projections.credits()
        waits = [Token(shared.constants), *([Token(self.zeros)] if self.zeros else [])]
        emitter.emit("sync", layer=0, unit=Unit.VECTOR, waits=waits)
        for places in shared.places:
            for place in places:
                slots = place.placed.projection.ring_slots if place.placed.projection else 1
                emitter.credit(place.link.sums_free, slots)
                if place.placed.input_slots > place.placed.input_ahead:
                    emitter.credit(place.link.input_free, place.placed.input_slots - place.placed.input_ahead)
                for semaphore, count in self.phases.credits(place):
                    emitter.credit(semaphore, count)
                if place.stage.cell.is_recurrent:
                    self._clear(place)

    def _clear(self, place: Place) -> None:
        """The state before the first step, on the sides and in the slot that the first wave reads."""
        shared, placed, stage = self.shared, place.placed, place.stage
        before = stage.first + stage.delay - 1
        if stage.cell.state:
            address = placed.buffers[stage.cell.state] + before % 2 * shared.placement.state_pitch
            shared.vector(
                place,
                shared.placement.constants[STATE_BLOCK],
                source_type=Source.NONE,
                length=stage.elements,
                destination_type=Destination.INT16,
                destination=shared.at("destination", address),
            )
        slot = placed.output + before % placed.slots * shared.placement.pitch
        shared.vector(
            place,
            shared.placement.constants[id(stage), "hidden"],
            source_type=Source.NONE,
            length=stage.elements,
            destination_type=Destination.INT8,
            destination=shared.at("destination", slot),
            signals=[Token(place.link.hidden)],
        )

    # Sequences in and out.

    def _step_address(self, place: Place, sequence: Sequence, first: int, handled: int) -> tuple[int, int]:
        """(address of the row for p = handled, stride from p to p + 1); row 0 is the step `first` of time."""
        stage = place.stage
        base = self.shared.placement.sequences[sequence.name]
        step = stage.steps_there - 1 - handled if stage.reverse else handled
        stride = -sequence.row_bytes if stage.reverse else sequence.row_bytes
        return base + (step - first) * sequence.row_bytes, stride

    def _load_first_steps(self, place: Place) -> None:
        """Fill the ring of a stage that reads a sequence, step by step as the stage will take them."""
        shared, emitter, placed, stage = self.shared, self.shared.emitter, place.placed, place.stage
        sequence = stage.source
        if not isinstance(sequence, Sequence) or not placed.input_slots:
            return
        for semaphore in self.written.get(sequence.name, []):
            # Given back at once: another stage may read the sequence too.
            token = [Token(semaphore)]
            unit = Unit.VECTOR if shared.chip.dma.loads_through_vector else Unit.LOAD
            emitter.emit("sync", layer=place.layer, unit=unit, waits=token, signals=token)
        parts = sequence.parts
        if shared.chip.dma.loads_through_vector:
            for number in range(placed.input_ahead):
                for part in parts:
                    address, stride = self._part_address(place, part, stage.first)
                    self._stream_step(
                        place,
                        part,
                        emitter.operand("load", "source", address + number * stride),
                        emitter.operand(
                            "load", "destination", placed.input_ring + number * placed.input_pitch + part.column
                        ),
                        signals=[Token(place.link.ready)] if part is parts[-1] else [],
                    )
            return
        for part in parts:
            # Data lands in order: with the last part's rows there, all are.
            self._load_first_rows(place, part, [Token(place.link.ready, each=True)] if part is parts[-1] else [])

    def _load_first_rows(self, place: Place, part: Part, signals: list[Token]) -> None:
        """The part of each step that the ring holds at first."""
        emitter, placed, stage = self.shared.emitter, place.placed, place.stage
        address, stride = self._part_address(place, part, stage.first)
        ring = placed.input_ring + part.column
        fields: dict[str, Any] = {"layer": place.layer, "memory": Memory.ACTIVATIONS, "row_bytes": part.bytes}
        if stride > 0 or placed.input_ahead == 1:
            emitter.emit(
                "load",
                source=emitter.operand("load", "source", address),
                destination=emitter.operand("load", "destination", ring),
                rows=placed.input_ahead,
                source_pitch=part.sequence.row_bytes,
                destination_pitch=placed.input_pitch,
                signals=signals,
                **fields,
            )
            return
        source = emitter.scratch(0, address, strides=(stride,), layer=place.layer)
        destination = emitter.scratch(1, ring, strides=(placed.input_pitch,), layer=place.layer)
        with emitter.loop(placed.input_ahead, layer=place.layer):
            emitter.emit("load", source=(source, 0), destination=(destination, 0), rows=1, signals=signals, **fields)

    def _load_next_step(self, place: Place) -> None:
        """Fill the slot that is free or was just used; nothing is left to load where all steps were at first."""
        shared, placed, stage = self.shared, place.placed, place.stage
        sequence = stage.source
        if not isinstance(sequence, Sequence):
            return
        ahead, parts = placed.input_ahead, sequence.parts
        begin = stage.first + stage.delay
        for part in parts:
            address, stride = self._part_address(place, part, stage.first + ahead)
            source = self._moving(address - begin * stride, stride)
            slot = shared.ring(placed.input_ring + part.column, placed.input_slots, placed.input_pitch, begin - ahead)
            more: dict[str, Any] = {
                "guard": shared.guard(place, stage.first, stage.last - ahead),
                "waits": [Token(place.link.input_free)] if part is parts[0] else [],
                "signals": [Token(place.link.ready)] if part is parts[-1] else [],
            }
            if shared.chip.dma.loads_through_vector:
                self._stream_step(place, part, source, slot, **more)
                continue
            shared.emitter.emit(
                "load",
                layer=place.layer,
                memory=Memory.ACTIVATIONS,
                source=source,
                destination=slot,
                row_bytes=part.bytes,
                rows=1,
                **more,
            )

    def _part_address(self, place: Place, part: Part, handled: int) -> tuple[int, int]:
        """As `_step_address`, of a part of the row."""
        address, stride = self._step_address(place, part.sequence, part.first, handled)
        return address + part.offset, stride

    def _stream_step(self, place: Place, part: Part, source: Operand, slot: Operand, **more: Any) -> None:
        """Load a step through the vector unit: whole column tiles, a row for each of the array's input memories.

        A step that is put together comes part by part, as it is.
        """
        whole = part.bytes == place.stage.source.row_bytes if isinstance(place.stage.source, Sequence) else False
        rows = self.shared.chip.mac.input_memories if whole else 1
        row_bytes = place.placed.input_bytes // rows if whole else part.bytes
        self.shared.emitter.emit(
            "load",
            layer=place.layer,
            memory=Memory.ACTIVATIONS,
            source=source,
            destination=slot,
            row_bytes=row_bytes,
            rows=rows,
            source_pitch=row_bytes,
            destination_pitch=row_bytes,
            **more,
        )

    def _store(self, place: Place, number: int) -> None:
        shared, stage = self.shared, place.stage
        sink = stage.sinks[number]
        ready, free = place.link.stored[number]
        first, last = stage.handled(sink.first, sink.last)
        address, stride = self._step_address(place, sink.sequence, sink.first, first)
        begin = first + stage.delay
        for unwanted in ((stage.first, first), (last, stage.last)):
            if unwanted[0] < unwanted[1]:
                guard, waits = shared.guard(place, *unwanted), [Token(ready)]
                shared.emitter.emit("sync", layer=place.layer, guard=guard, unit=Unit.STORE, waits=waits)
        shared.emitter.emit(
            "store",
            layer=place.layer,
            guard=shared.guard(place, first, last),
            memory=Memory.ACTIVATIONS,
            destination=self._moving(address + sink.column - begin * stride, stride)
            if last - first > 1
            else shared.emitter.operand("store", "destination", address + sink.column),
            source=shared.result(place, 0),
            row_bytes=stage.outputs,
            rows=1,
            waits=[Token(ready)],
            signals=[Token(free)],
        )

    def _moving(self, base: int, stride: int) -> Operand:
        """An address that moves by `stride` from wave to wave; `base` is that of wave 0."""
        # A guard keeps the waves out in which the address would lie below the sequence.
        return self.shared.emitter.register(max(base, 0), strides=(stride,)), 0

    def _close(self, places: list[Place], number: int) -> None:
        """Behind a segment's loop: tell the readers of each sequence that all of it has left."""
        if number + 1 == len(self.shared.places):
            return
        for place in places:
            for sink in place.stage.sinks:
                self._close_sink(place, sink)

    def _close_sink(self, place: Place, sink: Sink) -> None:
        semaphore = self.shared.emitter.semaphore()
        self.written.setdefault(sink.sequence.name, []).append(semaphore)
        self.shared.emitter.emit("sync", layer=place.layer, unit=Unit.STORE, signals=[Token(semaphore)])
