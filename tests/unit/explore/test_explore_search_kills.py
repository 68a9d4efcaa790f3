"""A search that ends between any two writes to its file goes on as if it had not."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.explore.database import Database
from tests.unit.explore.conftest import MakeSweep
from tests.unit.explore.test_explore_search import AXES, found

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
