"""Compiling side by side: the first run ever compiles two engines, and has two cores to do it on."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from accelsim.machine.jit import cache_folder

_COMMAND = "from accelsim.machine.warm import compile_values; compile_values()"


@contextlib.contextmanager
def compiled_beside() -> Iterator[None]:
    """While the block counts cycles, have the kernels that compute values compiled by a process of its own.

    Only where they are not in the cache and would get there. Should that process fail, they are compiled here when
    they are called, and whatever is wrong shows then.
    """
    folder = cache_folder()
    helper: subprocess.Popen[bytes] | None = None
    if folder is not None and sys.executable and not any(folder.rglob("functional._run-*.nbi")):
        with contextlib.suppress(OSError):
            helper = subprocess.Popen(
                [sys.executable, "-c", _COMMAND],
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


def compile_values() -> None:
    """Run a program that does nothing on the functional engine, which compiles it and fills the cache."""
    import numpy as np

    from accelsim.chip import load_chip
    from accelsim.isa import encode, make
    from accelsim.isa.opcodes import ISA_VERSION
    from accelsim.isa.program import HostTensor, Program
    from accelsim.machine.functional import run_functional

    byte = HostTensor("byte", "int8", (1,), (1.0,), 0, 0)
    nothing = Program(
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
    run_functional(nothing, np.zeros((1, 1), dtype=np.int8))
