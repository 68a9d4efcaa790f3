"""Programs whose cycles have a formula: the engine equals it for any size on any chip of the family.

Where nothing contends for a bank, a unit's time is its beats and its latency, and streams run side by side.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.chip import Chip
from tests.support.closed_forms import Run, wide_chips

FAST = settings(deadline=None, max_examples=40)


def load(size: int, more: str = "") -> str:
    return f"load memory=weights source=[0] destination=[0] row_bytes={size} rows=1 {more}"


def store(size: int, more: str = "") -> str:
    return f"store memory=accumulators source=[0] destination=[0x2000] row_bytes={size} rows=1 {more}"


# Operands of one instruction, and of the two units, lie in banks of their own.
def matmul(rows: int, columns: int, more: str = "") -> str:
    return f"matmul weights=[0] input=[0] accumulators=[0x4000] rows={rows} columns={columns} {more}"


def vector(length: int, more: str = "", source: int = 0x4000) -> str:
    return (
        f"vector source=[{source}] source_type=int32 destination=[0x1000] destination_type=int8 parameters=[0] "
        f"length={length} {more}"
    )


def beats(chip: Chip, rows: int, columns: int) -> int:
    return ceil(rows / chip.mac.rows) * ceil(columns / chip.mac.columns)


@FAST
@given(wide_chips(), st.integers(1, 2000))
def test_a_load(run: Run, size: int) -> None:
    chip = run.chip
    start = chip.sequencer.dispatch_cycles
    landing = start + ceil(size / chip.dram.rate) + chip.dram.read_latency_cycles
    last = landing + ceil(size / chip.dma.sram_bytes_per_cycle) - 1
    done = last + chip.dma.latency_cycles
    assert run(load(size)) == ([(start, last, done)], done + 1)


@FAST
@given(wide_chips(), st.integers(1, 2000))
def test_a_store(run: Run, size: int) -> None:
    chip = run.chip
    start = chip.sequencer.dispatch_cycles
    last = start + ceil(size / chip.dma.sram_bytes_per_cycle) - 1
    moved = ceil(size / chip.dram.rate)
    done = last + chip.dma.latency_cycles + moved + chip.dram.write_latency_cycles
    assert run(store(size)) == ([(start, last, done)], done + 1)


@FAST
@given(wide_chips(), st.integers(1, 40), st.integers(1, 40))
def test_a_product(run: Run, rows: int, columns: int) -> None:
    start = run.chip.sequencer.dispatch_cycles
    last = start + beats(run.chip, rows, columns) - 1
    done = last + run.chip.mac.latency_cycles
    assert run(matmul(rows, columns)) == ([(start, last, done)], done + 1)


@FAST
@given(wide_chips(), st.integers(1, 60))
def test_a_vector_instruction(run: Run, length: int) -> None:
    start = run.chip.sequencer.dispatch_cycles
    last = start + ceil(length / run.chip.vector.lanes) - 1
    done = last + run.chip.vector.latency_cycles
    assert run(vector(length)) == ([(start, last, done)], done + 1)


@FAST
@given(wide_chips(), st.integers(1, 40), st.integers(1, 20))
def test_product_then_vector_unchained(run: Run, rows: int, columns: int) -> None:
    chip = run.chip
    product = chip.sequencer.dispatch_cycles + beats(chip, rows, columns) - 1 + chip.mac.latency_cycles
    start = max(product + chip.sequencer.semaphore_cycles, 1 + chip.sequencer.dispatch_cycles)
    done = start + ceil(rows / chip.vector.lanes) - 1 + chip.vector.latency_cycles
    assert run(matmul(rows, columns, "signal=s1"), vector(rows, "wait=s1"))[1] == done + 1


@FAST
@given(wide_chips(sram__accumulators__word_bytes=4), st.integers(1, 40), st.integers(1, 20))
def test_product_then_vector_chained(run: Run, rows: int, columns: int) -> None:
    """Vector beat j is issued once its last element is there, and after beat j - 1.

    A bank for each sum: in a wider word the sums read would contend with those being written.
    """
    chip = run.chip
    first = chip.sequencer.dispatch_cycles
    across = ceil(columns / chip.mac.columns)
    beat = first
    for low in range(0, rows, chip.vector.lanes):
        last_element = min(low + chip.vector.lanes, rows) - 1
        tile = last_element // chip.mac.rows
        seen = first + (tile + 1) * across - 1 + chip.mac.latency_cycles + chip.chaining.hop_cycles
        beat = max(beat + 1, seen)
    done = beat + chip.vector.latency_cycles
    rows_, cycles = run(matmul(rows, columns, "signal=s1*"), vector(rows, "wait=s1*"))
    assert rows_[1][1:] == (beat, done)
    assert cycles == done + 1


@FAST
@given(wide_chips(), st.integers(1, 300), st.integers(1, 300), st.integers(1, 30), st.integers(1, 30))
def test_independent_streams_run_side_by_side(run: Run, rows: int, length: int, size: int, columns: int) -> None:
    """Each as if alone, but for its cycle of dispatch: they share neither banks nor the bus."""
    code = [matmul(rows, columns), vector(length, source=0x8000), store(size)]
    # apart by a cycle each, so that the product's cycles come first
    alone = [run(*["nop"] * place, line)[0][0] for place, line in enumerate(code)]
    together, cycles = run(*code)
    assert together == alone
    assert cycles == max(done for _, _, done in alone) + 1


@FAST
@given(wide_chips(), st.lists(st.integers(1, 100), min_size=1, max_size=4))
def test_loads_share_the_bus_and_overlap_their_latency(run: Run, sizes: list[int]) -> None:
    """With buffers for all, the bus is the only thing they share until they land."""
    chip = run.chip.model_copy(update={"dram": run.chip.dram.model_copy(update={"outstanding_bursts": 8})})
    run = Run(chip)
    bus, port = Fraction(0), 0
    expected = []
    for place, size in enumerate(sizes):
        request = place + chip.sequencer.dispatch_cycles
        bus = max(bus, Fraction(request)) + size / chip.dram.rate
        landing = max(port + 1, ceil(bus) + chip.dram.read_latency_cycles)
        port = landing + ceil(size / chip.dma.sram_bytes_per_cycle) - 1
        expected.append((request, port, port + chip.dma.latency_cycles))
    assert run(*(load(size) for size in sizes))[0] == expected
