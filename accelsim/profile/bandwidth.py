"""DRAM bandwidth over time, from the traffic that an engine counts in bins of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.chip import Chip
from accelsim.timing.record import Counters


@dataclass(frozen=True, eq=False)
class Bandwidth:
    """DRAM traffic: what passes the bus, and, where loads go through the vector unit, what the host's queue brings.

    Parameters
    ----------
    limit_bytes_per_cycle : float
        What the bus can do; with such a queue no limit of the traffic.
    mean_bytes_per_cycle : float
        Over the run.
    peak_bytes_per_cycle : float
        In the busiest bin of `bin_cycles`.
    bin_cycles : int
    traffic_bytes : float64[2, bins]
        Read and written, by time.
    clock_mhz : float
    """

    limit_bytes_per_cycle: float
    mean_bytes_per_cycle: float
    peak_bytes_per_cycle: float
    bin_cycles: int
    traffic_bytes: NDArray[np.float64]
    clock_mhz: float

    def gigabytes_per_second(self, bytes_per_cycle: float) -> float:
        """A rate in units of 10^9 bytes a second."""
        return bytes_per_cycle * self.clock_mhz / 1000


def bandwidth(counters: Counters, chip: Chip) -> Bandwidth:
    """Bandwidth of a run.

    Parameters
    ----------
    counters : Counters
    chip : Chip
    """
    limit = float(chip.dram.rate)
    traffic = spread_bursts(counters.traffic, limit * counters.bin_cycles)
    traffic = traffic[:, : -(-counters.cycles // counters.bin_cycles)]
    return Bandwidth(
        limit_bytes_per_cycle=limit,
        mean_bytes_per_cycle=int(counters.traffic.sum()) / counters.cycles,
        peak_bytes_per_cycle=float(traffic.sum(axis=0).max()) / counters.bin_cycles,
        bin_cycles=counters.bin_cycles,
        traffic_bytes=traffic,
        clock_mhz=chip.chip.clock_mhz,
    )


def spread_bursts(traffic: NDArray[np.int64], bin_bytes: float) -> NDArray[np.float64]:
    """Move what a bin can't have carried to the bins before it.

    A burst is booked whole in the cycle of its last byte. Where a bin holds more than the bus carries in its time, the
    rest passed earlier, so it goes to the bin before; the sum stays.

    Parameters
    ----------
    traffic : int64[2, bins]
        Bytes read and written, by the end of their burst.
    bin_bytes : float
        What the bus carries in a bin.

    Returns
    -------
    float64[2, bins]
    """
    # Lists, as bins are looked at one by one.
    read, written = traffic.astype(np.float64).tolist()
    for place in range(len(read) - 1, 0, -1):
        total = read[place] + written[place]
        if total > bin_bytes:
            share = (total - bin_bytes) / total
            for spread in (read, written):
                moved = spread[place] * share
                spread[place] -= moved
                spread[place - 1] += moved
    return np.array([read, written])
