"""``accelsim sweep`` as a user calls it, wrong arguments included."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from accelsim.chip import load_chip
from accelsim.explore.constraints import Constraint
from accelsim.explore.database import read_results
from accelsim.explore.models import read_models
from accelsim.explore.space import fixed_values
from accelsim.explore.sweep import Sweep
from accelsim.explore.sweep_file import read_sweep_file
from tests.support.command_line import Files, Program, refused


@pytest.fixture
def sweep(files: Files) -> list[object]:
    grid = ("--set", "mac.rows=2:8:x2", "--set", "sram.weights.capacity_bytes=1024,32768")
    return ["sweep", files / "kws_quantize.onnx", "--chip", "tx5368-small", *grid, "-j", 1]


def test_a_grid(accelsim: Program, files: Files, sweep: list[object], tmp_path: Path) -> None:
    export = ("--export", tmp_path / "p.csv", "--export", tmp_path / "p.parquet")
    text = accelsim.ok(*sweep, "--out", files.out, *export)
    assert "6 points; " in text
    assert "least latency" in text
    found = read_results(files.out)
    assert found.points["mac.rows"].tolist() == [2, 2, 4, 4, 8, 8]
    assert found.meta["chip"]["name"] == "tx5368-small"
    csv, parquet = pd.read_csv(tmp_path / "p.csv"), pd.read_parquet(tmp_path / "p.parquet")
    for table in (csv, parquet):
        assert table["cycles"].tolist() == found.points["cycles"].tolist()
        assert list(table.columns) == list(found.points.columns)
    again = json.loads(accelsim.ok(*sweep, "--out", files.out, "--json"))
    assert (again["points"], again["simulated"]) == (6, 0)


def test_a_row_that_can_not_be(accelsim: Program, files: Files) -> None:
    command = ["sweep", files / "kws_quantize.onnx", "--set", "sram.weights.capacity_bytes=2048,1000,4096", "-j", 1]
    outcome = accelsim(*command, "--out", files.out, "--export", files / "p.csv")
    assert outcome.code == 0
    assert "3 points; 1 failed" in outcome.out
    assert "note: 1 point: tx5368: sram.weights.capacity_bytes: found 1000; expected a multiple" in outcome.err
    lines = (files / "p.csv").read_text().splitlines()
    assert ",failed," in lines[2]
    assert ".0," not in lines[1].partition("done")[2].partition("bytes")[0]


def test_the_least_is_of_each_model(accelsim: Program, files: Files) -> None:
    """Of a small and a larger network the least of all would be the small one's, and say nothing of the other."""
    models = [files / "kws.onnx", files / "kws_quantize.onnx"]
    grid = ("--set", "mac.rows=4,8", "--out", files.out, "-j", 1)
    text = accelsim.ok("sweep", *models, "--chip", "tx5368-small", *grid)
    points = read_results(files.out).points
    for model, mine in points.groupby("model"):
        (line,) = [line for line in text.splitlines() if line.split()[:3] == [model, "least", "latency"]]
        least = mine.loc[mine["time_us"].idxmin()]
        assert line.split()[3] == f"{least['time_us']:.4g}"
        assert line.split()[6] == f"mac.rows={least['mac.rows']}"
    assert points["model"].nunique() == 2
    assert text.count("least latency") == 2


def test_plots_of_a_sweep_without_results_are_left_out_with_a_note(accelsim: Program, files: Files) -> None:
    command = ("sweep", files / "kws_quantize.onnx", "--set", "sram.weights.capacity_bytes=64,128", "--out", files.out)
    outcome = accelsim(*command, "--plots", "-j", 1)
    assert outcome.code == 0
    assert "note: no figures: no point of 2 has a result" in outcome.err
    assert list(files.out.glob("*.png")) == []


def test_a_search(accelsim: Program, files: Files, sweep: list[object]) -> None:
    command = (
        *sweep,
        "--set",
        "mac.columns=2:16:+2",
        "--objective",
        "latency,area",
        "--trials",
        20,
        "--out",
        files.out,
    )
    found = json.loads(accelsim.ok(*command, "--json"))
    assert found["trials"] == 20
    assert found["front"]
    assert all(one["settings"].keys() >= {"mac.rows", "mac.columns"} for one in found["front"])
    latencies, areas = ([one[name] for one in found["front"]] for name in ("latency", "area"))
    assert latencies == sorted(latencies)
    assert areas == sorted(areas, reverse=True)
    text = accelsim.ok(*command)
    assert "20 trials" in text
    assert "what bounds it" in text
    assert "one step from" in text
    accelsim.ok(*command, "--plots")
    assert (files.out / "pareto_area_mm2_over_time_us.png").read_bytes().startswith(b"\x89PNG")
    assert list(files.out.glob("*.svg")) == []
    accelsim.ok(*command, "--plots", "--plots-format", "svg")
    assert (files.out / "pareto_area_mm2_over_time_us.svg").read_bytes().startswith(b"<?xml")


