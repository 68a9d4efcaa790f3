"""Where an operation may reach: inside its memories, elements at multiples of their size.

The hardware would wrap around or ignore address bits. A simulator that did so would hide a mistake.
"""

from __future__ import annotations

from accelsim.errors import InputError
from accelsim.isa import Instruction, accesses
from accelsim.isa.assembler import format_instruction
from accelsim.isa.opcodes import Addend, Destination, Source
from accelsim.isa.program import Program
from accelsim.timing.record import MEMORY_NAMES
from accelsim.timing.stream import Operation

_FIXED = {"accumulators": 4, "bias": 4, "factor": 2, "term": 2, "kept": 2, "parameters": 8}
_BY_TYPE = {
    "source": ("source_type", {int(Source.INT16): 2, int(Source.INT32): 4}),
    "addend": ("addend_type", {int(Addend.INT16): 2, int(Addend.INT32): 4}),
    "destination": ("destination_type", {int(Destination.INT16): 2}),
}


def check_ranges(operation: Operation, program: Program, sizes: list[int]) -> None:
    """Check an operation's addresses, which registers may have made.

    Parameters
    ----------
    operation : Operation
    program : Program
    sizes : list of int
        Bytes of each memory, in the order of `MEMORY_NAMES`.

    Raises
    ------
    InputError
        An access outside its memory, or not aligned to its elements.
    """
    if operation.name not in ("load", "store", "matmul", "vector"):
        return
    mac = program.chip.mac
    for access in accesses(operation.instruction, operation.addresses, mac.rows, mac.weight_block_columns):
        if access.address % element_bytes(operation.instruction, access.operand):
            expected = ""
            reason = f"{access.memory} address {access.address} is not aligned to its elements"
        elif access.address < 0 or access.end > sizes[MEMORY_NAMES.index(access.memory)]:
            expected = "an address inside the memory"
            reason = f"{access.memory} address {access.address}"
        else:
            continue
        where = f"instruction {operation.index} ({format_instruction(operation.instruction)})"
        raise InputError(program.name, where, reason, expected)


def element_bytes(instruction: Instruction, operand: str) -> int:
    """What an operand's address has to be a multiple of."""
    if instruction.name == "vector" and operand in _BY_TYPE:
        field, sizes = _BY_TYPE[operand]
        return sizes.get(instruction.fields[field], 1)
    return _FIXED.get(operand, 1)
