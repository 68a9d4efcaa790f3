"""The functional engine: a program's values without its time, whole data sets in seconds.

Instructions are executed one after the other, in program order; that order is the program's meaning, and semaphores
only let other engines depart from it safely. Memories are zero before a frame, DRAM holds the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.fixedpoint import activation_tables
from accelsim.isa import opcodes as isa
from accelsim.isa import table
from accelsim.isa.opcodes import Memory, Op
from accelsim.isa.program import Program
from accelsim.machine import kernels
from accelsim.machine.jit import jit, part, start
from accelsim.machine.memory import DRAM, MemoryImage, check_frames, from_batches, initial_dram, to_batches

_LOOP, _ADDRESS, _GUARD, _HALT = int(Op.LOOP), int(Op.ADDRESS), int(Op.GUARD), int(Op.HALT)
_LOAD, _STORE, _MATMUL, _VECTOR = int(Op.LOAD), int(Op.STORE), int(Op.MATMUL), int(Op.VECTOR)
_ACTIVATIONS, _ACCUMULATORS = int(Memory.ACTIVATIONS), int(Memory.ACCUMULATORS)
_PARAMETERS, _WEIGHTS = int(Memory.PARAMETERS), int(Memory.WEIGHTS)
_SOURCE_INT8, _SOURCE_INT16, _SOURCE_INT32 = int(isa.Source.INT8), int(isa.Source.INT16), int(isa.Source.INT32)
_BIAS, _CHANNEL = int(isa.Start.BIAS), int(isa.Requantize.CHANNEL)
_ADDEND_INT16, _ADDEND_INT32 = int(isa.Addend.INT16), int(isa.Addend.INT32)

_DONE, _OUT_OF_RANGE, _MISALIGNED, _RAN_OFF = 0, 1, 2, 3


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
    activations, parameters = memory.bytes[_ACTIVATIONS], memory.bytes[_PARAMETERS]
    status = np.zeros(4, dtype=np.int64)
    _run(
        table(program.instructions), batches, outputs, source.address,
        result.address, initial_dram(program), memory.bytes[DRAM], memory.bytes[_WEIGHTS], activations,
        activations.view(np.int16), memory.bytes[_ACCUMULATORS], memory.bytes[_ACCUMULATORS].view(np.int32),
        parameters, parameters.view(np.int16), parameters.view(np.int32), parameters.view(np.float64),
        activation_tables(), np.array(memory.sizes), program.chip.mac.rows, program.chip.mac.weight_block_columns,
        status,
    )  # fmt: skip
    if status[0] != _DONE:
        raise _fault(program, status)
    return from_batches(result, outputs)[: len(frames)]


def _fault(program: Program, status: NDArray[np.int64]) -> InputError:
    from accelsim.isa.assembler import format_instruction

    code, index, memory, address = (int(value) for value in status)
    name = (*(one.name.lower() for one in Memory), "dram")[memory]
    where = f"instruction {index}"
    if code == _RAN_OFF:
        return InputError(program.name, where, "the program runs on past its end", "halt")
    where += f" ({format_instruction(program.instructions[index])})"
    if code == _MISALIGNED:
        return InputError(program.name, where, f"{name} address {address} is not aligned to its elements")
    return InputError(program.name, where, f"{name} address {address}", "an address inside the memory")


@part
def _misfit(status: Any, sizes: Any, memory: int, address: int, size: int, unit: int) -> bool:
    """Whether an access is wrong, and if so which way."""
    if address % unit:
        status[0] = _MISALIGNED
    elif address < 0 or address + size > sizes[memory]:
        status[0] = _OUT_OF_RANGE
    else:
        return False
    status[2] = memory
    status[3] = address
    return True


@part
def _copy(row: Any, source: Any, at: int, destination: Any, to: int, source_pitch: int, destination_pitch: int) -> None:
    size = row[isa.COL_ROW_BYTES]
    # Addresses, of which the compiler sees that no index counts from the end: it then copies many bytes at a time.
    read, write = start(source), start(destination)
    for line in range(row[isa.COL_ROWS]):
        first, second = at + line * source_pitch, to + line * destination_pitch
        for index in range(size):
            write[second + index] = read[first + index]


@jit
def _run(
    code: Any, frames: Any, outputs: Any, input_at: int, output_at: int, dram0: Any, dram: Any, weights: Any,
    act8: Any, act16: Any, acc8: Any, acc32: Any, par8: Any, par16: Any, par32: Any, par_real: Any, tables: Any,
    sizes: Any, array_rows: int, block_columns: int, status: Any,
) -> None:  # fmt: skip
    for frame in range(frames.shape[0]):
        for memory in (weights, act8, acc8, par8):
            memory[:] = 0
        dram[: dram0.size] = dram0
        dram[input_at : input_at + frames.shape[1]] = frames[frame]
        _run_frame(
            code, dram, weights, act8, act16, acc8, acc32, par8, par16, par32, par_real, tables, sizes, array_rows,
            block_columns, status,
        )  # fmt: skip
        if status[0] != _DONE:
            return
        outputs[frame] = dram[output_at : output_at + outputs.shape[1]]


@part
def _run_frame(
    code: Any, dram: Any, weights: Any, act8: Any, act16: Any, acc8: Any, acc32: Any, par8: Any, par16: Any,
    par32: Any, par_real: Any, tables: Any, sizes: Any, array_rows: int, block_columns: int, status: Any,
) -> None:  # fmt: skip
    registers = np.zeros((isa.ADDRESS_REGISTERS, 3 + isa.LOOP_LEVELS), dtype=np.int64)
    guards = np.zeros((isa.GUARD_REGISTERS, 3), dtype=np.int64)
    values = np.zeros(isa.ADDRESS_REGISTERS, dtype=np.int64)
    counter = np.zeros(isa.LOOP_LEVELS + 1, dtype=np.int64)
    loop_count = np.zeros(isa.LOOP_LEVELS + 1, dtype=np.int64)
    loop_start = np.zeros(isa.LOOP_LEVELS + 1, dtype=np.int64)
    loop_end = np.zeros(isa.LOOP_LEVELS + 1, dtype=np.int64)
    depth, pc = 0, 0
    while True:
        if pc >= code.shape[0]:
            status[0] = _RAN_OFF
            return
        row = code[pc]
        status[1] = pc
        op = row[isa.COL_OPCODE]
        guard = row[isa.COL_GUARD]
        runs = True
        if guard:
            here = counter[guards[guard, 0]]
            runs = guards[guard, 1] <= here < guards[guard, 2]
        pc += 1
        if op == _LOOP:
            if not runs or row[isa.COL_COUNT] == 0:
                pc += row[isa.COL_LENGTH]
            else:
                counter[depth] = 0
                loop_count[depth] = row[isa.COL_COUNT]
                loop_start[depth] = pc
                loop_end[depth] = pc + row[isa.COL_LENGTH]
                depth += 1
        elif runs:
            if op == _HALT:
                return
            if op == _ADDRESS:
                for part in range(3 + isa.LOOP_LEVELS):
                    registers[row[isa.COL_REGISTER], part] = row[isa.COL_BASE + part]
            elif op == _GUARD:
                guards[row[isa.COL_REGISTER], 0] = row[isa.COL_LEVEL]
                guards[row[isa.COL_REGISTER], 1] = row[isa.COL_LOW]
                guards[row[isa.COL_REGISTER], 2] = row[isa.COL_HIGH]
            elif op in (_LOAD, _STORE, _MATMUL, _VECTOR):
                for number in range(1, isa.ADDRESS_REGISTERS):
                    moved = registers[number, 1]
                    for level in range(isa.LOOP_LEVELS):
                        moved += counter[level] * registers[number, 3 + level]
                    if registers[number, 2]:
                        moved %= registers[number, 2]
                    values[number] = registers[number, 0] + moved
                if op == _MATMUL:
                    if _matmul(row, values, weights, act8, acc32, par32, sizes, array_rows, block_columns, status):
                        return
                elif op == _VECTOR:
                    if _vector(row, values, act8, act16, acc32, par8, par16, par32, par_real, tables, sizes, status):
                        return
                elif _transfer(op, row, values, dram, weights, act8, acc8, par8, sizes, status):
                    return
        while depth > 0 and pc == loop_end[depth - 1]:
            counter[depth - 1] += 1
            if counter[depth - 1] < loop_count[depth - 1]:
                pc = loop_start[depth - 1]
                break
            counter[depth - 1] = 0
            depth -= 1


@part
def _matmul(
    row: Any, values: Any, weights: Any, act8: Any, acc32: Any, par32: Any, sizes: Any, array_rows: int,
    block_columns: int, status: Any,
) -> bool:  # fmt: skip
    rows, columns, vectors = row[isa.COL_ROWS], row[isa.COL_COLUMNS], row[isa.COL_EXTRA_VECTORS] + 1
    w = values[row[isa.COL_WEIGHTS_REGISTER]] + row[isa.COL_WEIGHTS_OFFSET]
    x = values[row[isa.COL_INPUT_REGISTER]] + row[isa.COL_INPUT_OFFSET]
    s = values[row[isa.COL_ACCUMULATORS_REGISTER]] + row[isa.COL_ACCUMULATORS_OFFSET]
    b = values[row[isa.COL_BIAS_REGISTER]] + row[isa.COL_BIAS_OFFSET]
    padded = (rows + array_rows - 1) // array_rows * array_rows
    stored = (columns + block_columns - 1) // block_columns * block_columns
    if _misfit(status, sizes, _WEIGHTS, w, padded * stored, 1) or _misfit(
        status, sizes, _ACTIVATIONS, x, columns * vectors, 1
    ):
        return True
    if _misfit(status, sizes, _ACCUMULATORS, s, 4 * rows * vectors, 4):
        return True
    if row[isa.COL_START] == _BIAS and _misfit(status, sizes, _PARAMETERS, b, 4 * rows, 4):
        return True
    kernels.matmul(
        weights, w, act8, x, acc32, s // 4, par32, b // 4, row[isa.COL_START], rows, columns, vectors,
        array_rows, stored,
    )  # fmt: skip
    return False


@part
def _vector(
    row: Any, values: Any, act8: Any, act16: Any, acc32: Any, par8: Any, par16: Any, par32: Any, par_real: Any,
    tables: Any, sizes: Any, status: Any,
) -> bool:  # fmt: skip
    length = row[isa.COL_LENGTH]
    kind, addend_type = row[isa.COL_SOURCE_TYPE], row[isa.COL_ADDEND_TYPE]
    source = values[row[isa.COL_SOURCE_REGISTER]] + row[isa.COL_SOURCE_OFFSET]
    addend = values[row[isa.COL_ADDEND_REGISTER]] + row[isa.COL_ADDEND_OFFSET]
    factor = values[row[isa.COL_FACTOR_REGISTER]] + row[isa.COL_FACTOR_OFFSET]
    term = values[row[isa.COL_TERM_REGISTER]] + row[isa.COL_TERM_OFFSET]
    destination = values[row[isa.COL_DESTINATION_REGISTER]] + row[isa.COL_DESTINATION_OFFSET]
    parameters = values[row[isa.COL_PARAMETERS_REGISTER]] + row[isa.COL_PARAMETERS_OFFSET]
    multiply, accumulate = row[isa.COL_MULTIPLY], row[isa.COL_ACCUMULATE]
    if kind == _SOURCE_INT32 and _misfit(status, sizes, _ACCUMULATORS, source, 4 * length, 4):
        return True
    if kind == _SOURCE_INT16 and _misfit(status, sizes, _ACTIVATIONS, source, 2 * length, 2):
        return True
    if kind == _SOURCE_INT8 and _misfit(status, sizes, _ACTIVATIONS, source, length, 1):
        return True
    if addend_type == _ADDEND_INT32 and _misfit(status, sizes, _ACCUMULATORS, addend, 4 * length, 4):
        return True
    if addend_type == _ADDEND_INT16 and _misfit(status, sizes, _ACTIVATIONS, addend, 2 * length, 2):
        return True
    if multiply and _misfit(status, sizes, _ACTIVATIONS, factor, 2 * length, 2):
        return True
    if accumulate and _misfit(status, sizes, _ACTIVATIONS, term, 2 * length, 2):
        return True
    size = row[isa.COL_DESTINATION_TYPE]
    if _misfit(status, sizes, _ACTIVATIONS, destination, size * length, size):
        return True
    kept = values[row[isa.COL_KEPT_REGISTER]] + row[isa.COL_KEPT_OFFSET]
    if row[isa.COL_KEEP] and _misfit(status, sizes, _ACTIVATIONS, kept, 2 * length, 2):
        return True
    channels = 8 * length if row[isa.COL_REQUANTIZE] >= _CHANNEL else 0
    if _misfit(status, sizes, _PARAMETERS, parameters, isa.PARAM_BYTES + channels, 8):
        return True
    kernels.vector(
        act8, act16, acc32, par8, par16, par32, par_real, tables, length, kind, source, row[isa.COL_REQUANTIZE],
        addend_type, addend, row[isa.COL_ACTIVATION], multiply, factor, row[isa.COL_SHIFT], accumulate, term,
        row[isa.COL_KEEP], kept, row[isa.COL_OUTPUT_REQUANTIZE], size, destination, parameters, 0,
    )  # fmt: skip
    return False


@part
def _transfer(
    op: int, row: Any, values: Any, dram: Any, weights: Any, act8: Any, acc8: Any, par8: Any, sizes: Any, status: Any
) -> bool:
    memory = row[isa.COL_MEMORY]
    source = values[row[isa.COL_SOURCE_REGISTER]] + row[isa.COL_SOURCE_OFFSET]
    destination = values[row[isa.COL_DESTINATION_REGISTER]] + row[isa.COL_DESTINATION_OFFSET]
    read, write = row[isa.COL_SOURCE_PITCH], row[isa.COL_DESTINATION_PITCH]
    size, last = row[isa.COL_ROW_BYTES], row[isa.COL_ROWS] - 1
    outside, inside = (source, destination) if op == _LOAD else (destination, source)
    outside_pitch, inside_pitch = (read, write) if op == _LOAD else (write, read)
    if _misfit(status, sizes, DRAM, outside, last * outside_pitch + size, 1):
        return True
    if _misfit(status, sizes, memory, inside, last * inside_pitch + size, 1):
        return True
    sram = weights
    if memory == _ACTIVATIONS:
        sram = act8
    elif memory == _ACCUMULATORS:
        sram = acc8
    elif memory == _PARAMETERS:
        sram = par8
    if op == _LOAD:
        _copy(row, dram, source, sram, destination, read, write)
    else:
        _copy(row, sram, source, dram, destination, read, write)
    return False
