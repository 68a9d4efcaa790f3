from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from report_runs import Recorded

from accelsim.isa.opcodes import Unit
from accelsim.report import timeline
from accelsim.report.timeline import BINS, QUEUED, TimeBins, operation_columns, timeline_of
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
        {"unit": load, "index": 1, "layer": 0, "started": 5, "issued": 9, "done": 11, "busy": 5, "bank": 2, "dram": 3},
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
        "dram": [3, 0, 0],
    }


def test_a_run_of_few_operations_holds_each(recorded: Recorded) -> None:
    found = timeline_of(recorded.program, recorded.counters)
    assert found is not None
    operations = found["operations"]
    assert len(operations["unit"]) == recorded.counters.operations[list(QUEUED)].sum()
    for unit in QUEUED:
        busy = operations["busy"][operations["unit"] == unit].sum()
        assert busy == recorded.counters.units[unit, :, Reason.BUSY].sum()


def test_states_are_those_of_the_books(recorded: Recorded) -> None:
    """Of every unit, layer and reason; so that the picture and the table beside it say the same."""
    found = timeline_of(recorded.program, recorded.counters)
    assert found is not None
    states = found["states"]
    sums = np.zeros_like(recorded.counters.units)
    np.add.at(sums, (states["unit"], states["layer"], states["reason"]), states["end"] - states["begin"])
    expected = recorded.counters.units.copy()
    expected[:, :, Reason.IDLE] = 0
    assert (sums == expected).all()
    assert expected[Unit.SEQUENCER].any()
    assert (np.diff(states["begin"]) >= 0).all()
    assert states["reasons"][Reason.DRAM] == "dram"


def stretches(*rows: tuple[int, int, int, int, int]) -> Any:
    return np.array(rows, dtype=np.int64)


def test_bins_by_hand() -> None:
    bins = TimeBins(2, 4 * BINS)
    assert bins.bin_cycles == 4
    # It issues in cycles 2 to 9: two cycles in the first bin, four in the second, two in the third; then it waits.
    bins(stretches((1, Reason.BUSY, 0, 2, 10), (1, Reason.BANK, -1, 10, 11)))
    bins(stretches((1, Reason.DRAM, 0, 11, 13), (1, Reason.IDLE, 0, 13, 30)))
    busy, waiting = bins.cycles_by_bin
    assert busy[1, 0, :4].tolist() == [2, 4, 2, 0]
    assert waiting[1, 0, :4].tolist() == [0, 0, 1, 1]
    assert waiting[1, 2, :4].tolist() == [0, 0, 1, 0]
    assert [{key: np.asarray(value).tolist() for key, value in one.items()} for one in bins.stretches()] == [
        {"unit": 1, "layer": 0, "first": 0, "busy": [2, 4, 2, 0], "waiting": [0, 0, 1, 1]},
        {"unit": 1, "layer": -1, "first": 2, "busy": [0], "waiting": [1]},
    ]


def test_bins_hold_every_cycle_however_the_states_come(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MOST_STRETCHES", 10)
    counters = recorded.counters
    given = timeline.time_frame

    def in_parts(program: Any, *, take_events: Any, take_states: Any) -> Any:
        def parts(changes: Any) -> None:
            for start in range(0, len(changes), 7):
                take_states(changes[start : start + 7])

        return given(program, take_events=take_events, take_states=parts)

    whole = timeline_of(recorded.program, counters)
    monkeypatch.setattr(timeline, "time_frame", in_parts)
    parts = timeline_of(recorded.program, counters)
    assert whole is not None
    assert parts is not None
    assert str(parts) == str(whole)
    assert set(whole) == {"operations", "bins", "bin_cycles"}
    busy = np.zeros_like(counters.units[:, :, 0])
    waiting = np.zeros_like(busy)
    for one in whole["bins"]:
        busy[one["unit"], one["layer"]] += one["busy"].sum()
        waiting[one["unit"], one["layer"]] += one["waiting"].sum()
    assert (busy == counters.units[:, :, Reason.BUSY]).all()
    assert (busy + waiting == counters.units.sum(axis=2) - counters.units[:, :, Reason.IDLE]).all()


def test_a_long_run_is_in_bins_and_a_very_long_one_left_out(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "MOST_OPERATIONS", 10)
    found = timeline_of(recorded.program, recorded.counters)
    assert found is not None
    assert set(found) == {"bins", "bin_cycles"}
    monkeypatch.setattr(timeline, "MOST_BINNED", 10)
    assert timeline_of(recorded.program, recorded.counters) is None
