"""What SRAMs hold over time, worked out by hand on programs of a few instructions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim.errors import InternalError
from accelsim.isa.program import Program, Region
from accelsim.profile.occupancy import Occupancy, OccupancyCounter
from accelsim.profile.operations import all_operations
from tests.support.tiny import tiny_program, trace


def occupancy(program: Program, cycles: int) -> Occupancy:
    counter = OccupancyCounter(program, cycles)
    counter(all_operations(program))
    return counter.finish()


def held(program: Program, cycles: int) -> dict[tuple[str, str], list[float]]:
    """Bytes of each buffer in each cycle: so short a run has a bin a cycle."""
    found = occupancy(program, cycles)
    assert found.bin_cycles == 1
    return {(one.memory, one.name): one.held_bytes.tolist() for one in found.buffers}


COPY = """
load source=[0] destination=[0] memory=activations row_bytes=8 rows=1 signal=s1
vector source=[0] destination=[64] parameters=[0] source_type=int8 destination_type=int8 length=4 wait=s1 signal=s2
store source=[64] destination=[256] memory=activations row_bytes=4 rows=1 wait=s2
"""


def test_a_byte_is_held_from_its_write_to_its_last_read() -> None:
    """The load's 8 bytes come from cycle 3 (its first beat is in 1, a result 2 later) to 10, 8/7 a cycle; of them the
    vector unit reads 4, which have come by 6.5, until the end of its last beat in 14. Its own 4 results come from 15
    (first beat 11, 4 later) to 18, and are read by the store's beat in 19.
    """
    found = trace(COPY)
    assert found.rows == [("LD", 0, 0, 1, 8, 10), ("VX", 1, 1, 11, 14, 18), ("ST", 2, 2, 19, 19, 25)]
    loaded = [0, 0, 0, 4 / 7, 12 / 7, 20 / 7, 27 / 7, *[4] * 8]
    results = [2 / 3, 2, 10 / 3, 4, 4]
    activations = [*loaded, *results, 0, 0, 0, 0, 0, 0]
    by_layer = tiny_program(COPY, {"in": [(0, 1)], "out": [(1, 3)]})
    assert held(by_layer, found.cycles) == {
        ("activations", "written by in"): pytest.approx([*loaded, *[0] * 11]),
        ("activations", "written by out"): pytest.approx([*[0] * 15, *results, *[0] * 6]),
    }
    assert held(tiny_program(COPY), found.cycles) == {
        ("activations", "written by no layer"): pytest.approx(activations),
    }
    regions = (Region("x", "activations", 0, 2), Region("y", "activations", 2, 100), Region("z", "weights", 0, 8))
    named = held(replace(tiny_program(COPY), regions=regions), found.cycles)
    # Of the loaded bytes the first 2 are x: they come from 3 to 4.75.
    # From 4 to 4.75 they rise from 8/7 to 2: that is 0.75 * 11/7, and 0.25 * 2 for the rest of the cycle.
    first = [0, 0, 0, 4 / 7, 0.75 * 11 / 7 + 0.25 * 2, *[2] * 10]
    assert list(named) == [("activations", "x"), ("activations", "y")]
    assert named["activations", "x"] == pytest.approx([*first, *[0] * 11])
    total = np.sum(list(named.values()), axis=0)
    assert total.tolist() == pytest.approx(activations)


def test_the_most_that_is_held_is_more_than_any_mean_and_is_found_in_its_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the copy above 8 bytes and 4 results at once would be 12, but of the 8 only 4 are read, and only until 15."""
    found = trace(COPY)
    fine = occupancy(tiny_program(COPY), found.cycles)
    # What rises within a cycle is highest at its end: 4/7 * 2 of the cycle from 3 on, and so on.
    loaded = [0, 0, 0, 8 / 7, 16 / 7, 24 / 7, 4, *[4] * 8]
    results = [4 / 3, 8 / 3, 4, 4, 4]
    assert fine.peak_bytes["activations"].tolist() == pytest.approx([*loaded, *results, 0, 0, 0, 0, 0, 0])
    assert fine.most("activations") == 4
    assert fine.most("weights") == 0
    # In bins of 9 cycles no mean comes to it.
    monkeypatch.setattr("accelsim.profile.occupancy.BINS", 3)
    coarse = occupancy(tiny_program(COPY), found.cycles)
    assert coarse.bin_cycles == 9
    assert max(buffer.held_bytes.max() for buffer in coarse.buffers) < 4
    assert coarse.peak_bytes["activations"].tolist() == pytest.approx([4, 4, 4])
    assert coarse.most("activations") == 4


