"""Compiling side by side: the first run ever compiles for some seconds, and has two cores to do it on."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from accelsim.machine.jit import cache_folder

if TYPE_CHECKING:
    from accelsim.isa.program import Program

_STEADY, _VALUES, _BOUND = "steady._look-*.nbi", "functional._run-*.nbi", "follow._operations-*.nbi"
_COMPILE = {_STEADY: "compile_steady_state()", _VALUES: "compile_values()", _BOUND: "compile_bound()"}


@contextlib.contextmanager
def compiled_beside(*, values: bool) -> Iterator[None]:
    """While the block compiles the cycle engine's main part and counts, have the rest compiled by another process.

    Only what is not in the cache and would get there. Should that process fail, it is compiled here when it is
    called, and whatever is wrong shows then.

    Parameters
    ----------
    values : bool
        Whether the kernels that compute values will be wanted.
    """
    folder = cache_folder()
    helper: subprocess.Popen[bytes] | None = None
    wanted = (_STEADY, _VALUES, _BOUND) if values else (_STEADY, _BOUND)
    lacking = [] if folder is None else [_COMPILE[name] for name in wanted if not any(folder.rglob(name))]
    if lacking and sys.executable:
        with contextlib.suppress(OSError):
            helper = subprocess.Popen(
                [sys.executable, "-c", "; ".join(["from accelsim.machine.warm import *", *lacking])],
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


def compile_steady_state() -> None:
    """Compile what advances loops and streams, and fill the cache."""
    from accelsim.machine.fast import steady

    steady.look.address  # noqa: B018


def compile_values() -> None:
    """Run a program that does nothing on the functional engine, which compiles it and fills the cache."""
    import numpy as np

    from accelsim.machine.functional import run_functional

    run_functional(_nothing(), np.zeros((1, 1), dtype=np.int8))


def compile_bound() -> None:
    """Follow a program that does nothing, which compiles what the lower bound needs and fills the cache."""
    from accelsim.machine.dataflow import follow_program

    follow_program(_nothing())


def _nothing() -> Program:
    from accelsim.chip import load_chip
    from accelsim.isa import encode, make
    from accelsim.isa.opcodes import ISA_VERSION
    from accelsim.isa.program import HostTensor, Program

    byte = HostTensor("byte", "int8", (1,), (1.0,), 0, 0)
    return Program(
        name="nothing",
        isa_version=ISA_VERSION,
        chip=load_chip("tx5368"),
        schedule="",
        words=(encode(make("halt")),),
        inputs=(byte,),
        outputs=(byte,),
        regions=(),
        layers=(),
        image=b"",
        image_address=0,
    )
