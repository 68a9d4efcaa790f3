"""How far a program reaches: the granules of each memory, and which of its bytes are written."""

from __future__ import annotations

from typing import Any

from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Addend, Memory, Op, Requantize, Source, Start, Unit
from accelsim.jit import part
from accelsim.machine.dataflow import places as at
from accelsim.machine.dataflow.walk import JOB
from accelsim.machine.fast import layout as lay
from accelsim.timing import rules

_padded_columns = part(rules.padded_columns)
_LOAD, _STORE, _MATMUL, _VECTOR = int(Op.LOAD), int(Op.STORE), int(Op.MATMUL), int(Op.VECTOR)
_WEIGHTS, _ACTIVATIONS = int(Memory.WEIGHTS), int(Memory.ACTIVATIONS)
_ACCUMULATORS, _PARAMETERS = int(Memory.ACCUMULATORS), int(Memory.PARAMETERS)
_SOURCE_INT32, _ADDEND_INT16, _ADDEND_INT32 = int(Source.INT32), int(Addend.INT16), int(Addend.INT32)
_BIAS, _CHANNEL, _VECTOR_UNIT = int(Start.BIAS), int(Requantize.CHANNEL), int(Unit.VECTOR)
_ADDRESS = JOB + lay.J_ADDRESS


@part
def reach(s: Any, c: Any, p: Any, m: Any, code: int) -> None:
    """Widen what is kept of the memories, and narrow their granules, for an operation."""
    op = p[code + isa.COL_OPCODE]
    if op == _MATMUL:
        _product(s, c, p, m, code)
    elif op == _VECTOR:
        find_operands(s, c, p, m, code)
        length, lanes = p[code + isa.COL_LENGTH], c[lay.C_LANES]
        block = s[_ADDRESS + 6]
        _divide(m, _PARAMETERS, block, isa.PARAM_BYTES, isa.PARAM_BYTES)
        for operand in range(at.OPERANDS):
            place = at.OPERAND + at.OPERAND_SIZE * operand
            memory, first, width = m[place + at.O_MEMORY], m[place + at.O_ADDRESS], m[place + at.O_WIDTH]
            if width:
                _divide(m, memory, first, width * length, width * lanes)
                if operand >= at.READS:
                    _extend(m, memory, first, first + width * length)
    elif op in (_LOAD, _STORE):
        _transfer(s, c, p, m, code, op == _LOAD)


@part
def find_operands(s: Any, c: Any, p: Any, m: Any, code: int) -> None:
    """Fill the table of a vector instruction's operands."""
    source, addend = p[code + isa.COL_SOURCE_TYPE], p[code + isa.COL_ADDEND_TYPE]
    channels = 8 if p[code + isa.COL_REQUANTIZE] >= _CHANNEL else 0
    width = 4 if source == _SOURCE_INT32 else source
    _operand(s, c, m, at.SOURCE, _ACCUMULATORS if source == _SOURCE_INT32 else _ACTIVATIONS, 0, width, 0)
    width = 4 if addend == _ADDEND_INT32 else 2 if addend == _ADDEND_INT16 else 0
    memory = _ACCUMULATORS if addend == _ADDEND_INT32 else _ACTIVATIONS
    _operand(s, c, m, at.ADDEND, memory, 1, width, p[code + lay.P_ADDEND_STAGE])
    _operand(s, c, m, at.FACTOR, _ACTIVATIONS, 2, 2 * p[code + isa.COL_MULTIPLY], p[code + lay.P_FACTOR_STAGE])
    _operand(s, c, m, at.TERM, _ACTIVATIONS, 3, 2 * p[code + isa.COL_ACCUMULATE], p[code + lay.P_TERM_STAGE])
    _operand(s, c, m, at.CHANNELS, _PARAMETERS, 6, channels, 0)
    m[at.OPERAND + at.OPERAND_SIZE * at.CHANNELS + at.O_ADDRESS] += isa.PARAM_BYTES
    _operand(s, c, m, at.DESTINATION, _ACTIVATIONS, 4, p[code + isa.COL_DESTINATION_TYPE], 0)
    _operand(s, c, m, at.KEPT, _ACTIVATIONS, 5, 2 * p[code + isa.COL_KEEP], 0)


