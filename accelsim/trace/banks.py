"""Which unit uses which bank of a memory when, as far as a run's events tell.

An event says when an operation issued its first and its last beat, and in how many cycles it issued; the rules of beats
(`accelsim.timing.beats`) say which banks each of these cycles occupies. Where an operation never waited in between,
that gives the cycle of every access. Where it did, an access lies between two cycles: as early as if all waits came
after it, as late as if all came before.

A bar is of one operation and one bank, from the first cycle in which the operation can have used the bank to the last.
It is exact where both ends are certain: then `exact` is 1, the bank is used in these two cycles, and `accesses` times
in all. Otherwise `exact` is 0, and the `accesses` uses lie somewhere inside the bar.

* matrix, store, and the (last stage of the) vector unit: between the operation's first and last beat.
* load: data lands after that of the load before, and no earlier than DRAM can have sent it after the request.
* an earlier stage of a vector unit of stages: after the dispatch, and the stages' latencies before the last stage's
  beats. These bars are wide and may overlap; further rows take those that do.

A memory that is `conflict_free` has ports instead of banks, and no rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.isa.opcodes import Memory, Unit
from accelsim.isa.program import Program
from accelsim.timing.beats import Beat, BeatTable, bursts
from accelsim.timing.rules import Pass, bus_cycle, reserve_bus
from accelsim.timing.stream import Operation
from accelsim.trace.order import Event
from accelsim.trace.text import RowFormat

Ints = NDArray[np.int64]

FIRST_ROW = 100
"""Rows of units have lower numbers."""
MOST_PATTERNS = 4096
"""Operations whose use of banks is remembered: those of a loop repeat."""
_NAMES = tuple(memory.name.lower() for memory in Memory)


class Span(NamedTuple):
    """When an operation used a bank: `exact`ly from `first` to `last`, or somewhere in between."""

    memory: int
    bank: int
    stage: int
    first: int
    last: int
    accesses: int
    exact: bool


@dataclass(frozen=True, slots=True)
class _Use:
    """Banks that an operation occupies in one stage, an element each; cycles of issue in the stage count from 0.

    Parameters
    ----------
    stage : int
    own_times : bool
        The event's first and last beat are this stage's.
    banks : list of (memory, bank)
    accesses : int64[N]
    first, last : int64[N]
        Cycle of issue of the first and the last access.
    first_arrival, last_arrival : int64[N]
        Of a load: how long after its request the data of these can be there at the earliest.
    after_first, after_last : int64[N]
        How long before the operation's last beat these are at the latest.
    cycles : int
        Of issue, in all.
    """

    stage: int
    own_times: bool
    banks: list[tuple[int, int]]
    accesses: Ints
    first: Ints
    last: Ints
    first_arrival: Ints
    last_arrival: Ints
    after_first: Ints
    after_last: Ints
    cycles: int


class BankUse:
    """Says when operations used which banks.

    Parameters
    ----------
    program : Program
    """

    def __init__(self, program: Program) -> None:
        self._chip = chip = program.chip
        self._table = BeatTable(chip)
        self._known: dict[tuple[int, ...], tuple[_Use, ...]] = {}
        srams = (chip.sram.weights, chip.sram.activations, chip.sram.accumulators, chip.sram.parameters)
        # Addresses that differ by a multiple of this lie in the same banks, and at the same place of a burst.
        self._period = math.lcm(*(sram.banks * sram.word_bytes for sram in srams), chip.dram.burst_bytes)
        self._last_landed = -1

    def spans(self, operation: Operation, event: Event) -> Iterator[Span]:
        """A span for each bank and stage; operations come in program order."""
        for use in self._uses(operation, Unit(event.unit)):
            begin, first_at_latest = self._bounds(use, event, use.first, use.first_arrival, use.after_first)
            last_at_first, end = self._bounds(use, event, use.last, use.last_arrival, use.after_last)
            exact = (begin == first_at_latest) & (last_at_first == end)
            columns = (begin, end, use.accesses, exact)
            for (memory, bank), *rest in zip(use.banks, *(column.tolist() for column in columns), strict=True):
                yield Span(memory, bank, use.stage, *rest)
        if event.unit == Unit.LOAD:
            self._last_landed = event.issued

    def _bounds(self, use: _Use, event: Event, place: Ints, arrival: Ints, after: Ints) -> tuple[Ints, Ints]:
        """The earliest and the latest cycle of accesses that are at some place of the stage's cycles of issue."""
        latest = event.issued - after
        if not use.own_times:
            return event.dispatched + self._chip.sequencer.dispatch_cycles + place, latest
        if event.unit == Unit.LOAD:
            earliest = np.maximum(self._last_landed + 1 + place, event.started + arrival)
        else:
            earliest = event.started + place
            latest = np.where(place == 0, event.started, latest)
        return np.where(place == use.cycles - 1, event.issued, earliest), latest

    def _uses(self, operation: Operation, unit: Unit) -> tuple[_Use, ...]:
        if operation.name == "sync":
            return ()
        key = operation.index, *(address % self._period for address in operation.addresses.values())
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_PATTERNS:
                self._known.clear()
                self._table = BeatTable(self._chip)
            found = self._known[key] = tuple(use for use in self._find(operation, unit) if use.banks)
        return found

    def _find(self, operation: Operation, unit: Unit) -> Iterator[_Use]:
        if unit == Unit.MATRIX:
            yield _use(0, self._table.of(operation))
        elif unit == Unit.VECTOR:
            yield from self._vector(operation)
        else:
            yield self._transfer(operation)

    def _vector(self, operation: Operation) -> Iterator[_Use]:
        stages = self._chip.vector.pipeline
        final = self._table.of(operation, len(stages) - 1)
        if operation.name == "vector":
            # When the beats of the last stage begin, counted from the operation's last cycle of issue back.
            passes = np.cumsum([0, *(len(beat.passes) for beat in final)])
            before_end = passes[-1] - 1 - passes[:-1]
            for stage in range(len(stages) - 1):
                way = sum(one.latency_cycles for one in stages[stage:-1])
                yield _use(stage, self._table.of(operation, stage), before_end + way)
        yield _use(len(stages) - 1, final)

    def _transfer(self, operation: Operation) -> _Use:
        rate, dram = self._chip.dram.rate, self._chip.dram
        beats: list[Beat] = []
        arrivals: list[int] = []
        bus_free = 0
        for burst in bursts(operation, self._table):
            bus_free = reserve_bus(bus_free, 0, burst.size, rate.numerator, rate.denominator)
            arrival = bus_cycle(bus_free, rate.numerator) + dram.read_latency_cycles
            beats += burst.beats
            arrivals += [arrival] * sum(len(beat.passes) for beat in burst.beats)
        return _use(0, beats, arrivals=arrivals)


