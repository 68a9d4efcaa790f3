"""What a run writes down: states of units, causes of cycles, bytes, the DRAM traffic, completed operations."""

from __future__ import annotations

from typing import Any

from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Unit
from accelsim.jit import part
from accelsim.machine.fast import layout as lay
from accelsim.timing import rules
from accelsim.timing.record import BANDWIDTH_BINS, Cause, Reason

_bus_cycle = part(rules.bus_cycle)
_reserve_bus = part(rules.reserve_bus)
_visible_after_completion = part(rules.visible_after_completion)
_visible_after_hop = part(rules.visible_after_hop)

_LOAD, _MATRIX, _VECTOR = int(Unit.LOAD), int(Unit.MATRIX), int(Unit.VECTOR)
_STORE, _SEQUENCER = int(Unit.STORE), int(Unit.SEQUENCER)
_BUSY, _BANK, _DRAM = int(Reason.BUSY), int(Reason.BANK), int(Reason.DRAM)
_BY_MATRIX, _BY_VECTOR, _BY_LATENCY = int(Cause.MATRIX), int(Cause.VECTOR), int(Cause.LATENCY)
_BY_DRAM, _BY_SEQUENCER = int(Cause.DRAM), int(Cause.SEQUENCER)
_DRAM_MEMORY = rules.MEMORIES
_TRAFFIC = 2 * (rules.MEMORIES + 1)


@part
def job_at(s: Any, c: Any, unit: int, number: int) -> int:
    """Where a unit's job lies in `s`."""
    place: int = c[lay.O_JOBS] + (unit * s[lay.CAPACITY] + (number & (s[lay.CAPACITY] - 1))) * lay.JOB_SIZE
    return place


@part
def land_at(s: Any, c: Any, number: int) -> int:
    """Where a burst on its way to an SRAM lies in `s`."""
    place: int = c[lay.O_LANDS] + (number & (s[lay.CAPACITY] - 1)) * lay.LAND_SIZE
    return place


@part
def send_at(s: Any, c: Any, number: int) -> int:
    """Where a burst on its way to DRAM lies in `s`."""
    place: int = c[lay.O_SENDS] + (number & (s[lay.CAPACITY] - 1)) * lay.LAND_SIZE
    return place


@part
def set_state(s: Any, c: Any, unit: int, reason: int, row: int) -> None:
    """From this cycle on the unit is in this state, for the layer of this row of the books."""
    at = lay.STATE + lay.STATE_SIZE * unit
    gone = s[lay.NOW] - s[at + 2]
    if gone > 0:
        s[c[lay.O_UNIT_CYCLES] + (unit * (c[lay.C_LAYERS] + 1) + s[at + 1]) * lay.REASONS + s[at]] += gone
        s[at + 2] = s[lay.NOW]
    s[at] = reason
    s[at + 1] = row


@part
def settle_states(s: Any, c: Any) -> None:
    """Book every unit's state up to this cycle."""
    for unit in range(lay.UNITS):
        at = lay.STATE + lay.STATE_SIZE * unit
        set_state(s, c, unit, s[at], s[at + 1])


@part
def show_load(s: Any, c: Any) -> None:
    """Book the load DMA's state: a beat in this cycle, else data under way, else what the next request waits for."""
    if s[lay.LANDING + lay.D_BEAT] >= 0:
        set_state(s, c, _LOAD, s[lay.LANDING + lay.D_BEAT], s[lay.LANDING + lay.D_BEAT_LAYER])
    elif s[lay.LAND_TAIL] > s[lay.LAND_LEFT]:
        job = job_at(s, c, _LOAD, s[land_at(s, c, s[lay.LAND_LEFT]) + lay.B_JOB])
        set_state(s, c, _LOAD, _DRAM, s[job + lay.J_LAYER])
    else:
        set_state(s, c, _LOAD, s[lay.LOAD_DMA + lay.D_FRONT], s[lay.LOAD_DMA + lay.D_FRONT_LAYER])


