"""Getting a run's operations: all of a short run, or those of a stretch of any run.

An engine hands operations on as they complete; only what a figure needs is held.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from accelsim.isa.program import Program
from accelsim.profile.profile import Profile
from accelsim.timing.record import EVENT

Events = NDArray[np.void]
Take = Callable[[Events], None]


def operation_count(profile: Profile) -> int:
    """Operations of a frame in the queues of the units, each of which has an event."""
    return sum(number for unit, number in profile.operations.items() if unit != "sequencer")


def hand_over(program: Program, take: Take) -> None:
    """Go through a frame and hand its operations over, some thousands at a time, in order of completion.

    Parameters
    ----------
    program : Program
    take : callable
        Takes EVENT[...].
    """
    from accelsim.machine.run import time_frame

    time_frame(program, take_events=take)


def all_operations(program: Program) -> Events:
    """EVENT[operations] of a frame; for runs that are not too long to be held."""
    kept = Kept()
    hand_over(program, kept)
    return kept.events


class Kept:
    """Takes operations and keeps those of a window of time.

    Parameters
    ----------
    first, last : int
        The window's cycles: kept is what is dispatched before `last` and not done before `first`.
    most : int, optional
        Once more than so many are in the window none is held, as they are only counted.
    """

    def __init__(self, first: int = 0, last: int | None = None, most: int | None = None) -> None:
        self.first, self.last, self.most = first, last, most
        self.count = 0
        self._chunks: list[Events] = [np.zeros(0, dtype=EVENT)]

    def __call__(self, events: Events) -> None:
        """Take operations."""
        seen = events["done"] >= self.first
        if self.last is not None:
            seen &= events["dispatched"] < self.last
        self.count += int(seen.sum())
        if self.most is not None and self.count > self.most:
            self._chunks = self._chunks[:1]
        elif seen.any():
            self._chunks.append(events[seen])

    @property
    def events(self) -> Events:
        """EVENT[operations] in order of completion."""
        return np.concatenate(self._chunks)
