"""How many instructions wait in a unit's queue, from its events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.trace.order import Events

Changes = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Cycles in ascending order, and the number of instructions that wait from each on."""


class QueueDepth:
    """The instructions of a unit that are dispatched but not started, over time.

    A unit's events come in the order of its dispatches, so all that happens up to the last one's is known, and what is
    kept are starts after it: no more than the queue has places.
    """

    def __init__(self) -> None:
        self._starts = np.zeros(0, dtype=np.int64)
        self._depth = 0

    def add(self, events: Events) -> Changes:
        """Every change up to the dispatch of the last of these events of the unit."""
        if not len(events):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        return self._changes(events["dispatched"], events["started"], int(events["dispatched"][-1]))

    def finish(self) -> Changes:
        """Every change that is left."""
        none = np.zeros(0, dtype=np.int64)
        return self._changes(none, none, None)

    def _changes(self, dispatched: NDArray[np.int64], started: NDArray[np.int64], until: int | None) -> Changes:
        starts = np.concatenate([self._starts, started])
        known = starts <= until if until is not None else np.ones(len(starts), dtype=bool)
        self._starts = starts[~known]
        cycles = np.concatenate([dispatched, starts[known]])
        steps = np.repeat(np.array([1, -1]), [len(dispatched), int(known.sum())])
        order = np.argsort(cycles, kind="stable")
        cycles, depths = cycles[order], self._depth + np.cumsum(steps[order])
        # One value a cycle: that after all of its changes; and none where they cancel.
        last = np.append(cycles[1:] != cycles[:-1], True)[: len(cycles)]
        cycles, depths = cycles[last], depths[last]
        changed = np.diff(depths, prepend=self._depth) != 0
        if len(depths):
            self._depth = int(depths[-1])
        return cycles[changed], depths[changed]