@part
def _operand(s: Any, c: Any, m: Any, operand: int, memory: int, slot: int, width: int, stage: int) -> None:
    place = at.OPERAND + at.OPERAND_SIZE * operand
    m[place + at.O_MEMORY] = memory
    m[place + at.O_ADDRESS] = s[_ADDRESS + slot]
    m[place + at.O_WIDTH] = width
    left = 0
    for number in range(max(stage, 0), c[lay.C_STAGES] - 1):
        left += c[lay.C_LATENCY + 2 * (1 + number)]
    m[place + at.O_LEFT] = left


@part
def _product(s: Any, c: Any, p: Any, m: Any, code: int) -> None:
    rows, columns, vectors = p[code + isa.COL_ROWS], p[code + isa.COL_COLUMNS], p[code + isa.COL_EXTRA_VECTORS] + 1
    height = c[lay.C_MAC_ROWS]
    stored = _padded_columns(columns, c[lay.C_BLOCK_COLUMNS])
    weights, inputs, sums, bias = s[_ADDRESS], s[_ADDRESS + 1], s[_ADDRESS + 2], s[_ADDRESS + 3]
    # A tile's columns are read, those that pad it are not.
    _divide(m, _WEIGHTS, weights, height * columns, height * columns)
    if rows > height:
        _divide(m, _WEIGHTS, weights, height * stored, height * stored)
    _divide(m, _ACTIVATIONS, inputs, columns * vectors, columns * vectors)
    _divide(m, _ACCUMULATORS, sums, 4 * rows * vectors, 4 * height * vectors)
    _extend(m, _ACCUMULATORS, sums, sums + 4 * rows * vectors)
    if p[code + isa.COL_START] == _BIAS:
        _divide(m, _PARAMETERS, bias, 4 * rows, 4 * height)


@part
def _transfer(s: Any, c: Any, p: Any, m: Any, code: int, is_load: bool) -> None:
    memory, rows, size = p[code + isa.COL_MEMORY], p[code + isa.COL_ROWS], p[code + isa.COL_ROW_BYTES]
    source, destination = s[_ADDRESS], s[_ADDRESS + 1]
    source_pitch, destination_pitch = p[code + isa.COL_SOURCE_PITCH], p[code + isa.COL_DESTINATION_PITCH]
    source_end = source + (rows - 1) * source_pitch + size
    destination_end = destination + (rows - 1) * destination_pitch + size
    if is_load:
        _divide_rows(m, memory, destination, size, rows, destination_pitch)
        _extend(m, memory, destination, destination_end)
        if p[code + lay.P_UNIT] == _VECTOR_UNIT:
            _divide(m, memory, destination, size, c[lay.C_LANES])
            return
        _divide_rows(m, at.DRAM, source, size, rows, source_pitch)
        _extend(m, at.TOUCHED, source, source_end)
        return
    _divide_rows(m, memory, source, size, rows, source_pitch)
    # What it reads for a burst begins and ends where the burst does in DRAM.
    _divide_rows(m, memory, destination, c[lay.C_BURST], rows, destination_pitch)
    _divide_rows(m, at.DRAM, destination, size, rows, destination_pitch)
    _extend(m, at.DRAM, destination, destination_end)
    _extend(m, at.TOUCHED, destination, destination_end)


@part
def _divide_rows(m: Any, memory: int, first: int, size: int, rows: int, pitch: int) -> None:
    _divide(m, memory, first, size, size)
    if rows > 1:
        _divide(m, memory, pitch, pitch, pitch)


@part
def _divide(m: Any, memory: int, first: int, size: int, step: int) -> None:
    """Granules divide an access's first byte, its size, and the size of its pieces."""
    place = at.MEMORY_SIZE * memory + at.GRANULE
    m[place] = _common_divisor(_common_divisor(m[place], first), size)
    if size > step:
        m[place] = _common_divisor(m[place], step)


@part
def _common_divisor(granule: int, number: int) -> int:
    a, b = number, granule
    while b:
        a, b = b, a % b
    return a


@part
def _extend(m: Any, memory: int, first: int, end: int) -> None:
    place = at.MEMORY_SIZE * memory
    m[place + at.FIRST] = min(m[place + at.FIRST], first)
    m[place + at.END] = max(m[place + at.END], end)