def test_a_sweep_file(accelsim: Program, files: Files) -> None:
    (files / "grid.toml").write_text(
        'models = ["kws_quantize.onnx"]\nchip = "tx5368-small"\nwhere = "mac.rows * batch <= 8"\n'
        '[grid]\nbatch = [1, 2]\nmac.rows = "2:8:x2"\n'
    )
    accelsim.ok("sweep", "-f", files / "grid.toml", "--out", files.out, "-j", 1)
    found = read_results(files.out).points
    assert list(zip(found["batch"], found["mac.rows"], strict=True)) == [(1, 2), (1, 4), (1, 8), (2, 2), (2, 4)]
    assert (found["energy_per_frame_nj"] * found["batch"]).tolist() == pytest.approx(found["energy_nj"].tolist())
    (files / "list.toml").write_text(
        'models = ["kws_quantize.onnx"]\n[[points]]\nmac.rows = 2\nbatch = 2\n[[points]]\nmac.rows = 8\nbatch = 1\n'
    )
    accelsim.ok("sweep", "-f", files / "list.toml", "--out", files / "list", "-j", 1)
    found = read_results(files / "list").points
    assert list(zip(found["batch"], found["mac.rows"], strict=True)) == [(2, 2), (1, 8)]


def test_the_bundled_sweep_file_is_one() -> None:
    """All of it is simulated by who follows the README; here its points are counted."""
    file = read_sweep_file(Path(__file__).parents[3] / "workloads" / "kws12" / "sweep.toml")
    chip = load_chip(file.chip or "")
    constraints = [Constraint(text, fixed_values(chip)) for text in file.constraints]
    sweep = Sweep(read_models(file.models), chip, file.axes, constraints)
    assert len(list(sweep.space.numbers())) == 15 * 9


def test_a_float_model_counts_as_the_quantized_one(accelsim: Program, files: Files) -> None:
    for name in ("kws.onnx", "kws_quantize.onnx"):
        outcome = accelsim("sweep", files / name, "--set", "mac.rows=2,8", "--out", files / name[:4], "-j", 1)
        assert outcome.code == 0
        assert ("is a float model" in outcome.err) == (name == "kws.onnx")
    one = accelsim("sweep", files / "kws.onnx", files / "kws_quantize.onnx", "--out", files.out, "-j", 1)
    assert one.code == 0
    assert read_results(files.out).points["cycles"].nunique() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "mac.row=8"], "--set: mac.row: unknown key; nearest: mac.rows"),
        (["--set", "mac.rows="], "--set: mac.rows: no values; expected at least one"),
        (["--set", "mac.rows=8:64"], "--set: mac.rows: found '8:64'; expected FROM:TO:xFACTOR"),
        (["--set", "mac.rows=8", "--set", "mac.rows=16"], "--set: mac.rows: is set twice"),
        (["--set", "mac.rows=8", "--where", "mac.rows > 8"], "--where: none of 1 points meets mac.rows > 8"),
        (["--set", "mac.rows=8", "--where", "mac.rowz > 8"], "--where: mac.rowz: unknown key; nearest: mac.rows"),
        ([], "--set: no key is set; expected at least one --set KEY=VALUES"),
        (["--batch", "x"], "--batch: batch: found 'x'; expected an integer of at least 1"),
        (["--set", "mac.rows=8,9", "--objective", "latncy"], "found 'latncy'; nearest: latency"),
        (["--set", "mac.rows=8,9", "--objective", ""], "--objective: found ''"),
        (["--set", "mac.rows=8,9", "--objective", "area", "--sampler", "tpf"], "found 'tpf'; nearest: tpe"),
        (["--set", "mac.rows=8,9", "--schedule", "stepwize"], "found 'stepwize'; nearest: stepwise"),
        (["--set", "mac.rows=8,9", "--export", "x.xls"], "suffix '.xls'; expected .csv or .parquet"),
        (["--set", "mac.rows=8,9", "--export", "no/where.csv"], "no is no folder"),
        (["--set", "mac.rows=8,9", "--energy", "44nm"], "nearest: 45nm"),
        (["--set", "mac.rows=8,9", "--chip", "tx5369"], "nearest: tx5368"),
        (["--set", "mac.rows=8,9", "--dask", "tcp://127.0.0.1:9"], "no scheduler answers"),
        (["--set", "mac.rows=8", "--trials", "5"], "--trials: given without --objective; expected a search"),
        (["--set", "mac.rows=8", "--seed", "5"], "--seed: given without --objective; expected a search"),
        (["--set", "mac.rows=8", "--dask", ""], "--dask: found ''; expected tcp://HOST:PORT of a scheduler, or local"),
        (
            [*("--set", "mac.rows=1:1000:+1", "--set", "mac.columns=1:1000:+1", "--set", "vector.lanes=1:1000:+1")],
            "--set: 1,000,000,000 points; expected at most 100,000, or --yes",
        ),
    ],
)
def test_mistakes(
    accelsim: Program, files: Files, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accelsim.explore.cluster._ANSWER_SECONDS", 1)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    command = ("sweep", files / "kws_quantize.onnx", "--out", files.out, *arguments)
    assert message in refused(accelsim, files, *command)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grids = 1", "grids: unknown key; nearest: grid"),
        ("[grid", "not TOML"),
        ("grid = 3", "grid: found 3; expected a table"),
        ("models = 3\n[grid]\nmac.rows = 8", "models: found 3; expected a text, or a list of texts"),
        ("[grid]\nmac.rowz = [8]", "mac.rowz: unknown key; nearest: mac.rows"),
        ("[grid]\nmac.rows = []", "mac.rows: no values"),
        ("[grid]\nmac.rows = [8.5]", "mac.rows: found 8.5; expected an integer"),
        ("points = []", "points: found no points"),
        ("[[points]]\nmac.rows = 8\n[[points]]\nmac.columns = 8", "points[1]: mac.columns, mac.rows: is in one point"),
        ("[[points]]\nmac.rows = 0", "points[0]: mac.rows: found 0; expected at least 1"),
        ("[[points]]\nbatch = 0", "points[0]: batch: found 0"),
        ("[grid]\nmac.rows = 8\n[[points]]\nmac.rows = 8", "points: stands beside grid"),
        ('[grid]\nmac.rows = 8\n"mac.rows" = 16', "mac.rows: is set twice"),
        ("[[points]]\nmac.rows = 8\n[[points]]\nmac.rows = 8", "points[1]: is the same as points[0]"),
        ("[[points]]\nmac = {}", "points[0]: sets no key"),
        ("objective = []\n[grid]\nmac.rows = 8", "objective: found []; expected some of latency"),
        ('objective = ""\n[grid]\nmac.rows = 8', "objective: found ''; expected some of latency"),
        ("trials = -1\n[grid]\nmac.rows = 8", "trials: found -1; expected an integer of at least 1"),
        ("trials = 0\n[grid]\nmac.rows = 8", "trials: found 0; expected an integer of at least 1"),
    ],
)
def test_mistakes_in_a_file(accelsim: Program, files: Files, text: str, message: str) -> None:
    (files / "mine.toml").write_text(text)
    command = ("sweep", files / "kws_quantize.onnx", "-f", files / "mine.toml", "--out", files.out)
    error = refused(accelsim, files, *command)
    assert "mine.toml: " in error
    assert message in error


