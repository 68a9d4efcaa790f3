"""Compiled: a program's operations in program order, and how long each byte they write is held.

The SRAMs' bytes are cut into pieces at every place where an access or a buffer begins or ends, so that an access covers
whole pieces. `cut` finds the places; `follow` goes through the operations with their times.
"""

from __future__ import annotations

from typing import Any

from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Op, Unit
from accelsim.machine.jit import jit, part

_HALT, _LOOP, _ADDRESS, _GUARD = int(Op.HALT), int(Op.LOOP), int(Op.ADDRESS), int(Op.GUARD)
_FRAME = int(Op.FRAME)
_SEQUENCER = int(Unit.SEQUENCER)

# State of the walk: the next instruction, the loops that run, and for each its start, end, turns and turn.
PC, DEPTH, LOOPS = 0, 1, 2
_START, _END, _COUNT, _COUNTER, _LOOP_SIZE = 0, 1, 2, 3, 4
_REGISTERS = LOOPS + _LOOP_SIZE * isa.LOOP_LEVELS
_REGISTER_SIZE = 3 + isa.LOOP_LEVELS
_GUARDS = _REGISTERS + _REGISTER_SIZE * isa.ADDRESS_REGISTERS
_GUARD_SIZE = 3
WALK_SIZE = _GUARDS + _GUARD_SIZE * isa.GUARD_REGISTERS
_END_OF_PROGRAM, _AT_FRAME = -1, -2

# Columns of the table of accesses.
A_MEMORY, A_REGISTER, A_OFFSET, A_ROW_BYTES, A_ROWS, A_PITCH, A_IS_WRITE, ACCESS_COLUMNS = range(8)
# Columns of an operation's times.
T_INDEX, T_BEGIN, T_ISSUED, T_DONE, TIME_COLUMNS = range(5)
# Columns of a piece: cycles between which it is written, of its last read (each -1 for none), and whose it is.
P_WRITE_BEGIN, P_WRITE_END, P_READ, P_GROUP, PIECE_COLUMNS = range(5)

OVER, MORE, OUTSIDE, UNLIKE = range(4)
"""What a kernel says at its end: all is done; more operations' times are needed; an access lies outside its memory; an
operation's time is another's."""


@part
def _advance(walk: Any, pc: int) -> None:
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
def _holds(walk: Any, guard: int) -> bool:
    if guard == 0:
        return True
    at = _GUARDS + _GUARD_SIZE * guard
    counter = 0
    if walk[at] < walk[DEPTH]:
        counter = walk[LOOPS + _LOOP_SIZE * walk[at] + _COUNTER]
    within: bool = walk[at + 1] <= counter < walk[at + 2]
    return within


@part
def _register(walk: Any, register: int) -> int:
    at = _REGISTERS + _REGISTER_SIZE * register
    moved = walk[at + 1]
    for level in range(walk[DEPTH]):
        moved += walk[at + 3 + level] * walk[LOOPS + _LOOP_SIZE * level + _COUNTER]
    if walk[at + 2]:
        moved %= walk[at + 2]
    value: int = walk[at] + moved
    return value


@part
def _find(walk: Any, code: Any, units: Any) -> int:
    """Go to the next instruction for a queue, which `walk[PC]` then is; or to the program's end, or past a `frame`."""
    while walk[PC] < code.shape[0]:
        pc = walk[PC]
        op = code[pc, isa.COL_OPCODE]
        enabled = _holds(walk, code[pc, isa.COL_GUARD])
        if op == _LOOP:
            if not enabled or code[pc, isa.COL_COUNT] == 0 or walk[DEPTH] == isa.LOOP_LEVELS:
                _advance(walk, pc + 1 + code[pc, isa.COL_LENGTH])
                continue
            at = LOOPS + _LOOP_SIZE * walk[DEPTH]
            walk[at + _START] = pc + 1
            walk[at + _END] = pc + 1 + code[pc, isa.COL_LENGTH]
            walk[at + _COUNT] = code[pc, isa.COL_COUNT]
            walk[at + _COUNTER] = 0
            walk[DEPTH] += 1
        elif enabled:
            if op == _HALT:
                return _END_OF_PROGRAM
            if op == _ADDRESS:
                at = _REGISTERS + _REGISTER_SIZE * code[pc, isa.COL_REGISTER]
                for field in range(_REGISTER_SIZE):
                    walk[at + field] = code[pc, isa.COL_BASE + field]
            elif op == _GUARD:
                at = _GUARDS + _GUARD_SIZE * code[pc, isa.COL_REGISTER]
                walk[at] = code[pc, isa.COL_LEVEL]
                walk[at + 1] = code[pc, isa.COL_LOW]
                walk[at + 2] = code[pc, isa.COL_HIGH]
            elif op == _FRAME:
                _advance(walk, pc + 1)
                return _AT_FRAME
            elif units[pc] != _SEQUENCER:
                found: int = pc
                return found
        _advance(walk, pc + 1)
    return _END_OF_PROGRAM


