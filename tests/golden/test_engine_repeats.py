"""Loops whose turns repeat, one for each thing that repeats: skipped by the compiled engine, and still told the same.

Each program is so short, and each loop so long, that turns are skipped; which is checked, too.
"""

from __future__ import annotations

from typing import Any

import pytest

from accelsim.machine.fast import time_program
from tests.support.engines import check_equal, fast
from tests.support.tiny import in_stages, tiny_program

STAGES = in_stages((2, ""), (3, "add activation multiply"), (4, "add"), (1, ""), sram__activations__conflict_free=True)
LOAD = "load memory=activations source=[0] destination=[0] row_bytes=5 rows=1\n"
STORE = "store memory=activations source=[0] destination=[256] row_bytes=12 rows=1\n"
MATMUL = "matmul weights=[0] input=[0] accumulators=[0] rows=4 columns=4\n"
VECTOR = "vector source=[0] destination=[64] parameters=[0] source_type=int16 destination_type=int16 length=4\n"
CHAINED = (
    "matmul weights=[0] input=[0] accumulators=[0] rows=4 columns=4 wait=s2 signal=s1*\n"
    "vector source=[0] destination=[64] parameters=[0] source_type=int32 destination_type=int16 length=4 "
    "wait=s1* signal=s2\n"
)


def loop(count: int, body: str) -> str:
    return f"loop count={count} {{\n{body}\n}}\n"


def credit(semaphore: int, amount: int) -> str:
    return f"signal semaphore=s{semaphore} amount={amount}\n"


