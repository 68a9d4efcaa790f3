"""Chip and program as integers, and the state a run begins with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from accelsim.chip import Chip, Sram
from accelsim.errors import InternalError
from accelsim.isa import Instruction, accesses, definition, table
from accelsim.isa import opcodes as isa
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.isa.stages import place_operations, wait_stage
from accelsim.machine.fast import layout as lay
from accelsim.machine.fast.repeats import near_period, period, room, waited_tokens
from accelsim.machine.memory import DRAM
from accelsim.machine.ranges import element_bytes
from accelsim.timing.record import BANDWIDTH_BINS, MEMORY_NAMES, Reason
from accelsim.timing.stream import executing_unit, program_bytes

Ints = NDArray[np.int64]

OPERANDS = {
    "load": ("source", "destination"),
    "store": ("source", "destination"),
    "matmul": ("weights", "input", "accumulators", "bias"),
    "vector": ("source", "addend", "factor", "term", "destination", "kept", "parameters"),
}
"""Operands in the order of a job's addresses."""


class Layout:
    """What a chip and a program fix, and a state with rings of some capacity.

    Parameters
    ----------
    program : Program
    sizes : sequence of int
        Bytes of each memory, DRAM last.
    """

    def __init__(self, program: Program, sizes: Sequence[int]) -> None:
        self.program = program
        self.layers = len(program.layers)
        self.p = program_table(program, sizes)
        self.c = chip_table(program)
        queues = program.chip.sequencer
        deepest = max(
            queues.load_queue_depth,
            queues.matrix_queue_depth,
            queues.vector_queue_depth,
            queues.store_queue_depth,
            program.chip.dram.outstanding_bursts,
        )
        self.capacity = 1 << (deepest + 2 * lay.SPARE + 2).bit_length()
        self._place()

    def begin(self) -> Ints:
        """The state of a run before its first cycle."""
        c, chip = self.c, self.program.chip
        s = np.zeros(self.size, dtype=np.int64)
        s[lay.CAPACITY] = self.capacity
        s[lay.HALT_AT] = s[lay.LOG_READ] = s[lay.LOG_WRITE] = -1
        s[lay.LOAD_BUFFERS] = s[lay.STORE_BUFFERS] = chip.dram.outstanding_bursts
        s[lay.PLACES : lay.PLACES + 4] = c[lay.C_DEPTH : lay.C_DEPTH + 4]
        for unit in range(lay.UNITS):
            s[lay.STATE + lay.STATE_SIZE * unit :][:2] = Reason.IDLE, self.layers
            s[lay.TOLD + lay.TOLD_SIZE * unit :][:2] = Reason.IDLE, self.layers
        for dma in (lay.STORE_DMA, lay.LOAD_DMA, lay.LANDING):
            s[dma + lay.D_BEAT] = s[dma + lay.D_REASON] = -1
            s[dma + lay.D_WAITS] = lay.NO_TOKEN
            s[dma + lay.D_FRONT] = Reason.IDLE
            s[dma + lay.D_FRONT_LAYER] = self.layers
        for stage in range(int(c[lay.C_STAGES])):
            at = int(c[lay.O_STAGE]) + stage * lay.STAGE_SIZE
            s[at + lay.S_REASON] = s[at + lay.S_LAST] = -1
            s[at + lay.S_WAITS] = lay.NO_TOKEN
            s[at + lay.S_LAST_OUT] = lay.LONG_AGO
        for register in range(isa.ADDRESS_REGISTERS):
            s[lay.REGISTER + lay.REGISTER_SIZE * register + lay.R_MADE_BY] = -1
        s[lay.DUE : lay.DUE + lay.DUE_FIXED + 2 * int(c[lay.C_STAGES])] = lay.NEVER
        s[int(c[lay.O_YOUNG]) : int(c[lay.O_PASSES])] = lay.LONG_AGO
        return s

    def grow(self, s: Ints) -> Ints:
        """The same state with rings of twice the capacity."""
        old = [list(ring) for ring in self._rings()]
        before, old_capacity = self.c.copy(), self.capacity
        self.capacity *= 2
        self._place()
        result = np.zeros(self.size, dtype=np.int64)
        fixed = int(before[lay.O_JOBS])
        result[:fixed] = s[:fixed]
        result[lay.CAPACITY], result[lay.GROW] = self.capacity, 0
        for (start, size, head, tail), (new, *_) in zip(old, self._rings(), strict=True):
            # One more than there are: a store's burst is prepared in its place.
            for number in range(int(s[head]), int(s[tail]) + 1):
                entry = s[start + number % old_capacity * size :][:size]
                result[new + number % self.capacity * size :][:size] = entry
        return result

    def _place(self) -> None:
        """Lay out `s`: what has a fixed size first, then the rings."""
        c, chip, program = self.c, self.program.chip, self.program
        stages, rows = int(c[lay.C_STAGES]), self.layers + 1
        top = lay.DUE + lay.DUE_FIXED + 2 * stages

        def take(place: int, size: int) -> None:
            nonlocal top
            c[place] = top
            top += size

        take(lay.O_STAGE, stages * lay.STAGE_SIZE)
        take(lay.O_ISSUES, stages * chip.sequencer.beats_ahead)
        take(lay.O_YOUNG, isa.SEMAPHORES * chip.vector.wake_cycles * 2)
        passes = most_passes(program)
        c[lay.O_PASSES_SIZE] = 4 * passes
        take(lay.O_PASSES, (stages + 2) * 4 * passes)
        c[lay.O_TOTALS] = top
        take(lay.O_UNIT_CYCLES, lay.UNITS * rows * lay.REASONS)
        take(lay.O_CAUSE_CYCLES, rows * lay.CAUSES)
        take(lay.O_BYTES, rows * 2 * len(MEMORY_NAMES))
        take(lay.O_ELEMENTS, rows)
        take(lay.O_MACS, rows)
        take(lay.O_OPERATIONS, lay.UNITS)
        c[lay.O_TOTALS_SIZE] = top - c[lay.O_TOTALS]
        take(lay.O_TRAFFIC, 2 * BANDWIDTH_BINS)
        take(lay.O_JOBS, 4 * self.capacity * lay.JOB_SIZE)
        take(lay.O_GIVES, lay.GIVES * self.capacity * lay.GIVE_SIZE)
        take(lay.O_LANDS, self.capacity * lay.LAND_SIZE)
        take(lay.O_SENDS, self.capacity * lay.LAND_SIZE)
        take(lay.O_BETWEEN, stages * self.capacity)
        self.size = top

    def _rings(self) -> list[tuple[int, int, int, int]]:
        """(place, entry's size, place of the oldest's number, place of the next's number) of each ring."""
        c, capacity = [int(value) for value in self.c], self.capacity
        jobs = [
            (c[lay.O_JOBS] + unit * capacity * lay.JOB_SIZE, lay.JOB_SIZE, lay.SEEN + unit, lay.TAIL + unit)
            for unit in range(4)
        ]
        gives = [
            (
                c[lay.O_GIVES] + ring * capacity * lay.GIVE_SIZE,
                lay.GIVE_SIZE,
                lay.GIVE_HEAD + ring,
                lay.GIVE_TAIL + ring,
            )
            for ring in range(lay.GIVES)
        ]
        between = []
        for stage in range(c[lay.C_STAGES]):
            at = c[lay.O_STAGE] + stage * lay.STAGE_SIZE
            cursors = at + lay.S_BETWEEN_HEAD, at + lay.S_BETWEEN_TAIL
            between.append((c[lay.O_BETWEEN] + stage * capacity, 1, *cursors))
        return [
            *jobs,
            *gives,
            (c[lay.O_LANDS], lay.LAND_SIZE, lay.LAND_LEFT, lay.LAND_TAIL),
            (c[lay.O_SENDS], lay.LAND_SIZE, lay.SEND_LEFT, lay.SEND_TAIL),
            *between,
        ]


