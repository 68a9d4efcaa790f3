"""Two objectives against each other: every point, the front drawn, and the settings of the points on it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from accelsim.explore.figures.columns import (
    column_text,
    is_wide,
    result_text,
    tick_text,
    value_text,
    varied,
    wrapped_key,
)
from accelsim.explore.pareto import front_mask
from accelsim.profile.figures.placing import Label, place_labels
from accelsim.profile.figures.style import TINY, in_print_style, light_grid, new_figure
from accelsim.profile.palette import BLUE, SKY, VERMILION

MOST_NUMBERED = 16
"""Points of the front whose settings are listed: both ends, and those evenly between."""
_LINE_INCHES = 0.125
_HEADER_LINES = 3.4


@in_print_style
def plot_pareto(
    points: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    objectives: tuple[str, str],
    *,
    all_objectives: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Points by two objectives, both to be small, and below them the settings of those no other beats.

    Parameters
    ----------
    points : DataFrame
        Points with results, at least one, as `explore.database.read_results` gives them.
    axes : mapping of str to sequence
        Values of each swept key.
    objectives : (str, str)
        Columns.
    all_objectives : sequence of str
        Columns of all objectives, where there are more than the two: points on the front of all have a ring.
    title : str
    """
    first, second = objectives
    values = points[[first, second]].to_numpy(dtype=np.float64)
    front = front_mask(values)
    steps, numbered = _front_points(values, front)
    keys = varied(axes, points)
    table_inches = _LINE_INCHES * (len(numbered) + _HEADER_LINES + 1)
    figure = new_figure(3.9 + table_inches)
    figure.set_layout_engine("constrained", hspace=0.02, h_pad=0.06)
    plot, table = figure.subplots(2, 1, height_ratios=[3.2, table_inches])
    if is_wide(values[:, 0]):
        plot.set_xscale("log")
    if is_wide(values[:, 1]):
        plot.set_yscale("log")
    if not front.all():
        plot.plot(*values[~front].T, "o", color=SKY, markersize=3, alpha=0.7, markeredgewidth=0, label="dominated")
    stairs = _stairs(steps)
    plot.plot(*stairs.T, color=VERMILION, linewidth=1)
    plot.plot(*values[front].T, "D", color=VERMILION, markersize=4, label="not dominated in these two")
    if len(all_objectives) > 2:
        ring = front_mask(points[list(all_objectives)].to_numpy(dtype=np.float64))
        plot.plot(
            *values[ring].T, "o", markersize=7, markerfacecolor="none", color=BLUE, markeredgewidth=0.6,
            label=f"not dominated in all {len(all_objectives)}",
        )  # fmt: skip
    plot.set_xlabel(column_text(first))
    plot.set_ylabel(column_text(second))
    for axis in (plot.xaxis, plot.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_formatter(NullFormatter())
    plot.margins(0.07)
    light_grid(plot, "both")
    names = _list_settings(table, points, keys, objectives, [rows for _, rows in numbered])
    count = len(np.unique(values[front], axis=0))
    shown = f"; {len(numbered)} are numbered" if count > len(numbered) else ""
    figure.suptitle(
        f"{title}{': ' if title else ''}{column_text(second)} against {column_text(first)}\n"
        f"{len(points):,} points, {count:,} on the front{shown}; less is better in both",
        fontsize=8,
    )
    plot.legend(loc="lower right", bbox_to_anchor=(1, 0.99), ncols=3, frameon=False)
    labels = [Label(float(values[rows[0], 0]), float(values[rows[0], 1]), str(name)) for name, rows in numbered]
    written = {note.get_text() for note in place_labels(plot, labels, points=steps, lines=[stairs], boxed=True)}
    for name in names:
        if name.get_text().split()[0] not in written:
            name.set_text(f"{name.get_text()} (no room)")
    return figure


def _front_points(
    values: NDArray[np.float64], front: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], list[tuple[int, NDArray[np.int64]]]]:
    """The front's places in order, and those that get a number: with the rows of all points that are there."""
    places, which = np.unique(values[front], axis=0, return_inverse=True)
    rows = np.flatnonzero(front)
    chosen = np.unique(np.linspace(0, len(places) - 1, min(len(places), MOST_NUMBERED)).round().astype(np.int64))
    return places, [(at + 1, rows[which.reshape(-1) == place]) for at, place in enumerate(chosen)]


def _stairs(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The front as a line: what is right of and above it is beaten by one of its points."""
    corners = [places[:1]]
    for before, after in itertools.pairwise(places):
        corners.append(np.array([(after[0], before[1]), after]))
    return np.concatenate(corners)


def _list_settings(
    axes: Axes,
    points: pd.DataFrame,
    keys: Sequence[str],
    objectives: Sequence[str],
    numbered: Sequence[NDArray[np.int64]],
) -> list[Text]:
    """A line a numbered point: its settings and what it reaches; the texts of the numbers are returned."""
    headers = [
        "no.",
        *(wrapped_key(key) for key in keys),
        *(column_text(column).replace(" in ", "\nin ") for column in objectives),
    ]
    lines = []
    for at, rows in enumerate(numbered):
        point = points.iloc[int(rows[0])]
        more = f" (+{len(rows) - 1} equal)" if len(rows) > 1 else ""
        lines.append(
            [
                f"{at + 1}{more}",
                *(value_text(key, point[key]) for key in keys),
                *(result_text(float(point[column])) for column in objectives),
            ]
        )
    axes.set_axis_off()
    widths = [
        max(*(len(part) for part in header.split("\n")), *(len(line[at]) for line in lines), 4) + 2
        for at, header in enumerate(headers)
    ]
    rights = np.cumsum(widths) / sum(widths)
    height = 1 / (len(lines) + _HEADER_LINES + 1)
    for at, header in enumerate(headers):
        y = 1 - _HEADER_LINES * height
        axes.text(rights[at], y, header, ha="right", va="bottom", fontsize=TINY, fontweight="bold")
    axes.plot([0, 1], [1 - (_HEADER_LINES + 0.1) * height] * 2, color="black", linewidth=0.5, transform=axes.transAxes)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    names = []
    for row, line in enumerate(lines):
        y = 1 - (row + _HEADER_LINES + 0.6) * height
        written = [
            axes.text(rights[at], y, text, ha="right", va="center", fontsize=TINY) for at, text in enumerate(line)
        ]
        names.append(written[0])
    return names
