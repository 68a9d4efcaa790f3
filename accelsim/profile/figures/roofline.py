"""The roofline: what each layer does in a cycle, against how much it does with a byte from DRAM.

Source: S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for multicore
architectures", Communications of the ACM 52 (4), 2009; with cycles for seconds and MACs for operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from accelsim.profile.figures.heading import run_heading
from accelsim.profile.figures.placing import Label, joined_labels, place_labels
from accelsim.profile.figures.style import SMALL, in_print_style, light_grid, new_figure, number, text_by_name
from accelsim.profile.palette import BLUE, ORANGE, VERMILION
from accelsim.profile.profile import Part, Profile

NAMED_LAYERS = 16
"""Layers with a name, those that take most cycles; the others are points alone."""
_WITHOUT_DRAM_AT = 6
"""How far right of the last point those without DRAM traffic stand, as a factor."""
_WHOLE: dict[str, Any] = {"color": ORANGE, "markersize": 11, "markeredgecolor": "black", "markeredgewidth": 0.6}


@dataclass(frozen=True)
class Point:
    """A layer in the roofline.

    Parameters
    ----------
    name : str
    macs_per_byte : float or None
        Multiply-accumulates a byte read from or written to DRAM; None without DRAM traffic.
    macs_per_cycle : float
        Over the cycles the layer has in the profile.
    cycles : int
    """

    name: str
    macs_per_byte: float | None
    macs_per_cycle: float
    cycles: int


def roofline_points(profile: Profile) -> list[Point]:
    """The layers that have multiply-accumulates, in order.

    Parameters
    ----------
    profile : Profile
    """
    return [_point(part) for part in profile.layers if part.macs and part.cycles]


def _point(part: Part) -> Point:
    return Point(part.name, part.macs_per_dram_byte, part.macs / part.cycles, part.cycles)


@in_print_style
def plot_roofline(profile: Profile) -> Figure | None:
    """Each layer and the whole run below the array's peak and the bus's slope; None without multiply-accumulates.

    A layer's bytes may pass while cycles of another are counted (its weights are loaded ahead), so a layer may stand
    above the slope; the whole run can't.
    """
    points = roofline_points(profile)
    if not points:
        return None
    whole = _point(profile.total)
    peak, limit = float(profile.total.peak_macs), profile.bandwidth.limit_bytes_per_cycle
    ridge = peak / limit
    known = [point.macs_per_byte for point in [*points, whole] if point.macs_per_byte is not None]
    left, right = min([*known, ridge]) / 4, max([*known, ridge]) * 4
    apart = any(point.macs_per_byte is None for point in [*points, whole])
    strip = right * _WITHOUT_DRAM_AT**0.5
    end = right * _WITHOUT_DRAM_AT if apart else right
    lowest = min([point.macs_per_cycle for point in [*points, whole]] + [peak / 10])
    figure = new_figure(4.1)
    axes = figure.add_subplot()
    axes.set(xscale="log", yscale="log", xlim=(left, end), ylim=(lowest / 3, peak * 3))
    slope = np.array([(left, left * limit), (ridge, peak)])
    roof = np.array([(ridge, peak), (end, peak)])
    axes.plot(*slope.T, color=VERMILION, linewidth=1.4, linestyle="--", label=f"DRAM bus: {number(limit)} bytes/cycle")
    axes.plot(*roof.T, color="black", linewidth=1.4, label=f"array: {number(peak)} MACs/cycle")
    axes.plot([ridge, ridge], [lowest / 3, peak], color="#888888", linewidth=0.6, linestyle=":")
    if apart:
        axes.axvline(right, color="#888888", linewidth=0.6)
    where = np.array([(point.macs_per_byte or strip, point.macs_per_cycle) for point in points])
    inside = np.array([point.macs_per_byte is not None for point in points])
    axes.plot(*where[inside].T, "o", color=BLUE, markersize=5, markeredgecolor="white", markeredgewidth=0.5)
    axes.plot(*where[~inside].T, ">", color=BLUE, markersize=5, markeredgecolor="white", markeredgewidth=0.5)
    axes.plot(whole.macs_per_byte or strip, whole.macs_per_cycle, "*", zorder=1.9, **_WHOLE)
    axes.set_xlabel(
        f"MACs per DRAM byte (ridge at {number(ridge)})" + ("; right of the line: no DRAM traffic" if apart else "")
    )
    axes.set_ylabel("MACs per cycle")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    light_grid(axes, "both")
    run_heading(figure, profile, "Roofline")
    _legend(figure, profile, points, above=_above(points, limit))
    largest = sorted(range(len(points)), key=lambda at: -points[at].cycles)[:NAMED_LAYERS]
    names = text_by_name([part.name for part in profile.layers])
    labels = [Label(float(where[at, 0]), float(where[at, 1]), names[points[at].name], at) for at in largest]
    marks = np.vstack([where, [(whole.macs_per_byte or strip, whole.macs_per_cycle)]])
    joined = joined_labels(axes, labels)
    written = {note.get_text() for note in place_labels(axes, joined, points=marks, lines=[slope, roof], size=SMALL)}
    without = [label for label in joined if label.text not in written]
    if without:
        axes.set_xlabel(f"{axes.get_xlabel()}; names that found no room: {len(without)}")
    return figure


def _above(points: list[Point], limit: float) -> int:
    """Layers above the slope."""
    return sum(
        1 for point in points if point.macs_per_byte is not None and point.macs_per_cycle > point.macs_per_byte * limit
    )


def _legend(figure: Figure, profile: Profile, points: list[Point], *, above: int) -> None:
    axes = figure.axes[0]
    lines, _ = axes.get_legend_handles_labels()
    marks = [
        Line2D([], [], linestyle="", marker="o", color=BLUE, markersize=5, label="a layer, over its own cycles"),
        Line2D([], [], linestyle="", marker="*", label="the whole run", **_WHOLE),
    ]
    if above:
        marks.append(Line2D([], [], linestyle="", label=f"above the slope: {above}; bytes came in others' cycles"))
    without = sum(1 for part in profile.layers[:-1] if part.cycles and not part.macs)
    if without:
        marks.append(Line2D([], [], linestyle="", label=f"layers not drawn, without MACs: {without}"))
    if len(points) > NAMED_LAYERS:
        marks.append(Line2D([], [], linestyle="", label=f"named: the {NAMED_LAYERS} that take most cycles"))
    figure.legend(handles=[*lines, *marks], loc="outside lower center", ncols=2, frameon=False)
