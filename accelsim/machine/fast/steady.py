"""Steady state: a loop whose turns repeat is advanced by whole periods at once, exactly.

At the end of a turn of a loop the machine's signature is compared with one kept from an earlier turn of it. Let them
be equal, p turns and D cycles apart. Then the next p turns take D cycles again and add to every count what the last p
turns added, for

* the machine is a function of its state and of what the sequencer fetches, and time enters only as a difference;
* the sequencer fetches the same instructions, since no guard of the program changes its mind between the turns that
  were gone through and the last one skipped (`_turns_without_a_change`), and the counters of the other loops are the
  same at both ends;
* a semaphore that neither an instruction of the loop nor one under way waits for has no say: its count, which only
  grows, is left out of the signature;
* the addresses are the same for banks and bursts, since p is a multiple of the number of turns after which each
  register is (`sequencer._apart`).

So k periods are added in one step: k D to every cycle in the state, k times the difference to every count, those of
semaphores too, and the transfers of a period k times to the DRAM traffic. At least one turn is left to be gone through,
in which an address that moves with the loop lies farther than in every turn skipped: if one of those were outside its
memory, this one is too, and the run is begun again without skipping to find the first. An address in a ring lies where
it has been before, or the ring lies in its memory (`repeats.period`), or the loop comes to no end of the ring, so that
it moves as any other (`repeats.room`).

A kept state is replaced after 1, 2, 4, 8... looks (R. P. Brent, BIT 20, 1980), so a period is found after at most
about twice the turns of its beginning and its length, with one kept state a level.
"""

from __future__ import annotations

from typing import Any

from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Op
from accelsim.jit import Int64s, kernel, part
from accelsim.machine.fast import books, stream
from accelsim.machine.fast import layout as lay
from accelsim.machine.fast.signature import STREAM, write_due, write_signature
from accelsim.timing.record import BANDWIDTH_BINS

_GUARD = int(Op.GUARD)
_UNITS = 4
_FEW = 512
"""So many transfers are added one by one."""


@kernel
def look(s: Int64s, c: Int64s, p: Int64s, log: Int64s, marks: Int64s, level: int) -> None:
    """At the end of a turn of a loop of a level, or after a request of a stream (STREAM): go on by whole periods if it
    repeats an earlier one, else keep it if it is time.
    """
    mark = mark_of(c, level)
    if not s[lay.LOG_OPEN]:
        _forget(s)
    if not _is_kept(s, marks, mark, level):
        _keep(s, c, p, marks, level, 1)
    elif _is_same(s, c, p, marks, level):
        periods = _periods_left(s, c, p, marks, mark, level)
        if periods > 0:
            _advance(s, c, p, log, marks, level, periods)
        _set_kept(s, level, False)
    else:
        marks[mark + lay.M_LOOKS] += 1
        if marks[mark + lay.M_LOOKS] == marks[mark + lay.M_PATIENCE]:
            _keep(s, c, p, marks, level, 2 * marks[mark + lay.M_PATIENCE])


@part
def _is_kept(s: Any, marks: Any, mark: int, level: int) -> bool:
    if level == STREAM:
        is_kept: bool = stream.is_kept(s, marks, mark)
        return is_kept
    fresh: bool = s[lay.LOOP + lay.LOOP_SIZE * level + lay.L_FRESH] != 0
    return not fresh


@part
def _set_kept(s: Any, level: int, kept: bool) -> None:
    if level == STREAM:
        s[lay.STREAM_KEPT] = kept
    else:
        s[lay.LOOP + lay.LOOP_SIZE * level + lay.L_FRESH] = not kept


@part
def _periods_left(s: Any, c: Any, p: Any, marks: Any, mark: int, level: int) -> int:
    if level == STREAM:
        left: int = stream.periods_left(s, c, marks, mark)
        return left
    since = marks[mark + lay.M_COUNTER]
    turns = s[lay.LOOP + lay.LOOP_SIZE * level + lay.L_COUNTER] - since
    periods: int = _turns_without_a_change(s, c, p, level, since) // turns
    return periods


@part
def _forget(s: Any) -> None:
    """Transfers were lost: what was kept before can't be advanced from."""
    for level in range(isa.LOOP_LEVELS):
        s[lay.LOOP + lay.LOOP_SIZE * level + lay.L_FRESH] = 1
    s[lay.STREAM_KEPT] = 0


@part
def mark_of(c: Any, level: int) -> int:
    """Where in `marks` what is kept for a level begins: a stream's behind the loops'."""
    row = isa.LOOP_LEVELS if level == STREAM else level
    place: int = row * c[lay.C_MARK_SIZE]
    return place


