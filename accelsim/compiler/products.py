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
            tiles = one.block_rows // self.shared.chip.mac.rows
            size = one.block_rows * one.product.columns
            slot = self._slot(index, one, 0, one.slot_bytes)
            operands = [
                (emitter.scratch(which, address, strides=(0, stride), layer=index, guard=guard), 0)
                for which, address, stride in (
                    (1, one.dram, size),
                    (2, sums, 4 * one.block_rows),
                    (3, one.bias, 4 * one.block_rows),
                )
            ]
            with emitter.loop(one.blocks, guard=guard, layer=index):
                self._block(index, one, source, tiles, one.block_rows, slot, operands, chained)
        if one.rest_rows:
            done = one.blocks * one.block_rows
            tiles = -(-one.rest_rows // self.shared.chip.mac.rows)
            slot = self._slot(index, one, one.blocks, 0)
            operands = [
                emitter.operand("load", "source", one.dram + done * one.product.columns),
                emitter.operand("matmul", "accumulators", sums + 4 * done),
                emitter.operand("matmul", "bias", one.bias + 4 * done),
            ]
            self._block(index, one, source, tiles, one.rest_rows, slot, operands, chained)
        if whole:
            emitter.emit("sync", layer=index, guard=guard, unit=Unit.MATRIX, signals=whole)

    def _slot(self, index: int, one: PlacedProduct, first: int, stride: int) -> Operand:
        """Where block `first` of a step goes: the two slots take turns through all blocks of all steps."""
        stage = self.shared.placement.stages[index].stage
        a_step = one.blocks + (1 if one.rest_rows else 0)
        register = self.shared.emitter.scratch(
            0,
            one.weights,
            phase=(first - (stage.first + stage.delay) * a_step) % 2 * one.slot_bytes,
            wrap=2 * one.slot_bytes,
            strides=(a_step * one.slot_bytes, stride),
            layer=index,
            guard=self.shared.guards[index],
        )
        return register, 0

    def _block(
        self,
        index: int,
        one: PlacedProduct,
        source: Operand,
        tiles: int,
        rows: int,
        slot: Operand,
        operands: list[Operand],
        signals: list[Token],
    ) -> None:
        """Load a block of row tiles into its slot, and use it; `operands` are DRAM, accumulators and bias."""
        emitter, guard = self.shared.emitter, self.shared.guards[index]
        filled, free = self._block_semaphores(index, one)
        dram, sums, bias = operands
        tile_bytes = self.shared.chip.mac.rows * one.product.columns
        emitter.emit(
            "load",
            layer=index,
            guard=guard,
            memory=Memory.WEIGHTS,
            source=dram,
            destination=slot,
            row_bytes=tile_bytes,
            rows=tiles,
            source_pitch=tile_bytes,
            destination_pitch=tile_bytes,
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
            accumulators=sums,
            bias=bias,
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
