"""A bar a layer, in segments: cycles by cause, energy by component."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from accelsim.profile.figures.heading import run_heading
from accelsim.profile.figures.style import (
    MOST_TICKS,
    SMALL,
    TINY,
    in_print_style,
    new_figure,
    number,
    plain_axes,
    text_by_name,
    text_of,
)
from accelsim.profile.labels import component_name
from accelsim.profile.palette import CAUSE_STYLE, COMPONENT_STYLE
from accelsim.profile.profile import Part, Profile

LAYERS_SHOWN = 40
_DIGIT_WIDTH = 0.0165
"""Room a digit needs inside a bar, as a share of the longest bar."""
_ROOM = 1.42
"""Length of the axis over the longest bar's: its sum is written behind it."""
_LEGEND_COLUMNS = 5

_Value = TypeVar("_Value", int, float)


@in_print_style
def plot_cycles(profile: Profile) -> Figure:
    """A frame's cycles: a bar a layer, its segments by cause."""
    parts = _largest(profile, lambda part: part.cycles)
    segments = {cause: np.array([part.causes[cause] for part in parts]) for cause in CAUSE_STYLE}
    sums = [f" {part.cycles:,}  ({100 * part.share:.1f} %)" for part in parts]
    left_out = sum(1 for part in profile.layers if part.cycles) - len(parts)
    figure = new_figure(_height(parts))
    axes = _draw(figure, profile, parts, segments, CAUSE_STYLE, sums)
    axes.set_xlabel(f"cycles of {profile.once}" + _left_out(left_out))
    run_heading(figure, profile, "Cycles by layer and cause")
    _legend(figure, CAUSE_STYLE, {cause: profile.total.causes[cause] for cause in CAUSE_STYLE})
    return figure


@in_print_style
def plot_energy(profile: Profile) -> Figure | None:
    """A frame's energy: a bar a layer, its segments by component; None where there is none by the chip's cost table."""
    whole = profile.total.energy_nj
    if not whole:
        return None
    parts = _largest(profile, lambda part: part.energy_nj)
    segments = {
        name: np.array([part.energy_pj[name] / 1000 for part in parts])
        for name in COMPONENT_STYLE
        if name in profile.total.energy_pj
    }
    sums = [f" {number(part.energy_nj)}  ({100 * part.energy_nj / whole:.1f} %)" for part in parts]
    left_out = sum(1 for part in profile.layers if part.energy_nj) - len(parts)
    figure = new_figure(_height(parts) + 0.15)
    axes = _draw(figure, profile, parts, segments, COMPONENT_STYLE, sums)
    axes.set_xlabel(f"energy of {profile.once} in nJ" + _left_out(left_out))
    own = " and the chip's own figures" if profile.costs.own else ""
    figures = [f"{number(whole)} nJ {profile.once}", f"by cost table {text_of(profile.costs.table)}{own}"]
    run_heading(figure, profile, "Energy by layer and component", figures)
    named = {component_name(name): style for name, style in COMPONENT_STYLE.items()}
    _legend(figure, named, {component_name(name): float(profile.total.energy_pj[name]) for name in segments})
    return figure


def _draw(
    figure: Figure,
    profile: Profile,
    parts: Sequence[Part],
    segments: Mapping[str, NDArray[np.int64] | NDArray[np.float64]],
    styles: Mapping[str, tuple[str, str]],
    sums: Sequence[str],
) -> Axes:
    axes = figure.add_subplot()
    places = np.arange(len(parts))
    ends = np.sum(list(segments.values()), axis=0)
    longest = float(ends.max())
    left = np.zeros(len(parts))
    for name, widths in segments.items():
        colour, hatch = styles[name]
        axes.barh(places, widths, left=left, height=0.72, color=colour, hatch=hatch, edgecolor="white", linewidth=0.4)
        for place, width, start in zip(places, widths, left, strict=True):
            text = f"{width:,}" if np.issubdtype(widths.dtype, np.integer) else number(width)
            if width >= _DIGIT_WIDTH * (len(text) + 1) * longest:
                _number_in_bar(axes, float(start + width / 2), float(place), text)
        left = left + widths
    for place, end, text in zip(places, ends, sums, strict=True):
        axes.text(float(end), float(place), text, va="center", ha="left", fontsize=SMALL)
    names = text_by_name([part.name for part in profile.layers])
    axes.set_yticks(places, [names[part.name] for part in parts])
    axes.invert_yaxis()
    axes.set_xlim(0, _ROOM * longest)
    plain_axes(axes, "x")
    if longest < MOST_TICKS:
        axes.xaxis.set_major_locator(MaxNLocator(MOST_TICKS))
        axes.xaxis.set_major_formatter("{x:g}")
    return axes


def _largest(profile: Profile, size: Callable[[Part], float]) -> list[Part]:
    """All parts that are not empty, in order; of very many only the largest."""
    parts = [part for part in profile.layers if size(part)]
    if len(parts) <= LAYERS_SHOWN:
        return parts
    least = sorted((size(part) for part in parts), reverse=True)[LAYERS_SHOWN - 1]
    return [part for part in parts if size(part) >= least][:LAYERS_SHOWN]


def _height(parts: Sequence[Part]) -> float:
    """Inches: a line a layer, the heading, the axis and the legend."""
    return 1.35 + 0.24 * len(parts)


def _left_out(count: int) -> str:
    return f" (layers that took less are left out: {count})" if count else ""


def _legend(figure: Figure, styles: Mapping[str, tuple[str, str]], totals: Mapping[str, float]) -> None:
    """The segments' names with their share of the whole, those that have one."""
    whole = sum(totals.values())
    shown = {name: value for name, value in totals.items() if value}
    figure.legend(
        handles=[
            Patch(
                facecolor=styles[name][0],
                hatch=styles[name][1],
                edgecolor="white",
                label=f"{name} {100 * value / whole:.1f} %",
            )
            for name, value in shown.items()
        ],
        loc="outside lower center",
        ncols=min(_LEGEND_COLUMNS, len(shown)) if len(shown) <= _LEGEND_COLUMNS else -(-len(shown) // 2),
        frameon=False,
        handlelength=2.2,
    )


def _number_in_bar(axes: Axes, x: float, y: float, text: str) -> None:
    box = {"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    axes.text(x, y, text, va="center", ha="center", fontsize=TINY, bbox=box)
