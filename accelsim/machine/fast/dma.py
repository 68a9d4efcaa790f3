"""The load and the store DMA: as `machine.reference.dma`, a cycle at a time."""

from __future__ import annotations

from typing import Any

from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Op, Unit
from accelsim.jit import part
from accelsim.machine.fast import books
from accelsim.machine.fast import layout as lay
from accelsim.machine.fast.beats import clear_passes, passes_at, place_access
from accelsim.machine.fast.stages import is_free, occupy
from accelsim.timing import rules
from accelsim.timing.record import Reason

_burst_bytes_at = part(rules.burst_bytes_at)
_LOAD, _STORE = int(Unit.LOAD), int(Unit.STORE)
_SYNC = int(Op.SYNC)
_BUSY, _SEMAPHORE, _BANK = int(Reason.BUSY), int(Reason.SEMAPHORE), int(Reason.BANK)
_DRAM, _IDLE = int(Reason.DRAM), int(Reason.IDLE)
_MEMORIES = rules.MEMORIES


@part
def _front(s: Any, c: Any, dma: int, reason: int, row: int) -> None:
    """What the next request waits for from this cycle on."""
    s[dma + lay.D_FRONT] = reason
    s[dma + lay.D_FRONT_LAYER] = row
    if dma == lay.LOAD_DMA:
        books.show_load(s, c)
    else:
        books.show_store(s, c)


@part
def _take_job(s: Any, c: Any, p: Any, dma: int, unit: int, actor: int) -> bool:
    """Begin the next job, if it has arrived, with its first burst."""
    s[lay.DUE + actor] = lay.NEVER
    if s[dma + lay.D_JOB] == s[lay.TAIL + unit]:
        return False
    job = books.job_at(s, c, unit, s[dma + lay.D_JOB])
    if s[job + lay.J_VISIBLE] > s[lay.NOW]:
        s[lay.DUE + actor] = s[job + lay.J_VISIBLE]
        return False
    s[dma + lay.D_BUSY] = 1
    s[dma + lay.D_REASON] = -1
    s[dma + lay.D_ROW] = 0
    s[dma + lay.D_FIRST] = 1
    _begin_row(s, c, p, lay.P_SIZE * s[job + lay.J_INDEX], dma, unit, job)
    return True


@part
def _begin_row(s: Any, c: Any, p: Any, code: int, dma: int, unit: int, job: int) -> None:
    """The first burst of a row; a sync has one of no bytes."""
    line = s[dma + lay.D_ROW]
    s[dma + lay.D_LEFT] = 0
    s[dma + lay.D_SIZE] = 0
    if p[code + isa.COL_OPCODE] != _SYNC:
        source = s[job + lay.J_ADDRESS] + line * p[code + isa.COL_SOURCE_PITCH]
        destination = s[job + lay.J_ADDRESS + 1] + line * p[code + isa.COL_DESTINATION_PITCH]
        s[dma + lay.D_DRAM] = source if unit == _LOAD else destination
        s[dma + lay.D_SRAM] = destination if unit == _LOAD else source
        s[dma + lay.D_LEFT] = p[code + isa.COL_ROW_BYTES]
        s[dma + lay.D_SIZE] = _burst_bytes_at(s[dma + lay.D_DRAM], s[dma + lay.D_LEFT], c[lay.C_BURST])


@part
def _burst_flags(s: Any, p: Any, code: int, dma: int) -> int:
    if s[dma + lay.D_LEFT] > s[dma + lay.D_SIZE]:
        return 0
    if p[code + isa.COL_OPCODE] == _SYNC or s[dma + lay.D_ROW] == p[code + isa.COL_ROWS] - 1:
        return lay.LAST_OF_ROW | lay.LAST
    return lay.LAST_OF_ROW


