"""A program's time on the compiled engine: the reference engine's cycles and counts, without values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import DeadlockError, InputError, InternalError
from accelsim.isa.opcodes import LOOP_LEVELS, Unit
from accelsim.isa.program import Program
from accelsim.machine.fast import layout as lay
from accelsim.machine.fast import loop, sequencer, steady
from accelsim.machine.fast.tables import OPERANDS, Layout
from accelsim.machine.memory import check_tensors, memory_sizes
from accelsim.machine.ranges import check_ranges
from accelsim.timing.record import BANDWIDTH_BINS, EVENT, MEMORY_NAMES, STATE, Counters
from accelsim.timing.stream import Operation

_SLICE = 1 << 20
"""Cycles with something in them between two looks at the outside: a key pressed, progress to show."""
_SHORT_SLICE = 1 << 16
"""The same where a run may be given up."""
_MANY_CYCLES = 16 * _SLICE
"""So many visited cycles take about as long as compiling what skips those that repeat."""
_CHUNK = 1 << 16
"""Events, and changes of states, handed on at a time."""
_SIGNATURE_WORDS = 1 << 14

Events = NDArray[np.void]
States = NDArray[np.void]


@dataclass(frozen=True)
class Timing:
    """What a run gives.

    Parameters
    ----------
    counters : Counters
    visited_cycles : int
        Cycles that were looked at one by one; in the others nothing changes.
    skipped_cycles : int
        Cycles, visited or not, that were added as a whole since they repeat others.
    """

    counters: Counters
    visited_cycles: int
    skipped_cycles: int


def time_program(
    program: Program,
    *,
    events: Callable[[Events], None] | None = None,
    states: Callable[[States], None] | None = None,
    steady_state: bool | None = None,
    progress: Callable[[int], None] | None = None,
) -> Timing:
    """Cycles, stalls and traffic of one frame, or one batch of them; no values.

    Control flow does not depend on data, so there is nothing that values could change.

    Parameters
    ----------
    program : Program
    events : callable, optional
        Called with EVENT records, some thousands at a time, in order of completion (in one cycle: of `Unit`). Without
        it memory does not grow with the length of the run.
    states : callable, optional
        Called with STATE records, in order of cycle and `Unit`. When events are handed on, those up to the last one's
        completion have been.
    steady_state : bool, optional
        Advance loops whose turns repeat exactly by many turns at once. The result is the same; with `events` or
        `states` every turn is gone through. By default where that is compiled already, or the run is long enough to be
        worth it.
    progress : callable, optional
        Called with the cycle from time to time.

    Raises
    ------
    DeadlockError
        Every unit waits; says what for.
    InputError
        An access outside a memory or not aligned to its elements; a program that runs on past its end.
    """
    check_tensors(program)
    run = _Run(program, events, states, steady_state)
    try:
        for cycle in run.slices(_SLICE):
            if progress is not None:
                progress(cycle)
    except InputError:
        if not run.s[lay.SKIPPED]:
            raise
        # A turn that was skipped may have been the first to reach too far: that one is to be named.
        return time_program(program, steady_state=False, progress=progress)
    return run.timing()


def time_within(program: Program, most_cycles: int) -> Timing | None:
    """What `time_program` gives, if the frame takes no more than so many cycles; else None, and soon.

    Parameters
    ----------
    program : Program
        Must reach outside no memory: a run that is given up does not tell.
    most_cycles : int

    Raises
    ------
    DeadlockError
        As `time_program`.
    """
    check_tensors(program)
    run = _Run(program, None, None, None)
    has_setup = any(one.name == "frame" for one in program.instructions)
    for cycle in run.slices(_SHORT_SLICE):
        begin = int(run.s[lay.FRAME_START])
        if cycle - begin > most_cycles and (begin or not has_setup):
            return None
    timing = run.timing()
    return timing if timing.counters.cycles <= most_cycles else None


class _Run:
    plain_cycles = 0
    """Cycles that were visited in this process because nothing that skips them was compiled."""

    def __init__(
        self,
        program: Program,
        events: Callable[[Events], None] | None,
        states: Callable[[States], None] | None,
        steady_state: bool | None,
    ) -> None:
        self.program, self._take_events, self._take_states = program, events, states
        self._keeps = events is not None or states is not None
        self.steady_state = False if self._keeps else steady_state
        self.sizes = memory_sizes(program)
        self.layout = Layout(program, self.sizes)
        self.s = self.layout.begin()
        self.s[lay.STEADY] = int(self.steady_state is not False)
        self.s[lay.KEEP_EVENTS] = lay.ALL_EVENTS if self._keeps else lay.NO_EVENTS
        if self._keeps and any(one.name == "frame" for one in program.instructions):
            self.s[lay.KEEP_EVENTS] = lay.FRAME_EVENTS
        self._log = np.zeros((1 if self.steady_state is False else lay.LOG_RECORDS, lay.LOG_FIELDS), dtype=np.int64)
        size = lay.M_TOTALS + int(self.layout.c[lay.O_TOTALS_SIZE]) + _SIGNATURE_WORDS
        size = 1 if self.steady_state is False else size
        self._marks = np.zeros((lay.MARKS, size), dtype=np.int64)
        self.layout.c[lay.C_MARK_SIZE] = size
        self._events = self._event_rows()
        rows = _CHUNK + lay.UNITS if self._keeps else 1
        self.layout.c[lay.C_STATES] = rows
        self._states = np.zeros((rows, loop.STATE_SIZE), dtype=np.int64)

    def slices(self, visited_cycles: int) -> Iterator[int]:
        """Go through the run; yields the cycle after so many that were looked at, or fewer."""
        s, c, p = self.s, self.layout.c, self.layout.p
        loop.begin(s, c, self._log, self._states)
        while True:
            look = self._look_address()
            loop.run(s, c, p, self._log, self._marks, self._events, self._states, look, visited_cycles)
            status = int(s[lay.STATUS])
            if status == lay.DONE:
                self._drain()
                if not look:
                    _Run.plain_cycles += int(s[lay.VISITED])
                return
            if status == lay.GROWING:
                s = self.s = self.layout.grow(s)
                self._drain()
                self._events = self._event_rows()
            elif status == lay.EVENTS_FULL:
                self._drain()
            elif status == lay.DEADLOCK:
                waiting = self._waiting() or ["nothing is dispatched"]
                raise DeadlockError(self.program.name, int(s[lay.LAST_DONE]), waiting)
            elif status != lay.PAUSED:
                raise self._fault(status)
            yield int(s[lay.NOW])

    def _look_address(self) -> int:
        """Of `steady.look`; 0 where nothing is to be skipped.

        Where it is not asked for, that is as long as it is not compiled, and compiling would take longer than it saves.
        """
        if self.steady_state is False:
            return 0
        is_worth_it = _Run.plain_cycles + int(self.s[lay.VISITED]) >= _MANY_CYCLES
        return steady.look.address if self.steady_state or is_worth_it or steady.look.is_ready else 0

    def timing(self) -> Timing:
        """The books of a run that is over."""
        return Timing(self._counters(), int(self.s[lay.VISITED]), int(self.s[lay.SKIPPED]))

    def _counters(self) -> Counters:
        s, c = self.s, self.layout.c
        rows = self.layout.layers + 1
        counters = Counters(self.layout.layers)
        counters.setup_cycles = int(s[lay.FRAME_START])
        counters.cycles = int(s[lay.NOW]) - counters.setup_cycles
        counters.bin_cycles = 1 << int(s[lay.BIN_CYCLES])
        for name, place, shape in (
            ("units", lay.O_UNIT_CYCLES, (lay.UNITS, rows, lay.REASONS)),
            ("causes", lay.O_CAUSE_CYCLES, (rows, lay.CAUSES)),
            ("bytes", lay.O_BYTES, (rows, len(MEMORY_NAMES), 2)),
            ("elements", lay.O_ELEMENTS, (rows,)),
            ("macs", lay.O_MACS, (rows,)),
            ("operations", lay.O_OPERATIONS, (lay.UNITS,)),
            ("traffic", lay.O_TRAFFIC, (2, BANDWIDTH_BINS)),
        ):
            start = int(c[place])
            setattr(counters, name, s[start : start + int(np.prod(shape))].reshape(shape).copy())
        return counters

    def _event_rows(self) -> NDArray[np.int64]:
        rows = _CHUNK + 4 * self.layout.capacity if self._keeps else 1
        self.layout.c[lay.C_EVENTS] = rows
        return np.zeros((rows, loop.EVENT_SIZE), dtype=np.int64)

    def _drain(self) -> None:
        """Hand on what was kept: states first, so that all up to an event's completion are there with it."""
        for counted, kept, dtype, take in (
            (lay.STATE_COUNT, self._states, STATE, self._take_states),
            (lay.EVENT_COUNT, self._events, EVENT, self._take_events),
        ):
            count = int(self.s[counted])
            self.s[counted] = 0
            if take is None or not count:
                continue
            records = np.zeros(count, dtype=dtype)
            for column, name in enumerate(dtype.names or ()):
                records[name] = kept[:count, column]
            records["layer"][records["layer"] == self.layout.layers] = -1
            take(records)

    def _waiting(self) -> list[str]:
        """What each unit waits for, as the reference engine says it."""
        s, c = self.s, self.layout.c
        found: list[tuple[int, int, str]] = []
        for unit, dma in ((Unit.LOAD, lay.LOAD_DMA), (Unit.STORE, lay.STORE_DMA)):
            if s[dma + lay.D_BUSY] and s[dma + lay.D_WAITS] != lay.NO_TOKEN:
                found.append((unit, 0, self._waits_for(unit, int(s[dma + lay.D_JOB]), int(s[dma + lay.D_WAITS]))))
        for stage in range(int(c[lay.C_STAGES])):
            at = int(c[lay.O_STAGE]) + stage * lay.STAGE_SIZE
            unit = Unit.VECTOR if stage else Unit.MATRIX
            if s[at + lay.S_BUSY] and s[at + lay.S_WAITS] != lay.NO_TOKEN:
                text = self._waits_for(unit, int(s[at + lay.S_JOB]), int(s[at + lay.S_WAITS]))
                found.append((unit, max(stage - 1, 0), text))
        waits = int(s[lay.SEQ_WAITS])
        if waits == sequencer.WAITS_FOR_UNITS:
            found.append((Unit.SEQUENCER, 0, "`frame` waits for the units"))
        elif waits:
            queue = Unit(waits - 1).name.lower()
            found.append((Unit.SEQUENCER, 0, f"instruction {s[lay.PC]} waits for a place in the {queue} queue"))
        return [f"{Unit(unit).name.lower()}: {text}" for unit, _, text in sorted(found)]

    def _waits_for(self, unit: Unit, number: int, token: int) -> str:
        named = {
            lay.LOAD_BUFFER_TOKEN: "a DMA buffer",
            lay.STORE_BUFFER_TOKEN: "a DMA buffer",
            lay.BEFORE_TOKEN: "the stage before",
        }
        index = self.s[self._job(unit, number) + lay.J_INDEX]
        return f"instruction {index} waits for {named.get(token, f'semaphore s{token}')}"

    def _job(self, unit: int, number: int) -> int:
        capacity = self.layout.capacity
        return int(self.layout.c[lay.O_JOBS]) + (unit * capacity + number % capacity) * lay.JOB_SIZE

    def _fault(self, status: int) -> Exception:
        """The error that the reference engine raises."""
        program, index = self.program, int(self.s[lay.FAULT_INDEX])
        where = f"instruction {index}"
        if status == lay.RAN_OFF:
            return InputError(program.name, where, "the program runs on past its end", "halt")
        if status == lay.TOO_DEEP:
            return InputError(program.name, where, "loops nest too deeply", f"at most {LOOP_LEVELS}")
        instruction = program.instructions[index]
        unit = int(self.layout.p[index, lay.P_UNIT])
        job = self._job(unit, int(self.s[lay.TAIL + unit]))
        addresses = {
            name: int(self.s[job + lay.J_ADDRESS + slot]) for slot, name in enumerate(OPERANDS[instruction.name])
        }
        try:
            check_ranges(Operation(0, index, instruction, unit, addresses), program, self.sizes)
        except InputError as error:
            return error
        return InternalError(f"{program.name}: {where} is in range, and was found not to be")
