"""Compiling kernels ahead of their first call, with a cache that no edit can leave stale.

numba's own cache looks at the file of the function alone; a kernel here depends on others. So the cache folder's name
is a hash of every source a kernel is made of. A cache that can't be read or written, or that is damaged, only means
compiling again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba import types
from numba.core import caching, ccallback, serialize
from numba.extending import intrinsic

from accelsim.resources import resource_root

_Function = TypeVar("_Function", bound=Callable[..., Any])
_PACKAGE = Path(__file__).resolve().parent.parent
_FUNCTION_CACHE: Any = caching.FunctionCache
_DUMPS: Any = serialize.dumps
_UNLITERAL: Any = types.unliteral
_POINTER: Any = types.CPointer
_CALLBACK: Any = ccallback.CFunc
_SOURCES = ("fixedpoint.py", "isa/opcodes.py", "timing", "machine")


def jit(function: _Function) -> _Function:
    """`function`, compiled by numba without the interpreter; cached on disk where a folder can be written."""
    compiled: Any = _any_integer(numba.njit(error_model="numpy")(function))
    folder = cache_folder()
    files = None if folder is None else _files(function, folder)
    if files is not None:
        compiled._cache = _Cache(files)
    return cast(_Function, compiled)


def part(function: _Function) -> _Function:
    """`function` as a part of compiled ones, which alone call it: compiled and cached with them.

    That saves the half of the time to compile that goes into calls from Python.
    """
    njit: Any = numba.njit
    without_python = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
    return cast(_Function, _any_integer(without_python(function)))


class Callback:
    """A function that compiled code calls by its address: compiled and cached on its own, when it is first asked for.

    What calls it is compiled without it, so two processes can compile the two at the same time.

    Parameters
    ----------
    function : callable
        Of five addresses of int64 and an integer; without result.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function
        self._compiled: Any = None

    @property
    def address(self) -> int:
        """Where the compiled function is."""
        if self._compiled is None:
            signature = (*[_POINTER(types.int64)] * 5, types.int64), types.void
            compiled = _CALLBACK(self._function, signature, locals={}, options={"error_model": "numpy"})
            folder = cache_folder()
            files = None if folder is None else _files(self._function, folder)
            if files is not None:
                compiled._cache = _Cache(files)
            compiled.compile()
            self._compiled = compiled
        address: int = self._compiled.address
        return address


def _call(_context: Any, address: Any, s: Any, c: Any, p: Any, log: Any, marks: Any, number: Any) -> Any:
    """Call the function that is at an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = [context.get_value_type(kind) for kind in signature.args[1:]]
        form = ir.FunctionType(ir.VoidType(), kinds)
        builder.call(builder.inttoptr(values[0], form.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(types.int64, s, c, p, log, marks, types.int64), generate


call: Any = intrinsic(_call)


def _start(_context: Any, array: Any) -> Any:
    """The address of an array's first element, with which compiled code reads and writes what lies behind it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return _POINTER(array.dtype)(array), generate


start: Any = intrinsic(_start)


def _any_integer(compiled: Any) -> Any:
    """One version for all integers: numba would compile another for each constant that a function is called with."""
    template = compiled.get_call_template

    def general(args: Any, kws: Any) -> Any:
        plain = {name: _UNLITERAL(kind) for name, kind in kws.items()}
        return template(tuple(_UNLITERAL(kind) for kind in args), plain)

    compiled.get_call_template = general
    return compiled


def _files(function: Callable[..., Any], folder: Path) -> Any:
    """numba's own cache of a function in a folder; None where it would go elsewhere, without our key."""
    settings: Any = numba.config
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(folder)
    try:
        files: Any = _FUNCTION_CACHE(function)
    except (OSError, RuntimeError):
        return None
    finally:
        settings.CACHE_DIR = before
    return files if folder in Path(files.cache_path).parents else None


class _Cache:
    """A function's cache as numba's dispatcher uses it, whose every failure is an entry that is not there.

    Machine code is stored with a digest: code with a wrong byte in it would be loaded, and run.

    Parameters
    ----------
    files : numba.core.caching.FunctionCache
    """

    def __init__(self, files: Any) -> None:
        self._files = files
        form = files._impl
        self._reduce, self._rebuild = form.reduce, form.rebuild
        form.reduce, form.rebuild = self._seal, self._open

    @property
    def cache_path(self) -> str:
        """The folder of its files."""
        return str(self._files.cache_path)

    def flush(self) -> None:
        """Forget every entry."""
        self._files.flush()

    def load_overload(self, signature: Any, context: Any) -> Any:
        """What was compiled for a signature; None where there is nothing, or nothing that can be read."""
        try:
            return self._files.load_overload(signature, context)
        except Exception:
            # An index without entries lets go of the files, which the compilation to come replaces.
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep what was compiled, if that is possible."""
        with contextlib.suppress(Exception):
            self._files.save_overload(signature, result)

    def _seal(self, result: Any) -> tuple[bytes, bytes]:
        content: bytes = _DUMPS(self._reduce(result))
        return hashlib.sha256(content).digest(), content

    def _open(self, context: Any, sealed: tuple[bytes, bytes]) -> Any:
        digest, content = sealed
        if hashlib.sha256(content).digest() != digest:
            raise ValueError("damaged machine code")
        return self._rebuild(context, pickle.loads(content))


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
