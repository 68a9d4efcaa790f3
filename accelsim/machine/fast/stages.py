"""The matrix unit and the stages of the vector unit: as `machine.reference.compute`, a cycle at a time."""

from __future__ import annotations

from typing import Any

from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Op, Unit
from accelsim.jit import part
from accelsim.machine.fast import books
from accelsim.machine.fast import layout as lay
from accelsim.machine.fast.beats import begin_job, next_beat, passes_at
from accelsim.timing import rules
from accelsim.timing.record import Reason

_drained = part(rules.drained)
_visible_after_hop = part(rules.visible_after_hop)
_MATRIX, _VECTOR = int(Unit.MATRIX), int(Unit.VECTOR)
_LOAD = int(Op.LOAD)
_BUSY, _SEMAPHORE, _DEPENDENCY = int(Reason.BUSY), int(Reason.SEMAPHORE), int(Reason.DEPENDENCY)
_BANK, _IDLE = int(Reason.BANK), int(Reason.IDLE)
_MEMORIES = rules.MEMORIES
_DRAM_MEMORY = rules.MEMORIES


@part
def ask_stage(s: Any, c: Any, p: Any, stage: int) -> None:
    """Look whether a beat can be issued, as far as the stage itself can say; if so, S_ASKS."""
    at = c[lay.O_STAGE] + stage * lay.STAGE_SIZE
    due = lay.DUE + lay.DUE_FIXED + stage
    now = s[lay.NOW]
    unit = _MATRIX if stage == 0 else _VECTOR
    last = stage == 0 or stage == c[lay.C_STAGES] - 1
    s[at + lay.S_ASKS] = 0
    if not s[at + lay.S_BUSY]:
        if last:
            books.set_state(s, c, unit, _IDLE, c[lay.C_LAYERS])
        if not _take_job(s, c, p, at, due, unit, last):
            return
        begin_job(s, c, p, at, stage, books.job_at(s, c, unit, s[at + lay.S_JOB]))
    elif s[at + lay.S_REASON] >= 0 and last:
        job = books.job_at(s, c, unit, s[at + lay.S_JOB])
        s[job + lay.J_WAITED + s[at + lay.S_REASON]] += now - s[at + lay.S_ASKED]
    job = books.job_at(s, c, unit, s[at + lay.S_JOB])
    s[at + lay.S_ASKED] = now
    reason = -1
    if s[at + lay.S_PASS] == 0:
        reason, token, enough = _lacking(s, c, p, at, stage, job)
        if reason >= 0:
            # A count that is there, but not long enough, comes of age without a further event.
            s[due] = now + 1 if enough else lay.NEVER
            s[at + lay.S_WAITS] = lay.NO_TOKEN if enough else token
    if reason < 0 and now < s[at + lay.S_READY]:
        reason = _DEPENDENCY
        s[due] = s[at + lay.S_READY]
    s[at + lay.S_REASON] = reason
    if reason < 0:
        s[at + lay.S_ASKS] = 1
    elif last:
        books.set_state(s, c, unit, reason, s[job + lay.J_LAYER])


@part
def _take_job(s: Any, c: Any, p: Any, at: int, due: int, unit: int, last: bool) -> bool:
    """Begin the next job, if it has arrived. Loads in the vector unit's queue are its last stage's."""
    # A stage that loads have passed by may be far behind: what is seen to be done is nothing for it.
    number, tail, job = max(s[at + lay.S_JOB], s[lay.SEEN + unit]), s[lay.TAIL + unit], 0
    while number < tail:
        job = books.job_at(s, c, unit, number)
        if last or p[lay.P_SIZE * s[job + lay.J_INDEX] + isa.COL_OPCODE] != _LOAD:
            break
        number += 1
    s[at + lay.S_JOB] = number
    s[due] = lay.NEVER
    if number == tail:
        return False
    if s[job + lay.J_VISIBLE] > s[lay.NOW]:
        s[due] = s[job + lay.J_VISIBLE]
        return False
    s[at + lay.S_BUSY] = 1
    s[at + lay.S_REASON] = -1
    return True


