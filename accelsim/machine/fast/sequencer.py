"""The sequencer: as `timing.stream.walk` and `machine.reference.sequencer`, an instruction a cycle."""

from __future__ import annotations

from typing import Any

from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Op, Unit
from accelsim.jit import part
from accelsim.machine.fast import books
from accelsim.machine.fast import layout as lay
from accelsim.timing import rules
from accelsim.timing.record import BANDWIDTH_BINS, Reason

_burst_bytes_at = part(rules.burst_bytes_at)
_HALT, _LOOP, _ADDRESS, _GUARD = int(Op.HALT), int(Op.LOOP), int(Op.ADDRESS), int(Op.GUARD)
_SIGNAL, _FRAME, _NOP, _LOAD = int(Op.SIGNAL), int(Op.FRAME), int(Op.NOP), int(Op.LOAD)
_LOAD_UNIT, _MATRIX_UNIT, _VECTOR_UNIT = int(Unit.LOAD), int(Unit.MATRIX), int(Unit.VECTOR)
_STORE_UNIT, _ME = int(Unit.STORE), int(Unit.SEQUENCER)
_BUSY, _QUEUE, _IDLE, _DRAM = int(Reason.BUSY), int(Reason.QUEUE), int(Reason.IDLE), int(Reason.DRAM)
WAITS_FOR_UNITS = 8
"""Value of SEQ_WAITS at a `frame`; 1 + unit where a queue is full."""
_MOST_APART = 1 << 20


@part
def read_program(s: Any, c: Any, log: Any) -> None:
    """All words come over the DRAM bus before the first is executed: sets when that is. Nothing else is under way."""
    size, buffers = c[lay.C_PROGRAM_BYTES], c[lay.C_BUFFERS]
    books.set_state(s, c, _ME, _DRAM, c[lay.C_LAYERS])
    # When each buffer's data is there; the capacity of a ring is at least the number of buffers.
    there = c[lay.O_LANDS]
    cycle, last, number, start = 0, 0, 0, 0
    while start < size:
        if number >= buffers:
            cycle = max(cycle, s[there + number % buffers] + 1)
        s[lay.NOW] = cycle
        step = _burst_bytes_at(start, size - start, c[lay.C_BURST])
        last = books.use_bus(s, c, log, step, 0, c[lay.C_LAYERS]) + c[lay.C_READ_LATENCY]
        s[there + number % buffers] = last
        number += 1
        start += c[lay.C_BURST]
        cycle += 1
    s[lay.NOW] = 0
    s[lay.DUE + lay.A_SEQUENCER] = max(cycle, last + 1)


@part
def step(s: Any, c: Any, p: Any, log: Any) -> None:
    """What the sequencer does in this cycle."""
    now = s[lay.NOW]
    if s[lay.HALT_AT] >= 0:
        books.set_state(s, c, _ME, _IDLE, c[lay.C_LAYERS])
        s[lay.DUE + lay.A_SEQUENCER] = lay.NEVER
        return
    s[lay.DUE + lay.A_SEQUENCER] = now + 1
    s[lay.ACTIVITY] += 1
    pc = s[lay.PC]
    if s[lay.SEQ_WAITS] == WAITS_FOR_UNITS:
        if _frame(s, c):
            advance(s, pc + 1)
        return
    if pc >= c[lay.C_INSTRUCTIONS]:
        s[lay.STATUS] = lay.RAN_OFF
        s[lay.FAULT_INDEX] = pc
        return
    code = lay.P_SIZE * pc
    op = p[code + isa.COL_OPCODE]
    if s[lay.SEQ_WAITS] == 0:
        books.set_state(s, c, _ME, _BUSY, c[lay.C_LAYERS])
    enabled = p[code + isa.COL_GUARD] == 0 or holds(s, p[code + isa.COL_GUARD])
    if op == _LOOP:
        enter_loop(s, c, p, code, pc, enabled)
        return
    if enabled:
        if op == _HALT:
            s[lay.HALT_AT] = now
            s[lay.LAST_DONE] = max(s[lay.LAST_DONE], now)
            return
        if op == _ADDRESS:
            define_register(s, p, code, pc)
        elif op == _GUARD:
            define_guard(s, p, code)
        elif op == _FRAME:
            s[lay.SEQUENCE] += 1
            if not _frame(s, c):
                return
        elif op == _SIGNAL:
            s[lay.SEQUENCE] += 1
            s[c[lay.O_OPERATIONS] + _ME] += 1
            cycle = now + c[lay.C_SEMAPHORE]
            books.give(s, c, 8, cycle, p[code + isa.COL_SEMAPHORE], p[code + isa.COL_AMOUNT])
        elif op != _NOP and not _dispatch(s, c, p, code, pc):
            return
    advance(s, pc + 1)


