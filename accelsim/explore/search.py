"""A search among a sweep's points: Optuna's samplers say which are worth simulating, and the database keeps both.

Trials are asked for and told in groups of a fixed size, and a trial's sampler is seeded anew from the seed and the
trial's number. So a search that is killed and goes on asks for the same points as one that was not, whoever simulates
them and in whatever order results come.
"""

from __future__ import annotations

import logging
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.errors import InputError
from accelsim.explore.database import Database
from accelsim.explore.objectives import Objective
from accelsim.explore.pareto import front_mask
from accelsim.explore.sweep import Sweep, simulate

if TYPE_CHECKING:
    import optuna

    from accelsim.explore.executors import Executor

SAMPLERS = ("tpe", "nsga2", "nsga3", "random")
GROUP = 16
"""Trials asked for at a time."""
_STUDY = "accelsim"
_MODEL = "model"
_MOST_REFUSED = 50
"""Groups in a row without a point that meets the constraints; then the search is given up."""


@dataclass(frozen=True)
class Found:
    """How a search went.

    Parameters
    ----------
    trials : int
        So far, those of earlier calls included.
    simulated : int
        Points that this call simulated; trials that ask for a point again cost nothing.
    front : tuple of int
        Numbers of the points that no other is better than, of all that the database holds.
    is_whole : bool
        Every point there is was simulated: the space has no more than there were to be trials.
    """

    trials: int
    simulated: int
    front: tuple[int, ...]
    is_whole: bool = False


def search(
    sweep: Sweep,
    database: Database,
    executor: Executor,
    objectives: Sequence[Objective],
    *,
    trials: int,
    seed: int = 0,
    sampler: str = "tpe",
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Look for the points that are best in several figures at once.

    Parameters
    ----------
    sweep : Sweep
    database : Database
        Of this sweep. Points that are in it already are not simulated again.
    executor : Executor
    objectives : sequence of Objective
    trials : int
        In all, those of earlier calls included.
    seed : int
    sampler : str
        One of `SAMPLERS`: a tree-structured Parzen estimator, NSGA-II, NSGA-III, or by chance.
    progress : callable, optional
        Called with (trials that are over, trials).

    Raises
    ------
    InputError
        An earlier search in this database had other objectives, another seed or sampler; hardly a point meets the
        constraints.
    """
    space = sweep.space
    _keep_terms(database, objectives, seed, sampler)
    if space.size <= trials:
        # Fewer points than trials: each once is all there is to find.
        simulated = simulate(sweep, database, executor, space.numbers())
        return Found(database.count()[0], simulated, front(database, objectives), is_whole=True)
    with _studied(database, objectives) as study:
        trials, simulated = _tried(sweep, database, executor, objectives, study, trials, seed, sampler, progress)
    return Found(trials, simulated, front(database, objectives))


def _tried(
    sweep: Sweep,
    database: Database,
    executor: Executor,
    objectives: Sequence[Objective],
    study: optuna.Study,
    trials: int,
    seed: int,
    sampler: str,
    progress: Callable[[int, int], None] | None,
) -> tuple[int, int]:
    """Go through the trials that are left; how many are over then, and how many points were simulated."""
    simulated = refused = 0
    while (over := _over(study)) < trials:
        if progress is not None:
            progress(over, trials)
        group = _asked(study, sweep, min(GROUP, trials - over), lambda number: _sampler(sampler, seed, number))
        wanted = {number for _, number in group if sweep.space.holds(number)}
        simulated += simulate(sweep, database, executor, iter(sorted(wanted)))
        refused = refused + 1 if not wanted else 0
        if refused == _MOST_REFUSED:
            found = f"no point of {refused * GROUP:,} trials in a row meets it"
            raise InputError("--where", "", found, "wider conditions")
        for trial, number in group:
            _tell(study, trial, database.result(number) if number in wanted else None, objectives)
    return over, simulated


def front(database: Database, objectives: Sequence[Objective]) -> tuple[int, ...]:
    """Numbers of the points that no other in the database is better than, in the order of the first objective."""
    rows = list(database.objectives([one.column for one in objectives]))
    if not rows:
        return ()
    values = np.array([[np.nan if one is None else one for one in row] for _, row in rows], dtype=np.float64)
    best = np.flatnonzero(front_mask(values))
    # Of points that are equal in all objectives one is enough.
    _, first = np.unique(values[best], axis=0, return_index=True)
    return tuple(rows[int(best[at])][0] for at in first)


def neighbours(sweep: Sweep, number: int) -> dict[tuple[str, int], int]:
    """The points one step away from a point: by key and direction (-1, 1), those that meet the constraints.

    Parameters
    ----------
    sweep : Sweep
        Of a grid; a list of points has no steps.
    number : int
    """
    space = sweep.space
    if space.points:
        return {}
    places = space.places(number)
    found = {}
    for index, one in enumerate(space.axes, start=1):
        for step in (-1, 1):
            place = places[index] + step
            if 0 <= place < len(one.values):
                other = space.number((*places[:index], place, *places[index + 1 :]))
                if space.holds(other):
                    found[one.key, step] = other
    return found


def _keep_terms(database: Database, objectives: Sequence[Objective], seed: int, sampler: str) -> None:
    asked = {"objectives": [one.name for one in objectives], "seed": seed, "sampler": sampler}
    for key, value in asked.items():
        there = database.noted(key)
        if there not in (None, [], value):
            found = f"an earlier search in it had {key} {_said(there)}, this one has {_said(value)}"
            raise InputError(database.path, key, found, "the same, or another --out")
    for key, value in asked.items():
        database.note(key, value)


def _said(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


@contextmanager
def _studied(database: Database, objectives: Sequence[Objective]) -> Iterator[optuna.Study]:
    """The study in the sweep's file, made where there is none."""
    import optuna
    import sqlalchemy

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{database.path.resolve()}", engine_kwargs={"connect_args": {"timeout": 60}}
        )
        # As our own connection: nothing is lost but by a power cut, and a trial waits for no disk.
        sqlalchemy.event.listen(storage.engine, "connect", _write_ahead)
        storage.engine.dispose()
        study = optuna.create_study(
            study_name=_STUDY, storage=storage, directions=["minimize"] * len(objectives), load_if_exists=True
        )
    try:
        yield study
    finally:
        # The file is whole, with no log beside it, only when nobody has it open.
        storage.remove_session()
        storage.engine.dispose()


