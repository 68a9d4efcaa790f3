"""Sweeps: the same rows whoever simulates them and whatever ends the process, and the figures of a run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from accelsim.chip import load_chip
from accelsim.chip.settings import with_settings
from accelsim.errors import InputError
from accelsim.explore import executors
from accelsim.explore.database import Results, read_results
from accelsim.explore.evaluate import Evaluator, Work
from accelsim.explore.executors import Executor, Here, Processes
from accelsim.explore.results import FAILED, LOST, Result
from accelsim.explore.space import Point
from accelsim.explore.sweep import Outcome, Sweep, opened, run_sweep
from accelsim.machine.fast import time_program
from accelsim.profile import build_profile
from accelsim.schedules import compile_scheduled
from tests.unit.explore.conftest import MakeSweep

AXES = ("mac.rows=2,4,8", "sram.weights.capacity_bytes=256,1024,4096,32768", "dram.bytes_per_cycle=1,4", "batch=1,2")
KILLS = int(os.environ.get("ACCELSIM_KILLS", "3"))


def done(sweep: Sweep, folder: Path, executor: Executor) -> tuple[Outcome, Results]:
    folder.mkdir(exist_ok=True)
    with opened(folder, sweep.meta()) as database:
        outcome = run_sweep(sweep, database, executor)
    return outcome, read_results(folder)


def equal(one: Results, other: Results) -> None:
    pd.testing.assert_frame_equal(one.points, other.points)
    pd.testing.assert_frame_equal(one.layers, other.layers)


def test_rows_are_those_of_runs(make: MakeSweep, tmp_path: Path) -> None:
    """Nothing that points share changes a figure of one of them."""
    sweep = make(*AXES)
    outcome, results = done(sweep, tmp_path, Here(sweep.work()))
    assert outcome.points == outcome.simulated == sweep.space.size == 48
    assert 0 < outcome.failed < 48
    graph, chip = sweep.models[0].graph, load_chip("tx5368-small")
    for _, row in results.points.iterrows():
        settings = {key: row[key] for key in ("mac.rows", "sram.weights.capacity_bytes", "dram.bytes_per_cycle")}
        own = with_settings(chip, settings)
        try:
            program = compile_scheduled(graph, own, batch=row["batch"]).program
        except InputError as error:
            refusal = str(error)
        else:
            refusal = ""
        if refusal:
            assert (row["status"], row["reason"]) == ("failed", refusal)
            assert np.isnan(row["cycles"])
            continue
        profile = build_profile(program, time_program(program).counters, 1)
        found = (row["schedule"], row["cycles"], row["bound_cycles"], row["dram_bytes"], row["macs"])
        dram = profile.total.memory["dram"].bytes
        assert found == (program.schedule, profile.cycles, profile.bound.cycles, dram, profile.total.macs)
        assert row["energy_nj"] == pytest.approx(profile.total.energy_nj)
        assert row["area_mm2"] == pytest.approx(profile.costs.total_area_mm2)
        layers = results.layers[results.layers["number"] == row["number"]]
        assert layers["name"].tolist() == [part.name for part in profile.layers]
        assert layers["cycles"].sum() == row["cycles"]
        assert layers["cycles"].tolist() == [part.cycles for part in profile.layers]


def test_all_executors_say_the_same(make: MakeSweep, tmp_path: Path) -> None:
    sweep = make(*AXES, where=("mac.rows * dram.bytes_per_cycle <= 16",))
    one, several = Here(sweep.work()), Processes(sweep.work(), 2)
    outcome, results = done(sweep, tmp_path / "here", one)
    assert outcome.points == 40
    equal(results, done(sweep, tmp_path / "processes", several)[1])
    # Nothing is simulated twice.
    again, same = done(sweep, tmp_path / "here", one)
    assert (again.points, again.simulated) == (40, 0)
    equal(results, same)


def test_energy_and_clock_change_no_cycle(make: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such points are compiled and counted once."""
    compiled = []
    monkeypatch.setattr(
        "accelsim.explore.evaluate.compile_scheduled",
        lambda *args, **more: compiled.append(args) or compile_scheduled(*args, **more),
    )
    sweep = make("mac.rows=2,4", "chip.clock_mhz=100,200", "energy.table=45nm,7nm")
    points = done(sweep, tmp_path, Here(sweep.work()))[1].points
    assert len(compiled) == 2
    assert points.groupby("mac.rows")["cycles"].nunique().tolist() == [1, 1]
    assert points["time_us"].tolist() == (points["cycles"] / points["chip.clock_mhz"]).tolist()
    assert points["energy_nj"].nunique() >= 4