@part
def _next_burst(s: Any, c: Any, p: Any, dma: int, unit: int, job: int) -> None:
    """Go behind the present burst: to the next of the row, the next row, or the next job."""
    code, size = lay.P_SIZE * s[job + lay.J_INDEX], s[dma + lay.D_SIZE]
    flags = _burst_flags(s, p, code, dma)
    s[dma + lay.D_FIRST] = 0
    if flags & lay.LAST:
        s[dma + lay.D_BUSY] = 0
        s[dma + lay.D_JOB] += 1
    elif flags:
        s[dma + lay.D_ROW] += 1
        _begin_row(s, c, p, code, dma, unit, job)
    else:
        s[dma + lay.D_DRAM] += size
        s[dma + lay.D_SRAM] += size
        s[dma + lay.D_LEFT] -= size
        s[dma + lay.D_SIZE] = _burst_bytes_at(s[dma + lay.D_DRAM], s[dma + lay.D_LEFT], c[lay.C_BURST])


@part
def _begins_row(s: Any, p: Any, code: int, dma: int) -> bool:
    is_first: bool = p[code + isa.COL_OPCODE] == _SYNC or s[dma + lay.D_LEFT] == p[code + isa.COL_ROW_BYTES]
    return is_first


@part
def _lacking(s: Any, p: Any, code: int, dma: int) -> int:
    """The first that a request needs and that is not there: a semaphore, the buffers, or NO_TOKEN."""
    if s[dma + lay.D_FIRST]:
        for slot in range(3):
            token = p[code + isa.COL_WAIT0 + 2 * slot]
            if token and not p[code + isa.COL_WAIT0_EACH + 2 * slot] and s[lay.SEMAPHORE + token] < 1:
                return int(token)
    if _begins_row(s, p, code, dma):
        for slot in range(3):
            token = p[code + isa.COL_WAIT0 + 2 * slot]
            if token and p[code + isa.COL_WAIT0_EACH + 2 * slot] and s[lay.SEMAPHORE + token] < 1:
                return int(token)
    if s[dma + lay.D_SIZE]:
        if dma == lay.LOAD_DMA:
            if s[lay.LOAD_BUFFERS] < 1:
                return lay.LOAD_BUFFER_TOKEN
        elif s[lay.STORE_BUFFERS] < 1:
            return lay.STORE_BUFFER_TOKEN
    return lay.NO_TOKEN


@part
def _take(s: Any, p: Any, code: int, dma: int) -> None:
    """Take what a request needs; all of it is there."""
    begins = _begins_row(s, p, code, dma)
    for slot in range(3):
        token = p[code + isa.COL_WAIT0 + 2 * slot]
        if token:
            s[lay.SEMAPHORE + token] -= int(begins) if p[code + isa.COL_WAIT0_EACH + 2 * slot] else s[dma + lay.D_FIRST]
    if s[dma + lay.D_SIZE]:
        if dma == lay.LOAD_DMA:
            s[lay.LOAD_BUFFERS] -= 1
        else:
            s[lay.STORE_BUFFERS] -= 1


@part
def _wait(s: Any, c: Any, dma: int, actor: int, token: int, row: int) -> None:
    """Wait for a semaphore or a buffer."""
    reason = _DRAM if token >= lay.LOAD_BUFFER_TOKEN else _SEMAPHORE
    s[dma + lay.D_REASON] = reason
    s[dma + lay.D_WAITS] = token
    s[lay.DUE + actor] = lay.NEVER
    _front(s, c, dma, reason, row)


@part
def _start(s: Any, dma: int, unit: int, job: int) -> None:
    """With its first request an instruction leaves the queue."""
    if s[dma + lay.D_FIRST]:
        books.free_place(s, unit)
        s[job + lay.J_STARTED] = s[lay.NOW]


