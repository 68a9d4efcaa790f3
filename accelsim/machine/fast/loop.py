"""From one cycle in which something happens to the next: the phases of `machine.reference.clock`, compiled."""

from __future__ import annotations

from typing import Any

from accelsim.isa.opcodes import Unit
from accelsim.jit import Int64s, call, kernel, part
from accelsim.machine.fast import books, dma, sequencer, stages
from accelsim.machine.fast import layout as lay
from accelsim.machine.fast.signature import STREAM

_LAYERS_CAUSES = lay.CAUSES
_UNITS = 4
_VECTOR = int(Unit.VECTOR)
EVENT_SIZE = 12
"""unit, index, row of the books, dispatched, started, issued, done, busy, semaphore, dependency, bank, dram."""
STATE_SIZE = 4
"""cycle, unit, reason, row of the books."""


@kernel
def begin(s: Int64s, c: Int64s, log: Int64s, states: Int64s) -> None:
    """The sequencer's first cycle: 0, or when the program has come out of DRAM."""
    s[lay.DUE + lay.A_SEQUENCER] = 0
    if c[lay.C_PROGRAM_BYTES]:
        sequencer.read_program(s, c, log)
        if s[lay.KEEP_EVENTS] == lay.ALL_EVENTS:
            _write_states(s, states)
    books.find_cause(s, c)


@kernel
def run(
    s: Int64s, c: Int64s, p: Int64s, log: Int64s, marks: Int64s, events: Int64s, states: Int64s, look: int, limit: int
) -> None:
    """Go on until the run is over, something is full, or so many cycles have been looked at; STATUS says which.

    Parameters
    ----------
    s, c, p : int64 arrays
        State, chip and program, as `layout` says.
    log : int64[LOG_RECORDS, LOG_FIELDS]
        The log of transfers.
    marks : int64[MARKS, C_MARK_SIZE]
        What `steady` keeps.
    events : int64[C_EVENTS, EVENT_SIZE]
        Completed operations.
    states : int64[C_STATES, STATE_SIZE]
        Changes of what units do.
    look : int
        Address of `steady.look`; 0: nothing is skipped.
    limit : int
    """
    entries = lay.DUE_FIXED + 2 * c[lay.C_STAGES]
    s[lay.STATUS] = lay.RUNNING
    for _ in range(limit):
        now = s[lay.DUE]
        for entry in range(1, entries):
            now = min(now, s[lay.DUE + entry])
        if now == lay.NEVER:
            s[lay.STATUS] = lay.DEADLOCK
            return
        _charge(s, c, now)
        s[lay.NOW] = now
        s[lay.VISITED] += 1
        _update(s, c, p, log, events, now)
        _ask(s, c, p, log, now)
        _decide(s, c, p, log)
        if s[lay.STATUS] != lay.RUNNING:
            return
        books.find_cause(s, c)
        is_over = s[lay.PENDING] == 0 and s[lay.HALT_AT] >= 0
        # What changes with the cycle after the last is of no cycle.
        if s[lay.KEEP_EVENTS] == lay.ALL_EVENTS and (not is_over or now <= s[lay.LAST_DONE]):
            _write_states(s, states)
        if is_over:
            _finish(s, c)
            return
        if s[lay.LOOPED]:
            level = s[lay.LOOPED] - 1
            loop = lay.LOOP + lay.LOOP_SIZE * level
            if look and s[loop + lay.L_APART] and s[loop + lay.L_COUNTER] % s[loop + lay.L_APART] == 0:
                call(look, s, c, p, log, marks, level)
            s[lay.LOOPED] = 0
        elif look and s[lay.REQUESTED]:
            call(look, s, c, p, log, marks, STREAM)
        s[lay.REQUESTED] = 0
        if s[lay.GROW]:
            s[lay.STATUS] = lay.GROWING
            return
        if s[lay.KEEP_EVENTS] and (
            s[lay.EVENT_COUNT] + _UNITS * s[lay.CAPACITY] > c[lay.C_EVENTS]
            or s[lay.STATE_COUNT] + lay.UNITS > c[lay.C_STATES]
        ):
            s[lay.STATUS] = lay.EVENTS_FULL
            return
    s[lay.STATUS] = lay.PAUSED


@part
def _charge(s: Any, c: Any, now: int) -> None:
    """The cycles up to this one were spent as it stood at the end of the last that was looked at."""
    s[c[lay.O_CAUSE_CYCLES] + s[lay.CAUSE_ROW] * _LAYERS_CAUSES + s[lay.CAUSE]] += now - s[lay.CAUSE_SINCE]
    s[lay.CAUSE_SINCE] = now


@part
def _finish(s: Any, c: Any) -> None:
    """The run is over with its last result."""
    end = s[lay.LAST_DONE] + 1
    _charge(s, c, end)
    s[lay.NOW] = end
    books.settle_states(s, c)
    s[lay.STATUS] = lay.DONE


@part
def _update(s: Any, c: Any, p: Any, log: Any, events: Any, now: int) -> None:
    """What was decided in earlier cycles becomes visible."""
    for unit in range(_UNITS):
        if s[lay.DUE + lay.K_CLOSE + unit] == now:
            _close(s, c, events, unit)
        if s[lay.DUE + lay.K_SEEN + unit] == now:
            _see(s, c, unit)
    for ring in range(lay.GIVES):
        if s[lay.DUE + lay.K_GIVE + ring] == now:
            books.receive(s, c, ring)
    for stage in range(2, c[lay.C_STAGES]):
        if s[lay.DUE + lay.DUE_FIXED + c[lay.C_STAGES] + stage] == now:
            stages.receive_beats(s, c, stage)
    if s[lay.DUE + lay.K_STORE_LEAVE] == now:
        dma.leave_store(s, c)
    if s[lay.DUE + lay.K_LOAD_LEAVE] == now:
        dma.leave_load(s, c)
    if s[lay.DUE + lay.K_SEND] == now:
        dma.send(s, c, p, log)


