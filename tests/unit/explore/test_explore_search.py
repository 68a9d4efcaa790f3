"""Searches: what they find, that they go on as if nothing had been, and what is around the best."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.explore.database import Database
from accelsim.explore.executors import Here
from accelsim.explore.objectives import Objective, parse_objectives
from accelsim.explore.results import Result
from accelsim.explore.search import Found, front, neighbours, search
from accelsim.explore.space import Point
from accelsim.explore.summary import best_points, look_around
from accelsim.explore.sweep import Sweep, opened, run_sweep
from tests.unit.explore.conftest import MakeSweep

AXES = ("mac.rows=1:8:+1", "mac.columns=1:6:+1", "dram.bytes_per_cycle=1,2,4", "chaining.enabled=true,false")
BOTH = parse_objectives("latency,area")


class Stopping(Here):
    """Ends, as if it were killed, after some points."""

    def __init__(self, sweep: Sweep, after: int) -> None:
        super().__init__(sweep.work())
        self._left = after

    def results(self, points: Iterator[Point]) -> Iterator[list[Result]]:
        for found in super().results(points):
            self._left -= len(found)
            if self._left < 0:
                raise KeyboardInterrupt
            yield found


def found(sweep: Sweep, folder: Path, trials: int, sampler: str = "tpe", seed: int = 0) -> tuple[Found, list[int]]:
    folder.mkdir(exist_ok=True)
    with opened(folder, sweep.meta()) as database:
        result = search(sweep, database, Here(sweep.work()), BOTH, trials=trials, sampler=sampler, seed=seed)
        return result, [number for number, _ in database.objectives(["cycles"])]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_search_that_is_stopped_goes_on(make: MakeSweep, tmp_path: Path, sampler: str) -> None:
    sweep = make(*AXES, where=("mac.rows * mac.columns <= 30",))
    whole, numbers = found(sweep, tmp_path / "whole", 40, sampler)
    assert whole.trials == 40
    folder = tmp_path / "stopped"
    folder.mkdir()
    for after in (3, 20):
        with opened(folder, sweep.meta()) as database, pytest.raises(KeyboardInterrupt):
            search(sweep, database, Stopping(sweep, after), BOTH, trials=40, sampler=sampler)
    rest, same = found(sweep, folder, 40, sampler)
    assert (rest.trials, rest.front, same) == (40, whole.front, numbers)
    assert all(sweep.space.holds(number) for number in numbers)
    # More trials of the same search; and none, where all are there.
    more, _ = found(sweep, folder, 45, sampler)
    assert more.trials == 45
    assert found(sweep, folder, 45, sampler)[0].simulated == 0


def test_other_terms_are_refused(make: MakeSweep, tmp_path: Path) -> None:
    sweep = make(*AXES)
    found(sweep, tmp_path, 4)
    with pytest.raises(InputError, match="seed: an earlier search in it had seed 0, this one has 7"):
        found(sweep, tmp_path, 4, seed=7)
    with pytest.raises(InputError, match="sampler: an earlier search in it had sampler tpe, this one has random"):
        found(sweep, tmp_path, 4, "random")


def test_it_finds_nearly_all_of_the_front(make: MakeSweep, tmp_path: Path) -> None:
    """Against the front of all 288 points: with a seventh of them, nearly all that is to be had."""
    sweep = make(*AXES)
    (tmp_path / "all").mkdir()
    with opened(tmp_path / "all", sweep.meta()) as database:
        run_sweep(sweep, database, Here(sweep.work()))
        exact, limits = front(database, BOTH), _values(database, range(sweep.space.size)).max(axis=0)
        best = _volume(_values(database, exact), limits)
        (tmp_path / "some").mkdir()
    with opened(tmp_path / "some", sweep.meta()) as database:
        result = search(sweep, database, Here(sweep.work()), BOTH, trials=40)
        reached = _volume(_values(database, result.front), limits)
        assert reached > 0.9 * best
        look_around(sweep, database, Here(sweep.work()), BOTH)
        # Nothing next to the front is better than it, and all of it is there.
        around = {other for one in front(database, BOTH) for other in neighbours(sweep, one).values()}
        assert not list(database.missing(sorted(around)))
        assert _volume(_values(database, front(database, BOTH)), limits) >= reached


def test_a_space_smaller_than_the_trials_is_simulated_whole(make: MakeSweep, tmp_path: Path) -> None:
    sweep = make("mac.rows=1:4:+1", "dram.bytes_per_cycle=1,2")
    result, numbers = found(sweep, tmp_path, 20)
    assert (result.is_whole, numbers) == (True, list(range(8)))


def test_what_a_step_changes(make: MakeSweep, tmp_path: Path) -> None:
    sweep = make("mac.rows=2,4,8", "sram.weights.capacity_bytes=256,32768", where=("mac.rows < 8",))
    with opened(tmp_path, sweep.meta()) as database:
        run_sweep(sweep, database, Here(sweep.work()))
        assert neighbours(sweep, 1) == {("mac.rows", 1): 3, ("sram.weights.capacity_bytes", -1): 0}
        for one in best_points(sweep, database, BOTH):
            for step in one.steps:
                other = database.result(step.number)
                assert other is not None
                if other["status"] == "failed":
                    assert step.changes == (None, None)
                    assert step.reason == other["reason"]
                    continue
                for objective, change in zip(BOTH, step.changes, strict=True):
                    assert change == pytest.approx(other[objective.column] / one.row[objective.column] - 1)
            assert one.limit.endswith(f"({one.row['bound_limit']})")


def test_conditions_that_hardly_any_point_meets(
    make: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accelsim.explore.search._MOST_REFUSED", 2)
    sweep = make(*AXES, where=("mac.rows == 7 and mac.columns == 3 and dram.bytes_per_cycle == 2",))
    with pytest.raises(InputError, match="no point of 32 trials in a row meets it"):
        found(sweep, tmp_path, 50, "random")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latncy", "found 'latncy'; nearest: latency; expected some of latency, time, energy, area"),
        ("latency,latency", "each once"),
        (",", "expected some of"),
    ],
)
def test_objectives_that_can_not_be(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_objectives(text)


def _values(database: Database, numbers: object) -> np.ndarray:
    wanted = set(numbers)  # type: ignore[call-overload]
    columns: list[Objective] = list(BOTH)
    return np.array([row for number, row in database.objectives([one.column for one in columns]) if number in wanted])


def _volume(values: np.ndarray, limits: np.ndarray) -> float:
    """What of the rectangle up to the limits a front of two objectives is better than."""
    area, last = 0.0, limits[1]
    for first, second in sorted(map(tuple, values)):
        if second < last:
            area += (limits[0] - first) * (last - second)
            last = second
    return area
