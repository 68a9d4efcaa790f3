"""The sequencer: one instruction a cycle, in order, into the units' queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Any

from accelsim.errors import InputError
from accelsim.isa.opcodes import Unit
from accelsim.machine.ranges import check_ranges
from accelsim.machine.reference.context import Context
from accelsim.timing.record import Reason
from accelsim.timing.rules import burst_bytes_at, bus_cycle
from accelsim.timing.stream import executing_unit, program_bytes, walk


def sequencer(context: Context) -> Generator[Any, Any, None]:
    """The process. An instruction that finds its queue full waits, and all behind it."""
    try:
        yield from _instructions(context)
    except InputError as error:
        # An exception of a process reaches the caller as a copy, made from its text; this one is to arrive whole.
        context.fault = error


def _instructions(context: Context) -> Generator[Any, Any, None]:
    env, me = context.env, Unit.SEQUENCER
    timing = context.chip.sequencer
    if timing.program_in_dram:
        yield from _read_program(context)
    for operation in walk(context.program.instructions, context.program.name):
        context.state(me, Reason.BUSY)
        if operation is not None:
            check_ranges(operation, context.program, context.memory.sizes)
            if context.checker:
                context.checker.dispatched(operation)
            if operation.name == "frame":
                yield from _frame(context)
            elif operation.unit == me:
                context.counters.operations[me] += 1
                amount = operation.fields["amount"]
                context.semaphores[operation.fields["semaphore"]].give(amount, context.now + timing.semaphore_cycles)
            else:
                queue = context.queues[executing_unit(operation, context.chip)]
                while not queue.places.count:
                    context.state(me, Reason.QUEUE)
                    context.waiting[me, 0] = f"instruction {operation.index} waits for {queue.places.name}"
                    yield queue.places.changed()
                context.state(me, Reason.BUSY)
                queue.places.take(1)
                queue.put(context.job(operation), context.now + timing.dispatch_cycles)
                context.pending += 1
        context.waiting.pop((me, 0), None)
        yield env.timeout(1)
    # `halt` takes its cycle like any other.
    context.state(me, Reason.BUSY)
    context.last_done = max(context.last_done, context.now)
    yield env.timeout(1)
    context.state(me, Reason.IDLE)
    context.halted = True


def _read_program(context: Context) -> Generator[Any, Any, None]:
    """All words come over the DRAM bus, burst by burst, before the first is executed."""
    dram, size = context.chip.dram, program_bytes(context.program)
    there: deque[int] = deque(maxlen=dram.outstanding_bursts)
    context.state(Unit.SEQUENCER, Reason.DRAM)
    for start in range(0, size, dram.burst_bytes):
        if len(there) == dram.outstanding_bursts and there[0] >= context.now:
            yield context.env.timeout(there[0] + 1 - context.now)
        taken = context.bus(burst_bytes_at(start, size - start, dram.burst_bytes), False, -1)
        there.append(bus_cycle(taken, dram.rate.numerator) + dram.read_latency_cycles)
        yield context.env.timeout(1)
    yield context.env.timeout(max(0, there[-1] + 1 - context.now))


def _frame(context: Context) -> Generator[Any, Any, None]:
    """Wait until nothing is under way, and count from the next cycle on."""
    while context.pending or context.now < context.idle_from():
        context.state(Unit.SEQUENCER, Reason.QUEUE)
        context.waiting[Unit.SEQUENCER, 0] = "`frame` waits for the units"
        yield context.env.timeout(1) if not context.pending else context.emptied()
    context.begin_frame()
