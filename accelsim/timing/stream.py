"""Instructions in the order the sequencer takes them, with their addresses: loops unrolled, guards decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from accelsim.chip import Chip
from accelsim.errors import InputError
from accelsim.isa import Instruction, definition
from accelsim.isa.opcodes import LOOP_LEVELS, Memory, Unit
from accelsim.isa.program import Program


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One execution of an instruction.

    Parameters
    ----------
    sequence : int
        Its place in program order, from 0.
    index : int
        The instruction's place in the program.
    instruction : Instruction
    unit : int
        `isa.opcodes.Unit`.
    addresses : mapping of str to int
        Byte address of each operand.
    """

    sequence: int
    index: int
    instruction: Instruction
    unit: int
    addresses: Mapping[str, int]

    @property
    def fields(self) -> Mapping[str, int]:
        """The instruction's fields."""
        return self.instruction.fields

    @property
    def name(self) -> str:
        """The instruction's name."""
        return self.instruction.name


def executing_unit(operation: Operation | Instruction, chip: Chip) -> Unit:
    """The unit that executes an operation: loads of activations may be the vector unit's."""
    streamed = chip.dma.loads_through_vector and operation.name == "load"
    if streamed and operation.fields["memory"] == Memory.ACTIVATIONS:
        return Unit.VECTOR
    return Unit(operation.unit)


def program_bytes(program: Program) -> int:
    """Bytes of a program's words that a run reads out of DRAM."""
    if not program.chip.sequencer.program_in_dram:
        return 0
    return sum(instruction.format.stored_bytes for instruction in program.instructions)


@dataclass(slots=True)
class _Loop:
    start: int
    end: int
    count: int
    counter: int = 0


def walk(instructions: Sequence[Instruction], where: str) -> Iterator[Operation | None]:
    """What the sequencer does in each of its cycles: an operation for a unit or on a semaphore, or None.

    None stands for instructions the sequencer keeps to itself: registers, guards, loops, nop, and instructions whose
    guard is false. The iteration ends with `halt`, which yields nothing.

    Raises
    ------
    InputError
        The program runs on past its end, or nests loops too deeply; `where` names it.
    """
    operands = {
        name: [(one.name, f"{one.name}.register", f"{one.name}.offset") for one in form.operands]
        for name, form in definition().formats.items()
    }
    units = [instruction.unit for instruction in instructions]
    registers: dict[int, Mapping[str, int]] = {}
    guards: dict[int, Mapping[str, int]] = {}
    loops: list[_Loop] = []
    pc = sequence = 0
    while True:
        if pc >= len(instructions):
            raise InputError(where, f"instruction {pc}", "the program runs on past its end", "halt")
        index, instruction = pc, instructions[pc]
        fields, name = instruction.fields, instruction.name
        pc += 1
        operation = None
        enabled = fields["guard"] == 0 or _holds(guards.get(fields["guard"]), loops)
        if name == "halt" and enabled:
            return
        if name == "loop":
            if not enabled or fields["count"] == 0:
                pc += fields["length"]
            elif len(loops) == LOOP_LEVELS:
                raise InputError(where, f"instruction {index}", "loops nest too deeply", f"at most {LOOP_LEVELS}")
            else:
                loops.append(_Loop(pc, pc + fields["length"], fields["count"]))
        elif enabled:
            if name == "address":
                registers[fields["register"]] = fields
            elif name == "guard":
                guards[fields["register"]] = fields
            elif name != "nop":
                addresses = {
                    operand: _value(registers.get(fields[register]), loops) + fields[offset]
                    for operand, register, offset in operands[name]
                }
                operation = Operation(sequence, index, instruction, units[index], addresses)
                sequence += 1
        while loops and pc == loops[-1].end:
            loops[-1].counter += 1
            if loops[-1].counter < loops[-1].count:
                pc = loops[-1].start
                break
            loops.pop()
        yield operation


def _holds(guard: Mapping[str, int] | None, loops: Sequence[_Loop]) -> bool:
    if guard is None:
        # An undefined register is all zero, and no counter is at least 0 and less than 0.
        return False
    counter = loops[guard["level"]].counter if guard["level"] < len(loops) else 0
    return guard["low"] <= counter < guard["high"]


def _value(register: Mapping[str, int] | None, loops: Sequence[_Loop]) -> int:
    if register is None:
        return 0
    moved = register["phase"]
    for level, loop in enumerate(loops):
        moved += loop.counter * register[f"stride{level}"]
    return register["base"] + (moved % register["wrap"] if register["wrap"] else moved)
