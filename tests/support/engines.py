"""The two cycle engines side by side: what one says, the other says too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.errors import AccelsimError
from accelsim.isa.program import Program
from accelsim.machine.fast import time_program
from accelsim.machine.reference import run_reference
from accelsim.timing.record import EVENT, Counters

COUNTERS = (
    "cycles",
    "setup_cycles",
    "units",
    "causes",
    "bytes",
    "elements",
    "macs",
    "operations",
    "traffic",
    "bin_cycles",
)


@dataclass(frozen=True)
class Told:
    """What an engine says of a program: its books, or its error.

    Parameters
    ----------
    counters : Counters, optional
    events : EVENT[operations], optional
    error : str
    skipped_cycles : int
        Cycles that were added as a whole, as they repeat others.
    """

    counters: Counters | None
    events: np.ndarray | None
    error: str
    skipped_cycles: int = 0


def reference(program: Program) -> Told:
    frame = np.zeros(program.inputs[0].shape, np.int8)
    try:
        run = run_reference(program, frame, keep_events=True)
    except AccelsimError as error:
        return Told(None, None, f"{type(error).__name__}: {error}")
    return Told(run.counters, run.events, "")


def fast(program: Program, *, with_events: bool = True, steady_state: bool = True) -> Told:
    chunks = [np.zeros(0, EVENT)]
    try:
        run = time_program(program, events=chunks.append if with_events else None, steady_state=steady_state)
    except AccelsimError as error:
        return Told(None, None, f"{type(error).__name__}: {error}")
    return Told(run.counters, np.concatenate(chunks) if with_events else None, "", run.skipped_cycles)


def differences(first: Told, second: Told) -> list[str]:
    """What the two say that is not the same; events where both have them."""
    if first.error or second.error:
        return [] if first.error == second.error else [f"errors: {first.error!r}, {second.error!r}"]
    found = []
    for name in COUNTERS:
        one, other = np.asarray(getattr(first.counters, name)), np.asarray(getattr(second.counters, name))
        if one.shape != other.shape or (one != other).any():
            found.append(f"{name}: {one.tolist()} and {other.tolist()}")
    if first.events is not None and second.events is not None:
        if len(first.events) != len(second.events):
            found.append(f"{len(first.events)} and {len(second.events)} events")
        elif (first.events != second.events).any():
            wrong = int(np.flatnonzero(first.events != second.events)[0])
            found.append(f"event {wrong} ({', '.join(EVENT.names)}): {first.events[wrong]} and {second.events[wrong]}")
    return found


def compare(program: Program) -> tuple[list[str], Told]:
    """What the engines differ in, cycle by cycle with events or by repeated turns; and what was said by the latter."""
    told, in_turns = reference(program), fast(program, with_events=False)
    each = [f"cycle by cycle: {text}" for text in differences(told, fast(program))]
    return each + [f"by repeated turns: {text}" for text in differences(told, in_turns)], in_turns


def check_equal(program: Program) -> Told:
    """Every counter, every event and every word of an error are the same; what is said with turns skipped."""
    found, told = compare(program)
    assert found == []
    return told