@part
def ask_load(s: Any, c: Any, p: Any) -> None:
    """The front half: look whether a request can go out; if so, D_ASKS."""
    dma = lay.LOAD_DMA
    s[dma + lay.D_ASKS] = 0
    if not s[dma + lay.D_BUSY]:
        _front(s, c, dma, _IDLE, c[lay.C_LAYERS])
        if not _take_job(s, c, p, dma, _LOAD, lay.A_LOAD):
            return
    job = books.job_at(s, c, _LOAD, s[dma + lay.D_JOB])
    if s[dma + lay.D_REASON] >= 0:
        s[job + lay.J_WAITED + s[dma + lay.D_REASON]] += s[lay.NOW] - s[dma + lay.D_ASKED]
        s[dma + lay.D_REASON] = -1
    s[dma + lay.D_ASKED] = s[lay.NOW]
    token = _lacking(s, p, lay.P_SIZE * s[job + lay.J_INDEX], dma)
    if token == lay.NO_TOKEN:
        s[dma + lay.D_ASKS] = 1
    else:
        _wait(s, c, dma, lay.A_LOAD, token, s[job + lay.J_LAYER])


@part
def decide_load(s: Any, c: Any, p: Any, log: Any) -> None:
    """Send a request, unless somebody else has just taken its semaphore."""
    dma, now = lay.LOAD_DMA, s[lay.NOW]
    job = books.job_at(s, c, _LOAD, s[dma + lay.D_JOB])
    code = lay.P_SIZE * s[job + lay.J_INDEX]
    s[dma + lay.D_ASKS] = 0
    s[lay.DUE + lay.A_LOAD] = now + 1
    if _lacking(s, p, code, dma) != lay.NO_TOKEN:
        s[dma + lay.D_REASON] = _BANK
        _front(s, c, dma, _BANK, s[job + lay.J_LAYER])
        return
    _take(s, p, code, dma)
    _front(s, c, dma, _IDLE, c[lay.C_LAYERS])
    _start(s, dma, _LOAD, job)
    size, arrival = s[dma + lay.D_SIZE], now + 1
    if size:
        arrival = books.use_bus(s, c, log, size, 0, s[job + lay.J_LAYER]) + c[lay.C_READ_LATENCY]
    # A sync has nothing to wait for but what is before it: all lands in the order of requests.
    tail = s[lay.LAND_TAIL]
    burst = books.land_at(s, c, tail)
    s[burst + lay.B_JOB] = s[dma + lay.D_JOB]
    s[burst + lay.B_CYCLE] = arrival
    s[burst + lay.B_SRAM] = s[dma + lay.D_SRAM]
    s[burst + lay.B_SIZE] = size
    s[burst + lay.B_FLAGS] = _burst_flags(s, p, code, dma)
    s[lay.LAND_TAIL] = tail + 1
    if tail + 1 - s[lay.LAND_LEFT] > s[lay.CAPACITY] - lay.SPARE:
        s[lay.GROW] = 1
    if tail == s[lay.LAND_NEXT] and s[lay.DUE + lay.A_LANDING] == lay.NEVER:
        s[lay.DUE + lay.A_LANDING] = arrival
    books.show_load(s, c)
    _next_burst(s, c, p, dma, _LOAD, job)
    # Of a long row each request may be like one before: `stream` looks.
    if s[dma + lay.D_FIRST] or not s[dma + lay.D_BUSY] or _begins_row(s, p, code, dma):
        s[lay.STREAM_KEPT] = 0
    elif s[lay.STEADY] and s[dma + lay.D_LEFT] >= lay.LONG_STREAM * c[lay.C_BURST]:
        s[lay.REQUESTED] = 1


@part
def ask_landing(s: Any, c: Any, p: Any) -> None:
    """The back half: look whether data can land; if so, D_ASKS."""
    dma, due = lay.LANDING, lay.DUE + lay.A_LANDING
    s[dma + lay.D_ASKS] = 0
    if s[dma + lay.D_BEAT] == _BUSY:
        s[dma + lay.D_BEAT] = -1
        books.show_load(s, c)
    if not s[dma + lay.D_BUSY]:
        s[due] = lay.NEVER
        if s[lay.LAND_NEXT] == s[lay.LAND_TAIL]:
            return
        burst = books.land_at(s, c, s[lay.LAND_NEXT])
        if s[burst + lay.B_CYCLE] > s[lay.NOW]:
            s[due] = s[burst + lay.B_CYCLE]
            return
        s[dma + lay.D_BUSY] = 1
        s[dma + lay.D_PIECE] = 0
        _piece(s, c, p, dma, c[lay.C_STAGES] + 1, books.job_at(s, c, _LOAD, s[burst + lay.B_JOB]), burst)
    s[dma + lay.D_ASKS] = 1


