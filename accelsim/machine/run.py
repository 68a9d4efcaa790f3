"""Frames through a program: every frame's values, and one frame's time, which is every frame's time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InternalError
from accelsim.isa.program import Program
from accelsim.machine.memory import check_frames, check_tensors
from accelsim.timing.record import EVENT, Counters

Engine = Literal["fast", "reference"]
Events = NDArray[np.void]
States = NDArray[np.void]


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
    events: Events | None


def run_program(
    program: Program,
    frames: NDArray[np.int8],
    *,
    engine: Engine = "fast",
    keep_events: bool = False,
    take_events: Callable[[Events], None] | None = None,
    take_states: Callable[[States], None] | None = None,
    check_hazards: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Run frames: one for its cycles, all on the functional engine for their values.

    Each frame starts anew: memories empty, weights in DRAM. Values are those of program order. Where a hand-written
    program lacks a semaphore the hardware's may be others; the reference engine moves them when the hardware would, and
    `check_hazards` says where.

    Parameters
    ----------
    program : Program
    frames : int8[N, *input shape]
        At least one.
    engine : str
        What counts the cycles: `fast`, compiled, without values; or `reference`, on SimPy, with the first frame's
        values at their cycles, which are compared with the functional engine's. Both say the same of time.
    keep_events : bool
        Keep an event for each operation of the first frame.
    take_events : callable, optional
        Called with them instead, some thousands at a time, in order of completion; they are not kept.
    take_states : callable, optional
        Called with each change of what a unit does (STATE records), in order of cycle and `Unit`; those up to an
        event's completion before the event.
    check_hazards : bool
        Check that every read of the first frame sees what program order says; on the reference engine, whichever is
        asked for.
    progress : callable, optional
        Called with the cycle from time to time.

    Raises
    ------
    InternalError
        The reference and the functional engine differ on the first frame, and no hazard explains it.
    DeadlockError, HazardError, InputError
        As the engines raise them.
    """
    from accelsim.machine.functional import run_functional

    check_frames(program, frames)
    chunks: list[Events] = [np.zeros(0, dtype=EVENT)]
    take = take_events or (chunks.append if keep_events else None)
    first: NDArray[np.int8] | None = None
    if engine == "reference" or check_hazards:
        counters, first = _on_reference(program, frames[: program.batch], take, take_states, check_hazards, progress)
    else:
        counters = time_frame(program, take_events=take, take_states=take_states, progress=progress)
    outputs = run_functional(program, frames)
    if first is not None and not np.array_equal(outputs[: len(first)], first):
        # A hand-written program may race; that is its author's mistake, and the check says where.
        _on_reference(program, frames[: program.batch], None, None, True, None)
        raise InternalError(f"{program.name}: the reference and the functional engine differ on the first frame")
    return Run(outputs, counters, np.concatenate(chunks) if keep_events and take_events is None else None)


def time_frame(
    program: Program,
    *,
    engine: Engine = "fast",
    take_events: Callable[[Events], None] | None = None,
    take_states: Callable[[States], None] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Counters:
    """The counts of one frame, or batch, without its values.

    Parameters
    ----------
    program : Program
    engine : str
        As in `run_program`.
    take_events, take_states : callable, optional
        As in `run_program`.
    progress : callable, optional
        Called with the cycle from time to time.

    Raises
    ------
    DeadlockError, InputError
        As the engines raise them.
    """
    if engine == "fast":
        from accelsim.machine.fast import time_program

        return time_program(program, events=take_events, states=take_states, progress=progress).counters
    check_tensors(program)
    frame = np.zeros((1, *program.inputs[0].shape), dtype=np.int8)
    return _on_reference(program, frame, take_events, take_states, False, progress)[0]


def _on_reference(
    program: Program,
    frames: NDArray[np.int8],
    take: Callable[[Events], None] | None,
    take_states: Callable[[States], None] | None,
    check_hazards: bool,
    progress: Callable[[int], None] | None,
) -> tuple[Counters, NDArray[np.int8]]:
    from accelsim.machine.reference import run_reference

    run = run_reference(
        program,
        frames,
        keep_events=take is not None,
        keep_states=take_states is not None,
        check_hazards=check_hazards,
        progress=progress,
    )
    if take_states is not None and run.states is not None:
        take_states(run.states)
    if take is not None and run.events is not None:
        take(run.events)
    return run.counters, run.output
