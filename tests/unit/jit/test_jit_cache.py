"""Compiled kernels on disk: used where they are whole, made again where they are not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from accelsim.jit import cache, load

NAME = "accelsim.trace.text:format_rows"
CODE = """
import sys
from accelsim.trace.text import RowFormat
import numpy as np
print(RowFormat([b"<"], [b"a", b"b"], b">")(np.array([[0, 12, -7]])).decode(), "numba" in sys.modules)
"""


def compiles(folder: Path) -> bool:
    """Run a kernel in a process of its own; whether it had to be compiled."""
    command = [sys.executable, "-W", "error", "-c", CODE]
    environment = os.environ | {"ACCELSIM_CACHE_DIR": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    text, compiled = done.stdout.split()
    assert text == "<a12b-7>"
    return compiled == "True"


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels")
    assert compiles(folder)
    assert not compiles(folder)
    return folder


@pytest.fixture
def copied(warm: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the folder, and the one file in it."""
    shutil.copytree(warm, tmp_path / "kernels")
    (file,) = (tmp_path / "kernels").rglob("*.o")
    return tmp_path / "kernels", file


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


@pytest.mark.parametrize("damage", [emptied, truncated, garbage, one_wrong_byte, gone])
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
    assert list(file.parent.iterdir()) == [file]


def test_a_file_in_the_folders_place_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "kernels").write_text("in the way")
    assert compiles(tmp_path / "kernels")
    assert (tmp_path / "kernels").read_text() == "in the way"


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    for name in ("ACCELSIM_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache.cache_folder.__wrapped__() is None


def test_the_key_is_of_sources_versions_and_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = Path(cache.__file__).resolve().parents[1]
    for name in cache.SOURCES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (package / name).is_dir() else shutil.copy
        copy(package / name, tmp_path / name)
    as_it_is = cache.sources_digest()
    monkeypatch.setattr(cache, "_PACKAGE", tmp_path)
    assert cache.sources_digest() == as_it_is
    for name in cache.SOURCES:
        files = sorted((tmp_path / name).rglob("*.py")) if (tmp_path / name).is_dir() else [tmp_path / name]
        assert files
        text = files[-1].read_text()
        files[-1].write_text(text + "\n")
        assert cache.sources_digest() != as_it_is, name
        files[-1].write_text(text)
    monkeypatch.setattr(load, "processor", lambda: "another")
    assert cache.sources_digest() != as_it_is
    monkeypatch.undo()
    monkeypatch.setattr(cache, "version", lambda library: f"another {library}")
    assert cache.sources_digest() != as_it_is


def test_a_kernel_from_elsewhere_is_not_kept() -> None:
    """The key says nothing of its source, which may change."""
    assert not cache.is_covered(compiles)
    assert cache.is_covered(load.address)