@part
def _piece(s: Any, c: Any, p: Any, dma: int, actor: int, job: int, burst: int) -> None:
    """The passes of the beat for a burst's bytes from D_PIECE on."""
    base = passes_at(c, actor)
    passes = clear_passes(s, base)
    size = s[burst + lay.B_SIZE] - s[dma + lay.D_PIECE]
    if size > 0:
        memory = p[lay.P_SIZE * s[job + lay.J_INDEX] + isa.COL_MEMORY]
        at = s[burst + lay.B_SRAM] + s[dma + lay.D_PIECE]
        passes = place_access(s, c, base, passes, memory, at, min(size, c[lay.C_DMA_WIDTH]))
    s[dma + lay.D_PASS] = 0
    s[dma + lay.D_PASSES] = passes


@part
def land_piece(s: Any, c: Any, p: Any) -> None:
    """The passes of the beat that lands, from its first on."""
    burst = books.land_at(s, c, s[lay.LAND_NEXT])
    job = books.job_at(s, c, _LOAD, s[burst + lay.B_JOB])
    _piece(s, c, p, lay.LANDING, c[lay.C_STAGES] + 1, job, burst)


@part
def decide_landing(s: Any, c: Any, p: Any) -> None:
    """Land a beat, if its banks are free."""
    dma, now = lay.LANDING, s[lay.NOW]
    burst = books.land_at(s, c, s[lay.LAND_NEXT])
    job = books.job_at(s, c, _LOAD, s[burst + lay.B_JOB])
    banks = passes_at(c, c[lay.C_STAGES] + 1) + _MEMORIES * s[dma + lay.D_PASS]
    s[dma + lay.D_ASKS] = 0
    s[lay.DUE + lay.A_LANDING] = now + 1
    granted = is_free(s, banks)
    s[dma + lay.D_BEAT] = _BUSY if granted else _BANK
    s[dma + lay.D_BEAT_LAYER] = s[job + lay.J_LAYER]
    books.show_load(s, c)
    s[job + lay.J_WAITED + s[dma + lay.D_BEAT]] += 1
    if not granted:
        return
    occupy(s, banks)
    s[dma + lay.D_PASS] += 1
    if s[dma + lay.D_PASS] < s[dma + lay.D_PASSES]:
        return
    size = min(s[burst + lay.B_SIZE] - s[dma + lay.D_PIECE], c[lay.C_DMA_WIDTH])
    if size:
        books.book_bytes(s, c, s[job + lay.J_LAYER], p[lay.P_SIZE * s[job + lay.J_INDEX] + isa.COL_MEMORY], 1, size)
    s[dma + lay.D_PIECE] += size
    if s[dma + lay.D_PIECE] < s[burst + lay.B_SIZE]:
        _piece(s, c, p, dma, c[lay.C_STAGES] + 1, job, burst)
        return
    written = now + c[lay.C_DMA_LATENCY]
    s[dma + lay.D_BUSY] = 0
    s[lay.LAND_NEXT] += 1
    if s[burst + lay.B_SIZE]:
        # Requests, which come first, see it in the next cycle.
        s[lay.LOAD_BUFFERS] += 1
        if s[lay.LOAD_DMA + lay.D_WAITS] == lay.LOAD_BUFFER_TOKEN:
            s[lay.LOAD_DMA + lay.D_WAITS] = lay.NO_TOKEN
            s[lay.DUE + lay.A_LOAD] = now + 1
    if s[burst + lay.B_FLAGS] & lay.LAST_OF_ROW:
        books.give_elements(s, c, p, _LOAD, job, 1, written)
    if s[burst + lay.B_FLAGS] & lay.LAST:
        s[job + lay.J_ISSUED] = now
        books.complete(s, c, p, _LOAD, written)
    s[lay.DUE + lay.K_LOAD_LEAVE] = now + 1


