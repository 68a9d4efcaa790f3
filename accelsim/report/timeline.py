"""What the units do over time: each operation of a short run, shares of bins of time of a long one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.machine.run import time_frame
from accelsim.timing.record import Counters

Events = NDArray[np.void]

LANES = (Unit.LOAD, Unit.MATRIX, Unit.VECTOR, Unit.STORE)
MOST_OPERATIONS = 50_000
"""Operations a page holds one by one: about 2 MB."""
MOST_BINNED = 30_000_000
"""Operations that are gone through for a picture: half a minute's work."""
BINS = 2000
"""Steps of time of a long run."""
_WAITS = ("semaphore", "dependency", "bank")


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
        ``operations``, the columns of `operation_columns`; or ``bins``, active and busy cycles by time; None of a run
        with no operation, or with more than `MOST_BINNED`.
    """
    count = int(counters.operations[list(LANES)].sum())
    if not 0 < count <= MOST_BINNED:
        return None
    if count <= MOST_OPERATIONS:
        chunks: list[Events] = []
        time_frame(program, take_events=chunks.append)
        return {"operations": operation_columns(np.concatenate(chunks))}
    bins = TimeBins(len(program.layers), counters.cycles)
    time_frame(program, take_events=bins)
    return {"bins": bins.stretches(), "bin_cycles": bins.bin_cycles}


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
    begin, end = _in_turn(events, np.zeros(len(LANES), dtype=np.int64)), events["issued"] + 1
    columns = {name: events[name].astype(np.int64) for name in ("unit", "index", "layer", "dispatched", "busy")}
    columns |= {"begin": begin, "end": end, "done": events["done"] + 1}
    return columns | {name: events[name].astype(np.int64) for name in _WAITS}


def _in_turn(events: Events, free: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each operation begins, of events in order of unit and last beat.

    Parameters
    ----------
    events : EVENT[operations]
    free : int64[units]
        The first cycle each unit is free in; brought up to date.
    """
    begin, end = events["started"].copy(), events["issued"] + 1
    for unit in range(len(LANES)):
        mine = np.flatnonzero(events["unit"] == unit)
        if len(mine):
            begin[mine] = np.maximum(begin[mine], np.concatenate([free[unit : unit + 1], end[mine[:-1]]]))
            free[unit] = end[mine[-1]]
    return begin


class TimeBins:
    """What units do by layer and time, added up as operations come; memory does not grow with their number.

    Active cycles of a unit are those from where an operation begins (see `operation_columns`) to its last beat; its
    busy cycles count as spread evenly over them.

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
        self._steps = np.zeros((2, len(LANES), layers + 1, bins + 1))
        self._parts = np.zeros_like(self._steps)
        self._free = np.zeros(len(LANES), dtype=np.int64)

    def __call__(self, events: Events) -> None:
        """Add operations.

        Parameters
        ----------
        events : EVENT[operations]
            In order of completion, which in each unit is that of their last beats.
        """
        events = events[np.lexsort((events["issued"], events["unit"]))]
        begin, end = _in_turn(events, self._free), events["issued"] + 1
        place = events["unit"], events["layer"]
        for which, density in enumerate((np.ones(len(events)), events["busy"] / (end - begin))):
            self._add(which, place, begin, end, density)

    def _add(
        self, which: int, place: tuple[Any, Any], begin: NDArray[np.int64], end: NDArray[np.int64], density: Any
    ) -> None:
        width = self.bin_cycles
        first, last = begin // width, (end - 1) // width
        steps, parts = self._steps[which], self._parts[which]
        # Whole bins by the steps of a sum that runs on; then off with what lies before the start and after the end.
        np.add.at(steps, (*place, first), density)
        np.add.at(steps, (*place, last + 1), -density)
        np.add.at(parts, (*place, first), -density * (begin / width - first))
        np.add.at(parts, (*place, last), -density * (last + 1 - end / width))

    @property
    def cycles_by_bin(self) -> NDArray[np.float64]:
        """float64[2, units, layers + 1, bins]: active and busy cycles; the last layer is for what is of none."""
        shares = np.cumsum(self._steps, axis=3) + self._parts
        # The sum that runs on leaves rounding errors where nothing is left.
        shares[np.abs(shares) < 1e-9] = 0
        return shares[..., :-1] * self.bin_cycles

    def stretches(self) -> list[dict[str, Any]]:
        """Per unit and layer its first bin with any active cycle, and the cycles of the bins from there to its last."""
        found = []
        active, busy = self.cycles_by_bin
        # To a ten thousandth of a bin.
        digits = max(0, 4 - math.floor(math.log10(self.bin_cycles)))
        for unit, layer in np.argwhere(active.any(axis=2)).tolist():
            used = np.flatnonzero(active[unit, layer])
            stretch = slice(used[0], used[-1] + 1)
            found.append(
                {
                    "unit": unit,
                    "layer": layer if layer < self.layers else -1,
                    "first": int(used[0]),
                    "active": np.round(active[unit, layer, stretch], digits),
                    "busy": np.round(busy[unit, layer, stretch], digits),
                }
            )
        return found
