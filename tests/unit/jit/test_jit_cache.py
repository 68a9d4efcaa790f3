"""Compiled kernels on disk: used where they are whole, ours, and of the same code; made again where they are not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accelsim.jit import Int64s, cache, kernel, load, part
from accelsim.jit.cache import Entry
from accelsim.machine.fast import loop, steady
from accelsim.trace.text import format_rows

CODE = """
import sys
from accelsim.trace.text import RowFormat
import numpy as np
print(RowFormat([b"<"], [b"a", b"b"], b">")(np.array([[0, 12, -7]])).decode(), "numba" in sys.modules)
"""


def compiles(folder: Path, code: str = CODE, **environment: str) -> bool:
    """Run a kernel in a process of its own; whether it had to be compiled."""
    command = [sys.executable, "-W", "error", "-c", code]
    environment = os.environ | {"ACCELSIM_CACHE_DIR": str(folder)} | environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    text, compiled = done.stdout.split()
    assert text == "<a12b-7>"
    return compiled == "True"


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    assert compiles(folder)
    assert not compiles(folder)
    return folder


@pytest.fixture
def copied(warm: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the folder, and the one file in it."""
    shutil.copytree(warm, tmp_path / "cache")
    (file,) = (tmp_path / "cache").rglob("*.o")
    return tmp_path / "cache", file


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def garbage(path: Path) -> None:
    path.write_bytes(b"no code" * 100)


def one_wrong_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def gone(path: Path) -> None:
    path.unlink()


def another_kernels(path: Path) -> None:
    """Whole, but not of this kernel."""
    shutil.copy(path, path.with_name("other.o"))
    other = Entry(compiles)  # type: ignore[arg-type]
    code = path.read_bytes()[cache._DIGEST_BYTES :]
    path.write_bytes(other._digest(code) + code)


@pytest.mark.parametrize("damage", [emptied, truncated, garbage, one_wrong_byte, gone, another_kernels])
def test_a_damaged_cache_is_made_again(copied: tuple[Path, Path], damage: Callable[[Path], None]) -> None:
    folder, file = copied
    whole = file.read_bytes()
    damage(file)
    assert compiles(folder)
    assert not compiles(folder)
    assert file.read_bytes() == whole


def test_a_cache_that_can_not_be_replaced_is_done_without(copied: tuple[Path, Path]) -> None:
    folder, file = copied
    file.unlink()
    file.mkdir()
    assert compiles(folder)
    assert compiles(folder)
    assert {path.suffix for path in file.parent.iterdir()} == {".o", ".lock"}


def test_a_file_in_the_folders_place_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert compiles(tmp_path / "cache")
    assert (tmp_path / "cache").read_text() == "in the way"


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can run a process as somebody else")
def test_others_read_a_whole_cache_that_they_can_not_write(copied: tuple[Path, Path]) -> None:
    folder, file = copied
    assert file.stat().st_mode & 0o777 == 0o644
    for place in (folder, *folder.parents):
        if place.stat().st_uid == 0 and place != Path("/tmp") and place != Path("/"):
            place.chmod(0o755)
    # The package itself may not be there for everybody.
    first = "import os; from accelsim.trace.text import format_rows; format_rows.entry"
    assert not compiles(folder, f"{first}\nos.setgid(65534); os.setuid(65534)\n{CODE}")


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can give a file away")
def test_what_somebody_else_could_have_written_is_not_loaded(copied: tuple[Path, Path]) -> None:
    folder, file = copied
    os.chown(file, 65534, 65534)
    assert compiles(folder)
    file.chmod(0o646)
    assert compiles(folder)
    file.parent.chmod(0o777)
    assert compiles(folder)
    assert compiles(folder)
    # What was there before is ours again.
    file.parent.chmod(0o755)
    assert not compiles(folder)


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    for name in ("ACCELSIM_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache.cache_folder() is None
    entry = Entry(format_rows.function)  # type: ignore[arg-type]
    entry.write(b"code")
    assert entry.read() is None
    assert not entry.can_be_written
    with entry.locked():
        pass


def test_what_other_versions_left_goes_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELSIM_CACHE_DIR", str(tmp_path))
    entry, folder = Entry(format_rows.function), tmp_path / "kernels"  # type: ignore[arg-type]
    folder.mkdir()
    old, young, foreign = (folder / name for name in (f"{entry._name}-1.o", f"{entry._name}-2.o", "other-1.o"))
    for path in (old, young, foreign):
        path.write_bytes(b"code")
    for path in (old, foreign):
        os.utime(path, (0, 0))
    entry.write(b"code")
    assert entry.read() == b"code"
    assert sorted(folder.iterdir()) == sorted([young, foreign, entry._path])  # type: ignore[list-item]


LIMIT = 5
TABLE = (1, 2)
module = types.ModuleType("module")
module.WEIGHT = 3  # type: ignore[attr-defined]


@part
def _inner(value: int) -> int:
    return min(value, LIMIT)


@part
def _other(value: int) -> int:
    return value


@kernel
def _outer(values: Int64s, count: int) -> int:
    total = 0
    for place in range(count):
        total += _inner(values[place]) * module.WEIGHT + TABLE[0]
    return total


def _changed(name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setitem(globals(), name, value)


@pytest.mark.parametrize(
    "change",
    [
        _changed("LIMIT", 6),
        _changed("TABLE", (2, 2)),
        _changed("_inner", _other),
        lambda patch: patch.setattr(module, "WEIGHT", 4),
        lambda patch: patch.setattr(_inner, "function", _other.function),  # type: ignore[attr-defined]
        lambda patch: patch.setattr(load, "processor", lambda: "another"),
        lambda patch: patch.setattr(cache, "version", lambda library: f"another {library}"),
        lambda patch: patch.setenv("NUMBA_OPT", "1"),
        lambda patch: patch.setitem(_outer.function.__annotations__, "count", "float"),
    ],
)
def test_the_key_is_of_all_that_is_compiled(
    change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("numba", "llvmlite"):
        monkeypatch.delitem(sys.modules, library, raising=False)
    before = cache._key(_outer.function)  # type: ignore[arg-type]
    assert cache._key(_outer.function) == before  # type: ignore[arg-type]
    change(monkeypatch)
    assert cache._key(_outer.function) != before  # type: ignore[arg-type]


def test_the_engines_key_is_of_its_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule of `timing` that both kernels have far below them; a place in the state."""
    from accelsim.machine.fast import books, layout
    from accelsim.timing import rules

    keys = {one: cache._key(one.function) for one in (loop.run, steady.look)}  # type: ignore[arg-type]
    with monkeypatch.context() as patch:
        patch.setattr(layout, "SKIPPED", layout.SKIPPED + 1)
        assert cache._key(steady.look.function) != keys[steady.look]  # type: ignore[arg-type]
    with monkeypatch.context() as patch:
        patch.setattr(books._reserve_bus, "function", lambda *_: 0)  # type: ignore[attr-defined]
        assert books._reserve_bus.function is not rules.reserve_bus  # type: ignore[attr-defined]
        assert cache._key(loop.run.function) != keys[loop.run]  # type: ignore[arg-type]
    assert {one: cache._key(one.function) for one in keys} == keys  # type: ignore[arg-type]


def test_numbas_file_of_settings_is_not_in_the_key(tmp_path: Path) -> None:
    """So nothing is kept that was compiled by it."""
    (tmp_path / ".numba_config.yaml").write_text("loop_vectorize: 0\n")
    code = f"import os; os.chdir({str(tmp_path)!r})\n{CODE}"
    assert compiles(tmp_path / "cache", code)
    assert compiles(tmp_path / "cache", code)
