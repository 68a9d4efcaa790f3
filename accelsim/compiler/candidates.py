"""The arrangements that a schedule's name stands for, of a graph on a chip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from accelsim.chip import Chip
from accelsim.compiler.arrangement import (
    HOISTED,
    INTERLEAVED,
    SCHEDULES,
    STEPWISE,
    WAVEFRONT,
    Arrangement,
)
from accelsim.compiler.cells import INPUT
from accelsim.compiler.residency import residency
from accelsim.compiler.schedule import possible_lags
from accelsim.compiler.stages import Plan, Segment, Sequence, Stage
from accelsim.errors import CapacityError, InputError

AUTO = "auto"
"""All schedules there are for a graph."""


def arrangements(plan: Plan, chip: Chip, schedule: str = AUTO) -> list[tuple[Arrangement, ...]]:
    """What is to be compiled for a schedule, simple before elaborate.

    Parameters
    ----------
    plan : Plan
        Of the graph, with nothing apart.
    chip : Chip
    schedule : str
        One of `SCHEDULES`, or `AUTO`.

    Returns
    -------
    list of tuple of Arrangement
        Each tuple is one candidate: the first of its arrangements that fits.

    Raises
    ------
    InputError
        An unknown schedule, or one that can't be: the reason.
    """
    if schedule not in (AUTO, *SCHEDULES):
        raise InputError("--schedule", "", f"found {schedule!r}", f"one of {AUTO}, {', '.join(SCHEDULES)}")
    found = _Graph(plan, chip)
    if schedule != AUTO:
        reason = found.against(schedule)
        if reason:
            raise InputError("--schedule", schedule, *reason)
        return [tuple(replace(one, name=schedule) for one in ways) for ways in found.ways(schedule)]
    possible = [one for one in SCHEDULES if not found.against(one)]
    return [ways for one in sorted(possible, key=_SIMPLICITY.index) for ways in found.ways(one)]


_SIMPLICITY = (STEPWISE, WAVEFRONT, INTERLEAVED, HOISTED)


@dataclass
class _Graph:
    """What of a graph matters for its schedule."""

    plan: Plan
    chip: Chip

    def __post_init__(self) -> None:
        self.stages = [stage for segment in self.plan.segments for stage in segment.stages]
        self.steps = self.stages[0].steps_there
        self.fed = frozenset(_name(one) for one in self.stages if isinstance(one.source, int) and one.cell.is_recurrent)
        readers = [[stage for stage in one.stages if isinstance(stage.source, Sequence)] for one in self.plan.segments]
        self.side_by_side = any(len(one) > 1 for one in readers)
        several = [one for one in self.stages if one.steps > 1]
        self.sequential = [one for one in several if one.cell.is_recurrent] or several
        self.streams = any(self._blocks(frozenset()))

    def _blocks(self, hoisted: frozenset[str]) -> list[int]:
        """As `residency` with these layers hoisted; blocks of a row for all where not even two of each fit."""
        segments = tuple(
            Segment(tuple(replace(stage, hoisted=_name(stage) in hoisted) for stage in segment.stages))
            for segment in self.plan.segments
        )
        try:
            return residency(replace(self.plan, segments=segments), self.chip)
        except CapacityError:
            return [1 for stage in self.stages for _ in stage.products]

    def _hoisted(self) -> Iterator[frozenset[str]]:
        """Layers to hoist: those whose input weights stream, so few that all other weights stay, all there are."""
        blocks = iter(self._blocks(frozenset()))
        streamed = set()
        for stage in self.stages:
            own = [next(blocks) for _ in stage.products]
            if stage.steps > 1 and any(own[number] for number in stage.cell.reading(INPUT)):
                streamed.add(_name(stage))
        if streamed:
            yield frozenset(streamed)
        if self.streams:
            by_size = sorted(self.sequential, key=_input_bytes, reverse=True)
            # Those that read a sequence anyway wait for nothing more.
            for order in (by_size, sorted(by_size, key=lambda stage: isinstance(stage.source, int))):
                few: frozenset[str] = frozenset()
                for stage in order:
                    few |= {_name(stage)}
                    if not any(self._blocks(few)):
                        yield few
                        break
        yield frozenset(map(_name, self.sequential)) | streamed

    def against(self, schedule: str) -> tuple[str, str] | None:
        """(found, expected) where a schedule can't be."""
        if schedule == WAVEFRONT and not (self.fed and self.steps > 1):
            return "no recurrent layer feeds another", "two that handle several steps in the same order"
        if schedule == INTERLEAVED and not self.side_by_side:
            return "no two layers can run side by side", "two directions"
        if schedule == HOISTED and self.chip.dma.loads_through_vector:
            return f"chip {self.chip.name} loads through its vector unit", "dma.loads_through_vector = false"
        if schedule == HOISTED and not self.sequential:
            return "no layer handles more than one time step", "several"
        return None

    def ways(self, schedule: str) -> Iterator[tuple[Arrangement, ...]]:
        """The candidates of a schedule that can be."""
        # Behind each other as far as the memory of activations holds the steps in between, else through DRAM.
        layer_by_layer = Arrangement(lags=(self.steps,)), Arrangement(apart=self.fed, lags=(self.steps,))
        # The same distance for all layers, one by one; and what the estimate says, which may differ by segment.
        distances = possible_lags(self.steps)[:-1]
        apart_only = [Arrangement(lags=lags) for lags in (distances, *((lag,) for lag in distances)) if lags]
        if schedule == STEPWISE:
            yield tuple(replace(one, side_by_side=False) for one in layer_by_layer)
        elif schedule == WAVEFRONT:
            for side_by_side in self._sides():
                for one in apart_only:
                    yield (replace(one, side_by_side=side_by_side),)
        elif schedule == INTERLEAVED:
            yield layer_by_layer
            if self.fed and self.steps > 1:
                yield from ((one,) for one in apart_only)
        else:
            for layers in dict.fromkeys(self._hoisted()):
                for side_by_side in self._sides():
                    yield (Arrangement(hoisted=layers, side_by_side=side_by_side),)

    def _sides(self) -> tuple[bool, ...]:
        return (False, True) if self.side_by_side else (True,)


def _name(stage: Stage) -> str:
    return stage.layer.name


def _input_bytes(stage: Stage) -> int:
    return sum(stage.products[number].weights.size for number in stage.cell.reading(INPUT))