@part
def _ask(s: Any, c: Any, p: Any, log: Any, now: int) -> None:
    """Units look, and say whether they ask for ports."""
    for stage in range(c[lay.C_STAGES]):
        if s[lay.DUE + lay.DUE_FIXED + stage] == now:
            stages.ask_stage(s, c, p, stage)
    if s[lay.DUE + lay.A_STORE] == now:
        dma.ask_store(s, c, p)
    if s[lay.DUE + lay.A_LOAD] == now:
        dma.ask_load(s, c, p)
    if s[lay.DUE + lay.A_LANDING] == now:
        dma.ask_landing(s, c, p)
    if s[lay.DUE + lay.A_SEQUENCER] == now:
        sequencer.step(s, c, p, log)


@part
def _decide(s: Any, c: Any, p: Any, log: Any) -> None:
    """Ports and counts are granted in the order of `timing.rules.PRIORITY`, later stages first."""
    for memory in range(4):
        s[lay.USED + memory] = 0
    if s[c[lay.O_STAGE] + lay.S_ASKS]:
        stages.decide_stage(s, c, p, log, 0)
    for stage in range(c[lay.C_STAGES] - 1, 0, -1):
        if s[c[lay.O_STAGE] + stage * lay.STAGE_SIZE + lay.S_ASKS]:
            stages.decide_stage(s, c, p, log, stage)
    if s[lay.STORE_DMA + lay.D_ASKS]:
        dma.decide_store(s, c, p)
    if s[lay.LOAD_DMA + lay.D_ASKS]:
        dma.decide_load(s, c, p, log)
    if s[lay.LANDING + lay.D_ASKS]:
        dma.decide_landing(s, c, p)


@part
def _close(s: Any, c: Any, events: Any, unit: int) -> None:
    """Operations whose last result is written are no longer pending."""
    s[lay.DUE + lay.K_CLOSE + unit] = lay.NEVER
    while s[lay.CLOSED + unit] < s[lay.ISSUED + unit]:
        job = books.job_at(s, c, unit, s[lay.CLOSED + unit])
        if s[job + lay.J_DONE] >= s[lay.NOW]:
            s[lay.DUE + lay.K_CLOSE + unit] = s[job + lay.J_DONE] + 1
            break
        s[lay.CLOSED + unit] += 1
        s[lay.PENDING] -= 1
        if s[lay.KEEP_EVENTS] == lay.ALL_EVENTS:
            _write(s, events, unit, job)
    if s[lay.PENDING] == 0 and s[lay.SEQ_WAITS] == sequencer.WAITS_FOR_UNITS:
        s[lay.DUE + lay.A_SEQUENCER] = s[lay.NOW]


@part
def _write(s: Any, events: Any, unit: int, job: int) -> None:
    number = s[lay.EVENT_COUNT]
    events[EVENT_SIZE * number + 0] = unit
    events[EVENT_SIZE * number + 1] = s[job + lay.J_INDEX]
    events[EVENT_SIZE * number + 2] = s[job + lay.J_LAYER]
    begin = s[lay.FRAME_START]
    events[EVENT_SIZE * number + 3] = s[job + lay.J_DISPATCHED] - begin
    events[EVENT_SIZE * number + 4] = s[job + lay.J_STARTED] - begin
    events[EVENT_SIZE * number + 5] = s[job + lay.J_ISSUED] - begin
    events[EVENT_SIZE * number + 6] = s[job + lay.J_DONE] - begin
    for reason in range(5):
        events[EVENT_SIZE * number + 7 + reason] = s[job + lay.J_WAITED + reason]
    s[lay.EVENT_COUNT] = number + 1


@part
def _write_states(s: Any, states: Any) -> None:
    """What units do from this cycle on, where it is not what they did before."""
    for unit in range(lay.UNITS):
        at, told = lay.STATE + lay.STATE_SIZE * unit, lay.TOLD + lay.TOLD_SIZE * unit
        if s[at] != s[told] or s[at + 1] != s[told + 1]:
            s[told] = s[at]
            s[told + 1] = s[at + 1]
            row = STATE_SIZE * s[lay.STATE_COUNT]
            states[row] = s[lay.NOW] - s[lay.FRAME_START]
            states[row + 1] = unit
            states[row + 2] = s[at]
            states[row + 3] = s[at + 1]
            s[lay.STATE_COUNT] += 1


@part
def _see(s: Any, c: Any, unit: int) -> None:
    """Completions that are seen from this cycle on."""
    s[lay.DUE + lay.K_SEEN + unit] = lay.NEVER
    while s[lay.SEEN + unit] < s[lay.ISSUED + unit]:
        job = books.job_at(s, c, unit, s[lay.SEEN + unit])
        if s[job + lay.J_SEEN] > s[lay.NOW]:
            s[lay.DUE + lay.K_SEEN + unit] = s[job + lay.J_SEEN]
            break
        s[lay.SEEN + unit] += 1
