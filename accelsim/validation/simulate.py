"""A network compiled for a chip and run there: its cycles, and the least that they could be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from accelsim.chip import Chip
from accelsim.compiler import compile_graph
from accelsim.errors import CapacityError
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.machine.run import time_frame
from accelsim.profile.bounds import Bound, lower_bound
from accelsim.quant.model import QGraph
from accelsim.timing.record import MEMORY_NAMES, Reason
from accelsim.timing.stream import walk
from accelsim.validation.networks import Shape, build_network

_DRAM, _READ = MEMORY_NAMES.index("dram"), 0


@dataclass(frozen=True)
class Simulated:
    """What the simulator says of one run, of a frame or a batch of them.

    Parameters
    ----------
    chip : str
    batch : int
        Frames handled at once.
    cycles : int
    array_cycles : int
        Those in which the matrix unit issues work.
    bound : Bound
    macs : int
        Multiply-accumulates of all frames.
    dram_read_bytes : int
    activation_bytes : int
        Of those, the frames themselves, and results that wait in DRAM for a layer after them.
    clock_mhz : float
    """

    chip: str
    batch: int
    cycles: int
    array_cycles: int
    bound: Bound
    macs: int
    dram_read_bytes: int
    activation_bytes: int
    clock_mhz: float

    @property
    def ratio(self) -> float:
        """Cycles over the lower bound; 1 is the best possible for these instructions."""
        return self.cycles / self.bound.cycles

    @property
    def weight_bytes(self) -> int:
        """DRAM bytes read that are the model's: weights, parameters, and the program where it lies there."""
        return self.dram_read_bytes - self.activation_bytes

    @property
    def time_us(self) -> float:
        """Cycles at the chip's clock, in microseconds."""
        return self.cycles / self.clock_mhz


def simulate(graph: QGraph, chip: Chip, *, batch: int = 1) -> Simulated:
    """Compile a network for a chip and count its cycles.

    Parameters
    ----------
    graph : QGraph
    chip : Chip
    batch : int
        Frames handled at once.

    Raises
    ------
    CapacityError, InputError
        As `compile_graph`: the network does not fit the chip.
    """
    program = compile_graph(graph, chip, batch=batch)
    counters = time_frame(program)
    return Simulated(
        chip=chip.name,
        batch=batch,
        cycles=counters.cycles,
        array_cycles=int(counters.units[Unit.MATRIX, :, Reason.BUSY].sum()),
        bound=lower_bound(program),
        macs=int(counters.macs.sum()),
        dram_read_bytes=int(counters.bytes[:, _DRAM, _READ].sum()),
        activation_bytes=_activation_bytes(program),
        clock_mhz=chip.chip.clock_mhz,
    )


def _activation_bytes(program: Program) -> int:
    """What a frame loads from behind the image."""
    total, image_end = 0, program.image_address + len(program.image)
    for operation in walk(program.instructions, program.name):
        if operation is None:
            continue
        if operation.name == "frame":
            total = 0
        elif operation.name == "load" and operation.addresses["source"] >= image_end:
            total += operation.fields["rows"] * operation.fields["row_bytes"]
    return total


def simulate_shape(shape: Shape, chip: Chip, *, batch: int = 1) -> Simulated:
    """`simulate` the network of a published row.

    Parameters
    ----------
    shape : Shape
    chip : Chip
    batch : int

    Raises
    ------
    CapacityError, InputError
        As `simulate`.
    """
    if shape.weights > chip.dram.capacity_bytes:
        # Said before weights are made that might not fit the host either.
        raise CapacityError(chip.name, "dram.capacity_bytes", shape.weights, chip.dram.capacity_bytes, "bytes")
    return simulate(build_network(shape), chip, batch=batch)


def one_after_the_other(runs: Sequence[Simulated]) -> Simulated:
    """Programs run on one chip, each begun when the one before has ended, as one run.

    Parameters
    ----------
    runs : sequence of Simulated
        At least one, all of one chip and one batch.
    """
    total = runs[0]
    for run in runs[1:]:
        total = _combined(total, run, 1)
    return total


def repeated(run: Simulated, times: int) -> Simulated:
    """A program run so often, one run after the other."""
    return one_after_the_other([run] * times)


def difference(longer: Simulated, shorter: Simulated) -> Simulated:
    """What the further time steps of a longer run add to a shorter one of the same network."""
    return _combined(longer, shorter, -1)


def _combined(one: Simulated, other: Simulated, sign: int) -> Simulated:
    counts = ("cycles", "array_cycles", "macs", "dram_read_bytes", "activation_bytes")
    bounds = ("mac_cycles", "dram_cycles", "path_cycles")
    return replace(
        one,
        **{name: getattr(one, name) + sign * getattr(other, name) for name in counts},
        bound=Bound(**{name: getattr(one.bound, name) + sign * getattr(other.bound, name) for name in bounds}),
    )
