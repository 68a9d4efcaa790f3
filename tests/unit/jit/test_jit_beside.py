"""The first run's second process: what it is given to compile, that what it leaves is found, and that it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accelsim.jit import beside
from accelsim.jit.beside import compiled_beside
from accelsim.machine.dataflow.follow import operations
from accelsim.trace import changes, text


class Started:
    """Stands for a process that is started, and tells what happens to it."""

    def __init__(self, command: list[str], **_: Any) -> None:
        self.names = command[4:]
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

    monkeypatch.setattr(beside.subprocess, "Popen", start)
    monkeypatch.setenv("ACCELSIM_CACHE_DIR", str(tmp_path))
    for one in (operations, text.format_rows):
        monkeypatch.setattr(one, "_address", None)
    return processes


def test_what_is_not_compiled_is_given_to_another_process(started: list[Started]) -> None:
    with compiled_beside(operations, text.format_rows):
        (process,) = started
        assert process.fate == []
        assert process.names == [operations.name, text.format_rows.name]
    assert process.fate == ["waited for"]


def test_what_is_compiled_is_not_compiled_again(started: list[Started]) -> None:
    for one in (operations, text.format_rows):
        one.entry.write(b"code")
    with compiled_beside(operations, text.format_rows):
        assert started == []


def test_a_run_that_fails_ends_it(started: list[Started]) -> None:
    with pytest.raises(KeyboardInterrupt), compiled_beside(operations):
        raise KeyboardInterrupt
    assert started[0].fate == ["killed", "waited for"]


def test_without_a_cache_there_is_nobody_to_help(
    started: list[Started], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ACCELSIM_CACHE_DIR", str(tmp_path / "file"))
    with compiled_beside(operations):
        assert started == []


def test_a_host_of_the_interpreter_is_not_started_again(
    started: list[Started], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with compiled_beside(operations):
        assert started == []


CODE = """
import sys
from accelsim.jit.beside import compiled_beside
from accelsim.trace.changes import format_changes
from accelsim.trace.text import format_rows
with compiled_beside(format_rows, format_changes):
    {while_it_works}
    format_rows.prepare(), format_changes.prepare()
print("numba" in sys.modules)
"""
WAITS = "import time; [time.sleep(0.05) for _ in range(2400) if not format_changes.is_ready]"


def run(folder: Path, code: str, **more: Any) -> str:
    environment = os.environ | {"ACCELSIM_CACHE_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, **more)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_what_the_other_process_leaves_is_found(tmp_path: Path) -> None:
    assert run(tmp_path, CODE.format(while_it_works=WAITS)) == "False"
    names = {path.name.partition("-")[0] for path in tmp_path.rglob("*.o")}
    assert names == {one.name.replace(":", ".") for one in (text.format_rows, changes.format_changes)}


def test_where_the_other_process_fails_it_is_compiled_here(tmp_path: Path) -> None:
    code = "import sys; sys.executable = '/bin/false'\n" + CODE.format(while_it_works="pass")
    assert run(tmp_path, code) == "True"


def test_the_other_process_has_no_modules_of_the_working_folder(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for name in ("numba", "llvmlite", "filelock", "accelsim"):
        (work / f"{name}.py").write_text("open('found', 'w').close()\n")
    command = [sys.executable, "-P", "-c", CODE.format(while_it_works=WAITS)]
    environment = os.environ | {"ACCELSIM_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=work)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "False", "")
    assert not (work / "found").exists()


def test_two_that_begin_together_compile_once(tmp_path: Path) -> None:
    """One of them waits for the other."""
    code = (
        "from accelsim.trace.text import format_rows; import sys; format_rows.prepare(); print('numba' in sys.modules)"
    )
    environment = os.environ | {"ACCELSIM_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    several = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    compiled = [process.communicate()[0].strip() for process in several]
    # Who finds the code after having taken the lock imports nothing.
    assert sorted(compiled) == ["False", "False", "True"]


def test_all_are_there_in_the_end(tmp_path: Path) -> None:
    code = (
        "from accelsim.jit.beside import compile_all; from accelsim.trace import changes, text;"
        "both = text.format_rows, changes.format_changes; compile_all(*both); print(*(one.is_ready for one in both))"
    )
    assert run(tmp_path, code) == "True True"
