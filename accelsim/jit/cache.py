"""Object code on disk, under a key of all that it is made of: no edit can leave it stale.

A kernel's key is a hash of the code that this process has loaded, not of files that may have changed since: the
instructions of the kernel and of every part it calls, and the values of the globals they read. The compilers' versions
and settings and the processor belong to it. A cache that can't be read or written, that is damaged, or that somebody
else could have written, only means compiling again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.abc import InspectLoader
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from accelsim.jit import load

_DIGEST_BYTES = hashlib.sha256().digest_size
_LOCK_SECONDS = 120
"""So long somebody else is waited for who compiles the same."""
_KEPT_SECONDS = 60 * 24 * 3600
"""So long what another version of a kernel left stays."""


def cache_folder() -> Path | None:
    """The folder for object code, which need not be there yet; None for a user without one.

    `ACCELSIM_CACHE_DIR`, else `XDG_CACHE_HOME`/accelsim, else ~/.cache/accelsim.
    """
    try:
        base = os.environ.get("ACCELSIM_CACHE_DIR")
        if base:
            return Path(base).expanduser() / "kernels"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "accelsim" / "kernels"
    except RuntimeError:
        # The user has no home folder.
        return None


class Entry:
    """A kernel's place in the cache.

    Parameters
    ----------
    function : function
        The kernel's.
    """

    def __init__(self, function: FunctionType) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}".replace("<", "").replace(">", "")
        self._key = _key(function)

    @property
    def _path(self) -> Path | None:
        folder = cache_folder()
        return None if folder is None else folder / f"{self._name}-{self._key}.o"

    def read(self) -> bytes | None:
        """The object code; None where there is none, or none that is whole and ours."""
        path = self._path
        if path is None:
            return None
        try:
            if not (_is_trusted(path.parent) and _is_trusted(path)):
                return None
            content = path.read_bytes()
        except OSError:
            return None
        digest, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        return code if code and self._digest(code) == digest else None

    def write(self, code: bytes) -> None:
        """Keep object code, if that is possible; who reads meanwhile sees the old file or the new one."""
        path = self._path
        if path is None:
            return
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not _is_trusted(path.parent):
                return
            self._drop_old_files(path)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{self._name}-", suffix=".tmp")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(self._digest(code) + code)
                # Others may read it, as they may any file of this user's.
                mask = os.umask(0)
                os.umask(mask)
                os.chmod(temporary, 0o644 & ~mask)
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else who asks, on this machine, compiles this kernel meanwhile; if that can't be, so be it."""
        from filelock import FileLock, Timeout

        with contextlib.ExitStack() as stack:
            path = self._path
            if path is not None:
                # Some file systems have no locks.
                with contextlib.suppress(OSError, NotImplementedError, Timeout):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    if _is_trusted(path.parent):
                        stack.enter_context(FileLock(path.with_suffix(".lock"), timeout=_LOCK_SECONDS))
            yield

    @property
    def can_be_written(self) -> bool:
        """Whether what is compiled would get there."""
        path = self._path
        if path is None:
            return False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path.parent):
                return _is_trusted(path.parent)
        except OSError:
            return False

    def _digest(self, code: bytes) -> bytes:
        return hashlib.sha256(self._name.encode() + self._key.encode() + code).digest()

    def _drop_old_files(self, path: Path) -> None:
        oldest = time.time() - _KEPT_SECONDS
        for other in path.parent.glob(f"{self._name}-*"):
            with contextlib.suppress(OSError):
                if other.stat().st_mtime < oldest:
                    other.unlink()


def _is_trusted(path: Path) -> bool:
    """Whether nobody but this user, or root, can have written a file, or put it into a folder."""
    if os.name != "posix":
        return True
    status = path.stat()
    return status.st_uid in (os.getuid(), 0) and not status.st_mode & 0o002


def _key(function: FunctionType) -> str:
    digest = hashlib.sha256(load.processor().encode())
    for library in ("numba", "llvmlite"):
        loaded = sys.modules.get(library)
        with contextlib.suppress(PackageNotFoundError):
            digest.update((loaded.__version__ if loaded else version(library)).encode())
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("NUMBA_"))
    digest.update(repr((settings, function.__annotations__)).encode())
    digest.update(repr(tuple(_content(_builder_code()))).encode())
    for text in _made_of(function):
        digest.update(text)
    return digest.hexdigest()[:24]


def _builder_code() -> CodeType:
    """What compiles; not imported, as it imports numba. From its source, or where only that is, its bytecode."""
    name = f"{__package__}.build"
    found = find_spec(name)
    code = found.loader.get_code(name) if found and isinstance(found.loader, InspectLoader) else None
    if code is None:
        raise ImportError(f"no code of {name}")
    return code


def _made_of(function: FunctionType) -> Iterator[bytes]:
    """All that decides what a function, with what it calls, is compiled to."""
    seen, left = {function}, [function]
    while left:
        one = left.pop()
        yield repr((one.__module__, one.__qualname__, *_content(one.__code__))).encode()
        for name, value in _globals(one):
            called = getattr(value, "function", None)
            if isinstance(called, FunctionType):
                yield f"{name} is {called.__module__}.{called.__qualname__}".encode()
                if called not in seen:
                    seen.add(called)
                    left.append(called)
            elif isinstance(value, (int, float, str, tuple)):
                yield f"{name} = {value!r}".encode()
            else:
                yield f"{name}: {getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}".encode()


def _content(code: CodeType) -> Iterator[Any]:
    yield from (code.co_code, code.co_names, code.co_varnames, code.co_argcount)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _content(constant)
        else:
            # A set's order is of the process.
            yield repr(sorted(constant, key=repr) if isinstance(constant, frozenset) else constant)


def _globals(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The globals that a function may read, and what it may read of those that are modules."""
    names = function.__code__.co_names
    for name in names:
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType):
            yield from ((f"{name}.{inner}", getattr(value, inner)) for inner in names if hasattr(value, inner))
        elif value is not None:
            yield name, value
