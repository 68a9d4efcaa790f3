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
from accelsim.timing.rules import bus_cycle


class _Dma:
    """What both have: requests under way at once, waits, and a state that its two halves share."""

    unit: Unit

    def __init__(self, context: Context) -> None:
        self.context = context
        self.buffers = Tokens(context.env, "a DMA buffer", context.chip.dram.outstanding_bursts)
        self.under_way = 0
        self._front: tuple[Reason, Job | None] = (Reason.IDLE, None)

    def _waits(self, job: Job, burst: Burst, first: bool) -> list[tuple[Tokens, int]]:
        """Semaphores before this request: the instruction's before its first, one element before each row."""
        semaphores = self.context.semaphores
        needs = [(semaphores[number], 1) for number in job.tokens("wait", each=False)] if first else []
        if burst.first_of_row:
            needs += [(semaphores[number], 1) for number in job.tokens("wait", each=True)]
        return needs

    def _await(self, job: Job, needs: list[tuple[Tokens, int]], banks: Any) -> Generator[Any, Any, None]:
        """Come back in the cycle in which all of it was there, and taken."""
        context = self.context
        needs = [*needs]
        while True:
            lacking = [pair for pair in needs if pair[0].count < pair[1]]
            asked = context.now
            if lacking:
                reason = Reason.DRAM if lacking[0][0] is self.buffers else Reason.SEMAPHORE
                self._look(reason, job)
                context.waiting[self.unit] = f"instruction {job.operation.index} waits for {lacking[0][0].name}"
                yield lacking[0][0].changed()
            else:
                context.waiting.pop(self.unit, None)
                granted = yield context.arbiter.ask(self.unit.name.lower(), needs, banks)
                if granted:
                    return
                reason = Reason.BANK
                self._look(reason, job)
                yield context.env.timeout(1)
            context.wait_on(job, reason, context.now - asked)

    def _look(self, reason: Reason, job: Job | None) -> None:
        """Book the state: a beat or a refusal in this cycle, else data under way, else what the front does."""
        self._front = reason, job
        if reason == Reason.SEMAPHORE and self.under_way:
            reason = Reason.DRAM
        self.context.state(self.unit, reason, job)


@dataclass(slots=True)
class _Landing:
    """A request whose data arrives in cycle `arrival`."""

    job: Job
    burst: Burst
    arrival: int


class LoadDma(_Dma):
    """DRAM to SRAM: one half sends requests, the other lands their data in order.

    A request goes out in a cycle, if a buffer is free; it takes the bus after the requests before it, and its data is
    in the buffer the read latency after its transfer. Landing takes a beat for each `sram_bytes_per_cycle`; the buffer
    is free again in the cycle after its last beat.
    """

    unit = Unit.LOAD

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._landings: deque[_Landing] = deque()
        self._landed = Tokens(context.env, "data")

    def requests(self) -> Generator[Any, Any, None]:
        """The front half's process."""
        context, queue = self.context, self.context.queues[self.unit]
        chip = context.chip
        while True:
            if not queue.filled.count:
                self._front = Reason.IDLE, None
                if not self.under_way:
                    context.state(self.unit, Reason.IDLE)
            while not queue.filled.count:
                yield queue.filled.changed()
            queue.filled.take(1)
            job = queue.jobs[0]
            for number, burst in enumerate(bursts(job.operation, context.beats)):
                yield from self._await(job, [*self._waits(job, burst, number == 0), (self.buffers, 1)], None)
                if number == 0:
                    queue.jobs.popleft()
                    queue.places.give(1, context.now + 1)
                    job.event["started"] = context.now
                if context.checker:
                    context.checker.read(job.operation, DRAM, burst.dram, burst.size, context.now)
                free = context.bus(burst.size, False, job.layer)
                arrival = bus_cycle(free, chip.dram.rate.numerator) + chip.dram.read_latency_cycles
                self.under_way += 1
                self._landings.append(_Landing(job, burst, arrival))
                self._landed.give(1, max(arrival, context.now + 1))
                self._look(Reason.DRAM, job)
                yield context.env.timeout(1)

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
                context.state(self.unit, Reason.BANK, job)
                context.wait_on(job, Reason.BANK, 1)
                yield context.env.timeout(1)
            context.state(self.unit, Reason.BUSY, job)
            job.event["busy"] += 1
            if turn == len(beat.passes) - 1:
                written = context.now + context.chip.dma.latency_cycles
                context.touch(job, beat)
                ((memory, address, size),) = beat.writes
                source = burst.dram + address - burst.sram
                data = context.memory.bytes[DRAM][source : source + size].copy()
                context.store(job, memory, address, data, written)
                if last:
                    self.buffers.give(1, context.now + 1)
                    context.give_elements(job, int(burst.last_of_row), written)
                    if burst.last:
                        job.event["issued"] = context.now
                        context.complete(job, written)
                        if context.checker:
                            context.checker.finished(job.operation)
                    call_at(context.env, context.now + 1, UPDATE, self._leave)
            yield context.env.timeout(1)
            # Back to what the front waits for, unless a beat of the next data is issued in this cycle.
            reason, waiting = self._front
            if self.under_way:
                context.state(self.unit, Reason.DRAM, job)
            else:
                context.state(self.unit, reason, waiting)

    def _leave(self) -> None:
        self.under_way -= 1