@part
def _loops_outside(s: Any, level: int) -> bool:
    """Whether a turn's end is kept of a loop around this one, or around a stream."""
    kept = False
    for other in range(s[lay.DEPTH] if level == STREAM else level):
        kept = kept or s[lay.LOOP + lay.LOOP_SIZE * other + lay.L_FRESH] == 0
    return kept


@part
def _keep(s: Any, c: Any, p: Any, marks: Any, level: int, patience: int) -> None:
    """Keep the present state, if there is room for it."""
    mark = mark_of(c, level)
    books.settle_states(s, c)
    if not _loops_outside(s, level):
        s[lay.LOG_SIZE] = 0
        s[lay.LOG_OPEN] = 1
    s[lay.LOG_READ] = s[lay.LOG_WRITE] = -1
    size = c[lay.O_TOTALS_SIZE]
    marks[mark + lay.M_NOW] = s[lay.NOW]
    marks[mark + lay.M_LOOKS] = 0
    marks[mark + lay.M_PATIENCE] = patience
    marks[mark + lay.M_LOG] = s[lay.LOG_SIZE]
    marks[mark + lay.M_LAST_DONE] = s[lay.LAST_DONE]
    marks[mark + lay.M_LAST_SEEN] = s[lay.LAST_SEEN]
    marks[mark + lay.M_SEQUENCE] = s[lay.SEQUENCE]
    for place in range(size):
        marks[mark + lay.M_TOTALS + place] = s[c[lay.O_TOTALS] + place]
    for token in range(isa.SEMAPHORES):
        marks[mark + lay.M_SEMAPHORES + token] = s[lay.SEMAPHORE + token]
    marks[mark + lay.M_SIZE] = write_signature(
        s, c, p, level, marks, mark + lay.M_TOTALS + size, mark + c[lay.C_MARK_SIZE]
    )
    if level == STREAM:
        marks[mark + lay.M_COUNTER] = s[lay.ACTIVITY]
        marks[mark + lay.M_LEFT] = s[lay.LOAD_DMA + lay.D_LEFT]
    else:
        marks[mark + lay.M_COUNTER] = s[lay.LOOP + lay.LOOP_SIZE * level + lay.L_COUNTER]
    _set_kept(s, level, marks[mark + lay.M_SIZE] >= 0)


@part
def _is_same(s: Any, c: Any, p: Any, marks: Any, level: int) -> bool:
    """Whether the state is the kept one."""
    mark, scratch = mark_of(c, level), (isa.LOOP_LEVELS + 1) * c[lay.C_MARK_SIZE]
    start = lay.M_TOTALS + c[lay.O_TOTALS_SIZE]
    end = write_due(s, c, marks, scratch + start) - scratch
    if _first_difference(marks, mark, scratch, start, end) < end:
        return False
    books.settle_states(s, c)
    end = write_signature(s, c, p, level, marks, scratch + start, scratch + c[lay.C_MARK_SIZE]) - scratch
    same: bool = mark + end == marks[mark + lay.M_SIZE] and _first_difference(marks, mark, scratch, start, end) == end
    return same


@part
def _first_difference(marks: Any, mark: int, other: int, start: int, end: int) -> int:
    at = start
    while at < end and marks[mark + at] == marks[other + at]:
        at += 1
    return at


@part
def _turns_without_a_change(s: Any, c: Any, p: Any, level: int, since: int) -> int:
    """How many turns can be skipped: none from turn `since` on sees a guard otherwise, and one is left.

    A guard of this level changes with the turns `low` and `high`. The turn behind those skipped is still like them.
    """
    loop = lay.LOOP + lay.LOOP_SIZE * level
    end = s[loop + lay.L_COUNT]
    for index in range(c[lay.C_INSTRUCTIONS]):
        if p[lay.P_SIZE * index + isa.COL_OPCODE] == _GUARD and p[lay.P_SIZE * index + isa.COL_LEVEL] == level:
            if p[lay.P_SIZE * index + isa.COL_LOW] > since:
                end = min(end, p[lay.P_SIZE * index + isa.COL_LOW])
            if p[lay.P_SIZE * index + isa.COL_HIGH] > since:
                end = min(end, p[lay.P_SIZE * index + isa.COL_HIGH])
    turns: int = max(end - 1 - s[loop + lay.L_COUNTER], 0)
    return turns


