"""Compiling side by side: the first run ever compiles for some seconds, and has two cores to do it on."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from accelsim.jit import cache

if TYPE_CHECKING:
    from accelsim.jit.kernel import Kernel

_under_way: dict[str, subprocess.Popen[bytes]] = {}
"""Who compiles a kernel meanwhile, by its name."""


@contextlib.contextmanager
def compiled_beside(*kernels: Kernel[..., Any]) -> Iterator[None]:
    """While the block compiles what it calls, have these kernels, which it calls later, compiled by another process.

    Only those that are not in the cache and would get there. Should that process fail, they are compiled here when they
    are called, and whatever is wrong shows then.

    Parameters
    ----------
    kernels : Kernel
        In the order of their first calls.
    """
    names = [one.name for one in kernels if not one.is_ready] if cache.cache_folder() is not None else []
    helper: subprocess.Popen[bytes] | None = None
    if names and sys.executable:
        with contextlib.suppress(OSError):
            helper = subprocess.Popen(
                [sys.executable, "-m", "accelsim.jit", *names],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            _under_way.update(dict.fromkeys(names, helper))
    try:
        yield
    except BaseException:
        if helper is not None:
            helper.kill()
        raise
    finally:
        if helper is not None:
            helper.wait()
        for name in names:
            _under_way.pop(name, None)


def compile_all(first: Kernel[..., Any], *others: Kernel[..., Any]) -> None:
    """Compile kernels into the cache, if they are not there: the first here, the others beside it."""
    with compiled_beside(*others):
        for one in (first, *others):
            if not one.is_ready:
                one.address  # noqa: B018


def has_compiled(name: str) -> bool:
    """Whether another process was at a kernel; if so, it is over now."""
    helper = _under_way.pop(name, None)
    if helper is None:
        return False
    # It goes from one kernel to the next: this one may be there before all are.
    while helper.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            helper.wait(0.05)
        if cache.read(name) is not None:
            break
    return True
