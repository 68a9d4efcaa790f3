"""The load and the store DMA, on either side of the one DRAM bus."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.isa.opcodes import Unit
from accelsim.machine.memory import DRAM
from accelsim.machine.reference.clock import UPDATE, Tokens, call_at
from accelsim.machine.reference.context import Context, Job
from accelsim.timing.beats import Beat, Burst, bursts
from accelsim.timing.record import Reason
from accelsim.timing.rules import Pass, bus_cycle

Data = NDArray[np.int8]


class _Dma:
    """What both have: requests under way at once, waits, and a state made of what their parts do."""

    unit: Unit

    def __init__(self, context: Context) -> None:
        self.context = context
        self.buffers = Tokens(context.env, "a DMA buffer", context.chip.dram.outstanding_bursts)
        self._under_way: deque[Job] = deque()
        self._front: tuple[Reason, Job | None] = (Reason.IDLE, None)
        self._beat: tuple[Reason, Job] | None = None

    def _needs(self, job: Job, burst: Burst, first: bool) -> list[tuple[Tokens, int]]:
        """What a request takes: the instruction's waits before its first, one element before each row, and a buffer."""
        semaphores = self.context.semaphores
        needs = [(semaphores[number], 1) for number in job.tokens("wait", each=False)] if first else []
        if burst.first_of_row:
            needs += [(semaphores[number], 1) for number in job.tokens("wait", each=True)]
        return [*needs, (self.buffers, 1)] if burst.size else needs

    def _await(self, job: Job, needs: list[tuple[Tokens, int]], banks: Pass | None) -> Generator[Any, Any, None]:
        """Come back in the cycle in which all of it was there, and taken."""
        context = self.context
        while True:
            lacking = [pair for pair in needs if pair[0].count < pair[1]]
            asked = context.now
            if lacking:
                reason = Reason.DRAM if lacking[0][0] is self.buffers else Reason.SEMAPHORE
                self._waits(reason, job)
                context.waiting[self.unit, 0] = f"instruction {job.operation.index} waits for {lacking[0][0].name}"
                yield lacking[0][0].changed()
            else:
                context.waiting.pop((self.unit, 0), None)
                granted = yield context.arbiter.ask(self.unit.name.lower(), needs, banks)
                if granted:
                    self._waits(Reason.IDLE, None)
                    return
                reason = Reason.BANK
                self._waits(reason, job)
                yield context.env.timeout(1)
            context.wait_on(job, reason, context.now - asked)

    def _waits(self, reason: Reason, job: Job | None) -> None:
        """What the next request waits for from this cycle on."""
        self._front = reason, job
        self._show()

    def _issues(self, reason: Reason | None, job: Job) -> None:
        """Whether a beat is issued or refused in this cycle."""
        self._beat = None if reason is None else (reason, job)
        self._show()

    def _show(self) -> None:
        """Book the state: a beat in this cycle, else data under way, else what the next request waits for."""
        if self._beat:
            self.context.state(self.unit, *self._beat)
        elif self._under_way:
            self.context.state(self.unit, Reason.DRAM, self._under_way[0])
        else:
            self.context.state(self.unit, *self._front)

    def _leave(self) -> None:
        """The oldest request is no longer under way."""
        self._under_way.popleft()
        self._show()


@dataclass(slots=True)
class _Landing:
    """A request, and the data it has read."""

    job: Job
    burst: Burst
    data: Data