@part
def _lacking(s: Any, c: Any, p: Any, at: int, stage: int, job: int) -> tuple[int, int, bool]:
    """(reason, semaphore, whether its counts are there but too young) of the first that is not there; or (-1, ...)."""
    code = lay.P_SIZE * s[job + lay.J_INDEX]
    here = 0 if stage == 0 else stage - 1
    if s[at + lay.S_NUMBER] == 0:
        for slot in range(3):
            token = p[code + isa.COL_WAIT0 + 2 * slot]
            if token and not p[code + isa.COL_WAIT0_EACH + 2 * slot] and p[code + lay.P_WAIT_STAGE + slot] == here:
                count = s[lay.SEMAPHORE + token]
                if (books.count_of_age(s, c, token) if stage else count) < 1:
                    return _SEMAPHORE, token, count >= 1
    takes = s[at + lay.S_TAKES]
    if takes:
        for slot in range(3):
            token = p[code + isa.COL_WAIT0 + 2 * slot]
            if (
                token
                and p[code + isa.COL_WAIT0_EACH + 2 * slot]
                and p[code + lay.P_WAIT_STAGE + slot] == here
                and s[lay.SEMAPHORE + token] < takes
            ):
                return _DEPENDENCY, token, False
    if stage > 1 and p[code + isa.COL_OPCODE] != _LOAD and s[at + lay.S_BEFORE] < 1:
        return _DEPENDENCY, lay.BEFORE_TOKEN, False
    return -1, 0, False


@part
def decide_stage(s: Any, c: Any, p: Any, log: Any, stage: int) -> None:
    """Grant what the stage asks for, and issue its beat; or let it ask again."""
    at = c[lay.O_STAGE] + stage * lay.STAGE_SIZE
    unit = _MATRIX if stage == 0 else _VECTOR
    last = stage == 0 or stage == c[lay.C_STAGES] - 1
    job = books.job_at(s, c, unit, s[at + lay.S_JOB])
    s[at + lay.S_ASKS] = 0
    s[lay.DUE + lay.DUE_FIXED + stage] = s[lay.NOW] + 1
    banks = passes_at(c, stage) + _MEMORIES * s[at + lay.S_PASS]
    if not (is_free(s, banks) and _take(s, c, p, at, stage, job)):
        s[at + lay.S_REASON] = _BANK
        if last:
            books.set_state(s, c, unit, _BANK, s[job + lay.J_LAYER])
        return
    occupy(s, banks)
    s[lay.ACTIVITY] += 1
    if last:
        if s[at + lay.S_NUMBER] == 0 and s[at + lay.S_PASS] == 0:
            books.free_place(s, unit)
            s[job + lay.J_STARTED] = s[lay.NOW]
        books.set_state(s, c, unit, _BUSY, s[job + lay.J_LAYER])
        s[job + lay.J_WAITED + _BUSY] += 1
    s[at + lay.S_PASS] += 1
    if s[at + lay.S_PASS] == s[at + lay.S_PASSES]:
        _issued(s, c, p, log, at, stage, unit, last, job)


@part
def is_free(s: Any, banks: int) -> bool:
    """Whether none of a pass's banks is taken in this cycle."""
    taken = 0
    for memory in range(_MEMORIES):
        taken |= s[lay.USED + memory] & s[banks + memory]
    return bool(taken == 0)


@part
def occupy(s: Any, banks: int) -> None:
    """Take a pass's banks for this cycle."""
    for memory in range(_MEMORIES):
        s[lay.USED + memory] |= s[banks + memory]


@part
def _take(s: Any, c: Any, p: Any, at: int, stage: int, job: int) -> bool:
    """Take all counts a beat needs, or none."""
    if s[at + lay.S_PASS]:
        return True
    code = lay.P_SIZE * s[job + lay.J_INDEX]
    here = 0 if stage == 0 else stage - 1
    first, takes = s[at + lay.S_NUMBER] == 0, s[at + lay.S_TAKES]
    follows = stage > 1 and p[code + isa.COL_OPCODE] != _LOAD
    if follows and s[at + lay.S_BEFORE] < 1:
        return False
    for taking in range(2):
        for slot in range(3):
            token = p[code + isa.COL_WAIT0 + 2 * slot]
            if not token or p[code + lay.P_WAIT_STAGE + slot] != here:
                continue
            amount = takes if p[code + isa.COL_WAIT0_EACH + 2 * slot] else int(first)
            if taking:
                s[lay.SEMAPHORE + token] -= amount
            elif amount and s[lay.SEMAPHORE + token] < amount:
                return False
    if follows:
        s[at + lay.S_BEFORE] -= 1
    return True


