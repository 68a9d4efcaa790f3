"""Loops after whose first turn the machine is in one thing alone not as after the others: no turn is taken for another.

Everything else is the same at both ends, so each program shows that this one thing is looked at: were it not, the first
turn would count for all, or a state that drifts for one that stays. The reference engine says what is right.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engines import check_equal, fast
from tests.support.tiny import tiny_program

FIRST_AND_LATER = (
    "guard register=g1 level=0 low=0 high=1\n"  # the first turn
    "guard register=g2 level=0 low=1 high=1000\n"  # those behind it
)
LOAD = "load memory=activations source=[0] destination=[0] row_bytes=4 rows=1\n"
LOAD_IN_TURN = (
    "address ?g1 register=a1 base=0\naddress ?g2 register=a1 base=2\n"
    "load memory=activations source=[0] destination=[a1] row_bytes=4 rows=1\naddress register=a1 base=8\n"
)


def loop(count: int, *body: str) -> str:
    return f"loop count={count} {{\n{''.join(body)}}}\n"


def signal(semaphore: int, amount: int = 1, guard: str = "") -> str:
    return f"signal {guard} semaphore=s{semaphore} amount={amount}\n"


def sync(unit: str, rest: str = "", guard: str = "") -> str:
    return f"sync {guard} unit={unit} {rest}\n"


def vector(length: int) -> str:
    return f"vector source=[0] destination=[64] source_type=int16 destination_type=int16 length={length}\n"


def nops(count: int) -> str:
    return "nop\n" * count


FIRST_TURNS: dict[str, tuple[str, dict[str, Any]]] = {
    "where an instruction that waits goes": (
        FIRST_AND_LATER + loop(40, LOAD_IN_TURN, nops(30)),
        {"sram__activations__banks": 1, "sequencer__dispatch_cycles": 40},
    ),
    "where data under way goes": (
        FIRST_AND_LATER + loop(40, LOAD_IN_TURN, nops(30)),
        {"sram__activations__banks": 1, "dram__read_latency_cycles": 40},
    ),
    "when a count comes": (
        FIRST_AND_LATER
        + loop(
            20,
            sync("matrix", "wait=s1", "?g2"),
            sync("store", "wait=s3", "?g2"),
            nops(80),
            signal(3),
            signal(1, guard="?g1"),
            nops(3),
            signal(1, guard="?g2"),
        ),
        {"sequencer__semaphore_cycles": 30},
    ),
    "how old a count is": (
        FIRST_AND_LATER
        + loop(
            40,
            sync("vector", "wait=s1", "?g2"),
            nops(9),
            signal(1, guard="?g1"),
            nops(13),
            signal(1, guard="?g2"),
            nops(2),
        ),
        {"vector__wake_cycles": 8},
    ),
    "how many instructions a unit's sequencer is to pass over": (
        FIRST_AND_LATER + loop(12, sync("vector") * 2, sync("matrix"), sync("store", guard="?g1"), sync("vector")),
        {
            "sequencer__beats_ahead": 1,
            "sequencer__instruction_cycles": 30,
            "sequencer__dispatch_cycles": 20,
            "sequencer__vector_queue_depth": 1,
        },
    ),
    "when a unit's sequencer is free": (
        loop(
            12,
            signal(3),
            sync("matrix"),
            vector(9),
            "matmul rows=2 columns=2 wait=s3*\n",
            sync("vector"),
            vector(2),
            signal(3),
            sync("vector"),
        ),
        {
            "sequencer__beats_ahead": 1,
            "sequencer__instruction_cycles": 20,
            "sequencer__dispatch_cycles": 20,
            "sequencer__vector_queue_depth": 2,
        },
    ),
    "when beats were issued": (
        loop(40, sync("vector"), "matmul rows=4 columns=8\n", sync("matrix")),
        {"sequencer__beats_ahead": 4, "sequencer__beat_cycles": 40, "sequencer__instruction_cycles": 1},
    ),
    # Turns are shorter than loads, so that at each turn's end more is left to do, until the queue is full.
    "the row of a transfer": (
        loop(60, "load memory=activations source=[0] destination=[0] row_bytes=128 rows=4\n", nops(81)),
        {},
    ),
    "the beat of a product": (loop(40, "matmul rows=16 columns=16\n", nops(40)), {}),
    "how much of a row is left": (
        loop(60, "load memory=activations source=[0] destination=[0] row_bytes=192 rows=1\n", nops(54)),
        {},
    ),
}


@pytest.mark.parametrize("name", FIRST_TURNS)
def test_what_differs_after_the_first_turn_is_looked_at(name: str) -> None:
    code, changes = FIRST_TURNS[name]
    told = check_equal(tiny_program(code, **{"sequencer__instruction_memory_words": 128, **changes}))
    assert told.error == ""
    assert told.skipped_cycles > 0


def test_a_turn_with_more_transfers_than_are_kept_is_not_skipped() -> None:
    """A row of 20 bytes is a burst of 16 and one of 4, so no two transfers in turn are alike: 66,000 in each turn.

    The other judge is the engine cycle by cycle: the reference engine would take a minute.
    """
    program = tiny_program(
        loop(9, "load memory=activations source=[0] destination=[0] row_bytes=20 rows=33000\n"),
        dram__bytes_per_cycle=32,
        dram__outstanding_bursts=9,
        dram__read_latency_cycles=0,
        dma__sram_bytes_per_cycle=32,
        sequencer__load_queue_depth=1,
    )
    each, in_turns = (fast(program, with_events=False, steady_state=steady) for steady in (False, True))
    assert each.counters is not None
    assert in_turns.counters is not None
    assert in_turns.counters.traffic.sum() == 9 * 33000 * 20
    assert (in_turns.counters.traffic == each.counters.traffic).all()
    assert in_turns.counters.cycles == each.counters.cycles