@part
def leave_load(s: Any, c: Any) -> None:
    """The oldest request is no longer under way."""
    s[lay.DUE + lay.K_LOAD_LEAVE] = lay.NEVER
    s[lay.LAND_LEFT] += 1
    books.show_load(s, c)


@part
def ask_store(s: Any, c: Any, p: Any) -> None:
    """Look whether a beat can be read; if so, D_ASKS."""
    dma = lay.STORE_DMA
    s[dma + lay.D_ASKS] = 0
    if s[dma + lay.D_BEAT] >= 0:
        s[dma + lay.D_BEAT] = -1
        books.show_store(s, c)
    if not s[dma + lay.D_BUSY]:
        _front(s, c, dma, _IDLE, c[lay.C_LAYERS])
        if not _take_job(s, c, p, dma, _STORE, lay.A_STORE):
            return
        _begin_reading(s, c, p)
    job = books.job_at(s, c, _STORE, s[dma + lay.D_JOB])
    if s[dma + lay.D_REASON] >= 0:
        s[job + lay.J_WAITED + s[dma + lay.D_REASON]] += s[lay.NOW] - s[dma + lay.D_ASKED]
        s[dma + lay.D_REASON] = -1
    s[dma + lay.D_ASKED] = s[lay.NOW]
    token = lay.NO_TOKEN
    if s[dma + lay.D_FRESH]:
        token = _lacking(s, p, lay.P_SIZE * s[job + lay.J_INDEX], dma)
    if token == lay.NO_TOKEN:
        s[dma + lay.D_ASKS] = 1
    else:
        _wait(s, c, dma, lay.A_STORE, token, s[job + lay.J_LAYER])


@part
def _begin_reading(s: Any, c: Any, p: Any) -> None:
    """The first beat of a burst; the burst's place in the ring is kept for it."""
    dma = lay.STORE_DMA
    job = books.job_at(s, c, _STORE, s[dma + lay.D_JOB])
    burst = books.send_at(s, c, s[lay.SEND_TAIL])
    s[burst + lay.B_JOB] = s[dma + lay.D_JOB]
    s[burst + lay.B_SRAM] = s[dma + lay.D_SRAM]
    s[burst + lay.B_SIZE] = s[dma + lay.D_SIZE]
    s[burst + lay.B_FLAGS] = _burst_flags(s, p, lay.P_SIZE * s[job + lay.J_INDEX], dma)
    s[dma + lay.D_FRESH] = 1
    s[dma + lay.D_PIECE] = 0
    _piece(s, c, p, dma, c[lay.C_STAGES], job, burst)


