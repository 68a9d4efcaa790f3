"""Compiled kernels on disk: used where they are whole, made again where they are not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from accelsim.machine.jit import cache_folder

CODE = """
from accelsim.machine.kernels import round_half_away
print(round_half_away(2.5), round_half_away(-0.5), sum(round_half_away.stats.cache_hits.values()))
"""


def hits(folder: Path) -> int:
    """Run a kernel in a process of its own; how many times its code came from the folder."""
    command = [sys.executable, "-W", "error", "-c", CODE]
    environment = os.environ | {"ACCELSIM_CACHE_DIR": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    *values, found = map(int, done.stdout.split())
    assert values == [3, -1]
    return found


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels")
    assert hits(folder) == 0
    assert hits(folder) == 1
    return folder


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def garbage(path: Path) -> None:
    path.write_bytes(b"no pickle" * 100)


def one_wrong_byte(path: Path) -> None:
    """In the first instruction of machine code, which on Linux stands behind an ELF header; else in the middle."""
    content = bytearray(path.read_bytes())
    header = content.find(b"\x7fELF")
    content[len(content) // 2 if header < 0 else header + 64] ^= 0xFF
    path.write_bytes(content)


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [emptied, truncated, garbage, one_wrong_byte, gone])
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_damaged_cache_is_made_again(warm: Path, tmp_path: Path, damage: Callable[[Path], None], kind: str) -> None:
    folder = tmp_path / "kernels"
    shutil.copytree(warm, folder)
    files = list(folder.rglob(f"*.{kind}"))
    assert files
    for path in files:
        damage(path)
    assert hits(folder) == 0
    assert hits(folder) == 1


def test_a_cache_that_cannot_be_replaced_is_done_without(warm: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    shutil.copytree(warm, folder)
    for path in folder.rglob("*.nbi"):
        path.unlink()
        path.mkdir()
    assert hits(folder) == 0
    assert hits(folder) == 0


def test_no_other_folder_is_used_instead(tmp_path: Path) -> None:
    """Where a file stands in the folder's place, numba would fall back to one that our key does not cover."""
    hits(tmp_path)
    (kernels,) = tmp_path.iterdir()
    for folder in list(kernels.iterdir()):
        shutil.rmtree(folder)
        folder.write_text("in the way")
    assert hits(tmp_path) == 0
    assert hits(tmp_path) == 0
    assert not list((Path(__file__).resolve().parents[3] / "accelsim").rglob("*.nbi"))


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    for name in ("ACCELSIM_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder.__wrapped__() is None
