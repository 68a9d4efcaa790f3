"""The banks of a beat, pass by pass, and a stage's beats one after the other: `timing.beats`, compiled.

`timing.beats` makes a list of all beats of an instruction; here a stage moves from one to the next. The tests compare
the two beat by beat.
"""

from __future__ import annotations

from typing import Any

from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Addend, Memory, Op, Requantize, Source, Start
from accelsim.jit import part
from accelsim.machine.fast import layout as lay
from accelsim.timing import rules

_WEIGHTS, _ACTIVATIONS = int(Memory.WEIGHTS), int(Memory.ACTIVATIONS)
_ACCUMULATORS, _PARAMETERS = int(Memory.ACCUMULATORS), int(Memory.PARAMETERS)
_LOAD, _MATMUL, _VECTOR = int(Op.LOAD), int(Op.MATMUL), int(Op.VECTOR)
_BIAS, _ACCUMULATE = int(Start.BIAS), int(Start.ACCUMULATE)
_INT8, _INT16, _INT32 = int(Source.INT8), int(Source.INT16), int(Source.INT32)
_ADD_INT16, _ADD_INT32 = int(Addend.INT16), int(Addend.INT32)
_CHANNEL = int(Requantize.CHANNEL)
_MEMORIES = rules.MEMORIES

_bank_mask = part(rules.bank_mask)
_padded_columns = part(rules.padded_columns)
_beat_written = part(rules.beat_written)


@part
def passes_at(c: Any, actor: int) -> int:
    """Where an actor's passes lie in `s`: the stages', then the store DMA's, then those of landing data."""
    place: int = c[lay.O_PASSES] + actor * c[lay.O_PASSES_SIZE]
    return place


@part
def clear_passes(s: Any, base: int) -> int:
    """One pass without banks; the number of passes."""
    for memory in range(_MEMORIES):
        s[base + memory] = 0
    return 1


@part
def place_access(s: Any, c: Any, base: int, passes: int, memory: int, first_byte: int, size: int) -> int:
    """Add an access to the passes that lie from `base` on, as `timing.rules.split_into_passes`; how many they are."""
    if size <= 0:
        return passes
    shift, bits, banks = c[lay.C_WORD_SHIFT + memory], c[lay.C_BANK_BITS + memory], c[lay.C_BANKS + memory]
    if shift >= 0:
        word = first_byte >> shift
        left = ((first_byte + size - 1) >> shift) - word + 1
    else:
        word = first_byte // c[lay.C_WORD + memory]
        left = (first_byte + size - 1) // c[lay.C_WORD + memory] - word + 1
    conflict_free = c[lay.C_CONFLICT_FREE + memory]
    place = 0
    while left > 0:
        run = min(left, banks)
        mask = 0
        if not conflict_free:
            mask = _bank_mask(word & bits if bits >= 0 else word % banks, run, banks)
        while place < passes and s[base + _MEMORIES * place + memory] & mask:
            place += 1
        if place == passes:
            for other in range(_MEMORIES):
                s[base + _MEMORIES * place + other] = 0
            passes += 1
        s[base + _MEMORIES * place + memory] |= mask
        word += run
        left -= run
        place += conflict_free
    return passes


@part
def begin_job(s: Any, c: Any, p: Any, at: int, stage: int, job: int) -> None:
    """Go to the first beat of a job (its place in `s`) in the stage whose figures lie from `at` on."""
    code = lay.P_SIZE * s[job + lay.J_INDEX]
    s[at + lay.S_NUMBER] = 0
    s[at + lay.S_FIRST] = 0
    s[at + lay.S_ROW] = 0
    s[at + lay.S_VECTOR] = 0
    s[at + lay.S_COLUMN] = 0
    s[at + lay.S_TILE] = 0
    if p[code + isa.COL_OPCODE] == _MATMUL:
        s[at + lay.S_LEFT] = (p[code + isa.COL_ROWS] + c[lay.C_MAC_ROWS] - 1) // c[lay.C_MAC_ROWS]
        _next_group(s, c, at)
    _make_beat(s, c, p, at, stage, job)


