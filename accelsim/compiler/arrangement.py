"""Which of the ways to run a graph a program takes."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.compiler.stages import Plan, Sequence


@dataclass(frozen=True)
class Arrangement:
    """How the layers of a graph follow each other.

    Parameters
    ----------
    hoisted : frozenset of str
        Layers whose products with the input are done ahead, for many steps at once.
    apart : frozenset of str
        Layers that begin when all steps of their input are in DRAM.
    lags : tuple of int
        Steps between layers to choose from, by the estimate; empty for all there can be.
    side_by_side : bool
        Layers that read sequences, as directions do, begin together.
    """

    hoisted: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()
    lags: tuple[int, ...] = ()
    side_by_side: bool = True


STEPWISE, WAVEFRONT, HOISTED, INTERLEAVED = SCHEDULES = ("stepwise", "wavefront", "hoisted", "interleaved")
"""Schedules by the name a user gives."""


def lag_between(plan: Plan) -> int | None:
    """The largest distance between recurrent layers that feed each other in one loop; None where none do."""
    lags = [
        stage.delay - segment.stages[stage.source].delay
        for segment in plan.segments
        for stage in segment.stages
        if isinstance(stage.source, int) and stage.cell.is_recurrent
    ]
    return max(lags, default=None)


def is_side_by_side(plan: Plan) -> bool:
    """Whether recurrent layers that read sequences handle steps in the same waves."""
    for segment in plan.segments:
        spans = [
            stage.waves(stage.first, stage.last)
            for stage in segment.stages
            if isinstance(stage.source, Sequence) and stage.cell.is_recurrent
        ]
        if any(one is not other and one[0] < other[1] and other[0] < one[1] for one in spans for other in spans):
            return True
    return False


def describe(plan: Plan) -> str:
    """The schedule of a plan with delays: its name first, then details.

    The name is that of what shapes the program most: `hoisted`, else `wavefront`, else `interleaved`, else `stepwise`.
    """
    stages = [stage for segment in plan.segments for stage in segment.stages]
    hoisted = [stage for stage in stages if stage.hoisted]
    words = []
    if hoisted:
        words.append(f"{HOISTED}, inputs of {len(hoisted)} of {len(stages)} layers ahead of their steps")
    lag = lag_between(plan)
    if lag is not None and lag < stages[0].steps_there:
        words.append(f"{WAVEFRONT}, {lag} step{'s' if lag > 1 else ''} between layers")
    if is_side_by_side(plan):
        words.append(f"{INTERLEAVED} directions")
    return "; ".join(words) or f"{STEPWISE}, layer after layer"
