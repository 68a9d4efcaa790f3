"""A sweep from beginning to end: points to whoever simulates them, results to the database as they come."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim import __version__
from accelsim.chip import Chip
from accelsim.chip.load import dump_chip
from accelsim.costs import CostTable, cost_table_names, cost_table_of, load_cost_table
from accelsim.errors import InputError
from accelsim.explore.axes import Axis, Value
from accelsim.explore.constraints import Constraint
from accelsim.explore.database import FILE_NAME, FORMAT, Database, undamaged
from accelsim.explore.models import Model
from accelsim.explore.space import TABLE, Point, Space
from accelsim.isa.nearest import nearest

if TYPE_CHECKING:
    from accelsim.explore.evaluate import Work
    from accelsim.explore.executors import Executor

_MOST_NUMBERS = 2**63 - 1
"""What a number in the database can be."""
_LOOKED_FOR = 1 << 20
"""So many numbers are looked at for one that meets the constraints before the work begins."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """What is to be simulated.

    Parameters
    ----------
    models : sequence of Model
    chip : Chip
        Whose keys the axes set.
    axes : sequence of Axis
    constraints : sequence of Constraint
    points : sequence of mapping, optional
        Rows of values in place of every combination.
    schedule : str
        As `schedules.compile_scheduled`.
    command : str
        That asked for it, for the record.

    Raises
    ------
    InputError
        No such schedule; a key that is an axis twice; a cost table that can't be read; more points than can be
        numbered; no point meets the constraints.
    """

    models: Sequence[Model]
    chip: Chip
    axes: Sequence[Axis]
    constraints: Sequence[Constraint] = ()
    points: Sequence[dict[str, Value]] = ()
    schedule: str = "auto"
    command: str = ""
    space: Space = field(init=False)
    tables: Mapping[str, CostTable] = field(init=False)
    """Cost tables of files that an axis names, by their names: read once, and not again where it goes on."""

    def __post_init__(self) -> None:
        _check_schedule(self.schedule)
        keys = [one.key for one in self.axes]
        for key in keys:
            if keys.count(key) > 1:
                raise InputError("--set", key, "is set twice", "each key once, with all its values")
        space = Space(len(self.models), self.axes, self.constraints, self.chip, self.points)
        object.__setattr__(self, "space", space)
        object.__setattr__(self, "tables", _tables(self.axes))
        if space.size > _MOST_NUMBERS:
            raise InputError("--set", "", f"{space.size:,} points", f"at most {_MOST_NUMBERS:,}")
        if self.constraints and space.size <= _LOOKED_FOR and next(space.numbers(), None) is None:
            texts = "; ".join(one.text for one in self.constraints)
            raise InputError("--where", "", f"none of {space.size:,} points meets {texts}", "at least one that does")

    def meta(self) -> dict[str, Any]:
        """What the database says of it."""
        costs = cost_table_of(self.chip)
        models = [{"name": one.name, "path": one.path, "sha256": one.sha256} for one in self.models]
        tables = {name: _digest(table.figures) for name, table in self.tables.items()}
        return {
            "format": FORMAT,
            "accelsim": __version__,
            "command": self.command,
            "models": models,
            "chip": {"name": self.chip.name, "sha256": _digest(dump_chip(self.chip))},
            "energy": {"name": costs.name, "sha256": _digest(costs.figures)} | ({"tables": tables} if tables else {}),
            "axes": {one.key: list(one.values) for one in self.axes},
            "points": [dict(row) for row in self.points],
            "constraints": [one.text for one in self.constraints],
            "schedule": self.schedule,
            "objectives": [],
            "seed": None,
        }

    def work(self) -> Work:
        """What goes to those who simulate."""
        from accelsim.explore.evaluate import Work

        names = [one.name for one in self.models]
        return Work(names, [one.graph for one in self.models], self.chip, self.schedule, self.tables)


@dataclass(frozen=True)
class Outcome:
    """How a sweep went.

    Parameters
    ----------
    points : int
        That have a result now.
    failed : int
        Of these, points that could not be compiled or run.
    simulated : int
        By this call; the others were there.
    """

    points: int
    failed: int
    simulated: int


def run_sweep(
    sweep: Sweep, database: Database, executor: Executor, progress: Callable[[int, int], None] | None = None
) -> Outcome:
    """Simulate all points of a sweep that have no result yet.

    Parameters
    ----------
    sweep : Sweep
    database : Database
        Of this sweep.
    executor : Executor
    progress : callable, optional
        Called with (points that have a result, numbers there are).

    Raises
    ------
    InputError
        No point meets the constraints; the database can't be written.
    """
    done = database.count()[0]
    simulated = simulate(sweep, database, executor, sweep.space.numbers(), _offset(progress, done, sweep.space.size))
    points, failed = database.count()
    if not points:
        raise InputError("--where", "", f"none of {sweep.space.size:,} points meets all of them", "at least one")
    return Outcome(points, failed, simulated)


def simulate(
    sweep: Sweep,
    database: Database,
    executor: Executor,
    numbers: Iterator[int],
    progress: Callable[[int], None] | None = None,
) -> int:
    """Simulate those of some points, given in order, that have no result yet; how many these were."""
    points: Iterator[Point] = (sweep.space.point(number) for number in database.missing(numbers))
    simulated = 0
    if progress is not None:
        progress(0)
    for results in executor.results(points):
        database.add(results)
        simulated += len(results)
        if progress is not None:
            progress(simulated)
    return simulated


def _offset(progress: Callable[[int, int], None] | None, done: int, total: int) -> Callable[[int], None] | None:
    return None if progress is None else lambda more: progress(done + more, total)


@contextmanager
def opened(folder: Path, meta: dict[str, Any]) -> Iterator[Database]:
    """A sweep's database in its folder, which no other process writes to meanwhile; lost points are to be tried again.

    Parameters
    ----------
    folder : Path
        Must exist.
    meta : dict
        As `Database`.

    Raises
    ------
    InputError
        Another process writes to it; it is damaged; or as `Database`.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / f"{FILE_NAME}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        found = "another process is at work on it"
        raise InputError(folder / FILE_NAME, "", found, "one sweep at a time, or another --out") from None
    except OSError as error:
        raise InputError(folder, "", error.strerror or str(error), "a folder that can be written") from None
    try:
        with undamaged(folder / FILE_NAME), Database(folder / FILE_NAME, meta) as database:
            database.forget_lost()
            yield database
    finally:
        lock.release()


def _check_schedule(name: str) -> None:
    from accelsim.compiler.arrangement import SCHEDULES
    from accelsim.compiler.candidates import AUTO

    known = (AUTO, *SCHEDULES)
    if name not in known:
        raise InputError("--schedule", "", f"found {name!r}{nearest(name, known)}", f"one of {', '.join(known)}")


def _tables(axes: Sequence[Axis]) -> dict[str, CostTable]:
    names = [str(value) for one in axes if one.key == TABLE for value in one.values]
    loaded = {name: load_cost_table(name, where="--set", field=TABLE) for name in names}
    return {name: table for name, table in loaded.items() if name not in cost_table_names()}


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
