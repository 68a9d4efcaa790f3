"""Each operation's results at the earliest cycle in which they can be written, compiled.

Cycles of granules are in `w`, the marks of DRAM's in `marks`, and how many of a block's are marked as read in `full`.
"""

from __future__ import annotations

from typing import Any

from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Memory, Op, Start, Unit
from accelsim.jit import part
from accelsim.machine.dataflow import places as at
from accelsim.machine.dataflow.reach import find_operands
from accelsim.machine.dataflow.walk import JOB
from accelsim.machine.fast import layout as lay
from accelsim.timing import rules

_padded_columns = part(rules.padded_columns)
_burst_bytes_at = part(rules.burst_bytes_at)
_bus_cycle = part(rules.bus_cycle)
_reserve_bus = part(rules.reserve_bus)
_drained = part(rules.drained)
_LOAD, _STORE, _MATMUL, _VECTOR = int(Op.LOAD), int(Op.STORE), int(Op.MATMUL), int(Op.VECTOR)
_WEIGHTS, _ACTIVATIONS = int(Memory.WEIGHTS), int(Memory.ACTIVATIONS)
_ACCUMULATORS, _PARAMETERS = int(Memory.ACCUMULATORS), int(Memory.PARAMETERS)
_BIAS, _ACCUMULATE, _VECTOR_UNIT = int(Start.BIAS), int(Start.ACCUMULATE), int(Unit.VECTOR)
_ADDRESS = JOB + lay.J_ADDRESS


@part
def move(s: Any, c: Any, p: Any, m: Any, w: Any, marks: Any, full: Any, code: int) -> None:
    """Move results on through an operation."""
    op = p[code + isa.COL_OPCODE]
    if op == _MATMUL:
        _product(s, c, p, m, w, code)
    elif op == _VECTOR:
        _vector(s, c, p, m, w, code)
    elif op == _LOAD and p[code + lay.P_UNIT] == _VECTOR_UNIT:
        _streamed(s, c, p, m, w, code)
    elif op in (_LOAD, _STORE):
        _transfer(s, c, p, m, w, marks, full, code, op == _LOAD)