def _use(
    stage: int, beats: Sequence[Beat], before_end: Sequence[int] | Ints = (), arrivals: Sequence[int] = ()
) -> _Use:
    """A stage's use of banks.

    Parameters
    ----------
    stage : int
    beats : sequence of Beat
    before_end : sequence of int
        Of an earlier stage: for each beat, how long before the operation's last one it is over at the latest.
    arrivals : sequence of int
        Of a load: for each cycle of issue, how long after the request its data is there at the earliest.
    """
    cycles = sum(len(beat.passes) for beat in beats)
    found: dict[tuple[int, int], list[int]] = {}
    after = list(range(cycles - 1, -1, -1))
    number = 0
    for which, beat in enumerate(beats):
        for turn, banks in enumerate(beat.passes):
            if len(before_end):
                after[number] = int(before_end[which]) + len(beat.passes) - 1 - turn
            for place in _banks(banks):
                # Number of accesses, first and last cycle.
                seen = found.setdefault(place, [0, number, number])
                seen[0] += 1
                seen[2] = number
            number += 1
    accesses, first, last = np.array(list(found.values()), dtype=np.int64).reshape(-1, 3).T
    arrival = np.array(arrivals if len(arrivals) else [0] * cycles, dtype=np.int64)
    later = np.array(after, dtype=np.int64)
    return _Use(
        stage=stage,
        own_times=not len(before_end),
        banks=list(found),
        accesses=accesses,
        first=first,
        last=last,
        first_arrival=arrival[first],
        last_arrival=arrival[last],
        after_first=later[first],
        after_last=later[last],
        cycles=cycles,
    )


