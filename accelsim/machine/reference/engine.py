"""One frame on the reference engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import simpy
from numpy.typing import NDArray

from accelsim.errors import DeadlockError, HazardError, InputError
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.machine.memory import MemoryImage, check_frames, check_tensors
from accelsim.machine.reference.clock import Tokens
from accelsim.machine.reference.compute import ComputeStage, Stage
from accelsim.machine.reference.context import Context
from accelsim.machine.reference.dma import LoadDma, StoreDma
from accelsim.machine.reference.hazards import HazardChecker
from accelsim.machine.reference.sequencer import sequencer
from accelsim.machine.reference.values import MatrixDatapath, VectorDatapath
from accelsim.timing.record import EVENT, STATE, Counters

_PROGRESS_CYCLES = 4096
_COMPLETION = ("done", "unit", "dispatched")


@dataclass(frozen=True)
class ReferenceRun:
    """What a run gives.

    Parameters
    ----------
    output : int8[*output shape], or int8[n, *output shape] for a batch of n frames
    counters : Counters
    events : EVENT[operations] or None
        In order of completion, in one cycle of `Unit`; kept on request.
    states : STATE[changes] or None
        In order of cycle and `Unit`; kept on request.
    memory : MemoryImage
        As the run left it.
    """

    output: NDArray[np.int8]
    counters: Counters
    events: NDArray[np.void] | None
    states: NDArray[np.void] | None
    memory: MemoryImage


def run_reference(
    program: Program,
    frame: NDArray[np.int8],
    *,
    keep_events: bool = False,
    keep_states: bool = False,
    check_hazards: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ReferenceRun:
    """Run one frame, or a batch of as many as the program takes at once, cycle by cycle.

    Parameters
    ----------
    program : Program
    frame : int8[*input shape] or int8[n, *input shape]
        n at most the program's batch; zeros stand for the frames that are missing.
    keep_events : bool
        Keep an event for each operation; memory then grows with the length of the run.
    keep_states : bool
        Keep each change of a unit's state; so it does then, too.
    check_hazards : bool
        Check that every read sees what program order says.
    progress : callable, optional
        Called with the cycle from time to time.

    Raises
    ------
    DeadlockError
        Every unit waits; says what for.
    HazardError
        With `check_hazards`: reads that no semaphore orders.
    InputError
        The frame's shape or type is not the program's; an access outside a memory or not aligned to its elements.
    """
    check_tensors(program)
    single = frame.ndim == len(program.inputs[0].shape)
    frames = frame[None] if single else frame
    check_frames(program, frames)
    if not 1 <= len(frames) <= program.batch:
        raise InputError(program.name, "frames", f"{len(frames)} at once", f"1 to {program.batch}")
    memory = MemoryImage(program)
    memory.write_tensor(program.inputs[0], frames)
    checker = HazardChecker(program, memory.sizes) if check_hazards else None
    context = Context(program, memory, keep_events, keep_states, checker)
    _start(context)
    if progress is None:
        context.env.run()
    else:
        _run_in_sight(context.env, progress)
    if context.fault:
        raise context.fault
    if context.pending or not context.halted:
        waiting = [f"{unit.name.lower()}: {text}" for (unit, _), text in sorted(context.waiting.items())]
        raise DeadlockError(program.name, context.last_done, waiting or ["nothing is dispatched"])
    context.accountant.finish(context.last_done + 1)
    if checker and checker.count:
        raise HazardError(program.name, checker.found, checker.count)
    events = None if context.events is None else np.sort(np.array(context.events, dtype=EVENT), order=_COMPLETION)
    states = np.array(context.accountant.changes, dtype=STATE) if keep_states else None
    outputs = memory.read_tensor(program.outputs[0])[: len(frames)]
    return ReferenceRun(outputs[0] if single else outputs, context.counters, events, states, memory)


def _run_in_sight(env: simpy.Environment, progress: Callable[[int], None]) -> None:
    """Run to the end, and call `progress` every so many cycles.

    Not by `env.run(until=...)`: its stop mark stays in the schedule, which then is never empty.
    """
    told = 0
    while env.peek() != float("inf"):
        env.step()
        if env.now >= told + _PROGRESS_CYCLES:
            told = int(env.now)
            progress(told)


def _start(context: Context) -> None:
    chip = context.chip
    load, store = LoadDma(context), StoreDma(context)
    mac = Stage(Unit.MATRIX, 0, chip.mac.latency_cycles, chip.mac.drain_cycles)
    for process in (
        ComputeStage(context, mac, MatrixDatapath(context)).process(),
        *(stage.process() for stage in _vector_stages(context)),
        store.process(),
        load.requests(),
        load.landings(),
        sequencer(context),
    ):
        context.env.process(process)


def _vector_stages(context: Context) -> list[ComputeStage]:
    vector, datapath = context.chip.vector, VectorDatapath(context)
    between = [Tokens(context.env, "the stage before") for _ in vector.pipeline[1:]]
    stages = []
    for number, (stage, before, after) in enumerate(
        zip(vector.pipeline, [None, *between], [*between, None], strict=True)
    ):
        last = after is None
        form = Stage(Unit.VECTOR, number, stage.latency_cycles, wake_cycles=vector.wake_cycles, is_last=last)
        stages.append(ComputeStage(context, form, datapath, before, after))
    return stages
