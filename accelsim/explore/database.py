"""The file that results of a sweep go to as they come: SQLite, written so that no end of the process loses a result."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.errors import InputError
from accelsim.explore.results import LAYER_COLUMNS, LOST, POINT_COLUMNS, Result

if TYPE_CHECKING:
    import pandas as pd

FILE_NAME = "sweep.sqlite"
FORMAT = 1
"""Of the tables; in the file as its `user_version`."""
_APPLICATION = 0x52_4E_45_53
"""Says in a file's header that it is one of ours: "RNES"."""
_BUSY_SECONDS = 60
_EXPECTED = "a database that `accelsim sweep` made"


@dataclass(frozen=True)
class Trial:
    """A trial of a search.

    Parameters
    ----------
    number : int
    point : int
        That it asked for; it may not meet the constraints.
    notes : mapping of str to JSON value
        What the sampler keeps of it.
    """

    number: int
    point: int
    notes: Mapping[str, Any]


class Database:
    """A sweep's results on disk.

    Each batch of results is one transaction, in a write-ahead log: whatever ends the process, a result is there whole
    or not at all. Points are kept by their number in the sweep's space; a number is there once.

    Use it as a context manager. One process writes at a time; who opens it sees to that (`sweep.locked`).

    Parameters
    ----------
    path : Path
        Made where it does not exist.
    meta : mapping of str to JSON value
        What the sweep is: its space, models and chip, in plain data. A file that is there must say the same of it.

    Raises
    ------
    InputError
        The file is no such database, one of another format, or of another sweep; it can't be written.
    """

    def __init__(self, path: Path, meta: Mapping[str, Any]) -> None:
        self.path = path
        is_new = not path.exists()
        self._connection = _open(path)
        try:
            if is_new or not self._connection.execute("PRAGMA user_version").fetchone()[0]:
                self._make(meta)
            else:
                _check(self._connection, path)
                # What goes on in a damaged file would be lost with it.
                (fault,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
                if fault != "ok":
                    raise sqlite3.DatabaseError(" ".join(fault.split()))
                _compare(path, _meta(self._connection), meta)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def add(self, results: Sequence[Result]) -> None:
        """Keep results; those of numbers that are there already are the same, and are left as they are."""
        rows = [(one.number, *(layer[name] for name in LAYER_COLUMNS)) for one in results for layer in one.layers]
        with self._writing() as connection:
            connection.executemany(_INSERT_POINT, [_row(one) for one in results])
            connection.executemany(_INSERT_LAYER, rows)

    def missing(self, numbers: Iterable[int]) -> Iterator[int]:
        """Those of some numbers, given in order, that have no result yet."""
        block: list[int] = []
        for number in numbers:
            block.append(number)
            if len(block) == 1000:
                yield from self._missing(block)
                block = []
        if block:
            yield from self._missing(block)

    def _missing(self, block: Sequence[int]) -> Iterator[int]:
        found = self._connection.execute(
            "SELECT number FROM points WHERE number BETWEEN ? AND ?", (block[0], block[-1])
        ).fetchall()
        there = {number for (number,) in found}
        yield from (number for number in block if number not in there)

    def count(self) -> tuple[int, int]:
        """How many points have a result, and how many of them could not be compiled or run."""
        row = self._connection.execute("SELECT COUNT(*), COALESCE(SUM(status = 'failed'), 0) FROM points").fetchone()
        return int(row[0]), int(row[1])

    def result(self, number: int) -> dict[str, Any] | None:
        """A point's columns; None where there is no result."""
        cursor = self._connection.execute("SELECT * FROM points WHERE number = ?", (number,))
        row = cursor.fetchone()
        return None if row is None else dict(zip([one[0] for one in cursor.description], row, strict=True))

    def objectives(self, columns: Sequence[str]) -> Iterator[tuple[int, tuple[float, ...]]]:
        """Number and some columns of each point that has a result and did not fail, in order."""
        names = ", ".join(f'"{name}"' for name in columns)
        for number, *values in self._connection.execute(
            f"SELECT number, {names} FROM points WHERE status = 'done' ORDER BY number"
        ):
            yield int(number), tuple(values)

    def least(self, column: str, model: str) -> dict[str, Any] | None:
        """The columns of the first of a model's points that have the least of one; None where none has it."""
        found = self._connection.execute(
            f"""SELECT number FROM points WHERE status = 'done' AND model = ? AND "{column}" IS NOT NULL
            ORDER BY "{column}", number LIMIT 1""",
            (model,),
        ).fetchone()
        return None if found is None else self.result(found[0])

    def reasons(self) -> list[tuple[str, int]]:
        """Why points failed, and how many of them; the most frequent first."""
        rows = self._connection.execute(
            "SELECT reason, COUNT(*) FROM points WHERE status = 'failed' GROUP BY reason ORDER BY COUNT(*) DESC, reason"
        )
        return [(str(reason), int(count)) for reason, count in rows]

    def forget_lost(self) -> None:
        """Points that were given up are missing again: what ended their workers may be no longer so."""
        with self._writing() as connection:
            connection.execute("DELETE FROM points WHERE reason = ?", (LOST,))

    def note(self, key: str, value: Any) -> None:
        """Keep something more of what the sweep is."""
        with self._writing() as connection:
            connection.execute(_INSERT_META, (key, json.dumps(value)))

    def noted(self, key: str) -> Any:
        """What `note` has kept; None where nothing is."""
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def trials(self) -> tuple[list[Trial], dict[str, Any]]:
        """The trials of a search so far, in order, and what its sampler keeps of all of them."""
        if not self._connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'trials'").fetchone()[0]:
            return [], {}
        rows = self._connection.execute("SELECT number, point, notes FROM trials ORDER BY number").fetchall()
        return [Trial(number, point, json.loads(notes)) for number, point, notes in rows], self.noted(_STUDY) or {}

    def add_trials(self, trials: Sequence[Trial], notes: Mapping[str, Any]) -> None:
        """Keep trials, and what the sampler keeps of all of them: all of it, or nothing."""
        with self._writing() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_MAKE_TRIALS)
            rows = [(one.number, one.point, json.dumps(dict(one.notes))) for one in trials]
            connection.executemany("INSERT INTO trials VALUES (?, ?, ?)", rows)
            connection.execute(_INSERT_META, (_STUDY, json.dumps(dict(notes))))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction."""
        try:
            with self._connection:
                yield self._connection
        except sqlite3.Error as error:
            raise InputError(self.path, "", f"can't be written: {error}", "room for the results") from None

    def _make(self, meta: Mapping[str, Any]) -> None:
        connection = self._connection
        if connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
            raise InputError(self.path, "", "is another program's database", _EXPECTED)
        with self._writing():
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
            columns = ", ".join(f'"{name}" {kind}' for name, kind in POINT_COLUMNS.items())
            connection.execute(f"CREATE TABLE points (number INTEGER PRIMARY KEY, {columns})")
            columns = ", ".join(f'"{name}" {kind}' for name, kind in LAYER_COLUMNS.items())
            connection.execute(
                f"CREATE TABLE layers (number INTEGER NOT NULL, {columns}, PRIMARY KEY (number, layer)) WITHOUT ROWID"
            )
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?)", [(key, json.dumps(value)) for key, value in meta.items()]
            )
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")


@dataclass(frozen=True, eq=False)
class Results:
    """What a sweep has found so far.

    Parameters
    ----------
    path : Path
    meta : dict
        What the sweep is: `axes`, `models`, `chip`, `constraints`, `objectives`, `seed`, `accelsim`, `command`.
    """

    path: Path
    meta: dict[str, Any]

    @cached_property
    def points(self) -> pd.DataFrame:
        """A row a point, in order: number, model, batch, a column for each swept key, then its results."""
        frame = _frame(self.path, "SELECT * FROM points ORDER BY number")
        frame["reason"] = frame["reason"].astype(object).where(frame["reason"].notna(), None)
        keys = [key for key in self.meta["axes"] if key != "batch"]
        settings = [json.loads(text) for text in frame.pop("settings")]
        for place, key in enumerate(keys):
            frame.insert(4 + place, key, [one[key] for one in settings])
        return frame

    @cached_property
    def layers(self) -> pd.DataFrame:
        """A row a layer of each point."""
        return _frame(self.path, "SELECT * FROM layers ORDER BY number, layer")


def read_results(path: Path) -> Results:
    """The results in a sweep's database, whether or not the sweep is over.

    Parameters
    ----------
    path : Path
        The file, or the folder it is in.

    Raises
    ------
    InputError
        No such file, or no such database, or one of another format.
    """
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        raise InputError(file, "", "no such file", _EXPECTED)
    with _reading(file) as connection:
        _check(connection, file)
        return Results(file, _meta(connection))


_STUDY = "study"
_INSERT_META = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
_MAKE_TRIALS = (
    "CREATE TABLE IF NOT EXISTS trials (number INTEGER PRIMARY KEY, point INTEGER NOT NULL, notes TEXT NOT NULL)"
)
_INSERT_POINT = "INSERT OR IGNORE INTO points VALUES (" + ", ".join("?" * (1 + len(POINT_COLUMNS))) + ")"
_INSERT_LAYER = "INSERT OR IGNORE INTO layers VALUES (" + ", ".join("?" * (1 + len(LAYER_COLUMNS))) + ")"


def _row(result: Result) -> tuple[Any, ...]:
    return result.number, *(result.columns.get(name) for name in POINT_COLUMNS)


@contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """What a database can't say inside is a mistake in its file.

    Raises
    ------
    InputError
        A page of it is damaged; it can't be read.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise InputError(path, "", f"can't be read: {error}", "an undamaged database") from None


