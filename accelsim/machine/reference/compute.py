"""The matrix unit and the stages of the vector unit: take an instruction, issue its beats, pass the results on."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from accelsim.chip.model import Sequencer
from accelsim.isa.opcodes import Unit
from accelsim.isa.stages import wait_stage
from accelsim.machine.reference.clock import Tokens
from accelsim.machine.reference.context import Context, Job
from accelsim.machine.reference.values import MatrixDatapath, VectorDatapath
from accelsim.timing.beats import Beat
from accelsim.timing.record import Reason
from accelsim.timing.rules import Pass, beat_written, drained

_LONG_AGO = -(1 << 40)


@dataclass(frozen=True)
class Stage:
    """What makes one in-order stage differ from another.

    Parameters
    ----------
    unit : Unit
    number : int
        Its place in the unit.
    latency_cycles : int
        From a beat's last pass until the next stage can take it or, in the last, until its result is written.
    drain_cycles : int
        Cycles between written results.
    wake_cycles : int
        How long a semaphore's count has to be there.
    is_last : bool
    """

    unit: Unit
    number: int
    latency_cycles: int
    drain_cycles: int = 1
    wake_cycles: int = 0
    is_last: bool = True


class BeatSequencer:
    """Writes a stage's beats ahead of their issue, where the chip has that.

    Parameters
    ----------
    timing : Sequencer
    """

    def __init__(self, timing: Sequencer) -> None:
        self.timing = timing
        self._free = 0
        self._last = -1
        self._issued: deque[int] = deque(maxlen=timing.beats_ahead or 1)

    def ready(self, job: Job, dispatched: int, begins: bool) -> int:
        """The first cycle in which the job's next beat can be issued; `begins` one of its instruction or row."""
        timing = self.timing
        if not timing.beats_ahead:
            return 0
        oldest = self._issued[0] if len(self._issued) == timing.beats_ahead else _LONG_AGO
        if begins:
            sequence = job.operation.sequence
            foreign, self._last = max(sequence - self._last - 1, 0), sequence
            arrived = dispatched + timing.dispatch_cycles
            written = beat_written(self._free, arrived, foreign, timing.instruction_cycles, oldest)
        else:
            written = max(self._free, oldest + 1)
        self._free = written + 1
        return written + timing.beat_cycles

    def issued(self, cycle: int) -> None:
        """The beat is issued."""
        self._issued.append(cycle)


