"""The most that a sum of lives comes to at any time, exactly, though a life may be told long after it began.

A life is bytes that come evenly between two cycles and go evenly between two later ones. So the sum is made of straight
lines, and it is highest where one of them ends. Lives are told in program order, and with them the cycle before which
none that is told later goes. Up to that cycle what is told later only comes: it adds no more to a time than to a later
one. So of a bin's times those count on alone that are higher than all after them; the others are let go, and memory
does not grow with the length of the run.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.profile import live_kernels as live

_Numbers = NDArray[np.float64]


class Peak:
    """Takes lives, some at a time; `finish` gives the most that they come to in each bin of time.

    Parameters
    ----------
    cycles, bin_cycles : int
        Of the run, and of a bin.
    """

    def __init__(self, cycles: int, bin_cycles: int) -> None:
        self._bin_cycles = bin_cycles
        self._edges = np.append(np.arange(0, cycles, bin_cycles, dtype=np.float64), cycles)
        self._known = 0.0
        self._level = 0.0
        self._open = np.zeros((0, 3))
        self._times = np.zeros(0)
        self._after = np.zeros(0, dtype=np.bool_)
        self._heights = np.zeros(0)

    def add(self, lives: _Numbers, known: float) -> None:
        """Add lives.

        Parameters
        ----------
        lives : float64[lives, live_kernels.LIFE_COLUMNS]
            Cycles at which a life begins or ends before the last call's `known` are those of lives that were added by
            then, be it one of no bytes: other times are not kept.
        known : float
            Cycle before which no life goes that a later call adds; not less than in earlier calls.
        """
        come = lives[:, [live.L_COME_BEGIN, live.L_COME_END, live.L_BYTES]]
        go = lives[:, [live.L_GO_BEGIN, live.L_GO_END, live.L_BYTES]]
        ramps = np.concatenate([come, go * (1, 1, -1)])
        self._raise(ramps[ramps[:, 0] < self._known])
        ramps = np.concatenate([self._open, ramps])
        lines = _Lines(ramps, self._edges)
        new = (self._known <= lines.knots) & (lines.knots < known)
        before = self._level + lines.before[new]
        # Before and after what comes or goes at once.
        heights = np.stack([before, before + lines.jumps[new]], axis=1).reshape(-1)
        over = ramps[:, 1] < known
        self._level += float(ramps[over, 2].sum())
        self._open = ramps[~over]
        self._known = known
        self._keep(
            np.concatenate([self._times, np.repeat(lines.knots[new], 2)]),
            np.concatenate([self._after, np.tile([False, True], len(before))]),
            np.concatenate([self._heights, heights]),
        )

    def finish(self) -> _Numbers:
        """float64[bins]: the most at any time of each bin."""
        self.add(np.zeros((0, live.LIFE_COLUMNS)), float(self._edges[-1]) + 1)
        most = np.zeros(len(self._edges) - 1)
        bins = self._bins(self._times, self._after)
        inside = (bins >= 0) & (bins < len(most))
        np.maximum.at(most, bins[inside], self._heights[inside])
        return most

    def _raise(self, ramps: _Numbers) -> None:
        """Add what began in the time that is known to its heights."""
        if len(ramps):
            lines = _Lines(ramps)
            at = np.searchsorted(lines.knots, self._times, side="right") - 1
            since = self._times - lines.knots[at]
            come = lines.before[at] + np.where((since > 0) | self._after, lines.jumps[at], 0) + lines.slopes[at] * since
            self._heights += np.where(at >= 0, come, 0.0)

    def _bins(self, times: _Numbers, after: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The bin that each time ends (before) or lies in (after)."""
        shares = times / self._bin_cycles
        return np.where(after, np.floor(shares), np.ceil(shares) - 1).astype(np.int64)

    def _keep(self, times: _Numbers, after: NDArray[np.bool_], heights: _Numbers) -> None:
        kept = np.zeros(len(times), dtype=np.uint8)
        live.keep_higher(self._bins(times, after), heights, len(times), kept)
        higher = kept > 0
        self._times, self._after, self._heights = times[higher], after[higher], heights[higher]


class _Lines:
    """What ramps (begin, end, bytes) come to: before each knot, at once at it, and a cycle from there to the next."""

    def __init__(self, ramps: _Numbers, more_knots: _Numbers | None = None) -> None:
        begins, ends, sizes = ramps.T
        more = np.zeros(0) if more_knots is None else more_knots
        self.knots, places = np.unique(np.concatenate([begins, ends, more]), return_inverse=True)
        first, last = places[: len(ramps)], places[len(ramps) : 2 * len(ramps)]
        count, slow = len(self.knots), ends > begins
        slopes = sizes[slow] / (ends - begins)[slow]
        self.jumps = np.bincount(first[~slow], sizes[~slow], count)
        self.slopes = np.cumsum(np.bincount(first[slow], slopes, count) - np.bincount(last[slow], slopes, count))
        self.before = np.append(0.0, np.cumsum(self.jumps[:-1] + self.slopes[:-1] * np.diff(self.knots)))
