"""What an engine writes down about a run: counters always, an event an operation on request.

Counters have a fixed size whatever the length of the run. All statistics of a report derive from these; no unit keeps
figures of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from accelsim.isa.opcodes import Memory, Unit

MEMORY_NAMES = (*(memory.name.lower() for memory in Memory), "dram")
"""Order of the memory axis of `Counters.bytes`."""
BANDWIDTH_BINS = 512
"""Number of time bins of the DRAM traffic; their width doubles as the run gets longer."""


class Reason(IntEnum):
    """What a unit does in a cycle. Its cycles over all reasons are the run's cycles."""

    BUSY = 0
    """A beat is issued; one whose accesses need a bank several times, for as many cycles."""
    SEMAPHORE = 1
    """An instruction waits for a semaphore."""
    DEPENDENCY = 2
    """A chained instruction waits for the next element."""
    BANK = 3
    """A beat is refused: a unit of higher priority has the bank, or took the semaphore's last count."""
    DRAM = 4
    """A DMA issues no beat, but has data under way or waits for a buffer; the sequencer waits for its program."""
    QUEUE = 5
    """The sequencer waits for a place in a unit's queue."""
    IDLE = 6
    """There is no instruction, or its results are on their way and ask for nothing more."""


class Cause(IntEnum):
    """What a cycle of the run is spent on; every cycle has one cause and one layer.

    The first that holds: a product's beat, a vector beat, an instruction of theirs between its last beat and the cycle
    its completion is seen in, a transfer from or to DRAM until its completion is seen, and otherwise the sequencer.
    A refused beat is no cause: who has the bank is at work, and that is one. How often a unit was refused is said by
    `Reason.BANK`.
    """

    MATRIX = 0
    VECTOR = 1
    LATENCY = 2
    DRAM = 3
    SEQUENCER = 4


EVENT = np.dtype(
    [
        ("unit", "u1"),
        ("index", "i4"),
        ("layer", "i2"),
        ("dispatched", "i8"),
        ("started", "i8"),
        ("issued", "i8"),
        ("done", "i8"),
        ("busy", "i8"),
        ("semaphore", "i8"),
        ("dependency", "i8"),
        ("bank", "i8"),
        ("dram", "i8"),
    ]
)
"""One operation: `Unit`, instruction, layer (-1 for none); the cycles of its dispatch, first beat, last beat and of its
last result; cycles it was issuing, and waiting by reason."""

STATE = np.dtype([("cycle", "i8"), ("unit", "u1"), ("reason", "u1"), ("layer", "i2")])
"""From this cycle on the `Unit` is in this state, for this layer (-1 for none); before its first it is idle. The cycles
in between are those of `Counters.units`."""


