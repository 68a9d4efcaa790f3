"""Compiled: a program's operations in program order, and how long each byte they write is held.

The SRAMs' bytes are cut into pieces at every place where an access or a buffer begins or ends, so that an access covers
whole pieces. `cut` finds the places; `follow` goes through the operations with their times. What is held counts into
bins of time when a value is overwritten or the frame is over. For the most that is held at one time (`peak`) that would
be too late, so a value's life is told with its first read, and made longer with each further one.
"""

from __future__ import annotations

from typing import Any

from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Op, Unit
from accelsim.jit import Float64s, Int64s, UInt8s, kernel, part
from accelsim.machine import order

_FRAME = int(Op.FRAME)
_SEQUENCER = int(Unit.SEQUENCER)

# Columns of the table of accesses.
A_MEMORY, A_REGISTER, A_OFFSET, A_ROW_BYTES, A_ROWS, A_PITCH, A_IS_WRITE, ACCESS_COLUMNS = range(8)
# Columns of an operation's times.
T_INDEX, T_DISPATCHED, T_BEGIN, T_ISSUED, T_DONE, TIME_COLUMNS = range(6)
# Columns of a piece: cycles between which it is written, of its last read (each -1 for none); whose it is, and where.
P_WRITE_BEGIN, P_WRITE_END, P_READ, P_GROUP, P_MEMORY, PIECE_COLUMNS = range(6)
# Places in `times`: cycles of a bin, and of the run; how many bins, how many pieces, room for how many lives.
T_BIN, T_CYCLES, T_BINS, T_PIECES, T_ROOM = range(5)
# Columns of a life: a memory's bytes that come evenly between two cycles, and go evenly between two.
L_MEMORY, L_COME_BEGIN, L_COME_END, L_GO_BEGIN, L_GO_END, L_BYTES, LIFE_COLUMNS = range(7)
# Places in `told`: how many lives there are; the cycle before which none that is told later goes; how many accesses of
# the operation at hand, and rows of the next one, are used up.
O_LIVES, O_UNTIL, O_ACCESSES, O_ROWS, TOLD_SIZE = range(5)

OVER, MORE, OUTSIDE, UNLIKE, FULL = range(5)
"""What a kernel says at its end: all is done; more operations' times are needed; an access lies outside its memory; an
operation's time is another's; no room for more lives."""

_END_OF_PROGRAM, _AT_FRAME = -1, -2


@part
def _find(walk: Any, code: Any, count: int, units: Any) -> int:
    """Go to the next instruction for a queue; or to the program's end, or past a `frame`."""
    pc: int = order.find(walk, code, count)
    while pc >= 0:
        if code[isa.COLUMNS * pc + isa.COL_OPCODE] == _FRAME:
            order.advance(walk, pc + 1)
            return _AT_FRAME
        if units[pc] != _SEQUENCER:
            return pc
        order.advance(walk, pc + 1)
        pc = order.find(walk, code, count)
    return _END_OF_PROGRAM


@kernel
def begin(walk: Int64s, code: Int64s, count: int, units: Int64s) -> None:
    """Go past the program's `frame`: what comes before is done once, ahead of the frame."""
    found = _find(walk, code, count, units)
    while found >= 0:
        order.advance(walk, found + 1)
        found = _find(walk, code, count, units)


@kernel
def cut(
    walk: Int64s, code: Int64s, count: int, units: Int64s, starts: Int64s, accesses: Int64s, bases: Int64s,
    marks: UInt8s,
) -> int:  # fmt: skip
    """Mark every byte where a row of an access begins, and the one after its end.

    `bases` says where each memory begins in `marks`, and at its end where the last one ends.
    """
    index = _find(walk, code, count, units)
    while index != _END_OF_PROGRAM:
        if index >= 0:
            for access in range(ACCESS_COLUMNS * starts[index], ACCESS_COLUMNS * starts[index + 1], ACCESS_COLUMNS):
                memory, rows, pitch = accesses[access + A_MEMORY], accesses[access + A_ROWS], accesses[access + A_PITCH]
                low, high = bases[memory], bases[memory + 1] - 1
                first = low + _first_byte(walk, accesses, access)
                size = accesses[access + A_ROW_BYTES]
                if first < low or first + (rows - 1) * pitch + size > high:
                    return OUTSIDE
                for row in range(rows):
                    marks[first + row * pitch] = 1
                    marks[first + row * pitch + size] = 1
            order.advance(walk, index + 1)
        index = _find(walk, code, count, units)
    return OVER


@part
def _first_byte(walk: Any, accesses: Any, access: int) -> int:
    """Where an access begins in its memory."""
    value: int = accesses[access + A_OFFSET] + order.register_value(walk, accesses[access + A_REGISTER])
    return value


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
    width, cycles, bins = times[T_BIN], times[T_CYCLES], times[T_BINS]
    first, last = int(begins) // width, int(ends) // width
    for place in range(first, min(last + 1, bins)):
        low, high = float(place * width), float(min((place + 1) * width, cycles))
        levels[group * bins + place] += size * (_area(high, begins, ends) - _area(low, begins, ends)) / (high - low)
    if last + 1 < bins:
        steps[group * bins + last + 1] += size


