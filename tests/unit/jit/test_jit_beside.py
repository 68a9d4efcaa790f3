"""The first run's second process: what it is given to compile, that what it leaves is found, and that it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accelsim.jit import beside, cache
from accelsim.jit.beside import compiled_beside
from accelsim.machine.dataflow.follow import operations
from accelsim.machine.fast import loop
from accelsim.trace import text, vcd


class Started:
    """Stands for a process that is started, and tells what happens to it."""

    def __init__(self, command: list[str], **_: Any) -> None:
        self.names = command[3:]
        self.fate: list[str] = []

    def kill(self) -> None:
        self.fate.append("killed")

    def poll(self) -> int:
        return 0

    def wait(self, _seconds: float = 0) -> None:
        self.fate.append("waited for")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Started]:
    """The processes started, where nothing is compiled yet."""
    processes: list[Started] = []

    def start(command: list[str], **more: Any) -> Started:
        processes.append(Started(command, **more))
        return processes[-1]

    monkeypatch.setattr(beside.subprocess, "Popen", start)
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path)
    for one in (operations, text.format_rows):
        monkeypatch.setattr(one, "_address", None)
    return processes


def test_what_is_not_compiled_is_given_to_another_process(started: list[Started]) -> None:
    with compiled_beside(operations, text.format_rows):
        (process,) = started
        assert process.fate == []
        assert process.names == [operations.name, text.format_rows.name]
        assert beside.has_compiled(operations.name)
        assert not beside.has_compiled(operations.name)
        assert not beside.has_compiled(loop.run.name)
    assert process.fate == ["waited for"]
    assert not beside.has_compiled(text.format_rows.name)


def test_what_is_compiled_is_not_compiled_again(started: list[Started]) -> None:
    for one in (operations, text.format_rows):
        cache.write(one.name, b"code")
    with compiled_beside(operations, text.format_rows):
        assert started == []


def test_a_run_that_fails_ends_it(started: list[Started]) -> None:
    with pytest.raises(KeyboardInterrupt), compiled_beside(operations):
        raise KeyboardInterrupt
    assert started[0].fate == ["killed", "waited for"]


def test_without_a_cache_there_is_nobody_to_help(started: list[Started], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "cache_folder", lambda: None)
    with compiled_beside(operations):
        assert started == []


CODE = """
import sys
from accelsim.jit.beside import compiled_beside
from accelsim.trace.text import format_rows
from accelsim.trace.vcd import format_changes
with compiled_beside(format_rows, format_changes):
    assert format_rows.address and format_changes.address
print("numba" in sys.modules)
"""


def test_what_the_other_process_leaves_is_found(tmp_path: Path) -> None:
    environment = os.environ | {"ACCELSIM_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
    names = {path.stem for path in tmp_path.rglob("*.o")}
    assert names == {one.name.replace(":", ".") for one in (text.format_rows, vcd.format_changes)}


def test_where_the_other_process_fails_it_is_compiled_here(tmp_path: Path) -> None:
    environment = os.environ | {"ACCELSIM_CACHE_DIR": str(tmp_path)}
    code = "import sys; sys.executable = '/bin/false'\n" + CODE
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.stdout.strip(), done.stderr) == ("True", "")
