"""Input products done ahead of all steps, and their sums on the way back: the instructions of `hoisting`.

In a projection the weights of the next block are asked for before the products of this one, since the matrix unit's
queue is shorter than a chunk; everything else is in the order in which it happens. All projections share their buffers
and the semaphores of these, so one can't overtake another.
"""

from __future__ import annotations

from accelsim.compiler.emitter import Emitter, Operand, Token
from accelsim.compiler.hoisting import Projection
from accelsim.compiler.shared import Place, Shared
from accelsim.compiler.stages import Sequence
from accelsim.errors import InternalError
from accelsim.isa.opcodes import Memory, Start, Unit

_BLOCK = 1
"""The level of the loop over blocks; that over chunks is around it, that over steps inside."""


class Projections:
    """Emits the parts of hoisted stages that others don't have.

    Parameters
    ----------
    shared : Shared
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.emitter: Emitter = shared.emitter
        self.any = any(place.placed.projection for places in shared.places for place in places)
        if not self.any:
            return
        # Two slots of weights, a chunk of inputs, two slots of sums, and the accumulators that segments have in turns.
        self._filled, self._emptied = self.emitter.semaphore(), self.emitter.semaphore()
        self._inputs, self._inputs_free = self.emitter.semaphore(), self.emitter.semaphore()
        self._spilled, self._spill_free = self.emitter.semaphore(), self.emitter.semaphore()
        self._turn = self.emitter.semaphore()
        # Blocks of all projections so far: they take turns in the slots.
        self._blocks = 0

    def credits(self) -> None:
        """What is free at first."""
        if self.any:
            for semaphore, count in ((self._emptied, 2), (self._inputs_free, 1), (self._spill_free, 2)):
                self.emitter.credit(semaphore, count)

    def begin(self, places: list[Place], number: int, written: dict[str, list[int]]) -> None:
        """The projections of a segment's stages; its loop may begin when they have left the accumulators.

        Parameters
        ----------
        places : list of Place
            The segment's.
        number : int
            The segment's.
        written : dict
            For each sequence between segments: semaphores that say that all of it is in DRAM.
        """
        if not self.any:
            return
        if number:
            # No stage of the segment before reads its sums any more.
            self.emitter.emit("sync", layer=places[0].layer, unit=Unit.MATRIX, waits=[Token(self._turn)])
        hoisted = [place for place in places if place.placed.projection]
        for place in hoisted:
            self._project(place, written)
        if hoisted:
            self.emitter.new_section()
            # Who made the last of the sums, and who is to know. All of a segment's stay, or none.
            stay = hoisted[0].placed.sums_stay
            maker, users = (Unit.MATRIX, [Unit.VECTOR]) if stay else (Unit.STORE, [Unit.LOAD, Unit.MATRIX])
            for unit in users:
                done = [Token(self.emitter.semaphore())]
                self.emitter.emit("sync", layer=hoisted[-1].layer, unit=maker, signals=done)
                self.emitter.emit("sync", layer=hoisted[-1].layer, unit=unit, waits=done)

    def end(self, places: list[Place], number: int) -> None:
        """Behind a segment's loop: the next segment may have the accumulators."""
        if self.any and number + 1 < len(self.shared.places):
            signals = [Token(self._turn)]
            self.emitter.emit("sync", layer=places[-1].layer, unit=Unit.VECTOR, signals=signals)

    def load_sums(self, place: Place) -> None:
        """In a wave: the sums of the step, into a slot of the ring that is free."""
        one, stage, shared = place.placed.projection, place.stage, self.shared
        if one is None or one.stays:
            return
        first = stage.times[0]
        address = shared.placement.sequences[one.sums.name]
        pitch = one.sums.row_bytes
        step = stage.times[1] - 1 - first if stage.reverse else 0
        stride = -pitch if stage.reverse else pitch
        begin = stage.first + stage.delay
        slot = shared.ring(one.ring, one.ring_slots, one.ring_pitch, begin)
        self.emitter.emit(
            "load",
            layer=place.layer,
            guard=shared.guard(place),
            memory=Memory.ACCUMULATORS,
            source=(self.emitter.register(max(address + step * pitch - begin * stride, 0), strides=(stride,)), 0)
            if stage.steps > 1
            else self.emitter.operand("load", "source", address),
            destination=slot if one.ring_slots > 1 else self.emitter.operand("load", "destination", one.ring),
            row_bytes=4 * sum(stage.products[number].rows for number in stage.ahead) * stage.batch,
            rows=1,
            waits=[Token(place.link.sums_free)],
            signals=[Token(place.link.sums_there)],
        )

    def _project(self, place: Place, written: dict[str, list[int]]) -> None:
        emitter, one, source = self.emitter, place.placed.projection, place.stage.source
        if one is None or not isinstance(source, Sequence):
            raise InternalError(f"{place.stage.layer.name}: hoisted, but reads no sequence")
        for semaphore in written.get(source.name, []):
            # Given back at once: another stage may read the sequence too.
            token = [Token(semaphore)]
            emitter.emit("sync", layer=place.layer, unit=Unit.LOAD, waits=token, signals=token)
        token = [Token(place.link.weights)]
        emitter.emit("sync", layer=place.layer, unit=Unit.MATRIX, waits=token, signals=token)
        for first, steps, count in one.chunks:
            emitter.new_section()
            with emitter.loop(count, layer=place.layer):
                self._chunk(place, one, source, first, steps)
            self._blocks += count * one.blocks.count

    def _chunk(self, place: Place, one: Projection, source: Sequence, first: int, steps: int) -> None:
        """Steps from `first` on, and as many later in each further turn of the loop."""
        emitter, layer, blocks = self.emitter, place.layer, one.blocks
        self._load_block(place, one, 0, 0)
        self._load_inputs(place, one, source, first, steps)
        emitter.emit("sync", layer=layer, unit=Unit.MATRIX, waits=[Token(self._inputs)])
        if blocks.whole:
            with emitter.loop(blocks.whole, layer=layer):
                if blocks.count > 1:
                    guard = emitter.guard(0, blocks.count - 1, blocks.whole, _BLOCK)
                    self._load_block(place, one, 1, guard)
                self._block(place, one, first, steps, 0)
        if blocks.rest_rows:
            # Once; its steps are counted on the same level.
            with emitter.loop(1, layer=layer):
                self._block(place, one, first, steps, blocks.whole)
        emitter.emit("sync", layer=layer, unit=Unit.MATRIX, signals=[Token(self._inputs_free)])

    def _load_inputs(self, place: Place, one: Projection, source: Sequence, first: int, steps: int) -> None:
        """The steps of a chunk, part by part."""
        parts = source.parts
        for part in parts:
            row = part.sequence.row_bytes
            address = self.shared.placement.sequences[part.sequence.name] + part.offset
            address += (place.stage.times[0] + first - part.first) * row
            self.emitter.emit(
                "load",
                layer=place.layer,
                memory=Memory.ACTIVATIONS,
                source=(self.emitter.register(address, strides=(steps * row,)), 0),
                destination=self.emitter.operand("load", "destination", one.inputs + part.column),
                row_bytes=part.bytes,
                rows=steps,
                source_pitch=row,
                destination_pitch=one.inputs_pitch,
                waits=[Token(self._inputs_free)] if part is parts[0] else [],
                signals=[Token(self._inputs)] if part is parts[-1] else [],
            )

    def _load_block(self, place: Place, one: Projection, ahead: int, guard: int) -> None:
        """The weights of the block `ahead` of the block loop's."""
        blocks = one.blocks
        address = one.dram + ahead * blocks.bytes
        strides = (0, blocks.bytes) if ahead else ()
        self.emitter.emit(
            "load",
            layer=place.layer,
            guard=guard,
            memory=Memory.WEIGHTS,
            source=(self.emitter.register(address, strides=strides), 0),
            destination=self._slot(one, one.weights, one.weights_pitch, ahead),
            row_bytes=blocks.tile_bytes,
            rows=blocks.tiles,
            source_pitch=blocks.tile_bytes,
            destination_pitch=blocks.tile_bytes,
            waits=[Token(self._emptied)],
            signals=[Token(self._filled)],
        )

    def _block(self, place: Place, one: Projection, first: int, steps: int, ahead: int) -> None:
        """A block's products with all steps of a chunk, and the store of their sums, a row for each step as it is done.

        `ahead` is 0 in the loop over whole blocks, and their number for the rest behind it.
        """
        emitter, layer, blocks, batch = self.emitter, place.layer, one.blocks, place.stage.batch
        rows = blocks.rest_rows if ahead == blocks.whole else blocks.rows
        done = ahead * blocks.rows
        waits = [Token(self._filled), *([] if one.stays else [Token(self._spill_free)])]
        emitter.emit("sync", layer=layer, unit=Unit.MATRIX, waits=waits)
        with emitter.loop(steps, layer=layer):
            emitter.emit(
                "matmul",
                layer=layer,
                start=Start.BIAS,
                rows=rows,
                columns=blocks.columns,
                extra_vectors=batch - 1,
                weights=self._slot(one, one.weights, one.weights_pitch, ahead),
                input=(emitter.register(one.inputs, strides=(0, 0, one.inputs_pitch)), 0),
                accumulators=self._stay(place, one, first, steps, done)
                if one.stays
                else self._slot(one, one.spill, one.spill_pitch, ahead, one.step_bytes),
                bias=(emitter.register(one.bias + 4 * done, strides=(0, 4 * blocks.rows)), 0),
                signals=[] if one.stays else [Token(self._spilled)],
            )
        emitter.emit("sync", layer=layer, unit=Unit.MATRIX, signals=[Token(self._emptied)])
        if one.stays:
            return
        pitch = one.sums.row_bytes
        address = self.shared.placement.sequences[one.sums.name] + first * pitch + 4 * done * batch
        emitter.emit(
            "store",
            layer=layer,
            memory=Memory.ACCUMULATORS,
            destination=(emitter.register(address, strides=(steps * pitch, 4 * blocks.rows * batch)), 0),
            source=self._slot(one, one.spill, one.spill_pitch, ahead),
            row_bytes=4 * rows * batch,
            rows=steps,
            source_pitch=one.step_bytes,
            destination_pitch=pitch,
            waits=[Token(self._spilled, each=True)],
            signals=[Token(self._spill_free)],
        )

    def _stay(self, place: Place, one: Projection, first: int, steps: int, done: int) -> Operand:
        """Where the sums of a step stay, in the order in which the stage handles steps; `done` rows are before them."""
        pitch = one.ring_pitch
        handled, stride = (place.stage.steps - 1 - first, -pitch) if place.stage.reverse else (first, pitch)
        rows = 4 * one.blocks.rows * place.stage.batch
        address = one.ring + handled * pitch + 4 * done * place.stage.batch
        return self.emitter.register(address, strides=(steps * stride, rows, stride)), 0

    def _slot(self, one: Projection, base: int, pitch: int, ahead: int = 0, step: int = 0) -> Operand:
        """Of two, the slot of the block `ahead` of the block loop's: they take turns through all projections."""
        strides = (one.blocks.count * pitch, pitch, step)
        phase = (self._blocks + ahead) % 2 * pitch
        return self.emitter.register(base, phase=phase, wrap=2 * pitch, strides=strides), 0
