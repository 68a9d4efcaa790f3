"""What each unit does in every cycle, as stretches of time: from the changes that the engines hand on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.isa.opcodes import Unit
from accelsim.timing.record import STATE, Reason

Ints = NDArray[np.int64]
States = NDArray[np.void]


class Stretches:
    """Cycles in which a unit stays in one state, found as its changes come.

    What is held are changes that are not asked for yet.
    """

    def __init__(self) -> None:
        self._changes = np.zeros(0, dtype=STATE)
        self._open = np.zeros(len(Unit), dtype=STATE)
        """The last change of each unit that was asked for."""
        self._open["unit"] = range(len(Unit))
        self._open["reason"], self._open["layer"] = Reason.IDLE, -1

    def add(self, changes: States) -> None:
        """Take changes, which come in order of cycle and unit."""
        self._changes = np.concatenate([self._changes, changes])

    def until(self, cycle: int) -> Ints:
        """Stretches that end at a cycle or before it, of those that no call has given yet.

        All changes up to that cycle have been added.

        Returns
        -------
        int64[stretches, 5]
            Unit, reason, layer (-1 for none), first cycle, the cycle after the last; in order of end and unit.
        """
        known = int(np.searchsorted(self._changes["cycle"], cycle, side="right"))
        changes, self._changes = self._changes[:known], self._changes[known:]
        return self._ended(changes)

    def finish(self, cycles: int) -> Ints:
        """Those that are left of a run of so many cycles; as `until` gives them."""
        ends = self._open.copy()
        ends["cycle"] = cycles
        return self._ended(np.concatenate([self._changes, ends]))

    def _ended(self, changes: States) -> Ints:
        found = [np.zeros((0, 5), dtype=np.int64)]
        for unit in Unit:
            mine = changes[changes["unit"] == unit]
            before = np.concatenate([self._open[unit : unit + 1], mine])
            begins, ends = before[:-1], mine["cycle"]
            columns = [begins[name].astype(np.int64) for name in ("unit", "reason", "layer", "cycle")]
            found.append(np.stack([*columns, ends], axis=1))
            self._open[unit] = before[-1]
        rows = np.concatenate(found)
        # A unit that starts with something else than idle was idle for no cycle.
        rows = rows[rows[:, 4] > rows[:, 3]]
        return rows[np.lexsort((rows[:, 0], rows[:, 4]))]
