"""Long rows of the load DMA, alone and beside others, in loops: advanced in closed form or not, the same books."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from accelsim.isa import Instruction, make
from accelsim.isa.program import Program, Region
from accelsim.machine.fast import time_program
from tests.support.engines import differences, fast, reference
from tests.support.tiny import IO_BYTES, tiny_program
from tests.support.words import with_instructions

SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck))
DRAM_BYTES = 1 << 16
_SRAM_BYTES = 2520
"""A multiple of all rows of banks below."""


@st.composite
def streams(draw: st.DrawFn) -> Program:
    """Loads of long rows; here and there work for the other units, and syncs that wait for a load."""
    chip = {
        "dram__capacity_bytes": DRAM_BYTES,
        "dram__bytes_per_cycle": draw(st.sampled_from([0.3, 1, 1.5, 4, 5.3, 8, 64])),
        "dram__read_latency_cycles": draw(st.integers(0, 40)),
        "dram__burst_bytes": draw(st.sampled_from([4, 6, 16, 24])),
        "dram__outstanding_bursts": draw(st.integers(1, 9)),
        "dma__sram_bytes_per_cycle": draw(st.sampled_from([1, 3, 8, 16])),
        "sequencer__load_queue_depth": draw(st.integers(1, 4)),
        "chaining__hop_cycles": draw(st.integers(1, 5)),
        "sequencer__program_in_dram": draw(st.booleans()),
    }
    for memory in ("weights", "activations"):
        banks, word = draw(st.sampled_from([(1, 4), (4, 6), (3, 5), (7, 8), (2, 1)]))
        size = {"capacity_bytes": _SRAM_BYTES // (banks * word) * banks * word, "banks": banks, "word_bytes": word}
        chip |= {f"sram__{memory}__{key}": value for key, value in size.items()}
    code: list[Instruction] = []
    for _ in range(draw(st.integers(1, 4))):
        body = draw(st.lists(_load(), min_size=1, max_size=2)) + draw(st.lists(_other(), max_size=3))
        body = draw(st.permutations(body))
        turns = draw(st.sampled_from([1, 1, 2, 30]))
        code += [make("loop", count=turns, length=len(body)), *body] if turns > 1 else body
    return with_instructions(
        replace(tiny_program("", **chip), regions=(Region("all", "dram", 0, DRAM_BYTES),)), [*code, make("halt")]
    )


@st.composite
def _load(draw: st.DrawFn) -> Instruction:
    rows = draw(st.sampled_from([1, 1, 1, 3]))
    row_bytes = draw(st.integers(1, 2000 // rows))
    return make(
        "load",
        memory=draw(st.integers(0, 1)),
        rows=rows,
        row_bytes=row_bytes,
        source_pitch=draw(st.integers(0, 3000)),
        destination_pitch=draw(st.integers(0, min(400, (2400 - row_bytes) // rows))),
        **{
            "source.offset": draw(st.integers(2 * IO_BYTES, 40000)),
            "destination.offset": draw(st.integers(0, 60)),
            "signal0": draw(st.sampled_from([0, 1])),
            "signal1": draw(st.sampled_from([0, 2])),
            "signal1_each": draw(st.integers(0, 1)),
        },
    )


@st.composite
def _other(draw: st.DrawFn) -> Instruction:
    kind = draw(st.sampled_from(["matmul", "vector", "store", "sync", "nop"]))
    waits = {"wait0": draw(st.sampled_from([0, 0, 1, 2]))} if kind != "nop" else {}
    if kind == "matmul":
        return make(kind, rows=draw(st.integers(1, 30)), columns=draw(st.integers(1, 30)), **waits)
    if kind == "vector":
        length = draw(st.integers(1, 120))
        return make(kind, length=length, source_type=1, destination_type=1, **{"destination.offset": 200}, **waits)
    if kind == "store":
        return make(kind, memory=1, rows=1, row_bytes=draw(st.integers(1, 600)), **waits)
    if kind == "sync":
        return make(kind, unit=draw(st.integers(0, 3)), **waits)
    return make(kind)


@settings(SETTINGS, max_examples=40)
@given(streams())
def test_streams_alone_and_beside_others(program: Program) -> None:
    told = reference(program)
    assert differences(told, fast(program)) == []
    assert differences(told, fast(program, with_events=False)) == []
    if not told.error:
        timing = time_program(program, steady_state=True)
        event("skipped" if timing.skipped_cycles else "gone through")


def test_a_long_row_is_not_gone_through_burst_by_burst() -> None:
    """A row of 60,000 bytes and one of 6,000: ten times the cycles, hardly more of them looked at."""
    visited, cycles = [], []
    for size in (6000, 60000):
        chip = {"dram__capacity_bytes": 1 << 20, "sram__weights__capacity_bytes": 1 << 16}
        program = tiny_program(f"load memory=weights source=[0] destination=[0] row_bytes={size} rows=1", **chip)
        program = replace(program, regions=(Region("all", "dram", 0, 1 << 17),))
        assert differences(reference(program), fast(program, with_events=False)) == []
        timing = time_program(program, steady_state=True)
        visited.append(timing.visited_cycles)
        cycles.append(timing.counters.cycles)
    assert cycles[1] > 9 * cycles[0]
    assert visited[1] <= visited[0] + 10 < 200
