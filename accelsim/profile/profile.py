"""What a run's counters say: per layer and in all, as plain figures with their units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.chip import Chip
from accelsim.costs import Costs, costs_of, known
from accelsim.errors import InputError, InternalError
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.profile.bandwidth import Bandwidth, bandwidth
from accelsim.profile.bounds import Bound, lower_bound
from accelsim.profile.energy import energy_pj
from accelsim.profile.labels import OUTSIDE_LAYERS
from accelsim.timing.record import MEMORY_NAMES, Cause, Counters, Reason
from accelsim.trace import check_counters

UNITS = tuple(unit.name.lower() for unit in Unit)
REASONS = tuple(reason.name.lower() for reason in Reason)
CAUSES = tuple(cause.name.lower() for cause in Cause)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of one memory."""

    read_bytes: int
    written_bytes: int

    @property
    def bytes(self) -> int:
        """Both ways."""
        return self.read_bytes + self.written_bytes


@dataclass(frozen=True, slots=True)
class Part:
    """A layer, the instructions of no layer, or the whole run; of one frame.

    Parameters
    ----------
    name, kind : str
    cycles : int
        The run's cycles spent on it. They add up: a cycle in which several layers are active counts for one.
    causes : mapping of str to int
        `cycles` by cause, in the order of `CAUSES`.
    units : mapping of str to mapping of str to int
        Cycles of each of `UNITS` by each of `REASONS` for this part's instructions. Units work side by side, so these
        may be more than `cycles`; over all parts, each unit's sum is the run.
    macs : int
        Multiply-accumulates of the model; of a layer that says none (in a hand-written program), those the array did.
    elements : int
        Elements through the vector unit.
    memory : mapping of str to Traffic
        Of each of `timing.record.MEMORY_NAMES`.
    energy_pj : mapping of str to float
        By component; leakage by `cycles`.
    run_cycles : int
        Of the whole run.
    peak_macs : int
        Multiply-accumulates a cycle of the chip's array.
    clock_mhz : float
    """

    name: str
    kind: str
    cycles: int
    causes: Mapping[str, int]
    units: Mapping[str, Mapping[str, int]]
    macs: int
    elements: int
    memory: Mapping[str, Traffic]
    energy_pj: Mapping[str, float]
    run_cycles: int
    peak_macs: int
    clock_mhz: float

    @property
    def share(self) -> float:
        """Of the run's cycles, 0 to 1."""
        return self.cycles / self.run_cycles

    @property
    def mac_utilization(self) -> float:
        """Multiply-accumulates over what the array could have done in `cycles`, 0 to 1."""
        return self.macs / (self.cycles * self.peak_macs) if self.cycles else 0.0

    @property
    def time_us(self) -> float:
        """`cycles` at the chip's clock, in microseconds."""
        return self.cycles / self.clock_mhz

    @property
    def energy_nj(self) -> float:
        """All components, in nanojoules."""
        return sum(self.energy_pj.values()) / 1000

    @property
    def dram_bytes_per_cycle(self) -> float:
        """DRAM bytes over the whole run's cycles: layers run side by side, and these add up."""
        return self.memory["dram"].bytes / self.run_cycles

    @property
    def macs_per_dram_byte(self) -> float | None:
        """Arithmetic intensity; None without DRAM traffic."""
        moved = self.memory["dram"].bytes
        return self.macs / moved if moved else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a key that is a quantity ends in its unit."""
        return {
            "name": self.name,
            "kind": self.kind,
            "cycles": self.cycles,
            "share": self.share,
            "time_us": self.time_us,
            "cause_cycles": dict(self.causes),
            "macs": self.macs,
            "mac_utilization": self.mac_utilization,
            "vector_elements": self.elements,
            "unit_cycles": {unit: dict(reasons) for unit, reasons in self.units.items()},
            "memory": {
                name: {"read_bytes": traffic.read_bytes, "written_bytes": traffic.written_bytes}
                for name, traffic in self.memory.items()
            },
            "dram_bytes_per_cycle": self.dram_bytes_per_cycle,
            "macs_per_dram_byte": self.macs_per_dram_byte,
            "energy_nj": self.energy_nj,
            "energy_by_component_nj": {name: energy / 1000 for name, energy in self.energy_pj.items()},
        }


@dataclass(frozen=True, eq=False)
class Profile:
    """The report of a run. All figures are of one frame, or of one batch of them, save those of the property `totals`.

    Parameters
    ----------
    program, chip, schedule : str
    frames : int
        How many were run; all take the same cycles, as control flow does not depend on data.
    batch : int
        Frames handled at once.
    bound : Bound
    layers : tuple of Part
        The model's layers in order, then one part for everything of no layer. They add up to `total`.
    total : Part
    operations : mapping of str to int
        Instructions executed, by unit.
    bandwidth : Bandwidth
    setup_cycles : int
        Before the first frame, once: weights that stay are loaded. 0 for a program that loads them in each frame.
    costs : Costs
        What energies are counted by, and the chip's areas.
    """

    program: str
    chip: str
    schedule: str
    frames: int
    batch: int
    bound: Bound
    layers: tuple[Part, ...]
    total: Part
    operations: Mapping[str, int]
    bandwidth: Bandwidth
    setup_cycles: int
    costs: Costs

    @property
    def once(self) -> str:
        """What the figures are of, in words."""
        return "a frame" if self.batch == 1 else f"a batch of {self.batch} frames"

    @property
    def cycles(self) -> int:
        """Of one frame, or of one batch."""
        return self.total.cycles

    @property
    def time_us(self) -> float:
        """Of one frame, or of one batch, in microseconds."""
        return self.total.time_us

    @property
    def ratio(self) -> float:
        """Cycles over the lower bound; 1 is the best possible for these instructions."""
        return self.cycles / self.bound.cycles

    @property
    def totals(self) -> dict[str, int | float]:
        """Cycles, time, multiply-accumulates, DRAM bytes and energy of all frames, one batch after the other.

        Cycles and time include a set-up part; bytes and energy are the frames' alone.
        """
        runs = -(-self.frames // self.batch)
        cycles = self.setup_cycles + runs * self.cycles
        return {
            "cycles": cycles,
            "time_us": cycles / self.total.clock_mhz,
            "macs": runs * self.total.macs,
            "dram_bytes": runs * self.total.memory["dram"].bytes,
            "energy_nj": runs * self.total.energy_nj,
        }

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` prints: of ``batch`` frames (1 as a rule), save ``total``, which is of all ``frames``."""
        whole = self.total.to_dict()
        for key in ("name", "kind", "share", "unit_cycles", "dram_bytes_per_cycle"):
            del whole[key]
        rates = self.bandwidth
        return {
            "program": self.program,
            "chip": self.chip,
            "schedule": self.schedule,
            "clock_mhz": self.total.clock_mhz,
            "frames": self.frames,
            "batch": self.batch,
            "setup_cycles": self.setup_cycles,
            "bound_cycles": self.bound.cycles,
            "bound": {
                "mac_cycles": self.bound.mac_cycles,
                "dram_cycles": self.bound.dram_cycles,
                "path_cycles": self.bound.path_cycles,
                "limit": self.bound.limit,
            },
            "ratio": self.ratio,
            **whole,
            "units": {
                unit: {"operations": self.operations[unit], "cycles": dict(self.total.units[unit])} for unit in UNITS
            },
            "bandwidth": {
                "limit_bytes_per_cycle": rates.limit_bytes_per_cycle,
                "mean_bytes_per_cycle": rates.mean_bytes_per_cycle,
                "peak_bytes_per_cycle": rates.peak_bytes_per_cycle,
                "limit_gb_per_s": rates.gigabytes_per_second(rates.limit_bytes_per_cycle),
                "mean_gb_per_s": rates.gigabytes_per_second(rates.mean_bytes_per_cycle),
                "peak_gb_per_s": rates.gigabytes_per_second(rates.peak_bytes_per_cycle),
                "peak_window_cycles": rates.bin_cycles,
            },
            "energy_table": self.costs.table,
            "own_energy_keys": list(self.costs.own),
            "area_mm2": known(self.costs.total_area_mm2),
            "area_by_component_mm2": {name: known(area.value) for name, area in self.costs.area_mm2.items()},
            "layers": [part.to_dict() for part in self.layers],
            "total": self.totals,
        }


