"""A search that ends between any two writes to its file goes on as if it had not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from accelsim.explore.database import Database
from accelsim.explore.executors import Here
from accelsim.explore.results import Result
from accelsim.explore.summary import look_around
from accelsim.explore.sweep import opened
from tests.unit.explore.conftest import MakeSweep
from tests.unit.explore.test_explore_search import AXES, BOTH, found

TRIALS = 40


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "nsga3", "random"])
@pytest.mark.parametrize("write", ["add", "add_trials"])
def test_a_search_ends_between_two_writes(
    make: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str, write: str
) -> None:
    sweep = make(*AXES, where=("mac.rows * mac.columns <= 40",))
    whole, numbers = found(sweep, tmp_path / "whole", TRIALS, sampler)
    base = getattr(Database, write)
    left = 0

    def ending(self: Database, *arguments: object) -> object:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        return base(self, *arguments)

    monkeypatch.setattr(Database, write, ending)
    for _ in range(2):
        left = 2
        with pytest.raises(KeyboardInterrupt):
            found(sweep, tmp_path / "ended", TRIALS, sampler)
    left = 0
    rest, same = found(sweep, tmp_path / "ended", TRIALS, sampler)
    assert (rest.trials, rest.front, same) == (whole.trials, whole.front, numbers)
    for folder in ("whole", "ended"):
        with Database(tmp_path / folder / "sweep.sqlite", sweep.meta()) as database:
            trials, notes = database.trials()
        assert [one.number for one in trials] == list(range(TRIALS))
        if folder == "whole":
            expected = trials, notes
    assert (trials, notes) == expected


def test_the_points_around_end_between_two_writes(
    make: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when some of a round are there, which may have changed the front, it ends where it would have."""
    sweep = make(*AXES)
    executor = Here(sweep.work())

    def around(folder: str, after: int = -1) -> list[int]:
        found(sweep, tmp_path / folder, 5)
        left = after
        base = Database.add

        def ending(self: Database, results: Sequence[Result]) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            base(self, results)

        with opened(tmp_path / folder, sweep.meta()) as database, monkeypatch.context() as patch:
            patch.setattr(Database, "add", ending)
            with suppress(KeyboardInterrupt):
                look_around(sweep, database, executor, BOTH)
            return [number for number, _ in database.objectives(["cycles"])]

    whole = around("whole")
    for after in (2, 4, 3):
        assert len(around("ended", after)) < len(whole)
    assert around("ended") == whole
    assert around("ended") == whole
