"""Whole matrix products and transfers in the textbook's formulas, exactly, on a thousand shapes each.

Where nothing contends for a bank, an array of R rows and C columns that takes B vectors at once has

* output-stationary, where the sums of a tile stay in the array over all inputs: one beat a tile,
  ceil(M / R) * ceil(N / B) * ceil(K / C), and its latency once;
* weight-stationary, where a tile of weights is fetched once and all vectors pass it: for each of the
  ceil(M / R) * ceil(K / C) tiles the time of its bytes, then ceil(N / B) beats and the latency; a beat that adds to
  sums needs their only port twice;
* of a DMA: latency + bytes / bandwidth, however many requests the bytes are cut into.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.chip import Chip
from tests.support.closed_forms import Run, wide_chips

THOUSAND = settings(deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
SUMS = 0x4000


@dataclass(frozen=True)
class Gemm:
    """``sums[M, N] = weights[M, K] @ input[K, N]`` on a chip."""

    run: Run
    m: int
    n: int
    k: int

    @property
    def chip(self) -> Chip:
        """The chip."""
        return self.run.chip


@st.composite
def gemms(draw: st.DrawFn) -> Gemm:
    """Up to 4 tiles along each dimension, whole or not."""
    run = draw(wide_chips(mac__batch_columns=draw(st.integers(1, 4)), sequencer__instruction_memory_words=64))

    def size(tile: int, most: int) -> int:
        return tile * draw(st.integers(0, most)) + draw(st.integers(1, tile))

    mac = run.chip.mac
    return Gemm(run, size(mac.rows, 3), size(mac.batch_columns, 3), size(mac.columns, 3))


@THOUSAND
@given(gemms())
def test_output_stationary(gemm: Gemm) -> None:
    mac = gemm.chip.mac
    beats = ceil(gemm.m / mac.rows) * ceil(gemm.n / mac.batch_columns) * ceil(gemm.k / mac.columns)
    start = gemm.chip.sequencer.dispatch_cycles
    done = start + beats - 1 + mac.latency_cycles
    code = f"matmul weights=[0] input=[0] accumulators=[{SUMS}] rows={gemm.m} columns={gemm.k} "
    rows, cycles = gemm.run(f"{code} extra_vectors={gemm.n - 1}")
    assert rows == [(start, start + beats - 1, done)]
    assert cycles == done + 1


@THOUSAND
@given(gemms())
def test_weight_stationary(gemm: Gemm) -> None:
    """One tile at a time: its weights arrive, then all vectors pass, then the next tile's are asked for."""
    chip = gemm.chip
    tile_bytes = chip.mac.rows * chip.mac.columns
    passes = ceil(gemm.n / chip.mac.batch_columns)
    arrives = ceil(tile_bytes / chip.dram.rate) + chip.dram.read_latency_cycles
    arrives += ceil(tile_bytes / chip.dma.sram_bytes_per_cycle) - 1 + chip.dma.latency_cycles
    code = ["signal semaphore=s1 amount=1"]
    # The credit is the program's first instruction, and the first tile's load its second.
    time = max(chip.sequencer.semaphore_cycles, 1 + chip.sequencer.dispatch_cycles)
    done = 0
    for row in range(0, gemm.m, chip.mac.rows):
        for column in range(0, gemm.k, chip.mac.columns):
            code.append(f"load memory=weights destination=[0] row_bytes={tile_bytes} rows=1 wait=s1 signal=s2")
            code.append(
                f"matmul weights=[0] input=[{column * gemm.n}] accumulators=[{SUMS + 4 * row * gemm.n}] "
                f"rows={min(chip.mac.rows, gemm.m - row)} columns={min(chip.mac.columns, gemm.k - column)} "
                f"extra_vectors={gemm.n - 1} start={'accumulate' if column else 'zero'} wait=s2 signal=s1"
            )
            start = time + arrives + chip.sequencer.semaphore_cycles
            done = start + passes * (2 if column else 1) - 1 + chip.mac.latency_cycles
            time = done + chip.sequencer.semaphore_cycles
    assert gemm.run(*code)[1] == done + 1


@st.composite
def transfers(draw: st.DrawFn) -> tuple[Run, int, int]:
    """A chip, an address, a size. The SRAM keeps up with the bus, and requests are long and many enough to fill it.

    The transfer ends where a request does, so that the last one does not wait for the port behind one that is longer.
    """
    width = draw(st.sampled_from([1, 4, 8, 64]))
    words = draw(st.integers(1, 16))
    run = draw(
        wide_chips(
            dma__sram_bytes_per_cycle=width,
            dram__burst_bytes=width * words,
            dram__bytes_per_cycle=width * draw(st.sampled_from([0.2, 0.25, 0.5, 0.7, 1])),
            dram__outstanding_bursts=1000,
        )
    )
    begin, end = width * draw(st.integers(0, words - 1)), width * words * draw(st.integers(1, 20))
    return run, begin, end - begin


@THOUSAND
@given(transfers())
def test_load_is_latency_and_bytes_over_bandwidth(transfer: tuple[Run, int, int]) -> None:
    run, address, size = transfer
    chip = run.chip
    start = chip.sequencer.dispatch_cycles
    landed = start + ceil(size / chip.dram.rate) + chip.dram.read_latency_cycles
    # The port takes what has come over the bus while more comes; only the last request's bytes are left at the end.
    landed += ceil(min(size, chip.dram.burst_bytes) / chip.dma.sram_bytes_per_cycle) - 1
    done = landed + chip.dma.latency_cycles
    code = f"load memory=weights source=[{address}] destination=[0] row_bytes={size} rows=1"
    assert run(code) == ([(start, landed, done)], done + 1)


@THOUSAND
@given(transfers())
def test_store_is_latency_and_bytes_over_bandwidth(transfer: tuple[Run, int, int]) -> None:
    run, _, size = transfer
    chip = run.chip
    start = chip.sequencer.dispatch_cycles
    # Only the first request's bytes pass the SRAM's port before the bus.
    first = ceil(min(size, chip.dram.burst_bytes) / chip.dma.sram_bytes_per_cycle)
    sent = start + first - 1 + chip.dma.latency_cycles + ceil(size / chip.dram.rate)
    code = f"store memory=accumulators source=[0] destination=[0] row_bytes={size} rows=1"
    assert run(code)[1] == sent + chip.dram.write_latency_cycles + 1


def test_shapes_are_drawn_that_matter() -> None:
    """Whole tiles and parts, one tile and several: what the formulas round has to be rounded."""
    seen: set[tuple[bool, bool]] = set()

    @settings(deadline=None, max_examples=200, database=None)
    @given(gemms())
    def look(gemm: Gemm) -> None:
        seen.add((gemm.m % gemm.chip.mac.rows == 0, gemm.m > gemm.chip.mac.rows))

    look()
    assert len(seen) == 4