@part
def _advance(s: Any, c: Any, p: Any, log: Any, marks: Any, level: int, periods: int) -> None:
    """Add so many periods to the state and the books."""
    mark = mark_of(c, level)
    period = s[lay.NOW] - marks[mark + lay.M_NOW]
    _repeat_traffic(s, c, log, marks[mark + lay.M_LOG], level, period, periods)
    for number in range(c[lay.O_TOTALS_SIZE]):
        at = c[lay.O_TOTALS] + number
        s[at] += periods * (s[at] - marks[mark + lay.M_TOTALS + number])
    for token in range(isa.SEMAPHORES):
        s[lay.SEMAPHORE + token] += periods * (s[lay.SEMAPHORE + token] - marks[mark + lay.M_SEMAPHORES + token])
    # If the period has a last result it moves with the periods; the one before, from which no period is counted, may be
    # of something else, longer ago than a period.
    if s[lay.LAST_DONE] != marks[mark + lay.M_LAST_DONE]:
        s[lay.LAST_DONE] += periods * period
    if s[lay.LAST_SEEN] != marks[mark + lay.M_LAST_SEEN]:
        s[lay.LAST_SEEN] += periods * period
    more = periods * (s[lay.SEQUENCE] - marks[mark + lay.M_SEQUENCE])
    shift(s, c, periods * period, more)
    s[lay.SKIPPED] += periods * period
    if level == STREAM:
        stream.move(s, c, p, periods * (marks[mark + lay.M_LEFT] - s[lay.LOAD_DMA + lay.D_LEFT]))
    else:
        loop = lay.LOOP + lay.LOOP_SIZE * level + lay.L_COUNTER
        s[loop] += periods * (s[loop] - marks[mark + lay.M_COUNTER])


@part
def shift(s: Any, c: Any, cycles: int, operations: int) -> None:
    """Move the state by so many cycles, and running numbers of operations by so many."""
    young = c[lay.C_WAKE] and cycles % c[lay.C_WAKE]
    if young:
        _turn_young(s, c, cycles)
    for place in (lay.NOW, lay.CAUSE_SINCE, lay.STORE_DONE):
        s[place] += cycles
    s[lay.BUS_FREE] += cycles * c[lay.C_RATE_UP]
    s[lay.SEQUENCE] += operations
    for entry in range(lay.DUE_FIXED + 2 * c[lay.C_STAGES]):
        if s[lay.DUE + entry] != lay.NEVER:
            s[lay.DUE + entry] += cycles
    for unit in range(lay.UNITS):
        s[lay.STATE + lay.STATE_SIZE * unit + 2] += cycles
    for dma in (lay.STORE_DMA, lay.LOAD_DMA, lay.LANDING):
        s[dma + lay.D_ASKED] += cycles
    for unit in range(_UNITS):
        for number in range(s[lay.SEEN + unit], s[lay.TAIL + unit]):
            job = books.job_at(s, c, unit, number)
            s[job + lay.J_SEQUENCE] += operations
            for field in range(lay.J_VISIBLE, lay.J_CALLED + 1):
                s[job + field] += cycles
    for stage in range(c[lay.C_STAGES]):
        _shift_stage(s, c, stage, cycles, operations)
    for number in range(s[lay.LAND_LEFT], s[lay.LAND_TAIL]):
        s[books.land_at(s, c, number) + lay.B_CYCLE] += cycles
    for number in range(s[lay.SEND_LEFT], s[lay.SEND_TAIL]):
        s[books.send_at(s, c, number) + lay.B_CYCLE] += cycles
        s[books.send_at(s, c, number) + lay.B_DONE] += cycles
    for ring in range(lay.GIVES):
        for number in range(s[lay.GIVE_HEAD + ring], s[lay.GIVE_TAIL + ring]):
            entry = ring * s[lay.CAPACITY] + (number & (s[lay.CAPACITY] - 1))
            s[c[lay.O_GIVES] + entry * lay.GIVE_SIZE + lay.G_CYCLE] += cycles
    if c[lay.C_WAKE] and not young:
        for entry in range(c[lay.O_YOUNG], c[lay.O_YOUNG] + 2 * isa.SEMAPHORES * c[lay.C_WAKE], 2):
            s[entry] += cycles


@part
def _shift_stage(s: Any, c: Any, stage: int, cycles: int, operations: int) -> None:
    here = c[lay.O_STAGE] + stage * lay.STAGE_SIZE
    for field in (lay.S_ASKED, lay.S_READY, lay.S_LAST_OUT, lay.S_FREE):
        s[here + field] += cycles
    s[here + lay.S_LAST] += operations
    for number in range(s[here + lay.S_BETWEEN_HEAD], s[here + lay.S_BETWEEN_TAIL]):
        s[c[lay.O_BETWEEN] + stage * s[lay.CAPACITY] + (number & (s[lay.CAPACITY] - 1))] += cycles
    for number in range(c[lay.C_BEATS_AHEAD]):
        s[c[lay.O_ISSUES] + stage * c[lay.C_BEATS_AHEAD] + number] += cycles


