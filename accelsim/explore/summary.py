"""What a sweep's reader wants first: the best points, what bounds each, and what a step of each key would change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelsim.explore.database import Database
from accelsim.explore.objectives import Objective
from accelsim.explore.search import front, neighbours
from accelsim.explore.sweep import Sweep, simulate
from accelsim.profile.profile import CAUSES

if TYPE_CHECKING:
    from accelsim.explore.executors import Executor

_MOST_ROUNDS = 20
_AROUND = "around"
"""What the database keeps of the round that was begun last."""


@dataclass(frozen=True)
class Step:
    """What changes where one key takes the next value of its axis.

    Parameters
    ----------
    key : str
    value : int, float, bool or str
        That it would have.
    number : int
        The point's.
    changes : tuple of float or None
        Of each objective, relative: -0.1 is a tenth less. None where the point can't be.
    reason : str
        Why it can't; else empty.
    """

    key: str
    value: Any
    number: int
    changes: tuple[float | None, ...]
    reason: str


@dataclass(frozen=True)
class Best:
    """A point of the front.

    Parameters
    ----------
    number : int
    row : mapping
        Its columns.
    limit : str
        What bounds it, in words.
    steps : tuple of Step
    """

    number: int
    row: dict[str, Any]
    limit: str
    steps: tuple[Step, ...]

    def to_dict(self, objectives: Sequence[Objective]) -> dict[str, Any]:
        """For JSON."""
        names = [one.name for one in objectives]
        return {
            "number": self.number,
            "model": self.row["model"],
            "batch": self.row["batch"],
            "settings": json.loads(self.row["settings"]),
            **{one.name: self.row[one.column] for one in objectives},
            "schedule": self.row["schedule"],
            "limit": self.limit,
            "steps": [
                {"key": step.key, "value": step.value, "number": step.number, "reason": step.reason or None}
                | {"changes": dict(zip(names, step.changes, strict=True))}
                for step in self.steps
            ],
        }


def look_around(sweep: Sweep, database: Database, executor: Executor, objectives: Sequence[Objective]) -> int:
    """Simulate all points one step away from the front; again where one of them is better, until none is.

    The points of a round are noted before it begins: one that is killed midway goes on with them, though the front
    may be another by then.

    Returns
    -------
    int
        How many were simulated.
    """
    trials = len(database.trials()[0])
    begun = database.noted(_AROUND) or {}
    turn, points = (begun["round"], begun["points"]) if begun.get("trials") == trials else (0, [])
    simulated = simulate(sweep, database, executor, iter(points))
    while turn < _MOST_ROUNDS:
        found = {other for number in front(database, objectives) for other in neighbours(sweep, number).values()}
        points = list(database.missing(sorted(found)))
        if not points:
            break
        turn += 1
        database.note(_AROUND, {"trials": trials, "round": turn, "points": points})
        simulated += simulate(sweep, database, executor, iter(points))
    return simulated


def best_points(sweep: Sweep, database: Database, objectives: Sequence[Objective]) -> list[Best]:
    """The points of the front, each with its neighbours as far as they were simulated.

    Parameters
    ----------
    sweep : Sweep
    database : Database
    objectives : sequence of Objective
    """
    found = []
    for number in front(database, objectives):
        row = database.result(number)
        assert row is not None
        steps = []
        for (key, _), other in neighbours(sweep, number).items():
            there = database.result(other)
            if there is not None:
                steps.append(_step(sweep, key, other, row, there, objectives))
        found.append(Best(number, row, limit_of(row), tuple(steps)))
    return found


def limit_of(row: dict[str, Any]) -> str:
    """What bounds a point: where its cycles go, and how far they are from the bound."""
    by_cause = {cause: row[f"{cause}_cycles"] for cause in CAUSES}
    largest = max(by_cause, key=lambda cause: by_cause[cause])
    share, over = by_cause[largest] / row["cycles"], row["cycles"] / row["bound_cycles"]
    return f"{largest} {share:.0%}; {over:.2f} x bound ({row['bound_limit']})"


def _step(
    sweep: Sweep, key: str, number: int, row: dict[str, Any], there: dict[str, Any], objectives: Sequence[Objective]
) -> Step:
    place = [one.key for one in sweep.space.axes].index(key)
    value = sweep.space.axes[place].values[sweep.space.places(number)[1 + place]]
    changes = tuple(_change(row[one.column], there[one.column]) for one in objectives)
    return Step(key, value, number, changes, there["reason"] or "")


def _change(here: float | None, there: float | None) -> float | None:
    if here is None or there is None:
        return None
    return (there - here) / here if here else None
