"""What a program asks of the DRAM bus, from its text alone: before it is run, and in no time."""

from __future__ import annotations

from accelsim.isa.program import Program
from accelsim.timing.rules import bus_cycle


def least_bus_cycles(program: Program) -> int:
    """Cycles for which the DRAM bus is busy in a frame, or a batch; no run of the program takes fewer.

    Bytes of loads and stores, times the turns of the loops around them, over the bus's rate. What stands under a guard
    may be skipped, and does not count; nor does what comes before `frame`.

    Parameters
    ----------
    program : Program
        One that `Program.validate` finds no fault with.
    """
    moved = 0
    ends: list[tuple[int, int]] = []
    turns = 1
    for index, instruction in enumerate(program.instructions):
        while ends and ends[-1][0] <= index:
            turns = ends.pop()[1]
        fields = instruction.fields
        if instruction.name == "frame":
            moved = 0
        elif instruction.name == "loop":
            ends.append((index + 1 + fields["length"], turns))
            turns *= 0 if fields["guard"] else fields["count"]
        elif instruction.name in ("load", "store") and not fields["guard"]:
            moved += turns * fields["rows"] * fields["row_bytes"]
    rate = program.chip.dram.rate
    return bus_cycle(moved * rate.denominator, rate.numerator)
