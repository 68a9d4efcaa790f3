"""The file results go to: whole after any end, and nobody else's."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from accelsim.errors import InputError
from accelsim.explore.database import Database, read_results
from accelsim.explore.export import check_exports
from accelsim.explore.results import DONE, FAILED, LAYER_COLUMNS, Result
from accelsim.explore.sweep import opened

META = {
    "axes": {"mac.rows": [1, 2, 3]},
    "models": [{"name": "m", "path": "here/m.onnx", "sha256": "0"}],
    "command": "a",
}


def result(number: int, cycles: int | None = 7) -> Result:
    columns = {"model": "m", "batch": 1, "settings": f'{{"mac.rows": {number}}}', "cycles": cycles}
    layer = dict.fromkeys(LAYER_COLUMNS, 0) | {"name": "l", "kind": "k", "layer": 0}
    if cycles is None:
        return Result(number, columns | {"status": FAILED, "reason": "too large"})
    return Result(number, columns | {"status": DONE}, [layer, layer | {"layer": 1}])


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    with Database(tmp_path / "sweep.sqlite", META) as database:
        database.add([result(2), result(0, None)])
        assert list(database.missing(iter(range(4)))) == [1, 3]
        database.add([result(1), result(2, 99)])
        assert database.count() == (3, 1)
        assert database.reasons() == [("too large", 1)]
        assert list(database.objectives(["cycles", "batch"])) == [(1, (7, 1)), (2, (7, 1))]
    for place in (tmp_path, tmp_path / "sweep.sqlite"):
        found = read_results(place)
        assert found.points["number"].tolist() == [0, 1, 2]
        assert found.points["mac.rows"].tolist() == [0, 1, 2]
        assert found.points["cycles"].isna().tolist() == [True, False, False]
        assert found.layers["number"].tolist() == [1, 1, 2, 2]
        assert found.meta["axes"] == META["axes"]
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.sqlite"]


def test_missing_numbers_of_many(tmp_path: Path) -> None:
    with Database(tmp_path / "sweep.sqlite", META) as database:
        database.add([result(number) for number in range(0, 5000, 3)])
        assert list(database.missing(iter(range(5000)))) == [one for one in range(5000) if one % 3]


def test_another_sweep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sweep.sqlite"
    Database(path, META).__exit__()
    moved = META | {"models": [{"name": "m", "path": "elsewhere.onnx", "sha256": "0"}], "command": "b"}
    Database(path, moved).__exit__()
    other = META | {"models": [{"name": "m", "path": "here/m.onnx", "sha256": "1"}]}
    with pytest.raises(InputError, match=r'holds another sweep: models .*"sha256": "0".* asked for .*"sha256": "1"'):
        Database(path, other)
    with pytest.raises(InputError, match="holds another sweep: axes"):
        Database(path, META | {"axes": {"mac.rows": [1]}})


def test_axes_in_another_order_are_another_sweep(tmp_path: Path) -> None:
    """Numbers stand for other points then: what is missing would be there twice, and something else not at all."""
    axes = {"mac.rows": [1, 2], "mac.columns": [1, 2]}
    Database(tmp_path / "sweep.sqlite", META | {"axes": axes}).__exit__()
    order = "axes: holds another sweep: in the order mac.rows, mac.columns, asked for mac.columns, mac.rows"
    with pytest.raises(InputError, match=order):
        Database(tmp_path / "sweep.sqlite", META | {"axes": dict(reversed(axes.items()))})
    Database(tmp_path / "sweep.sqlite", META | {"axes": axes}).__exit__()


def test_files_that_are_something_else(tmp_path: Path) -> None:
    path = tmp_path / "sweep.sqlite"
    path.write_bytes(b"no database, but long enough to be one" * 100)
    for use in (lambda: Database(path, META), lambda: read_results(path)):
        with pytest.raises(InputError, match="file is not a database; expected a database that `accelsim sweep` made"):
            use()
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    for use in (lambda: Database(path, META), lambda: read_results(path)):
        with pytest.raises(InputError, match="another program's database"):
            use()
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        read_results(path)
    with pytest.raises(InputError, match="no such file"):
        read_results(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sweep.sqlite"
    Database(path, META).__exit__()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    for use in (lambda: Database(path, META), lambda: read_results(path)):
        with pytest.raises(InputError, match="format: found 9; expected 1, which this version of accelsim reads"):
            use()


def test_a_file_begun_and_not_made(tmp_path: Path) -> None:
    """As it is where a process ends between making the file and its tables."""
    path = tmp_path / "sweep.sqlite"
    path.touch()
    with Database(path, META) as database:
        database.add([result(0)])
    assert len(read_results(path).points) == 1


def test_damaged_words_about_the_sweep_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "sweep.sqlite"
    Database(path, META).__exit__()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '[' WHERE key = 'axes'")
    connection.close()
    for use in (lambda: opened(tmp_path, META).__enter__(), lambda: read_results(path)):
        with pytest.raises(InputError, match="can't be read: what it says of the sweep is damaged"):
            use()


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with (
        opened(tmp_path, META),
        pytest.raises(InputError, match="another process is at work on it"),
        opened(tmp_path, META),
    ):
        pass
    with opened(tmp_path, META):
        pass


def test_a_damaged_page_is_one_line(tmp_path: Path) -> None:
    """Wherever it lies: the file is read to its end, or the one line says what is wrong with it."""
    path = tmp_path / "sweep.sqlite"
    with Database(path, META) as database:
        database.add([result(number) for number in range(400)])
    whole = path.read_bytes()
    refused: dict[object, set[int]] = {_read: set(), _go_on: set()}
    for at in range(100, len(whole), 4096):
        path.write_bytes(whole[:at] + b"\xa5" * 2000 + whole[at + 2000 :])
        for read, places in refused.items():
            try:
                read(tmp_path)  # type: ignore[operator]
            except InputError as error:
                places.add(at)
                assert str(error).startswith(f"{path}: ")  # noqa: PT017
    assert len(refused[_read]) > len(whole) // 4096 // 2
    # Nothing is added to a file that can't be read to its end.
    assert refused[_read] <= refused[_go_on]


def _read(folder: Path) -> None:
    results = read_results(folder)
    assert len(results.points) + len(results.layers)


def _go_on(folder: Path) -> None:
    with opened(folder, META) as database:
        list(database.missing(range(500)))
        assert database.count()
        assert list(database.objectives(["cycles"]))


def test_exports_go_to_folders_that_are_there_or_will_be(tmp_path: Path) -> None:
    check_exports([tmp_path / "a.csv", tmp_path / "new" / "b.csv"], tmp_path / "new")
    with pytest.raises(InputError, match="new is no folder; expected a file in a folder that is there"):
        check_exports([tmp_path / "new" / "b.csv"])
    (tmp_path / "c.csv").mkdir()
    with pytest.raises(InputError, match="is a directory; expected a file name"):
        check_exports([tmp_path / "c.csv"])


def test_a_log_that_can_not_be_taken_in_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a sweep that was killed, in a folder that can't be written: what is in its log alone is there."""
    path = tmp_path / "sweep.sqlite"
    with Database(path, META) as database:
        database.add([result(number) for number in range(3)])
        copy = tmp_path / "copy"
        copy.mkdir()
        for one in tmp_path.glob("sweep.sqlite*"):
            (copy / one.name).write_bytes(one.read_bytes())
    assert (copy / "sweep.sqlite-wal").stat().st_size
    monkeypatch.setattr("accelsim.explore.database.os.access", lambda *_: False)
    assert read_results(copy).points["number"].tolist() == [0, 1, 2]
    assert read_results(tmp_path).points["number"].tolist() == [0, 1, 2]
