"""Compiling kernels ahead of their first call, with a cache that no edit can leave stale.

numba's own cache looks at the file of the function alone; a kernel here depends on others. So the cache folder's name
is a hash of every source a kernel is made of, and a folder that can't be written only means compiling again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from accelsim.resources import resource_root

_Function = TypeVar("_Function", bound=Callable[..., Any])
_PACKAGE = Path(__file__).resolve().parent.parent
_SOURCES = ("fixedpoint.py", "isa/opcodes.py", "machine")


def jit(function: _Function) -> _Function:
    """`function`, compiled by numba without the interpreter; cached on disk where a folder can be written."""
    folder = cache_folder()
    settings: Any = numba.config
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(folder or "")
    try:
        compiled: Any = numba.njit(cache=folder is not None, error_model="numpy")(function)
    finally:
        settings.CACHE_DIR = before
    return cast(_Function, compiled)


def sources_digest() -> str:
    """A hash of all that compiled kernels depend on."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in _SOURCES:
        path = _PACKAGE / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    digest.update((resource_root() / "isa" / "isa.toml").read_bytes())
    return digest.hexdigest()[:24]


@cache
def cache_folder() -> Path | None:
    """The folder for compiled kernels, or None where none can be written.

    `ACCELSIM_CACHE_DIR`, else `XDG_CACHE_HOME`/accelsim, else ~/.cache/accelsim.
    """
    base = os.environ.get("ACCELSIM_CACHE_DIR")
    if not base:
        base = str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "accelsim")
    folder = Path(base) / f"kernels-{sources_digest()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return None
    return folder
