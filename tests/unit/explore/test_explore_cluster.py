"""A Dask cluster says what this process says, also where a worker is killed on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from accelsim.errors import InputError
from accelsim.explore.cluster import LOCAL, Cluster
from accelsim.explore.database import read_results
from accelsim.explore.executors import Here
from accelsim.explore.results import Result
from accelsim.explore.space import Point
from tests.unit.explore.conftest import MakeSweep
from tests.unit.explore.test_explore_sweep import done, equal

pytest.importorskip("distributed", reason="Dask is not installed")


class _Killing:
    """A cluster of which one worker is killed when a few results are there."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.killed = 0

    def results(self, points: Iterator[Point]) -> Iterator[list[Result]]:
        there = 0
        for found in self._cluster.results(points):
            there += len(found)
            if there >= 20 and not self.killed:
                (self.killed, *_) = self._cluster.client.run(os.getpid).values()
                os.kill(self.killed, signal.SIGKILL)
            yield found


def test_a_worker_is_killed_midway(make: MakeSweep, tmp_path: Path) -> None:
    sweep = make("mac.rows=1:12:+1", "mac.columns=1:8:+1", "dram.bytes_per_cycle=1,4")
    _, here = done(sweep, tmp_path / "here", Here(sweep.work()))
    with Cluster(sweep.work(), LOCAL, 2) as cluster:
        killing = _Killing(cluster)
        _, there = done(sweep, tmp_path / "dask", killing)
        assert killing.killed
        assert killing.killed not in cluster.client.run(os.getpid).values()
        # By address, as from another machine.
        with Cluster(sweep.work(), cluster.client.scheduler.address, 1) as other:
            _, again = done(sweep, tmp_path / "again", other)
    equal(here, there)
    equal(here, again)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x", "127.0.0.1:9"])
def test_no_scheduler_answers(make: MakeSweep, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.explore.cluster._ANSWER_SECONDS", 1)
    with pytest.raises(InputError, match=r"--dask: .*no scheduler answers"):
        Cluster(make("mac.rows=1,2").work(), address, 1)


def test_the_scheduler_goes_midway(make: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done is kept, and one line says so."""
    from distributed import LocalCluster

    sweep = make("mac.rows=1:64:+1", "mac.columns=1:64:+1")
    monkeypatch.setattr("accelsim.explore.cluster._ANSWER_SECONDS", 1)
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None, silence_logs=50) as owned:

        class Closing(Cluster):
            def results(self, points: Iterator[Point]) -> Iterator[list[Result]]:
                for found in super().results(points):
                    yield found
                    owned.close()

        with (
            Closing(sweep.work(), owned.scheduler_address, 1) as cluster,
            pytest.raises(InputError, match="the scheduler is gone; what was done is kept"),
        ):
            done(sweep, tmp_path / "out", cluster)
    assert len(read_results(tmp_path / "out").points)