@part
def _let_go(
    pieces: Any, piece: int, size: int, begins: float, ends: float, levels: Any, steps: Any, times: Any
) -> None:
    """Count what a piece held until now; from `begins` to `ends` it is written anew (both -1: the frame is over)."""
    at = PIECE_COLUMNS * piece
    read = pieces[at + P_READ]
    if read < 0:
        return
    group, held = int(pieces[at + P_GROUP]), float(size)
    over = begins < 0
    if pieces[at + P_WRITE_END] < 0:
        # It held something before the frame; what the frame never writes stays for the next.
        _rise(levels, steps, group, 0.0, 0.0, held, times)
        if over:
            return
    else:
        _rise(levels, steps, group, pieces[at + P_WRITE_BEGIN], pieces[at + P_WRITE_END], held, times)
        read = max(read, pieces[at + P_WRITE_END])
    if not over and read > begins:
        # Where a semaphore lacks, what overwrites a value may come before it; no value goes before it has come.
        begins = max(begins, pieces[at + P_WRITE_BEGIN])
        _rise(levels, steps, group, begins, max(ends, pieces[at + P_WRITE_END]), -held, times)
    else:
        _rise(levels, steps, group, read, read, -held, times)


@part
def _tell(
    lives: Any, told: Any, memory: float, come_begin: float, come_end: float, go_begin: float, go_end: float,
    size: float,
) -> None:  # fmt: skip
    """Note a life; one like the last, as most pieces of an access have, adds to it."""
    at = LIFE_COLUMNS * (told[O_LIVES] - 1)
    if (
        at >= 0
        and lives[at + L_MEMORY] == memory
        and lives[at + L_COME_BEGIN] == come_begin
        and lives[at + L_COME_END] == come_end
        and lives[at + L_GO_BEGIN] == go_begin
        and lives[at + L_GO_END] == go_end
    ):
        lives[at + L_BYTES] += size
        return
    at += LIFE_COLUMNS
    lives[at + L_MEMORY] = memory
    lives[at + L_COME_BEGIN] = come_begin
    lives[at + L_COME_END] = come_end
    lives[at + L_GO_BEGIN] = go_begin
    lives[at + L_GO_END] = go_end
    lives[at + L_BYTES] = size
    told[O_LIVES] += 1


@part
def _tell_read(pieces: Any, piece: int, size: int, read: float, lives: Any, told: Any) -> None:
    """A read at `read`: the value's life begins with its first one, and goes on with a later one."""
    at = PIECE_COLUMNS * piece
    before, end = pieces[at + P_READ], pieces[at + P_WRITE_END]
    if read <= before:
        return
    read = max(read, end)
    if before < 0:
        begin = max(pieces[at + P_WRITE_BEGIN], 0.0)
        _tell(lives, told, pieces[at + P_MEMORY], begin, max(end, 0.0), read, read, float(size))
    else:
        before = max(before, end)
        if read > before:
            _tell(lives, told, pieces[at + P_MEMORY], before, before, read, read, float(size))


@part
def _tell_write(pieces: Any, piece: int, size: int, begins: float, ends: float, lives: Any, told: Any) -> None:
    """A value is written from `begins` to `ends`: no life yet, but what changes then has to be known before it has one.

    The value before it lives on, getting less, where its reader is not through.
    """
    at = PIECE_COLUMNS * piece
    read = max(pieces[at + P_READ], pieces[at + P_WRITE_END])
    if pieces[at + P_READ] >= 0 and read > begins:
        go_begin = max(begins, pieces[at + P_WRITE_BEGIN])
        go_end = max(ends, pieces[at + P_WRITE_END])
        _tell(lives, told, pieces[at + P_MEMORY], read, read, go_begin, go_end, float(size))
    _tell(lives, told, pieces[at + P_MEMORY], begins, ends, begins, ends, 0.0)


