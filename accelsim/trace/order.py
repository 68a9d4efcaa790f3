"""Events in other orders than the engines hand them on: in blocks of one size, and in program order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InternalError
from accelsim.isa.program import Program
from accelsim.timing.record import EVENT
from accelsim.timing.stream import Operation, executing_unit, walk

Events = NDArray[np.void]

BLOCK_EVENTS = 8192


class Event(NamedTuple):
    """An EVENT record as Python's numbers."""

    unit: int
    instruction: int
    layer: int
    dispatched: int
    started: int
    issued: int
    done: int
    busy: int
    semaphore: int
    dependency: int
    bank: int
    dram: int


class Blocks:
    """Cuts events into blocks of one size, so that a file does not depend on how an engine hands them on."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, dtype=EVENT)

    def add(self, events: Events) -> Iterator[Events]:
        """Every block that is full now."""
        events = np.concatenate([self._rest, events]) if len(self._rest) else events
        whole = len(events) // BLOCK_EVENTS * BLOCK_EVENTS
        self._rest = events[whole:].copy()
        for start in range(0, whole, BLOCK_EVENTS):
            yield events[start : start + BLOCK_EVENTS]

    def finish(self) -> Iterator[Events]:
        """The last, shorter one, if there is one."""
        rest, self._rest = self._rest, np.zeros(0, dtype=EVENT)
        if len(rest):
            yield rest


class ProgramOrder:
    """Puts events back into program order, and says what each operation works on.

    Engines hand events on in order of completion. One is kept until all operations before it in the program are
    complete, as in the reorder buffer of a processor. So it never holds more than what the sequencer dispatches while
    the oldest operation is under way; it stops at the latest when as many further instructions of that operation's
    unit wait as its queue has places. That depends on the program's text and the queues, not on a run's length.

    Parameters
    ----------
    program : Program

    Attributes
    ----------
    most_held : int
        The most events it has held so far.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._operations = _of_the_frame(program)
        self._next: tuple[Operation, int] | None = next(self._operations, None)
        self._held: list[deque[Event]] = [deque() for _ in range(4)]
        self._count = 0
        self.most_held = 0

    def add(self, events: Events) -> Iterator[tuple[Operation, Event]]:
        """Every operation that is next in program order, with its event."""
        for event in map(Event._make, events.tolist()):
            self._held[event.unit].append(event)
            self._count += 1
            self.most_held = max(self.most_held, self._count)
            while self._next is not None and self._held[self._next[1]]:
                operation, unit = self._next
                found = self._held[unit].popleft()
                self._count -= 1
                if found.instruction != operation.index:
                    raise InternalError(
                        f"{self._program.name}: instruction {found.instruction} is done, {operation.index} is next"
                    )
                self._next = next(self._operations, None)
                yield operation, found

    def check_empty(self) -> None:
        """Raise InternalError where events are left, or operations had none."""
        if self._count or self._next is not None:
            raise InternalError(f"{self._program.name}: the run's events are not the program's operations")


def _of_the_frame(program: Program) -> Iterator[tuple[Operation, int]]:
    """The operations of units in program order; those of a frame alone, where the program has a set-up part."""
    counted = all(instruction.name != "frame" for instruction in program.instructions)
    for operation in walk(program.instructions, program.name):
        if operation is None:
            continue
        if operation.name == "frame":
            counted = True
        elif counted and operation.name != "signal":
            yield operation, int(executing_unit(operation, program.chip))