def chip_table(program: Program) -> Ints:
    """What the chip fixes, at the places `layout.C_*`; the places of the parts of `s` are still open."""
    chip = program.chip
    vector = chip.vector.pipeline
    c = np.zeros(lay.C_LATENCY + 2 * (1 + len(vector)), dtype=np.int64)
    rate = chip.dram.rate
    values = {
        lay.C_STAGES: 1 + len(vector),
        lay.C_DISPATCH: chip.sequencer.dispatch_cycles,
        lay.C_SEMAPHORE: chip.sequencer.semaphore_cycles,
        lay.C_HOP: chip.chaining.hop_cycles,
        lay.C_WAKE: chip.vector.wake_cycles,
        lay.C_MAC_ROWS: chip.mac.rows,
        lay.C_MAC_COLUMNS: chip.mac.columns,
        lay.C_BATCH_COLUMNS: chip.mac.batch_columns,
        lay.C_INTERVAL: chip.mac.accumulate_interval_cycles,
        lay.C_BLOCK_COLUMNS: chip.mac.weight_block_columns,
        lay.C_LANES: chip.vector.lanes,
        lay.C_DMA_WIDTH: chip.dma.sram_bytes_per_cycle,
        lay.C_DMA_LATENCY: chip.dma.latency_cycles,
        lay.C_READ_LATENCY: chip.dram.read_latency_cycles,
        lay.C_WRITE_LATENCY: chip.dram.write_latency_cycles,
        lay.C_BURST: chip.dram.burst_bytes,
        lay.C_BUFFERS: chip.dram.outstanding_bursts,
        lay.C_RATE_UP: rate.numerator,
        lay.C_RATE_DOWN: rate.denominator,
        lay.C_BEATS_AHEAD: chip.sequencer.beats_ahead,
        lay.C_BEAT_CYCLES: chip.sequencer.beat_cycles,
        lay.C_INSTRUCTION_CYCLES: chip.sequencer.instruction_cycles,
        lay.C_PROGRAM_BYTES: program_bytes(program),
        lay.C_LAYERS: len(program.layers),
        lay.C_INSTRUCTIONS: len(program.words),
        lay.C_DEPTH + Unit.LOAD: chip.sequencer.load_queue_depth,
        lay.C_DEPTH + Unit.MATRIX: chip.sequencer.matrix_queue_depth,
        lay.C_DEPTH + Unit.VECTOR: chip.sequencer.vector_queue_depth,
        lay.C_DEPTH + Unit.STORE: chip.sequencer.store_queue_depth,
        lay.C_LATENCY: chip.mac.latency_cycles,
        lay.C_LATENCY + 1: chip.mac.drain_cycles,
    }
    for memory, sram in enumerate(_srams(chip)):
        power = sram.word_bytes & (sram.word_bytes - 1) == 0
        values[lay.C_BANKS + memory] = sram.banks
        values[lay.C_WORD + memory] = sram.word_bytes
        values[lay.C_CONFLICT_FREE + memory] = int(sram.conflict_free)
        values[lay.C_BANK_BITS + memory] = sram.banks - 1 if sram.banks & (sram.banks - 1) == 0 else -1
        values[lay.C_WORD_SHIFT + memory] = sram.word_bytes.bit_length() - 1 if power else -1
    for number, stage in enumerate(vector):
        values[lay.C_LATENCY + 2 * (1 + number)] = stage.latency_cycles
        values[lay.C_LATENCY + 2 * (1 + number) + 1] = 1
    for place, value in values.items():
        c[place] = value
    return c


