"""Events as a file for Perfetto (ui.perfetto.dev) and Chrome's tracing: written as they come, whatever the length.

The format is the Trace Event Format's JSON: complete events (``"ph": "X"``) with a beginning and a duration, one row a
unit. A microsecond on the screen is a cycle.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.machine.jit import jit, part
from accelsim.timing.record import EVENT

Events = NDArray[np.void]

_UNITS = (Unit.LOAD, Unit.MATRIX, Unit.VECTOR, Unit.STORE)
_COLUMNS = EVENT.names or ()
_STARTED, _ISSUED = _COLUMNS.index("started"), _COLUMNS.index("issued")
_INDEX, _UNIT = _COLUMNS.index("index"), _COLUMNS.index("unit")
_ALWAYS = ("dispatched", "started", "done", "busy")
_IF_ANY = ("semaphore", "dependency", "bank", "dram")
"""Waits, left out where there are none."""
_MOST_DIGITS = 20
_LEVEL = 1
"""Of gzip: the text repeats itself so much that a higher one saves little, and takes four times as long."""


class PerfettoWriter:
    """Writes events to a file, chunk by chunk.

    An operation's bar lasts from its first beat to its last. The load DMA asks for an operation's data while that of
    the one before still lands; there, a bar begins where the one before ends, and `started` is among its details.

    Use it as a context manager: left with an error, it removes the file.

    Parameters
    ----------
    path : Path
        Must not exist.
    program : Program
        Whose instructions and layers name the bars.
    compressed : bool
        With gzip.

    Raises
    ------
    OSError
        The file can't be written.
    """

    def __init__(self, path: Path, program: Program, *, compressed: bool) -> None:
        self.path = path
        self.count = 0
        texts, self._offsets = _heads(program)
        self._heads = np.frombuffer(b"".join(texts), dtype=np.uint8)
        self._labels, self._label_offsets = _joined([f',"{name}":'.encode() for name in (*_ALWAYS, *_IF_ANY)])
        self._places = np.array([_COLUMNS.index(name) for name in (*_ALWAYS, *_IF_ANY)], dtype=np.int64)
        self._last_issued = np.full(len(_UNITS), -1, dtype=np.int64)
        self._row_bytes = max(map(len, texts), default=0) + self._labels.size + _MOST_DIGITS * (len(_COLUMNS) + 2) + 32
        self._file: IO[bytes] = path.open("xb")
        self._stream: Any = self._file
        if compressed:
            self._stream = gzip.GzipFile(filename="", fileobj=self._file, mode="wb", compresslevel=_LEVEL, mtime=0)
        self._stream.write(_opening(program))

    def __call__(self, events: Events) -> None:
        """Write events, which come in order of completion."""
        rows = np.stack([events[name].astype(np.int64) for name in _COLUMNS], axis=1)
        out = np.empty(len(rows) * self._row_bytes, dtype=np.uint8)
        size = _format(
            rows, self._heads, self._offsets, self._labels, self._label_offsets, self._places, self._last_issued, out
        )
        self._stream.write(out[:size].data)
        self.count += len(rows)

    def __enter__(self) -> PerfettoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self._stream.write(b"\n]}\n")
        if self._stream is not self._file:
            self._stream.close()
        self._file.close()
        if error is not None:
            self.path.unlink(missing_ok=True)


def _opening(program: Program) -> bytes:
    about = {
        "program": program.name,
        "chip": program.chip.name,
        "schedule": program.schedule,
        "clock_mhz": program.chip.chip.clock_mhz,
        "unit_of_time": "1 us is a cycle",
    }
    names = [{"ph": "M", "pid": 0, "name": "process_name", "args": {"name": f"{program.name} on {program.chip.name}"}}]
    for unit in _UNITS:
        name = unit.name.lower()
        names.append({"ph": "M", "pid": 0, "tid": int(unit), "name": "thread_name", "args": {"name": name}})
        names.append({"ph": "M", "pid": 0, "tid": int(unit), "name": "thread_sort_index", "args": {"sort_index": unit}})
    head = json.dumps({"displayTimeUnit": "ns", "otherData": about})[:-1] + ', "traceEvents": [\n'
    return (head + ",\n".join(json.dumps(name) for name in names)).encode()


def _heads(program: Program) -> tuple[list[bytes], NDArray[np.int64]]:
    """For each instruction how the text of its events begins; and where each begins in all of them."""
    texts = []
    for index, instruction in enumerate(program.instructions):
        layer = program.layer_of(index)
        name = json.dumps(layer.name if layer else "no layer")
        head = f'"ph":"X","pid":0,"name":"{instruction.name}","cat":{name}'
        texts.append(f',\n{{{head},"args":{{"instruction":{index},"layer":{name}'.encode())
    return texts, _offsets(texts)


def _offsets(texts: list[bytes]) -> NDArray[np.int64]:
    return np.cumsum([0, *map(len, texts)], dtype=np.int64)


def _joined(texts: list[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return np.frombuffer(b"".join(texts), dtype=np.uint8), _offsets(texts)


@part
def _put_text(out: Any, at: int, text: Any, start: int, end: int) -> int:
    for place in range(start, end):
        out[at] = text[place]
        at += 1
    return at


@part
def _put_number(out: Any, at: int, value: int) -> int:
    if value < 0:
        out[at] = 45
        at += 1
        value = -value
    digits, rest = 1, value // 10
    while rest:
        digits += 1
        rest //= 10
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = 48 + value % 10
        value //= 10
    return at + digits


@jit
def _format(
    rows: Any, heads: Any, offsets: Any, labels: Any, label_offsets: Any, places: Any, last_issued: Any, out: Any
) -> int:
    """Events as text; how many bytes of `out` they take."""
    always = 4
    at = 0
    for number in range(rows.shape[0]):
        index, unit = rows[number, _INDEX], rows[number, _UNIT]
        at = _put_text(out, at, heads, offsets[index], offsets[index + 1])
        for which in range(places.size):
            value = rows[number, places[which]]
            if which < always or value:
                at = _put_text(out, at, labels, label_offsets[which], label_offsets[which + 1])
                at = _put_number(out, at, value)
        begin = max(rows[number, _STARTED], last_issued[unit] + 1)
        last_issued[unit] = rows[number, _ISSUED]
        at = _close(out, at, unit, begin, rows[number, _ISSUED] - begin + 1)
    return at


@part
def _close(out: Any, at: int, unit: int, begin: int, duration: int) -> int:
    """`},"tid":U,"ts":B,"dur":D}`."""
    at = _put_text(out, at, _TID, 0, _TID.size)
    at = _put_number(out, at, unit)
    at = _put_text(out, at, _TS, 0, _TS.size)
    at = _put_number(out, at, begin)
    at = _put_text(out, at, _DUR, 0, _DUR.size)
    at = _put_number(out, at, duration)
    out[at] = 125
    return at + 1


_TID = np.frombuffer(b'},"tid":', dtype=np.uint8)
_TS = np.frombuffer(b',"ts":', dtype=np.uint8)
_DUR = np.frombuffer(b',"dur":', dtype=np.uint8)
