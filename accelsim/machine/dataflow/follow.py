"""A program followed from result to result: what bounds its cycles from below."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InternalError
from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Op
from accelsim.isa.program import Program
from accelsim.jit import Int64s, UInt8s, kernel
from accelsim.machine.dataflow import places as at
from accelsim.machine.dataflow.moves import move
from accelsim.machine.dataflow.reach import reach
from accelsim.machine.dataflow.walk import STATE_SIZE, next_operation
from accelsim.machine.fast import layout as lay
from accelsim.machine.fast.tables import chip_table, program_table
from accelsim.machine.memory import memory_sizes
from accelsim.machine.ranges import check_ranges
from accelsim.timing.stream import walk

_FRAME = int(Op.FRAME)
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Flow:
    """What a program's operations are, without the units that execute them; of the frame, where there is a set-up.

    Parameters
    ----------
    macs : int
        Multiply-accumulates.
    read_bytes : int
        DRAM bytes that are read before the program has written them, each once.
    output_bytes : int
        Bytes of the output tensors that are written, each once.
    last_cycle : int
        The earliest cycle in which the last result can be written.
    has_setup : bool
        Whether a `frame` separates a set-up part.
    """

    macs: int
    read_bytes: int
    output_bytes: int
    last_cycle: int
    has_setup: bool


def follow_program(program: Program) -> Flow:
    """Follow each byte from its writer to its readers, in program order, with a unit for every instruction.

    These are the least delays, by the rules of isa/ISA.md:

    * A result can be read in the cycle after it is written, and is written a unit's latency after its beat.
    * A product issues a beat for each of its tiles, one a cycle; the last of a row tile comes after all it sums.
    * A vector instruction issues a beat for its lanes' worth of elements, one a cycle. An operand is read in its stage.
    * A load through the vector unit issues a beat for as many bytes as there are lanes; its data is there.
    * A transfer moves burst after burst over a bus of its own. A load's request reads all bytes of its burst at once,
      and asks for the bus in that cycle, so not before the last of them is written. None of them can land before the
      whole burst has passed the bus. A store's burst asks for the bus after its last beat, `dma.latency_cycles`
      later, and is written to DRAM as a whole. So a burst is done no earlier than its own bytes after its last byte
      could be read, nor than its own bytes after the burst before, and a byte's cycle is that of its burst: of what
      comes behind it in the transfer nothing counts. That a DMA has a beat, or a request, a cycle is left out.

    Memory: 8 bytes for each granule of the SRAM and DRAM ranges that the program writes, one for each of the DRAM
    ranges that it touches. A granule is a byte at worst; weights in tiles have granules of hundreds.

    Parameters
    ----------
    program : Program

    Raises
    ------
    InputError
        As the engines raise it: an access outside a memory, a program that runs on past its end.
    """
    sizes = memory_sizes(program)
    c, p = chip_table(program), program_table(program, sizes, periods=False)
    m = _reach(program, c, p, sizes)
    w = np.full(_place(m), -1, dtype=np.int64)
    granule, first, end = (int(m[at.MEMORY_SIZE * at.TOUCHED + field]) for field in (at.GRANULE, at.FIRST, at.END))
    marks = np.zeros((end - first) // granule, dtype=np.uint8)
    for tensor in program.outputs:
        begin, stop = max(tensor.address - first, 0) // granule, max(min(tensor.end, end) - first, 0) // granule
        marks[begin:stop] |= at.IS_OUTPUT
    full = np.zeros((len(marks) >> at.BLOCK_BITS) + 1, dtype=np.int64)
    m[at.FOLLOWS] = 1
    s = _begin()
    operations(s, c, p, m, w, marks, full)
    while s[lay.STATUS] == lay.RUNNING:
        # The frame begins anew; only that the program has written a byte is not forgotten.
        w[:] = -1
        marks &= at.WRITTEN | at.IS_OUTPUT
        full[:] = 0
        m[[at.MACS, at.LAST, at.SENT]] = 0
        operations(s, c, p, m, w, marks, full)
    return Flow(
        macs=int(m[at.MACS]),
        read_bytes=int(full.sum()) * granule,
        output_bytes=int(m[at.SENT]) * granule,
        last_cycle=int(m[at.LAST]),
        has_setup=bool(m[at.FRAMED]),
    )


def _reach(program: Program, c: Ints, p: Ints, sizes: list[int]) -> Ints:
    """Which parts of the memories the program writes, and its granules; the tables of what is kept of them."""
    m = np.zeros(at.SIZE, dtype=np.int64)
    memories = m[: at.OPERAND].reshape(at.MEMORIES, at.MEMORY_SIZE)
    memories[:, at.FIRST] = lay.NEVER
    bounds = [bound for tensor in program.outputs for bound in (tensor.address, tensor.end)]
    memories[at.DRAM, at.GRANULE] = math.gcd(program.chip.dram.burst_bytes, *bounds)
    s, nothing = _begin(), np.zeros(0, dtype=np.int64)
    while s[lay.STATUS] == lay.RUNNING:
        operations(s, c, p, m, nothing, np.zeros(0, dtype=np.uint8), nothing)
    if s[lay.STATUS] != lay.DONE:
        # The other walk says what is wrong.
        for operation in walk(program.instructions, program.name):
            if operation is not None:
                check_ranges(operation, program, sizes)
        raise InternalError(f"{program.name}: instruction {s[lay.FAULT_INDEX]} is right, and was found not to be")
    memories[at.TOUCHED, at.GRANULE] = memories[at.DRAM, at.GRANULE]
    untouched = memories[:, at.END] == 0
    memories[untouched, at.FIRST] = 0
    memories[memories[:, at.GRANULE] == 0, at.GRANULE] = 1
    return m


def _place(m: Ints) -> int:
    """Lay out the granules one memory after the other; returns their number."""
    memories = m[: at.OPERAND].reshape(at.MEMORIES, at.MEMORY_SIZE)
    counts = (memories[: at.TOUCHED, at.END] - memories[: at.TOUCHED, at.FIRST]) // memories[: at.TOUCHED, at.GRANULE]
    memories[: at.TOUCHED, at.AT] = np.cumsum(counts) - counts
    return int(counts.sum())


def _begin() -> Ints:
    return np.zeros(STATE_SIZE, dtype=np.int64)


@kernel
def operations(s: Int64s, c: Int64s, p: Int64s, m: Int64s, w: Int64s, marks: UInt8s, full: Int64s) -> None:
    """Go through the operations up to the next `frame` or the end; STATUS says which.

    Parameters
    ----------
    s : int64[walk.STATE_SIZE]
    c, p : int64 arrays
        Chip and program, as `fast.layout` says.
    m : int64[places.SIZE]
    w : int64[granules that are written]
        Their cycles.
    marks : uint8[granules of DRAM that are touched]
    full : int64[their blocks]
    """
    code = next_operation(s, c, p)
    while code >= 0:
        if p[code + isa.COL_OPCODE] == _FRAME:
            m[at.FRAMED] = 1
            return
        if m[at.FOLLOWS]:
            move(s, c, p, m, w, marks, full, code)
        else:
            reach(s, c, p, m, code)
        code = next_operation(s, c, p)
