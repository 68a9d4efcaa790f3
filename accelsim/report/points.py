"""The points of a sweep as rows of plain values, with what is worked out of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.explore.objectives import OBJECTIVES
from accelsim.explore.pareto import front_mask
from accelsim.profile.energy import COMPONENTS
from accelsim.profile.labels import component_name, on_a_line, printable
from accelsim.profile.profile import CAUSES
from accelsim.report.columns import Column, decimals_for

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CAUSES", "METRICS", "Points", "key_columns", "point_columns", "points_of"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a point that can be an axis.

    Parameters
    ----------
    title, unit : str
    more : bool
        Whether more of it is better.
    adds_up : bool
        Whether a batch of more frames has more of it: it is a batch's then, and called so where there are such.
    """

    title: str
    unit: str
    more: bool = False
    adds_up: bool = False


COMPONENT_COLUMNS = tuple(f"energy_{name}_nj" for name in COMPONENTS)
METRICS = {
    "time_us": Metric("time", "µs", adds_up=True),
    "cycles": Metric("cycles", "", adds_up=True),
    "time_per_frame_us": Metric("time a frame", "µs"),
    "energy_nj": Metric("energy", "nJ", adds_up=True),
    "energy_per_frame_nj": Metric("energy a frame", "nJ"),
    "area_mm2": Metric("area", "mm²"),
    "dram_bytes": Metric("DRAM traffic", "bytes", adds_up=True),
    "utilization": Metric("MAC utilization", "%", more=True),
    "ratio": Metric("over bound", "×"),
}
_A_FRAME = {"time_per_frame_us": "time_us", "energy_per_frame_nj": "energy_nj"}
"""What is the same in a sweep without batches."""
_BY_DEFAULT = ("time_per_frame_us", "energy_per_frame_nj", "area_mm2")
"""A frame's, so that batches can be compared."""


@dataclass(frozen=True)
class Points:
    """Points that are done, and those that failed.

    Parameters
    ----------
    rows, failed : list of dict
        In order of their numbers. What is not known is None.
    keys : list of str
        What differs between points: swept keys, then the batch, then the schedule asked for.
    columns : list of str
        All that `rows` have.
    metrics, objectives : list of str
        Of `METRICS`, those known of any point; and those the front is of.
    groups : dict of str to list of int
        Places in `rows` of the points that can be compared: those of a network.
    front : list of bool
        For each of `rows`, whether no other of its group is better in one objective and as good in all.
    decimals : dict of str to int
        Places after the point of each metric.
    """

    rows: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    keys: list[str]
    columns: list[str]
    metrics: list[str]
    objectives: list[str]
    groups: dict[str, list[int]]
    front: list[bool]
    decimals: dict[str, int]

    @property
    def has_batches(self) -> bool:
        """Whether any point is of more frames than one."""
        return any(row["batch"] != 1 for row in (*self.rows, *self.failed))

    @property
    def whose(self) -> str:
        """Of what figures are."""
        return "a batch" if self.has_batches else "a frame"

    def metric(self, key: str) -> Metric:
        """A metric, called what it is here: of a batch, where there are batches."""
        metric = METRICS[key]
        if not (metric.adds_up and self.has_batches):
            return metric
        return replace(metric, title=f"{metric.title} of {self.whose}")


def points_of(frame: pd.DataFrame, axes: Mapping[str, Sequence[Any]], objectives: Sequence[str]) -> Points:
    """The points of a table.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `sweep.Results` has it.
    axes : mapping of str to sequence
        The swept keys and their values.
    objectives : sequence of str
        A search's, by their names; empty for a sweep, whose front is of time, energy and area, where known.
    """
    rows, failed = [], []
    for record in frame.sort_values("number", kind="stable").to_dict("records"):
        row = {str(key): _plain(value) for key, value in record.items()}
        if row["status"] == "done":
            rows.append(_with_figures(row))
        else:
            failed.append(row | {"reason": on_a_line(str(row["reason"] or ""))})
    keys = [key for key in axes if key in frame.columns and key != "batch"]
    if len({row["batch"] for row in (*rows, *failed)}) > 1:
        keys.append("batch")
    if len({row["schedule_asked"] for row in (*rows, *failed)}) > 1:
        keys.append("schedule_asked")
    known = [key for key in METRICS if any(row.get(key) for row in rows)]
    wanted = [OBJECTIVES[name].column for name in objectives if name in OBJECTIVES] or list(_BY_DEFAULT)
    if all(row["batch"] == 1 for row in rows):
        known = [key for key in known if key not in _A_FRAME]
        wanted = [_A_FRAME.get(key, key) for key in wanted]
    chosen = [key for key in dict.fromkeys(wanted) if key in known] or known[:1]
    groups: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        groups.setdefault(str(row["model"]), []).append(at)
    front = np.zeros(len(rows), dtype=bool)
    for places in groups.values():
        values = np.array([[_number(rows[at][key]) for key in chosen] for at in places])
        front[places] = front_mask(values)
    for row, first in zip(rows, front.tolist(), strict=True):
        row["front"] = "yes" if first else ""
    decimals = {key: _decimals([row.get(key) for row in rows]) for key in known}
    decimals |= {key: min(2, decimals[key]) for key in ("utilization", "ratio") if key in decimals}
    columns = list(rows[0]) if rows else []
    return Points(rows, failed, keys, columns, known, chosen, groups, front.tolist(), decimals)