REPEATS: dict[str, tuple[str, dict[str, Any]]] = {
    "a bus that is never free": (loop(150, LOAD), {"dram__bytes_per_cycle": 0.7}),
    "a bus that is free before the turn is over": (loop(150, LOAD + "nop\n" * 20), {"dram__bytes_per_cycle": 1.5}),
    "a bus that several turns share": (loop(150, LOAD + "nop\n" * 2), {"dram__outstanding_bursts": 9}),
    "loads and stores on one bus": (loop(120, LOAD + STORE + LOAD), {"dram__bytes_per_cycle": 2.3}),
    "stores that are written late": (
        loop(120, STORE),
        {"dram__write_latency_cycles": 70, "dram__outstanding_bursts": 9},
    ),
    "syncs between stores": (
        loop(120, STORE + "sync unit=store signal=s1\nsync unit=load wait=s1\n" + "nop\n" * 3),
        {"dram__write_latency_cycles": 40, "dram__outstanding_bursts": 3},
    ),
    "syncs behind stores of earlier turns": (
        loop(40, "sync unit=store signal=s1\nsync unit=matrix wait=s1\n" + STORE + "nop\n" * 30),
        {"dram__write_latency_cycles": 60, "dram__outstanding_bursts": 9},
    ),
    "syncs between loads": (
        loop(120, LOAD + "sync unit=load signal=s1\nsync unit=store wait=s1\n" + "nop\n" * 3),
        {"dram__read_latency_cycles": 40, "dram__outstanding_bursts": 3},
    ),
    "rows of odd sizes": (
        loop(
            120,
            "load memory=weights source=[3] destination=[1] row_bytes=21 rows=3 source_pitch=23 destination_pitch=22\n",
        ),
        {"dma__sram_bytes_per_cycle": 7, "dram__burst_bytes": 5},
    ),
    "elements by rows": (
        credit(2, 5)
        + loop(
            120,
            "load memory=activations source=[0] destination=[0] row_bytes=20 rows=3 source_pitch=24 "
            "destination_pitch=24 signal=s1* wait=s2*\n"
            "store memory=activations source=[0] destination=[256] row_bytes=20 rows=3 source_pitch=24 "
            "destination_pitch=24 wait=s1* signal=s2*\n",
        ),
        {"chaining__hop_cycles": 5},
    ),
    "a product and its vector instruction": (credit(2, 1) + loop(150, CHAINED), {}),
    "two products under way": (credit(2, 2) + loop(150, CHAINED), {"mac__latency_cycles": 30}),
    "sums that leave one after the other": (loop(150, MATMUL + "nop\n" * 50), {"mac__drain_cycles": 25}),
    "sums that leave late, and free turns": (
        loop(150, MATMUL + "sync unit=matrix signal=s1\nsync unit=store wait=s1\n" + "nop\n" * 44),
        {"mac__drain_cycles": 20},
    ),
    "empty beats": (loop(150, "matmul rows=6 columns=6\n"), {"mac__accumulate_interval_cycles": 4}),
    "vectors beside each other": (
        loop(
            120,
            "matmul rows=5 columns=5 extra_vectors=4 start=accumulate signal=s1*\n"
            "vector source_type=int32 length=25 destination_type=int8 wait=s1*\n",
        ),
        {"mac__batch_columns": 2},
    ),
    "counts that have to come of age": (
        credit(2, 1) + loop(150, "sync unit=load wait=s2 signal=s1\nsync unit=vector wait=s1 signal=s2\n"),
        {"vector__wake_cycles": 5},
    ),
    "counts of several turns that have to come of age": (
        credit(2, 3)
        + loop(
            300, "sync unit=load wait=s2 signal=s1,s1\nsync unit=vector wait=s1\nsync unit=vector wait=s1 signal=s2\n"
        ),
        {"vector__wake_cycles": 7, "sequencer__dispatch_cycles": 3},
    ),
    "counts that come of age in turns of another length": (
        credit(1, 1) + loop(19, "nop\nnop\nsync unit=vector wait=s1\n" + credit(1, 1) + "nop\n"),
        {"vector__wake_cycles": 8},
    ),
    "signals that have to come of age": (
        loop(150, credit(1, 2) + "sync unit=vector wait=s1\nsync unit=vector wait=s1\n" + "nop\n" * 4),
        {"vector__wake_cycles": 4},
    ),
    "beats written ahead": (
        credit(2, 1) + loop(150, CHAINED),
        {"sequencer__beats_ahead": 3, "sequencer__beat_cycles": 2, "sequencer__instruction_cycles": 3},
    ),
    "beats written ahead that wait": (
        credit(2, 1) + loop(150, CHAINED + "nop\n" * 30),
        {"sequencer__beats_ahead": 4, "sequencer__beat_cycles": 4, "sequencer__instruction_cycles": 5},
    ),
    "beats written ahead of a slow vector unit": (
        loop(150, VECTOR + LOAD + MATMUL),
        {"sequencer__beats_ahead": 1, "sequencer__beat_cycles": 2, "sequencer__instruction_cycles": 6},
    ),
    "stages": (
        loop(
            150,
            VECTOR + "vector source=[0] destination=[64] length=6 source_type=int16 destination_type=int16 "
            "addend_type=int16 multiply accumulate wait=s1 wait0_at=factor\n" + credit(1, 1),
        ),
        STAGES,
    ),
    "stages with sequencers": (
        loop(150, VECTOR + MATMUL),
        {**STAGES, "sequencer__beats_ahead": 2, "sequencer__instruction_cycles": 1, "sequencer__beat_cycles": 3},
    ),
    "stages far apart": (
        loop(150, VECTOR),
        in_stages((40, ""), (30, "add activation multiply"), (4, "add"), sram__activations__conflict_free=True),
    ),
    "stages far apart, and free turns": (
        loop(60, VECTOR + "nop\n" * 6),
        in_stages((40, ""), (30, "add activation multiply"), (4, "add"), sram__activations__conflict_free=True),
    ),
    "streamed loads": (
        credit(1, 4)
        + loop(
            150,
            VECTOR + "load memory=activations source=[1] destination=[0] row_bytes=7 rows=2 source_pitch=9 "
            "destination_pitch=8 wait=s1* signal=s2\nsync unit=store wait=s2 signal=s1,s1\n",
        ),
        {**STAGES, "dma__loads_through_vector": True, "vector__wake_cycles": 2},
    ),
    "streamed loads alone": (
        loop(150, "load memory=activations source=[1] destination=[0] row_bytes=7 rows=2 source_pitch=9\n") + VECTOR,
        {**STAGES, "dma__loads_through_vector": True},
    ),
    "a long row while the sequencer is in a loop": (
        "load memory=activations source=[0] destination=[0] row_bytes=500 rows=1\n" + loop(10, "nop\n" * 4),
        {"sram__activations__capacity_bytes": 512, "dram__outstanding_bursts": 9},
    ),
    "a loop in a loop": (loop(40, loop(60, LOAD) + STORE), {}),
    "a loop in a loop, of few turns": (loop(200, loop(3, LOAD + MATMUL) + STORE), {}),
    "loops in a loop": (loop(50, loop(40, LOAD) + VECTOR + loop(30, STORE) + MATMUL), {"dram__bytes_per_cycle": 3.7}),
    "four loops": (loop(12, LOAD + loop(10, STORE + loop(8, MATMUL + loop(6, VECTOR)))), {}),
    "rows of transfers in a loop": (loop(30, loop(50, LOAD + STORE) + "nop\n" * 9), {"dram__bytes_per_cycle": 1}),
    "a guard that holds in the middle": (
        "guard register=g1 level=0 low=60 high=120\n"
        + loop(200, LOAD.replace("load", "load ?g1") + MATMUL + "nop\n" * 9),
        {},
    ),
    "a guard that ends": (
        "guard register=g1 level=0 low=0 high=90\n" + loop(200, LOAD.replace("load", "load ?g1") + MATMUL),
        {},
    ),
    "a guard of the inner loop": (
        "guard register=g1 level=1 low=1 high=2\n"
        + loop(60, VECTOR + loop(3, LOAD.replace("load", "load ?g1") + MATMUL)),
        {},
    ),
    "a guard of a loop that is over": (
        "guard register=g1 level=1 low=2 high=9\n"
        + loop(90, loop(3, "nop") + LOAD.replace("load", "load ?g1") + VECTOR),
        {},
    ),
    "a guard that begins with the third turn": (
        "guard register=g1 level=0 low=2 high=99\n" + loop(40, LOAD.replace("load", "load ?g1") + "nop\n" * 30),
        {},
    ),
    "a guard that ends with the second turn": (
        "guard register=g1 level=0 low=0 high=2\n" + loop(40, LOAD.replace("load", "load ?g1") + "nop\n" * 30),
        {},
    ),
    "a guard for a single turn": (
        "guard register=g1 level=0 low=100 high=101\n"
        + loop(200, STORE.replace("store", "store ?g1") + VECTOR + "nop\n" * 6),
        {},
    ),
    "banks in turn": (
        "address register=a1 stride0=4\n"
        + loop(
            190,
            "matmul weights=[a1] input=[0] rows=2 columns=2\n"
            "load memory=weights source=[0] destination=[8] row_bytes=4 rows=1\n" + VECTOR,
        ),
        {"sram__weights__banks": 3, "sram__weights__capacity_bytes": 960},
    ),
    "odd words": (
        "address register=a1 stride0=2 wrap=70\n"
        + loop(190, "vector source=[a1] destination=[a1+2] length=5 source_type=int16 destination_type=int16\n" + LOAD),
        {"sram__activations__banks": 7, "sram__activations__word_bytes": 5, "sram__activations__capacity_bytes": 280},
    ),
    "bursts in turn": (
        "address register=a1 stride0=3 wrap=96\n"
        + loop(190, "load memory=parameters source=[a1] destination=[0] row_bytes=9 rows=2 source_pitch=11\n"),
        {},
    ),
    "an address that the body defines": (
        loop(
            150,
            "address register=a1 stride0=4 wrap=64\nload memory=activations source=[0] destination=[a1] row_bytes=4 "
            "rows=1\n" + VECTOR,
        ),
        {"sram__activations__banks": 4, "sram__activations__capacity_bytes": 256},
    ),
    "an address that the body defines, for what is over with the turn": (
        loop(
            150,
            "address register=a1 stride0=2 wrap=64\n"
            "load memory=activations source=[0] destination=[a1] row_bytes=4 rows=1\n" + "nop\n" * 30,
        ),
        {"sram__activations__banks": 1},
    ),
    "an address that the first instruction defines": (
        "address register=a1 stride0=4 wrap=64\n"
        + loop(150, "load memory=activations source=[0] destination=[a1] row_bytes=4 rows=1\n" + VECTOR),
        {"sram__activations__banks": 4, "sram__activations__capacity_bytes": 256},
    ),
    "a ring that is no multiple of the banks": (
        "nop\naddress register=a1 stride0=4 wrap=40\n"
        + loop(290, "load memory=activations source=[0] destination=[a1] row_bytes=4 rows=1\n" + VECTOR),
        {"sram__activations__banks": 4, "sram__activations__capacity_bytes": 256},
    ),
    "a ring that a loop comes to no end of": (
        "address register=a1 stride0=100 stride1=2 wrap=300\n"
        + loop(3, loop(50, "vector source=[0] destination=[a1] parameters=[0] destination_type=int8 length=2\n")),
        {"sram__activations__banks": 4, "sram__activations__word_bytes": 8, "sram__activations__capacity_bytes": 512},
    ),
    "signals that are waited for behind the loop": (
        loop(150, MATMUL.strip() + " signal=s1\n")
        + "store memory=activations source=[0] destination=[0] row_bytes=1 rows=150 wait=s1*\n",
        {},
    ),
    "a frame": (loop(100, LOAD + STORE) + "frame\n" + loop(150, LOAD), {"chaining__hop_cycles": 9}),
    "a program in DRAM": (
        loop(150, LOAD),
        {"sequencer__program_in_dram": True, "dram__outstanding_bursts": 1, "dram__burst_bytes": 8},
    ),
    "queues of one": (
        loop(150, LOAD + MATMUL + VECTOR + STORE),
        {f"sequencer__{unit}_queue_depth": 1 for unit in ("load", "matrix", "vector", "store")},
    ),
    "rings that grow": (loop(3000, LOAD), {"dma__latency_cycles": 900, "sequencer__semaphore_cycles": 40}),
    "rings of counts that grow": (
        loop(3000, "sync unit=matrix signal=s1\nsync unit=store wait=s1\n"),
        {"sequencer__semaphore_cycles": 300},
    ),
    "rings between stages that grow": (
        loop(60, "vector source=[0] destination=[104] source_type=int8 destination_type=int8 length=100\n"),
        in_stages(
            (200, ""), (3, "add activation multiply add"), sram__activations__conflict_free=True, vector__lanes=1
        ),
    ),
    "a latency longer than many turns": (loop(400, MATMUL + "sync unit=matrix\n"), {"mac__latency_cycles": 150}),
}