class StoreDma(_Dma):
    """SRAM to DRAM: reads a request's data beat by beat, then sends it.

    The data takes the bus `dma.latency_cycles` after its last beat, and is in DRAM the write latency after its
    transfer; then its buffer is free.
    """

    unit = Unit.STORE

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._data: NDArray[np.int8] = np.zeros(0, dtype=np.int8)

    def process(self) -> Generator[Any, Any, None]:
        """The SimPy process."""
        context, queue = self.context, self.context.queues[self.unit]
        while True:
            if not queue.filled.count and not self.under_way:
                context.state(self.unit, Reason.IDLE)
            while not queue.filled.count:
                yield queue.filled.changed()
            queue.filled.take(1)
            job = queue.jobs[0]
            for number, burst in enumerate(bursts(job.operation, context.beats)):
                needs = [*self._waits(job, burst, number == 0), (self.buffers, 1)]
                for beat in burst.beats:
                    for turn, banks in enumerate(beat.passes):
                        yield from self._await(job, needs, banks)
                        needs = []
                        if job is (queue.jobs[0] if queue.jobs else None):
                            queue.jobs.popleft()
                            queue.places.give(1, context.now + 1)
                            job.event["started"] = context.now
                        context.state(self.unit, Reason.BUSY, job)
                        job.event["busy"] += 1
                        if turn == len(beat.passes) - 1:
                            self._take(job, burst, beat)
                        if beat is burst.beats[-1] and turn == len(beat.passes) - 1:
                            self.under_way += 1
                            self._send(job, burst, context.now + context.chip.dma.latency_cycles)
                        yield context.env.timeout(1)
                        if self.under_way:
                            context.state(self.unit, Reason.DRAM, job)

    def _take(self, job: Job, burst: Burst, beat: Beat) -> None:
        context = self.context
        context.touch(job, beat)
        ((memory, address, size),) = beat.reads
        data = context.memory.bytes[memory][address : address + size].copy()
        job.event["issued"] = context.now
        self._data = data if beat is burst.beats[0] else np.concatenate([self._data, data])

    def _send(self, job: Job, burst: Burst, cycle: int) -> None:
        context, data = self.context, self._data
        if burst.last and context.checker:
            context.checker.finished(job.operation)

        def transfer() -> None:
            free = context.bus(burst.size, True, job.layer)
            chip = context.chip.dram
            done = max(bus_cycle(free, chip.rate.numerator) + chip.write_latency_cycles, cycle)
            context.store(job, DRAM, burst.dram, data, done)
            self.buffers.give(1, done + 1)
            context.give_elements(job, int(burst.last_of_row), done)
            if burst.last:
                context.complete(job, done)
            call_at(context.env, done + 1, UPDATE, self._leave)

        call_at(context.env, cycle, UPDATE, transfer)

    def _leave(self) -> None:
        self.under_way -= 1
        context = self.context
        if not self.under_way and context.accountant.reason(self.unit) == Reason.DRAM:
            context.state(self.unit, Reason.IDLE)
