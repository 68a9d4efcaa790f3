"""A point simulated: its chip, the program compiled for it, and what a frame takes; without values."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from accelsim.chip import Chip
from accelsim.chip.load import check_chip, dump_chip
from accelsim.chip.settings import apply_settings
from accelsim.compiler.reuse import Reuse
from accelsim.costs import CostTable, known
from accelsim.errors import DeadlockError, InputError
from accelsim.explore.results import FAILED, Result, layer_columns, profile_columns
from accelsim.explore.space import TABLE, Point
from accelsim.isa.program import Program
from accelsim.profile.bounds import Bound, lower_bound
from accelsim.profile.profile import build_profile
from accelsim.quant.model import QGraph
from accelsim.schedules import Engine, compile_scheduled
from accelsim.timing.record import Counters

_KEPT = 64
"""Results of each kind that a process remembers; points next to each other share most."""
_NOT_TIMED = ("energy", "provenance", "chip")
"""Tables of a chip that no cycle depends on."""


_Value = TypeVar("_Value")


@dataclass(frozen=True, eq=False)
class Work:
    """What all points of a sweep have in common, as it goes to each process.

    Parameters
    ----------
    names : sequence of str
        Of the models.
    graphs : sequence of QGraph
    chip : Chip
        Whose keys the points set.
    schedule : str
        As `schedules.compile_scheduled`.
    tables : mapping of str to CostTable
        Of files that points name: who simulates need not have them.
    """

    names: Sequence[str]
    graphs: Sequence[QGraph]
    chip: Chip
    schedule: str
    tables: Mapping[str, CostTable] = field(default_factory=dict)


class Evaluator:
    """Simulates points, and remembers what further ones may share with them.

    A program is compiled once for all chips that differ in energy, clock or names alone, and an engine's counts are
    those of every chip that gives the same program the same timing: one with more memory than the program fills, too.

    Parameters
    ----------
    work : Work
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._chip = dump_chip(work.chip)
        self._programs: _Memory[tuple[Program, Counters, Bound] | InputError] = _Memory()
        self._engine = _RememberingEngine()
        self._reuse = Reuse()

    def evaluate(self, point: Point) -> Result:
        """The results of a point; where there are none, the reason.

        Parameters
        ----------
        point : Point
        """
        columns = self.columns(point)
        try:
            settings: dict[str, Any] = dict(point.settings)
            if TABLE in settings:
                settings[TABLE] = self._work.tables.get(settings[TABLE], settings[TABLE])
            chip = check_chip(apply_settings(self._chip, settings), self._work.chip.name)
            program, counters, bound = self._compiled(point, chip)
        except (InputError, DeadlockError) as error:
            return Result(point.number, columns | {"status": FAILED, "reason": str(error)})
        profile = build_profile(program.for_chip(chip), counters, 1, bound=bound)
        return Result(
            point.number,
            columns | profile_columns(profile, known(profile.costs.total_area_mm2)),
            layer_columns(profile),
        )

    def columns(self, point: Point) -> dict[str, Any]:
        """What is known of a point before it is simulated."""
        return {
            "model": self._work.names[point.model],
            "batch": point.batch,
            "schedule_asked": self._work.schedule,
            "settings": json.dumps(dict(point.settings)),
        }

    def _compiled(self, point: Point, chip: Chip) -> tuple[Program, Counters, Bound]:
        key = point.model, point.batch, _timed(chip)

        def compiled() -> tuple[Program, Counters, Bound] | InputError:
            graph = self._work.graphs[point.model]
            try:
                choice = compile_scheduled(
                    graph, chip, batch=point.batch, schedule=self._work.schedule, engine=self._engine,
                    reuse=self._reuse,
                )  # fmt: skip
                counters = choice.counters or self._engine.whole(choice.program)
            except InputError as error:
                return error
            # Remembered without its weights: a report needs none.
            return replace(choice.program, image=b""), counters, self._engine.bound(choice.program)

        found = self._programs.of(key, compiled)
        if isinstance(found, InputError):
            raise found
        return found


class _Memory(OrderedDict[Hashable, _Value]):
    """The values last asked for."""

    def __init__(self) -> None:
        super().__init__()

    def of(self, key: Hashable, make: Callable[[], _Value]) -> _Value:
        """The value of a key; made, where it is not there."""
        if key in self:
            self.move_to_end(key)
            return self[key]
        value = self[key] = make()
        if len(self) > _KEPT:
            self.popitem(last=False)
        return value


@dataclass
class _RememberingEngine(Engine):
    """An engine that counts a program once for all chips that are alike to it."""

    _counted: _Memory[Counters] = field(default_factory=_Memory)
    _longer: _Memory[int] = field(default_factory=_Memory)
    _bounds: _Memory[Bound] = field(default_factory=_Memory)

    def whole(self, program: Program) -> Counters:
        base = super().whole
        return self._counted.of(_running(program), lambda: base(program))

    def within(self, program: Program, most_cycles: int) -> Counters | None:
        key = _running(program)
        if key in self._counted:
            counters = self._counted[key]
            return counters if counters.cycles <= most_cycles else None
        if self._longer.of(key, lambda: 0) >= most_cycles:
            return None
        found = super().within(program, most_cycles)
        if found is None:
            self._longer[key] = most_cycles
            return None
        return self._counted.of(key, lambda: found)

    def bound(self, program: Program) -> Bound:
        """The program's lower bound."""
        return self._bounds.of(_running(program), lambda: lower_bound(program))


def _timed(chip: Chip) -> str:
    """What of a chip the compiler and the engine see."""
    return chip.model_dump_json(exclude=dict.fromkeys(_NOT_TIMED, True))


def _running(program: Program) -> Hashable:
    """What of a program and its chip its cycles depend on."""
    sizes = {name: {"capacity_bytes"} for name in type(program.chip.sram).model_fields}
    without: Any = dict.fromkeys((*_NOT_TIMED, "schedule"), True) | {"sram": sizes, "dram": {"capacity_bytes"}}
    tensors = tuple((one.address, one.end) for one in (*program.inputs, *program.outputs))
    return program.words, program.layers, tensors, program.chip.model_dump_json(exclude=without)