@part
def show_store(s: Any, c: Any) -> None:
    """Book the store DMA's state."""
    if s[lay.STORE_DMA + lay.D_BEAT] >= 0:
        set_state(s, c, _STORE, s[lay.STORE_DMA + lay.D_BEAT], s[lay.STORE_DMA + lay.D_BEAT_LAYER])
    elif s[lay.SEND_TAIL] > s[lay.SEND_LEFT]:
        job = job_at(s, c, _STORE, s[send_at(s, c, s[lay.SEND_LEFT]) + lay.B_JOB])
        set_state(s, c, _STORE, _DRAM, s[job + lay.J_LAYER])
    else:
        set_state(s, c, _STORE, s[lay.STORE_DMA + lay.D_FRONT], s[lay.STORE_DMA + lay.D_FRONT_LAYER])


@part
def find_cause(s: Any, c: Any) -> None:
    """What the cycles from this one on are spent on, until something changes: as `timing.record.Accountant`."""
    for unit, cause in ((_MATRIX, _BY_MATRIX), (_VECTOR, _BY_VECTOR)):
        if s[lay.STATE + lay.STATE_SIZE * unit] == _BUSY:
            s[lay.CAUSE] = cause
            s[lay.CAUSE_ROW] = s[lay.STATE + lay.STATE_SIZE * unit + 1]
            return
    if s[lay.ISSUED + _MATRIX] > s[lay.SEEN + _MATRIX] or s[lay.ISSUED + _VECTOR] > s[lay.SEEN + _VECTOR]:
        s[lay.CAUSE] = _BY_LATENCY
        s[lay.CAUSE_ROW] = _latest(s, c, _MATRIX, _VECTOR)
        return
    for unit in (_LOAD, _STORE):
        reason = s[lay.STATE + lay.STATE_SIZE * unit]
        if reason in (_BUSY, _DRAM, _BANK):
            s[lay.CAUSE] = _BY_DRAM
            s[lay.CAUSE_ROW] = s[lay.STATE + lay.STATE_SIZE * unit + 1]
            return
    if s[lay.ISSUED + _LOAD] > s[lay.SEEN + _LOAD] or s[lay.ISSUED + _STORE] > s[lay.SEEN + _STORE]:
        s[lay.CAUSE] = _BY_DRAM
        s[lay.CAUSE_ROW] = _latest(s, c, _STORE, _LOAD)
        return
    s[lay.CAUSE] = _BY_DRAM if s[lay.STATE + lay.STATE_SIZE * _SEQUENCER] == _DRAM else _BY_SEQUENCER
    s[lay.CAUSE_ROW] = c[lay.C_LAYERS]


@part
def _latest(s: Any, c: Any, unit: int, other: int) -> int:
    """The layer of what was last issued of what is still to be seen; in one cycle `other` comes later."""
    row: int = c[lay.C_LAYERS]
    called = -1
    if s[lay.ISSUED + unit] > s[lay.SEEN + unit]:
        job = job_at(s, c, unit, s[lay.ISSUED + unit] - 1)
        row, called = s[job + lay.J_LAYER], s[job + lay.J_CALLED]
    if s[lay.ISSUED + other] > s[lay.SEEN + other]:
        job = job_at(s, c, other, s[lay.ISSUED + other] - 1)
        if s[job + lay.J_CALLED] >= called:
            row = s[job + lay.J_LAYER]
    return row


@part
def book_bytes(s: Any, c: Any, row: int, memory: int, is_write: int, size: int) -> None:
    """Bytes read or written of a memory; DRAM is the last."""
    s[c[lay.O_BYTES] + row * _TRAFFIC + 2 * memory + is_write] += size


@part
def add_traffic(s: Any, c: Any, log: Any, cycle: int, size: int, is_write: int) -> None:
    """Bytes that pass the DRAM bus in a cycle, counted from the frame's first."""
    widen(s, c, cycle)
    bins = s[lay.BIN_CYCLES]
    s[c[lay.O_TRAFFIC] + is_write * BANDWIDTH_BINS + (cycle >> bins)] += size
    if s[lay.LOG_OPEN]:
        log_transfer(s, log, cycle, size, is_write)