@part
def decide_store(s: Any, c: Any, p: Any) -> None:
    """Read a beat, if all it needs is there; with a burst's last beat, have it sent."""
    dma, now = lay.STORE_DMA, s[lay.NOW]
    job = books.job_at(s, c, _STORE, s[dma + lay.D_JOB])
    code = lay.P_SIZE * s[job + lay.J_INDEX]
    burst = books.send_at(s, c, s[lay.SEND_TAIL])
    banks = passes_at(c, c[lay.C_STAGES]) + _MEMORIES * s[dma + lay.D_PASS]
    s[dma + lay.D_ASKS] = 0
    s[lay.DUE + lay.A_STORE] = now + 1
    if not is_free(s, banks) or (s[dma + lay.D_FRESH] and _lacking(s, p, code, dma) != lay.NO_TOKEN):
        s[dma + lay.D_REASON] = _BANK
        _front(s, c, dma, _BANK, s[job + lay.J_LAYER])
        return
    occupy(s, banks)
    s[lay.ACTIVITY] += 1
    if s[dma + lay.D_FRESH]:
        _take(s, p, code, dma)
        _start(s, dma, _STORE, job)
        s[dma + lay.D_FRESH] = 0
        s[dma + lay.D_FIRST] = 0
    s[dma + lay.D_FRONT] = _IDLE
    s[dma + lay.D_FRONT_LAYER] = c[lay.C_LAYERS]
    s[dma + lay.D_BEAT] = _BUSY
    s[dma + lay.D_BEAT_LAYER] = s[job + lay.J_LAYER]
    books.show_store(s, c)
    s[job + lay.J_WAITED + _BUSY] += 1
    s[dma + lay.D_PASS] += 1
    if s[dma + lay.D_PASS] < s[dma + lay.D_PASSES]:
        return
    s[job + lay.J_ISSUED] = now
    size = min(s[burst + lay.B_SIZE] - s[dma + lay.D_PIECE], c[lay.C_DMA_WIDTH])
    if size:
        books.book_bytes(s, c, s[job + lay.J_LAYER], p[code + isa.COL_MEMORY], 0, size)
    s[dma + lay.D_PIECE] += size
    if s[dma + lay.D_PIECE] < s[burst + lay.B_SIZE]:
        _piece(s, c, p, dma, c[lay.C_STAGES], job, burst)
        return
    s[burst + lay.B_CYCLE] = now + c[lay.C_DMA_LATENCY]
    if s[lay.SEND_TAIL] == s[lay.SEND_NEXT]:
        s[lay.DUE + lay.K_SEND] = s[burst + lay.B_CYCLE]
    s[lay.SEND_TAIL] += 1
    if s[lay.SEND_TAIL] - s[lay.SEND_LEFT] > s[lay.CAPACITY] - lay.SPARE:
        s[lay.GROW] = 1
    _next_burst(s, c, p, dma, _STORE, job)
    if s[dma + lay.D_BUSY]:
        _begin_reading(s, c, p)


@part
def send(s: Any, c: Any, p: Any, log: Any) -> None:
    """The oldest burst that is read asks for the bus."""
    number = s[lay.SEND_NEXT]
    burst = books.send_at(s, c, number)
    job = books.job_at(s, c, _STORE, s[burst + lay.B_JOB])
    done = s[lay.NOW]
    if s[burst + lay.B_SIZE]:
        done = books.use_bus(s, c, log, s[burst + lay.B_SIZE], 1, s[job + lay.J_LAYER]) + c[lay.C_WRITE_LATENCY]
    # A sync has nothing to wait for but what is before it.
    done = max(s[lay.STORE_DONE], done)
    s[lay.STORE_DONE] = done
    s[burst + lay.B_DONE] = done
    if s[burst + lay.B_FLAGS] & lay.LAST_OF_ROW:
        books.give_elements(s, c, p, _STORE, job, 1, done)
    if s[burst + lay.B_FLAGS] & lay.LAST:
        books.complete(s, c, p, _STORE, done)
    if s[lay.SEND_LEFT] == number:
        s[lay.DUE + lay.K_STORE_LEAVE] = done + 1
    s[lay.SEND_NEXT] = number + 1
    s[lay.DUE + lay.K_SEND] = lay.NEVER
    if s[lay.SEND_NEXT] < s[lay.SEND_TAIL]:
        s[lay.DUE + lay.K_SEND] = s[books.send_at(s, c, number + 1) + lay.B_CYCLE]


@part
def leave_store(s: Any, c: Any) -> None:
    """Bursts that are in DRAM: their buffers are free."""
    s[lay.DUE + lay.K_STORE_LEAVE] = lay.NEVER
    while s[lay.SEND_LEFT] < s[lay.SEND_NEXT]:
        burst = books.send_at(s, c, s[lay.SEND_LEFT])
        if s[burst + lay.B_DONE] >= s[lay.NOW]:
            s[lay.DUE + lay.K_STORE_LEAVE] = s[burst + lay.B_DONE] + 1
            break
        if s[burst + lay.B_SIZE]:
            s[lay.STORE_BUFFERS] += 1
            if s[lay.STORE_DMA + lay.D_WAITS] == lay.STORE_BUFFER_TOKEN:
                s[lay.STORE_DMA + lay.D_WAITS] = lay.NO_TOKEN
                s[lay.DUE + lay.A_STORE] = s[lay.NOW]
        s[lay.SEND_LEFT] += 1
    books.show_store(s, c)