@part
def next_beat(s: Any, c: Any, p: Any, at: int, stage: int, job: int) -> None:
    """Go to the next beat; there must be one."""
    code = lay.P_SIZE * s[job + lay.J_INDEX]
    op = p[code + isa.COL_OPCODE]
    s[at + lay.S_NUMBER] += 1
    if op == _MATMUL:
        _next_product_beat(s, c, p, code, at)
    else:
        s[at + lay.S_FIRST] += c[lay.C_LANES]
        if op == _LOAD and s[at + lay.S_FIRST] >= p[code + isa.COL_ROW_BYTES]:
            s[at + lay.S_FIRST] = 0
            s[at + lay.S_ROW] += 1
    _make_beat(s, c, p, at, stage, job)


@part
def _next_group(s: Any, c: Any, at: int) -> None:
    """As `timing.rules.tile_groups`: the next of them."""
    left, interval = s[at + lay.S_LEFT], c[lay.C_INTERVAL]
    tiles = interval if left >= 2 * interval else left
    s[at + lay.S_TILES] = tiles
    s[at + lay.S_LEFT] = left - tiles


@part
def _next_product_beat(s: Any, c: Any, p: Any, code: int, at: int) -> None:
    tiles = s[at + lay.S_TILES]
    last_column = s[at + lay.S_COLUMN] + c[lay.C_MAC_COLUMNS] >= p[code + isa.COL_COLUMNS]
    turn = tiles if last_column else max(tiles, c[lay.C_INTERVAL])
    s[at + lay.S_TILE] += 1
    if s[at + lay.S_TILE] < turn:
        return
    s[at + lay.S_TILE] = 0
    if not last_column:
        s[at + lay.S_COLUMN] += c[lay.C_MAC_COLUMNS]
        return
    s[at + lay.S_COLUMN] = 0
    s[at + lay.S_VECTOR] += c[lay.C_BATCH_COLUMNS]
    if s[at + lay.S_VECTOR] <= p[code + isa.COL_EXTRA_VECTORS]:
        return
    s[at + lay.S_VECTOR] = 0
    s[at + lay.S_FIRST] += tiles * c[lay.C_MAC_ROWS]
    _next_group(s, c, at)


@part
def _make_beat(s: Any, c: Any, p: Any, at: int, stage: int, job: int) -> None:
    code = lay.P_SIZE * s[job + lay.J_INDEX]
    op = p[code + isa.COL_OPCODE]
    base = passes_at(c, stage)
    passes = clear_passes(s, base)
    s[at + lay.S_PASS] = 0
    s[at + lay.S_TAKES] = 0
    s[at + lay.S_GIVES] = 0
    s[at + lay.S_SIZE] = 0
    s[at + lay.S_MACS] = 0
    s[at + lay.S_WRITES] = 0
    for place in range(2 * _MEMORIES):
        s[at + lay.S_BYTES + place] = 0
    begins = s[at + lay.S_NUMBER] == 0
    if op == _MATMUL:
        passes = _product_beat(s, c, p, code, at, base, passes, job)
    elif op == _VECTOR:
        passes = _vector_beat(s, c, p, code, at, base, passes, stage, job)
    elif op == _LOAD:
        passes = _landing_beat(s, c, p, code, at, base, passes, job)
        begins = s[at + lay.S_TAKES] == 1
    else:
        s[at + lay.S_TAKES] = 1
        s[at + lay.S_GIVES] = 1
        s[at + lay.S_IS_LAST] = 1
    s[at + lay.S_PASSES] = passes
    s[at + lay.S_BEGINS] = begins
    if c[lay.C_BEATS_AHEAD]:
        _sequence(s, c, at, stage, job)


