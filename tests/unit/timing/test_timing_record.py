"""Counters of a fixed size, and the bookkeeping that fills them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from accelsim.isa.opcodes import Unit
from accelsim.timing.record import BANDWIDTH_BINS, Accountant, Cause, Counters, Reason


def test_traffic_by_cycle() -> None:
    counters = Counters(0)
    counters.transfer(0, 5, False)
    counters.transfer(BANDWIDTH_BINS - 1, 7, True)
    assert (counters.bin_cycles, counters.traffic[0, 0], counters.traffic[1, -1]) == (1, 5, 7)
    # one cycle more, and a bin is two cycles wide
    counters.transfer(BANDWIDTH_BINS, 9, False)
    assert counters.bin_cycles == 2
    assert counters.traffic[0, [0, BANDWIDTH_BINS // 2]].tolist() == [5, 9]
    assert counters.traffic[1, BANDWIDTH_BINS // 2 - 1] == 7


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 64), st.booleans()), max_size=30))
def test_traffic_keeps_every_byte_in_its_bin(transfers: list[tuple[int, int, bool]]) -> None:
    counters = Counters(0)
    for cycle, size, is_write in transfers:
        counters.transfer(cycle, size, is_write)
    expected = np.zeros_like(counters.traffic)
    for cycle, size, is_write in transfers:
        expected[int(is_write), cycle // counters.bin_cycles] += size
    np.testing.assert_array_equal(counters.traffic, expected)


def test_states_fill_all_cycles() -> None:
    counters = Counters(2)
    books = Accountant(counters)
    books.state(3, Unit.VECTOR, Reason.SEMAPHORE, 1)
    books.state(7, Unit.VECTOR, Reason.BUSY, 1)
    books.state(7, Unit.VECTOR, Reason.BANK, 0)  # the last word in a cycle counts
    books.state(8, Unit.VECTOR, Reason.IDLE, -1)
    books.finish(10)
    vector = counters.units[Unit.VECTOR]
    assert (vector[1, Reason.SEMAPHORE], vector[0, Reason.BANK], vector[2, Reason.IDLE]) == (4, 1, 3 + 2)
    assert (counters.units.sum(axis=(1, 2)) == 10).all()
    assert counters.cycles == 10


def test_causes_in_order_of_precedence() -> None:
    counters = Counters(4)
    books = Accountant(counters)
    books.state(1, Unit.LOAD, Reason.DRAM, 0)
    books.issued(2, Unit.VECTOR, 10, 1)
    books.issued(3, Unit.MATRIX, 11, 2)
    books.state(4, Unit.VECTOR, Reason.BUSY, 3)
    books.state(5, Unit.MATRIX, Reason.BUSY, 0)
    books.state(6, Unit.MATRIX, Reason.IDLE, -1)
    books.state(6, Unit.VECTOR, Reason.SEMAPHORE, 3)
    books.arrived(7, Unit.MATRIX, 11)
    books.arrived(8, Unit.VECTOR, 10)
    books.issued(9, Unit.LOAD, 12, 1)
    books.state(9, Unit.LOAD, Reason.IDLE, -1)
    books.arrived(11, Unit.LOAD, 12)
    books.finish(12)
    expected = {
        (-1, Cause.SEQUENCER): 1 + 1,  # cycle 0, and 11
        (0, Cause.DRAM): 1 + 1,  # 1, and 8
        (1, Cause.LATENCY): 1 + 1,  # 2, and 7, when the later one has arrived
        (2, Cause.LATENCY): 1 + 1,  # 3, and 6
        (3, Cause.VECTOR): 1,
        (0, Cause.MATRIX): 1,
        (1, Cause.DRAM): 2,  # 9 and 10: landed, not yet seen
    }
    for (layer, cause), cycles in expected.items():
        assert counters.causes[layer, cause] == cycles, (layer, cause)
    assert counters.causes.sum() == 12
