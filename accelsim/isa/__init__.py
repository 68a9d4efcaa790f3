"""The instruction set: one checked definition, and everything that is derived from it."""

from accelsim.isa.codec import Instruction, decode, encode, make, table
from accelsim.isa.definition import Definition, definition
from accelsim.isa.hazard import Access, accesses

__all__ = ["Access", "Definition", "Instruction", "accesses", "decode", "definition", "encode", "make", "table"]
