"""The machine's state as seen from the present cycle: all that decides what happens next, and nothing else.

Two states with equal signatures go on alike for as long as the sequencer does the same: every cycle is counted from
the present one, every running number from the oldest of its ring, and an address counts modulo its memory's banks or
DRAM's bursts, since nothing else of it has to do with time. A cycle that has passed matters only where a rule compares
it with a later one; it is cut off where that can make no difference.

What follows from the rest is left out: free places (the queue's depth less the instructions that have not begun), free
buffers (less the bursts under way), where bursts under way go (their instruction's address, and how far it is), and
when a beat is ready (`sequencer.beat_cycles` behind when it was written).
"""

from __future__ import annotations

from typing import Any

from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Op, Unit
from accelsim.jit import part
from accelsim.machine.fast import books
from accelsim.machine.fast import layout as lay

_LOAD, _MATRIX, _VECTOR = int(Unit.LOAD), int(Unit.MATRIX), int(Unit.VECTOR)
_STORE = int(Unit.STORE)
_LOAD_OP = int(Op.LOAD)
_UNITS = 4
_EVERY = (1 << lay.WAITED_BITS) - 1
STREAM = -1
"""In place of a loop's level."""


@part
def write_due(s: Any, c: Any, out: Any, at: int) -> int:
    """When everything is due, counted from now; the place behind it.

    Of this only what is due at all says more than the rest; but most states differ here already, and are put aside.
    """
    now = s[lay.NOW]
    for entry in range(lay.DUE_FIXED + 2 * c[lay.C_STAGES]):
        due = s[lay.DUE + entry]
        out[at] = due if due == lay.NEVER else due - now
        at += 1
    return at


@part
def write_signature(s: Any, c: Any, p: Any, level: int, out: Any, at: int, limit: int) -> int:
    """The signature at the end of a turn of the loop of a level; the place behind it, or -1 where it has no room.

    Parameters
    ----------
    s, c, p : int64 arrays
        State, chip, program. Counts that were to be settled are.
    level : int
        Of the loop whose counter is left out, and counts of semaphores that it has no wait for; STREAM for a stream of
        the load DMA, where the sequencer's own tables are left out, and how far the row is, and the stream's addresses
        count modulo a bank's word.
    out : int64 array
    at, limit : int
        Where it begins, and where its room ends.
    """
    if at + _most_words(s, c) > limit:
        return -1
    at = write_due(s, c, out, at)
    at = _write_sequencer(s, c, level, out, at)
    at = _write_semaphores(s, c, p, level, out, at)
    for unit in range(_UNITS):
        at = _write_jobs(s, c, p, unit, out, at)
    for stage in range(c[lay.C_STAGES]):
        at = _write_stage(s, c, stage, out, at)
    at = _write_transfers(s, c, p, level, out, at)
    for ring in range(lay.GIVES):
        at = _write_gives(s, c, ring, out, at)
    return _write_young(s, c, out, at)


@part
def _most_words(s: Any, c: Any) -> int:
    stages = c[lay.C_STAGES]
    words = 256 + lay.SEMAPHORE + isa.SEMAPHORES * (1 + c[lay.C_WAKE]) + stages * (lay.STAGE_SIZE + 2)
    words += stages * c[lay.C_BEATS_AHEAD]
    for unit in range(_UNITS):
        words += (s[lay.TAIL + unit] - s[lay.SEEN + unit]) * lay.JOB_SIZE
    for ring in range(lay.GIVES):
        words += (s[lay.GIVE_TAIL + ring] - s[lay.GIVE_HEAD + ring]) * lay.GIVE_SIZE
    for stage in range(stages):
        at = c[lay.O_STAGE] + stage * lay.STAGE_SIZE
        words += s[at + lay.S_BETWEEN_TAIL] - s[at + lay.S_BETWEEN_HEAD]
    words += (s[lay.LAND_TAIL] - s[lay.LAND_LEFT] + s[lay.SEND_TAIL] - s[lay.SEND_LEFT] + 1) * lay.LAND_SIZE
    total: int = words
    return total


@part
def _write_sequencer(s: Any, c: Any, level: int, out: Any, at: int) -> int:
    now = s[lay.NOW]
    for place in (lay.PENDING, lay.PC, lay.DEPTH, lay.SEQ_WAITS, lay.CAUSE, lay.CAUSE_ROW):
        out[at] = s[place]
        at += 1
    if level >= 0:
        for other in range(s[lay.DEPTH]):
            for field in (lay.L_START, lay.L_END, lay.L_COUNT, lay.L_COUNTER):
                mine = other == level and field == lay.L_COUNTER
                out[at] = 0 if mine else s[lay.LOOP + lay.LOOP_SIZE * other + field]
                at += 1
        for place in range(lay.REGISTER, lay.SEMAPHORE):
            out[at] = s[place]
            at += 1
    for unit in range(lay.UNITS):
        out[at] = s[lay.STATE + lay.STATE_SIZE * unit]
        out[at + 1] = s[lay.STATE + lay.STATE_SIZE * unit + 1]
        at += 2
    # What comes next asks for the bus and is done in the next cycle at the earliest.
    out[at] = max(s[lay.BUS_FREE] - (now + 1) * c[lay.C_RATE_UP], 0)
    out[at + 1] = max(s[lay.STORE_DONE] - now, 0)
    return at + 2