@part
def _latest(m: Any, w: Any, memory: int, first: int, size: int) -> int:
    """The last cycle in which one of these bytes was written; -1 where all were there before."""
    place = at.MEMORY_SIZE * memory
    begin, end = max(first, m[place + at.FIRST]), min(first + size, m[place + at.END])
    latest = -1
    if begin < end:
        granule = m[place + at.GRANULE]
        number = m[place + at.AT] + (begin - m[place + at.FIRST]) // granule
        for one in range(number, number + (end - begin) // granule):
            latest = max(latest, w[one])
    return latest


@part
def _put(m: Any, w: Any, memory: int, first: int, size: int, cycle: int) -> None:
    """These bytes are written in a cycle."""
    place = at.MEMORY_SIZE * memory
    granule = m[place + at.GRANULE]
    number = m[place + at.AT] + (first - m[place + at.FIRST]) // granule
    for one in range(number, number + size // granule):
        w[one] = cycle
    m[at.LAST] = max(m[at.LAST], cycle)


@part
def _product(s: Any, c: Any, p: Any, m: Any, w: Any, code: int) -> None:
    rows, columns, vectors = p[code + isa.COL_ROWS], p[code + isa.COL_COLUMNS], p[code + isa.COL_EXTRA_VECTORS] + 1
    height, interval, start = c[lay.C_MAC_ROWS], c[lay.C_INTERVAL], p[code + isa.COL_START]
    weights, sums, bias = s[_ADDRESS], s[_ADDRESS + 2], s[_ADDRESS + 3]
    stored = _padded_columns(columns, c[lay.C_BLOCK_COLUMNS])
    turns = -(-columns // c[lay.C_MAC_COLUMNS]) * -(-vectors // c[lay.C_BATCH_COLUMNS])
    m[at.MACS] += rows * columns * vectors
    tiles = -(-rows // height)
    inputs = _latest(m, w, _ACTIVATIONS, s[_ADDRESS + 1], columns * vectors)
    issued, written, group_left = -1, -c[lay.C_LATENCY + 1], 0
    for tile in range(tiles):
        first = tile * height
        size = 4 * vectors * min(height, rows - first)
        # Beats from the last tile's last to this one's; a group's first has all but one of its turns in between.
        beats = 1
        if group_left == 0:
            # As `rules.tile_groups`.
            group_left = interval if tiles - tile >= 2 * interval else tiles - tile
            beats = (turns - 1) * group_left + 1
        group_left -= 1
        ready = max(inputs, _latest(m, w, _WEIGHTS, weights + first * stored, height * columns))
        if start == _BIAS:
            ready = max(ready, _latest(m, w, _PARAMETERS, bias + 4 * first, 4 * min(height, rows - first)))
        elif start == _ACCUMULATE:
            ready = max(ready, _latest(m, w, _ACCUMULATORS, sums + 4 * first * vectors, size))
        # The tile's last beat comes after everything it sums, and a beat a cycle after the tile before.
        issued = max(issued + beats, ready + 1)
        written = _drained(issued, c[lay.C_LATENCY], written, c[lay.C_LATENCY + 1])
        _put(m, w, _ACCUMULATORS, sums + 4 * first * vectors, size, written)


@part
def _vector(s: Any, c: Any, p: Any, m: Any, w: Any, code: int) -> None:
    find_operands(s, c, p, m, code)
    length, lanes = p[code + isa.COL_LENGTH], c[lay.C_LANES]
    # The parameter block is read by the first beat, in the first stage, as the source is.
    block = _latest(m, w, _PARAMETERS, s[_ADDRESS + 6], isa.PARAM_BYTES)
    written = block + m[at.OPERAND + at.OPERAND_SIZE * at.SOURCE + at.O_LEFT]
    for first in range(0, length, lanes):
        size = min(lanes, length - first)
        written += 1
        for operand in range(at.READS):
            place = at.OPERAND + at.OPERAND_SIZE * operand
            width = m[place + at.O_WIDTH]
            if width:
                begin = m[place + at.O_ADDRESS] + width * first
                ready = _latest(m, w, m[place + at.O_MEMORY], begin, width * size)
                written = max(written, ready + 1 + m[place + at.O_LEFT])
        for operand in range(at.READS, at.OPERANDS):
            place = at.OPERAND + at.OPERAND_SIZE * operand
            width = m[place + at.O_WIDTH]
            if width:
                begin = m[place + at.O_ADDRESS] + width * first
                _put(m, w, m[place + at.O_MEMORY], begin, width * size, written)


@part
def _streamed(s: Any, c: Any, p: Any, m: Any, w: Any, code: int) -> None:
    """A load through the vector unit's last stage; its data is there."""
    row_bytes, lanes = p[code + isa.COL_ROW_BYTES], c[lay.C_LANES]
    written = c[lay.C_LATENCY + 2 * (c[lay.C_STAGES] - 1)] - 1
    for row in range(p[code + isa.COL_ROWS]):
        begin = s[_ADDRESS + 1] + row * p[code + isa.COL_DESTINATION_PITCH]
        for first in range(0, row_bytes, lanes):
            written += 1
            _put(m, w, _ACTIVATIONS, begin + first, min(lanes, row_bytes - first), written)


@part
def _transfer(s: Any, c: Any, p: Any, m: Any, w: Any, marks: Any, full: Any, code: int, is_load: bool) -> None:
    """Burst after burst over a bus of its own; see `follow.follow_program`."""
    source, destination = s[_ADDRESS], s[_ADDRESS + 1]
    reads, writes = (at.DRAM, p[code + isa.COL_MEMORY]) if is_load else (p[code + isa.COL_MEMORY], at.DRAM)
    granule = m[at.MEMORY_SIZE * writes + at.GRANULE]
    latency = c[lay.C_DMA_LATENCY] + c[lay.C_READ_LATENCY if is_load else lay.C_WRITE_LATENCY]
    up, down = c[lay.C_RATE_UP], c[lay.C_RATE_DOWN]
    row_bytes, free = p[code + isa.COL_ROW_BYTES], 0
    for _ in range(p[code + isa.COL_ROWS]):
        outside = source if is_load else destination
        if is_load:
            _mark_read(m, marks, full, outside, row_bytes)
        else:
            _mark_written(m, marks, outside, row_bytes)
        moved = put = 0
        while moved < row_bytes:
            size = _burst_bytes_at(outside + moved, row_bytes - moved, c[lay.C_BURST])
            ready = _latest(m, w, reads, source + moved, size)
            free = _reserve_bus(free, ready + 1, size, up, down)
            moved += size
            # A granule is written with its last byte, in the burst that brings it.
            if moved - put >= granule:
                whole = (moved - put) // granule * granule
                _put(m, w, writes, destination + put, whole, _bus_cycle(free, up) + latency)
                put += whole
        source += p[code + isa.COL_SOURCE_PITCH]
        destination += p[code + isa.COL_DESTINATION_PITCH]


@part
def _mark_read(m: Any, marks: Any, full: Any, first: int, size: int) -> None:
    granule = m[at.MEMORY_SIZE * at.TOUCHED + at.GRANULE]
    begin = (first - m[at.MEMORY_SIZE * at.TOUCHED + at.FIRST]) // granule
    end = begin + size // granule
    while begin < end:
        block = begin >> at.BLOCK_BITS
        stop = min(end, (block + 1) << at.BLOCK_BITS)
        if full[block] < 1 << at.BLOCK_BITS:
            for one in range(begin, stop):
                if marks[one] & (at.READ_FIRST | at.WRITTEN) == 0:
                    marks[one] |= at.READ_FIRST
                    full[block] += 1
        begin = stop


@part
def _mark_written(m: Any, marks: Any, first: int, size: int) -> None:
    granule = m[at.MEMORY_SIZE * at.TOUCHED + at.GRANULE]
    begin = (first - m[at.MEMORY_SIZE * at.TOUCHED + at.FIRST]) // granule
    for one in range(begin, begin + size // granule):
        if marks[one] & (at.IS_OUTPUT | at.IS_SENT) == at.IS_OUTPUT:
            marks[one] |= at.IS_SENT
            m[at.SENT] += 1
        marks[one] |= at.WRITTEN
