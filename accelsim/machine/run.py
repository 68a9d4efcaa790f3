"""Frames through a program: every frame's values, and one frame's time, which is every frame's time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InternalError
from accelsim.isa.program import Program
from accelsim.timing.record import Counters


@dataclass(frozen=True)
class Run:
    """What a run gives.

    Parameters
    ----------
    outputs : int8[N, *output shape]
    counters : Counters
        Of one run: a frame, or a batch of them. Control flow does not depend on data, so all take the same cycles.
    events : EVENT[operations] or None
        Of one frame, on request.
    """

    outputs: NDArray[np.int8]
    counters: Counters
    events: NDArray[np.void] | None


def run_program(
    program: Program,
    frames: NDArray[np.int8],
    *,
    keep_events: bool = False,
    check_hazards: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Run frames: the first on the reference engine for its cycles, all on the functional engine for their values.

    Each frame starts anew: memories empty, weights in DRAM.

    Parameters
    ----------
    program : Program
    frames : int8[N, *input shape]
        At least one.
    keep_events : bool
        Keep an event for each operation of the first frame.
    check_hazards : bool
        Check that every read of the first frame sees what program order says.
    progress : callable, optional
        Called with the cycle from time to time.

    Raises
    ------
    InternalError
        The two engines differ on the first frame, and no hazard explains it.
    DeadlockError, HazardError, InputError
        As the engines raise them.
    """
    from accelsim.machine.functional import run_functional
    from accelsim.machine.reference import run_reference

    first = frames[: program.batch]
    timed = run_reference(program, first, keep_events=keep_events, check_hazards=check_hazards, progress=progress)
    outputs = run_functional(program, frames)
    if not np.array_equal(outputs[: len(first)], timed.output):
        # A hand-written program may race; that is its author's mistake, and the check says where.
        run_reference(program, first, check_hazards=True)
        raise InternalError(f"{program.name}: the reference and the functional engine differ on the first frame")
    return Run(outputs, timed.counters, timed.events)
