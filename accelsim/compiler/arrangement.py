"""Which of the ways to run a graph a program takes, and their names."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from accelsim.compiler.stages import Plan, Sequence, Stage

STEPWISE, WAVEFRONT, HOISTED, INTERLEAVED = SCHEDULES = ("stepwise", "wavefront", "hoisted", "interleaved")
"""Schedules by the name a user gives."""


@dataclass(frozen=True)
class Arrangement:
    """How the layers of a graph follow each other.

    Parameters
    ----------
    name : str
        Of the schedule it is a case of, where a user is to see that one first.
    hoisted : frozenset of str
        Layers whose products with the input are done ahead, for many steps at once.
    apart : frozenset of str
        Layers that begin when all steps of their input are in DRAM.
    lags : tuple of int
        Steps between layers to choose from, by the estimate; empty for all there can be.
    side_by_side : bool
        Layers that read sequences, as directions do, begin together.
    """

    name: str = ""
    hoisted: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()
    lags: tuple[int, ...] = ()
    side_by_side: bool = True


def lags_between(plan: Plan) -> set[int]:
    """Distances between recurrent layers that feed each other in one loop."""
    return {
        stage.delay - segment.stages[stage.source].delay
        for segment in plan.segments
        for stage in segment.stages
        if isinstance(stage.source, int) and stage.cell.is_recurrent
    }


def side_by_side(plan: Plan) -> list[tuple[Stage, Stage]]:
    """Layers that read sequences, as the two directions do, and handle steps in the same waves."""
    found = []
    for segment in plan.segments:
        readers = [stage for stage in segment.stages if isinstance(stage.source, Sequence)]
        for one, other in combinations(readers, 2):
            spans = one.waves(one.first, one.last), other.waves(other.first, other.last)
            if spans[0][0] < spans[1][1] and spans[1][0] < spans[0][1]:
                found.append((one, other))
    return found


def describe(plan: Plan, name: str = "") -> str:
    """The schedule of a plan with delays in a few words, for the program file: its name first, then details.

    Without a name it is that of what shapes the program most: `hoisted`, else `wavefront`, else `interleaved`, else
    `stepwise`.
    """
    stages = [stage for segment in plan.segments for stage in segment.stages]
    hoisted = sum(stage.hoisted for stage in stages)
    words = []
    if hoisted:
        words.append(f"{HOISTED}, inputs of {hoisted} of {len(stages)} layers ahead of their steps")
    lags = sorted(lag for lag in lags_between(plan) if lag < stages[0].steps_there)
    if lags:
        apart = f"{lags[0]}" if len(lags) == 1 else f"{lags[0]} to {lags[-1]}"
        words.append(f"{WAVEFRONT}, {apart} step{'s' if lags[-1] > 1 else ''} between layers")
    pairs = side_by_side(plan)
    if pairs:
        recurrent = any(one.cell.is_recurrent and other.cell.is_recurrent for one, other in pairs)
        words.append(f"{INTERLEAVED} {'directions' if recurrent else 'branches'}")
    words.sort(key=lambda one: not name or not one.startswith(name))
    return "; ".join(words) or f"{STEPWISE}, layer after layer"