def _frame(path: Path, query: str) -> pd.DataFrame:
    import pandas as pd

    with _reading(path) as connection:
        try:
            return pd.read_sql_query(query, connection)
        except pd.errors.DatabaseError as error:
            # It says first which query it was.
            raise sqlite3.DatabaseError(str(error).rpartition("': ")[2]) from None


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with undamaged(path), closing(_open(path, only_reading=True)) as connection:
        yield connection


def _open(path: Path, *, only_reading: bool = False) -> sqlite3.Connection:
    try:
        if only_reading:
            # Who can write removes the log as the last to close the file; who can't reads it as it lies there.
            how = "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"
            log = path.with_name(f"{path.name}-wal")
            if how == "ro" and not (log.is_file() and log.stat().st_size):
                how = "ro&immutable=1"
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode={how}", uri=True, timeout=_BUSY_SECONDS)
            connection.execute("PRAGMA query_only = 1")
        else:
            connection = sqlite3.connect(path, timeout=_BUSY_SECONDS)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA user_version").fetchone()
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise InputError(path, "", str(error), _EXPECTED) from None
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != _APPLICATION:
        raise InputError(path, "", "is another program's database", _EXPECTED)
    if found != FORMAT:
        raise InputError(path, "format", f"found {found}", f"{FORMAT}, which this version of accelsim reads")