@part
def _read(s: Any, c: Any, at: int, base: int, passes: int, memory: int, address: int, size: int) -> int:
    s[at + lay.S_BYTES + memory] += size
    return place_access(s, c, base, passes, memory, address, size)


@part
def _write(s: Any, c: Any, at: int, base: int, passes: int, memory: int, address: int, size: int) -> int:
    s[at + lay.S_BYTES + _MEMORIES + memory] += size
    s[at + lay.S_WRITES] = 1
    return place_access(s, c, base, passes, memory, address, size)


@part
def _product_beat(s: Any, c: Any, p: Any, code: int, at: int, base: int, passes: int, job: int) -> int:
    if s[at + lay.S_TILE] >= s[at + lay.S_TILES]:
        # Fewer tiles than the sums' interval: the turn is filled with empty beats.
        s[at + lay.S_IS_LAST] = 0
        return passes
    height, together = c[lay.C_MAC_ROWS], c[lay.C_BATCH_COLUMNS]
    columns, vectors = p[code + isa.COL_COLUMNS], p[code + isa.COL_EXTRA_VECTORS] + 1
    first = s[at + lay.S_FIRST] + s[at + lay.S_TILE] * height
    column, vector = s[at + lay.S_COLUMN], s[at + lay.S_VECTOR]
    size, count = min(height, p[code + isa.COL_ROWS] - first), min(c[lay.C_MAC_COLUMNS], columns - column)
    stored = _padded_columns(columns, c[lay.C_BLOCK_COLUMNS])
    sums, sums_size = s[job + lay.J_ADDRESS + 2] + 4 * first * vectors, 4 * size * vectors
    weights = s[job + lay.J_ADDRESS] + first * stored + column * height
    passes = _read(s, c, at, base, passes, _WEIGHTS, weights, height * count)
    inputs = s[job + lay.J_ADDRESS + 1] + column * vectors
    passes = _read(s, c, at, base, passes, _ACTIVATIONS, inputs, count * vectors)
    if column == 0 and p[code + isa.COL_START] == _BIAS:
        passes = _read(s, c, at, base, passes, _PARAMETERS, s[job + lay.J_ADDRESS + 3] + 4 * first, 4 * size)
    elif column == 0 and p[code + isa.COL_START] == _ACCUMULATE:
        passes = _read(s, c, at, base, passes, _ACCUMULATORS, sums, sums_size)
    last, last_vectors = column + c[lay.C_MAC_COLUMNS] >= columns, vector + together >= vectors
    if last:
        passes = _write(s, c, at, base, passes, _ACCUMULATORS, sums, sums_size)
        if last_vectors:
            s[at + lay.S_GIVES] = size * vectors
    if first == 0 and vector == 0:
        s[at + lay.S_TAKES] = count * vectors
    s[at + lay.S_SIZE] = size
    s[at + lay.S_MACS] = size * count * min(together, vectors - vector)
    s[at + lay.S_IS_LAST] = (
        last and last_vectors and s[at + lay.S_LEFT] == 0 and s[at + lay.S_TILE] + 1 == s[at + lay.S_TILES]
    )
    return passes