@part
def _write_semaphores(s: Any, c: Any, p: Any, level: int, out: Any, at: int) -> int:
    """The counts that something under way, or an instruction of the loop, waits for: nothing else looks at one."""
    for word in range(lay.WAITED_WORDS):
        waited = _EVERY if level == STREAM else _waited(s, c, p, level, word)
        for bit in range(lay.WAITED_BITS):
            count = s[lay.SEMAPHORE + word * lay.WAITED_BITS + bit]
            out[at] = count if (waited >> bit) & 1 else 0
            at += 1
    return at


@part
def _waited(s: Any, c: Any, p: Any, level: int, word: int) -> int:
    loop = s[lay.LOOP + lay.LOOP_SIZE * level + lay.L_START] - 1
    waited: int = p[lay.P_SIZE * loop + lay.P_WAITED + word]
    for unit in range(_UNITS):
        for number in range(s[lay.SEEN + unit], s[lay.TAIL + unit]):
            waited |= p[lay.P_SIZE * s[books.job_at(s, c, unit, number) + lay.J_INDEX] + lay.P_WAITED + word]
    return waited


@part
def _write_jobs(s: Any, c: Any, p: Any, unit: int, out: Any, at: int) -> int:
    now, oldest = s[lay.NOW], s[lay.SEEN + unit]
    out[at] = s[lay.TAIL + unit] - oldest
    out[at + 1] = s[lay.ISSUED + unit] - oldest
    out[at + 2] = s[lay.CLOSED + unit] - oldest
    at += 3
    for number in range(oldest, s[lay.TAIL + unit]):
        job = books.job_at(s, c, unit, number)
        index = s[job + lay.J_INDEX]
        out[at] = index
        if number < s[lay.ISSUED + unit]:
            out[at + 1] = s[job + lay.J_DONE] - now
            out[at + 2] = s[job + lay.J_CALLED] - now
            at += 3
            continue
        out[at + 1] = s[job + lay.J_VISIBLE] - now
        if not c[lay.C_BEATS_AHEAD]:
            out[at + 1] = max(out[at + 1], 0)
        out[at + 2] = s[lay.SEQUENCE] - s[job + lay.J_SEQUENCE]
        at += 3
        for operand in range(lay.ADDRESSES):
            out[at] = s[job + lay.J_ADDRESS + operand] % p[lay.P_SIZE * index + lay.P_MODULUS + operand]
            at += 1
    return at


@part
def _write_stage(s: Any, c: Any, stage: int, out: Any, at: int) -> int:
    now, here = s[lay.NOW], c[lay.O_STAGE] + stage * lay.STAGE_SIZE
    unit = _MATRIX if stage == 0 else _VECTOR
    out[at] = max(s[here + lay.S_JOB] - s[lay.SEEN + unit], 0)
    out[at + 1] = s[here + lay.S_BUSY]
    out[at + 2] = s[here + lay.S_WAITS]
    out[at + 3] = s[here + lay.S_BEFORE]
    # The next tile leaves after the latency in any case.
    soonest = 1 + c[lay.C_LATENCY + 2 * stage] - c[lay.C_LATENCY + 2 * stage + 1]
    out[at + 4] = max(s[here + lay.S_LAST_OUT] - now, soonest)
    at += 5
    if s[here + lay.S_BUSY]:
        # With its instruction, a beat's number says which it is.
        out[at] = s[here + lay.S_NUMBER]
        out[at + 1] = s[here + lay.S_PASS]
        at += 2
    head, tail = s[here + lay.S_BETWEEN_HEAD], s[here + lay.S_BETWEEN_TAIL]
    out[at] = tail - head
    at += 1
    for number in range(head, tail):
        out[at] = s[c[lay.O_BETWEEN] + stage * s[lay.CAPACITY] + (number & (s[lay.CAPACITY] - 1))] - now
        at += 1
    ahead = c[lay.C_BEATS_AHEAD]
    if ahead:
        free = s[here + lay.S_FREE]
        out[at] = free - now
        out[at + 1] = s[lay.SEQUENCE] - s[here + lay.S_LAST]
        at += 2
        for number in range(max(s[here + lay.S_ISSUES] - ahead, 0), s[here + lay.S_ISSUES]):
            # A place that is free before the next beat can be written holds nothing up.
            out[at] = max(s[c[lay.O_ISSUES] + stage * ahead + number % ahead] + 1, free) - now
            at += 1
    return at


