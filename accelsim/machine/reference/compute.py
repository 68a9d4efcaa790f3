"""The matrix and the vector unit: take an instruction, issue its beats, let results through the pipeline."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from accelsim.isa.opcodes import Unit
from accelsim.machine.reference.clock import Tokens
from accelsim.machine.reference.context import Context, Job
from accelsim.machine.reference.values import MatrixDatapath, VectorDatapath
from accelsim.timing.record import Reason
from accelsim.timing.rules import Pass


class ComputeUnit:
    """An in-order, pipelined unit.

    A beat is issued in a cycle in which everything it needs is there: before the first beat the instruction's
    semaphores, before each beat its elements, and in each of its passes the memory ports. Otherwise nothing is taken
    and the unit tries again. An instruction leaves its queue with its first beat; the next one's first beat can
    follow its last in the next cycle.

    Parameters
    ----------
    context : Context
    unit : Unit
    latency_cycles : int
        From a beat's last pass until its result is written.
    datapath : MatrixDatapath or VectorDatapath
    """

    def __init__(
        self, context: Context, unit: Unit, latency_cycles: int, datapath: MatrixDatapath | VectorDatapath
    ) -> None:
        self.context = context
        self.unit = unit
        self.latency_cycles = latency_cycles
        self.datapath = datapath

    def process(self) -> Generator[Any, Any, None]:
        """The SimPy process."""
        context, queue = self.context, self.context.queues[self.unit]
        while True:
            context.state(self.unit, Reason.IDLE)
            while not queue.filled.count:
                yield queue.filled.changed()
            queue.filled.take(1)
            yield from self._execute(queue.jobs[0])

    def _execute(self, job: Job) -> Generator[Any, Any, None]:
        context, queue = self.context, self.context.queues[self.unit]
        whole = [(context.semaphores[number], 1) for number in job.tokens("wait", each=False)]
        chained = [context.semaphores[number] for number in job.tokens("wait", each=True)]
        beats = context.beats.of(job.operation)
        for number, beat in enumerate(beats):
            elements = [(tokens, beat.takes) for tokens in chained if beat.takes]
            for turn, banks in enumerate(beat.passes):
                needs = elements if turn == 0 else []
                if number == 0 and turn == 0:
                    yield from self._issue(job, whole, elements, banks)
                    queue.jobs.popleft()
                    queue.places.give(1, context.now + 1)
                    job.event["started"] = context.now
                else:
                    yield from self._issue(job, [], needs, banks)
                context.state(self.unit, Reason.BUSY, job)
                job.event["busy"] += 1
                if turn == len(beat.passes) - 1:
                    context.touch(job, beat)
                    written = context.now + self.latency_cycles
                    self.datapath.compute(job, beat, written)
                    context.give_elements(job, beat.gives, written)
                    if number == len(beats) - 1:
                        self._retire(job, written)
                yield context.env.timeout(1)

    def _issue(
        self, job: Job, whole: list[tuple[Tokens, int]], elements: list[tuple[Tokens, int]], banks: Pass
    ) -> Generator[Any, Any, None]:
        """Come back in the cycle in which the beat is issued."""
        context = self.context
        while True:
            lacking = [pair for pair in whole if pair[0].count < pair[1]]
            reason = Reason.SEMAPHORE if lacking else Reason.DEPENDENCY
            lacking = lacking or [pair for pair in elements if pair[0].count < pair[1]]
            asked = context.now
            if lacking:
                context.state(self.unit, reason, job)
                context.waiting[self.unit] = f"instruction {job.operation.index} waits for {lacking[0][0].name}"
                yield lacking[0][0].changed()
            else:
                context.waiting.pop(self.unit, None)
                granted = yield context.arbiter.ask(self.unit.name.lower(), [*whole, *elements], banks)
                if granted:
                    return
                reason = Reason.BANK
                context.state(self.unit, reason, job)
                yield context.env.timeout(1)
            context.wait_on(job, reason, context.now - asked)

    def _retire(self, job: Job, written: int) -> None:
        context = self.context
        job.event["issued"] = context.now
        context.complete(job, written)
        if context.checker:
            context.checker.finished(job.operation)