@part
def widen(s: Any, c: Any, cycle: int) -> None:
    """Double the bins' width until a cycle has its bin. BIN_CYCLES holds the width's logarithm."""
    while cycle >> s[lay.BIN_CYCLES] >= BANDWIDTH_BINS:
        for direction in range(2):
            base = c[lay.O_TRAFFIC] + direction * BANDWIDTH_BINS
            for pair in range(BANDWIDTH_BINS // 2):
                s[base + pair] = s[base + 2 * pair] + s[base + 2 * pair + 1]
            for place in range(BANDWIDTH_BINS // 2, BANDWIDTH_BINS):
                s[base + place] = 0
        s[lay.BIN_CYCLES] += 1


@part
def log_transfer(s: Any, log: Any, cycle: int, size: int, is_write: int) -> None:
    """Keep a transfer in the log: one more of a row of equal ones, or the first of a new row."""
    last = s[lay.LOG_WRITE] if is_write else s[lay.LOG_READ]
    if last >= 0 and log[lay.LOG_FIELDS * last + lay.LOG_BYTES] == size:
        count = log[lay.LOG_FIELDS * last + lay.LOG_COUNT]
        if count == 1:
            log[lay.LOG_FIELDS * last + lay.LOG_STEP] = cycle - log[lay.LOG_FIELDS * last + lay.LOG_CYCLE]
        if cycle == log[lay.LOG_FIELDS * last + lay.LOG_CYCLE] + log[lay.LOG_FIELDS * last + lay.LOG_STEP] * count:
            log[lay.LOG_FIELDS * last + lay.LOG_COUNT] = count + 1
            return
    append_record(s, log, cycle, 0, size, 1, is_write)
    if is_write:
        s[lay.LOG_WRITE] = s[lay.LOG_SIZE] - 1
    else:
        s[lay.LOG_READ] = s[lay.LOG_SIZE] - 1


@part
def append_record(s: Any, log: Any, cycle: int, step: int, size: int, count: int, is_write: int) -> None:
    """A new record; where there is no place the log closes, and what needs it can't be done."""
    number = s[lay.LOG_SIZE]
    if number == lay.LOG_RECORDS:
        s[lay.LOG_OPEN] = 0
        return
    log[lay.LOG_FIELDS * number + lay.LOG_CYCLE] = cycle
    log[lay.LOG_FIELDS * number + lay.LOG_STEP] = step
    log[lay.LOG_FIELDS * number + lay.LOG_BYTES] = size
    log[lay.LOG_FIELDS * number + lay.LOG_COUNT] = count
    log[lay.LOG_FIELDS * number + lay.LOG_IS_WRITE] = is_write
    s[lay.LOG_SIZE] = number + 1


@part
def use_bus(s: Any, c: Any, log: Any, size: int, is_write: int, row: int) -> int:
    """Reserve the DRAM bus from this cycle on; the first cycle not before the transfer's end."""
    s[lay.BUS_FREE] = _reserve_bus(s[lay.BUS_FREE], s[lay.NOW], size, c[lay.C_RATE_UP], c[lay.C_RATE_DOWN])
    book_bytes(s, c, row, _DRAM_MEMORY, is_write, size)
    end: int = _bus_cycle(s[lay.BUS_FREE], c[lay.C_RATE_UP])
    add_traffic(s, c, log, end - 1 - s[lay.FRAME_START], size, is_write)
    return end


@part
def give(s: Any, c: Any, ring: int, cycle: int, token: int, amount: int) -> None:
    """Counts that a semaphore has from a later cycle on."""
    tail = s[lay.GIVE_TAIL + ring]
    at = c[lay.O_GIVES] + (ring * s[lay.CAPACITY] + (tail & (s[lay.CAPACITY] - 1))) * lay.GIVE_SIZE
    s[at + lay.G_CYCLE] = cycle
    s[at + lay.G_TOKEN] = token
    s[at + lay.G_AMOUNT] = amount
    if tail == s[lay.GIVE_HEAD + ring]:
        s[lay.DUE + lay.K_GIVE + ring] = cycle
    s[lay.GIVE_TAIL + ring] = tail + 1
    if tail + 1 - s[lay.GIVE_HEAD + ring] > s[lay.CAPACITY] - lay.SPARE:
        s[lay.GROW] = 1


@part
def give_elements(s: Any, c: Any, p: Any, unit: int, job: int, count: int, written: int) -> None:
    """Signal elements to those who take them one by one."""
    if not count:
        return
    code = lay.P_SIZE * s[job + lay.J_INDEX]
    for slot in range(3):
        token = p[code + isa.COL_SIGNAL0 + 2 * slot]
        if token and p[code + isa.COL_SIGNAL0_EACH + 2 * slot]:
            give(s, c, 2 * unit + 1, _visible_after_hop(written, c[lay.C_HOP]), token, count)


@part
def complete(s: Any, c: Any, p: Any, unit: int, done: int) -> None:
    """The unit's oldest job that still issues does so no more, and its last result is written in cycle `done`."""
    job = job_at(s, c, unit, s[lay.ISSUED + unit])
    code = lay.P_SIZE * s[job + lay.J_INDEX]
    visible = _visible_after_completion(done, c[lay.C_SEMAPHORE])
    for slot in range(3):
        token = p[code + isa.COL_SIGNAL0 + 2 * slot]
        if token and not p[code + isa.COL_SIGNAL0_EACH + 2 * slot]:
            give(s, c, 2 * unit, visible, token, 1)
    s[job + lay.J_DONE] = done
    s[job + lay.J_SEEN] = visible
    s[job + lay.J_CALLED] = s[lay.NOW]
    s[lay.LAST_DONE] = max(s[lay.LAST_DONE], done)
    s[lay.LAST_SEEN] = max(s[lay.LAST_SEEN], visible, _visible_after_hop(done, c[lay.C_HOP]))
    if s[lay.CLOSED + unit] == s[lay.ISSUED + unit]:
        s[lay.DUE + lay.K_CLOSE + unit] = done + 1
    if s[lay.SEEN + unit] == s[lay.ISSUED + unit]:
        s[lay.DUE + lay.K_SEEN + unit] = visible
    s[lay.ISSUED + unit] += 1


@part
def receive(s: Any, c: Any, ring: int) -> None:
    """What was given for this cycle is there now; who waits for it looks again."""
    now, head, tail = s[lay.NOW], s[lay.GIVE_HEAD + ring], s[lay.GIVE_TAIL + ring]
    s[lay.DUE + lay.K_GIVE + ring] = lay.NEVER
    while head < tail:
        at = c[lay.O_GIVES] + (ring * s[lay.CAPACITY] + (head & (s[lay.CAPACITY] - 1))) * lay.GIVE_SIZE
        if s[at + lay.G_CYCLE] > now:
            s[lay.DUE + lay.K_GIVE + ring] = s[at + lay.G_CYCLE]
            break
        _add(s, c, s[at + lay.G_TOKEN], s[at + lay.G_AMOUNT])
        head += 1
    s[lay.GIVE_HEAD + ring] = head


@part
def _add(s: Any, c: Any, token: int, amount: int) -> None:
    s[lay.SEMAPHORE + token] += amount
    wake = c[lay.C_WAKE]
    if wake:
        at = c[lay.O_YOUNG] + 2 * (token * wake + s[lay.NOW] % wake)
        if s[at] != s[lay.NOW]:
            s[at] = s[lay.NOW]
            s[at + 1] = 0
        s[at + 1] += amount
    for stage in range(c[lay.C_STAGES]):
        at = c[lay.O_STAGE] + stage * lay.STAGE_SIZE + lay.S_WAITS
        if s[at] == token:
            s[at] = lay.NO_TOKEN
            s[lay.DUE + lay.DUE_FIXED + stage] = s[lay.NOW]
    for dma, actor in ((lay.STORE_DMA, 1), (lay.LOAD_DMA, 2)):
        if s[dma + lay.D_WAITS] == token:
            s[dma + lay.D_WAITS] = lay.NO_TOKEN
            s[lay.DUE + actor] = s[lay.NOW]


@part
def count_of_age(s: Any, c: Any, token: int) -> int:
    """How many of a semaphore's counts have been there for `vector.wake_cycles`."""
    count: int = s[lay.SEMAPHORE + token]
    wake = c[lay.C_WAKE]
    for slot in range(wake):
        at = c[lay.O_YOUNG] + 2 * (token * wake + slot)
        if s[at] + wake > s[lay.NOW]:
            count -= s[at + 1]
    return count


@part
def free_place(s: Any, unit: int) -> None:
    """A place in a unit's queue is free: the sequencer, which has looked in this cycle, sees it in the next."""
    s[lay.PLACES + unit] += 1
    if s[lay.SEQ_WAITS] == 1 + unit:
        s[lay.DUE] = s[lay.NOW] + 1
