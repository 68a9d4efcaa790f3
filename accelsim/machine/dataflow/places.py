"""Where the numbers lie that following a program needs, all in one array of integers, `m`.

A memory's bytes are kept in granules: so many bytes that each access of the program begins and ends with one. All that
is ever asked of a range of bytes is which was written last, so a granule has one cycle, that of its last byte, and
nothing is lost.
"""

from __future__ import annotations

from accelsim.isa.opcodes import Memory

DRAM = len(Memory)
"""The DRAM bytes that the program stores to; with a cycle each, as the SRAMs before."""
TOUCHED = DRAM + 1
"""The DRAM bytes that it reads or writes; with a mark each."""
MEMORIES = TOUCHED + 1
MEMORY_SIZE = 4
GRANULE, FIRST, END, AT = range(MEMORY_SIZE)
"""Bytes of a granule; first byte and end of what is kept of the memory; number of its first granule among all kept."""

OPERAND = MEMORY_SIZE * MEMORIES
"""The operands of a vector instruction, those read first."""
READS, OPERANDS = 5, 7
SOURCE, ADDEND, FACTOR, TERM, CHANNELS, DESTINATION, KEPT = range(OPERANDS)
OPERAND_SIZE = 4
O_MEMORY, O_ADDRESS, O_WIDTH, O_LEFT = range(OPERAND_SIZE)
"""Its memory, first byte, bytes an element (0: there is none), cycles from its reading until the result is written."""

FOLLOWS = OPERAND + OPERAND_SIZE * OPERANDS
"""Whether results are followed; else it is only looked how far the program reaches."""
FRAMED = FOLLOWS + 1
"""Whether a `frame` has been passed."""
MACS = FRAMED + 1
LAST = MACS + 1
"""The last cycle in which something is written."""
SENT = LAST + 1
"""Granules of the output that were written."""
SIZE = SENT + 1

READ_FIRST, WRITTEN, IS_OUTPUT, IS_SENT = 1, 2, 4, 8
"""Marks of a granule of DRAM: read before the program wrote it; written; of the output tensor; written as that."""
BLOCK_BITS = 8
"""log2 of the granules of a block: where all of one are marked as read, none is looked at again."""