def test_no_point_at_all(make: MakeSweep) -> None:
    with pytest.raises(InputError, match=r"none of 3 points meets mac.rows > 8; mac.rows < 4; expected at least one"):
        make("mac.rows=2,4,8", where=("mac.rows > 8", "mac.rows < 4"))
    with pytest.raises(InputError, match=r"mac\.rows: is set twice"):
        make("mac.rows=2,4,8", "mac.rows=16")


class _Deadly(Evaluator):
    """Ends its process at one point always, at another the first time."""

    def evaluate(self, point: Point):  # type: ignore[no-untyped-def]
        marker = Path(os.environ["ACCELSIM_TEST_MARKER"])
        if point.number == 5 or (point.number == 9 and not marker.exists()):
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate(point)


def _begin_deadly(work: Work) -> None:
    executors._begin(work)
    executors._evaluator = _Deadly(work)


def test_a_process_that_ends(make: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its points are taken up again; one that ends every process that comes near it is a row with the reason."""
    monkeypatch.setenv("ACCELSIM_TEST_MARKER", str(tmp_path / "marker"))

    def pool(self: Processes) -> object:
        context = executors.multiprocessing.get_context("spawn")
        return executors.ProcessPoolExecutor(2, mp_context=context, initializer=_begin_deadly, initargs=(self._work,))

    sweep = make("mac.rows=2,4,8", "dram.bytes_per_cycle=1,2,4,8")
    expected = done(sweep, tmp_path / "here", Here(sweep.work()))[1].points
    monkeypatch.setattr(Processes, "_pool", pool)
    found = done(sweep, tmp_path / "deadly", Processes(sweep.work(), 2))[1].points
    assert found["number"].tolist() == list(range(12))
    assert found.loc[5, "reason"] == "the worker's process ended 3 times, of memory perhaps"
    pd.testing.assert_frame_equal(found.drop(5), expected.drop(5), check_dtype=False)


class _Slow(Evaluator):
    """Takes a while, so that several points are under way."""

    def evaluate(self, point: Point):  # type: ignore[no-untyped-def]
        time.sleep(0.5)
        marker = Path(os.environ["ACCELSIM_TEST_MARKER"])
        if point.number == 0 and len(list(marker.parent.glob("marker*"))) < 3:
            tempfile.mkstemp(prefix="marker", dir=marker.parent)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate(point)


def _begin_slow(work: Work) -> None:
    executors._begin(work)
    executors._evaluator = _Slow(work)


def test_a_death_in_company_is_not_counted(make: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker takes its neighbours' points along: three ends, of which the point was alone at two, are not three."""
    (tmp_path / "markers").mkdir()
    monkeypatch.setenv("ACCELSIM_TEST_MARKER", str(tmp_path / "markers" / "marker"))

    def pool(self: Processes) -> object:
        context = executors.multiprocessing.get_context("spawn")
        return executors.ProcessPoolExecutor(2, mp_context=context, initializer=_begin_slow, initargs=(self._work,))

    monkeypatch.setattr(Processes, "_pool", pool)
    sweep = make("mac.rows=2,4,8")
    outcome, _ = done(sweep, tmp_path / "out", Processes(sweep.work(), 2))
    assert (outcome.points, outcome.failed) == (3, 0)


def test_lost_points_are_tried_again(make: MakeSweep, tmp_path: Path) -> None:
    """What ended their workers is of the machine: the same command makes up for them, and for nothing else."""
    sweep = make("mac.rows=2,4,8")
    outcome, expected = done(sweep, tmp_path, Here(sweep.work()))
    with opened(tmp_path, sweep.meta()) as database:
        for number, reason in ((0, LOST), (1, "too large")):
            columns = Evaluator(sweep.work()).columns(sweep.space.point(number)) | {"status": FAILED, "reason": reason}
            database._connection.execute("DELETE FROM points WHERE number = ?", (number,))
            database._connection.execute("DELETE FROM layers WHERE number = ?", (number,))
            database.add([Result(number, columns)])
    outcome, found = done(sweep, tmp_path, Here(sweep.work()))
    assert (outcome.points, outcome.failed, outcome.simulated) == (3, 1, 1)
    pd.testing.assert_frame_equal(found.points.drop(1), expected.points.drop(1), check_dtype=False)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups")
def test_killed_at_any_moment(make: MakeSweep, model: Path, tmp_path: Path) -> None:
    """The finished database is that of an undisturbed run, and no process is left behind."""
    axes = ("mac.rows=1:12:+1", "mac.columns=1:8:+1", "dram.bytes_per_cycle=1,2,4,8")
    arguments = [str(model), "--chip", "tx5368-small", "--out", str(tmp_path / "killed"), "--jobs", "2"]
    for one in axes:
        arguments += ["--set", one]
    numbers, counts = random.Random(0), []
    for _ in range(KILLS):
        with _begun(arguments) as process:
            wait_until = time.monotonic() + 30
            before = _rows(tmp_path / "killed")
            # From the first new row on, so that something is done in each try.
            while _rows(tmp_path / "killed") == before and process.poll() is None and time.monotonic() < wait_until:
                time.sleep(0.02)
            time.sleep(numbers.random() * 0.5)
            process.send_signal(signal.SIGKILL)
            process.wait()
            _gone(process.pid)
        counts.append(_rows(tmp_path / "killed"))
    assert counts == sorted(counts)
    subprocess.run([sys.executable, "-m", "accelsim.cli", "sweep", *arguments], check=True, capture_output=True)
    sweep = make(*axes)
    _, undisturbed = done(sweep, tmp_path / "whole", Here(sweep.work()))
    equal(read_results(tmp_path / "killed"), undisturbed)


class _begun:  # noqa: N801
    """A sweep in a process group of its own."""

    def __init__(self, arguments: list[str]) -> None:
        command = [sys.executable, "-m", "accelsim.cli", "sweep", *arguments]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def _rows(folder: Path) -> int:
    try:
        return len(read_results(folder).points)
    except InputError:
        return 0


def _gone(group: int) -> None:
    """Wait until no process of a group is left."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if not list(_members(group)):
            return
        time.sleep(0.05)
    raise AssertionError(f"left behind: {list(_members(group))}")


def _members(group: int) -> Iterator[str]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(state[2]) == group and state[0] != "Z":
                yield (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_more_points_than_can_be_numbered(make: MakeSweep) -> None:
    keys = ("mac.latency_cycles", "dma.latency_cycles", "dram.read_latency_cycles", "dram.write_latency_cycles")
    with pytest.raises(InputError, match=r"810,000,000,000,000,000,000 points; expected at most 9,223"):
        make(*(f"{key}=1:30000:+1" for key in keys), "mac.rows=1:1000:+1")


def test_tables_of_files_are_part_of_what_a_sweep_is(
    make: MakeSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go with the work, and another content is another sweep."""
    monkeypatch.chdir(tmp_path)
    table = (Path(__file__).parents[3] / "configs" / "energy" / "45nm.toml").read_text(encoding="utf-8")
    Path("own.toml").write_text(table, encoding="utf-8")
    sweep = make("energy.table=45nm,own.toml", "mac.rows=2,4")
    Path("own.toml").unlink()
    points = done(sweep, tmp_path / "out", Here(sweep.work()))[1].points
    assert points["status"].tolist() == ["done"] * 4
    assert points["energy_nj"].tolist()[:2] == points["energy_nj"].tolist()[2:]
    with pytest.raises(InputError, match=r"own\.toml: No such file"):
        make("energy.table=45nm,own.toml")
    Path("own.toml").write_text(table.replace("= 0.2", "= 0.3", 1), encoding="utf-8")
    with pytest.raises(InputError, match="holds another sweep: energy "):
        done(make("energy.table=45nm,own.toml", "mac.rows=2,4"), tmp_path / "out", Here(sweep.work()))
