from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from report_runs import MANIFEST, data_of
from report_tables import AXES, LAYERS, made_results

from accelsim.report import sweep, sweep_page
from accelsim.report.points import point_columns, points_of


def test_points_done_and_failed_are_kept_apart() -> None:
    made = made_results(failing=10)
    points = points_of(made.points, AXES, [])
    assert len(points.rows) + len(points.failed) == 48
    assert [row["number"] for row in points.failed] == [9, 19, 29, 39]
    assert points.failed[0]["reason"] == "chip tx5368: weights SRAM: 20,745 bytes needed, 4,096 there"
    assert points.keys == list(AXES)
    assert points.objectives == ["time_us", "energy_nj", "area_mm2"]
    first = points.rows[0]
    assert first["ratio"] == first["cycles"] / first["bound_cycles"]
    assert first["cause"] == "dram"


def test_what_is_not_known_is_left_out() -> None:
    points = points_of(made_results(with_area=False).points, AXES, [])
    assert "area_mm2" not in points.metrics
    assert points.objectives == ["time_us", "energy_nj"]
    assert "area_mm2" not in [column.key for column in point_columns(points)]


def test_a_searchs_objectives_are_those_of_the_front() -> None:
    points = points_of(made_results().points, AXES, ["area", "latency"])
    assert points.objectives == ["area_mm2", "time_us"]
    best = {row["time_us"] for row, front in zip(points.rows, points.front, strict=True) if front}
    assert min(row["time_us"] for row in points.rows) in best


def test_points_of_other_networks_do_not_beat_each_other() -> None:
    points = points_of(made_results(models=("small", "big")).points, AXES, [])
    assert list(points.groups) == ["small", "big"]
    for rows in points.groups.values():
        assert any(points.front[row] for row in rows)


def test_batches_are_a_key_and_compared_by_the_frame() -> None:
    made = made_results(batches=(1, 4), failing=7)
    points = points_of(made.points, {**AXES, "batch": [1, 4]}, [])
    assert points.keys == [*AXES, "batch"]
    assert points.objectives == ["time_per_frame_us", "energy_per_frame_nj", "area_mm2"]
    (rows,) = points.groups.values()
    assert len(rows) == len(points.rows)
    # Four frames at once share what is read of DRAM.
    best = min(points.rows, key=lambda row: row["time_per_frame_us"])
    assert (best["batch"], best["front"]) == (4, "yes")
    titles = {column.key: column.title for column in point_columns(points)}
    assert (titles["cycles"], titles["time_us"], titles["dram_bytes"]) == (
        "cycles of a batch",
        "time of a batch",
        "DRAM traffic of a batch",
    )
    assert titles["time_per_frame_us"] == "time a frame"
    assert [column.title for column in point_columns(points)].count("batch") == 1
    page = sweep_page(made, "s", MANIFEST)
    assert "time, energy and traffic are of a batch" in page
    assert data_of(page)["whose"] == "a batch"


def test_a_search_for_latency_takes_the_whole_batch() -> None:
    points = points_of(made_results(batches=(1, 4)).points, {**AXES, "batch": [1, 4]}, ["latency"])
    assert points.objectives == ["time_us"]
    assert {row["batch"] for row, front in zip(points.rows, points.front, strict=True) if front} == {1}


def test_without_batches_figures_are_a_frames() -> None:
    points = points_of(made_results().points, AXES, [])
    assert points.keys == list(AXES)
    assert points.objectives == ["time_us", "energy_nj", "area_mm2"]
    assert points.metric("cycles").title == "cycles"
    assert "of a batch" not in sweep_page(made_results(), "s", MANIFEST)
    # All of one batch: that is no key, but they are no frame's.
    eight = points_of(made_results(batches=(8,)).points, AXES, [])
    assert "batch" not in eight.keys
    assert eight.metric("cycles").title == "cycles of a batch"


def test_nullable_columns_are_plain_values() -> None:
    frame = made_results({"mac.rows": [8]}).points.convert_dtypes()
    frame.loc[0, "area_mm2"] = pd.NA
    row = points_of(frame, {"mac.rows": [8]}, []).rows[0]
    assert row["area_mm2"] is None
    assert type(row["cycles"]) is int


def test_layers_of_a_page_are_those_of_its_points() -> None:
    made = made_results(failing=5)
    layers = data_of(sweep_page(made, "s", MANIFEST))["layers"]
    points = points_of(made.points, AXES, [])
    assert layers["starts"] == [len(LAYERS) * row for row in range(len(points.rows) + 1)]
    for row, point in enumerate(points.rows):
        mine = slice(layers["starts"][row], layers["starts"][row + 1])
        assert sum(sum(cycles[mine]) for cycles in layers["causes"].values()) == point["cycles"]
        assert sum(layers["dram_bytes"][mine]) == point["dram_bytes"]
        assert [layers["names"][at] for at in layers["name"][mine]] == [name for name, *_ in LAYERS]


def test_of_too_many_layers_those_of_the_front_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "MOST_LAYER_ROWS", 10)
    page = sweep_page(made_results(), "s", MANIFEST)
    data = data_of(page)
    held = np.diff(data["layers"]["starts"]) > 0
    assert held.tolist() == data["front"]
    assert "only those of points on the front are held" in page


def test_the_summary_counts_and_names_the_best() -> None:
    page = sweep_page(made_results(failing=10), "s", MANIFEST)
    assert "48 points of kws12 on chips made from tx5368" in page
    assert "44 done, 4 failed" in page
    assert "4 ×" in page
    points = points_of(made_results(failing=10).points, AXES, [])
    least = min(points.rows, key=lambda row: row["time_us"])
    assert f"{least['time_us']:,.2f} µs" in page
    assert f'data-point="{least["number"]}"' in page


def test_a_sweep_of_which_nothing_is_done_says_so() -> None:
    made = made_results({"mac.rows": [8, 16]}, failing=1)
    page = sweep_page(made, "s", MANIFEST)
    assert "0 done, 2 failed" in page
    assert 'id="front-plot"' not in page
    assert data_of(page)["failed"]["count"] == 2
