"""Calling the command line from tests, and the files of a small model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from accelsim.cli import main

STEPS, FEATURES, UNITS, CLASSES, FRAMES = 4, 6, 5, 3, 20


@dataclass(frozen=True)
class Files:
    """A folder with a float model in two formats, calibration data, and what the toolchain makes of them."""

    folder: Path

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    @property
    def out(self) -> Path:
        """A folder that does not exist yet."""
        return self.folder / "out" / "deeper"


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of its error."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("accelsim: error: "), self.err
        assert "Traceback" not in self.err
        return lines[0].removeprefix("accelsim: error: ")


class Program:
    """Calls the command line inside the test's process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Outcome:
        self._capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = self._capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    def ok(self, *arguments: object) -> str:
        """The output of a command that has to succeed."""
        outcome = self(*arguments)
        assert outcome.code == 0, outcome.err
        return outcome.out


def refused(accelsim: Program, files: Files, *arguments: object) -> str:
    """The error of a command that has to fail and leave nothing behind."""
    before = snapshot(files.folder)
    outcome = accelsim(*arguments)
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert snapshot(files.folder) == before
    return outcome.error


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