def build_profile(program: Program, counters: Counters, frames: int, *, bound: Bound | None = None) -> Profile:
    """The report of a run.

    Parameters
    ----------
    program : Program
    counters : Counters
        Of one run: a frame, or a batch.
    frames : int
        How many were run.
    bound : Bound, optional
        The program's lower bound, where it is known already.

    Raises
    ------
    InputError
        Less than one frame.
    InternalError
        The counters are not of this program, or contradict themselves.
    """
    if frames < 1:
        raise InputError(program.name, "frames", f"found {frames}", "at least 1")
    if counters.layers != len(program.layers):
        raise InternalError(f"{program.name} has {len(program.layers)} layers, the counters {counters.layers}")
    check_counters(counters)
    costs = costs_of(program.chip)
    rows = np.arange(counters.layers + 1)
    # Where the compiler pads a layer for the chip, the array does more than the model asks for.
    asked = [program.batch * layer.macs for layer in program.layers]
    done = counters.macs.tolist()
    macs = [min(model or own, own) for model, own in zip([*asked, 0], done, strict=True)]
    layers = [
        _part(program.chip, costs, counters, rows[index : index + 1], layer.name, layer.kind, macs[index])
        for index, layer in enumerate(program.layers)
    ]
    layers.append(_part(program.chip, costs, counters, rows[-1:], OUTSIDE_LAYERS, "none", macs[-1]))
    return Profile(
        program=program.name,
        chip=program.chip.name,
        schedule=program.schedule,
        frames=frames,
        batch=program.batch,
        bound=bound or lower_bound(program),
        layers=tuple(layers),
        total=_part(program.chip, costs, counters, rows, "total", "total", sum(macs)),
        operations={unit: int(counters.operations[number]) for number, unit in enumerate(UNITS)},
        bandwidth=bandwidth(counters, program.chip),
        setup_cycles=counters.setup_cycles,
        costs=costs,
    )