@pytest.mark.parametrize("name", REPEATS)
def test_turns_are_skipped_and_told_the_same(name: str) -> None:
    code, changes = REPEATS[name]
    told = check_equal(tiny_program(code, **changes))
    assert told.error == ""
    assert told.skipped_cycles > 0


@pytest.mark.parametrize("name", ["a bus that is never free", "a loop in a loop", "beats written ahead", "stages"])
def test_skipping_can_be_left(name: str) -> None:
    code, changes = REPEATS[name]
    told = fast(tiny_program(code, **changes), with_events=False, steady_state=False)
    assert told.skipped_cycles == 0


def test_counts_that_are_used_up_by_turns_that_are_over_with_what_waits() -> None:
    """No turn is like another, though all else is: the last ones wait until there are more."""
    turns = loop(100, "sync unit=load wait=s1\n" + "nop\n" * 20)
    code = credit(1, 97) + turns + "nop\n" * 30 + credit(1, 3)
    assert check_equal(tiny_program(code, sequencer__load_queue_depth=8)).error == ""


MISTAKES: dict[str, tuple[str, dict[str, Any]]] = {
    "the last turn reaches too far": (
        "address register=a1 stride0=32\n"
        + loop(129, "load memory=activations source=[0] destination=[a1] row_bytes=4 rows=1\n"),
        {"sram__activations__capacity_bytes": 4096},
    ),
    "a turn in the middle reaches too far": (
        "address register=a1 stride0=32\n"
        + loop(190, "load memory=activations source=[0] destination=[a1] row_bytes=4 rows=1\n"),
        {"sram__activations__capacity_bytes": 4096},
    ),
    "a turn reaches below its memory": (
        "address register=a1 base=3200 stride0=-32\n"
        + loop(190, "load memory=activations source=[0] destination=[a1] row_bytes=4 rows=1\n"),
        {"sram__activations__capacity_bytes": 4096},
    ),
    "an element is not aligned": (
        "address register=a1 stride0=1\nguard register=g1 level=0 low=50 high=100\n"
        + loop(
            100,
            "vector ?g1 source=[a1] destination=[0] length=1 source_type=int16 destination_type=int8\n" + "nop\n" * 40,
        ),
        {"sram__activations__banks": 1, "sram__activations__word_bytes": 1},
    ),
    "an element of a ring is not aligned": (
        "address register=a1 stride0=4 wrap=50\n"
        + loop(
            26,
            "vector source=[a1] destination=[0] length=1 source_type=int32 destination_type=int8\n" + "nop\n" * 40,
        ),
        {"sram__accumulators__banks": 1, "sram__accumulators__word_bytes": 1},
    ),
    "two units wait for each other in the end": (
        loop(150, LOAD + MATMUL) + "sync unit=load wait=s1 signal=s2\nsync unit=matrix wait=s2 signal=s1\n",
        {},
    ),
    "counts that are used up": (
        credit(1, 90) + loop(100, "sync unit=load wait=s1\nsync unit=vector wait=s1\n"),
        {},
    ),
    "a full queue": (loop(100, LOAD) + loop(9, "sync unit=vector wait=s3\n"), {}),
    "a frame that is never reached": (loop(100, LOAD) + "sync unit=store wait=s3\nframe\n", {}),
    "a wait for elements": (loop(100, LOAD) + MATMUL.strip() + " wait=s1*\n" + VECTOR, {}),
    "a stage that waits": (loop(100, VECTOR) + VECTOR.strip() + " wait=s3 wait0_at=last\n" + VECTOR * 2, STAGES),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_behind_repeated_turns_is_told_the_same(name: str) -> None:
    code, changes = MISTAKES[name]
    assert check_equal(tiny_program(code, **changes)).error


@pytest.mark.parametrize(
    "name", ["a bus that is never free", "a product and its vector instruction", "beats written ahead"]
)
def test_time_does_not_grow_with_turns(name: str) -> None:
    """A thousand times the turns, and as many cycles are looked at one by one."""
    code, changes = REPEATS[name]
    few = time_program(tiny_program(code, **changes), steady_state=True)
    many = time_program(tiny_program(code.replace("loop count=150", "loop count=150000"), **changes), steady_state=True)
    assert many.visited_cycles <= few.visited_cycles + 50
    assert many.counters.cycles > 900 * few.counters.cycles