@part
def _write_transfers(s: Any, c: Any, p: Any, level: int, out: Any, at: int) -> int:
    now = s[lay.NOW]
    for dma, unit in ((lay.STORE_DMA, _STORE), (lay.LOAD_DMA, _LOAD)):
        out[at] = s[dma + lay.D_JOB] - s[lay.SEEN + unit]
        for number, field in enumerate((lay.D_BUSY, lay.D_WAITS, lay.D_FRONT, lay.D_FRONT_LAYER, lay.D_BEAT)):
            out[at + 1 + number] = s[dma + field]
        at += 6
        if s[dma + lay.D_BUSY]:
            code = lay.P_SIZE * s[books.job_at(s, c, unit, s[dma + lay.D_JOB]) + lay.J_INDEX]
            outside, inside = (1, 0) if unit == _STORE else (0, 1)
            out[at] = s[dma + lay.D_DRAM] % p[code + lay.P_MODULUS + outside]
            out[at + 1] = s[dma + lay.D_SRAM] % _sram_modulus(c, p, code, inside, level)
            for number, field in enumerate(
                (lay.D_ROW, lay.D_LEFT, lay.D_SIZE, lay.D_FIRST, lay.D_PIECE, lay.D_PASS, lay.D_FRESH)
            ):
                passes = level == STREAM and unit == _LOAD and field == lay.D_LEFT
                out[at + 2 + number] = 0 if passes else s[dma + field]
            at += 9
    lands = s[lay.LANDING + lay.D_BUSY]
    out[at] = lands
    out[at + 1] = s[lay.LANDING + lay.D_PIECE] if lands else 0
    out[at + 2] = s[lay.LANDING + lay.D_PASS] if lands else 0
    out[at + 3] = s[lay.LANDING + lay.D_BEAT]
    out[at + 4] = s[lay.LANDING + lay.D_BEAT_LAYER] if s[lay.LANDING + lay.D_BEAT] >= 0 else 0
    at += 5
    out[at] = s[lay.LAND_TAIL] - s[lay.LAND_LEFT]
    out[at + 1] = s[lay.LAND_NEXT] - s[lay.LAND_LEFT]
    out[at + 2] = s[lay.SEND_TAIL] - s[lay.SEND_LEFT]
    out[at + 3] = s[lay.SEND_NEXT] - s[lay.SEND_LEFT]
    at += 4
    for number in range(s[lay.LAND_LEFT], s[lay.LAND_TAIL]):
        burst = books.land_at(s, c, number)
        out[at] = s[burst + lay.B_JOB] - s[lay.SEEN + _LOAD]
        out[at + 1] = max(s[burst + lay.B_CYCLE] - now, 0)
        out[at + 2] = s[burst + lay.B_SIZE]
        out[at + 3] = s[burst + lay.B_FLAGS]
        at += 4
    for number in range(s[lay.SEND_LEFT], s[lay.SEND_TAIL]):
        burst = books.send_at(s, c, number)
        out[at] = s[burst + lay.B_JOB] - s[lay.SEEN + _STORE]
        out[at + 1] = s[burst + lay.B_SIZE]
        out[at + 2] = s[burst + lay.B_FLAGS]
        sent = number < s[lay.SEND_NEXT]
        out[at + 3] = (s[burst + lay.B_DONE] if sent else s[burst + lay.B_CYCLE]) - now
        at += 4
    return at


@part
def _sram_modulus(c: Any, p: Any, code: int, operand: int, level: int) -> int:
    """What an address in an SRAM counts modulo: all banks, or one word where nobody else is at work."""
    if level == STREAM and p[code + isa.COL_OPCODE] == _LOAD_OP:
        word: int = c[lay.C_WORD + p[code + isa.COL_MEMORY]]
        return word
    modulus: int = p[code + lay.P_MODULUS + operand]
    return modulus


@part
def _write_gives(s: Any, c: Any, ring: int, out: Any, at: int) -> int:
    head, tail = s[lay.GIVE_HEAD + ring], s[lay.GIVE_TAIL + ring]
    out[at] = tail - head
    at += 1
    for number in range(head, tail):
        entry = c[lay.O_GIVES] + (ring * s[lay.CAPACITY] + (number & (s[lay.CAPACITY] - 1))) * lay.GIVE_SIZE
        out[at] = s[entry + lay.G_CYCLE] - s[lay.NOW]
        out[at + 1] = s[entry + lay.G_TOKEN]
        out[at + 2] = s[entry + lay.G_AMOUNT]
        at += 3
    return at


@part
def _write_young(s: Any, c: Any, out: Any, at: int) -> int:
    """Counts of each of the last cycles, where the vector unit's waits look at their age."""
    wake = c[lay.C_WAKE]
    for token in range(isa.SEMAPHORES if wake else 0):
        for age in range(wake):
            cycle = s[lay.NOW] - age
            entry = c[lay.O_YOUNG] + 2 * (token * wake + cycle % wake)
            out[at] = s[entry + 1] if s[entry] == cycle else 0
            at += 1
    return at
