"""What the columns of a sweep's results are called in a figure, and which of them a figure is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.explore.objectives import OBJECTIVES
from accelsim.profile.figures.style import number, text_of

_TEXTS = {
    # As the objective is called: of a batch, where there are several frames in it.
    "time_us": "latency in µs",
    "time_per_frame_us": "time a frame in µs",
    "energy_nj": "energy in nJ",
    "energy_per_frame_nj": "energy a frame in nJ",
    "area_mm2": "area in mm²",
    "cycles": "cycles",
    "bound_cycles": "lower bound in cycles",
    "dram_bytes": "DRAM bytes",
    "mac_utilization": "MAC utilization (0 to 1)",
    "macs": "MACs",
}
HIGHER_IS_BETTER = frozenset({"mac_utilization"})
LOG_FROM = 5
"""Times the smallest value that the largest has to be for a logarithmic scale."""
_KIBI = 1024


def column_of(objective: str, points: pd.DataFrame) -> str:
    """The column of an objective.

    Parameters
    ----------
    objective : str
        One of `explore.objectives.OBJECTIVES`, or a column's name.
    points : DataFrame

    Raises
    ------
    InputError
        There is no such column, or it is not of numbers.
    """
    column = OBJECTIVES[objective].column if objective in OBJECTIVES else objective
    # A column without any value is of no type yet.
    if column not in points or not (pd.api.types.is_numeric_dtype(points[column]) or points[column].isna().all()):
        known = ", ".join(dict.fromkeys([*OBJECTIVES, *(name for name in _TEXTS if name in points)]))
        raise InputError("objective", "", f"found {objective!r}", f"one of {known}")
    return column


def column_text(column: str) -> str:
    """A column in words, with its unit; a chip's key says its unit itself."""
    if column in _TEXTS:
        return _TEXTS[column]
    for ending, unit in (("_cycles", "cycles"), ("_nj", "nJ"), ("_bytes", "bytes"), ("_us", "µs"), ("_mm2", "mm²")):
        if column.endswith(ending) and "." not in column:
            return f"{column.removesuffix(ending).replace('_', ' ')} in {unit}"
    return text_of(column, 40)


def wrapped_key(key: str) -> str:
    """A chip's key over several lines, a line a part."""
    return text_of(key, 48).replace(".", ".\n")


def value_text(key: str, value: Any) -> str:
    """A swept value; bytes in KiB where that is a whole number."""
    if isinstance(value, (bool, np.bool_)):
        return str(value).lower()
    if not isinstance(value, (int, float, np.integer, np.floating)):
        return text_of(str(value), 20)
    if key.endswith("_bytes") and value and value % _KIBI == 0:
        return f"{value // _KIBI:,.0f} KiB"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def metric_text(value: float) -> str:
    """A result, short enough for a cell: three digits, and K, M or G for thousands, millions or billions."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e5, "K")):
        if abs(value) >= size:
            scale = 1e3 if letter == "K" else size
            return f"{value / scale:.3g}{letter}" if abs(value) < 1e3 * scale else f"{value / scale:,.0f}{letter}"
    return number(value)


def result_text(value: float) -> str:
    """A result for a table: four digits or more."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.4g}"


def tick_text(value: float) -> str:
    """A number on a scale, exact as such numbers are round; in M or G where it is large."""
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:,g}{letter}"
    return f"{value:,g}"


def varied(axes: Mapping[str, Sequence[Any]], points: pd.DataFrame) -> list[str]:
    """The swept keys of which the points have more than one value, in order.

    Parameters
    ----------
    axes : mapping of str to sequence
        Values of each swept key.
    points : DataFrame
    """
    return [key for key in axes if key in points and points[key].nunique(dropna=False) > 1]


def positions(key: str, axes: Mapping[str, Sequence[Any]], points: pd.DataFrame) -> tuple[list[Any], NDArray[np.int64]]:
    """The values of a key in order, and for each point which of them it has.

    Parameters
    ----------
    key : str
    axes : mapping of str to sequence
    points : DataFrame

    Returns
    -------
    (list, int64[points])
        Numbers ascend; other values stand as they were given, those that only the points have after them.
    """
    found = list(points[key].unique())
    values = [value for value in dict.fromkeys(axes.get(key, ())) if value in found]
    values += [value for value in found if value not in values]
    if all(isinstance(value, (int, float, np.integer, np.floating)) for value in values):
        values.sort()
    place = {value: at for at, value in enumerate(values)}
    return values, np.array([place[value] for value in points[key]], dtype=np.int64)


def is_wide(values: NDArray[np.float64]) -> bool:
    """Whether values need a logarithmic scale: all are positive, and far apart."""
    return bool(len(values)) and bool(values.min() > 0) and bool(values.max() >= LOG_FROM * values.min())