@part
def _turn_young(s: Any, c: Any, cycles: int) -> None:
    """Counts of the last cycles lie at their cycle modulo their number: turn that row, and move its cycles."""
    wake = c[lay.C_WAKE]
    for token in range(isa.SEMAPHORES):
        base = c[lay.O_YOUNG] + 2 * token * wake
        # Turned one place at a time: few and short rows, and no second one needed.
        for _ in range(cycles % wake):
            last_cycle, last_amount = s[base + 2 * (wake - 1)], s[base + 2 * (wake - 1) + 1]
            for slot in range(wake - 1, 0, -1):
                s[base + 2 * slot] = s[base + 2 * (slot - 1)]
                s[base + 2 * slot + 1] = s[base + 2 * (slot - 1) + 1]
            s[base], s[base + 1] = last_cycle, last_amount
        for slot in range(wake):
            s[base + 2 * slot] += cycles


@part
def _repeat_traffic(s: Any, c: Any, log: Any, first: int, level: int, period: int, periods: int) -> None:
    """The transfers since a kept turn's end once more for each period: into the bins, and into the log.

    The log has them again only where an outer loop may be advanced with this one inside.
    """
    size = s[lay.LOG_SIZE]
    for number in range(first, size):
        record = lay.LOG_FIELDS * number
        last = log[record + lay.LOG_CYCLE] + (log[record + lay.LOG_COUNT] - 1) * log[record + lay.LOG_STEP]
        books.widen(s, c, last + periods * period)
    for number in range(first, size):
        _repeat(s, c, log, lay.LOG_FIELDS * number, period, periods)
    s[lay.LOG_READ] = s[lay.LOG_WRITE] = -1
    if not _loops_outside(s, level):
        s[lay.LOG_SIZE] = first
        return
    for number in range(first, size):
        record = lay.LOG_FIELDS * number
        cycle, step = log[record + lay.LOG_CYCLE], log[record + lay.LOG_STEP]
        count, is_write = log[record + lay.LOG_COUNT], log[record + lay.LOG_IS_WRITE]
        amount = log[record + lay.LOG_BYTES]
        if count == 1:
            books.append_record(s, log, cycle + period, period, amount, periods, is_write)
        elif count * step == period:
            books.append_record(s, log, cycle + period, step, amount, count * periods, is_write)
        elif periods <= count:
            for turn in range(1, periods + 1):
                books.append_record(s, log, cycle + turn * period, step, amount, count, is_write)
        else:
            for one in range(count):
                books.append_record(s, log, cycle + one * step + period, period, amount, periods, is_write)


@part
def _repeat(s: Any, c: Any, log: Any, record: int, period: int, periods: int) -> None:
    """A record's transfers `periods` times more, in the bins of the DRAM traffic."""
    cycle, step = log[record + lay.LOG_CYCLE] + period, log[record + lay.LOG_STEP]
    count, amount = log[record + lay.LOG_COUNT], log[record + lay.LOG_BYTES]
    base, width = c[lay.O_TRAFFIC] + log[record + lay.LOG_IS_WRITE] * BANDWIDTH_BINS, s[lay.BIN_CYCLES]
    if count * periods <= _FEW:
        for turn in range(periods):
            for one in range(count):
                s[base + ((cycle + turn * period + one * step) >> width)] += amount
        return
    end = cycle + (periods - 1) * period + (count - 1) * step
    before = 0
    for place in range(cycle >> width, (end >> width) + 1):
        until = _transfers_before((place + 1) << width, cycle, step, count, period, periods)
        s[base + place] += amount * (until - before)
        before = until


@part
def _transfers_before(limit: int, cycle: int, step: int, count: int, period: int, periods: int) -> int:
    """How many of the transfers cycle + j * period + i * step (0 <= j < periods, 0 <= i < count) are before `limit`.

    All `count` of the first periods are, whose last one is; none of those whose first is not; in between they are
    counted period by period.
    """
    whole = min(max(-((cycle + (count - 1) * step - limit) // period), 0), periods)
    begun = min(max(-((cycle - limit) // period), 0), periods)
    number = whole * count
    for turn in range(whole, begun):
        number += min(max(-((cycle + turn * period - limit) // step), 0), count)
    return number