def program_table(program: Program, sizes: Sequence[int], *, periods: bool = True) -> Ints:
    """The instructions as integers: the columns of `isa.table`, and behind them `layout.P_*`.

    Without `periods` what only skipping turns needs is left out.
    """
    chip = program.chip
    columns = table(program.instructions).tolist()
    layers = len(program.layers)
    moduli = {name: _modulus(chip, name) for name in MEMORY_NAMES}
    found = [_operands(one, chip.mac.rows, chip.mac.weight_block_columns) for one in program.instructions]
    registers = _registers(found, moduli, sizes) if periods else []
    waited = waited_tokens(program.instructions) if periods else []
    last_stage = len(chip.vector.pipeline) - 1
    rows = []
    # Lists, as numbers are set one by one.
    for number, (instruction, operands) in enumerate(zip(program.instructions, found, strict=True)):
        row = columns[number] + [0] * (lay.P_SIZE - len(columns[number]))
        rows.append(row)
        layer = program.layer_indices[number]
        row[lay.P_LAYER] = layer if layer >= 0 else layers
        row[lay.P_REGISTER : lay.P_REGISTER + lay.ADDRESSES] = [-1] * lay.ADDRESSES
        row[lay.P_MODULUS : lay.P_MODULUS + lay.ADDRESSES] = [1] * lay.ADDRESSES
        row[lay.P_UNIT] = unit = executing_unit(instruction, chip)
        for word in range(lay.WAITED_WORDS if periods else 0):
            row[lay.P_WAITED + word] = waited[number] >> word * lay.WAITED_BITS & (1 << lay.WAITED_BITS) - 1
        if periods and instruction.name == "address":
            modulus, beyond = registers[instruction.fields["register"]]
            for level in range(isa.LOOP_LEVELS):
                row[lay.P_PERIOD + level] = period(instruction, level, modulus, beyond)
                row[lay.P_NEAR + level] = near_period(instruction, level, modulus)
                row[lay.P_ROOM + level] = room(instruction, level)
        if instruction.name not in OPERANDS:
            continue
        for slot, (register, offset, memory) in enumerate(operands.places):
            row[lay.P_REGISTER + slot] = register
            row[lay.P_OFFSET + slot] = offset
            row[lay.P_MODULUS + slot] = moduli[memory] if memory else 1
        row[lay.P_RANGES] = len(operands.ranges)
        for at, (slot, first, end, memory, element) in enumerate(operands.ranges):
            place = lay.P_RANGES + 1 + lay.RANGE_SIZE * at
            row[place : place + lay.RANGE_SIZE] = slot, first, end, sizes[MEMORY_NAMES.index(memory)], element
        if instruction.name == "vector":
            _stages(chip, instruction, row)
        elif unit == Unit.VECTOR:
            row[lay.P_WAIT_STAGE : lay.P_WAIT_STAGE + 3] = [last_stage] * 3
    return np.array(rows, dtype=np.int64).reshape(len(rows), lay.P_SIZE)