@part
def define_register(s: Any, p: Any, code: int, pc: int) -> None:
    """What an `address` does."""
    at = lay.REGISTER + lay.REGISTER_SIZE * p[code + isa.COL_REGISTER]
    for field in range(3 + isa.LOOP_LEVELS):
        s[at + field] = p[code + isa.COL_BASE + field]
    s[at + lay.R_MADE_BY] = pc


@part
def define_guard(s: Any, p: Any, code: int) -> None:
    """What a `guard` does."""
    at = lay.GUARD + lay.GUARD_SIZE * p[code + isa.COL_REGISTER]
    s[at] = p[code + isa.COL_LEVEL]
    s[at + 1] = p[code + isa.COL_LOW]
    s[at + 2] = p[code + isa.COL_HIGH]


@part
def advance(s: Any, pc: int) -> None:
    """Go on at `pc`; back to the beginning of a loop that ends there and has turns left."""
    while s[lay.DEPTH] > 0:
        at = lay.LOOP + lay.LOOP_SIZE * (s[lay.DEPTH] - 1)
        if pc != s[at + lay.L_END]:
            break
        s[at + lay.L_COUNTER] += 1
        if s[at + lay.L_COUNTER] < s[at + lay.L_COUNT]:
            pc = s[at + lay.L_START]
            s[lay.LOOPED] = s[lay.DEPTH]
            break
        s[lay.DEPTH] -= 1
    s[lay.PC] = pc


@part
def enter_loop(s: Any, c: Any, p: Any, code: int, pc: int, enabled: bool) -> None:
    """What a `loop` does."""
    if not enabled or p[code + isa.COL_COUNT] == 0:
        advance(s, pc + 1 + p[code + isa.COL_LENGTH])
        return
    level = s[lay.DEPTH]
    if level == isa.LOOP_LEVELS:
        s[lay.STATUS] = lay.TOO_DEEP
        s[lay.FAULT_INDEX] = pc
        return
    at = lay.LOOP + lay.LOOP_SIZE * level
    s[at + lay.L_START] = pc + 1
    s[at + lay.L_END] = pc + 1 + p[code + isa.COL_LENGTH]
    s[at + lay.L_COUNT] = p[code + isa.COL_COUNT]
    s[at + lay.L_COUNTER] = 0
    s[at + lay.L_APART] = 0
    s[at + lay.L_FRESH] = 1
    s[lay.DEPTH] = level + 1
    if s[lay.STEADY] and p[code + isa.COL_COUNT] > 2:
        s[at + lay.L_APART] = _apart(s, c, p, level, pc + 1, s[at + lay.L_END], p[code + isa.COL_COUNT])
    advance(s, pc + 1)


