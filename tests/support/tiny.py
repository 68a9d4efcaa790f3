"""A chip small enough to follow by hand, and programs on it as text.

Unless a test says otherwise: the matrix unit is 2 x 2 and takes 3 cycles, the vector unit has 2 lanes and takes 4,
a hop 2, a semaphore 1, dispatch 1; queues hold 4; a DMA moves 8 bytes a cycle and takes 2 cycles; DRAM moves 4 bytes a
cycle in bursts of 16, 5 cycles late for reads and 3 for writes, 2 bursts under way. Each memory has enough banks for
a beat: 4 of 4 bytes for weights, 8 of 4 for activations, 4 of 8 for accumulators, 8 of 8 for parameters.

DRAM is 256 bytes of input at 0 and 256 bytes of output at 256.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.chip import Chip
from accelsim.chip.load import check_chip
from accelsim.isa import encode
from accelsim.isa.assembler import assemble
from accelsim.isa.opcodes import ISA_VERSION, Unit
from accelsim.isa.program import HostTensor, LayerInfo, Program, Region
from accelsim.machine.reference import ReferenceRun, run_reference

Run = Callable[[Program, NDArray[np.int8]], NDArray[np.int8]]
"""An engine: program and frame to output."""
LD, MX, VX, ST = "LD", "MX", "VX", "ST"
_NAMES = {Unit.LOAD: LD, Unit.MATRIX: MX, Unit.VECTOR: VX, Unit.STORE: ST}
COLUMNS = ("dispatched", "started", "issued", "done")
IO_BYTES = 256

_CHIP: dict[str, Any] = {
    "chip": {"name": "tiny", "clock_mhz": 100},
    "sequencer": {
        "dispatch_cycles": 1,
        "instruction_memory_words": 64,
        "load_queue_depth": 4,
        "matrix_queue_depth": 4,
        "vector_queue_depth": 4,
        "store_queue_depth": 4,
        "semaphores": 8,
        "semaphore_cycles": 1,
        "program_in_dram": False,
    },
    "mac": {
        "rows": 2,
        "columns": 2,
        "batch_columns": 1,
        "latency_cycles": 3,
        "weight_block_columns": 1,
        "row_parameters_bytes": 4,
    },
    "vector": {"lanes": 2, "latency_cycles": 4},
    "chaining": {"enabled": True, "hop_cycles": 2},
    "sram": {
        "weights": {"capacity_bytes": 256, "banks": 4, "word_bytes": 4},
        "activations": {"capacity_bytes": 256, "banks": 8, "word_bytes": 4},
        "accumulators": {"capacity_bytes": 256, "banks": 4, "word_bytes": 8},
        "parameters": {"capacity_bytes": 256, "banks": 8, "word_bytes": 8},
    },
    "dma": {"sram_bytes_per_cycle": 8, "latency_cycles": 2},
    "dram": {
        "capacity_bytes": 1024,
        "bytes_per_cycle": 4,
        "read_latency_cycles": 5,
        "write_latency_cycles": 3,
        "burst_bytes": 16,
        "outstanding_bursts": 2,
    },
}


def tiny_chip(**changes: Any) -> Chip:
    """The chip; `changes` set keys: ``sequencer__dispatch_cycles=3``, ``sram__weights__banks=1``."""
    data = copy.deepcopy(_CHIP)
    for key, value in changes.items():
        *tables, name = key.split("__")
        section = data
        for table in tables:
            section = section.setdefault(table, {})
        section[name] = value
    return check_chip(data, "tiny")


def in_stages(*stages: tuple[int, str], **changes: Any) -> dict[str, Any]:
    """Changes of the chip for a vector unit of stages: (latency, operations with spaces in between) each."""
    tables = [
        {"name": f"stage {number}", "latency_cycles": latency, "operations": operations.split()}
        for number, (latency, operations) in enumerate(stages)
    ]
    return {"vector__latency_cycles": 0, "vector__stages": tables, **changes}


def tiny_program(code: str, layers: dict[str, list[tuple[int, int]]] | None = None, **changes: Any) -> Program:
    """The program of instructions as text (`halt` is added)."""
    program = Program(
        name="golden",
        isa_version=ISA_VERSION,
        chip=tiny_chip(**changes),
        schedule="by hand",
        words=tuple(encode(instruction) for instruction in assemble(code + "\nhalt")),
        inputs=(HostTensor("x", "int8", (IO_BYTES,), (1.0,), 0, 0),),
        outputs=(HostTensor("y", "int8", (IO_BYTES,), (1.0,), 0, IO_BYTES),),
        regions=(Region("io", "dram", 0, 2 * IO_BYTES),),
        layers=tuple(LayerInfo(name, "test", 0, 0, tuple(ranges)) for name, ranges in (layers or {}).items()),
        image=b"",
        image_address=0,
    )
    program.validate("golden")
    return program


def frame(content: bytes = b"") -> NDArray[np.int8]:
    """The input: `content`, then zeros."""
    return np.frombuffer(content.ljust(IO_BYTES, b"\0"), dtype=np.int8)


@dataclass(frozen=True)
class Trace:
    """A run as a table.

    Parameters
    ----------
    rows : list of (unit, instruction, dispatched, started, issued, done)
        In order of dispatch.
    cycles : int
    run : ReferenceRun
    """

    rows: list[tuple[str | int, ...]]
    cycles: int
    run: ReferenceRun

    def states(self, unit: Unit) -> dict[str, int]:
        """Cycles of a unit by reason, those that are not 0."""
        from accelsim.timing.record import Reason

        totals = self.run.counters.units[unit].sum(axis=0)
        return {reason.name: int(totals[reason]) for reason in Reason if totals[reason]}

    def causes(self) -> dict[str, int]:
        """Cycles of the run by cause, those that are not 0."""
        from accelsim.timing.record import Cause

        totals = self.run.counters.causes.sum(axis=0)
        return {cause.name: int(totals[cause]) for cause in Cause if totals[cause]}


def trace(code: str, *, content: bytes = b"", check_hazards: bool = False, **changes: Any) -> Trace:
    """Run on the reference engine with `content` as input, and check what holds for every run."""
    program = tiny_program(code, **changes)
    run = run_reference(program, frame(content), keep_events=True, check_hazards=check_hazards)
    if run.events is None:
        raise ValueError("no events were kept")
    events = np.sort(run.events, order=["dispatched", "index"])
    rows = [(_NAMES[Unit(event["unit"])], int(event["index"]), *(int(event[c]) for c in COLUMNS)) for event in events]
    counters = run.counters
    assert (counters.units.sum(axis=(1, 2)) == counters.cycles).all(), "a unit's states are not the run's cycles"
    assert counters.causes.sum() == counters.cycles, "the causes are not the run's cycles"
    for unit in _NAMES:
        mine = run.events[run.events["unit"] == unit]
        assert counters.units[unit, :, 0].sum() == mine["busy"].sum(), f"busy cycles of {unit.name}"
        assert counters.operations[unit] == len(mine)
    return Trace(rows, counters.cycles, run)