@part
def _vector_beat(s: Any, c: Any, p: Any, code: int, at: int, base: int, passes: int, stage: int, job: int) -> int:
    here, first = stage - 1, s[at + lay.S_FIRST]
    size = min(c[lay.C_LANES], p[code + isa.COL_LENGTH] - first)
    address = job + lay.J_ADDRESS
    kind, other = p[code + isa.COL_SOURCE_TYPE], p[code + isa.COL_ADDEND_TYPE]
    if here == 0:
        if kind == _INT8:
            passes = _read(s, c, at, base, passes, _ACTIVATIONS, s[address] + first, size)
        elif kind == _INT16:
            passes = _read(s, c, at, base, passes, _ACTIVATIONS, s[address] + 2 * first, 2 * size)
        elif kind == _INT32:
            passes = _read(s, c, at, base, passes, _ACCUMULATORS, s[address] + 4 * first, 4 * size)
    if p[code + lay.P_ADDEND_STAGE] == here:
        if other == _ADD_INT16:
            passes = _read(s, c, at, base, passes, _ACTIVATIONS, s[address + 1] + 2 * first, 2 * size)
        elif other == _ADD_INT32:
            passes = _read(s, c, at, base, passes, _ACCUMULATORS, s[address + 1] + 4 * first, 4 * size)
    if p[code + lay.P_FACTOR_STAGE] == here:
        passes = _read(s, c, at, base, passes, _ACTIVATIONS, s[address + 2] + 2 * first, 2 * size)
    if p[code + lay.P_TERM_STAGE] == here:
        passes = _read(s, c, at, base, passes, _ACTIVATIONS, s[address + 3] + 2 * first, 2 * size)
    if here == 0:
        block = s[address + 6]
        if first == 0:
            passes = _read(s, c, at, base, passes, _PARAMETERS, block, isa.PARAM_BYTES)
        if p[code + isa.COL_REQUANTIZE] >= _CHANNEL:
            channels = block + isa.PARAM_BYTES + 8 * first
            passes = _read(s, c, at, base, passes, _PARAMETERS, channels, 8 * size)
    if stage == c[lay.C_STAGES] - 1:
        width = p[code + isa.COL_DESTINATION_TYPE]
        passes = _write(s, c, at, base, passes, _ACTIVATIONS, s[address + 4] + width * first, width * size)
        if p[code + isa.COL_KEEP]:
            passes = _write(s, c, at, base, passes, _ACTIVATIONS, s[address + 5] + 2 * first, 2 * size)
    s[at + lay.S_TAKES] = size
    s[at + lay.S_GIVES] = size
    s[at + lay.S_SIZE] = size
    s[at + lay.S_IS_LAST] = first + size == p[code + isa.COL_LENGTH]
    return passes


@part
def _landing_beat(s: Any, c: Any, p: Any, code: int, at: int, base: int, passes: int, job: int) -> int:
    """Of a load through the vector unit."""
    first, line = s[at + lay.S_FIRST], s[at + lay.S_ROW]
    size = min(c[lay.C_LANES], p[code + isa.COL_ROW_BYTES] - first)
    last = first + size == p[code + isa.COL_ROW_BYTES]
    to = s[job + lay.J_ADDRESS + 1] + line * p[code + isa.COL_DESTINATION_PITCH] + first
    passes = _write(s, c, at, base, passes, p[code + isa.COL_MEMORY], to, size)
    s[at + lay.S_TAKES] = first == 0
    s[at + lay.S_GIVES] = last
    s[at + lay.S_SIZE] = size
    s[at + lay.S_IS_LAST] = last and line == p[code + isa.COL_ROWS] - 1
    return passes


@part
def _sequence(s: Any, c: Any, at: int, stage: int, job: int) -> None:
    """The cycle from which on the beat can be issued, where a unit has a sequencer of its own."""
    ahead = c[lay.C_BEATS_AHEAD]
    oldest = lay.LONG_AGO
    if s[at + lay.S_ISSUES] >= ahead:
        oldest = s[c[lay.O_ISSUES] + stage * ahead + s[at + lay.S_ISSUES] % ahead]
    if s[at + lay.S_BEGINS]:
        sequence = s[job + lay.J_SEQUENCE]
        foreign = max(sequence - s[at + lay.S_LAST] - 1, 0)
        s[at + lay.S_LAST] = sequence
        free, arrived = s[at + lay.S_FREE], s[job + lay.J_VISIBLE]
        written = _beat_written(free, arrived, foreign, c[lay.C_INSTRUCTION_CYCLES], oldest)
    else:
        written = max(s[at + lay.S_FREE], oldest + 1)
    s[at + lay.S_FREE] = written + 1
    s[at + lay.S_READY] = written + c[lay.C_BEAT_CYCLES]
