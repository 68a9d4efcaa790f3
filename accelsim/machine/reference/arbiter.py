"""The one decision inside a cycle: who gets the semaphore counts and memory ports that several units want."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import simpy

from accelsim.machine.reference.clock import DECIDE, Tokens, call_at
from accelsim.timing.rules import MEMORIES, PRIORITY, Pass, is_free

Needs = Sequence[tuple[Tokens, int]]
"""Tokens and how many of each."""


@dataclass(slots=True)
class _Request:
    rank: tuple[int, int]
    needs: Needs
    banks: Pass | None
    answer: simpy.Event


class Arbiter:
    """Grants requests by the fixed priority of `timing.rules`; all a request needs, or nothing.

    Parameters
    ----------
    env : simpy.Environment
    """

    def __init__(self, env: simpy.Environment) -> None:
        self.env = env
        self._requests: list[_Request] = []

    def ask(self, unit: str, needs: Needs, banks: Pass | None, stage: int = 0) -> simpy.Event:
        """An event that carries, in this cycle, whether the request is granted.

        Parameters
        ----------
        unit : str
            A name of `PRIORITY`.
        needs : sequence of (Tokens, int)
            Taken if granted.
        banks : Pass, optional
            Ports occupied for this cycle if granted.
        stage : int
            Of a unit's stages the later ones come first.
        """
        if not self._requests:
            call_at(self.env, self.env.now, DECIDE, self._decide)
        answer = self.env.event()
        self._requests.append(_Request((PRIORITY.index(unit), -stage), needs, banks, answer))
        return answer

    def _decide(self) -> None:
        requests, self._requests = self._requests, []
        used = [0] * MEMORIES
        for request in sorted(requests, key=lambda request: request.rank):
            granted = all(tokens.count >= amount for tokens, amount in request.needs)
            if granted and request.banks is not None:
                granted = is_free(used, request.banks)
            if granted:
                for tokens, amount in request.needs:
                    tokens.take(amount)
                if request.banks is not None:
                    for memory in range(MEMORIES):
                        used[memory] |= request.banks[memory]
            request.answer.succeed(granted)
