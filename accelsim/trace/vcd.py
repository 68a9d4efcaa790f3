"""Events as a Value Change Dump (IEEE 1364) for waveform viewers such as GTKWave: written in order of time.

A scope a unit, with these signals; a value holds in the cycles from its time on. What events do not tell, they do not
claim:

* `busy`: 1 from an operation's first beat to its last (a load's, from when the one before has landed). Where `beats`
  is less than these cycles, it waited in between.
* `stalled`: 1 while an operation is at the unit (it can be seen, and those before have issued their last beat), but has
  not begun.
* `for_semaphore`, `for_dependency`, `for_bank`, `for_dram`: the cycles that the operation at the unit waits for each
  reason, in all. Where one alone is not 0, it is the reason of each of its waits.
* `beats`: the cycles in which the operation at the unit issues, in all.
* `instruction`, `layer`: what is at the unit; x for none. The file's head says their texts and names.
* `begun`: how many operations have begun, so that each has an edge of its own.
* `queue`: instructions that are dispatched but not started.
* `under_way`: operations that have issued their last beat, but whose last result is not written.

In a vector unit of stages all this is of the last stage, as events are. The scope `dram` has `read_bytes` and
`written_bytes`, of the loads and stores that are done, so that their slope is the bandwidth. What the machine reads of
its own program is in no event, nor what the host's queue feeds to the vector unit without DRAM's bus.

A cycle is `1 / clock_mhz` microseconds, in the coarsest unit of the format in which it is a whole number; where there
is none, times are rounded to the nearest femtosecond, each on its own.
"""

from __future__ import annotations

import gzip
import json
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from accelsim.isa.assembler import format_instruction
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.jit import Int64s, UInt8s, kernel, part
from accelsim.timing.stream import Operation
from accelsim.trace.order import Blocks, Event, Events, ProgramOrder

Ints = NDArray[np.int64]

_UNITS = (Unit.LOAD, Unit.MATRIX, Unit.VECTOR, Unit.STORE)
_WAITS = ("semaphore", "dependency", "bank", "dram")
_SIGNALS = {
    "busy": 1,
    "stalled": 1,
    **{f"for_{reason}": 64 for reason in _WAITS},
    "beats": 64,
    "instruction": 32,
    "layer": 32,
    "begun": 64,
    "queue": 32,
    "under_way": 32,
}
"""Of a unit, with their bits."""
_PLACES = {name: place for place, name in enumerate(_SIGNALS)}
_TRANSFERRED = {Unit.LOAD: "read_bytes", Unit.STORE: "written_bytes"}
_UNKNOWN = -1
"""The value that is written as x; no signal is negative."""
_COLUMNS = (*Event._fields, "bytes")
_CLEAR, _SET, _ADD = 0, 1, 2
"""What a change does; in this order where several are of one cycle and signal."""
_SCALES = ("s", "ms", "us", "ns", "ps", "fs")
_LEVEL = 1
"""Of gzip."""
_MOST_BYTES = 64 + 24 + 8
"""Of a change's text, with its time."""


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


