"""The vector instructions of a wave: each step of each cell, with the semaphores that order them."""

from __future__ import annotations

from accelsim.compiler.cells import INPUT, RESULT, Step, Sums
from accelsim.compiler.emitter import Operand, Token
from accelsim.compiler.shared import Place, Shared
from accelsim.compiler.stages import Sink
from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Destination, Requantize, Source, Unit

_WAITS = _SIGNALS = 3
"""Semaphores an instruction can wait for, and signals it can give."""


class Phases:
    """Emits the vector instructions of stages.

    Parameters
    ----------
    shared : Shared
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        # Between the same two phases, producers and consumers of all stages take turns in the same order, and share.
        self._between: dict[tuple[int, int, int], int] = {}
        self._inner: dict[tuple[int, str], int] = {}

    def inner_ready(self, place: Place, buffer: str) -> int:
        """The semaphore that says that a buffer which a product reads is written."""
        key = place.layer, buffer
        if key not in self._inner:
            self._inner[key] = self.shared.emitter.semaphore()
        return self._inner[key]

    def step(self, place: Place, number: int) -> None:
        """A stage's vector instruction of phase `number`."""
        shared, cell = self.shared, place.stage.cell
        step = cell.steps[number]
        waits = self._waits(place, number)
        signals = self._signals(place, number)
        late: list[tuple[int, int]] = []
        if step.name == RESULT:
            room = self._make_room(place)
            inline = _WAITS - len(waits)
            waits += room[:inline]
            if room[inline:]:
                sync = [Token(token.semaphore) for token in room[inline:]]
                shared.emitter.emit("sync", layer=place.layer, guard=shared.guard(place), unit=Unit.VECTOR, waits=sync)
            more, late = self._announce(place)
            if len(signals) + len(more) > _SIGNALS:
                extra = _SIGNALS - len(signals)
                late += [(token.semaphore, 0) for token in more[extra:]]
                more = more[:extra]
            signals += more
        shared.vector(
            place,
            place.placed.blocks[step.name],
            guard=shared.guard(place),
            waits=waits,
            signals=signals,
            length=place.stage.elements,
            **self._fields(place, step),
        )
        for semaphore, guard in late:
            # In order behind the result, and through the same pipeline.
            shared.emitter.emit(
                "sync",
                layer=place.layer,
                guard=guard or shared.guard(place),
                unit=Unit.VECTOR,
                signals=[Token(semaphore)],
            )

    def _fields(self, place: Place, step: Step) -> dict[str, int | Operand]:
        shared = self.shared
        fields: dict[str, int | Operand] = {
            "activation": step.activation,
            "shift": step.shift,
            "output_requantize": int(step.output_requantize),
        }
        if isinstance(step.source, Sums):
            fields["source_type"] = Source.INT32
            fields["requantize"] = Requantize.REAL if step.real else Requantize.SCALAR
            fields["source"] = self._sums(place, step.source, "source")
        elif step.source is not None:
            fields["source_type"] = Source.INT8 if step.source.endswith("8") else Source.INT16
            fields["source"] = shared.buffer(place, step.source, "source")
        fields["addend_type"] = step.addend_type
        if isinstance(step.addend, Sums):
            fields["addend"] = self._sums(place, step.addend, "addend")
        elif step.addend is not None:
            fields["addend"] = shared.buffer(place, step.addend, "addend")
        if step.keep is not None:
            fields["keep"] = 1
            fields["kept"] = shared.buffer(place, step.keep, "kept")
        if step.factor is not None:
            fields["multiply"] = 1
            fields["factor"] = shared.buffer(place, step.factor, "factor")
        if step.term is not None:
            fields["accumulate"] = 1
            fields["term"] = shared.buffer(place, step.term, "term")
        if step.destination == RESULT:
            fields["destination_type"] = Destination.INT8
            fields["destination"] = shared.result(place, 0)
        else:
            narrow = step.destination.endswith("8")
            fields["destination_type"] = Destination.INT8 if narrow else Destination.INT16
            fields["destination"] = shared.buffer(place, step.destination, "destination")
        return fields

    def _sums(self, place: Place, sums: Sums, operand: str) -> Operand:
        address = place.placed.products[sums.product].sums + 4 * sums.row * place.stage.batch
        ahead = place.placed.projection
        if ahead is None or sums.product not in place.stage.ahead or ahead.ring_slots == 1:
            return self.shared.at(operand, address)
        return self.shared.ring(address, ahead.ring_slots, ahead.ring_pitch, place.stage.first + place.stage.delay)

    def _waits(self, place: Place, number: int) -> list[Token]:
        """The elements it takes. Unchained, a product's first reader waits for all of it."""
        shared, cell = self.shared, place.stage.cell
        step = cell.steps[number]
        waits = []
        product = step.takes_sums
        if product in place.stage.ahead:
            # The sums of all input products come at once.
            first = next(at for at, one in enumerate(cell.steps) if one.takes_sums in place.stage.ahead)
            if number == first and not place.placed.sums_stay:
                waits.append(Token(place.link.sums_there))
        elif product is not None:
            first = next(place for place, one in enumerate(cell.steps) if one.takes_sums == product)
            if shared.chained or first == number:
                waits.append(Token(place.link.sums[product], shared.chained))
        names = [one.name for one in cell.steps]
        waits += [Token(self._pair(place, names.index(name), number), shared.chained) for name in step.after]
        waits += [Token(self._pair(place, names.index(name), number), at=at) for name, at in step.needs]
        return waits

    def _signals(self, place: Place, number: int) -> list[Token]:
        """To the steps that take its elements, to a product that reads its buffer, and when input sums are read."""
        shared, cell = self.shared, place.stage.cell
        step = cell.steps[number]
        signals = [
            Token(self._pair(place, number, later), shared.chained)
            for later, one in enumerate(cell.steps)
            if step.name in one.after
        ]
        signals += [
            Token(self._pair(place, number, later))
            for later, one in enumerate(cell.steps)
            if step.name in dict(one.needs)
        ]
        if any(product.reads == step.destination for product in cell.products):
            signals.append(Token(self.inner_ready(place, step.destination)))
        of_input = cell.reading(INPUT)
        readers = [
            number
            for number, one in enumerate(cell.steps)
            if any(isinstance(read, Sums) and read.product in of_input for read in (one.source, one.addend))
        ]
        if readers[-1] == number and not place.placed.sums_stay:
            signals.append(Token(place.link.sums_free))
        return signals

    def _pair(self, place: Place, producer: int, consumer: int) -> int:
        # Where stages of the vector unit wait side by side, an instruction may overtake one of another stage's turn.
        key = place.layer if len(self.shared.chip.vector.pipeline) > 1 else -1, producer, consumer
        if key not in self._between:
            self._between[key] = self.shared.emitter.semaphore()
        return self._between[key]

    def _announce(self, place: Place) -> tuple[list[Token], list[tuple[int, int]]]:
        """Who is told of the result: at once, and a reader that wants only some steps by a guarded sync."""
        shared, stage = self.shared, place.stage
        tokens = [Token(place.link.hidden)] if place.link.hidden else []
        # Of steps that don't leave, the store unit takes the token all the same: it has time, the vector unit has not.
        tokens += [Token(ready) for ready, _ in place.link.stored]
        reader = place.segment.reader(place.index)
        if reader is None:
            return tokens, []
        other = self._reader(place, reader)
        first, last = other.stage.first, other.stage.last
        if (first, last) == (stage.first, stage.last):
            return [*tokens, Token(other.link.ready)], []
        return tokens, [(other.link.ready, shared.guard(place, first, last))]

    def _reader(self, place: Place, index: int) -> Place:
        for places in self.shared.places:
            if place in places:
                return places[index]
        raise ValueError(index)

    def _make_room(self, place: Place) -> list[Token]:
        """Wait until what this result overwrites has left: inline where every step leaves, else where one did."""
        stage, slots = place.stage, place.placed.slots
        waits = []
        for sink, (_, free) in zip(stage.sinks, place.link.stored, strict=True):
            first, last = stage.handled(sink.first, sink.last)
            if (first, last) == (stage.first, stage.last):
                waits.append(Token(free, at=isa.Place.LAST))
            elif first + slots < stage.last:
                guard = self.shared.guard(place, first + slots, min(last + slots, stage.last))
                self.shared.emitter.emit("sync", layer=place.layer, guard=guard, unit=Unit.VECTOR, waits=[Token(free)])
        return waits

    def credits(self, place: Place) -> list[tuple[int, int]]:
        """(semaphore, count) of the slots that are free at first, for sinks that take every step."""
        stage = place.stage
        return [
            (free, place.placed.slots)
            for sink, (_, free) in zip(stage.sinks, place.link.stored, strict=True)
            if self._takes_all(place, sink)
        ]

    def _takes_all(self, place: Place, sink: Sink) -> bool:
        stage = place.stage
        return stage.handled(sink.first, sink.last) == (stage.first, stage.last)
