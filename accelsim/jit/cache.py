"""Object code on disk, under a key of all that it is made of: no edit can leave it stale.

The folder's name is a hash of every source a kernel may be made of, of the compilers' versions, and of the processor.
Each file begins with a digest of the rest: machine code with a wrong byte in it would be loaded, and run. A cache that
can't be read or written, or that is damaged, only means compiling again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from accelsim.jit import load
from accelsim.resources import resource_root

_PACKAGE = Path(__file__).resolve().parent.parent
SOURCES = (
    "fixedpoint.py",
    "isa/opcodes.py",
    "jit",
    "timing",
    "machine",
    "trace/text.py",
    "trace/vcd.py",
    "profile/live_kernels.py",
)
"""Of the package: what kernels, their parts, and the numbers in them come from."""
_DIGEST_BYTES = hashlib.sha256().digest_size


def read(name: str) -> bytes | None:
    """A kernel's object code; None where there is none, or none that is whole.

    Parameters
    ----------
    name : str
        `Kernel.name`.
    """
    path = _path(name)
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return code if code and hashlib.sha256(code).digest() == digest else None


def write(name: str, code: bytes) -> None:
    """Keep a kernel's object code, if that is possible; who reads meanwhile sees the old file or the new one."""
    path = _path(name)
    if path is None:
        return
    with contextlib.suppress(OSError):
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def _path(name: str) -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / f"{name.replace(':', '.')}.o"


def is_covered(function: Callable[..., Any]) -> bool:
    """Whether a function's source is one of those that the key is made of."""
    path = Path(function.__code__.co_filename).resolve()
    return any(path == source or source in path.parents for source in (_PACKAGE / name for name in SOURCES))


def sources_digest() -> str:
    """A hash of all that object code depends on."""
    digest = hashlib.sha256(load.processor().encode())
    for library in ("numba", "llvmlite"):
        with contextlib.suppress(PackageNotFoundError):
            digest.update(version(library).encode())
    for source in SOURCES:
        path = _PACKAGE / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    digest.update((resource_root() / "isa" / "isa.toml").read_bytes())
    return digest.hexdigest()[:24]


@cache
def cache_folder() -> Path | None:
    """The folder for object code, or None where none can be written.

    `ACCELSIM_CACHE_DIR`, else `XDG_CACHE_HOME`/accelsim, else ~/.cache/accelsim.
    """
    try:
        base = os.environ.get("ACCELSIM_CACHE_DIR")
        if not base:
            base = str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "accelsim")
        folder = Path(base) / f"kernels-{sources_digest()}"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError):
        # RuntimeError: the user has no home folder.
        return None
    return folder
