"""What a program asks of the DRAM bus, from its text alone: before it is run, and in no time."""

from __future__ import annotations

import math
from collections.abc import Mapping

from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.timing.rules import bus_cycle
from accelsim.timing.stream import executing_unit

_Turns = tuple[range, ...]
"""Of each loop around an instruction the turns in which it is executed; an empty range for never."""


def least_bus_cycles(program: Program) -> int:
    """Cycles for which the DRAM bus is busy in a frame, or a batch; no run of the program takes fewer.

    Bytes of loads and stores, as often as loops and guards say, over the bus's rate. A guard register that is defined
    inside a loop, or under a guard, may be false: what stands under it does not count. Nor does what comes before
    `frame`, and loads through the vector unit, whose data is there.

    Parameters
    ----------
    program : Program
        One that `Program.validate` finds no fault with.
    """
    moved = 0
    outer: list[tuple[int, _Turns]] = []
    turns: _Turns = ()
    unknown: set[int] = set()
    guards: dict[int, Mapping[str, int]] = {}
    body_end = 0
    for index, instruction in enumerate(program.instructions):
        if instruction.name == "loop":
            body_end = max(body_end, index + 1 + instruction.fields["length"])
        elif instruction.name == "guard" and (index < body_end or instruction.fields["guard"]):
            unknown.add(instruction.fields["register"])
    for index, instruction in enumerate(program.instructions):
        while outer and outer[-1][0] <= index:
            turns = outer.pop()[1]
        fields = instruction.fields
        executed = _guarded(turns, guards, fields["guard"])
        if instruction.name == "frame":
            moved = 0
        elif instruction.name == "guard":
            if fields["register"] not in unknown:
                guards[fields["register"]] = fields
        elif instruction.name == "loop":
            outer.append((index + 1 + fields["length"], turns))
            turns = (*executed, range(fields["count"]))
        elif instruction.name in ("load", "store") and executing_unit(instruction, program.chip) != Unit.VECTOR:
            moved += math.prod(map(len, executed)) * fields["rows"] * fields["row_bytes"]
    rate = program.chip.dram.rate
    return bus_cycle(moved * rate.denominator, rate.numerator)


def _guarded(turns: _Turns, guards: Mapping[int, Mapping[str, int]], number: int) -> _Turns:
    """Those of the turns in which a guard surely is true."""
    if number == 0:
        return turns
    if number not in guards:
        return (*turns, range(0))
    level, low, high = (guards[number][name] for name in ("level", "low", "high"))
    if level >= len(turns):
        # The counter of a loop that is not there is 0.
        return turns if low <= 0 < high else (*turns, range(0))
    both = range(max(low, turns[level].start), min(high, turns[level].stop))
    return (*turns[:level], both, *turns[level + 1 :])
