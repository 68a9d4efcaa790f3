"""Units that want the same in one cycle, each way they can: both cycle engines decide and book alike."""

from __future__ import annotations

from typing import Any

import pytest

from accelsim.isa.program import Program
from tests.support.counterexamples import Layers
from tests.support.engines import check_equal
from tests.support.tiny import in_stages, tiny_program

LOAD = "load memory=activations source=[0] destination=[0] row_bytes=21 rows=2 source_pitch=24 destination_pitch=24\n"
STORE = "store memory=activations source=[0] destination=[256] row_bytes=21 rows=2 source_pitch=24\n"
MATMUL = "matmul weights=[0] input=[0] accumulators=[0] rows=5 columns=5 extra_vectors=2 start=accumulate\n"
VECTOR = (
    "vector source=[0] destination=[64] parameters=[0] source_type=int32 destination_type=int16 length=7 "
    "addend_type=int16 addend=[32] multiply factor=[64] accumulate term=[96] keep kept=[128] requantize=channel\n"
)
EVERYTHING = LOAD + MATMUL + VECTOR + STORE + VECTOR + LOAD + MATMUL + STORE
ONE_BANK = {f"sram__{name}__banks": 1 for name in ("weights", "activations", "accumulators", "parameters")}
ODD = {
    f"sram__{name}__{key}": value
    for name in ("weights", "activations", "accumulators", "parameters")
    for key, value in (("banks", 3), ("word_bytes", 5), ("capacity_bytes", 300))
}
STAGES = in_stages((2, "add"), (1, "activation multiply"), (3, "add"), (1, ""))
SYNCS = "".join(f"sync unit={unit} signal=s1*,s2\n" for unit in ("load", "matrix", "vector", "store"))


def layers(program_lines: int) -> Layers:
    """Every second instruction is layer a's, every fourth layer b's; the others are nobody's."""
    a, b = (tuple((n, n + 1) for n in range(first, program_lines, 4)) for first in (0, 1))
    return {"a": (*a, *((n, n + 1) for n in range(2, program_lines, 4))), "b": b}


def program(code: str, changes: dict[str, Any]) -> Program:
    """With layers, so that it is told apart for whose instruction a cycle is booked."""
    count = sum(1 for line in code.splitlines() if line.strip() not in ("", "}"))
    ranges = {name: sorted(found) for name, found in layers(count).items()}
    return tiny_program(code, ranges, **changes)