@part
def _apart(s: Any, c: Any, p: Any, level: int, start: int, end: int, count: int) -> int:
    """So many turns of a loop of `count` apart every address is alike to banks and bursts; 0 where that is too many.

    Addresses come from the registers as they are now and from those that the loop's body defines.
    """
    apart = 1
    for register in range(1, isa.ADDRESS_REGISTERS):
        made_by = s[lay.REGISTER + lay.REGISTER_SIZE * register + lay.R_MADE_BY]
        if made_by >= 0:
            apart = _common_multiple(apart, _address_apart(p, made_by, level, count))
    for index in range(start, min(end, c[lay.C_INSTRUCTIONS])):
        if p[lay.P_SIZE * index + isa.COL_OPCODE] == _ADDRESS:
            apart = _common_multiple(apart, _address_apart(p, index, level, count))
    return apart


@part
def _address_apart(p: Any, index: int, level: int, count: int) -> int:
    """The same of what one `address` defines, in a loop of `count` turns."""
    code = lay.P_SIZE * index + level
    apart: int = p[code + lay.P_NEAR] if count <= p[code + lay.P_ROOM] else p[code + lay.P_PERIOD]
    return apart


@part
def _common_multiple(first: int, second: int) -> int:
    if first == 0 or second == 0:
        return 0
    a, b = first, second
    while b:
        a, b = b, a % b
    common = first // a * second
    return common if common <= _MOST_APART else 0


@part
def holds(s: Any, guard: int) -> bool:
    """Whether a guard register's range holds its loop's counter."""
    at = lay.GUARD + lay.GUARD_SIZE * guard
    level, counter = s[at], 0
    if level < s[lay.DEPTH]:
        counter = s[lay.LOOP + lay.LOOP_SIZE * level + lay.L_COUNTER]
    holds: bool = s[at + 1] <= counter < s[at + 2]
    return holds


@part
def register_value(s: Any, register: int) -> int:
    """An address register's value, as the loops stand."""
    at = lay.REGISTER + lay.REGISTER_SIZE * register
    moved = s[at + lay.R_PHASE]
    for level in range(s[lay.DEPTH]):
        moved += s[lay.LOOP + lay.LOOP_SIZE * level + lay.L_COUNTER] * s[at + lay.R_STRIDE + level]
    if s[at + lay.R_WRAP]:
        moved %= s[at + lay.R_WRAP]
    value: int = s[at + lay.R_BASE] + moved
    return value


@part
def _dispatch(s: Any, c: Any, p: Any, code: int, pc: int) -> bool:
    """Enter an instruction into its unit's queue, or wait for a place there."""
    unit, now = p[code + lay.P_UNIT], s[lay.NOW]
    number = s[lay.TAIL + unit]
    # The next job's place in the ring is free: so much capacity is always left.
    job = books.job_at(s, c, unit, number)
    find_addresses(s, p, code, job)
    if not in_range(s, p, code, job):
        s[lay.STATUS] = lay.OUT_OF_RANGE
        s[lay.FAULT_INDEX] = pc
        return False
    if s[lay.PLACES + unit] == 0:
        if s[lay.SEQ_WAITS] == 0:
            books.set_state(s, c, _ME, _QUEUE, c[lay.C_LAYERS])
        s[lay.SEQ_WAITS] = 1 + unit
        s[lay.DUE + lay.A_SEQUENCER] = lay.NEVER
        return False
    if s[lay.SEQ_WAITS]:
        s[lay.SEQ_WAITS] = 0
        books.set_state(s, c, _ME, _BUSY, c[lay.C_LAYERS])
    s[lay.PLACES + unit] -= 1
    visible = now + c[lay.C_DISPATCH]
    s[job + lay.J_INDEX] = pc
    s[job + lay.J_SEQUENCE] = s[lay.SEQUENCE]
    s[job + lay.J_LAYER] = p[code + lay.P_LAYER]
    s[job + lay.J_DISPATCHED] = now
    s[job + lay.J_VISIBLE] = visible
    for reason in range(5):
        s[job + lay.J_WAITED + reason] = 0
    s[lay.SEQUENCE] += 1
    s[lay.PENDING] += 1
    s[c[lay.O_OPERATIONS] + unit] += 1
    s[lay.TAIL + unit] = number + 1
    if number + 1 - s[lay.SEEN + unit] > s[lay.CAPACITY] - lay.SPARE:
        s[lay.GROW] = 1
    _wake(s, c, unit, p[code + isa.COL_OPCODE], visible)
    return True


