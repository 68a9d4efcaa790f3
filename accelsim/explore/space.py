"""The points of a sweep: every combination of models and axes, or a list, by number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.chip import Chip
from accelsim.chip.load import describe_keys
from accelsim.explore.axes import BATCH, Axis, Value
from accelsim.explore.constraints import Constraint

TABLE = "energy.table"
"""The chip's key that may name a file."""
_BLOCK = 1 << 14
"""Numbers looked at in one go."""


@dataclass(frozen=True)
class Point:
    """One thing to be simulated.

    Parameters
    ----------
    number : int
        Its place in the space.
    model : int
        Which of the models.
    batch : int
    settings : mapping of str to value
        The chip's keys that it sets.
    """

    number: int
    model: int
    batch: int
    settings: Mapping[str, Value]


class Space:
    """Every combination of some models and the values of some axes; the last axis changes fastest.

    Nothing is held but the axes: a space of any size takes the same memory.

    Parameters
    ----------
    models : int
        How many.
    axes : sequence of Axis
    constraints : sequence of Constraint
        What a point has to meet.
    chip : Chip
        Whose values the keys have that are no axis.
    points : sequence of mapping, optional
        In place of combinations: rows of values, each with every key of the axes.
    """

    def __init__(
        self,
        models: int,
        axes: Sequence[Axis],
        constraints: Sequence[Constraint],
        chip: Chip,
        points: Sequence[Mapping[str, Value]] = (),
    ) -> None:
        self.models = models
        self.axes = tuple(axes)
        self.constraints = tuple(constraints)
        self.points = tuple(points)
        self._fixed = fixed_values(chip)
        self._shape = (models, len(self.points)) if self.points else (models, *(len(one.values) for one in self.axes))
        self._columns = {one.key: _column(one.values) for one in self.axes}
        if self.points:
            self._columns = {one.key: _column([row[one.key] for row in self.points]) for one in self.axes}

    @property
    def size(self) -> int:
        """Numbers there are, whether or not their points meet the constraints."""
        return math.prod(self._shape)

    def numbers(self, start: int = 0) -> Iterator[int]:
        """Numbers of the points that meet the constraints, in order, from one on."""
        for first in range(start, self.size, _BLOCK):
            block = np.arange(first, min(first + _BLOCK, self.size), dtype=np.int64)
            yield from block[self._meets(block)].tolist()

    def holds(self, number: int) -> bool:
        """Whether a number's point meets the constraints."""
        return bool(self._meets(np.array([number], dtype=np.int64))[0])

    def point(self, number: int) -> Point:
        """The point of a number."""
        places = self.places(number)
        if self.points:
            settings = dict(self.points[places[1]])
        else:
            settings = {one.key: one.values[place] for one, place in zip(self.axes, places[1:], strict=True)}
        batch = settings.pop(BATCH, 1)
        return Point(number, places[0], int(batch), settings)

    def places(self, number: int) -> tuple[int, ...]:
        """Which model, and which value of each axis."""
        return tuple(int(place) for place in np.unravel_index(number, self._shape))

    def number(self, places: Sequence[int]) -> int:
        """The number of a model and values, as `places` gives them."""
        return int(np.ravel_multi_index(tuple(places), self._shape))

    def _meets(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        meets = np.ones(len(numbers), dtype=bool)
        if not self.constraints:
            return meets
        _, *places = np.unravel_index(numbers, self._shape)
        columns: dict[str, Any] = dict(self._fixed)
        for index, one in enumerate(self.axes):
            columns[one.key] = self._columns[one.key][places[0 if self.points else index]]
        for constraint in self.constraints:
            meets &= constraint.holds(columns)
        return meets


def fixed_values(chip: Chip) -> dict[str, Any]:
    """A chip's own values by key, and a batch of one."""
    return {key: value for key, value, *_ in describe_keys(chip)} | {BATCH: 1}


def _column(values: Sequence[Value]) -> NDArray[Any]:
    kinds = {type(value) for value in values}
    if kinds <= {int, float}:
        # As Python counts: products of sizes may be large.
        return np.array(values, dtype=np.float64 if float in kinds else np.int64)
    return np.array(values, dtype=object)