def point_columns(points: Points) -> list[Column]:
    """The columns of the table of points that are done."""
    if not points.rows:
        return key_columns(points, with_reason=False)
    whose = points.whose
    shown = [
        Column(
            key,
            points.metric(key).title,
            METRICS[key].unit,
            decimals=points.decimals[key],
            shown=key != "dram_bytes" or len(points.keys) <= 3,
        )
        for key in (
            *("cycles", "time_us", "time_per_frame_us", "ratio", "utilization"),
            *("energy_nj", "energy_per_frame_nj", "area_mm2", "dram_bytes"),
        )
        if key in points.metrics
    ]
    hidden = [
        Column("bound_cycles", "lower bound", "cycles", shown=False, help=f"Of {whose}."),
        Column(
            "setup_cycles", "set-up", "cycles", shown=False, help="Once, before the first frame; in no other figure."
        ),
        Column("macs", "MACs", shown=False, help=f"Of {whose}."),
        *(
            Column(f"{cause}_cycles", cause, "cycles", shown=False, help=f"Cycles of {whose} by cause.")
            for cause in CAUSES
        ),
        *(
            Column(
                key,
                component_name(key[len("energy_") : -len("_nj")]),
                "nJ",
                decimals=None,
                shown=False,
                help=f"Of {whose}.",
            )
            for key in points.columns
            if key in COMPONENT_COLUMNS
        ),
        Column("schedule", "schedule", kind="text", shown=False, help="The one that was taken."),
    ]
    return [
        *key_columns(points, with_reason=False),
        *shown,
        Column("bound_limit", "bounded by", kind="text", help="What sets the lower bound."),
        Column("cause", "most cycles in", kind="text", help="The cause that most cycles have."),
        Column("front", "front", kind="text", help="On the Pareto front of the objectives."),
        *hidden,
    ]


def key_columns(points: Points, *, with_reason: bool) -> list[Column]:
    """The columns that say which point it is, and why it failed."""
    every = [*points.rows, *points.failed]
    columns = [Column("number", "#", help="The point's number.")]
    if len({row["model"] for row in every}) > 1:
        columns.append(Column("model", "model", kind="text"))
    for key in points.keys:
        text = any(not isinstance(row[key], int | float | None) or isinstance(row[key], bool) for row in every)
        unit = "frames" if key == "batch" else ""
        columns.append(Column(key, key, unit, kind="text" if text else "number", decimals=None))
    if with_reason:
        columns.append(Column("reason", "reason", kind="text"))
    return columns


def _with_figures(row: dict[str, Any]) -> dict[str, Any]:
    causes = {cause: row[f"{cause}_cycles"] or 0 for cause in CAUSES}
    return row | {
        "utilization": None if row["mac_utilization"] is None else 100 * row["mac_utilization"],
        "ratio": row["cycles"] / row["bound_cycles"] if row["bound_cycles"] else None,
        "cause": max(causes, key=lambda cause: causes[cause]),
        "schedule": printable(str(row["schedule"] or "")),
    }


def _plain(value: Any) -> Any:
    """A cell as Python's own; None for none, integers where they are whole."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, bool | int | str) or value is None:
        return value
    # What pandas has for nothing in columns of texts and whole numbers.
    return None if str(value) in ("<NA>", "NaT") else str(value)


def _decimals(values: Sequence[float | None]) -> int:
    present = [abs(value) for value in values if value is not None]
    if all(isinstance(value, int) for value in present):
        return 0
    return decimals_for(float(np.median(present)))


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
