"""What the units share: clock, memories, semaphores, queues, arbiter, books."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import simpy
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.isa.opcodes import SEMAPHORES, Unit
from accelsim.isa.program import Program
from accelsim.machine.memory import DRAM, MemoryImage
from accelsim.machine.reference.arbiter import Arbiter
from accelsim.machine.reference.clock import UPDATE, Tokens, call_at
from accelsim.machine.reference.hazards import HazardChecker
from accelsim.timing.beats import Beat, BeatTable
from accelsim.timing.record import EVENT, Accountant, Counters, Reason
from accelsim.timing.rules import reserve_bus, visible_after_completion, visible_after_hop
from accelsim.timing.stream import Operation, executing_unit

Row = NDArray[np.void]


@dataclass(slots=True)
class Job:
    """An operation in a queue or in a unit, with its books.

    Parameters
    ----------
    operation : Operation
    unit : Unit
        The unit that executes it.
    layer : int
        -1 for none.
    event : EVENT record
    block : int8[PARAM_BYTES]
        A vector instruction's parameter block, read with its first beat.
    """

    operation: Operation
    unit: Unit
    layer: int
    event: Row
    block: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, dtype=np.int8))

    def tokens(self, kind: str, each: bool) -> list[int]:
        """Semaphores it waits for or signals (`wait`, `signal`), as a whole or element by element."""
        fields = self.operation.fields
        numbers = [(fields[f"{kind}{slot}"], fields[f"{kind}{slot}_each"]) for slot in range(3)]
        return [number for number, flag in numbers if number and bool(flag) == each]


class Queue:
    """A unit's instruction queue: places and entries are tokens. Each stage of a unit has its own entries.

    Parameters
    ----------
    env : simpy.Environment
    name : str
    depth : int
    stages : int
    """

    def __init__(self, env: simpy.Environment, name: str, depth: int, stages: int = 1) -> None:
        self.places = Tokens(env, f"a place in the {name} queue", depth)
        self.filled = [Tokens(env, "an instruction") for _ in range(stages)]
        self.jobs: list[deque[Job]] = [deque() for _ in range(stages)]

    def put(self, job: Job, visible: int) -> None:
        """Enter a job that the unit sees in cycle `visible`; a load in the vector unit's queue is its last stage's."""
        first = len(self.jobs) - 1 if job.operation.name == "load" else 0
        for jobs, filled in zip(self.jobs[first:], self.filled[first:], strict=True):
            jobs.append(job)
            filled.give(1, visible)


class Context:
    """One run of a program.

    Parameters
    ----------
    program : Program
    memory : MemoryImage
        With the frame's input written.
    keep_events, keep_states : bool
    checker : HazardChecker, optional
    """

    def __init__(
        self,
        program: Program,
        memory: MemoryImage,
        keep_events: bool,
        keep_states: bool,
        checker: HazardChecker | None,
    ) -> None:
        self.program, self.chip, self.memory, self.checker = program, program.chip, memory, checker
        self.env = simpy.Environment()
        self.arbiter = Arbiter(self.env)
        self.beats = BeatTable(self.chip)
        aged = bool(self.chip.vector.wake_cycles)
        self.semaphores = [Tokens(self.env, f"semaphore s{number}", aged=aged) for number in range(SEMAPHORES)]
        depth = self.chip.sequencer
        self.queues = {
            Unit.LOAD: Queue(self.env, "load", depth.load_queue_depth),
            Unit.MATRIX: Queue(self.env, "matrix", depth.matrix_queue_depth),
            Unit.VECTOR: Queue(self.env, "vector", depth.vector_queue_depth, len(self.chip.vector.pipeline)),
            Unit.STORE: Queue(self.env, "store", depth.store_queue_depth),
        }
        self.counters = Counters(len(program.layers))
        self.accountant = Accountant(self.counters, keep_states=keep_states)
        self.events: list[Row] | None = [] if keep_events else None
        self.waiting: dict[tuple[Unit, int], str] = {}
        self.pending = 0
        self.last_done = 0
        self.halted = False
        self.fault: InputError | None = None
        self.frame_start = 0
        self._last_seen = 0
        self._emptied: simpy.Event | None = None
        self._bus_free = 0
        self._rate = self.chip.dram.rate

    @property
    def now(self) -> int:
        """The present cycle."""
        return int(self.env.now)

    def job(self, operation: Operation) -> Job:
        """Books for a newly dispatched operation."""
        layer = self.program.layer_indices[operation.index]
        unit = executing_unit(operation, self.chip)
        event = np.zeros((), dtype=EVENT)
        event["unit"], event["index"], event["layer"] = unit, operation.index, layer
        event["dispatched"] = self.now
        self.counters.operations[unit] += 1
        return Job(operation, unit, layer, event)

    def begin_frame(self) -> None:
        """Everything is idle: count anew from the next cycle on."""
        self.frame_start = self.now + 1
        self.counters = Counters(len(self.program.layers), setup_cycles=self.frame_start)
        self.accountant = Accountant(self.counters, self.frame_start, keep_states=self.accountant.keep_states)
        if self.events is not None:
            self.events.clear()

    def emptied(self) -> simpy.Event:
        """An event that comes when nothing is pending any more."""
        self._emptied = self.env.event()
        return self._emptied

    def idle_from(self) -> int:
        """The first cycle in which nothing is under way any more, if nothing is pending."""
        return self._last_seen

    def state(self, unit: Unit, reason: Reason, job: Job | None = None) -> None:
        """Book the unit's state from this cycle on."""
        self.accountant.state(self.now, unit, reason, job.layer if job else -1)

    def wait_on(self, job: Job, reason: Reason, cycles: int) -> None:
        """Book cycles an operation has waited."""
        name = reason.name.lower()
        job.event[name] += cycles

    def touch(self, job: Job, beat: Beat) -> None:
        """Book a beat's bytes, and have its reads checked."""
        for accesses, direction in ((beat.reads, 0), (beat.writes, 1)):
            for memory, _, size in accesses:
                self.counters.bytes[job.layer, memory, direction] += size
        if self.checker:
            for memory, address, size in beat.reads:
                self.checker.read(job.operation, memory, address, size, self.now)

    def store(self, job: Job, memory: int, address: int, values: NDArray[np.int8], written: int) -> None:
        """Have values written at the end of cycle `written`."""

        def write() -> None:
            self.memory.bytes[memory][address : address + values.size] = values
            if self.checker:
                self.checker.wrote(job.operation, memory, address, values.size)

        call_at(self.env, written + 1, UPDATE, write)

    def stream_in(self, job: Job, address: int, size: int) -> None:
        """Book bytes that the host's queue hands to the vector unit; they pass no bus."""
        self.counters.bytes[job.layer, DRAM, 0] += size
        self.counters.transfer(self.now - self.frame_start, size, is_write=False)
        if self.checker:
            self.checker.read(job.operation, DRAM, address, size, self.now)

    def give_elements(self, job: Job, count: int, produced: int) -> None:
        """Signal elements whose result is written in cycle `produced`, to those who take them one by one."""
        if count:
            visible = visible_after_hop(produced, self.chip.chaining.hop_cycles)
            for number in job.tokens("signal", each=True):
                self.semaphores[number].give(count, visible)

    def complete(self, job: Job, done: int) -> None:
        """The operation issues no more and its last result is written in cycle `done`: signal, and close its books."""
        visible = visible_after_completion(done, self.chip.sequencer.semaphore_cycles)
        for number in job.tokens("signal", each=False):
            self.semaphores[number].give(1, visible)
        job.event["done"] = done
        self.last_done = max(self.last_done, done)
        self._last_seen = max(self._last_seen, visible, visible_after_hop(done, self.chip.chaining.hop_cycles))
        unit, sequence = job.unit, job.operation.sequence
        self.accountant.issued(self.now, unit, sequence, job.layer)

        def close() -> None:
            self.pending -= 1
            for name in ("dispatched", "started", "issued", "done"):
                job.event[name] -= self.frame_start
            if self.events is not None:
                self.events.append(job.event)
            emptied = self._emptied
            if not self.pending and emptied:
                self._emptied = None
                emptied.succeed()

        def seen() -> None:
            # The run is over with the last result; nobody is left to see it.
            if self.pending or not self.halted:
                self.accountant.arrived(self.now, unit, sequence)

        call_at(self.env, done + 1, UPDATE, close)
        call_at(self.env, visible, UPDATE, seen)

    def bus(self, size: int, is_write: bool, layer: int) -> int:
        """Reserve the DRAM bus from this cycle on; the bus time at which it is free again."""
        self._bus_free = reserve_bus(self._bus_free, self.now, size, self._rate.numerator, self._rate.denominator)
        self.counters.bytes[layer, DRAM, int(is_write)] += size
        cycle = -(-self._bus_free // self._rate.numerator) - 1
        self.counters.transfer(cycle - self.frame_start, size, is_write)
        return self._bus_free
