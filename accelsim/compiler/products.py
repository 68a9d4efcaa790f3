"""Matrix products: weights on the chip, or streamed through two slots block by block."""

from __future__ import annotations

from accelsim.compiler.cells import HIDDEN, INPUT
from accelsim.compiler.emitter import Operand, Token
from accelsim.compiler.layout import tile_bytes, weights_bytes
from accelsim.compiler.placed import PlacedProduct
from accelsim.compiler.shared import Place, Shared
from accelsim.isa.opcodes import Memory, Start, Unit


class Products:
    """Emits the products of stages.

    Parameters
    ----------
    shared : Shared
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared

    def input_product(self, place: Place) -> None:
        """The products with what feeds the stage; what holds for all is waited for and signalled once."""
        link, stage = place.link, place.stage
        waits = [Token(link.ready), Token(link.weights), Token(link.sums_free)]
        signals = [Token(link.weights)]
        if isinstance(stage.source, int):
            before = self.shared.places[self._segment(place)][stage.source]
            source = self.shared.result(before, stage.delay - before.stage.delay)
        else:
            placed = place.placed
            begin = stage.first + stage.delay
            source = self.shared.ring(placed.input_ring, placed.input_slots, placed.input_pitch, begin)
            signals.append(Token(link.input_free))
        self._products(place, stage.cell.reading(INPUT), source, waits, signals)

    def recurrent_product(self, place: Place) -> None:
        """The products with the stage's own last result."""
        waits, signals = [Token(place.link.hidden)], []
        if place.stage.hoisted:
            # What the input's product waits for otherwise.
            waits.append(Token(place.link.weights))
            signals.append(Token(place.link.weights))
            early = any(step.takes_sums in place.stage.ahead for step in place.stage.cell.steps)
            if not early and not place.placed.sums_stay:
                waits.append(Token(place.link.sums_there))
        self._products(place, place.stage.cell.reading(HIDDEN), self.shared.result(place, 1), waits, signals)

    def _products(
        self, place: Place, which: list[int], source: Operand, waits: list[Token], signals: list[Token]
    ) -> None:
        """Products with the same operand, in order: the first waits for it, the last tells that it is read."""
        for number in which:
            sums = place.link.sums[number]
            own = [Token(sums, each=self.shared.chained)] if sums else []
            before, behind = number == which[0], number == which[-1]
            self._product(place, number, source, waits if before else [], [*(signals if behind else []), *own])

    def inner_product(self, place: Place, which: int, ready: int) -> None:
        """A product with one of the cell's own buffers, for which `ready` is signalled."""
        buffer = place.placed.buffers[place.stage.cell.products[which].reads]
        sums = Token(place.link.sums[which], each=self.shared.chained)
        source = self.shared.emitter.operand("matmul", "input", buffer)
        self._product(place, which, source, [Token(ready)], [sums])

    def _segment(self, place: Place) -> int:
        return self.shared.plan.segments.index(place.segment)

    def _product(self, place: Place, which: int, source: Operand, waits: list[Token], signals: list[Token]) -> None:
        one, guard = place.placed.products[which], self.shared.guard(place)
        emitter, layer, mac = self.shared.emitter, place.layer, self.shared.chip.mac
        if not one.block_rows:
            emitter.emit(
                "matmul",
                layer=layer,
                guard=guard,
                start=Start.BIAS,
                rows=one.product.rows,
                columns=one.product.columns,
                extra_vectors=place.stage.batch - 1,
                weights=emitter.operand("matmul", "weights", one.weights),
                input=source,
                accumulators=emitter.operand("matmul", "accumulators", one.sums),
                bias=emitter.operand("matmul", "bias", one.bias),
                waits=waits,
                signals=signals,
            )
            return
        # What holds for the product as a whole is waited for and signalled around its blocks.
        chained = [token for token in signals if token.each]
        whole = [token for token in signals if not token.each]
        emitter.emit("sync", layer=layer, guard=guard, unit=Unit.MATRIX, waits=waits)
        if one.blocks:
            rows = one.block_rows
            strides = (
                (1, one.dram, weights_bytes(rows, one.product.columns, mac)),
                (2, one.sums, 4 * rows * place.stage.batch),
                (3, one.bias, 4 * rows),
            )
            slot = self._slot(place, one, 0, one.slot_bytes)
            operands = [
                (emitter.scratch(number, address, strides=(0, stride), layer=layer, guard=guard), 0)
                for number, address, stride in strides
            ]
            with emitter.loop(one.blocks, guard=guard, layer=layer):
                self._block(place, one, source, rows, slot, operands, chained)
        if one.rest_rows:
            done = one.blocks * one.block_rows
            slot = self._slot(place, one, one.blocks, 0)
            operands = [
                emitter.operand("load", "source", one.dram + weights_bytes(done, one.product.columns, mac)),
                emitter.operand("matmul", "accumulators", one.sums + 4 * done * place.stage.batch),
                emitter.operand("matmul", "bias", one.bias + 4 * done),
            ]
            self._block(place, one, source, one.rest_rows, slot, operands, chained)
        if whole:
            emitter.emit("sync", layer=layer, guard=guard, unit=Unit.MATRIX, signals=whole)

    def _slot(self, place: Place, one: PlacedProduct, first: int, stride: int) -> Operand:
        """Where block `first` of a step goes: the two slots take turns through all blocks of all steps."""
        a_step = one.blocks + (1 if one.rest_rows else 0)
        begin = place.stage.waves(place.stage.first, place.stage.last)[0]
        register = self.shared.emitter.scratch(
            0,
            one.weights,
            phase=(first - begin * a_step) % 2 * one.slot_bytes,
            wrap=2 * one.slot_bytes,
            strides=(a_step * one.slot_bytes, stride),
            layer=place.layer,
            guard=self.shared.guard(place),
        )
        return register, 0

    def _block(
        self,
        place: Place,
        one: PlacedProduct,
        source: Operand,
        rows: int,
        slot: Operand,
        operands: list[Operand],
        signals: list[Token],
    ) -> None:
        """Load a block of rows into its slot, and use it; `operands` are DRAM, accumulators and bias."""
        emitter, guard = self.shared.emitter, self.shared.guard(place)
        filled, free = self._block_semaphores(place, one)
        dram, sums, bias = operands
        pitch = tile_bytes(one.product.columns, self.shared.chip.mac)
        emitter.emit(
            "load",
            layer=place.layer,
            guard=guard,
            memory=Memory.WEIGHTS,
            source=dram,
            destination=slot,
            row_bytes=pitch,
            rows=-(-rows // self.shared.chip.mac.rows),
            source_pitch=pitch,
            destination_pitch=pitch,
            waits=[Token(free)],
            signals=[Token(filled)],
        )
        emitter.emit(
            "matmul",
            layer=place.layer,
            guard=guard,
            start=Start.BIAS,
            rows=rows,
            columns=one.product.columns,
            extra_vectors=place.stage.batch - 1,
            weights=slot,
            input=source,
            accumulators=sums,
            bias=bias,
            waits=[Token(filled)],
            signals=[Token(free), *signals],
        )

    def _block_semaphores(self, place: Place, one: PlacedProduct) -> tuple[int, int]:
        """(filled, free) of a streamed product's slots; both are free at first."""
        blocks = place.link.blocks
        key = id(one)
        if key not in blocks:
            blocks[key] = self.shared.emitter.semaphore(), self.shared.emitter.semaphore()
            self.shared.emitter.credit(blocks[key][1], 2)
        return blocks[key]