@part
def _issued(s: Any, c: Any, p: Any, log: Any, at: int, stage: int, unit: int, last: bool, job: int) -> None:
    """A beat's last pass is issued: pass its result on, and go to the next beat or job."""
    now, row = s[lay.NOW], s[job + lay.J_LAYER]
    ahead = c[lay.C_BEATS_AHEAD]
    if ahead:
        s[c[lay.O_ISSUES] + stage * ahead + s[at + lay.S_ISSUES] % ahead] = now
        s[at + lay.S_ISSUES] += 1
    for memory in range(_MEMORIES):
        books.book_bytes(s, c, row, memory, 0, s[at + lay.S_BYTES + memory])
        books.book_bytes(s, c, row, memory, 1, s[at + lay.S_BYTES + _MEMORIES + memory])
    latency = c[lay.C_LATENCY + 2 * stage]
    written = now + latency
    if not last:
        _hand_on(s, c, stage + 1, written)
    elif s[at + lay.S_WRITES]:
        written = _drained(now, latency, s[at + lay.S_LAST_OUT], c[lay.C_LATENCY + 2 * stage + 1])
        s[at + lay.S_LAST_OUT] = written
    else:
        # A sync says that what was before it is done.
        written = max(written, s[at + lay.S_LAST_OUT])
    op = p[lay.P_SIZE * s[job + lay.J_INDEX] + isa.COL_OPCODE]
    if stage == 0:
        s[c[lay.O_MACS] + row] += s[at + lay.S_MACS]
    elif op == _LOAD:
        books.book_bytes(s, c, row, _DRAM_MEMORY, 0, s[at + lay.S_SIZE])
        books.add_traffic(s, c, log, now - s[lay.FRAME_START], s[at + lay.S_SIZE], 0)
    elif stage == 1:
        s[c[lay.O_ELEMENTS] + row] += s[at + lay.S_SIZE]
    is_last_beat = s[at + lay.S_IS_LAST]
    if last:
        books.give_elements(s, c, p, unit, job, s[at + lay.S_GIVES], written)
        if is_last_beat:
            s[job + lay.J_ISSUED] = now
            books.complete(s, c, p, unit, written)
    if is_last_beat:
        s[at + lay.S_BUSY] = 0
        s[at + lay.S_JOB] += 1
    else:
        next_beat(s, c, p, at, stage, job)


@part
def _hand_on(s: Any, c: Any, stage: int, cycle: int) -> None:
    """The next stage can take the beat from a later cycle on."""
    at = c[lay.O_STAGE] + stage * lay.STAGE_SIZE
    tail = s[at + lay.S_BETWEEN_TAIL]
    s[c[lay.O_BETWEEN] + stage * s[lay.CAPACITY] + (tail & (s[lay.CAPACITY] - 1))] = cycle
    if tail == s[at + lay.S_BETWEEN_HEAD]:
        s[lay.DUE + lay.DUE_FIXED + c[lay.C_STAGES] + stage] = cycle
    s[at + lay.S_BETWEEN_TAIL] = tail + 1
    if tail + 1 - s[at + lay.S_BETWEEN_HEAD] > s[lay.CAPACITY] - lay.SPARE:
        s[lay.GROW] = 1


@part
def receive_beats(s: Any, c: Any, stage: int) -> None:
    """Beats of the stage before that can be taken from this cycle on."""
    at = c[lay.O_STAGE] + stage * lay.STAGE_SIZE
    due = lay.DUE + lay.DUE_FIXED + c[lay.C_STAGES] + stage
    head, tail = s[at + lay.S_BETWEEN_HEAD], s[at + lay.S_BETWEEN_TAIL]
    s[due] = lay.NEVER
    while head < tail:
        cycle = s[c[lay.O_BETWEEN] + stage * s[lay.CAPACITY] + (head & (s[lay.CAPACITY] - 1))]
        if cycle > s[lay.NOW]:
            s[due] = cycle
            break
        head += 1
        s[at + lay.S_BEFORE] += 1
    s[at + lay.S_BETWEEN_HEAD] = head
    if s[at + lay.S_WAITS] == lay.BEFORE_TOKEN:
        s[at + lay.S_WAITS] = lay.NO_TOKEN
        s[lay.DUE + lay.DUE_FIXED + stage] = s[lay.NOW]
