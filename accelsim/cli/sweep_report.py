"""What `accelsim sweep` prints at its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from accelsim.cli.console import note, say, show, table

if TYPE_CHECKING:
    from accelsim.explore.database import Database
    from accelsim.explore.objectives import Objective
    from accelsim.explore.search import Found
    from accelsim.explore.summary import Best
    from accelsim.explore.sweep import Outcome, Sweep

_FRONT_SHOWN = 12
_STEPS_SHOWN = 4
"""Points of the front whose neighbours are shown."""
_REASONS_SHOWN = 3


def print_grid(sweep: Sweep, database: Database, outcome: Outcome) -> None:
    """How many points there are, the best of each figure and model, and why points failed."""
    from accelsim.explore.objectives import OBJECTIVES

    before = outcome.points - outcome.simulated
    there = f", {before:,} of them there before" if before else ""
    say(f"{_points(outcome.points)}{there}; {outcome.failed:,} failed")
    shown = [OBJECTIVES[name] for name in ("latency", "energy", "area")]
    rows = [
        (str(row["model"]), f"least {objective.name}", *_figures(row, shown), _settings(row, sweep))
        for model in sweep.models
        for objective in shown
        if (row := database.least(objective.column, model.name)) is not None
    ]
    # Of networks that do different work the least of all would say nothing of the others.
    heads = ("model", "", *(one.title for one in shown), "settings")
    if len(sweep.models) == 1:
        heads, rows = heads[1:], [row[1:] for row in rows]
    if rows:
        show(table(heads, rows, left=("model", "", "settings"), wrapped=("settings",)))
    print_reasons(database)


def print_search(
    sweep: Sweep, database: Database, objectives: Sequence[Objective], found: Found, best: Sequence[Best]
) -> None:
    """The front, what bounds each of its points, and what a step of each key would change."""
    points, failed = database.count()
    how = "every point there is" if found.is_whole else f"{found.trials:,} trials"
    say(f"{how}; {_points(points)} simulated in all, {failed:,} failed; {len(best):,} that no other is better than")
    heads = ("point", *(one.title for one in objectives), "settings", "what bounds it")
    rows = [
        (str(one.number), *_figures(one.row, objectives), _model_and_settings(one.row, sweep), one.limit)
        for one in best[:_FRONT_SHOWN]
    ]
    if rows:
        words = ("settings", "what bounds it")
        show(table(heads, rows, left=words, wrapped=words))
    steps = [
        (str(one.number), f"{step.key} = {step.value}", *_changes(step.changes), step.reason[:60])
        for one in best[:_STEPS_SHOWN]
        for step in one.steps
    ]
    if steps:
        some = "each of them" if len(best) <= _STEPS_SHOWN else f"the first {_STEPS_SHOWN} of them"
        say(f"one step from {some}:")
        heads = ("point", "with", *(one.name for one in objectives), "")
        if not any(row[-1] for row in steps):
            heads, steps = heads[:-1], [row[:-1] for row in steps]
        show(table(heads, steps, left=("with", ""), wrapped=("",)))
    if len(best) > _FRONT_SHOWN:
        say(f"... and {len(best) - _FRONT_SHOWN:,} more points: --json, --export and `accelsim report` have all")
    print_reasons(database)


def print_reasons(database: Database) -> None:
    """The most frequent reasons for which points failed."""
    reasons = database.reasons()
    for reason, count in reasons[:_REASONS_SHOWN]:
        note(f"{_points(count)}: {reason}")
    if len(reasons) > _REASONS_SHOWN:
        note(f"{len(reasons) - _REASONS_SHOWN:,} more reasons: the points' column `reason` has all")


def _figures(row: dict[str, Any], objectives: Sequence[Objective]) -> list[str]:
    return [_figure(row[one.column]) for one in objectives]


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _changes(changes: Sequence[float | None]) -> list[str]:
    return ["-" if one is None else f"{one:+.1%}" for one in changes]


def _points(count: int) -> str:
    return f"{count:,} point{'' if count == 1 else 's'}"


def _model_and_settings(row: dict[str, Any], sweep: Sweep) -> str:
    settings = _settings(row, sweep)
    return f"{row['model']} {settings}" if len(sweep.models) > 1 else settings


def _settings(row: dict[str, Any], sweep: Sweep) -> str:
    parts = [f"{key}={value}" for key, value in json.loads(row["settings"]).items()]
    if any(one.key == "batch" for one in sweep.axes):
        parts.append(f"batch={row['batch']}")
    return " ".join(parts)