def _meta(connection: sqlite3.Connection) -> dict[str, Any]:
    rows = connection.execute("SELECT key, value FROM meta").fetchall()
    try:
        return {key: json.loads(value) for key, value in rows}
    except ValueError as error:
        raise sqlite3.DatabaseError(f"what it says of the sweep is damaged: {error}") from None


_NOT_COMPARED = ("command", "objectives", "seed", "sampler")
"""What may differ where a sweep goes on."""


def _compare(path: Path, there: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    for key, value in asked.items():
        if key in _NOT_COMPARED:
            continue
        if _without_paths(there.get(key)) == _without_paths(json.loads(json.dumps(value))):
            # Points are numbered by the order of the axes.
            if key != "axes" or list(there[key]) == list(value):
                continue
            order = f"in the order {', '.join(there[key])}, asked for {', '.join(value)}"
            raise InputError(path, key, f"holds another sweep: {order}", "the command it was begun with")
        found = f"holds another sweep: {key} {_short(there.get(key))}, asked for {_short(value)}"
        raise InputError(path, "", found, "the command it was begun with, or another --out")


def _without_paths(value: Any) -> Any:
    """A file is the same wherever it lies: its digest says so."""
    if isinstance(value, list):
        return [_without_paths(one) for one in value]
    if isinstance(value, dict):
        return {key: one for key, one in value.items() if key != "path"}
    return value


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
