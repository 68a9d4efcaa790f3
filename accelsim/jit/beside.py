"""Compiling side by side: the first run ever compiles for some seconds, and has two cores to do it on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelsim.jit.kernel import Kernel


@contextlib.contextmanager
def compiled_beside(*kernels: Kernel[..., Any]) -> Iterator[None]:
    """While the block compiles what it calls, have these kernels, which it calls later, compiled by another process.

    Only those that are not in the cache and would get there. Who calls one that is being compiled waits for it (see
    `Kernel`). Should that process fail, they are compiled here when they are called, and whatever is wrong shows then.

    Parameters
    ----------
    kernels : Kernel
        In the order of their first calls.
    """
    lacking = [one for one in kernels if not one.is_ready]
    helper: subprocess.Popen[bytes] | None = None
    # Where the program is the interpreter's host, no interpreter is there to be started.
    if lacking and sys.executable and not getattr(sys, "frozen", False) and lacking[0].entry.can_be_written:
        with contextlib.suppress(OSError):
            helper = subprocess.Popen(
                # With the modules of this process, and none that the working folder happens to have.
                [sys.executable, "-P", "-m", "accelsim.jit", *(one.name for one in lacking)],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
    try:
        yield
    except BaseException:
        if helper is not None:
            helper.kill()
        raise
    finally:
        if helper is not None:
            helper.wait()


def compile_all(first: Kernel[..., Any], *others: Kernel[..., Any]) -> None:
    """Compile kernels into the cache, if they are not there: the first here, the others beside it."""
    with compiled_beside(*others):
        for one in (first, *others):
            if not one.is_ready:
                one.prepare()
