"""A profile as pictures: cycles by layer, what the units do over time, DRAM traffic. matplotlib is imported here."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from accelsim.isa.program import Program
from accelsim.profile.labels import shortened
from accelsim.profile.palette import BLUE, CAUSE_STYLE, ORANGE, VERMILION
from accelsim.profile.profile import Part, Profile
from accelsim.profile.timeline import draw_timeline

DOTS_PER_INCH = 150
_LAYERS_SHOWN = 40
_LIMIT_SHOWN = 20
"""How many times the largest traffic the bus's limit may be and still set a picture's height."""
_NAME_WIDTH = 28
_DIGIT_WIDTH = 0.011
"""Room a digit needs inside a bar, as a share of the longest bar."""

Events = NDArray[np.void]


def draw_plots(profile: Profile, program: Program, events: Events | None) -> dict[str, bytes]:
    """All pictures by file name, as the bytes of PNG files.

    Parameters
    ----------
    profile : Profile
    program : Program
    events : EVENT[operations] or None
        Of one frame; without them there is no timeline.

    Returns
    -------
    dict of str to bytes
        ``cycles_by_layer.png``, ``unit_timeline.png``, ``dram_traffic.png``.
    """
    figures = {"cycles_by_layer.png": plot_cycles(profile)}
    if events is not None and len(events):
        figures["unit_timeline.png"] = plot_timeline(profile, program, events)
    figures["dram_traffic.png"] = plot_traffic(profile)
    return {name: _png(figure) for name, figure in figures.items()}


def plot_cycles(profile: Profile) -> Figure:
    """A frame's cycles: a bar a layer, its segments by cause."""
    parts = _largest(profile)
    figure = _figure(9.5, 2.0 + 0.36 * len(parts))
    axes = figure.add_subplot()
    places = np.arange(len(parts))
    left = np.zeros(len(parts))
    longest = max(part.cycles for part in parts)
    for cause, (colour, hatch) in CAUSE_STYLE.items():
        widths = np.array([part.causes[cause] for part in parts])
        axes.barh(places, widths, left=left, height=0.72, color=colour, hatch=hatch, edgecolor="white", linewidth=0.5)
        for place, width, start in zip(places, widths, left, strict=True):
            text = f"{width:,}"
            if width >= _DIGIT_WIDTH * (len(text) + 1) * longest:
                _number_in_bar(axes, float(start + width / 2), float(place), text)
        left += widths
    for place, part in zip(places, parts, strict=True):
        text = f" {part.cycles:,}  ({100 * part.share:.1f} %)"
        axes.text(part.cycles, float(place), text, va="center", ha="left", fontsize=8)
    axes.set_yticks(places, [_text(part.name) for part in parts])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.24 * longest)
    left_out = sum(1 for part in profile.layers if part.cycles) - len(parts)
    axes.set_xlabel(
        f"cycles of {profile.once}" + (f" (layers that took less are left out: {left_out})" if left_out else "")
    )
    _plain(axes, "x")
    _title(figure, profile, "Cycles by layer and cause")
    causes = [cause for cause in CAUSE_STYLE if profile.total.causes[cause]]
    figure.legend(
        handles=[
            Patch(facecolor=CAUSE_STYLE[cause][0], hatch=CAUSE_STYLE[cause][1], edgecolor="white", label=label)
            for cause in causes
            for label in [f"{cause} {100 * profile.total.causes[cause] / profile.cycles:.1f} %"]
        ],
        loc="outside lower center",
        ncols=len(causes),
        frameon=False,
        handlelength=2.2,
    )
    return figure


def plot_timeline(profile: Profile, program: Program, events: Events) -> Figure:
    """What the four queued units do over time: the whole run, and a few time steps in its middle."""
    names = [_text(layer.name) for layer in program.layers]
    figure = _figure(11, 6.6)
    draw_timeline(figure, events, profile.cycles, names)
    _title(figure, profile, "Unit timeline")
    return figure


def plot_traffic(profile: Profile) -> Figure:
    """DRAM traffic over time, against what the bus can do."""
    rates = profile.bandwidth
    edges = np.arange(rates.traffic_bytes.shape[1] + 1) * rates.bin_cycles
    edges[-1] = max(profile.cycles, edges[-2] + 1)
    read, written = rates.traffic_bytes / np.diff(edges)
    figure = _figure(9.5, 4.0)
    axes = figure.add_subplot()
    axes.stairs(read, edges, fill=True, color=BLUE, label=f"read, {profile.total.memory['dram'].read_bytes:,} bytes")
    axes.stairs(
        read + written,
        edges,
        baseline=read,
        fill=True,
        color=ORANGE,
        hatch="////",
        label=f"written, {profile.total.memory['dram'].written_bytes:,} bytes",
    )
    limit, mean = rates.limit_bytes_per_cycle, rates.mean_bytes_per_cycle
    # On a bus that is far from full the limit would press all traffic flat.
    peak = float((read + written).max())
    shown = limit <= _LIMIT_SHOWN * peak or not peak
    label = _rate("limit" if shown else "limit, above the picture", limit, profile)
    axes.axhline(limit, color=VERMILION, linewidth=1.5, label=label)
    axes.axhline(mean, color="black", linewidth=1.2, linestyle="--", label=_rate("mean", mean, profile))
    axes.set_xlim(0, profile.cycles)
    axes.set_ylim(0, 1.08 * (limit if shown else peak))
    axes.set_xlabel(f"cycle (bins of {rates.bin_cycles:,})")
    axes.set_ylabel("bytes per cycle")
    _plain(axes, "both")
    clock = profile.total.clock_mhz
    time = axes.secondary_xaxis(
        "top", functions=(lambda cycle: np.asarray(cycle) / clock, lambda us: np.asarray(us) * clock)
    )
    time.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    time.set_xlabel("time in µs")
    _title(figure, profile, "DRAM traffic")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _largest(profile: Profile) -> list[Part]:
    """All parts that took cycles, in order; of very many only those that took most."""
    parts = [part for part in profile.layers if part.cycles]
    if len(parts) <= _LAYERS_SHOWN:
        return parts
    least = sorted((part.cycles for part in parts), reverse=True)[_LAYERS_SHOWN - 1]
    return [part for part in parts if part.cycles >= least][:_LAYERS_SHOWN]


def _figure(width: float, height: float) -> Figure:
    """A figure of its own canvas: no display, and no global state of pyplot's."""
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _title(figure: Figure, profile: Profile, what: str) -> None:
    figure.suptitle(
        f"{what}: {_text(profile.program)} on {_text(profile.chip)}\n"
        f"{profile.cycles:,} cycles ({profile.time_us:,.2f} µs) {profile.once}, "
        f"lower bound {profile.bound.cycles:,} ({profile.bound.limit}), ratio {profile.ratio:.2f}",
        fontsize=11,
    )


def _plain(axes: Axes, grid: Any) -> None:
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis=grid, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _number_in_bar(axes: Axes, x: float, y: float, text: str) -> None:
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    axes.text(x, y, text, va="center", ha="center", fontsize=7, bbox=box)


def _rate(name: str, rate: float, profile: Profile) -> str:
    return f"{name}, {rate:.2f} bytes/cycle ({profile.bandwidth.gigabytes_per_second(rate):.2f} GB/s)"


def _text(name: str) -> str:
    """A name as it stands: a dollar sign would begin a formula."""
    return shortened(name, _NAME_WIDTH).replace("$", r"\$")


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    # Without the version of the library, equal pictures are equal files.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
