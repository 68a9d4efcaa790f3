"""The phases of a cycle, so that no result depends on the order in which processes happen to run.

A cycle has three phases. First what was decided in earlier cycles becomes visible (`UPDATE`: tokens, written values).
Then units look and ask (`ASK`, SimPy's normal priority). Then the arbiter decides all requests of the cycle together
(`DECIDE`), and the units act on its answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import simpy

UPDATE, ASK, DECIDE = 0, 1, 2
"""Event priorities of the phases; SimPy runs lower numbers first."""


def call_at(env: simpy.Environment, cycle: float, phase: int, action: Callable[[], None]) -> None:
    """Run `action` in a phase of a cycle that is not over yet."""
    event: Any = simpy.Event(env)
    event._ok = True
    event._value = None
    event.callbacks.append(lambda _: action())
    scheduler: Any = env
    scheduler.schedule(event, phase, cycle - env.now)


class Tokens:
    """A count with registered semantics: what is given becomes visible in a cycle that the giver names.

    Semaphores, queue slots, queue entries and DMA buffers are all tokens.

    Parameters
    ----------
    env : simpy.Environment
    name : str
        For the deadlock message.
    count : int
        At the start.
    aged : bool
        Whether somebody asks how long counts have been there (`count_since`).
    """

    def __init__(self, env: simpy.Environment, name: str, count: int = 0, *, aged: bool = False) -> None:
        self.env = env
        self.name = name
        self.count = count
        self._waiting: list[simpy.Event] = []
        self._aged = aged
        self._young: deque[tuple[int, int]] = deque()

    def give(self, amount: int, visible: int) -> None:
        """Add `amount` in the first phase of cycle `visible`, which must be a later one."""
        call_at(self.env, visible, UPDATE, lambda: self._add(amount))

    def take(self, amount: int) -> None:
        """Take what the caller has made sure is there."""
        self.count -= amount

    def changed(self) -> simpy.Event:
        """An event that comes when the count grows next."""
        event = self.env.event()
        self._waiting.append(event)
        return event

    def count_since(self, cycles: int) -> int:
        """How many have been there for at least `cycles` cycles."""
        while self._young and self._young[0][0] + cycles <= self.env.now:
            self._young.popleft()
        return self.count - sum(amount for _, amount in self._young) if cycles else self.count

    def _add(self, amount: int) -> None:
        self.count += amount
        if self._aged:
            self._young.append((int(self.env.now), amount))
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            event.succeed()