@part
def find_addresses(s: Any, p: Any, code: int, job: int) -> None:
    """The addresses of a job's operands, as registers and loops stand."""
    for operand in range(lay.ADDRESSES):
        s[job + lay.J_ADDRESS + operand] = 0
        if p[code + lay.P_REGISTER + operand] >= 0:
            s[job + lay.J_ADDRESS + operand] = (
                register_value(s, p[code + lay.P_REGISTER + operand]) + p[code + lay.P_OFFSET + operand]
            )


@part
def in_range(s: Any, p: Any, code: int, job: int) -> bool:
    """Every access inside its memory, elements at multiples of their size: as `machine.reference.ranges`."""
    for number in range(p[code + lay.P_RANGES]):
        at = lay.P_RANGES + 1 + lay.RANGE_SIZE * number
        address = s[job + lay.J_ADDRESS + p[code + at]]
        begin = address + p[code + at + 1]
        if begin % p[code + at + 4] or begin < 0 or address + p[code + at + 2] > p[code + at + 3]:
            return False
    return True


@part
def _wake(s: Any, c: Any, unit: int, op: int, visible: int) -> None:
    """Those who have nothing to do look at a new job when it arrives."""
    if unit == _LOAD_UNIT:
        if not s[lay.LOAD_DMA + lay.D_BUSY] and s[lay.DUE + lay.A_LOAD] == lay.NEVER:
            s[lay.DUE + lay.A_LOAD] = visible
        return
    if unit == _STORE_UNIT:
        if not s[lay.STORE_DMA + lay.D_BUSY] and s[lay.DUE + lay.A_STORE] == lay.NEVER:
            s[lay.DUE + lay.A_STORE] = visible
        return
    first = 0 if unit == _MATRIX_UNIT else 1
    end = 1 if unit == _MATRIX_UNIT else c[lay.C_STAGES]
    if op == _LOAD:
        first = end - 1
    for stage in range(first, end):
        due = lay.DUE + lay.DUE_FIXED + stage
        if not s[c[lay.O_STAGE] + stage * lay.STAGE_SIZE + lay.S_BUSY] and s[due] == lay.NEVER:
            s[due] = visible


@part
def _frame(s: Any, c: Any) -> bool:
    """Wait until nothing is under way, and count from the next cycle on."""
    now = s[lay.NOW]
    if s[lay.PENDING] or now < s[lay.LAST_SEEN]:
        s[lay.SEQ_WAITS] = WAITS_FOR_UNITS
        books.set_state(s, c, _ME, _QUEUE, c[lay.C_LAYERS])
        s[lay.DUE + lay.A_SEQUENCER] = lay.NEVER if s[lay.PENDING] else s[lay.LAST_SEEN]
        return False
    s[lay.SEQ_WAITS] = 0
    s[lay.FRAME_START] = now + 1
    s[lay.CAUSE_SINCE] = now + 1
    if s[lay.KEEP_EVENTS] == lay.FRAME_EVENTS:
        s[lay.KEEP_EVENTS] = lay.ALL_EVENTS
    s[lay.BIN_CYCLES] = 0
    for place in range(2 * BANDWIDTH_BINS):
        s[c[lay.O_TRAFFIC] + place] = 0
    for place in range(c[lay.O_TOTALS_SIZE]):
        s[c[lay.O_TOTALS] + place] = 0
    for unit in range(lay.UNITS):
        at = lay.STATE + lay.STATE_SIZE * unit
        s[at] = _IDLE
        s[at + 1] = c[lay.C_LAYERS]
        s[at + 2] = now + 1
    return True
