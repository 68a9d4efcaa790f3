from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from accelsim.explore.database import Database
from accelsim.explore.results import LAYER_COLUMNS, POINT_COLUMNS, Result
from accelsim.isa.files import read_program
from accelsim.resources import workload_folder
from tests.support.command_line import Files, Program, refused

META = {
    "axes": {"mac.rows": [8, 16]},
    "models": [{"name": "kws", "path": "kws.onnx", "sha256": "a" * 64}],
    "chip": {"name": "tx5368", "sha256": "b" * 64},
    "constraints": [],
    "objectives": [],
    "seed": None,
    "accelsim": "0.1.0",
    "command": "accelsim sweep kws.onnx --set mac.rows=8,16",
}


def database(path: Path, count: int = 2) -> Path:
    """A sweep of two points, of which the second failed."""
    figures = dict.fromkeys(POINT_COLUMNS, 1) | {"model": "kws", "batch": 1, "schedule_asked": "auto"}
    done = figures | {"settings": '{"mac.rows": 8}', "status": "done", "bound_limit": "MACs", "schedule": "stepwise"}
    failed = {"model": "kws", "batch": 1, "schedule_asked": "auto", "settings": '{"mac.rows": 16}'}
    layer = dict.fromkeys(LAYER_COLUMNS, 1) | {"layer": 0, "name": "lstm", "kind": "lstm"}
    results = [Result(0, done, [layer]), Result(1, failed | {"status": "failed", "reason": "no room: 7 bytes"})]
    with Database(path, META) as made:
        made.add(results[:count])
    return path


def test_the_page_of_a_program(accelsim: Program, files: Files) -> None:
    cfg, page = files / "kws_quantize_r.cfg", files / "out" / "page.html"
    out = accelsim.ok("report", cfg, "--out", page)
    assert out == f"written: {page} ({page.stat().st_size:,} bytes)\n"
    text = page.read_text(encoding="utf-8")
    program = read_program(cfg)
    assert f"accelsim report {cfg}" in text
    assert all(f' data-index="{index}"' in text for index in range(len(program.words)))
    for layer in program.layers:
        assert f">{layer.name}</option>" in text
    again = files / "again.html"
    accelsim.ok("report", cfg, "--out", again)
    assert again.read_bytes() == page.read_bytes()


def test_the_page_goes_beside_its_source(accelsim: Program, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "here").mkdir()
    monkeypatch.chdir(files / "here")
    accelsim.ok("report", "../kws_quantize_r.cfg")
    assert (files / "kws_quantize_r.html").exists()
    (files / "folder").mkdir()
    for source in (database(files / "folder" / "sweep.sqlite"), files / "folder"):
        accelsim.ok("report", source)
        (files / "folder" / "sweep.html").unlink()
    assert list((files / "here").iterdir()) == []
    # Reading leaves nothing beside the database.
    assert not list((files / "folder").glob("*-wal")) + list((files / "folder").glob("*-shm"))


def test_the_page_of_a_sweep(accelsim: Program, files: Files) -> None:
    page = files / "sweep.html"
    accelsim.ok("report", database(files / "sweep.sqlite"), "--out", page)
    text = page.read_text(encoding="utf-8")
    assert "1 done, 1 failed" in text
    assert "no room: 7 bytes" in text
    assert "accelsim sweep kws.onnx --set mac.rows=8,16" in text
    before = page.read_bytes()
    accelsim.ok("report", files / "sweep.sqlite", "--out", page)
    assert page.read_bytes() == before
    # The folder it lies in does as well.
    accelsim.ok("report", files.folder, "--out", page)


def test_the_bundled_workloads_page(accelsim: Program, tmp_path: Path) -> None:
    page = tmp_path / "kws.html"
    accelsim.ok("report", workload_folder("kws12") / "lstm_quantize_r.cfg", "--out", page)
    assert "lstm takes 4,481 cycles (11.2 µs) for a frame on chip tx5368" in page.read_text(encoding="utf-8")


def test_a_cost_table_of_ones_choice(accelsim: Program, tmp_path: Path) -> None:
    cfg = workload_folder("kws12") / "lstm_quantize_r.cfg"
    accelsim.ok("report", cfg, "--energy", "7nm", "--out", tmp_path / "7nm.html")
    text = (tmp_path / "7nm.html").read_text(encoding="utf-8")
    assert "Energy and area are by cost table 7nm" in text
    assert "Its area is not known." in text
    accelsim.ok("report", cfg, "--energy", "none", "--out", tmp_path / "none.html")
    text = (tmp_path / "none.html").read_text(encoding="utf-8")
    assert "Energy is" not in text
    assert 'data-figure="energy"' not in text


def test_mistakes_are_one_line_and_leave_nothing(accelsim: Program, files: Files) -> None:
    cfg = files / "kws_quantize_r.cfg"
    page = files / "page.html"
    assert refused(accelsim, files, "report", files / "no_r.cfg", "--out", page).startswith(f"{files / 'no_r.cfg'}: No")
    assert "no such file" in refused(accelsim, files, "report", files / "no.sqlite", "--out", page)
    assert "is a folder" in refused(accelsim, files, "report", cfg, "--out", files.folder)
    assert "is an input" in refused(accelsim, files, "report", cfg, "--out", cfg)
    damaged = files / "damaged_r.cfg"
    damaged.write_text(cfg.read_text().replace("[isa]", "[asi]"))
    assert refused(accelsim, files, "report", damaged, "--out", page).startswith(str(damaged))
    shutil.copy(files / "kws.onnx", files / "kws_r.cfg")
    assert refused(accelsim, files, "report", files / "kws_r.cfg", "--out", page).startswith(str(files / "kws_r.cfg"))
    assert "missing" in refused(accelsim, files, "report", "--out", page).lower()


def changed(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def refused_database(accelsim: Program, path: Path, page: Path) -> str:
    """The error of a command that has to fail and write no page; SQLite may leave files of its own beside `path`."""
    outcome = accelsim("report", path, "--out", page)
    assert (outcome.code, outcome.out, page.exists()) == (2, "", False)
    return outcome.error


def test_databases_that_are_no_sweeps_are_refused(accelsim: Program, files: Files) -> None:
    page = files / "page.html"
    text = files / "text.sqlite"
    text.write_text("no database")
    assert refused_database(accelsim, text, page).startswith(f"{text}: ")
    other = files / "other.db"
    changed(other, "CREATE TABLE things (a)")
    assert "is another program's database" in refused_database(accelsim, other, page)
    newer = database(files / "newer.sqlite")
    changed(newer, "PRAGMA user_version = 99")
    assert "found 99" in refused_database(accelsim, newer, page)
    empty = database(files / "empty.sqlite", count=0)
    assert "there is none yet" in refused_database(accelsim, empty, page)
    assert refused(accelsim, files, "report", text, "--weight", "x", "--out", page).startswith("--weight: ")
    assert refused(accelsim, files, "report", text, "--energy", "7nm", "--out", page).startswith("--energy: ")


def test_a_damaged_database_is_refused(accelsim: Program, files: Files) -> None:
    made = database(files / "sweep.sqlite")
    changed(made, "UPDATE points SET settings = 'no JSON'")
    assert refused_database(accelsim, made, files / "page.html").startswith(f"{made}: can't be read: ")
    changed(made, "DROP TABLE layers")
    assert refused_database(accelsim, made, files / "page.html").startswith(f"{made}: can't be read: ")
