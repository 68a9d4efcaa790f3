"""`--check hazards`: does every read see the version that program order says?

At dispatch, in program order, each operation notes for every byte it will read which operation should have written it
last. When it does read, that is compared with who did write it last. A difference is a missing or wrong semaphore,
whatever the values happen to be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.isa import Access, accesses
from accelsim.isa.assembler import format_instruction
from accelsim.isa.program import Program
from accelsim.machine.memory import DRAM
from accelsim.timing.record import MEMORY_NAMES
from accelsim.timing.stream import Operation

_NOBODY = -1
_HOST = -2
_KEEP = 8
"""Hazards described; all are counted."""


@dataclass(slots=True)
class _Promise:
    """What an operation should find: for a range of a memory, the writer of each byte."""

    memory: int
    address: int
    writers: NDArray[np.int64]


class HazardChecker:
    """Versions of every byte of every memory.

    Parameters
    ----------
    program : Program
    sizes : sequence of int
        Bytes of each memory, DRAM last.
    """

    def __init__(self, program: Program, sizes: list[int]) -> None:
        self.program = program
        self.found: list[str] = []
        self.count = 0
        self._planned = [np.full(size, _NOBODY, dtype=np.int64) for size in sizes]
        self._planned[DRAM][:] = _HOST
        self._actual = [array.copy() for array in self._planned]
        self._promises: dict[int, list[_Promise]] = {}
        self._index: list[int] = []
        self._seen: set[tuple[int, int, int]] = set()

    def dispatched(self, operation: Operation) -> None:
        """Note what the operation should read, then what it will write; call in program order."""
        self._index.append(operation.index)
        promises = self._promises[operation.sequence] = []
        mac = self.program.chip.mac
        found = accesses(operation.instruction, operation.addresses, mac.rows, mac.weight_block_columns)
        self._compare_with_itself(operation, found)
        for access in found:
            memory = MEMORY_NAMES.index(access.memory)
            for row in range(access.count):
                first = access.address + row * access.pitch
                planned = self._planned[memory][first : first + access.row_bytes]
                if access.is_write:
                    planned[:] = operation.sequence
                else:
                    promises.append(_Promise(memory, first, planned.copy()))

    def _compare_with_itself(self, operation: Operation, found: list[Access]) -> None:
        """An instruction's own reads and writes are in no order, unless it writes just where it reads."""
        for write in found:
            for read in found:
                in_place = (read.address, read.row_bytes) == (write.address, write.row_bytes)
                if write.is_write and not read.is_write and not in_place and write.overlaps(read):
                    key = operation.index, operation.index, MEMORY_NAMES.index(write.memory)
                    text = f"{self._name(operation.index)} writes {write.memory} 0x{write.address:x} over its own"
                    self._add(key, f"{text} {read.operand} at 0x{read.address:x}")

    def read(self, operation: Operation, memory: int, address: int, size: int, cycle: int) -> None:
        """Compare what the operation finds with what it should."""
        found = self._actual[memory][address : address + size]
        for promise in self._promises[operation.sequence]:
            start, end = max(address, promise.address), min(address + size, promise.address + promise.writers.size)
            if promise.memory != memory or start >= end:
                continue
            expected = promise.writers[start - promise.address : end - promise.address]
            actual = found[start - address : end - address]
            # What it has itself written are other vectors' sums: `_compare_with_itself` sees what may not be.
            other = (expected != actual) & (actual != operation.sequence)
            wrong = np.flatnonzero(other | (expected == _NOBODY))
            if wrong.size:
                at = int(wrong[0])
                self._report(operation, memory, start + at, int(expected[at]), int(actual[at]), cycle)
                return

    def wrote(self, operation: Operation, memory: int, address: int, size: int) -> None:
        """The operation's result is in the memory."""
        self._actual[memory][address : address + size] = operation.sequence

    def finished(self, operation: Operation) -> None:
        """The operation reads no more."""
        self._promises.pop(operation.sequence, None)

    def _report(self, operation: Operation, memory: int, address: int, expected: int, actual: int, cycle: int) -> None:
        other = expected if actual < expected else actual
        place = f"{MEMORY_NAMES[memory]} 0x{address:x}"
        reader = self._name(operation.index)
        if expected == _NOBODY:
            text = f"{reader} reads {place} in cycle {cycle}, which nothing has written"
        elif actual < expected:
            text = f"{reader} reads {place} in cycle {cycle}, before {self._name(self._index[expected])} has written it"
        else:
            text = (
                f"{reader} reads {place} in cycle {cycle}, after {self._name(self._index[actual])} has overwritten it"
            )
        self._add((operation.index, self._index[other] if other >= 0 else other, memory), text)

    def _add(self, key: tuple[int, int, int], text: str) -> None:
        self.count += 1
        if key not in self._seen and len(self.found) < _KEEP:
            self._seen.add(key)
            self.found.append(text)

    def _name(self, index: int) -> str:
        layer = self.program.layer_of(index)
        text = format_instruction(self.program.instructions[index]).split()[0]
        return f"instruction {index} ({text}, layer {layer.name if layer else 'none'})"
