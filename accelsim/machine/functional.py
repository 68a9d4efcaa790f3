"""The functional engine: a program's values without its time, whole data sets in seconds.

Instructions are executed one after the other, in program order; that order is the program's meaning, and semaphores
only let other engines depart from it safely. Memories are zero before a frame, DRAM holds the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError, InternalError
from accelsim.fixedpoint import activation_tables
from accelsim.isa import opcodes as isa
from accelsim.isa import table
from accelsim.isa.opcodes import Memory, Op
from accelsim.isa.program import Program
from accelsim.jit import Float64s, Int8s, Int16s, Int32s, Int64s, kernel, part
from accelsim.machine import kernels, order
from accelsim.machine.memory import DRAM, MemoryImage, check_frames, from_batches, initial_dram, to_batches
from accelsim.machine.ranges import check_ranges
from accelsim.timing import stream

_LOAD, _STORE = int(Op.LOAD), int(Op.STORE)
_MATMUL, _VECTOR = int(Op.MATMUL), int(Op.VECTOR)
_ACTIVATIONS, _ACCUMULATORS = int(Memory.ACTIVATIONS), int(Memory.ACCUMULATORS)
_PARAMETERS, _WEIGHTS = int(Memory.PARAMETERS), int(Memory.WEIGHTS)
_SOURCE_INT8, _SOURCE_INT16, _SOURCE_INT32 = int(isa.Source.INT8), int(isa.Source.INT16), int(isa.Source.INT32)
_BIAS, _CHANNEL = int(isa.Start.BIAS), int(isa.Requantize.CHANNEL)
_ADDEND_INT16, _ADDEND_INT32 = int(isa.Addend.INT16), int(isa.Addend.INT32)

# Places in `m`: what is fixed, and whether an access is wrong.
(
    _FRAMES,
    _INPUT_AT,
    _INPUT_BYTES,
    _OUTPUT_AT,
    _OUTPUT_BYTES,
    _IMAGE_BYTES,
    _INSTRUCTIONS,
    _ARRAY_ROWS,
    _BLOCK_COLUMNS,
    _IS_WRONG,
    _SIZE,
) = range(11)
"""The last: bytes of each memory; then of each as it is allocated."""
_ALLOCATED = _SIZE + DRAM + 1
_NUMBERS = _ALLOCATED + DRAM + 1


def run_functional(program: Program, frames: NDArray[np.int8]) -> NDArray[np.int8]:
    """The program's output for each frame.

    Parameters
    ----------
    program : Program
    frames : int8[N, *input shape]

    Returns
    -------
    int8[N, *output shape]

    Raises
    ------
    InputError
        Frames of another shape; an access outside a memory or not aligned to its elements.
    """
    check_frames(program, frames)
    memory = MemoryImage(program)
    source, result = program.inputs[0], program.outputs[0]
    batches = to_batches(source, frames)
    outputs = np.zeros((len(batches), result.bytes), dtype=np.int8)
    image, mac = initial_dram(program), program.chip.mac
    m, walk = np.zeros(_NUMBERS, dtype=np.int64), np.zeros(order.WALK_SIZE, dtype=np.int64)
    m[:_IS_WRONG] = (
        len(batches), source.address, batches.shape[1], result.address, result.bytes, image.size,
        len(program.instructions), mac.rows, mac.weight_block_columns,
    )  # fmt: skip
    m[_SIZE:_ALLOCATED] = memory.sizes
    m[_ALLOCATED:] = [one.size for one in memory.bytes]
    weights, activations, accumulators, parameters, dram = memory.bytes
    run(
        m, walk, table(program.instructions), batches, outputs, image, dram, weights, activations,
        activations.view(np.int16), accumulators, accumulators.view(np.int32), parameters, parameters.view(np.int16),
        parameters.view(np.int32), parameters.view(np.float64), activation_tables(),
        np.zeros(mac.rows, dtype=np.int32),
    )  # fmt: skip
    if m[_IS_WRONG] or walk[order.FAULT] != order.NO_FAULT:
        raise _fault(program, memory.sizes)
    return from_batches(result, outputs)[: len(frames)]


def _fault(program: Program, sizes: list[int]) -> Exception:
    """What the other engines say of it."""
    try:
        for operation in stream.walk(program.instructions, program.name):
            if operation is not None:
                check_ranges(operation, program, sizes)
    except InputError as error:
        return error
    return InternalError(f"{program.name}: an address is in range, and was found not to be")


@kernel
def run(
    m: Int64s, walk: Int64s, code: Int64s, frames: Int8s, outputs: Int8s, image: Int8s, dram: Int8s, weights: Int8s,
    act8: Int8s, act16: Int16s, acc8: Int8s, acc32: Int32s, par8: Int8s, par16: Int16s, par32: Int32s,
    par_real: Float64s, tables: Int16s, total: Int32s,
) -> None:  # fmt: skip
    """All frames, one after the other, until one goes wrong; `m` or `walk` says how.

    Parameters
    ----------
    m : int64[_NUMBERS]
    walk : int64[order.WALK_SIZE]
    code : int64[instructions, isa.COLUMNS]
    frames, outputs : int8[frames, bytes]
    image : int8[bytes]
        DRAM before a frame.
    dram, weights : int8[bytes]
    act8, act16, acc8, acc32, par8, par16, par32, par_real : arrays
        Views of the other memories.
    tables : int16[11, 65536]
    total : int32[rows of the array]
        A row tile's sums, for a time.
    """
    for frame in range(m[_FRAMES]):
        _clear(weights, m[_ALLOCATED + _WEIGHTS])
        _clear(act8, m[_ALLOCATED + _ACTIVATIONS])
        _clear(acc8, m[_ALLOCATED + _ACCUMULATORS])
        _clear(par8, m[_ALLOCATED + _PARAMETERS])
        _copy(image, 0, dram, 0, m[_IMAGE_BYTES])
        _copy(frames, frame * m[_INPUT_BYTES], dram, m[_INPUT_AT], m[_INPUT_BYTES])
        for place in range(order.WALK_SIZE):
            walk[place] = 0
        pc = order.find(walk, code, m[_INSTRUCTIONS])
        while pc >= 0:
            row = isa.COLUMNS * pc
            op = code[row + isa.COL_OPCODE]
            if op == _MATMUL:
                _matmul(m, walk, code, row, weights, act8, acc32, par32, total)
            elif op == _VECTOR:
                _vector(m, walk, code, row, act8, act16, acc32, par8, par16, par32, par_real, tables)
            elif op == _LOAD:
                _transfer(m, walk, code, row, True, dram, weights, act8, acc8, par8)
            elif op == _STORE:
                _transfer(m, walk, code, row, False, dram, weights, act8, acc8, par8)
            if m[_IS_WRONG]:
                return
            order.advance(walk, pc + 1)
            pc = order.find(walk, code, m[_INSTRUCTIONS])
        if walk[order.FAULT] != order.NO_FAULT:
            return
        _copy(dram, m[_OUTPUT_AT], outputs, frame * m[_OUTPUT_BYTES], m[_OUTPUT_BYTES])


@part
def _clear(memory: Any, size: int) -> None:
    for place in range(size):
        memory[place] = 0


@part
def _copy(source: Any, first: int, destination: Any, to: int, size: int) -> None:
    for place in range(size):
        destination[to + place] = source[first + place]


@part
def _operand(walk: Any, code: Any, row: int, register: int, offset: int) -> int:
    """An operand's address: the value of its register and its offset, of which the columns are given."""
    address: int = order.register_value(walk, code[row + register]) + code[row + offset]
    return address