def _write_ahead(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")


def _sampler(name: str, seed: int, trial: int) -> optuna.samplers.BaseSampler:
    import optuna

    own = int(np.random.SeedSequence([seed, trial]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        match name:
            case "nsga2":
                return optuna.samplers.NSGAIISampler(seed=own, population_size=2 * GROUP)
            case "nsga3":
                return optuna.samplers.NSGAIIISampler(seed=own, population_size=2 * GROUP)
            case "random":
                return optuna.samplers.RandomSampler(seed=own)
            case _:
                return optuna.samplers.TPESampler(
                    seed=own, multivariate=True, constant_liar=True, n_startup_trials=GROUP
                )


def _over(study: optuna.Study) -> int:
    from optuna.trial import TrialState

    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL)))


def _asked(
    study: optuna.Study, sweep: Sweep, count: int, sampler: Callable[[int], optuna.samplers.BaseSampler]
) -> list[tuple[optuna.Trial, int]]:
    """Trials and the points they ask for; first those that an earlier call asked for and did not come to tell."""
    import optuna
    from optuna.trial import TrialState

    group = []
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.sampler = sampler(left.number)
        trial = optuna.Trial(study, left._trial_id)
        group.append((trial, _number(trial, sweep)))
    for number in range(len(study.trials), len(study.trials) + count - len(group)):
        study.sampler = sampler(number)
        trial = study.ask()
        group.append((trial, _number(trial, sweep)))
    return group


def _number(trial: optuna.Trial, sweep: Sweep) -> int:
    """The point of a trial: a model, and a place on each axis. Values in order are places, others are kinds."""
    space = sweep.space
    places = [trial.suggest_categorical(_MODEL, list(range(space.models))) if space.models > 1 else 0]
    if space.points:
        return space.number((*places, trial.suggest_int("point", 0, len(space.points) - 1)))
    for one in space.axes:
        ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in one.values)
        last = len(one.values) - 1
        places.append(
            trial.suggest_int(one.key, 0, last)
            if ordered
            else trial.suggest_categorical(one.key, list(range(last + 1)))
        )
    return space.number(places)


def _tell(
    study: optuna.Study, trial: optuna.Trial, result: dict[str, Any] | None, objectives: Sequence[Objective]
) -> None:
    """A trial's figures; one whose point can't be, or does not meet the constraints, has failed."""
    from optuna.trial import TrialState

    values: list[Any] = [result[one.column] for one in objectives] if result else []
    if values and None not in values:
        study.tell(trial, [float(value) for value in values])
    else:
        study.tell(trial, state=TrialState.FAIL)