CONTENTION: dict[str, tuple[str, dict[str, Any]]] = {
    "banks as they are": (EVERYTHING * 4, {}),
    "one bank": (EVERYTHING * 4, ONE_BANK),
    "odd banks": (EVERYTHING * 4, ODD),
    "conflict-free memories": (
        EVERYTHING * 4,
        {**ODD, "sram__activations__conflict_free": True, "sram__accumulators__conflict_free": True},
    ),
    "stages, one bank": (EVERYTHING * 4, {**STAGES, **ONE_BANK}),
    "stages": (EVERYTHING * 4, STAGES),
    "stages, odd banks": (EVERYTHING * 4, {**STAGES, **ODD}),
    "stages with streamed loads": (EVERYTHING * 4, {**STAGES, "dma__loads_through_vector": True}),
    "stages with sequencers": (
        EVERYTHING * 4,
        {
            **STAGES,
            **ONE_BANK,
            "sequencer__beats_ahead": 2,
            "sequencer__beat_cycles": 3,
            "sequencer__instruction_cycles": 2,
        },
    ),
    "sequencers many beats ahead": (
        EVERYTHING * 4,
        {"sequencer__beats_ahead": 40, "sequencer__beat_cycles": 1, "sequencer__instruction_cycles": 4},
    ),
    "two stages and a unit take one count": (
        "signal semaphore=s1 amount=5\n"
        + (VECTOR.strip() + " wait=s1,s1 wait0_at=first wait1_at=term\nsync unit=matrix wait=s1\n") * 3
        + SYNCS * 4,
        STAGES,
    ),
    "two units take elements": (
        "matmul rows=2 columns=6 wait=s1*\n"
        "vector source=[16] source_type=int16 length=6 destination_type=int8 destination=[92] wait=s1*\n"
        * 2
        + "signal semaphore=s1 amount=3\n" * 8,
        {},
    ),
    "four units take one count": (
        "".join(f"sync unit={unit} wait=s1 signal=s2\n" for unit in ("load", "matrix", "vector", "store")) * 3
        + "signal semaphore=s1 amount=2\nsignal semaphore=s1 amount=10\n",
        {},
    ),
    "syncs behind slow results": (
        (LOAD + MATMUL + VECTOR + STORE + SYNCS) * 3,
        {
            "mac__drain_cycles": 19,
            "dram__read_latency_cycles": 40,
            "dram__write_latency_cycles": 50,
            "dram__outstanding_bursts": 5,
        },
    ),
    "two gifts in a cycle, that come of age": (
        "sync unit=matrix wait=s3 signal=s1\nsync unit=load wait=s3 signal=s1,s1\n"
        "sync unit=vector wait=s1\nsync unit=vector wait=s1\nsync unit=vector wait=s1\nsignal semaphore=s3 amount=2\n",
        {"vector__wake_cycles": 6, "dma__latency_cycles": 3},
    ),
    "few buffers": (
        EVERYTHING * 3,
        {"dram__outstanding_bursts": 1, "dram__burst_bytes": 5, "dram__bytes_per_cycle": 1.3},
    ),
    "a frame behind a long set-up": (
        EVERYTHING * 2 + "loop count=300 {\n" + LOAD + "}\nframe\n" + EVERYTHING,
        {"chaining__hop_cycles": 12},
    ),
    "a frame behind a hop": (SYNCS + "frame\n" + EVERYTHING, {"chaining__hop_cycles": 30}),
    "a frame behind a late signal": (SYNCS + "frame\n" + EVERYTHING, {"sequencer__semaphore_cycles": 30}),
    "a program in DRAM": (
        EVERYTHING,
        {
            "sequencer__program_in_dram": True,
            "dram__outstanding_bursts": 1,
            "dram__burst_bytes": 24,
            "dram__read_latency_cycles": 9,
        },
    ),
    "a program in DRAM, with buffers": (
        EVERYTHING,
        {"sequencer__program_in_dram": True, "dram__outstanding_bursts": 3, "dram__bytes_per_cycle": 32},
    ),
    "a turn of sums": (
        "matmul rows=14 columns=7\nmatmul rows=12 columns=2\nmatmul rows=3 columns=9\n" * 2,
        {"mac__accumulate_interval_cycles": 3},
    ),
    "vectors beside each other": (
        "signal semaphore=s3 amount=25\n"
        "matmul rows=5 columns=5 extra_vectors=4 start=bias wait=s3* signal=s1*\n"
        "vector source_type=int32 length=25 destination_type=int8 wait=s1* signal=s2*\n"
        "vector source_type=int8 length=25 destination_type=int8 wait=s2*\n",
        {"mac__batch_columns": 2, "mac__accumulate_interval_cycles": 2},
    ),
    "wide transfers": (
        "load memory=weights source=[3] destination=[1] row_bytes=100 rows=2 source_pitch=101 destination_pitch=103\n"
        "store memory=accumulators source=[3] destination=[256] row_bytes=77 rows=2 source_pitch=79\n" * 3,
        {"dma__sram_bytes_per_cycle": 32, "dram__burst_bytes": 48, **ODD},
    ),
    "transfers as wide as can be": (
        EVERYTHING,
        {"dma__sram_bytes_per_cycle": 10**9, "dram__burst_bytes": 10**9, **ODD},
    ),
}


@pytest.mark.parametrize("name", CONTENTION)
def test_contention_is_decided_alike(name: str) -> None:
    code, changes = CONTENTION[name]
    told = check_equal(program(code, {"sequencer__instruction_memory_words": 256, **changes}))
    assert told.error == ""


@pytest.mark.parametrize("name", CONTENTION)
def test_contention_in_a_loop(name: str) -> None:
    code, changes = CONTENTION[name]
    if "frame" in code:
        pytest.skip("a frame stands outside of loops")
    body = "loop count=40 {\n" + code + "}\n"
    check_equal(program(body, {"sequencer__instruction_memory_words": 256, **changes}))


SMALL_LOAD = "load memory=activations source=[0] destination=[0] row_bytes=4 rows=1\n"
SMALL_STORE = "store memory=weights source=[0] destination=[256] row_bytes=4 rows=1\n"
SMALL_MATMUL = "matmul rows=2 columns=2\n"
SMALL_VECTOR = "vector source=[128] destination=[64] source_type=int16 destination_type=int16 length=2\n"


@pytest.mark.parametrize("between", range(16))
@pytest.mark.parametrize(
    ("first", "second"),
    [(SMALL_LOAD, SMALL_STORE), (SMALL_STORE, SMALL_LOAD), (SMALL_MATMUL, SMALL_VECTOR), (SMALL_VECTOR, SMALL_MATMUL)],
)
def test_whose_a_cycle_is_while_two_results_are_on_their_way(first: str, second: str, between: int) -> None:
    """Of two units' operations the one that issued last; some distance makes that the same cycle."""
    # The sequencer goes on until both are written, and not yet seen.
    code = first + "nop\n" * between + second + "nop\n" * 30
    ranges = {"a": [(0, 1)], "b": [(between + 1, between + 2)]}
    changes: dict[str, Any] = {"sequencer__semaphore_cycles": 60, "dram__outstanding_bursts": 3}
    told = check_equal(tiny_program(code, ranges, **changes))
    assert told.counters is not None
    assert (told.counters.causes.sum(axis=1)[:2] > 0).all()