class ComputeStage:
    """An in-order, pipelined stage.

    A beat is issued in a cycle in which everything it needs is there: before the first beat the semaphores that the
    instruction waits for in this stage, before each beat its elements and what the stage before passes on, and in
    each of its passes the memory ports. Otherwise nothing is taken and the stage tries again. An instruction leaves
    its queue with its first beat in the last stage; the next one's first beat can follow its last in the next cycle.

    Parameters
    ----------
    context : Context
    stage : Stage
    datapath : MatrixDatapath or VectorDatapath
    before : Tokens, optional
        Beats from the stage before.
    after : Tokens, optional
        Beats for the next stage.
    """

    def __init__(
        self,
        context: Context,
        stage: Stage,
        datapath: MatrixDatapath | VectorDatapath,
        before: Tokens | None = None,
        after: Tokens | None = None,
    ) -> None:
        self.context = context
        self.stage = stage
        self.unit = stage.unit
        self.datapath = datapath
        self.before, self.after = before, after
        self.sequencer = BeatSequencer(context.chip.sequencer)
        self._last_out = _LONG_AGO

    def process(self) -> Generator[Any, Any, None]:
        """The SimPy process."""
        queue, number = self.context.queues[self.unit], self.stage.number
        filled, jobs = queue.filled[number], queue.jobs[number]
        while True:
            self._state(Reason.IDLE)
            while not filled.count:
                yield filled.changed()
            filled.take(1)
            yield from self._execute(jobs[0])

    def _execute(self, job: Job) -> Generator[Any, Any, None]:
        context, operation = self.context, job.operation
        queue = context.queues[self.unit]
        dispatched = int(job.event["dispatched"])
        whole, chained = self._waits(job, each=False), self._waits(job, each=True)
        beats = context.beats.of(operation, self.stage.number)
        for number, beat in enumerate(beats):
            needs = [(tokens, beat.takes) for tokens in chained if beat.takes]
            if self.before is not None and operation.name != "load":
                needs.append((self.before, 1))
            begins = number == 0 or (operation.name == "load" and bool(beat.takes))
            ready = self.sequencer.ready(job, dispatched, begins)
            for turn, banks in enumerate(beat.passes):
                first = number == 0 and turn == 0
                yield from self._issue(
                    job, [(tokens, 1) for tokens in whole] if first else [], needs if turn == 0 else [], banks, ready
                )
                if first:
                    queue.jobs[self.stage.number].popleft()
                    if self.stage.is_last:
                        queue.places.give(1, context.now + 1)
                        job.event["started"] = context.now
                self._state(Reason.BUSY, job)
                job.event["busy"] += int(self.stage.is_last)
                if turn == len(beat.passes) - 1:
                    self.sequencer.issued(context.now)
                    self._pass_on(job, beat, number == len(beats) - 1)
                yield context.env.timeout(1)

    def _waits(self, job: Job, each: bool) -> list[Tokens]:
        """The semaphores an instruction waits for in this stage."""
        fields, stages = job.operation.fields, self.context.chip.vector.pipeline
        found = []
        for slot in range(3):
            number = fields[f"wait{slot}"]
            if not number or bool(fields[f"wait{slot}_each"]) != each:
                continue
            place = 0
            if job.operation.name == "vector":
                place = wait_stage(fields, slot, stages)
            elif job.operation.name == "load":
                place = self.stage.number
            if place == self.stage.number:
                found.append(self.context.semaphores[number])
        return found

    def _issue(
        self,
        job: Job,
        whole: list[tuple[Tokens, int]],
        elements: list[tuple[Tokens, int]],
        banks: Pass,
        ready: int,
    ) -> Generator[Any, Any, None]:
        """Come back in the cycle in which the beat is issued."""
        context, place, wake = self.context, (self.unit, self.stage.number), self.stage.wake_cycles
        while True:
            asked = context.now
            lacking = [pair for pair in whole if pair[0].count_since(wake) < pair[1]]
            reason = Reason.SEMAPHORE if lacking else Reason.DEPENDENCY
            lacking = lacking or [pair for pair in elements if pair[0].count < pair[1]]
            if lacking:
                self._state(reason, job)
                context.waiting[place] = f"instruction {job.operation.index} waits for {lacking[0][0].name}"
                # A count that is there, but not long enough, comes of age without a further event.
                there = lacking[0][0].count >= lacking[0][1]
                yield context.env.timeout(1) if there else lacking[0][0].changed()
            elif asked < ready:
                reason = Reason.DEPENDENCY
                self._state(reason, job)
                yield context.env.timeout(ready - asked)
            else:
                context.waiting.pop(place, None)
                granted = yield context.arbiter.ask(
                    self.unit.name.lower(), [*whole, *elements], banks, self.stage.number
                )
                if granted:
                    return
                reason = Reason.BANK
                self._state(reason, job)
                yield context.env.timeout(1)
            if self.stage.is_last:
                context.wait_on(job, reason, context.now - asked)

    def _pass_on(self, job: Job, beat: Beat, is_last_beat: bool) -> None:
        context = self.context
        context.touch(job, beat)
        if self.after is not None:
            self.after.give(1, context.now + self.stage.latency_cycles)
        written = context.now + self.stage.latency_cycles
        if self.stage.is_last and beat.writes:
            written = drained(context.now, self.stage.latency_cycles, self._last_out, self.stage.drain_cycles)
            self._last_out = written
        elif self.stage.is_last:
            # A sync says that what was before it is done.
            written = max(written, self._last_out)
        self.datapath.compute(job, beat, written, self.stage.number)
        if not self.stage.is_last:
            return
        context.give_elements(job, beat.gives, written)
        if is_last_beat:
            job.event["issued"] = context.now
            context.complete(job, written)
            if context.checker:
                context.checker.finished(job.operation)

    def _state(self, reason: Reason, job: Job | None = None) -> None:
        """Book the unit's state: that of its last stage."""
        if self.stage.is_last:
            self.context.state(self.unit, reason, job)
