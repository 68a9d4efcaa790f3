"""Parallel coordinates: every point as a line across its settings and what it reaches.

Source: A. Inselberg, "The plane with parallel coordinates", The Visual Computer 1, 1985.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from accelsim.explore.figures.columns import (
    column_text,
    is_wide,
    positions,
    tick_text,
    value_text,
    varied,
    wrapped_key,
)
from accelsim.explore.pareto import front_mask
from accelsim.profile.figures.style import TINY, in_print_style, new_figure

_SPREAD = 0.3
"""Share of the room between two values of a key over which the lines of one are spread: they read as one bundle."""
_MOST_VALUES = 16
"""Values of a key that are written; of more of them only some."""


@in_print_style
def plot_parallel(
    points: pd.DataFrame, axes: Mapping[str, Sequence[Any]], objectives: Sequence[str], *, title: str = ""
) -> Figure:
    """Points across all swept keys and objectives, coloured by the first objective.

    Lines through one value of a key are spread about it, in order of the first objective, so that they can be told
    apart; those on the front of all objectives are thick.

    Parameters
    ----------
    points : DataFrame
        Points with results, at least one.
    axes : mapping of str to sequence
        Values of each swept key.
    objectives : sequence of str
        Columns, at least one.
    title : str
    """
    keys = varied(axes, points)
    first = points[objectives[0]].to_numpy(dtype=np.float64)
    scales: list[tuple[str, NDArray[np.float64], list[tuple[float, str]]]] = []
    for key in keys:
        scales.append((wrapped_key(key), *_of_key(key, axes, points, first)))
    for column in objectives:
        text = column_text(column).replace(" in ", "\nin ")
        scales.append((text, *_of_result(points[column].to_numpy(dtype=np.float64))))
    figure = new_figure(3.6)
    plot = figure.add_subplot()
    norm = (LogNorm if is_wide(first) else Normalize)(first.min(), first.max())
    lines = np.stack([places for _, places, _ in scales], axis=1)
    front = front_mask(points[list(objectives)].to_numpy(dtype=np.float64))
    # The best are drawn last, above the others.
    faint = max(0.12, min(0.6, 30 / len(points))), 0.5
    strong = 1.0, max(0.6, min(1.3, 40 / int(front.sum())))
    for mine, (alpha, width) in ((~front, faint), (front, strong)):
        order = np.flatnonzero(mine)[np.argsort(-first[mine], kind="stable")]
        across = [np.column_stack([np.arange(lines.shape[1]), lines[at]]) for at in order]
        collection = LineCollection(across, cmap="viridis", norm=norm, linewidths=width, alpha=alpha)
        collection.set_array(first[order])
        plot.add_collection(collection)
    for at, (_, _, ticks) in enumerate(scales):
        _draw_scale(plot, at, ticks)
    plot.set_xticks(range(len(scales)), [name for name, _, _ in scales])
    plot.tick_params(axis="x", length=0)
    plot.set_xlim(-0.35, len(scales) - 0.65)
    plot.set_ylim(-0.03, 1.03)
    plot.set_yticks([])
    plot.spines[["top", "right", "left", "bottom"]].set_visible(False)
    wide = is_wide(first)
    bar = figure.colorbar(
        ScalarMappable(norm, matplotlib.colormaps["viridis"]),
        ax=plot,
        pad=0.01,
        fraction=0.05,
        label=column_text(objectives[0]) + (", log scale" if wide else ""),
    )
    if wide:
        bar.locator = LogLocator(subs=(1, 2, 5))
    bar.formatter = FuncFormatter(lambda value, _: tick_text(value))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.update_ticks()
    beaten = ", ".join(column_text(column).split(" in ")[0] for column in objectives)
    figure.suptitle(
        f"{title}{': ' if title else ''}settings and results of {len(points):,} points\n"
        f"thick: the {int(front.sum()):,} no other point beats in {beaten}",
        fontsize=8,
    )
    return figure


def _of_key(
    key: str, axes: Mapping[str, Sequence[Any]], points: pd.DataFrame, order: NDArray[np.float64]
) -> tuple[NDArray[np.float64], list[tuple[float, str]]]:
    """Where each point crosses a key's scale, and what is written on it: values evenly apart."""
    values, places = positions(key, axes, points)
    room = 1 / len(values)
    aside = np.zeros(len(points))
    for at in range(len(values)):
        mine = np.flatnonzero(places == at)
        # Of one point alone the line goes through the value itself.
        aside[mine[np.argsort(order[mine], kind="stable")]] = (np.arange(len(mine)) + 0.5) / len(mine) - 0.5
    ticks = [((at + 0.5) * room, value_text(key, value)) for at, value in enumerate(values)]
    skip = -(-len(values) // _MOST_VALUES)
    return (places + 0.5 + _SPREAD * aside) * room, ticks[::skip]


def _of_result(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[tuple[float, str]]]:
    """Where each point crosses a result's scale, the least at its foot."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        return np.full(len(values), 0.5), [(0.5, tick_text(low))]
    if is_wide(values):
        places = np.log(values / low) / np.log(high / low)
        ticks = [tick for tick in LogLocator(subs=(1, 2, 5)).tick_values(low, high) if low <= tick <= high]
        return places, [(float(np.log(tick / low) / np.log(high / low)), tick_text(tick)) for tick in ticks]
    ticks = [tick for tick in MaxNLocator(6).tick_values(low, high) if low <= tick <= high]
    return (values - low) / (high - low), [((tick - low) / (high - low), tick_text(tick)) for tick in ticks]


def _draw_scale(plot: Axes, at: int, ticks: Sequence[tuple[float, str]]) -> None:
    plot.plot([at, at], [0, 1], color="black", linewidth=0.7, zorder=3)
    box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    for place, text in ticks:
        plot.plot([at - 0.02, at], [place, place], color="black", linewidth=0.7, zorder=3)
        plot.text(at - 0.035, place, text, ha="right", va="center", fontsize=TINY, bbox=box, zorder=4)
