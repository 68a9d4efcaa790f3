"""The least number of cycles a program can take on its chip, if every read waits for what it is to read."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.isa.program import Program
from accelsim.machine.dataflow import follow_program
from accelsim.timing.rules import bus_cycle
from accelsim.timing.stream import program_bytes


@dataclass(frozen=True)
class Bound:
    """Three lower bounds, of which the largest holds.

    The first two hold for every schedule: whatever the order, these products are to be computed, and these bytes to be
    brought to the chip and away from it. The third is this program's: the same model in other instructions has another.

    Parameters
    ----------
    mac_cycles : int
        Multiply-accumulates over the array's peak.
    dram_cycles : int
        DRAM bytes that have to move over the bus's bandwidth, each counted once: those read that the program has not
        written itself (weights, parameters, inputs), those of the output, and the program's words where they lie
        there. Weights that are streamed again for each step move more than that, and so do results that wait in DRAM
        for a later layer: a chip with larger memories would not move them. Bytes that pad one part of the image to the
        next count where a load takes them along.
    path_cycles : int
        The longest chain of dependent results of the program's instructions, as if there were a unit for each.
    """

    mac_cycles: int
    dram_cycles: int
    path_cycles: int

    @property
    def cycles(self) -> int:
        """The largest of the three."""
        return max(self.mac_cycles, self.dram_cycles, self.path_cycles)

    @property
    def limit(self) -> str:
        """What sets it."""
        if self.cycles == self.dram_cycles:
            return "DRAM bytes, each once"
        return "dependency path" if self.cycles == self.path_cycles else "MACs"


def lower_bound(program: Program) -> Bound:
    """The bounds of one frame, or batch.

    Every run without hazards obeys ``max(MACs / peak, bytes / bandwidth, path) <= cycles``: the array, the bus and a
    chain of results can each not be faster. What a chain takes at least is in `machine.dataflow.follow`.

    Where a program has a set-up part, the bounds are those of the frame after it.

    Parameters
    ----------
    program : Program

    Raises
    ------
    InputError
        As the engines raise it: an access outside a memory, a program that runs on past its end.
    """
    flow, chip = follow_program(program), program.chip
    words = 0 if flow.has_setup else program_bytes(program)
    peak = chip.mac.rows * chip.mac.columns * chip.mac.batch_columns
    moved = (flow.read_bytes + flow.output_bytes + words) * chip.dram.rate.denominator
    return Bound(-(-flow.macs // peak), bus_cycle(moved, chip.dram.rate.numerator), flow.last_cycle + 1)