@jit
def begin(walk: Any, code: Any, units: Any) -> None:
    """Go past the program's `frame`: what comes before is done once, ahead of the frame."""
    while True:
        found = _find(walk, code, units)
        if found < 0:
            return
        _advance(walk, found + 1)


@jit
def cut(walk: Any, code: Any, units: Any, starts: Any, accesses: Any, bases: Any, marks: Any) -> int:
    """Mark every byte where a row of an access begins, and the one after its end.

    `bases` says where each memory begins in `marks`, and at its end where the last one ends.
    """
    while True:
        index = _find(walk, code, units)
        if index == _END_OF_PROGRAM:
            return OVER
        if index == _AT_FRAME:
            continue
        for number in range(starts[index], starts[index + 1]):
            memory = accesses[number, A_MEMORY]
            low, high = bases[memory], bases[memory + 1] - 1
            first = low + accesses[number, A_OFFSET] + _register(walk, accesses[number, A_REGISTER])
            last = first + (accesses[number, A_ROWS] - 1) * accesses[number, A_PITCH] + accesses[number, A_ROW_BYTES]
            if first < low or last > high:
                return OUTSIDE
            for row in range(accesses[number, A_ROWS]):
                at = first + row * accesses[number, A_PITCH]
                marks[at] = 1
                marks[at + accesses[number, A_ROW_BYTES]] = 1
        _advance(walk, index + 1)


@part
def _area(time: float, begins: float, ends: float) -> float:
    """Up to `time` under what rises evenly from 0 to 1 between two cycles, and stays there."""
    if time <= begins:
        return 0.0
    if time < ends:
        return (time - begins) * (time - begins) / (2 * (ends - begins))
    return (ends - begins) / 2 + (time - ends)


@part
def _rise(levels: Any, steps: Any, group: int, begins: float, ends: float, size: float, times: Any) -> None:
    """From `begins` to `ends` so many bytes come evenly (go, where `size` is negative) and stay."""
    width, cycles = times[0], times[1]
    bins = levels.shape[1]
    first, last = int(begins) // width, int(ends) // width
    for place in range(first, min(last + 1, bins)):
        low, high = float(place * width), float(min((place + 1) * width, cycles))
        levels[group, place] += size * (_area(high, begins, ends) - _area(low, begins, ends)) / (high - low)
    if last + 1 < bins:
        steps[group, last + 1] += size


@part
def _let_go(
    pieces: Any, piece: int, size: int, begins: float, ends: float, levels: Any, steps: Any, times: Any
) -> None:
    """Count what a piece held until now; from `begins` to `ends` it is written anew (both -1: the frame is over)."""
    read = pieces[piece, P_READ]
    if read < 0:
        return
    group = int(pieces[piece, P_GROUP])
    over = begins < 0
    if pieces[piece, P_WRITE_END] < 0:
        # It held something before the frame; what the frame never writes stays for the next.
        _rise(levels, steps, group, 0.0, 0.0, size, times)
        if over:
            return
    else:
        _rise(levels, steps, group, pieces[piece, P_WRITE_BEGIN], pieces[piece, P_WRITE_END], size, times)
        read = max(read, pieces[piece, P_WRITE_END])
    if not over and read > begins:
        # Where a semaphore lacks, what overwrites a value may come before it; no value goes before it has come.
        begins = max(begins, pieces[piece, P_WRITE_BEGIN])
        _rise(levels, steps, group, begins, max(ends, pieces[piece, P_WRITE_END]), -size, times)
    else:
        _rise(levels, steps, group, read, read, -size, times)