def _banks(occupied: Pass) -> Iterator[tuple[int, int]]:
    """(memory, bank) of each bit of the masks."""
    for memory, mask in enumerate(occupied):
        while mask:
            yield memory, (mask & -mask).bit_length() - 1
            mask &= mask - 1


class BankRows:
    """Bars of banks as text: a group of rows a memory, in it a row a bank and unit that uses it.

    Parameters
    ----------
    program : Program
    """

    def __init__(self, program: Program) -> None:
        self._use = BankUse(program)
        self._stages = len(program.chip.vector.pipeline)
        self._rows: dict[tuple[int, int, int, int], list[list[int]]] = {}
        """By memory, bank, unit and stage: the number of each row, and the cycle after its last bar."""
        self._count = 0
        self._named: set[int] = set()
        self._bars = RowFormat(
            _heads(program), [b',"accesses":', b',"exact":', b'},"pid":', b',"tid":', b',"ts":', b',"dur":'], b"}"
        )

    def text(self, operations: Iterable[tuple[Operation, Event]]) -> bytes:
        """Names of rows that are new, then the bars of operations, which come in program order."""
        names: list[str] = []
        rows = []
        for operation, event in operations:
            for span in self._use.spans(operation, event):
                row = self._row(span, event.unit, names)
                duration = span.last - span.first + 1
                rows.append(
                    (event.instruction, span.accesses, int(span.exact), 1 + span.memory, row, span.first, duration)
                )
        head = "".join(f",\n{name}" for name in names).encode()
        return head + (self._bars(np.array(rows, dtype=np.int64)) if rows else b"")

    def _row(self, span: Span, unit: int, names: list[str]) -> int:
        """The row of a bar: the first in which it does not overlap another."""
        rows = self._rows.setdefault((span.memory, span.bank, unit, span.stage), [])
        for row in rows:
            if span.first >= row[1]:
                row[1] = span.last + 1
                return row[0]
        if span.memory not in self._named:
            self._named.add(span.memory)
            names.append(_name(1 + span.memory, None, "process_name", {"name": f"banks of {_NAMES[span.memory]}"}))
        name = f"bank {span.bank:02} {Unit(unit).name.lower()}"
        if unit == Unit.VECTOR and self._stages > 1:
            name += f" stage {span.stage}"
        number = FIRST_ROW + self._count
        self._count += 1
        names.append(_name(1 + span.memory, number, "thread_name", {"name": name}))
        order = (span.bank * len(Unit) + unit) * self._stages + span.stage
        names.append(_name(1 + span.memory, number, "thread_sort_index", {"sort_index": order}))
        rows.append([number, span.last + 1])
        return number


def _name(pid: int, tid: int | None, kind: str, arguments: dict[str, str | int]) -> str:
    row = {"ph": "M", "pid": pid} | ({} if tid is None else {"tid": tid})
    return json.dumps(row | {"name": kind, "args": arguments})


def _heads(program: Program) -> list[bytes]:
    heads = []
    for index, instruction in enumerate(program.instructions):
        layer = program.layer_of(index)
        name = json.dumps(layer.name if layer else "no layer")
        heads.append(
            f',\n{{"ph":"X","name":"{instruction.name}","cat":{name},'
            f'"args":{{"instruction":{index},"layer":{name}'.encode()
        )
    return heads
