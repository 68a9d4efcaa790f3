"""A search among a sweep's points: Optuna's samplers say which are worth simulating, and the database keeps both.

Trials are asked for and told in groups of a fixed size, each of which goes to the database at once, and a trial's
sampler is seeded anew from the seed and the trial's number. So a search that is killed and goes on asks for the same
points as one that was not, whoever simulates them and in whatever order results come.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.errors import InputError
from accelsim.explore.database import Database, Trial
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
_MODEL, _POINT = "model", "point"
"""Parameters beside the axes."""
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
    # Points of earlier trials whose workers ended are tried again.
    before = sorted({one.point for one in database.trials()[0] if space.holds(one.point)})
    again = simulate(sweep, database, executor, iter(before))
    study = _study(sweep, database, objectives)
    simulated = again + _try(sweep, database, executor, objectives, study, trials, seed, sampler, progress)
    return Found(len(study.trials), simulated, front(database, objectives))


def _try(
    sweep: Sweep,
    database: Database,
    executor: Executor,
    objectives: Sequence[Objective],
    study: optuna.Study,
    trials: int,
    seed: int,
    sampler: str,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Go through the trials that are left; how many points were simulated."""
    distributions = _distributions(sweep)
    simulated = refused = 0
    while (over := len(study.trials)) < trials:
        if progress is not None:
            progress(over, trials)
        asked: list[tuple[optuna.Trial, int]] = []
        for number in range(over, min(over - over % GROUP + GROUP, trials)):
            study.sampler = _sampler(sampler, seed, number)
            trial = study.ask(distributions)
            asked.append((trial, sweep.space.number([trial.params[name] for name in distributions])))
        wanted = {number for _, number in asked if sweep.space.holds(number)}
        simulated += simulate(sweep, database, executor, iter(sorted(wanted)))
        refused = refused + 1 if not wanted else 0
        if refused == _MOST_REFUSED:
            found = f"no point of {refused * GROUP:,} trials in a row meets it"
            raise InputError("--where", "", found, "wider conditions")
        for trial, number in asked:
            values = _values(database, number, objectives)
            study.tell(trial, values, state=_state(values))
        notes = [one.system_attrs for one in study.get_trials(deepcopy=False)[over:]]
        rows = [Trial(one.number, number, more) for (one, number), more in zip(asked, notes, strict=True)]
        database.add_trials(rows, _study_notes(study))
    return simulated


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


def _study(sweep: Sweep, database: Database, objectives: Sequence[Objective]) -> optuna.Study:
    """A study of the trials that the database holds."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name=_STUDY, storage=storage, directions=["minimize"] * len(objectives))
    distributions = _distributions(sweep)
    trials, notes = database.trials()
    for one in trials:
        values = _values(database, one.point, objectives)
        study.add_trial(
            optuna.trial.create_trial(
                state=_state(values),
                values=values,
                params=dict(zip(distributions, sweep.space.places(one.point), strict=True)),
                distributions=distributions,
                system_attrs=dict(one.notes),
            )
        )
    number = storage.get_study_id_from_name(_STUDY)
    for key, value in notes.items():
        storage.set_study_system_attr(number, key, value)
    return study


def _study_notes(study: optuna.Study) -> dict[str, Any]:
    """What samplers keep of the study, as the parents of a generation."""
    storage = study._storage
    return dict(storage.get_study_system_attrs(storage.get_study_id_from_name(_STUDY)))


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


def _distributions(sweep: Sweep) -> dict[str, optuna.distributions.BaseDistribution]:
    """A trial's parameters: a model, and a place on each axis. Values in order are places, others are kinds."""
    from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

    space = sweep.space
    found: dict[str, BaseDistribution] = {_MODEL: CategoricalDistribution(range(space.models))}
    if space.points:
        return found | {_POINT: IntDistribution(0, len(space.points) - 1)}
    for one in space.axes:
        places = range(len(one.values))
        ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in one.values)
        found[one.key] = IntDistribution(0, places[-1]) if ordered else CategoricalDistribution(places)
    return found


def _values(database: Database, number: int, objectives: Sequence[Objective]) -> list[float] | None:
    """A point's figures; None where it can't be, or does not meet the constraints."""
    row = database.result(number)
    values = [row[one.column] for one in objectives if row[one.column] is not None] if row else []
    return [float(value) for value in values] if len(values) == len(objectives) else None


def _state(values: list[float] | None) -> optuna.trial.TrialState:
    from optuna.trial import TrialState

    return TrialState.FAIL if values is None else TrialState.COMPLETE