@jit
def follow(
    walk: Any,
    code: Any,
    units: Any,
    starts: Any,
    accesses: Any,
    bases: Any,
    cuts: Any,
    groups: Any,
    writers: Any,
    outside: Any,
    pieces: Any,
    queues: Any,
    queue_starts: Any,
    heads: Any,
    levels: Any,
    steps: Any,
    times: Any,
    preloaded: bool,
) -> int:
    """Go through the operations in program order as far as their times are known.

    Parameters
    ----------
    walk : int64[WALK_SIZE]
    code : int64[instructions, isa.COLUMNS]
    units, starts : int64[instructions], int64[instructions + 1]
        Who executes each instruction; its rows in `accesses`.
    accesses : int64[accesses, ACCESS_COLUMNS]
        Of SRAMs, reads before writes.
    bases : int64[memories + 1]
    cuts : int64[pieces + 1]
        Where each piece begins, all memories one after the other.
    groups : int64[pieces]
        Whose a piece is; -1: of who writes it.
    writers, outside : int64[instructions], int64[memories]
        The group of what an instruction writes where `groups` says none: the sum of the two.
    pieces : float64[pieces, PIECE_COLUMNS]
    queues : int64[times, TIME_COLUMNS]
        Operations with known times, unit after unit, in program order each.
    queue_starts, heads : int64[units + 1], int64[units]
        Where each unit's begin; how many of them are used up.
    levels, steps : float64[groups, bins]
        Bytes held, as the sum of `levels` and the running sum of `steps`.
    times : int64[2]
        Cycles of a bin, and of the run.
    preloaded : bool
        Whether bytes that are read before they are written hold something.
    """
    while True:
        index = _find(walk, code, units)
        if index == _END_OF_PROGRAM:
            break
        if index == _AT_FRAME:
            continue
        unit = units[index]
        at = queue_starts[unit] + heads[unit]
        if at == queue_starts[unit + 1]:
            return MORE
        if queues[at, T_INDEX] != index:
            return UNLIKE
        heads[unit] += 1
        # A result comes as long after its beat as the last one does.
        latency = queues[at, T_DONE] - queues[at, T_ISSUED]
        results = float(queues[at, T_BEGIN] + latency)
        span = queues[at, T_DONE] - results
        for number in range(starts[index], starts[index + 1]):
            row_bytes, rows = accesses[number, A_ROW_BYTES], accesses[number, A_ROWS]
            memory = accesses[number, A_MEMORY]
            base = bases[memory] + accesses[number, A_OFFSET] + _register(walk, accesses[number, A_REGISTER])
            for row in range(rows):
                first = base + row * accesses[number, A_PITCH]
                piece = _piece_at(cuts, first)
                while cuts[piece] < first + row_bytes:
                    size = cuts[piece + 1] - cuts[piece]
                    if not accesses[number, A_IS_WRITE]:
                        if preloaded or pieces[piece, P_WRITE_END] >= 0:
                            pieces[piece, P_READ] = max(pieces[piece, P_READ], queues[at, T_ISSUED] + 1)
                    else:
                        done = row * row_bytes + cuts[piece] - first
                        begins = results + span * done / (rows * row_bytes)
                        ends = results + span * (done + size) / (rows * row_bytes)
                        _let_go(pieces, piece, size, begins, ends, levels, steps, times)
                        pieces[piece, P_WRITE_BEGIN] = begins
                        pieces[piece, P_WRITE_END] = ends
                        pieces[piece, P_READ] = -1
                        if groups[piece] < 0:
                            pieces[piece, P_GROUP] = outside[memory] + writers[index]
                    piece += 1
        _advance(walk, index + 1)
    for piece in range(pieces.shape[0]):
        _let_go(pieces, piece, cuts[piece + 1] - cuts[piece], -1.0, -1.0, levels, steps, times)
        pieces[piece, P_READ] = -1
    return OVER


@part
def _piece_at(cuts: Any, byte: int) -> int:
    """The piece that begins at a byte, by bisection."""
    low, high = 0, cuts.size - 1
    while low < high:
        middle = (low + high) // 2
        if cuts[middle] < byte:
            low = middle + 1
        else:
            high = middle
    return low
