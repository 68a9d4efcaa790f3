"""From one operation of a program to the next, compiled; as `timing.stream.walk`."""

from __future__ import annotations

from typing import Any

from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Op
from accelsim.jit import part
from accelsim.machine.fast import layout as lay
from accelsim.machine.fast import sequencer

_HALT, _LOOP, _ADDRESS, _GUARD = int(Op.HALT), int(Op.LOOP), int(Op.ADDRESS), int(Op.GUARD)
_LOAD, _STORE, _MATMUL, _VECTOR, _FRAME = int(Op.LOAD), int(Op.STORE), int(Op.MATMUL), int(Op.VECTOR), int(Op.FRAME)

JOB = lay.SEMAPHORE
"""Where in `s` the addresses of an operation are, as a job's; of the engine's state only what lies before is used."""
STATE_SIZE = JOB + lay.JOB_SIZE


@part
def next_operation(s: Any, c: Any, p: Any) -> int:
    """Go on to the next load, store, product, vector instruction or `frame`, and behind it.

    Returns
    -------
    int
        Where it begins in `p`; -1 at the program's end, or where it is wrong: STATUS and FAULT_INDEX say how.
    """
    while True:
        pc = s[lay.PC]
        s[lay.FAULT_INDEX] = pc
        if pc >= c[lay.C_INSTRUCTIONS]:
            s[lay.STATUS] = lay.RAN_OFF
            return -1
        code: int = lay.P_SIZE * pc
        op = p[code + isa.COL_OPCODE]
        enabled = p[code + isa.COL_GUARD] == 0 or sequencer.holds(s, p[code + isa.COL_GUARD])
        if op == _LOOP:
            sequencer.enter_loop(s, c, p, code, pc, enabled)
            if s[lay.STATUS] != lay.RUNNING:
                return -1
            continue
        if enabled:
            if op == _HALT:
                s[lay.STATUS] = lay.DONE
                return -1
            if op == _ADDRESS:
                sequencer.define_register(s, p, code, pc)
            elif op == _GUARD:
                sequencer.define_guard(s, p, code)
            elif op in (_LOAD, _STORE, _MATMUL, _VECTOR, _FRAME):
                sequencer.find_addresses(s, p, code, JOB)
                if not sequencer.in_range(s, p, code, JOB):
                    s[lay.STATUS] = lay.OUT_OF_RANGE
                    return -1
                sequencer.advance(s, pc + 1)
                return code
        sequencer.advance(s, pc + 1)