class LoadDma(_Dma):
    """DRAM to SRAM: one half sends requests, the other lands their data in order.

    A request goes out in a cycle, if a buffer is free, and reads DRAM in that cycle; it takes the bus after the
    requests before it, and its data is in the buffer the read latency after its transfer. Landing takes a beat for
    each `sram_bytes_per_cycle`; the buffer is free again in the cycle after its last beat. A sync passes the front
    half without buffer or bus, and has its beat after the data before it.
    """

    unit = Unit.LOAD

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._landings: deque[_Landing] = deque()
        self._landed = Tokens(context.env, "data")
        self._last_arrival = 0

    def requests(self) -> Generator[Any, Any, None]:
        """The front half's process."""
        context, queue = self.context, self.context.queues[self.unit]
        while True:
            self._waits(Reason.IDLE, None)
            while not queue.filled[0].count:
                yield queue.filled[0].changed()
            queue.filled[0].take(1)
            job = queue.jobs[0][0]
            for number, burst in enumerate(bursts(job.operation, context.beats)):
                yield from self._await(job, self._needs(job, burst, number == 0), None)
                if number == 0:
                    queue.jobs[0].popleft()
                    queue.places.give(1, context.now + 1)
                    job.event["started"] = context.now
                self._request(job, burst)
                yield context.env.timeout(1)

    def _request(self, job: Job, burst: Burst) -> None:
        context, dram = self.context, self.context.chip.dram
        arrival = context.now + 1
        if burst.size:
            if context.checker:
                context.checker.read(job.operation, DRAM, burst.dram, burst.size, context.now)
            arrival = bus_cycle(context.bus(burst.size, False, job.layer), dram.rate.numerator)
            arrival += dram.read_latency_cycles
        # A sync has nothing to wait for but what is before it.
        self._last_arrival = max(self._last_arrival, arrival)
        data = context.memory.bytes[DRAM][burst.dram : burst.dram + burst.size].copy()
        self._landings.append(_Landing(job, burst, data))
        self._landed.give(1, self._last_arrival)
        self._under_way.append(job)
        self._show()

    def landings(self) -> Generator[Any, Any, None]:
        """The back half's process."""
        while True:
            while not self._landed.count:
                yield self._landed.changed()
            self._landed.take(1)
            landing = self._landings.popleft()
            for number, beat in enumerate(landing.burst.beats):
                yield from self._land(landing, beat, number == len(landing.burst.beats) - 1)

    def _land(self, landing: _Landing, beat: Beat, last: bool) -> Generator[Any, Any, None]:
        context, job, burst = self.context, landing.job, landing.burst
        for turn, banks in enumerate(beat.passes):
            while not (yield context.arbiter.ask("load", [], banks)):
                self._issues(Reason.BANK, job)
                context.wait_on(job, Reason.BANK, 1)
                yield context.env.timeout(1)
            self._issues(Reason.BUSY, job)
            job.event["busy"] += 1
            if turn == len(beat.passes) - 1:
                written = context.now + context.chip.dma.latency_cycles
                context.touch(job, beat)
                for memory, address, size in beat.writes:
                    start = address - burst.sram
                    context.store(job, memory, address, landing.data[start : start + size], written)
                if last:
                    self._finish(job, burst, written)
            yield context.env.timeout(1)
            self._issues(None, job)

    def _finish(self, job: Job, burst: Burst, written: int) -> None:
        context = self.context
        if burst.size:
            self.buffers.give(1, context.now + 1)
        context.give_elements(job, int(burst.last_of_row), written)
        if burst.last:
            job.event["issued"] = context.now
            context.complete(job, written)
            if context.checker:
                context.checker.finished(job.operation)
        call_at(context.env, context.now + 1, UPDATE, self._leave)


class StoreDma(_Dma):
    """SRAM to DRAM: reads a request's data beat by beat, then sends it.

    The data takes the bus `dma.latency_cycles` after its last beat, and is in DRAM the write latency after its
    transfer; then its buffer is free. A sync has a beat without buffer or bus, and is done in its turn.
    """

    unit = Unit.STORE

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._last_done = 0

    def process(self) -> Generator[Any, Any, None]:
        """The SimPy process."""
        context, queue = self.context, self.context.queues[self.unit]
        while True:
            self._waits(Reason.IDLE, None)
            while not queue.filled[0].count:
                yield queue.filled[0].changed()
            queue.filled[0].take(1)
            job = queue.jobs[0][0]
            for number, burst in enumerate(bursts(job.operation, context.beats)):
                yield from self._read(job, burst, number == 0)

    def _read(self, job: Job, burst: Burst, first: bool) -> Generator[Any, Any, None]:
        """Issue the beats of a request, then send it."""
        context, queue = self.context, self.context.queues[self.unit]
        needs = self._needs(job, burst, first)
        pieces: list[Data] = []
        for beat in burst.beats:
            for turn, banks in enumerate(beat.passes):
                yield from self._await(job, needs, banks)
                needs = []
                if first:
                    first = False
                    queue.jobs[0].popleft()
                    queue.places.give(1, context.now + 1)
                    job.event["started"] = context.now
                self._issues(Reason.BUSY, job)
                job.event["busy"] += 1
                if turn == len(beat.passes) - 1:
                    job.event["issued"] = context.now
                    context.touch(job, beat)
                    for memory, address, size in beat.reads:
                        pieces.append(context.memory.bytes[memory][address : address + size].copy())
                    if beat is burst.beats[-1]:
                        self._under_way.append(job)
                        self._send(job, burst, pieces, context.now + context.chip.dma.latency_cycles)
                yield context.env.timeout(1)
                self._issues(None, job)

    def _send(self, job: Job, burst: Burst, pieces: list[Data], cycle: int) -> None:
        context, dram = self.context, self.context.chip.dram
        if burst.last and context.checker:
            context.checker.finished(job.operation)

        def transfer() -> None:
            done = cycle
            if burst.size:
                done = bus_cycle(context.bus(burst.size, True, job.layer), dram.rate.numerator)
                done += dram.write_latency_cycles
                context.store(job, DRAM, burst.dram, np.concatenate(pieces), done)
                self.buffers.give(1, done + 1)
            # A sync has nothing to wait for but what is before it.
            done = self._last_done = max(self._last_done, done)
            context.give_elements(job, int(burst.last_of_row), done)
            if burst.last:
                context.complete(job, done)
            call_at(context.env, done + 1, UPDATE, self._leave)

        call_at(context.env, cycle, UPDATE, transfer)
