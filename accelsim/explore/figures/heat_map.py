"""A result over two swept keys."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from accelsim.explore.figures.columns import (
    HIGHER_IS_BETTER,
    column_text,
    is_wide,
    metric_text,
    positions,
    tick_text,
    value_text,
    varied,
)
from accelsim.explore.results import DONE
from accelsim.profile.figures.style import SMALL, in_print_style, new_figure

_MOST_TICKS = 24
_CELL_INCHES, _MOST_INCHES = 0.24, 4.5
"""Height of a cell, and of all at most."""
_LETTER_INCHES = 0.062
"""Of a number in a cell."""
_TITLE_LETTERS = 100
_DARK = 0.55
"""Luminance below which a cell's number is white."""


def strongest_keys(points: pd.DataFrame, axes: Mapping[str, Sequence[Any]], metric: str) -> list[str]:
    """The swept keys by how much they move a result: the best at each value of a key, the worst of them over the best.

    Parameters
    ----------
    points : DataFrame
        Those with results.
    axes : mapping of str to sequence
    metric : str
    """

    def moved(key: str) -> float:
        best = best_of(points.groupby(key)[metric], metric)
        low, high = float(best.min()), float(best.max())
        return high / low if low > 0 else high - low

    # Stable: of equal ones the first swept.
    return sorted(varied(axes, points), key=moved, reverse=True)


def best_of(groups: Any, metric: str) -> Any:
    """The best of each group: the least, or the most of what is better the higher."""
    return groups.max() if metric in HIGHER_IS_BETTER else groups.min()


@in_print_style
def plot_heat_map(
    points: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    keys: tuple[str, str],
    metric: str,
    *,
    title: str = "",
) -> Figure:
    """A result over two swept keys: of the points that a cell stands for, the best.

    Parameters
    ----------
    points : DataFrame
        As `explore.database.read_results` gives them, failed ones too: a cell in which all have failed is marked.
    axes : mapping of str to sequence
        Values of each swept key.
    keys : (str, str)
        Along the lower and the left edge.
    metric : str
        A column of numbers, of which at least one is known.
    title : str
    """
    columns, at_x = positions(keys[0], axes, points)
    rows, at_y = positions(keys[1], axes, points)
    values = points[metric].to_numpy(dtype=np.float64)
    values = np.where(np.isfinite(values) & (points["status"] == DONE).to_numpy(), values, np.nan)
    cells = _best(values, at_y, at_x, (len(rows), len(columns)), metric)
    tried = np.zeros(cells.shape, dtype=np.bool_)
    tried[at_y, at_x] = True
    figure = new_figure(1.5 + min(_MOST_INCHES, max(_CELL_INCHES * len(rows), 1.2)))
    plot = figure.add_subplot()
    known = cells[np.isfinite(cells)]
    norm = (LogNorm if is_wide(known) else Normalize)(known.min(), known.max())
    image = plot.imshow(cells, cmap="cividis", norm=norm, aspect="auto", origin="lower", interpolation="nearest")
    wide = is_wide(known)
    bar = figure.colorbar(image, ax=plot, pad=0.015, label=column_text(metric) + (", log scale" if wide else ""))
    if wide:
        bar.locator = LogLocator(subs=(1, 2, 5))
    bar.formatter = FuncFormatter(lambda value, _: tick_text(value))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.update_ticks()
    _ticks(plot, keys, columns, rows)
    others = [key for key in varied(axes, points) if key not in keys]
    failed = tried & ~np.isfinite(cells)
    for y, x in np.argwhere(failed):
        corner = float(x) - 0.5, float(y) - 0.5
        plot.add_patch(Rectangle(corner, 1, 1, facecolor="#EEEEEE", hatch="xxxx", edgecolor="#888888", linewidth=0))
    most = "most" if metric in HIGHER_IS_BETTER else "least"
    notes = [f"each cell: the {most} over {', '.join(others)}"] if others else []
    notes += ["hatched: all failed"] if failed.any() else []
    notes += ["white: not tried"] if not tried.all() else []
    figure.suptitle(
        f"{title}{': ' if title else ''}{column_text(metric)} over {keys[0]} and {keys[1]}"
        + "".join(f"\n{line}" for line in textwrap.wrap("; ".join(notes), _TITLE_LETTERS)),
        fontsize=8,
    )
    figure.draw_without_rendering()
    _numbers(plot, cells, image)
    return figure


def _best(
    values: NDArray[np.float64], at_y: NDArray[np.int64], at_x: NDArray[np.int64], shape: tuple[int, int], metric: str
) -> NDArray[np.float64]:
    cells = np.full(shape, np.nan)
    choose = np.fmax if metric in HIGHER_IS_BETTER else np.fmin
    choose.at(cells, (at_y, at_x), values)
    return cells


def _ticks(plot: Axes, keys: tuple[str, str], columns: Sequence[Any], rows: Sequence[Any]) -> None:
    for axis, key, values in ((plot.xaxis, keys[0], columns), (plot.yaxis, keys[1], rows)):
        skip = -(-len(values) // _MOST_TICKS)
        places = range(0, len(values), skip)
        texts = [value_text(key, values[place]) for place in places]
        upright = axis is plot.xaxis and sum(len(text) + 2 for text in texts) > 90
        axis.set_ticks(list(places), texts, rotation=90 if upright else 0)
    plot.set_xlabel(keys[0])
    plot.set_ylabel(keys[1])
    plot.tick_params(length=0)


def _numbers(plot: Axes, cells: NDArray[np.float64], image: Any) -> None:
    """Each cell's number, where all of them fit."""
    figure = plot.figure
    box = plot.get_window_extent()
    width, height = box.width / figure.dpi / cells.shape[1], box.height / figure.dpi / cells.shape[0]
    texts = {(int(y), int(x)): metric_text(float(cells[y, x])) for y, x in np.argwhere(np.isfinite(cells))}
    if height < 0.12 or _LETTER_INCHES * (max(map(len, texts.values())) + 1) > width:
        return
    colours = matplotlib.colormaps["cividis"]
    for (y, x), text in texts.items():
        red, green, blue, _ = colours(float(image.norm(cells[y, x])))
        dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < _DARK
        plot.text(x, y, text, ha="center", va="center", fontsize=SMALL, color="white" if dark else "black")