@kernel
def follow(
    walk: Int64s, code: Int64s, count: int, units: Int64s, starts: Int64s, accesses: Int64s, bases: Int64s,
    cuts: Int64s, groups: Int64s, writers: Int64s, outside: Int64s, pieces: Float64s, queues: Int64s,
    queue_starts: Int64s, heads: Int64s, levels: Float64s, steps: Float64s, lives: Float64s, told: Int64s,
    times: Int64s, preloaded: int,
) -> int:  # fmt: skip
    """Go through the operations in program order as far as their times are known.

    Parameters
    ----------
    walk : int64[order.WALK_SIZE]
    code : int64[count, isa.COLUMNS]
    units, starts : int64[count], int64[count + 1]
        Who executes each instruction; its rows in `accesses`.
    accesses : int64[accesses, ACCESS_COLUMNS]
        Of SRAMs, reads before writes.
    bases : int64[memories + 1]
    cuts : int64[pieces + 1]
        Where each piece begins, all memories one after the other.
    groups : int64[pieces]
        Whose a piece is; -1: of who writes it.
    writers, outside : int64[count], int64[memories]
        The group of what an instruction writes where `groups` says none: the sum of the two.
    pieces : float64[pieces, PIECE_COLUMNS]
    queues : int64[operations, TIME_COLUMNS]
        Operations with known times, unit after unit, in program order each.
    queue_starts, heads : int64[units + 1], int64[units]
        Where each unit's begin; how many of them are used up.
    levels, steps : float64[groups, bins]
        Bytes held, as the sum of `levels` and the running sum of `steps`.
    lives : float64[room, LIFE_COLUMNS]
        Room for two lives a piece, at least.
    told : int64[TOLD_SIZE]
    times : int64[5]
        Cycles of a bin, and of the run; how many bins, pieces, and lives at most.
    preloaded : int
        Whether bytes that are read before they are written hold something.
    """
    index = _find(walk, code, count, units)
    while index != _END_OF_PROGRAM:
        if index >= 0:
            unit = units[index]
            at = TIME_COLUMNS * (queue_starts[unit] + heads[unit])
            if at == TIME_COLUMNS * queue_starts[unit + 1]:
                return MORE
            if queues[at + T_INDEX] != index:
                return UNLIKE
            told[O_UNTIL] = queues[at + T_DISPATCHED]
            for access in range(starts[index] + told[O_ACCESSES], starts[index + 1]):
                row = ACCESS_COLUMNS * access
                memory = accesses[row + A_MEMORY]
                base, writer = bases[memory] + _first_byte(walk, accesses, row), outside[memory] + writers[index]
                if not _use(
                    accesses, row, base, writer, cuts, groups, pieces, queues, at, levels, steps, lives, told, times,
                    preloaded,
                ):  # fmt: skip
                    return FULL
                told[O_ACCESSES] += 1
            told[O_ACCESSES] = 0
            heads[unit] += 1
            order.advance(walk, index + 1)
        index = _find(walk, code, count, units)
    if times[T_ROOM] - told[O_LIVES] < times[T_PIECES]:
        return FULL
    for piece in range(times[T_PIECES]):
        at, size = PIECE_COLUMNS * piece, cuts[piece + 1] - cuts[piece]
        read, end = pieces[at + P_READ], float(times[T_CYCLES])
        if read >= 0 and pieces[at + P_WRITE_END] < 0:
            _tell(lives, told, pieces[at + P_MEMORY], read, read, end, end, float(size))
        _let_go(pieces, piece, size, -1.0, -1.0, levels, steps, times)
        pieces[at + P_READ] = -1
    return OVER


@part
def _use(
    accesses: Any, access: int, base: int, writer: int, cuts: Any, groups: Any, pieces: Any, queues: Any, at: int,
    levels: Any, steps: Any, lives: Any, told: Any, times: Any, preloaded: int,
) -> bool:  # fmt: skip
    """An operation reads or writes the pieces of an access, from the row on that `told` says; whether all of them."""
    row_bytes, rows = accesses[access + A_ROW_BYTES], accesses[access + A_ROWS]
    # A result comes as long after its beat as the last one does.
    results = float(queues[at + T_BEGIN] + queues[at + T_DONE] - queues[at + T_ISSUED])
    span, read = queues[at + T_DONE] - results, float(queues[at + T_ISSUED] + 1)
    for row in range(told[O_ROWS], rows):
        if times[T_ROOM] - told[O_LIVES] < 2 * times[T_PIECES]:
            told[O_ROWS] = row
            return False
        first = base + row * accesses[access + A_PITCH]
        piece = _piece_at(cuts, times[T_PIECES], first)
        while cuts[piece] < first + row_bytes:
            size, here = cuts[piece + 1] - cuts[piece], PIECE_COLUMNS * piece
            if accesses[access + A_IS_WRITE]:
                done = row * row_bytes + cuts[piece] - first
                begins = results + span * done / (rows * row_bytes)
                ends = results + span * (done + size) / (rows * row_bytes)
                _tell_write(pieces, piece, size, begins, ends, lives, told)
                _let_go(pieces, piece, size, begins, ends, levels, steps, times)
                pieces[here + P_WRITE_BEGIN] = begins
                pieces[here + P_WRITE_END] = ends
                pieces[here + P_READ] = -1
                if groups[piece] < 0:
                    pieces[here + P_GROUP] = writer
            elif preloaded or pieces[here + P_WRITE_END] >= 0:
                _tell_read(pieces, piece, size, read, lives, told)
                pieces[here + P_READ] = max(pieces[here + P_READ], read)
            piece += 1
    told[O_ROWS] = 0
    return True


@part
def _piece_at(cuts: Any, count: int, byte: int) -> int:
    """The piece that begins at a byte, by bisection."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if cuts[middle] < byte:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def keep_higher(bins: Int64s, held: Float64s, count: int, kept: UInt8s) -> None:
    """Of values in order of time, mark those that are higher than all later ones of their bin."""
    place, most = -1, 0.0
    for at in range(count - 1, -1, -1):
        higher = bins[at] != place or held[at] > most
        kept[at] = 1 if higher else 0
        if higher:
            place, most = bins[at], held[at]
