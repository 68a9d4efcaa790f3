"""Events as a file for Perfetto (ui.perfetto.dev) and Chrome's tracing: written as they come, whatever the length.

The format is the Trace Event Format's JSON: complete events (``"ph": "X"``) with a beginning and a duration, one row a
unit, and counters (``"ph": "C"``). A microsecond on the screen is a cycle.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from accelsim.isa.assembler import format_instruction
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.trace.banks import BankRows
from accelsim.trace.order import Blocks, Events, ProgramOrder
from accelsim.trace.queues import Changes, QueueDepth
from accelsim.trace.text import RowFormat

_UNITS = (Unit.LOAD, Unit.MATRIX, Unit.VECTOR, Unit.STORE)
_ALWAYS = ("dispatched", "started", "done", "busy")
_IF_ANY = ("semaphore", "dependency", "bank", "dram")
"""Waits, left out where there are none."""
_LEVEL = 1
"""Of gzip: the text repeats itself so much that a higher one saves little, and takes four times as long."""


class PerfettoWriter:
    """Writes events to a file, block by block.

    An operation's bar lasts from its first beat to its last. The load DMA asks for an operation's data while that of
    the one before still lands; there, a bar begins where the one before ends, and `started` is among its details.

    A counter a unit says how many instructions wait in its queue: dispatched, but not started.

    Use it as a context manager: left with an error, it removes the file.

    Parameters
    ----------
    path : Path
        Must not exist.
    program : Program
        Whose instructions and layers name the bars.
    compressed : bool
        With gzip.
    banks : bool
        Rows for the banks of memories, too: see `accelsim.trace.banks`.

    Raises
    ------
    OSError
        The file can't be written.
    """

    def __init__(self, path: Path, program: Program, *, compressed: bool, banks: bool = False) -> None:
        self.path = path
        self.count = 0
        self._blocks = Blocks()
        self._bars = RowFormat(
            _heads(program),
            [*(f',"{name}":'.encode() for name in (*_ALWAYS, *_IF_ANY)), b'},"tid":', b',"ts":', b',"dur":'],
            b"}",
            range(len(_ALWAYS), len(_ALWAYS) + len(_IF_ANY)),
        )
        names = [f"queue {unit.name.lower()}" for unit in _UNITS]
        self._counters = RowFormat(
            [f',\n{{"ph":"C","pid":0,"name":{json.dumps(name)}'.encode() for name in names],
            [b',"ts":', b',"args":{"waiting":'],
            b"}}",
        )
        self._depths = [QueueDepth() for _ in _UNITS]
        self._last_issued = np.full(len(_UNITS), -1, dtype=np.int64)
        self._order = ProgramOrder(program) if banks else None
        self._banks = BankRows(program) if banks else None
        self._file: IO[bytes] = path.open("xb")
        self._stream: Any = self._file
        if compressed:
            self._stream = gzip.GzipFile(filename="", fileobj=self._file, mode="wb", compresslevel=_LEVEL, mtime=0)
        self._stream.write(_opening(program))

    def __call__(self, events: Events) -> None:
        """Write events, which come in order of completion."""
        for block in self._blocks.add(events):
            self._write(block)

    def traffic(self, bytes_by_bin: NDArray[np.float64], bin_cycles: int, cycles: int) -> None:
        """Write the counters of DRAM bandwidth, of a run that is over.

        Bins, as only a run's end says how wide they are; in them everything that the run counts as DRAM's bytes, the
        program's own words included where it lies there.

        Parameters
        ----------
        bytes_by_bin : float64[2, bins]
            Read and written.
        bin_cycles : int
        cycles : int
            Of the run; its last bin may be shorter.
        """
        starts = range(0, cycles, bin_cycles)
        for start, (read, written) in zip(starts, bytes_by_bin.T.tolist(), strict=False):
            width = min(bin_cycles, cycles - start)
            self._dram(start, read / width, written / width)
        self._dram(cycles, 0, 0)

    def __enter__(self) -> PerfettoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        except BaseException as failure:
            error = failure
            raise
        finally:
            if self._stream is not self._file:
                self._stream.close()
            self._file.close()
            if error is not None:
                self.path.unlink(missing_ok=True)

    def _finish(self) -> None:
        for block in self._blocks.finish():
            self._write(block)
        for unit, depths in enumerate(self._depths):
            self._write_depths(unit, depths.finish())
        if self._order is not None:
            self._order.check_empty()
        self._stream.write(b"\n]}\n")

    def _write(self, events: Events) -> None:
        self.count += len(events)
        begins = np.empty(len(events), dtype=np.int64)
        for unit in _UNITS:
            mine = np.flatnonzero(events["unit"] == unit)
            if not len(mine):
                continue
            issued = events["issued"][mine]
            begins[mine] = np.maximum(events["started"][mine], np.append(self._last_issued[unit], issued[:-1]) + 1)
            self._last_issued[unit] = issued[-1]
        columns = [events[name] for name in ("index", *_ALWAYS, *_IF_ANY, "unit")]
        rows = np.stack([*columns, begins, events["issued"] - begins + 1], axis=1, dtype=np.int64, casting="unsafe")
        self._stream.write(self._bars(rows))
        for unit in _UNITS:
            self._write_depths(unit, self._depths[unit].add(events[events["unit"] == unit]))
        if self._order is not None and self._banks is not None:
            self._stream.write(self._banks.text(self._order.add(events)))

    def _write_depths(self, unit: int, changes: Changes) -> None:
        cycles, depths = changes
        rows = np.stack([np.full(len(cycles), unit), cycles, depths], axis=1)
        self._stream.write(self._counters(rows.astype(np.int64)))

    def _dram(self, cycle: int, read: float, written: float) -> None:
        values = {"read": read, "written": written}
        row = {"ph": "C", "pid": 0, "name": "DRAM bytes per cycle", "ts": cycle, "args": values}
        self._stream.write(f",\n{json.dumps(row, separators=(',', ':'))}".encode())


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


def _heads(program: Program) -> list[bytes]:
    """For each instruction how the text of its events begins."""
    texts = []
    for index, instruction in enumerate(program.instructions):
        layer = program.layer_of(index)
        name = json.dumps(layer.name if layer else "no layer")
        source = json.dumps(format_instruction(instruction))
        texts.append(
            f',\n{{"ph":"X","pid":0,"name":"{instruction.name}","cat":{name},'
            f'"args":{{"instruction":{index},"layer":{name},"assembly":{source}'.encode()
        )
    return texts
