"""The lower bound by a walk in Python, with a cycle for every byte: simple and slow, the compiled one's judge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.chip import Chip
from accelsim.isa import Access, accesses
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.isa.stages import place_operations
from accelsim.machine.memory import DRAM, MemoryImage
from accelsim.profile.bounds import Bound
from accelsim.timing.record import MEMORY_NAMES
from accelsim.timing.rules import burst_bytes_at, bus_cycle, padded_columns, tile_groups
from accelsim.timing.stream import Operation, executing_unit, program_bytes, walk

_MEMORIES = {name: number for number, name in enumerate(MEMORY_NAMES)}


def walked_bound(program: Program) -> Bound:
    """`lower_bound`, byte by byte."""
    flow = _Dataflow(program)
    macs, words = 0, program_bytes(program)
    for operation in walk(program.instructions, program.name):
        if operation is not None:
            if operation.name == "frame":
                stored = flow.stored
                flow, macs, words = _Dataflow(program), 0, 0
                flow.stored = stored
            flow.follow(operation)
            if operation.name == "matmul":
                vectors = operation.fields["extra_vectors"] + 1
                macs += operation.fields["rows"] * operation.fields["columns"] * vectors
    chip = program.chip
    peak = chip.mac.rows * chip.mac.columns * chip.mac.batch_columns
    moved = int(np.count_nonzero(flow.brought)) + int(np.count_nonzero(flow.sent)) + words
    dram_cycles = bus_cycle(moved * chip.dram.rate.denominator, chip.dram.rate.numerator)
    return Bound(-(-macs // peak), dram_cycles, flow.last + 1)


class _Dataflow:
    """For every byte the earliest cycle in which it can have been written; -1 for what was there before."""

    def __init__(self, program: Program) -> None:
        self.chip: Chip = program.chip
        sizes = MemoryImage(program).sizes
        self.written = [np.full(size, -1, dtype=np.int64) for size in sizes]
        self.stored, self.brought, self.sent, self.output = (np.zeros(sizes[DRAM], dtype=np.bool_) for _ in range(4))
        for tensor in program.outputs:
            self.output[tensor.address : tensor.end] = True
        self.last = 0

    def follow(self, operation: Operation) -> None:
        """Move results on through an operation."""
        if operation.name not in ("load", "store", "matmul", "vector"):
            return
        mac = self.chip.mac
        parts = accesses(operation.instruction, operation.addresses, mac.rows, mac.weight_block_columns)
        reads = [part for part in parts if not part.is_write]
        writes = [part for part in parts if part.is_write]
        if operation.name == "matmul":
            self._matmul(operation, reads, writes[0])
        elif operation.name == "vector":
            self._vector(operation, reads, writes)
        elif executing_unit(operation, self.chip) == Unit.VECTOR:
            self._streamed(writes[0])
        else:
            self._transfer(operation, reads[0], writes[0])

    def _range(self, access: Access, start: int, size: int) -> NDArray[np.int64]:
        first = access.address + start
        return self.written[_MEMORIES[access.memory]][first : first + size]

    def _put(self, access: Access, start: int, size: int, cycle: int) -> None:
        self._range(access, start, size)[:] = cycle
        self.last = max(self.last, cycle)

    def _matmul(self, operation: Operation, reads: list[Access], write: Access) -> None:
        fields, mac = operation.fields, self.chip.mac
        columns, vectors = fields["columns"], fields["extra_vectors"] + 1
        stored = padded_columns(columns, mac.weight_block_columns)
        turns = -(-columns // mac.columns) * -(-vectors // mac.batch_columns)
        groups = tile_groups(-(-fields["rows"] // mac.rows), mac.accumulate_interval_cycles)
        # Beats from a tile's last back to that of the tile before it; a group's first has all but one turn in between.
        apart = [1 if tile else (turns - 1) * tiles + 1 for tiles in groups for tile in range(tiles)]
        issued, written = -1, -mac.drain_cycles
        for first, beats in zip(range(0, fields["rows"], mac.rows), apart, strict=True):
            size = min(mac.rows, fields["rows"] - first)
            ready = -1
            for access in reads:
                if access.operand == "input":
                    part = self._range(access, 0, columns * vectors)
                elif access.operand == "weights":
                    part = self._range(access, first * stored, mac.rows * columns)
                elif access.operand == "bias":
                    part = self._range(access, 4 * first, 4 * size)
                else:
                    part = self._range(access, 4 * first * vectors, 4 * size * vectors)
                ready = max(ready, int(part.max()))
            # The tile's last beat comes after everything it sums, and a beat a cycle after the tile before.
            issued = max(issued + beats, ready + 1)
            written = max(issued + mac.latency_cycles, written + mac.drain_cycles)
            self._put(write, 4 * first * vectors, 4 * size * vectors, written)

    def _vector(self, operation: Operation, reads: list[Access], writes: list[Access]) -> None:
        length, lanes, pipeline = operation.fields["length"], self.chip.vector.lanes, self.chip.vector.pipeline
        places = place_operations(operation.fields, pipeline) or {}
        # From a beat in each stage until its result is written.
        left = [sum(stage.latency_cycles for stage in pipeline[number:]) for number in range(len(pipeline))]
        written = -1
        for first in range(0, length, lanes):
            size = min(lanes, length - first)
            written += 1
            for access in reads:
                if access.operand == "parameters" and access.address == operation.addresses["parameters"]:
                    # The parameter block, all of it read by the first beat.
                    part = self._range(access, 0, access.row_bytes)
                else:
                    each = access.row_bytes // length
                    part = self._range(access, each * first, each * size)
                written = max(written, int(part.max()) + 1 + left[places.get(access.operand, 0)])
            for write in writes:
                width = write.row_bytes // length
                self._put(write, width * first, width * size, written)

    def _streamed(self, write: Access) -> None:
        """A load through the vector unit's last stage; its data is there."""
        vector = self.chip.vector
        issued = -1
        for row in range(write.count):
            for first in range(0, write.row_bytes, vector.lanes):
                issued += 1
                size, written = min(vector.lanes, write.row_bytes - first), issued + vector.pipeline[-1].latency_cycles
                self._put(write, row * write.pitch + first, size, written)

    def _transfer(self, operation: Operation, read: Access, write: Access) -> None:
        dram, rate = self.chip.dram, self.chip.dram.rate
        is_load = operation.name == "load"
        latency = (dram.read_latency_cycles if is_load else dram.write_latency_cycles) + self.chip.dma.latency_cycles
        outside = read if is_load else write
        # Times of the bus in units of 1 / rate.numerator cycles.
        free = 0
        for row in range(read.count):
            first = outside.address + row * outside.pitch
            here = slice(first, first + outside.row_bytes)
            if is_load:
                self.brought[here] |= ~self.stored[here]
            else:
                self.stored[here] = True
                self.sent[here] |= self.output[here]
            done = 0
            while done < read.row_bytes:
                size = burst_bytes_at(first + done, read.row_bytes - done, dram.burst_bytes)
                ready = int(self._range(read, row * read.pitch + done, size).max())
                free = max(free, (ready + 1) * rate.numerator) + size * rate.denominator
                cycle = bus_cycle(free, rate.numerator) + latency
                self._put(write, row * write.pitch + done, size, cycle)
                done += size