def _part(
    chip: Chip, costs: Costs, counters: Counters, rows: NDArray[np.intp], name: str, kind: str, macs: int
) -> Part:
    """The sum of these rows of the layer axis."""
    causes, units = counters.causes[rows].sum(axis=0), counters.units[:, rows].sum(axis=1)
    moved = counters.bytes[rows].sum(axis=0)
    cycles, elements = int(causes.sum()), int(counters.elements[rows].sum())
    memory = {memory: Traffic(int(moved[at, 0]), int(moved[at, 1])) for at, memory in enumerate(MEMORY_NAMES)}
    memory_bytes = {memory: traffic.bytes for memory, traffic in memory.items()}
    return Part(
        name=name,
        kind=kind,
        cycles=cycles,
        causes=dict(zip(CAUSES, causes.tolist(), strict=True)),
        units={unit: dict(zip(REASONS, units[at].tolist(), strict=True)) for at, unit in enumerate(UNITS)},
        macs=macs,
        elements=elements,
        memory=memory,
        energy_pj=energy_pj(
            chip,
            macs=int(counters.macs[rows].sum()),
            elements=elements,
            memory_bytes=memory_bytes,
            cycles=cycles,
            costs=costs,
        ),
        run_cycles=counters.cycles,
        peak_macs=chip.mac.rows * chip.mac.columns * chip.mac.batch_columns,
        clock_mhz=chip.chip.clock_mhz,
    )