@dataclass
class Counters:
    """Totals of a run; the layer axis has one more entry at its end, for instructions of no layer.

    Parameters
    ----------
    layers : int
    cycles : int
        Length of the run.
    units : int64[5, layers + 1, 7]
        Cycles of each `Unit`, by layer and `Reason`.
    causes : int64[layers + 1, 5]
        Cycles of the run by layer and `Cause`; their sum is `cycles`.
    bytes : int64[layers + 1, 5, 2]
        Bytes read and written, of each of `MEMORY_NAMES`.
    elements : int64[layers + 1]
        Elements through the vector unit.
    macs : int64[layers + 1]
        Multiply-accumulates with real operands, padding apart.
    operations : int64[5]
        Instructions executed, by unit; the sequencer's are its signals.
    traffic : int64[2, BANDWIDTH_BINS]
        Bytes read from and written to DRAM, by time.
    bin_cycles : int
        Width of a bin of `traffic`.
    setup_cycles : int
        Cycles before the program's `frame` instruction, which are in no other count; 0 for a program without.
    """

    layers: int
    cycles: int = 0
    bin_cycles: int = 1
    setup_cycles: int = 0
    units: NDArray[np.int64] = field(init=False)
    causes: NDArray[np.int64] = field(init=False)
    bytes: NDArray[np.int64] = field(init=False)
    elements: NDArray[np.int64] = field(init=False)
    macs: NDArray[np.int64] = field(init=False)
    operations: NDArray[np.int64] = field(init=False)
    traffic: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        rows = self.layers + 1
        self.units = np.zeros((len(Unit), rows, len(Reason)), dtype=np.int64)
        self.causes = np.zeros((rows, len(Cause)), dtype=np.int64)
        self.bytes = np.zeros((rows, len(MEMORY_NAMES), 2), dtype=np.int64)
        self.elements = np.zeros(rows, dtype=np.int64)
        self.macs = np.zeros(rows, dtype=np.int64)
        self.operations = np.zeros(len(Unit), dtype=np.int64)
        self.traffic = np.zeros((2, BANDWIDTH_BINS), dtype=np.int64)

    def transfer(self, cycle: int, size: int, is_write: bool) -> None:
        """Bytes that pass the DRAM bus in a cycle."""
        while cycle // self.bin_cycles >= BANDWIDTH_BINS:
            pairs = self.traffic.reshape(2, BANDWIDTH_BINS // 2, 2).sum(axis=2)
            self.traffic[:] = 0
            self.traffic[:, : BANDWIDTH_BINS // 2] = pairs
            self.bin_cycles *= 2
        self.traffic[int(is_write), cycle // self.bin_cycles] += size


class Accountant:
    """Adds up how long each unit is in which state, and what each cycle of the run is spent on.

    Parameters
    ----------
    counters : Counters
    begin : int
        The cycle from which on is counted.
    keep_states : bool
        Keep each change of a unit's state; memory then grows with the length of the run.

    Attributes
    ----------
    changes : list of (cycle, unit, reason, layer)
        In order; empty where they are not kept.
    """

    def __init__(self, counters: Counters, begin: int = 0, *, keep_states: bool = False) -> None:
        self.counters = counters
        self.keep_states = keep_states
        self.changes: list[tuple[int, int, int, int]] = []
        self._begin = self._since = begin
        self._states: list[tuple[Reason, int]] = [(Reason.IDLE, -1)] * len(Unit)
        self._kept = list(self._states)
        self._results: dict[int, int] = {}
        self._transfers: dict[int, int] = {}

    def state(self, now: int, unit: int, reason: Reason, layer: int) -> None:
        """From cycle `now` on, the unit is in this state, for this layer (-1: none)."""
        self._add_up(now)
        self._states[unit] = reason, layer

    def reason(self, unit: int) -> Reason:
        """The unit's present state."""
        return self._states[unit][0]

    def issued(self, now: int, unit: int, sequence: int, layer: int) -> None:
        """From `now` on, an operation (its `sequence`) issues no more, but its completion is not seen yet."""
        self._add_up(now)
        self._on_the_way(unit)[sequence] = layer

    def arrived(self, now: int, unit: int, sequence: int) -> None:
        """From `now` on, its completion is seen."""
        self._add_up(now)
        del self._on_the_way(unit)[sequence]

    def finish(self, end: int) -> None:
        """The run has ended; `end` is the cycle after its last."""
        self._add_up(end)
        self.counters.cycles = end - self._begin

    def _on_the_way(self, unit: int) -> dict[int, int]:
        return self._results if unit in (Unit.MATRIX, Unit.VECTOR) else self._transfers

    def _add_up(self, now: int) -> None:
        duration = now - self._since
        if duration <= 0:
            return
        if self.keep_states:
            self._keep()
        self._since = now
        for unit, (reason, layer) in enumerate(self._states):
            self.counters.units[unit, layer, reason] += duration
        cause, layer = self._cause()
        self.counters.causes[layer, cause] += duration

    def _keep(self) -> None:
        """Keep what has changed, in a cycle that is over."""
        for unit, (reason, layer) in enumerate(self._states):
            if self._kept[unit] != (reason, layer):
                self._kept[unit] = reason, layer
                self.changes.append((self._since - self._begin, unit, reason, layer))

    def _cause(self) -> tuple[Cause, int]:
        for unit, cause in ((Unit.MATRIX, Cause.MATRIX), (Unit.VECTOR, Cause.VECTOR)):
            reason, layer = self._states[unit]
            if reason == Reason.BUSY:
                return cause, layer
        if self._results:
            return Cause.LATENCY, next(reversed(self._results.values()))
        for unit in (Unit.LOAD, Unit.STORE):
            reason, layer = self._states[unit]
            if reason in (Reason.BUSY, Reason.DRAM, Reason.BANK):
                return Cause.DRAM, layer
        if self._transfers:
            return Cause.DRAM, next(reversed(self._transfers.values()))
        return (Cause.DRAM if self._states[Unit.SEQUENCER][0] == Reason.DRAM else Cause.SEQUENCER), -1
