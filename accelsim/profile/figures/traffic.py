"""DRAM traffic over time, against what the bus can do."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from accelsim.profile.figures.heading import run_heading
from accelsim.profile.figures.style import in_print_style, new_figure, plain_axes
from accelsim.profile.palette import BLUE, ORANGE, VERMILION
from accelsim.profile.profile import Profile

_MOST_BINS = 1024
_LIMIT_SHOWN = 20
"""How many times the largest traffic the bus's limit may be and still set a picture's height."""


@in_print_style
def plot_traffic(profile: Profile) -> Figure:
    """Bytes read and written a cycle, over time, below the bus's limit."""
    rates = profile.bandwidth
    edges, read, written = _over_time(profile)
    moved = profile.total.memory["dram"]
    figure = new_figure(3.1)
    axes = figure.add_subplot()
    axes.stairs(read, edges, fill=True, color=BLUE, label=f"read, {moved.read_bytes:,} bytes")
    if moved.written_bytes:
        label = f"written, {moved.written_bytes:,} bytes"
        axes.stairs(read + written, edges, baseline=read, fill=True, color=ORANGE, hatch="////", label=label)
    limit, mean = rates.limit_bytes_per_cycle, rates.mean_bytes_per_cycle
    # On a bus that is far from full the limit would press all traffic flat.
    peak = float((read + written).max())
    shown = limit <= _LIMIT_SHOWN * peak or not peak
    label = _rate("limit" if shown else "limit, above the picture", limit, profile)
    axes.axhline(limit, color=VERMILION, linewidth=1.2, label=label)
    axes.axhline(mean, color="black", linewidth=1.0, linestyle="--", label=_rate("mean", mean, profile))
    axes.set_xlim(0, profile.cycles)
    axes.set_ylim(0, 1.08 * (limit if shown else peak))
    axes.set_xlabel(f"cycle (bins of {edges[1]:,})")
    axes.set_ylabel("DRAM bytes per cycle")
    plain_axes(axes, "both")
    time_axis(axes, profile.total.clock_mhz)
    run_heading(figure, profile, "DRAM traffic")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _over_time(profile: Profile) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """int64[bins + 1] cycles, float64[bins] bytes read and written a cycle between them.

    The engine's bins are as wide as the last transfer makes them. Where the run goes on long after it, several go
    together, so that they can be seen.
    """
    rates = profile.bandwidth
    bins = rates.traffic_bytes.shape[1]
    together = max(1, profile.cycles // (_MOST_BINS * rates.bin_cycles))
    starts = np.arange(0, bins, together)
    traffic = np.add.reduceat(rates.traffic_bytes, starts, axis=1)
    edges = np.append(starts, starts[-1] + together) * rates.bin_cycles
    edges[-1] = max(min(int(edges[-1]), profile.cycles), int(edges[-2]) + 1)
    read, written = traffic / np.diff(edges)
    return edges, read, written


def time_axis(axes: Axes, clock_mhz: float) -> None:
    """A second scale above an axis of cycles: microseconds."""
    time = axes.secondary_xaxis(
        "top", functions=(lambda cycle: np.asarray(cycle) / clock_mhz, lambda us: np.asarray(us) * clock_mhz)
    )
    time.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    time.set_xlabel("time in µs")


def _rate(name: str, rate: float, profile: Profile) -> str:
    return f"{name}, {rate:.2f} bytes/cycle ({profile.bandwidth.gigabytes_per_second(rate):.2f} GB/s)"
