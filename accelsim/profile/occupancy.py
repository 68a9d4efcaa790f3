"""How many bytes of each SRAM hold something still needed, over time, buffer by buffer.

A byte is held from the cycle its value is written until the last beat of the last operation that reads that value, or
until it is overwritten where that comes first. Operations are taken in program order, which says whose value a read
sees; their times are the run's. Within an operation results come evenly, from its first beat's to its last; what it
reads counts to its last beat. Values that nothing reads hold nothing, nor do bytes that were never written. Of a
program with a set-up part, what set-up left and the frame never overwrites is held all the time, if the frame reads it.

Buffers are given as means of bins of time; of each memory there is also the most that it holds at any time, which it
has to be large enough for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InternalError
from accelsim.isa import accesses
from accelsim.isa.codec import table
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.machine import order
from accelsim.profile import live_kernels as live
from accelsim.profile.operations import Events
from accelsim.profile.peak import Peak
from accelsim.profile.storage import SHARED, SRAMS, owner_of
from accelsim.timing.stream import executing_unit

_QUEUED = (Unit.LOAD, Unit.MATRIX, Unit.VECTOR, Unit.STORE)
BINS = 600
"""Steps of time: about one for two pixels of a figure."""
_LIVES = 1 << 15
"""Lives that are added up together, at least."""


@dataclass(frozen=True, eq=False)
class Buffer:
    """A range of an SRAM with a name.

    Parameters
    ----------
    name : str
        Of the memory map's region; for bytes outside of all, of the layer whose instruction wrote them.
    memory : str
        As in `SRAMS`.
    held_bytes : float64[bins]
        Mean of each bin of time.
    layer, role : str
        Whose it is, empty where it is no layer's; and what for, such as ``input weights``.
    """

    name: str
    memory: str
    held_bytes: NDArray[np.float64]
    layer: str
    role: str


@dataclass(frozen=True, eq=False)
class Occupancy:
    """What the SRAMs hold over time.

    Parameters
    ----------
    cycles, bin_cycles : int
        Of the run, and of a bin; the last one may be shorter.
    buffers : tuple of Buffer
        Those that hold something, by memory and address.
    capacity_bytes : dict of str to int
        Of each of `SRAMS`.
    peak_bytes : dict of str to float64[bins]
        The most that each of `SRAMS` holds at any time of a bin.
    layers : tuple of str
        Names of the program's.
    """

    cycles: int
    bin_cycles: int
    buffers: tuple[Buffer, ...]
    capacity_bytes: dict[str, int]
    peak_bytes: dict[str, NDArray[np.float64]]
    layers: tuple[str, ...]

    def of(self, memory: str) -> list[Buffer]:
        """The buffers of one memory."""
        return [buffer for buffer in self.buffers if buffer.memory == memory]

    def most(self, memory: str) -> int:
        """The most bytes that a memory holds at any time: a part of a byte is one."""
        # Sums of fractions of bytes have rounding errors.
        return math.ceil(float(self.peak_bytes[memory].max(initial=0)) - 1e-3)

    @property
    def edges(self) -> NDArray[np.int64]:
        """int64[bins + 1]: the cycles the bins begin and end at."""
        bins = -(-self.cycles // self.bin_cycles)
        return np.minimum(np.arange(bins + 1, dtype=np.int64) * self.bin_cycles, self.cycles)


class OccupancyCounter:
    """Takes a run's operations, some at a time in order of completion; `finish` gives the occupancy.

    Memory does not grow with the length of the run: operations whose turn in program order has not come are kept, no
    more than the queues hold, and besides a few figures for each piece of an SRAM that accesses tell apart.

    Parameters
    ----------
    program : Program
    cycles : int
        Of the run.

    Raises
    ------
    InternalError
        An access lies outside its memory: the engines refuse such a program first.
    """

    def __init__(self, program: Program, cycles: int) -> None:
        self._program = program
        self._cycles = cycles
        self._bin_cycles = -(-cycles // BINS)
        self._code = table(program.instructions)
        self._units = np.array([executing_unit(one, program.chip) for one in program.instructions], dtype=np.int64)
        self._starts, self._accesses = _access_table(program)
        sizes = [getattr(program.chip.sram, memory).capacity_bytes for memory in SRAMS]
        self._capacity = dict(zip(SRAMS, sizes, strict=True))
        self._bases = np.cumsum([0, *(size + 1 for size in sizes)], dtype=np.int64)
        self._cuts = self._find_cuts()
        self._pieces = np.full((len(self._cuts) - 1, live.PIECE_COLUMNS), -1.0)
        self._groups = self._find_groups()
        regions, layers = len(program.regions), len(program.layers)
        # Behind the regions, for each memory what each layer writes outside of them, and what no layer does.
        self._no_region = regions + np.arange(len(SRAMS)) * (layers + 1)
        memory_of = np.searchsorted(self._bases, self._cuts[:-1], side="right") - 1
        self._pieces[:, live.P_MEMORY] = memory_of
        self._pieces[:, live.P_GROUP] = np.where(self._groups >= 0, self._groups, self._no_region[memory_of] + layers)
        self._writers = np.array([layers if one < 0 else one for one in program.layer_indices], dtype=np.int64)
        bins = -(-cycles // self._bin_cycles)
        self._levels = np.zeros((regions + len(SRAMS) * (layers + 1), bins))
        self._steps = np.zeros_like(self._levels)
        self._waiting = [np.zeros((0, live.TIME_COLUMNS), dtype=np.int64) for _ in _QUEUED]
        self._lives = np.zeros((_LIVES + 2 * len(self._pieces), live.LIFE_COLUMNS))
        self._told = np.zeros(live.TOLD_SIZE, dtype=np.int64)
        self._peaks = [Peak(cycles, self._bin_cycles) for _ in SRAMS]
        self._last_issued = np.full(len(self._waiting), -1, dtype=np.int64)
        self._walk = np.zeros(order.WALK_SIZE, dtype=np.int64)
        self._preloaded = any(one.name == "frame" for one in program.instructions)
        if self._preloaded:
            live.begin(self._walk, self._code, len(self._code), self._units)
        self._over = False

    def __call__(self, events: Events) -> None:
        """Go on as far as the operations' times are known now."""
        for unit in range(len(self._waiting)):
            mine = events[events["unit"] == unit]
            if len(mine):
                self._waiting[unit] = np.concatenate([self._waiting[unit], self._times(unit, mine)])
        self._follow()

    def finish(self) -> Occupancy:
        """What the memories held.

        Raises
        ------
        InternalError
            The operations were not all of this program's.
        """
        if not self._over:
            self._follow()
        if not self._over or any(len(one) for one in self._waiting):
            raise InternalError(f"{self._program.name}: the operations are not those of the program")
        held = self._levels + np.cumsum(self._steps, axis=1)
        # The running sum leaves rounding errors where nothing is left.
        held[held < 1e-6] = 0
        return Occupancy(
            cycles=self._cycles,
            bin_cycles=self._bin_cycles,
            buffers=tuple(self._buffers(held)),
            capacity_bytes=self._capacity,
            peak_bytes={memory: peak.finish() for memory, peak in zip(SRAMS, self._peaks, strict=True)},
            layers=tuple(layer.name for layer in self._program.layers),
        )

    def _times(self, unit: int, events: Events) -> NDArray[np.int64]:
        """int64[events, TIME_COLUMNS]; an operation begins when the one before has ended, as a load's data do."""
        times = np.empty((len(events), live.TIME_COLUMNS), dtype=np.int64)
        before = np.concatenate([self._last_issued[unit : unit + 1], events["issued"][:-1]])
        times[:, live.T_INDEX] = events["index"]
        times[:, live.T_DISPATCHED] = events["dispatched"]
        times[:, live.T_BEGIN] = np.maximum(events["started"], before + 1)
        times[:, live.T_ISSUED] = events["issued"]
        times[:, live.T_DONE] = events["done"]
        self._last_issued[unit] = events["issued"][-1]
        return times

    def _follow(self) -> None:
        if self._over:
            return
        heads = np.zeros(len(self._waiting), dtype=np.int64)
        queues = np.concatenate(self._waiting)
        starts = np.cumsum([0, *(len(one) for one in self._waiting)], dtype=np.int64)
        bins, pieces = self._levels.shape[1], len(self._pieces)
        times = np.array([self._bin_cycles, self._cycles, bins, pieces, len(self._lives)], dtype=np.int64)
        status = live.FULL
        while status == live.FULL:
            status = live.follow(
                self._walk,
                self._code,
                len(self._code),
                self._units,
                self._starts,
                self._accesses,
                self._bases,
                self._cuts,
                self._groups,
                self._writers,
                self._no_region,
                self._pieces,
                queues,
                starts,
                heads,
                self._levels,
                self._steps,
                self._lives,
                self._told,
                times,
                int(self._preloaded),
            )
            if status != live.MORE:
                self._add_lives()
        if status == live.UNLIKE:
            raise InternalError(f"{self._program.name}: a unit's operations are not in program order")
        self._over = status == live.OVER
        self._waiting = [one[head:] for one, head in zip(self._waiting, heads, strict=True)]

    def _add_lives(self) -> None:
        lives = self._lives[: self._told[live.O_LIVES]]
        for number, peak in enumerate(self._peaks):
            peak.add(lives[lives[:, live.L_MEMORY] == number], float(self._told[live.O_UNTIL]))
        self._told[live.O_LIVES] = 0

    def _find_cuts(self) -> NDArray[np.int64]:
        """int64[pieces + 1]: where accesses and regions begin and end, and memories."""
        marks = np.zeros(int(self._bases[-1]) + 1, dtype=np.uint8)
        marks[self._bases] = 1
        for region in self._program.regions:
            if region.memory in SRAMS:
                base = self._bases[SRAMS.index(region.memory)]
                marks[[base + region.address, base + region.end]] = 1
        walk = np.zeros(order.WALK_SIZE, dtype=np.int64)
        status = live.cut(
            walk, self._code, len(self._code), self._units, self._starts, self._accesses, self._bases, marks
        )
        if status == live.OUTSIDE:
            raise InternalError(f"{self._program.name}: an access lies outside its memory")
        return np.flatnonzero(marks).astype(np.int64)

    def _find_groups(self) -> NDArray[np.int64]:
        """int64[pieces]: the region of each, or -1."""
        groups = np.full(len(self._cuts) - 1, -1, dtype=np.int64)
        for number, region in enumerate(self._program.regions):
            if region.memory in SRAMS:
                base = self._bases[SRAMS.index(region.memory)]
                first, last = np.searchsorted(self._cuts, [base + region.address, base + region.end])
                groups[first:last] = number
        return groups

    def _buffers(self, held: NDArray[np.float64]) -> list[Buffer]:
        program = self._program
        layers = [layer.name for layer in program.layers]
        found: list[tuple[Any, Buffer]] = []
        for number, region in enumerate(program.regions):
            if region.memory in SRAMS and held[number].any():
                order = SRAMS.index(region.memory), region.address
                owner = owner_of(region.name, layers)
                layer = "" if owner == SHARED else owner
                role = region.name.removeprefix(layer).strip()
                found.append((order, Buffer(region.name, region.memory, held[number], layer, role)))
        outside = [(f"written by {layer}", layer, "written by it") for layer in layers]
        outside.append(("written by no layer", "", "written by no layer"))
        for at, memory in enumerate(SRAMS):
            for number, (name, layer, role) in enumerate(outside):
                row = held[int(self._no_region[at]) + number]
                if row.any():
                    found.append(((at, self._capacity[memory] + number), Buffer(name, memory, row, layer, role)))
        return [buffer for _, buffer in sorted(found, key=lambda one: one[0])]


def _access_table(program: Program) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """int64[instructions + 1] and int64[accesses, ACCESS_COLUMNS]: each instruction's rows, of SRAMs alone."""
    mac = program.chip.mac
    starts, rows = [0], []
    for instruction in program.instructions:
        offsets = {one.name: instruction.fields[f"{one.name}.offset"] for one in instruction.format.operands}
        for access in accesses(instruction, offsets, mac.rows, mac.weight_block_columns):
            if access.memory in SRAMS:
                row = [0] * live.ACCESS_COLUMNS
                row[live.A_MEMORY] = SRAMS.index(access.memory)
                row[live.A_REGISTER] = instruction.fields[f"{access.operand}.register"]
                row[live.A_OFFSET] = access.address
                row[live.A_ROW_BYTES], row[live.A_ROWS] = access.row_bytes, access.count
                row[live.A_PITCH], row[live.A_IS_WRITE] = access.pitch, int(access.is_write)
                rows.append(row)
        starts.append(len(rows))
    shape = (len(rows), live.ACCESS_COLUMNS)
    return np.array(starts, dtype=np.int64), np.array(rows, dtype=np.int64).reshape(shape)
