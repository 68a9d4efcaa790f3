"""Matrix products: weights on the chip, or streamed through two slots block by block."""

from __future__ import annotations

from accelsim.compiler.emitter import Operand, Token
from accelsim.compiler.placement import PlacedProduct, PlacedStage
from accelsim.compiler.shared import Shared
from accelsim.isa.opcodes import Memory, Start, Unit
from accelsim.quant.model import QLstm


class Products:
    """Emits the products of stages.

    Parameters
    ----------
    shared : Shared
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared

    def input_product(self, index: int, placed: PlacedStage) -> None:
        """The product with the stage before, or with the input; a linear layer's only one."""
        link = self.shared.links[index]
        waits = [Token(link.ready), Token(link.weights), Token(link.sums_free)]
        signals = [Token(link.weights)]
        if index == 0:
            source = self.shared.ring(
                self.shared.placement.input_ring,
                self.shared.placement.input_slots,
                self.shared.placement.input_pitch,
                0,
            )
            signals.append(Token(self.shared.input_free))
        else:
            before = self.shared.placement.stages[index - 1]
            behind = placed.stage.delay - before.stage.delay
            source = self.shared.ring(before.output, before.slots, self.shared.placement.pitch, behind)
        if not isinstance(placed.stage.layer, QLstm):
            signals.append(Token(link.sums, each=self.shared.chained))
        self._product(index, 0, source, waits, signals)

    def recurrent_product(self, index: int, placed: PlacedStage) -> None:
        """The product with the stage's own last hidden state."""
        link = self.shared.links[index]
        own = self.shared.ring(placed.output, placed.slots, self.shared.placement.pitch, 1)
        self._product(index, 1, own, [Token(link.hidden)], [Token(link.sums, each=self.shared.chained)])

    def _product(self, index: int, which: int, source: Operand, waits: list[Token], signals: list[Token]) -> None:
        placed = self.shared.placement.stages[index]
        one, sums, guard = placed.products[which], placed.accumulators[which], self.shared.guards[index]
        emitter = self.shared.emitter
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
        emitter, guard = self.shared.emitter, self.shared.guards[index]
        placed = self.shared.placement.stages[index]
        rest = first == one.blocks
        filled, free = self._block_semaphores(index, one)
        rows = one.rest_rows if rest else one.block_rows
        size = -(-rows // self.shared.chip.mac.rows) * self.shared.chip.mac.rows * one.product.columns
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
        blocks = self.shared.links[index].blocks
        key = id(one)
        if key not in blocks:
            blocks[key] = self.shared.emitter.semaphore(), self.shared.emitter.semaphore()
            self.shared.emitter.credit(blocks[key][1], 2)
        return blocks[key]