def test_a_file_that_is_no_model(accelsim: Program, files: Files) -> None:
    command = ("--set", "mac.rows=8,16", "--out", files.out)
    assert "no such file" in refused(accelsim, files, "sweep", files / "none.onnx", *command).lower()
    assert "is no ONNX model" in refused(accelsim, files, "sweep", files / "data.npz", *command)
    assert "MODEL: none is named" in refused(accelsim, files, "sweep", *command)


def test_a_search_is_of_one_model(accelsim: Program, files: Files) -> None:
    models = [files / "kws.onnx", files / "kws_quantize.onnx"]
    command = ["sweep", *models, "--set", "mac.rows=1:9:+1", "--objective", "latency", "--out", files.out]
    assert "--objective: given with 2 models; expected one" in refused(accelsim, files, *command)


def test_another_sweep_is_refused(accelsim: Program, files: Files, sweep: list[object]) -> None:
    accelsim.ok(*sweep, "--out", files.out)
    before = (files.out / "sweep.sqlite").read_bytes()
    outcome = accelsim(*sweep, "--batch", 2, "--out", files.out)
    assert outcome.code == 2
    assert "holds another sweep: axes" in outcome.error
    assert (files.out / "sweep.sqlite").read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("how", [("-j", "1"), ("-j", "2"), ("--dask", "local")])
def test_an_interrupted_sweep_says_how_far_it_is(files: Files, how: tuple[str, str]) -> None:
    """And nothing else: a terminal interrupts the processes it has begun too, which are silent."""
    if "--dask" in how:
        pytest.importorskip("distributed", reason="Dask is not installed")
    grid = ("--set", "mac.rows=1:64:+1", "--set", "mac.columns=1:64:+1")
    command = [sys.executable, "-m", "accelsim.cli", "sweep", str(files / "kws_quantize.onnx"), *grid]
    process = subprocess.Popen(
        [*command, "--out", str(files.out), *how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while time.monotonic() < until and not (files.out / "sweep.sqlite").exists():
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    lines = error.splitlines()
    assert lines[0].startswith("accelsim: note: ")
    assert lines[0].endswith("sweep.sqlite; the same command goes on with them")
    assert [line for line in lines[1:] if line] == ["accelsim: error: interrupted"]