@dataclass(frozen=True, slots=True)
class _Operands:
    """An instruction's operands.

    Parameters
    ----------
    places : tuple of (int, int, str)
        Of each of `OPERANDS`: its register, its offset, and its memory; no memory where it has none.
    ranges : tuple of (int, int, int, str, int)
        What `machine.ranges` checks, of each access: the operand's number, the first byte and the one behind the last
        relative to the operand's address, the memory, and the bytes of an element.
    """

    places: tuple[tuple[int, int, str], ...]
    ranges: tuple[tuple[int, int, int, str, int], ...]


@lru_cache(maxsize=1 << 14)
def _operands(instruction: Instruction, array_rows: int, block_columns: int) -> _Operands:
    rules = definition()
    form, fields, names = instruction.format, instruction.fields, OPERANDS.get(instruction.name, ())
    by_name = {operand.name: operand for operand in form.operands}
    places = tuple(
        (
            fields[by_name[name].register.name],
            fields[by_name[name].offset.name],
            rules.operand_memory(form, by_name[name], fields),
        )
        for name in names
    )
    ranges = tuple(
        (names.index(one.operand), one.address, one.end, one.memory, element_bytes(instruction, one.operand))
        for one in accesses(instruction, dict.fromkeys(by_name, 0), array_rows, block_columns)
    )
    return _Operands(places, ranges)


def _srams(chip: Chip) -> tuple[Sram, ...]:
    return chip.sram.weights, chip.sram.activations, chip.sram.accumulators, chip.sram.parameters


def _stages(chip: Chip, instruction: Instruction, row: list[int]) -> None:
    """Where in the vector unit an instruction's operations and waits are."""
    stages = chip.vector.pipeline
    places = place_operations(instruction.fields, stages)
    if places is None:
        raise InternalError(f"the vector unit of {chip.name} has no such row of operations")
    row[lay.P_ADDEND_STAGE] = places.get("addend", -1)
    row[lay.P_FACTOR_STAGE] = places.get("factor", -1)
    row[lay.P_TERM_STAGE] = places.get("term", -1)
    for slot in range(3):
        row[lay.P_WAIT_STAGE + slot] = wait_stage(instruction.fields, slot, stages)


def _modulus(chip: Chip, memory: str) -> int:
    """Two addresses of a memory that differ by a multiple of this are the same for its banks or bursts."""
    if memory == MEMORY_NAMES[DRAM]:
        return chip.dram.burst_bytes
    sram: Sram = getattr(chip.sram, memory)
    return sram.word_bytes * (1 if sram.conflict_free else sram.banks)


def _registers(found: Sequence[_Operands], moduli: Mapping[str, int], sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Of each address register, over all its uses: (the modulus that holds, how far beyond its memory 0 reaches).

    Two addresses that are the same by the modulus are so for banks, bursts and the alignment of elements. The other
    figure is mostly negative: what the register can add before an access is outside.
    """
    holds = [(1, -max(sizes))] * isa.ADDRESS_REGISTERS
    for operands in found:
        for slot, _, end, memory, element in operands.ranges:
            register, offset, _ = operands.places[slot]
            modulus, beyond = holds[register]
            modulus = math.lcm(modulus, moduli[memory])
            modulus = math.lcm(modulus, element)
            holds[register] = modulus, max(beyond, offset + end - sizes[MEMORY_NAMES.index(memory)])
    return holds


def most_passes(program: Program) -> int:
    """No beat of the program has more passes: each access opens at most one for each of its runs."""
    chip = program.chip
    rows, columns, lanes = chip.mac.rows, chip.mac.columns, chip.vector.lanes
    vectors = 1 + max((one.fields.get("extra_vectors", 0) for one in program.instructions), default=0)
    weights, activations, accumulators, parameters = _srams(chip)
    product = [
        (weights, rows * columns),
        (activations, columns * vectors),
        (parameters, 4 * rows),
        *[(accumulators, 4 * rows * vectors)] * 2,
    ]
    elements = [
        *[(activations, 2 * lanes)] * 6,
        *[(accumulators, 4 * lanes)] * 2,
        *[(parameters, isa.PARAM_BYTES), (parameters, 8 * lanes)],
    ]
    longest = max((one.fields.get("row_bytes", 0) for one in program.instructions), default=0)
    copies = [[(sram, max(min(chip.dma.sram_bytes_per_cycle, longest), lanes))] for sram in _srams(chip)]
    return max(sum(_runs(sram, size) for sram, size in beat) for beat in (product, elements, *copies)) + 1


def _runs(sram: Sram, size: int) -> int:
    """Runs of at most `banks` words that an access of some bytes has, wherever it starts."""
    words = -(-(size - 1) // sram.word_bytes) + 1
    return -(-words // sram.banks)
