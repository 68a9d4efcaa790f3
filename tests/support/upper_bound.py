"""The most cycles a program can take: as if nothing ever ran beside anything else."""

from __future__ import annotations

from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.timing.beats import BeatTable, bursts
from accelsim.timing.rules import bus_cycle
from accelsim.timing.stream import walk


def upper_bound(program: Program) -> int:
    """Sum over all instructions of fetch, dispatch, passes and every latency of every beat.

    In each cycle of a run that does not deadlock some instruction spends one of these: it is fetched, on its way into
    its queue, issues a pass, has a result in a pipeline, data on the bus or in DRAM, or a signal on its way. Who waits,
    waits for one of them; and none is spent twice.
    """
    chip, table = program.chip, BeatTable(program.chip)
    signal = max(chip.chaining.hop_cycles, chip.sequencer.semaphore_cycles)
    cycles = 1  # halt
    for operation in walk(program.instructions, program.name):
        cycles += 1
        if operation is None:
            continue
        cycles += chip.sequencer.dispatch_cycles + signal + 1  # its place in the queue is free a cycle after its start
        if operation.name in ("load", "store"):
            latency = chip.dram.read_latency_cycles if operation.name == "load" else chip.dram.write_latency_cycles
            for burst in bursts(operation, table):
                passes = sum(len(beat.passes) for beat in burst.beats)
                moved = bus_cycle(burst.size * chip.dram.rate.denominator, chip.dram.rate.numerator) + 1
                cycles += moved + latency + passes + chip.dma.latency_cycles + signal + 1
        elif operation.unit != Unit.SEQUENCER:
            pipeline = max(chip.mac.latency_cycles, chip.vector.latency_cycles, chip.dma.latency_cycles)
            cycles += sum(len(beat.passes) + pipeline + signal + 1 for beat in table.of(operation))
    return cycles
