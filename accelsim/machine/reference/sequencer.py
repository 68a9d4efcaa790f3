"""The sequencer: one instruction a cycle, in order, into the units' queues."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from accelsim.errors import InputError
from accelsim.isa.opcodes import Unit
from accelsim.machine.reference.context import Context
from accelsim.machine.reference.ranges import check_ranges
from accelsim.timing.record import Reason
from accelsim.timing.stream import walk


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
    for operation in walk(context.program.instructions, context.program.name):
        context.state(me, Reason.BUSY)
        if operation is not None:
            check_ranges(operation, context.program, context.memory.sizes)
            context.counters.operations[operation.unit] += 1
            if context.checker:
                context.checker.dispatched(operation)
            if operation.unit == me:
                amount = operation.fields["amount"]
                context.semaphores[operation.fields["semaphore"]].give(amount, context.now + timing.semaphore_cycles)
            else:
                queue = context.queues[Unit(operation.unit)]
                while not queue.places.count:
                    context.state(me, Reason.QUEUE)
                    context.waiting[me] = f"instruction {operation.index} waits for {queue.places.name}"
                    yield queue.places.changed()
                context.state(me, Reason.BUSY)
                queue.places.take(1)
                queue.jobs.append(context.job(operation))
                queue.filled.give(1, context.now + timing.dispatch_cycles)
                context.pending += 1
        context.waiting.pop(me, None)
        yield env.timeout(1)
    # `halt` takes its cycle like any other.
    context.state(me, Reason.BUSY)
    context.last_done = max(context.last_done, context.now)
    yield env.timeout(1)
    context.state(me, Reason.IDLE)
    context.halted = True
