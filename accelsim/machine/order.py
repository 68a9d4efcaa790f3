"""A program's instructions in program order, compiled: loops unrolled, guards decided, addresses worked out.

As `timing.stream.walk`, which says it in Python. The state is in one array, `walk`, whose places are named here.
"""

from __future__ import annotations

from typing import Any

from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Op
from accelsim.jit import part

_LOOP, _ADDRESS, _GUARD, _HALT, _NOP = int(Op.LOOP), int(Op.ADDRESS), int(Op.GUARD), int(Op.HALT), int(Op.NOP)

PC, DEPTH, FAULT, LOOPS = range(4)
NO_FAULT, RAN_OFF, TOO_DEEP = range(3)
"""Values of FAULT."""
_START, _END, _COUNT, _COUNTER, _LOOP_SIZE = 0, 1, 2, 3, 4
_REGISTERS = LOOPS + _LOOP_SIZE * isa.LOOP_LEVELS
_REGISTER_SIZE = 3 + isa.LOOP_LEVELS
_GUARDS = _REGISTERS + _REGISTER_SIZE * isa.ADDRESS_REGISTERS
_GUARD_SIZE = 3
WALK_SIZE = _GUARDS + _GUARD_SIZE * isa.GUARD_REGISTERS


@part
def find(walk: Any, code: Any, count: int) -> int:
    """The next instruction that is not for the sequencer's own tables; `walk[PC]` then is that.

    Parameters
    ----------
    walk : address of int64[WALK_SIZE]
        All zero at the program's beginning.
    code : address of int64[count, isa.COLUMNS]
    count : int

    Returns
    -------
    int
        -1 at the program's end, or where it is wrong: `walk[FAULT]` says how.
    """
    while walk[PC] < count:
        pc: int = walk[PC]
        row = isa.COLUMNS * pc
        op = code[row + isa.COL_OPCODE]
        enabled = _holds(walk, code[row + isa.COL_GUARD])
        if op == _LOOP:
            if not enabled or code[row + isa.COL_COUNT] == 0:
                advance(walk, pc + 1 + code[row + isa.COL_LENGTH])
                continue
            if walk[DEPTH] == isa.LOOP_LEVELS:
                walk[FAULT] = TOO_DEEP
                return -1
            at = LOOPS + _LOOP_SIZE * walk[DEPTH]
            walk[at + _START] = pc + 1
            walk[at + _END] = pc + 1 + code[row + isa.COL_LENGTH]
            walk[at + _COUNT] = code[row + isa.COL_COUNT]
            walk[at + _COUNTER] = 0
            walk[DEPTH] += 1
        elif enabled:
            if op == _HALT:
                return -1
            if op == _ADDRESS:
                at = _REGISTERS + _REGISTER_SIZE * code[row + isa.COL_REGISTER]
                for field in range(_REGISTER_SIZE):
                    walk[at + field] = code[row + isa.COL_BASE + field]
            elif op == _GUARD:
                at = _GUARDS + _GUARD_SIZE * code[row + isa.COL_REGISTER]
                walk[at] = code[row + isa.COL_LEVEL]
                walk[at + 1] = code[row + isa.COL_LOW]
                walk[at + 2] = code[row + isa.COL_HIGH]
            elif op != _NOP:
                return pc
        advance(walk, pc + 1)
    walk[FAULT] = RAN_OFF
    return -1


@part
def advance(walk: Any, pc: int) -> None:
    """Go on at `pc`; back to the beginning of a loop that ends there and has turns left."""
    while walk[DEPTH] > 0:
        at = LOOPS + _LOOP_SIZE * (walk[DEPTH] - 1)
        if pc != walk[at + _END]:
            break
        walk[at + _COUNTER] += 1
        if walk[at + _COUNTER] < walk[at + _COUNT]:
            pc = walk[at + _START]
            break
        walk[DEPTH] -= 1
    walk[PC] = pc


@part
def register_value(walk: Any, register: int) -> int:
    """What an address register comes to in the present turns of the loops."""
    at = _REGISTERS + _REGISTER_SIZE * register
    moved = walk[at + 1]
    for level in range(walk[DEPTH]):
        moved += walk[at + 3 + level] * walk[LOOPS + _LOOP_SIZE * level + _COUNTER]
    if walk[at + 2]:
        moved %= walk[at + 2]
    value: int = walk[at] + moved
    return value


@part
def _holds(walk: Any, guard: int) -> bool:
    if guard == 0:
        return True
    at = _GUARDS + _GUARD_SIZE * guard
    counter = 0
    if walk[at] < walk[DEPTH]:
        counter = walk[LOOPS + _LOOP_SIZE * walk[at] + _COUNTER]
    within: bool = walk[at + 1] <= counter < walk[at + 2]
    return within
