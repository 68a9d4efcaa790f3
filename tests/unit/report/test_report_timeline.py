from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from report_runs import Recorded

from accelsim.isa.opcodes import Unit
from accelsim.report import timeline
from accelsim.report.timeline import BINS, LANES, TimeBins, operation_columns, timeline_of
from accelsim.timing.record import EVENT, Reason


def events_of(*rows: dict[str, int]) -> Any:
    events = np.zeros(len(rows), dtype=EVENT)
    for at, row in enumerate(rows):
        for name, value in row.items():
            events[at][name] = value
    return events


def test_operations_begin_where_the_one_before_has_ended() -> None:
    load, matrix = int(Unit.LOAD), int(Unit.MATRIX)
    events = events_of(
        {"unit": matrix, "index": 7, "layer": 1, "started": 20, "issued": 29, "done": 35, "busy": 10},
        {"unit": load, "index": 1, "layer": 0, "started": 5, "issued": 9, "done": 11, "busy": 5, "bank": 2},
        {"unit": load, "index": 2, "layer": -1, "started": 6, "issued": 14, "done": 16, "busy": 3},
    )
    columns = operation_columns(events)
    assert {name: values.tolist() for name, values in columns.items()} == {
        "unit": [load, load, matrix],
        "index": [1, 2, 7],
        "layer": [0, -1, 1],
        "dispatched": [0, 0, 0],
        "begin": [5, 10, 20],
        "end": [10, 15, 30],
        "done": [12, 17, 36],
        "busy": [5, 3, 10],
        "semaphore": [0, 0, 0],
        "dependency": [0, 0, 0],
        "bank": [2, 0, 0],
    }


def test_a_run_of_few_operations_holds_each(recorded: Recorded) -> None:
    found = timeline_of(recorded.program, recorded.counters)
    assert found is not None
    operations = found["operations"]
    assert len(operations["unit"]) == recorded.counters.operations[list(LANES)].sum()
    for unit in LANES:
        busy = operations["busy"][operations["unit"] == unit].sum()
        assert busy == recorded.counters.units[unit, :, Reason.BUSY].sum()


def test_bins_by_hand() -> None:
    bins = TimeBins(2, 4 * BINS)
    assert bins.bin_cycles == 4
    # Cycles 2 to 9, half of them busy: two cycles in the first bin, four in the second, two in the third.
    bins(events_of({"unit": 1, "layer": 0, "started": 2, "issued": 9, "busy": 4}))
    bins(events_of({"unit": 1, "layer": -1, "started": 8, "issued": 10, "busy": 1}))
    active, busy = bins.cycles_by_bin
    assert active[1, 0, :4].tolist() == [2, 4, 2, 0]
    assert busy[1, 0, :4].tolist() == [1, 2, 1, 0]
    # It asked for data in cycle 8, but the unit was free from 10 on.
    assert active[1, 2, :4].tolist() == [0, 0, 1, 0]
    assert bins.stretches() == [
        {"unit": 1, "layer": 0, "first": 0, "active": pytest.approx([2, 4, 2]), "busy": pytest.approx([1, 2, 1])},
        {"unit": 1, "layer": -1, "first": 2, "active": pytest.approx([1]), "busy": pytest.approx([1])},
    ]


def test_bins_hold_every_busy_cycle_however_the_operations_come(recorded: Recorded) -> None:
    counters = recorded.counters
    whole, parts = (TimeBins(counters.layers, counters.cycles) for _ in range(2))
    whole(recorded.events)
    for start in range(0, len(recorded.events), 7):
        parts(recorded.events[start : start + 7])
    active, busy = whole.cycles_by_bin
    np.testing.assert_allclose(parts.cycles_by_bin, whole.cycles_by_bin, atol=1e-6)
    for lane, unit in enumerate(LANES):
        np.testing.assert_allclose(busy[lane].sum(axis=1), counters.units[unit, :, Reason.BUSY], atol=1e-6)
    assert active.sum(axis=1).max() <= whole.bin_cycles + 1e-6


def test_a_long_run_is_in_bins_and_a_very_long_one_left_out(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MOST_OPERATIONS", 10)
    found = timeline_of(recorded.program, recorded.counters)
    assert found is not None
    assert set(found) == {"bins", "bin_cycles"}
    busy = sum(stretch["busy"].sum() for stretch in found["bins"])
    assert busy == pytest.approx(recorded.counters.units[list(LANES), :, Reason.BUSY].sum(), rel=1e-3)
    monkeypatch.setattr(timeline, "MOST_BINNED", 10)
    assert timeline_of(recorded.program, recorded.counters) is None