@part
def _fits(m: Any, memory: int, address: int, size: int, unit: int) -> bool:
    """Whether an access lies in its memory, at a multiple of its elements; if not, something is wrong."""
    if address % unit == 0 and address >= 0 and address + size <= m[_SIZE + memory]:
        return True
    m[_IS_WRONG] = 1
    return False


@part
def _matmul(
    m: Any, walk: Any, code: Any, row: int, weights: Any, act8: Any, acc32: Any, par32: Any, total: Any
) -> None:
    rows, columns = code[row + isa.COL_ROWS], code[row + isa.COL_COLUMNS]
    vectors, begins = code[row + isa.COL_EXTRA_VECTORS] + 1, code[row + isa.COL_START]
    w = _operand(walk, code, row, isa.COL_WEIGHTS_REGISTER, isa.COL_WEIGHTS_OFFSET)
    x = _operand(walk, code, row, isa.COL_INPUT_REGISTER, isa.COL_INPUT_OFFSET)
    s = _operand(walk, code, row, isa.COL_ACCUMULATORS_REGISTER, isa.COL_ACCUMULATORS_OFFSET)
    b = _operand(walk, code, row, isa.COL_BIAS_REGISTER, isa.COL_BIAS_OFFSET)
    height, block = m[_ARRAY_ROWS], m[_BLOCK_COLUMNS]
    stored = (columns + block - 1) // block * block
    if (
        _fits(m, _WEIGHTS, w, (rows + height - 1) // height * height * stored, 1)
        and _fits(m, _ACTIVATIONS, x, columns * vectors, 1)
        and _fits(m, _ACCUMULATORS, s, 4 * rows * vectors, 4)
        and (begins != _BIAS or _fits(m, _PARAMETERS, b, 4 * rows, 4))
    ):
        kernels.matmul(
            weights, w, act8, x, acc32, s // 4, par32, b // 4, begins, rows, columns, vectors, height, stored, total
        )


@part
def _vector(
    m: Any, walk: Any, code: Any, row: int, act8: Any, act16: Any, acc32: Any, par8: Any, par16: Any, par32: Any,
    par_real: Any, tables: Any,
) -> None:  # fmt: skip
    length = code[row + isa.COL_LENGTH]
    kind, added = code[row + isa.COL_SOURCE_TYPE], code[row + isa.COL_ADDEND_TYPE]
    source = _operand(walk, code, row, isa.COL_SOURCE_REGISTER, isa.COL_SOURCE_OFFSET)
    addend = _operand(walk, code, row, isa.COL_ADDEND_REGISTER, isa.COL_ADDEND_OFFSET)
    factor = _operand(walk, code, row, isa.COL_FACTOR_REGISTER, isa.COL_FACTOR_OFFSET)
    term = _operand(walk, code, row, isa.COL_TERM_REGISTER, isa.COL_TERM_OFFSET)
    destination = _operand(walk, code, row, isa.COL_DESTINATION_REGISTER, isa.COL_DESTINATION_OFFSET)
    kept = _operand(walk, code, row, isa.COL_KEPT_REGISTER, isa.COL_KEPT_OFFSET)
    block = _operand(walk, code, row, isa.COL_PARAMETERS_REGISTER, isa.COL_PARAMETERS_OFFSET)
    size = code[row + isa.COL_DESTINATION_TYPE]
    channels = 8 * length if code[row + isa.COL_REQUANTIZE] >= _CHANNEL else 0
    if (
        (kind != _SOURCE_INT32 or _fits(m, _ACCUMULATORS, source, 4 * length, 4))
        and (kind != _SOURCE_INT16 or _fits(m, _ACTIVATIONS, source, 2 * length, 2))
        and (kind != _SOURCE_INT8 or _fits(m, _ACTIVATIONS, source, length, 1))
        and (added != _ADDEND_INT32 or _fits(m, _ACCUMULATORS, addend, 4 * length, 4))
        and (added != _ADDEND_INT16 or _fits(m, _ACTIVATIONS, addend, 2 * length, 2))
        and (not code[row + isa.COL_MULTIPLY] or _fits(m, _ACTIVATIONS, factor, 2 * length, 2))
        and (not code[row + isa.COL_ACCUMULATE] or _fits(m, _ACTIVATIONS, term, 2 * length, 2))
        and _fits(m, _ACTIVATIONS, destination, size * length, size)
        and (not code[row + isa.COL_KEEP] or _fits(m, _ACTIVATIONS, kept, 2 * length, 2))
        and _fits(m, _PARAMETERS, block, isa.PARAM_BYTES + channels, 8)
    ):
        kernels.vector(
            code, row, act8, act16, acc32, par8, par16, par32, par_real, tables, source, addend, factor, term,
            destination, kept, block,
        )  # fmt: skip


@part
def _transfer(
    m: Any, walk: Any, code: Any, row: int, is_load: bool, dram: Any, weights: Any, act8: Any, acc8: Any, par8: Any
) -> None:
    memory = code[row + isa.COL_MEMORY]
    source = _operand(walk, code, row, isa.COL_SOURCE_REGISTER, isa.COL_SOURCE_OFFSET)
    destination = _operand(walk, code, row, isa.COL_DESTINATION_REGISTER, isa.COL_DESTINATION_OFFSET)
    source_span = (code[row + isa.COL_ROWS] - 1) * code[row + isa.COL_SOURCE_PITCH] + code[row + isa.COL_ROW_BYTES]
    span = (code[row + isa.COL_ROWS] - 1) * code[row + isa.COL_DESTINATION_PITCH] + code[row + isa.COL_ROW_BYTES]
    if is_load:
        if not (_fits(m, DRAM, source, source_span, 1) and _fits(m, memory, destination, span, 1)):
            return
    elif not (_fits(m, DRAM, destination, span, 1) and _fits(m, memory, source, source_span, 1)):
        return
    sram = weights
    if memory == _ACTIVATIONS:
        sram = act8
    elif memory == _ACCUMULATORS:
        sram = acc8
    elif memory == _PARAMETERS:
        sram = par8
    for line in range(code[row + isa.COL_ROWS]):
        first = source + line * code[row + isa.COL_SOURCE_PITCH]
        to = destination + line * code[row + isa.COL_DESTINATION_PITCH]
        if is_load:
            _copy(dram, first, sram, to, code[row + isa.COL_ROW_BYTES])
        else:
            _copy(sram, first, dram, to, code[row + isa.COL_ROW_BYTES])