class VcdWriter:
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
        self.path, self._program = path, program
        self.order = ProgramOrder(program)
        self._blocks = Blocks()
        self.unit_of_time, self._cycle = timescale(program.chip.chip.clock_mhz)
        bits = [*list(_SIGNALS.values()) * len(_UNITS), *[64] * len(_TRANSFERRED)]
        self._bits = np.array(bits, dtype=np.int64)
        self._values = np.zeros(len(bits), dtype=np.int64)
        for unit in _UNITS:
            self._values[[_signal(unit, "instruction"), _signal(unit, "layer")]] = _UNKNOWN
        self._written = self._values.copy()
        self._free = np.zeros(len(_UNITS), dtype=np.int64)
        """The cycle after the last beat of each unit's operations so far."""
        self._pending = np.zeros((0, 4), dtype=np.int64)
        """Changes: cycle, signal, what to do, value."""
        self._last_time = np.zeros(1, dtype=np.int64)
        self._file: IO[bytes] = path.open("xb")
        self._stream: Any = self._file
        if compressed:
            self._stream = gzip.GzipFile(filename="", fileobj=self._file, mode="wb", compresslevel=_LEVEL, mtime=0)
        self._stream.write(self._head())

    def __call__(self, events: Events) -> None:
        """Take events, which come in order of completion."""
        for block in self._blocks.add(events):
            self._add(block)

    def finish(self, cycles: int) -> None:
        """Write what is left of a run of so many cycles, and its end.

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
        if end > self._last_time[0]:
            self._stream.write(f"#{end}\n".encode())

    def __enter__(self) -> VcdWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stream is not self._file:
            self._stream.close()
        self._file.close()
        if error is not None:
            self.path.unlink(missing_ok=True)

    def _add(self, events: Events) -> None:
        rows = [(*event, _bytes(operation, event.unit)) for operation, event in self.order.add(events)]
        if not rows:
            return
        table = np.array(rows, dtype=np.int64)
        changes = [self._pending]
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
        told["layer"] = np.where(event["layer"] < 0, _UNKNOWN, event["layer"])
        one = np.ones_like(end)
        stalled = begin > there
        found = [
            _change(there, _signal(unit, "stalled"), _SET, one)[stalled],
            _change(begin, _signal(unit, "stalled"), _SET, 0 * one)[stalled],
            _change(begin, _signal(unit, "busy"), _SET, one),
            _change(begin, _signal(unit, "begun"), _ADD, one),
            _change(event["dispatched"], _signal(unit, "queue"), _ADD, one),
            _change(event["started"], _signal(unit, "queue"), _ADD, -one),
            _change(end, _signal(unit, "under_way"), _ADD, one),
            _change(event["done"] + 1, _signal(unit, "under_way"), _ADD, -one),
        ]
        for name in ("busy", *told):
            idle = _UNKNOWN if name in ("instruction", "layer") else 0
            found.append(_change(end, _signal(unit, name), _CLEAR, np.full_like(end, idle)))
        found += [_change(there, _signal(unit, name), _SET, values) for name, values in told.items()]
        if unit in _TRANSFERRED:
            signal = len(_SIGNALS) * len(_UNITS) + list(_TRANSFERRED).index(unit)
            found.append(_change(event["done"] + 1, signal, _ADD, event["bytes"]))
        return found

    def _write(self, until: int) -> None:
        """Write the changes up to a cycle."""
        known = self._pending[:, 0] <= until
        changes, self._pending = self._pending[known], self._pending[~known]
        changes = changes[np.lexsort((changes[:, 2], changes[:, 1], changes[:, 0]))]
        out = np.empty(len(changes) * _MOST_BYTES, dtype=np.uint8)
        times = self._times(changes[:, 0])
        size = format_changes(
            changes, len(changes), times, self._bits, self._values, self._written, self._last_time, out
        )
        self._stream.write(out[:size].data)

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
            *(f"$comment layer {number}: {_safe(layer.name)} $end" for number, layer in enumerate(program.layers)),
            *(
                f"$comment instruction {number}: {_safe(format_instruction(instruction))} $end"
                for number, instruction in enumerate(program.instructions)
            ),
            f"$timescale {self.unit_of_time} $end",
        ]
        scopes = {unit.name.lower(): [(_signal(unit, name), name) for name in _SIGNALS] for unit in _UNITS}
        first = len(_SIGNALS) * len(_UNITS)
        scopes["dram"] = [(first + number, name) for number, name in enumerate(_TRANSFERRED.values())]
        for scope, signals in scopes.items():
            lines.append(f"$scope module {scope} $end")
            lines += [f"$var wire {self._bits[signal]} {_code(signal)} {name} $end" for signal, name in signals]
            lines.append("$upscope $end")
        lines += ["$enddefinitions $end", "#0", "$dumpvars"]
        for signal, (bits, value) in enumerate(zip(self._bits.tolist(), self._values.tolist(), strict=True)):
            text = "x" if value == _UNKNOWN else f"{value:b}"
            lines.append(f"{text}{_code(signal)}" if bits == 1 else f"b{text} {_code(signal)}")
        return ("\n".join([*lines, "$end"]) + "\n").encode()


def _signal(unit: Unit, name: str) -> int:
    return len(_SIGNALS) * unit + _PLACES[name]


def _code(signal: int) -> str:
    """The identifier of a signal: one printable character."""
    return chr(_FIRST_CODE + signal)


def _safe(text: str) -> str:
    """Text for a comment, which a dollar sign might end."""
    return json.dumps(text)[1:-1].replace("$", "\\u0024").replace('\\"', '"')


def _bytes(operation: Operation, unit: int) -> int:
    """What an operation moves over DRAM's bus."""
    if unit not in _TRANSFERRED or operation.name == "sync":
        return 0
    return operation.fields["rows"] * operation.fields["row_bytes"]


def _change(cycles: Ints, signal: int, action: int, values: Ints) -> Ints:
    return np.stack([cycles, np.full_like(cycles, signal), np.full_like(cycles, action), values], axis=1)


_FIRST_CODE = ord("!")


@part
def _put_decimal(out: Any, at: int, value: int) -> int:
    digits, rest = 1, value // 10
    while rest:
        digits += 1
        rest //= 10
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = 48 + value % 10
        value //= 10
    return at + digits


@part
def _put_binary(out: Any, at: int, value: int) -> int:
    digits, rest = 1, value >> 1
    while rest:
        digits += 1
        rest >>= 1
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = 48 + (value & 1)
        value >>= 1
    return at + digits


@kernel
def format_changes(
    changes: Int64s, count: int, times: Int64s, bits: Int64s, values: Int64s, written: Int64s, last_time: Int64s,
    out: UInt8s,
) -> int:  # fmt: skip
    """Changes, in order of time and signal, as text; how many bytes of `out` they take.

    Parameters
    ----------
    changes : int64[count, 4]
        Cycle, signal, action, value.
    times : int64[count]
        In the file's unit.
    bits, values : int64[signals]
        Of the signals; values are brought up to date.
    written, last_time : int64[signals], int64[1]
        What the file says last; brought up to date.
    out : uint8[as many as they take at most]
    """
    at = 0
    for number in range(count):
        here = 4 * number
        signal = changes[here + 1]
        if changes[here + 2] == _ADD:
            values[signal] += changes[here + 3]
        else:
            values[signal] = changes[here + 3]
        following = here + 4
        more = number + 1 < count and changes[following] == changes[here] and changes[following + 1] == signal
        if more or values[signal] == written[signal]:
            continue
        written[signal] = values[signal]
        if times[number] != last_time[0]:
            last_time[0] = times[number]
            out[at] = 35
            at = _put_decimal(out, at + 1, times[number])
            out[at] = 10
            at += 1
        if bits[signal] > 1:
            out[at] = 98
            at += 1
        if values[signal] == _UNKNOWN:
            out[at] = 120
            at += 1
        else:
            at = _put_binary(out, at, values[signal])
        if bits[signal] > 1:
            out[at] = 32
            at += 1
        out[at] = _FIRST_CODE + signal
        out[at + 1] = 10
        at += 2
    return at
