"""What the units do over time: each operation and state of a short run, shares of bins of time of a long one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.machine.run import time_frame
from accelsim.timing.record import Counters, Reason
from accelsim.trace.states import Ints, States, Stretches

Events = NDArray[np.void]

QUEUED = (Unit.LOAD, Unit.MATRIX, Unit.VECTOR, Unit.STORE)
"""Units whose operations have bars; the sequencer has its states alone."""
MOST_OPERATIONS = 50_000
"""Operations a page holds one by one: about 2 MB."""
MOST_STRETCHES = 150_000
"""Stretches of time in which a unit stays in one state, likewise: about 4 MB."""
MOST_BINNED = 30_000_000
"""Operations that are gone through for a picture: half a minute's work."""
BINS = 2000
"""Steps of time of a long run."""
_WAITS = ("semaphore", "dependency", "bank", "dram")
_BUSY, _WAITING = range(2)


def timeline_of(program: Program, counters: Counters) -> dict[str, Any] | None:
    """The timeline of a frame; the run is gone through once more for it, turn by turn.

    Parameters
    ----------
    program : Program
    counters : Counters
        Of the frame.

    Returns
    -------
    dict or None
        ``operations``, the columns of `operation_columns`, where they are few; ``states``, those of `state_columns`,
        where these are few, too, or else ``bins``, busy and waiting cycles by time. Both add up to `Counters.units`.
        None of a run with no operation, or with more than `MOST_BINNED`.
    """
    count = int(counters.operations[list(QUEUED)].sum())
    if not 0 < count <= MOST_BINNED:
        return None
    few = count <= MOST_OPERATIONS
    events: list[Events] = []
    states = _Recorder(TimeBins(len(program.layers), counters.cycles), keep=few)
    time_frame(program, take_events=events.append if few else None, take_states=states)
    states.finish(counters.cycles)
    found: dict[str, Any] = {"operations": operation_columns(np.concatenate(events))} if few else {}
    if states.keep:
        return found | {"states": state_columns(np.concatenate(states.kept))}
    return found | {"bins": states.bins.stretches(), "bin_cycles": states.bins.bin_cycles}


def operation_columns(events: Events) -> dict[str, NDArray[np.int64]]:
    """Operations as columns, in order of unit and last beat.

    ``begin`` is the first beat, or the cycle after the last beat of the operation before where that is later: the load
    DMA asks for data while those of the operation before still land. ``end`` is the cycle after the last beat, and
    ``done`` that after the last result.

    Parameters
    ----------
    events : EVENT[operations]

    Returns
    -------
    dict of str to int64[operations]
    """
    events = events[np.lexsort((events["issued"], events["unit"]))]
    begin, end = events["started"].copy(), events["issued"] + 1
    for unit in QUEUED:
        mine = np.flatnonzero(events["unit"] == unit)
        begin[mine[1:]] = np.maximum(begin[mine[1:]], end[mine[:-1]])
    columns = {name: events[name].astype(np.int64) for name in ("unit", "index", "layer", "dispatched", "busy")}
    columns |= {"begin": begin, "end": end, "done": events["done"] + 1}
    return columns | {name: events[name].astype(np.int64) for name in _WAITS}


def state_columns(stretches: Ints) -> dict[str, Any]:
    """Stretches of time in which a unit is not idle, as columns in order of their beginning.

    Parameters
    ----------
    stretches : int64[stretches, 5]
        As `Stretches` gives them.

    Returns
    -------
    dict
        ``unit``, ``reason``, ``layer``, ``begin`` and ``end`` (the cycle after the last); ``reasons``: their names.
    """
    there = stretches[stretches[:, 1] != Reason.IDLE]
    there = there[np.lexsort((there[:, 0], there[:, 3]))]
    names = ("unit", "reason", "layer", "begin", "end")
    return dict(zip(names, there.T, strict=True)) | {"reasons": [reason.name.lower() for reason in Reason]}


class TimeBins:
    """Cycles of units in which they issue, and in which they wait, by layer and time; memory does not grow with a run.

    Parameters
    ----------
    layers : int
    cycles : int
        Of the run.
    """

    def __init__(self, layers: int, cycles: int) -> None:
        self.bin_cycles = -(-cycles // BINS)
        self.layers, self.cycles = layers, cycles
        bins = -(-cycles // self.bin_cycles)
        # One layer more, for what is of none: index -1. One bin more, for what ends with the run.
        self._steps = np.zeros((2, len(Unit), layers + 1, bins + 1), dtype=np.int64)
        self._parts = np.zeros_like(self._steps)

    def __call__(self, stretches: Ints) -> None:
        """Add stretches, as `Stretches` gives them."""
        unit, reason, layer, begin, end = stretches[stretches[:, 1] != Reason.IDLE].T
        place = np.where(reason == Reason.BUSY, _BUSY, _WAITING), unit, layer
        width = self.bin_cycles
        first, last = begin // width, (end - 1) // width
        # Whole bins by the steps of a sum that runs on; then off with what lies before the start and after the end.
        np.add.at(self._steps, (*place, first), 1)
        np.add.at(self._steps, (*place, last + 1), -1)
        np.add.at(self._parts, (*place, first), first * width - begin)
        np.add.at(self._parts, (*place, last), end - (last + 1) * width)

    @property
    def cycles_by_bin(self) -> NDArray[np.int64]:
        """int64[2, units, layers + 1, bins]: busy and waiting cycles; the last layer is for what is of none."""
        return (np.cumsum(self._steps, axis=3) * self.bin_cycles + self._parts)[..., :-1]

    def stretches(self) -> list[dict[str, Any]]:
        """Per unit and layer its first bin that is not idle, and the cycles of the bins from there to its last."""
        found = []
        busy, waiting = self.cycles_by_bin
        for unit, layer in np.argwhere((busy + waiting).any(axis=2)).tolist():
            used = np.flatnonzero(busy[unit, layer] + waiting[unit, layer])
            stretch = slice(used[0], used[-1] + 1)
            found.append(
                {
                    "unit": unit,
                    "layer": layer if layer < self.layers else -1,
                    "first": int(used[0]),
                    "busy": busy[unit, layer, stretch],
                    "waiting": waiting[unit, layer, stretch],
                }
            )
        return found


class _Recorder:
    """Adds up states as an engine hands them on, and keeps them as long as they are few."""

    def __init__(self, bins: TimeBins, *, keep: bool) -> None:
        self.bins, self.keep = bins, keep
        self.kept: list[Ints] = []
        self._count = 0
        self._stretches = Stretches()

    def __call__(self, changes: States) -> None:
        self._stretches.add(changes)
        # Of the last cycle there may be more to come.
        self._take(self._stretches.until(int(changes["cycle"][-1]) - 1))

    def finish(self, cycles: int) -> None:
        self._take(self._stretches.finish(cycles))

    def _take(self, stretches: Ints) -> None:
        self.bins(stretches)
        self._count += len(stretches)
        self.keep = self.keep and self._count <= MOST_STRETCHES
        if self.keep:
            self.kept.append(stretches)
        else:
            self.kept.clear()
