"""The first run's second process: what it is given to compile, that what it leaves is found, and that it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accelsim.machine import jit, warm

STEADY_CODE = """
from accelsim.machine.fast import steady
assert steady.look.address
print(steady.look._compiled._cache_hits)
"""


class Started:
    """Stands for a process that is started, and tells what happens to it."""

    def __init__(self, command: list[str], **_: Any) -> None:
        self.code = command[2]
        self.fate: list[str] = []

    def kill(self) -> None:
        self.fate.append("killed")

    def wait(self) -> None:
        self.fate.append("waited for")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Started]:
    """The processes started, where nothing is compiled yet."""
    processes: list[Started] = []

    def start(command: list[str], **more: Any) -> Started:
        processes.append(Started(command, **more))
        return processes[-1]

    monkeypatch.setattr(warm.subprocess, "Popen", start)
    monkeypatch.setattr(warm, "cache_folder", lambda: tmp_path)
    return processes


@pytest.mark.parametrize("values", [False, True])
def test_what_is_not_compiled_is_given_to_another_process(started: list[Started], values: bool) -> None:
    with warm.compiled_beside(values=values):
        (process,) = started
        assert process.fate == []
    assert "compile_steady_state()" in process.code
    assert ("compile_values()" in process.code) == values
    assert process.fate == ["waited for"]


def test_what_is_compiled_is_not_compiled_again(started: list[Started], tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    for pattern in warm._COMPILE:
        (tmp_path / "deeper" / pattern.replace("*", "1.py311")).touch()
    with warm.compiled_beside(values=True):
        assert started == []


def test_a_run_that_fails_ends_it(started: list[Started]) -> None:
    with pytest.raises(KeyboardInterrupt), warm.compiled_beside(values=True):
        raise KeyboardInterrupt
    assert started[0].fate == ["killed", "waited for"]


def test_without_a_cache_there_is_nobody_to_help(started: list[Started], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "cache_folder", lambda: None)
    with warm.compiled_beside(values=True):
        assert started == []


def test_the_names_looked_for_are_those_the_cache_has() -> None:
    """All of them are in the folder once they were compiled; were a name wrong, it would be compiled at each run."""
    folder = jit.cache_folder()
    if folder is None:
        pytest.skip("no folder for kernels can be written here")
    for pattern, call in warm._COMPILE.items():
        if not any(folder.rglob(pattern)):
            subprocess.run([sys.executable, "-c", f"from accelsim.machine.warm import *; {call}"], check=True)
        assert any(folder.rglob(pattern)), pattern
    # The first time, what is there may be of a file that was since touched; it is then made anew.
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", STEADY_CODE], capture_output=True, text=True, env=os.environ)
    assert (done.stdout.strip(), done.stderr) == ("1", "")
