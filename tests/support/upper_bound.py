"""The most cycles a program can take: as if nothing ever ran beside anything else."""

from __future__ import annotations

from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.timing.beats import BeatTable, bursts
from accelsim.timing.rules import bus_cycle
from accelsim.timing.stream import executing_unit, program_bytes, walk


def upper_bound(program: Program) -> int:
    """Sum over all instructions of fetch, dispatch, passes and every latency of every beat.

    In each cycle of a run that does not deadlock some instruction spends one of these: it is fetched, on its way into
    its queue, issues a pass, has a result in a pipeline, data on the bus or in DRAM, or a signal on its way. Who waits,
    waits for one of them; and none is spent twice.
    """
    chip, table = program.chip, BeatTable(program.chip)
    signal = max(chip.chaining.hop_cycles, chip.sequencer.semaphore_cycles) + chip.vector.wake_cycles
    pipeline = max(chip.mac.latency_cycles, chip.vector.depth_cycles, chip.dma.latency_cycles)
    ahead = chip.sequencer.beat_cycles + chip.sequencer.instruction_cycles
    cycles = 1  # halt
    dram = chip.dram
    for start in range(0, program_bytes(program), dram.burst_bytes):
        size = min(dram.burst_bytes, program_bytes(program) - start)
        cycles += bus_cycle(size * dram.rate.denominator, dram.rate.numerator) + 1 + dram.read_latency_cycles + 1
    for operation in walk(program.instructions, program.name):
        cycles += 1
        if operation is None:
            continue
        # Its place in the queue is free a cycle after its start; each unit's sequencer may pass over it.
        cycles += chip.sequencer.dispatch_cycles + signal + 1 + 6 * chip.sequencer.instruction_cycles
        if executing_unit(operation, chip) in (Unit.LOAD, Unit.STORE):
            latency = chip.dram.read_latency_cycles if operation.name == "load" else chip.dram.write_latency_cycles
            for burst in bursts(operation, table):
                passes = sum(len(beat.passes) for beat in burst.beats)
                moved = bus_cycle(burst.size * chip.dram.rate.denominator, chip.dram.rate.numerator) + 1
                cycles += moved + latency + passes + chip.dma.latency_cycles + signal + 1
        elif operation.unit != Unit.SEQUENCER:
            stages = len(chip.vector.pipeline) if operation.name == "vector" else 1
            for stage in range(stages):
                for beat in table.of(operation, stage):
                    cycles += len(beat.passes) + pipeline + chip.mac.drain_cycles + signal + 1 + ahead
    return cycles
