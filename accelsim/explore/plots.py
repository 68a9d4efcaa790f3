"""A sweep's results as pictures. matplotlib is imported here."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from accelsim.explore.figures.columns import column_of, varied
from accelsim.explore.figures.heat_map import plot_heat_map, strongest_keys
from accelsim.explore.figures.parallel import plot_parallel
from accelsim.explore.figures.pareto import plot_pareto
from accelsim.explore.results import DONE
from accelsim.profile.figures.style import Format, picture_files, text_of

_OBJECTIVES = ("latency", "energy", "area")
"""Where none are asked for."""
_PAIRS_OF = 3
"""Objectives of which each pair has a scatter; of more, the first ones."""


def sweep_plot_files(
    points: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    objectives: Sequence[str],
    *,
    formats: Sequence[Format] = ("png",),
    note: Callable[[str], None] | None = None,
) -> dict[str, bytes]:
    """`draw_sweep_plots` as files, by name."""
    return picture_files(draw_sweep_plots(points, axes, objectives, note=note), formats)


def draw_sweep_plots(
    points: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    objectives: Sequence[str],
    *,
    note: Callable[[str], None] | None = None,
) -> dict[str, Figure]:
    """The figures of a sweep: of each pair of objectives, of the two keys that move each objective most, of all keys.

    Points of several models have figures of their own, as they do different work; those of several batches too, unless
    the batch is one of the keys swept.

    Parameters
    ----------
    points : DataFrame
        As `explore.database.read_results` gives them, failed ones too.
    axes : mapping of str to sequence
        Values of each swept key, by its dotted name.
    objectives : sequence of str
        Names of `explore.objectives`, or columns, each to be small; none for latency, energy and area, those that have
        values.
    note : callable, optional
        Is told which figure is left out, and why.

    Returns
    -------
    dict of str to Figure
        By name: ``pareto_Y_over_X``, ``heat_map_X``, ``parallel``, with the model and batch where there are several.

    Raises
    ------
    InputError
        An objective that the results don't have.
    """
    tell = note or (lambda text: None)
    if not (points["status"] == DONE).any():
        tell(f"no figures: no point of {len(points):,} has a result")
        return {}
    wanted = [column_of(objective, points) for objective in objectives or _OBJECTIVES]
    figures: dict[str, Figure] = {}
    for ending, title, group in _groups(points, axes):
        done = group[group["status"] == DONE]
        known = []
        for column in dict.fromkeys(wanted):
            if np.isfinite(done[column].to_numpy(dtype=np.float64)).any():
                known.append(column)
            elif objectives:
                tell(f"no figure of {column}{ending}: no point has a value")
        done = done[np.isfinite(done[known].to_numpy(dtype=np.float64)).all(axis=1)]
        if not known or done.empty:
            tell(f"no figures{ending}: no point has results")
            continue
        figures |= {f"{name}{ending}": figure for name, figure in _draw(group, done, axes, known, title, ending, tell)}
    return figures


def _draw(
    points: pd.DataFrame,
    done: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    objectives: list[str],
    title: str,
    ending: str,
    tell: Callable[[str], None],
) -> Iterator[tuple[str, Figure]]:
    pairs = list(itertools.combinations(objectives[:_PAIRS_OF], 2))
    if not pairs:
        tell(f"no pareto{ending}: there is one objective, {objectives[0]}")
    elif len(done) == 1:
        tell(f"no pareto{ending}: one point has results")
        pairs = []
    for first, second in pairs:
        figure = plot_pareto(done, axes, (first, second), all_objectives=objectives, title=title)
        yield f"pareto_{second}_over_{first}", figure
    keys = varied(axes, points)
    if len(keys) < 2:
        tell(f"no heat_map{ending}: it takes two keys of several values, here are {len(keys)}")
    for column in objectives:
        # Keys that only failed points vary are no use to a picture of results, unless there are no others.
        strongest = [*strongest_keys(done, axes, column), *keys]
        chosen = list(dict.fromkeys(strongest))[:2]
        if len(chosen) == 2:
            # The key first swept along the lower edge, so that maps of several objectives lie alike.
            first, second = sorted(chosen, key=keys.index)
            yield f"heat_map_{column}", plot_heat_map(points, axes, (first, second), column, title=title)
    if len(done) > 1 and varied(axes, done):
        yield "parallel", plot_parallel(done, axes, objectives, title=title)
    else:
        tell(f"no parallel{ending}: the points with results are all of the same settings")


def _groups(points: pd.DataFrame, axes: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """The points of each model and batch, with an ending for names of files and a title."""
    several = [key for key in ("model", "batch") if points[key].nunique() > 1 and key not in axes]
    if not several:
        models = points["model"].unique()
        yield "", text_of(str(models[0])) if len(models) else "", points
        return
    for value, group in points.groupby(several, sort=False):
        named = dict(zip(several, value, strict=True))
        texts = [str(part) if key == "model" else f"batch {part}" for key, part in named.items()]
        yield "_" + re.sub(r"[^A-Za-z0-9.-]+", "_", "_".join(texts)), text_of(", ".join(texts), 40), group