def test_the_most_is_where_two_values_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value of 8 bytes that is read early and again at the end, and one of 4 in between: 12 at once, for some cycles.

    The whole run is one bin, and lives are added up one by one, as they are told: the first value's goes on when the
    second one's is long over.
    """
    code = """
load source=[0] destination=[0] memory=activations row_bytes=8 rows=1 signal=s1
store source=[0] destination=[256] memory=activations row_bytes=8 rows=1 wait=s1 signal=s2
load source=[0] destination=[8] memory=activations row_bytes=4 rows=1 wait=s2 signal=s3
store source=[8] destination=[256] memory=activations row_bytes=4 rows=1 wait=s3 signal=s4
load source=[0] destination=[8] memory=activations row_bytes=2 rows=1 wait=s4 signal=s5
store source=[0] destination=[256] memory=activations row_bytes=8 rows=1 wait=s5
"""
    monkeypatch.setattr("accelsim.profile.occupancy.BINS", 1)
    monkeypatch.setattr("accelsim.profile.occupancy._LIVES", 0)
    found = occupancy(tiny_program(code), trace(code).cycles)
    assert found.peak_bytes["activations"].tolist() == [12]
    assert sum(buffer.held_bytes[0] for buffer in found.buffers) < 9


def test_an_overwritten_value_is_held_to_its_last_read_only() -> None:
    """The second load overwrites what the store has read: the first value counts to the end of the store's beat."""
    code = """
load source=[0] destination=[0] memory=activations row_bytes=4 rows=1 signal=s1
store source=[0] destination=[256] memory=activations row_bytes=4 rows=1 wait=s1 signal=s2
load source=[0] destination=[0] memory=activations row_bytes=4 rows=1 wait=s2 signal=s3
store source=[0] destination=[260] memory=activations row_bytes=4 rows=1 wait=s3
"""
    found = trace(code)
    loads = [row for row in found.rows if row[0] == "LD"]
    stores = [row for row in found.rows if row[0] == "ST"]
    (row,) = held(tiny_program(code), found.cycles).values()
    for load, store in zip(loads, stores, strict=True):
        assert row[int(load[5]) : int(store[4]) + 1] == pytest.approx([4] * (int(store[4]) + 1 - int(load[5])))
        assert row[int(store[4]) + 1] == 0


def test_what_nothing_reads_is_not_held() -> None:
    code = "load source=[0] destination=[0] memory=weights row_bytes=8 rows=1"
    assert held(tiny_program(code), trace(code).cycles) == {}


def test_what_set_up_left_is_held_all_the_time_unless_it_is_overwritten() -> None:
    """Bytes 0 to 3 stay for each frame; 8 to 11 are overwritten after the first store has read them."""
    code = """
load source=[0] destination=[0] memory=activations row_bytes=16 rows=1
frame
store source=[0] destination=[256] memory=activations row_bytes=4 rows=1 signal=s1
store source=[8] destination=[260] memory=activations row_bytes=4 rows=1 signal=s2
load source=[0] destination=[8] memory=activations row_bytes=4 rows=1 wait=s2
"""
    program = tiny_program(code)
    events = all_operations(program)
    assert list(events["index"]) == [2, 3, 4]
    read = int(events["issued"][1]) + 1
    cycles = int(events["done"].max()) + 1
    (row,) = held(program, cycles).values()
    assert row == pytest.approx([8] * read + [4] * (cycles - read))


def test_rows_lie_apart() -> None:
    """Two rows of 2 bytes, 8 apart: the gap between them is not held."""
    code = """
load source=[0] destination=[0] memory=activations row_bytes=2 rows=2 source_pitch=2 destination_pitch=8 signal=s1
store source=[0] destination=[256] memory=activations row_bytes=16 rows=1 wait=s1
"""
    found = trace(code)
    (row,) = held(tiny_program(code), found.cycles).values()
    assert max(row) == pytest.approx(4)


def test_other_operations_are_refused() -> None:
    events = all_operations(tiny_program(COPY))
    counter = OccupancyCounter(tiny_program(COPY), 26)
    counter(events[:2])
    with pytest.raises(InternalError, match="not those of the program"):
        counter.finish()
    wrong = events.copy()
    wrong["index"][0] = 1
    with pytest.raises(InternalError, match="not in program order"):
        OccupancyCounter(tiny_program(COPY), 26)(wrong)
