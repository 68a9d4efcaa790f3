"""The two cycle engines side by side: what one says, the other says too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.errors import AccelsimError
from accelsim.isa.program import Program
from accelsim.machine.fast import time_program
from accelsim.machine.reference import run_reference
from accelsim.timing.record import EVENT, STATE, Counters
from accelsim.trace import check_states

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
    states : STATE[changes], optional
    error : str
    skipped_cycles : int
        Cycles that were added as a whole, as they repeat others.
    """

    counters: Counters | None
    events: np.ndarray | None
    states: np.ndarray | None
    error: str
    skipped_cycles: int = 0


def reference(program: Program) -> Told:
    frame = np.zeros(program.inputs[0].shape, np.int8)
    try:
        run = run_reference(program, frame, keep_events=True, keep_states=True)
    except AccelsimError as error:
        return Told(None, None, None, f"{type(error).__name__}: {error}")
    return Told(run.counters, run.events, run.states, "")


def fast(program: Program, *, with_events: bool = True, steady_state: bool = True) -> Told:
    chunks, states = [np.zeros(0, EVENT)], [np.zeros(0, STATE)]
    take = {"events": chunks.append, "states": states.append} if with_events else {}
    try:
        run = time_program(program, **take, steady_state=steady_state)
    except AccelsimError as error:
        return Told(None, None, None, f"{type(error).__name__}: {error}")
    if not with_events:
        return Told(run.counters, None, None, "", run.skipped_cycles)
    return Told(run.counters, np.concatenate(chunks), np.concatenate(states), "", run.skipped_cycles)


def differences(first: Told, second: Told) -> list[str]:
    """What the two say that is not the same; events and states where both have them."""
    if first.error or second.error:
        return [] if first.error == second.error else [f"errors: {first.error!r}, {second.error!r}"]
    found = []
    for name in COUNTERS:
        one, other = np.asarray(getattr(first.counters, name)), np.asarray(getattr(second.counters, name))
        if one.shape != other.shape or (one != other).any():
            found.append(f"{name}: {one.tolist()} and {other.tolist()}")
    for name, one, other in (("event", first.events, second.events), ("state", first.states, second.states)):
        if one is None or other is None:
            continue
        if len(one) != len(other):
            found.append(f"{len(one)} and {len(other)} {name}s")
        elif (one != other).any():
            wrong = int(np.flatnonzero(one != other)[0])
            found.append(f"{name} {wrong} ({', '.join(one.dtype.names)}): {one[wrong]} and {other[wrong]}")
    return found


def compare(program: Program) -> tuple[list[str], Told]:
    """What the engines differ in, cycle by cycle with events or by repeated turns; and what was said by the latter."""
    told, in_turns = reference(program), fast(program, with_events=False)
    if told.counters is not None and told.states is not None:
        check_states(told.states, told.counters)
    each = [f"cycle by cycle: {text}" for text in differences(told, fast(program))]
    return each + [f"by repeated turns: {text}" for text in differences(told, in_turns)], in_turns


def check_equal(program: Program) -> Told:
    """Every counter, every event and every word of an error are the same; what is said with turns skipped."""
    found, told = compare(program)
    assert found == []
    return told
