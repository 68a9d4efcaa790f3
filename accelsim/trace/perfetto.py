"""Events as a file for Perfetto (ui.perfetto.dev) and Chrome's tracing: written as they come, whatever the length.

The format is the Trace Event Format's JSON: complete events (``"ph": "X"``) with a beginning and a duration, and
counters (``"ph": "C"``). A microsecond on the screen is a cycle. Each unit has two rows:

* its operations, from the first beat to the last. What an operation has waited for is among its details, and is its
  own affair: it may have waited while the operation ahead was under way, so that these cycles don't add up.
* its stalls: in every cycle in which it has an instruction but does not issue, for what. These add up to the
  profile's, by unit, reason and layer (`cat`).

The sequencer's are the operations that it dispatches, a cycle each, and what it waits for.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accelsim.isa.assembler import format_instruction
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.timing.record import Reason
from accelsim.trace.banks import BankRows
from accelsim.trace.file import TraceFile
from accelsim.trace.order import Blocks, Events, ProgramOrder
from accelsim.trace.queues import Changes, QueueDepth
from accelsim.trace.states import Ints, States, Stretches
from accelsim.trace.text import RowFormat

_UNITS = (Unit.LOAD, Unit.MATRIX, Unit.VECTOR, Unit.STORE)
_IN_ORDER = (Unit.SEQUENCER, *_UNITS)
_STALLS_ROW = 10
"""The row of a unit's stalls, beside that of its operations, whose number is the unit's."""
_STALLS = (Reason.SEMAPHORE, Reason.DEPENDENCY, Reason.BANK, Reason.DRAM, Reason.QUEUE)
_ALWAYS = ("dispatched", "started", "done", "busy")
_IF_ANY = ("semaphore", "dependency", "bank", "dram")
"""Waits, left out where there are none."""
_LEVEL = 3
"""Of gzip: a tenth less than 1, in a tenth more time; what 4 saves besides takes twice as long."""


class PerfettoWriter(TraceFile):
    """Writes events to a file, block by block.

    An operation's bar lasts from its first beat to its last. The load DMA asks for an operation's data while that of
    the one before still lands; there, a bar begins where the one before ends, and `started` is among its details.

    A counter a unit says how many instructions wait in its queue: dispatched, but not started.

    Use it as a context manager, and `finish` it in there; left with an error, it removes the file.

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
        self.count = 0
        self._blocks = Blocks()
        self._bars = RowFormat(
            _heads(program),
            [*(f',"{name}":'.encode() for name in (*_ALWAYS, *_IF_ANY)), b'},"tid":', b',"ts":', b',"dur":'],
            b"}",
            range(len(_ALWAYS), len(_ALWAYS) + len(_IF_ANY)),
        )
        self._dispatches = RowFormat(
            [
                # Which instruction it was, its bar says; here that would be a twentieth of the file.
                f',\n{{"ph":"X","pid":0,"tid":{int(Unit.SEQUENCER)},"name":"{instruction.name}","dur":1'.encode()
                for instruction in program.instructions
            ],
            [b',"ts":'],
            b"}",
        )
        self._layers = len(program.layers)
        self._stalls = RowFormat(_stall_heads(program), [b',"tid":', b',"ts":', b',"dur":'], b"}")
        self._stretches = Stretches()
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
        super().__init__(path, compressed=compressed, level=_LEVEL)
        self._stream.write(_opening(program))

    def __call__(self, events: Events) -> None:
        """Write events, which come in order of completion."""
        for block in self._blocks.add(events):
            self._write(block)

    def states(self, changes: States) -> None:
        """Take changes of what units do (STATE records), in order; those up to an event's completion before it."""
        self._stretches.add(changes)

    def finish(self, cycles: int) -> None:
        """Write what is left of a run of so many cycles, and close the file.

        Raises
        ------
        InternalError
            With banks: the events were not those of the program.
        """
        for block in self._blocks.finish():
            self._write(block)
        for unit, depths in enumerate(self._depths):
            self._write_depths(unit, depths.finish())
        self._write_stalls(self._stretches.finish(cycles))
        if self._order is not None:
            self._order.check_empty()
        self._stream.write(b"\n]}\n")
        self._close()

    def traffic(self, bytes_by_bin: NDArray[np.float64], bin_cycles: int, cycles: int) -> None:
        """Write the counters of DRAM bandwidth, of a run that is over, before it is finished.

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
        dispatches = np.stack([events["index"], events["dispatched"]], axis=1, dtype=np.int64, casting="unsafe")
        self._stream.write(self._dispatches(dispatches[np.argsort(dispatches[:, 1])]))
        # All of a cycle's changes are known when something later is.
        self._write_stalls(self._stretches.until(int(events["done"][-1])))
        for unit in _UNITS:
            self._write_depths(unit, self._depths[unit].add(events[events["unit"] == unit]))
        if self._order is not None and self._banks is not None:
            self._stream.write(self._banks.text(self._order.add(events)))

    def _write_stalls(self, stretches: Ints) -> None:
        unit, reason, layer, begin, end = stretches[np.isin(stretches[:, 1], _STALLS)].T
        # Of no layer is the last.
        head = reason * (self._layers + 1) + layer % (self._layers + 1)
        self._stream.write(self._stalls(np.stack([head, _STALLS_ROW + unit, begin, end - begin], axis=1)))

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
    rows = [
        row
        for unit in _IN_ORDER
        for row in ((int(unit), unit.name.lower()), (_STALLS_ROW + unit, f"{unit.name.lower()} stalls"))
    ]
    for place, (tid, name) in enumerate(rows):
        names.append({"ph": "M", "pid": 0, "tid": tid, "name": "thread_name", "args": {"name": name}})
        names.append({"ph": "M", "pid": 0, "tid": tid, "name": "thread_sort_index", "args": {"sort_index": place}})
    head = json.dumps({"displayTimeUnit": "ns", "otherData": about})[:-1] + ', "traceEvents": [\n'
    return (head + ",\n".join(json.dumps(name) for name in names)).encode()


def _stall_heads(program: Program) -> list[bytes]:
    """For each reason and layer, of no layer last, how the text of a stall begins."""
    layers = [json.dumps(name) for name in (*(layer.name for layer in program.layers), "no layer")]
    return [
        f',\n{{"ph":"X","pid":0,"name":"{reason.name.lower()}","cat":{layer}'.encode()
        for reason in Reason
        for layer in layers
    ]


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
