"""Events as a Value Change Dump (IEEE 1364) for waveform viewers such as GTKWave: written in order of time.

A scope a unit, with these signals; a value holds in the cycles from its time on. What events do not tell, they do not
claim:

* `state`: what the unit does in a cycle, in words: busy (it issues a beat), what it waits for (semaphore, dependency,
  bank, dram), or idle. Cycles of each add up to the profile's.
* `active`: 1 from an operation's first beat to its last (a load's, from when the one before has landed), whether or not
  it issues in between.
* `stalled`: 1 while an operation is at the unit (it can be seen, and those before have issued their last beat), but has
  not begun.
* `for_semaphore`, `for_dependency`, `for_bank`, `for_dram`: the cycles that the operation at the unit waits for each
  reason, in all. Where one alone is not 0, it is the reason of each of its waits.
* `beats`: the cycles in which the operation at the unit issues, in all.
* `instruction`, `assembly`, `layer`: what is at the unit: its number, its text, the name of its layer. x, or an empty
  text, for none.
* `begun`: how many operations have begun, so that each has an edge of its own.
* `queue`: instructions that are dispatched but not started.
* `under_way`: operations that have issued their last beat, but whose last result is not written.

In a vector unit of stages all this is of the last stage, as events are. The scope `sequencer` has its `state` (it waits
for its program: dram; or for a place in a queue: queue), and of what it dispatches the number so far, `dispatched`, and
the last one's `instruction`. The scope `dram` has `read_bytes` and
`written_bytes`, of the loads and stores that are done, so that their slope is the bandwidth. What the machine reads of
its own program is in no event, nor what the host's queue feeds to the vector unit without DRAM's bus.

Texts are variables of the type `string`, which the standard does not have, but GTKWave and most viewers since. A space
in one is written as \\x20, and so is all that is not plain ASCII, a byte of UTF-8 each.

A cycle is `1 / clock_mhz` microseconds, in the coarsest unit of the format in which it is a whole number; where there
is none, times are rounded to the nearest femtosecond, each on its own.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np

from accelsim.isa.assembler import format_instruction
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.timing.record import Reason
from accelsim.timing.stream import Operation
from accelsim.trace.changes import ADD, CLEAR, FIRST_CODE, SET, TEXT, UNKNOWN, ChangeFormat, Ints
from accelsim.trace.file import TraceFile
from accelsim.trace.order import Blocks, Event, Events, ProgramOrder
from accelsim.trace.states import States

_UNITS = (Unit.LOAD, Unit.MATRIX, Unit.VECTOR, Unit.STORE)
_WAITS = ("semaphore", "dependency", "bank", "dram")
_SIGNALS = {
    "state": TEXT,
    "active": 1,
    "stalled": 1,
    **{f"for_{reason}": 64 for reason in _WAITS},
    "beats": 64,
    "instruction": 32,
    "assembly": TEXT,
    "layer": TEXT,
    "begun": 64,
    "queue": 32,
    "under_way": 32,
}
"""Of a unit, with their bits."""
_TRANSFERRED = {Unit.LOAD: "read_bytes", Unit.STORE: "written_bytes"}
_SCOPES = {
    "sequencer": {"state": TEXT, "dispatched": 64, "instruction": 32},
    **{unit.name.lower(): _SIGNALS for unit in _UNITS},
    "dram": dict.fromkeys(_TRANSFERRED.values(), 64),
}
_PLACES = {
    place: number for number, place in enumerate((scope, name) for scope, names in _SCOPES.items() for name in names)
}
"""The number of each signal, by its scope and name."""
_COLUMNS = (*Event._fields, "bytes")
_SCALES = ("s", "ms", "us", "ns", "ps", "fs")
_LEVEL = 1
"""Of gzip."""
_PRINTABLE = frozenset(range(ord("!"), ord("~") + 1)) - {ord("\\")}
"""Characters that a text has as they are."""


def timescale(clock_mhz: float) -> tuple[str, Fraction]:
    """The unit of time of a file, and how many of it a cycle is.

    Parameters
    ----------
    clock_mhz : float

    Returns
    -------
    str
        Such as `100 ps`.
    Fraction
        Whole, but with the finest unit, where none makes it so.
    """
    # The shortest decimal number that is this float: 333.3 is meant as 3333/10.
    period_s = 1 / (Fraction(repr(float(clock_mhz))) * 10**6)
    for power, name in enumerate(_SCALES):
        for count in (100, 10, 1):
            units = period_s * 1000**power / count
            if units.denominator == 1:
                return f"{count} {name}", units
    return "1 fs", period_s * 10**15


class VcdWriter(TraceFile):
    """Writes events to a file in order of time, as they come.

    A change is written when no operation can follow that changes something earlier: all that are still to come were
    dispatched after the last one that is complete together with all before it. So what is held here has the bound of
    `ProgramOrder`, which holds the others.

    Use it as a context manager, and `finish` it in there; left with an error, it removes the file.

    Parameters
    ----------
    path : Path
        Must not exist.
    program : Program
    compressed : bool
        With gzip.

    Raises
    ------
    OSError
        The file can't be written.
    """

    def __init__(self, path: Path, program: Program, *, compressed: bool) -> None:
        self._program = program
        self.order = ProgramOrder(program)
        self._blocks = Blocks()
        self.unit_of_time, self._cycle = timescale(program.chip.chip.clock_mhz)
        assembly = [format_instruction(instruction) for instruction in program.instructions]
        layers = [layer.name for layer in program.layers]
        self._texts = [_text(text) for text in (*(reason.name.lower() for reason in Reason), *layers, "", *assembly)]
        self._no_text = len(Reason) + len(layers)
        self._begin = dict.fromkeys(_SIGNALS, 0) | {"state": int(Reason.IDLE), "instruction": UNKNOWN}
        """What a unit's signals are where it has no operation."""
        self._begin |= {"assembly": self._no_text, "layer": self._no_text}
        bits = [bits for names in _SCOPES.values() for bits in names.values()]
        self._values = [self._begin.get(name, 0) for _, name in _PLACES]
        self._format = ChangeFormat(bits, self._values, self._texts)
        self._states = np.array([_signal(unit, "state") for unit in Unit], dtype=np.int64)
        self._free = np.zeros(len(_UNITS), dtype=np.int64)
        """The cycle after the last beat of each unit's operations so far."""
        self._pending = np.zeros((0, 4), dtype=np.int64)
        """Changes: cycle, signal, what to do, value."""
        super().__init__(path, compressed=compressed, level=_LEVEL)
        self._stream.write(self._head())

    def __call__(self, events: Events) -> None:
        """Take events, which come in order of completion."""
        for block in self._blocks.add(events):
            self._add(block)

    def states(self, changes: States) -> None:
        """Take changes of what units do (STATE records), in order; those up to an event's completion before it."""
        cycles, reasons = changes["cycle"].astype(np.int64), changes["reason"].astype(np.int64)
        found = _change(cycles, self._states[changes["unit"]], SET, reasons)
        self._pending = np.concatenate([self._pending, found])

    def finish(self, cycles: int) -> None:
        """Write what is left of a run of so many cycles, and its end; close the file.

        Raises
        ------
        InternalError
            The events were not those of the program.
        """
        for block in self._blocks.finish():
            self._add(block)
        self.order.check_empty()
        self._write(cycles)
        (end,) = self._times(np.array([cycles])).tolist()
        if end > self._format.last_time:
            self._stream.write(f"#{end}\n".encode())
        self._close()

    def _add(self, events: Events) -> None:
        rows = [(*event, _bytes(operation, event.unit)) for operation, event in self.order.add(events)]
        if not rows:
            return
        table = np.array(rows, dtype=np.int64)
        dispatched, instruction = (table[:, _COLUMNS.index(name)] for name in ("dispatched", "instruction"))
        changes = [
            self._pending,
            _change(dispatched, _signal(Unit.SEQUENCER, "dispatched"), ADD, np.ones_like(dispatched)),
            _change(dispatched, _signal(Unit.SEQUENCER, "instruction"), SET, instruction),
        ]
        for unit in _UNITS:
            mine = table[table[:, _COLUMNS.index("unit")] == unit]
            if len(mine):
                changes += self._changes(unit, dict(zip(_COLUMNS, mine.T, strict=True)))
        self._pending = np.concatenate(changes)
        self._write(int(table[-1, _COLUMNS.index("dispatched")]))

    def _changes(self, unit: Unit, event: dict[str, Ints]) -> list[Ints]:
        """What operations of a unit, in order, change."""
        end = event["issued"] + 1
        free = np.append(self._free[unit], end[:-1])
        self._free[unit] = end[-1]
        there = np.maximum(event["dispatched"] + self._program.chip.sequencer.dispatch_cycles, free)
        begin = np.maximum(event["started"], free)
        told = {f"for_{reason}": event[reason] for reason in _WAITS}
        told |= {"beats": event["busy"], "instruction": event["instruction"]}
        told["assembly"] = self._no_text + 1 + event["instruction"]
        told["layer"] = np.where(event["layer"] < 0, self._no_text, len(Reason) + event["layer"])
        one = np.ones_like(end)
        stalled = begin > there
        found = [
            _change(there, _signal(unit, "stalled"), SET, one)[stalled],
            _change(begin, _signal(unit, "stalled"), SET, 0 * one)[stalled],
            _change(begin, _signal(unit, "active"), SET, one),
            _change(begin, _signal(unit, "begun"), ADD, one),
            _change(event["dispatched"], _signal(unit, "queue"), ADD, one),
            _change(event["started"], _signal(unit, "queue"), ADD, -one),
            _change(end, _signal(unit, "under_way"), ADD, one),
            _change(event["done"] + 1, _signal(unit, "under_way"), ADD, -one),
        ]
        for name in ("active", *told):
            found.append(_change(end, _signal(unit, name), CLEAR, np.full_like(end, self._begin[name])))
        found += [_change(there, _signal(unit, name), SET, values) for name, values in told.items()]
        if unit in _TRANSFERRED:
            signal = _PLACES["dram", _TRANSFERRED[unit]]
            found.append(_change(event["done"] + 1, signal, ADD, event["bytes"]))
        return found

    def _write(self, until: int) -> None:
        """Write the changes up to a cycle."""
        known = self._pending[:, 0] <= until
        changes, self._pending = self._pending[known], self._pending[~known]
        self._stream.write(self._format(changes, self._times(changes[:, 0])))

    def _times(self, cycles: Ints) -> Ints:
        """Cycles in the file's unit of time."""
        if self._cycle.denominator == 1:
            return cycles * int(self._cycle)
        known, place = np.unique(cycles, return_inverse=True)
        return np.array([round(cycle * self._cycle) for cycle in known.tolist()], dtype=np.int64)[place]

    def _head(self) -> bytes:
        program = self._program
        clock = program.chip.chip.clock_mhz
        lines = [
            f"$comment {_safe(f'{program.name} on {program.chip.name}, {clock:g} MHz, {program.schedule}')} $end",
            *(
                f"$comment instruction {number}: {_safe(format_instruction(instruction))} $end"
                for number, instruction in enumerate(program.instructions)
            ),
            f"$timescale {self.unit_of_time} $end",
        ]
        for scope, signals in _SCOPES.items():
            lines.append(f"$scope module {scope} $end")
            for name, bits in signals.items():
                kind = "string 1" if bits == TEXT else f"wire {bits}"
                lines.append(f"$var {kind} {_code(_PLACES[scope, name])} {name} $end")
            lines.append("$upscope $end")
        lines += ["$enddefinitions $end", "#0", "$dumpvars"]
        for (scope, name), value in zip(_PLACES, self._values, strict=True):
            bits, code = _SCOPES[scope][name], _code(_PLACES[scope, name])
            if bits == TEXT:
                lines.append(f"s{self._texts[value].decode()} {code}")
                continue
            text = "x" if value == UNKNOWN else f"{value:b}"
            lines.append(f"{text}{code}" if bits == 1 else f"b{text} {code}")
        return ("\n".join([*lines, "$end"]) + "\n").encode()


def _signal(unit: Unit, name: str) -> int:
    return _PLACES[unit.name.lower(), name]


def _code(signal: int) -> str:
    """The identifier of a signal: one printable character."""
    return chr(FIRST_CODE + signal)


def _text(text: str) -> bytes:
    """A text as a value."""
    return b"".join(bytes([byte]) if byte in _PRINTABLE else b"\\x%02X" % byte for byte in text.encode())


def _safe(text: str) -> str:
    """Text for a comment, which a dollar sign might end."""
    return json.dumps(text)[1:-1].replace("$", "\\u0024").replace('\\"', '"')


def _bytes(operation: Operation, unit: int) -> int:
    """What an operation moves over DRAM's bus."""
    if unit not in _TRANSFERRED or operation.name == "sync":
        return 0
    return operation.fields["rows"] * operation.fields["row_bytes"]


def _change(cycles: Ints, signal: int | Ints, action: int, values: Ints) -> Ints:
    return np.stack(np.broadcast_arrays(cycles, signal, action, values), axis=1)
