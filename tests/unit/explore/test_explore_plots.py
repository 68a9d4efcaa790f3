"""What the figures of a sweep show, on tables made from formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from sweep_tables import AXES, sweep_table

from accelsim.errors import InputError
from accelsim.explore.figures.columns import column_text, metric_text, result_text, tick_text, value_text
from accelsim.explore.figures.heat_map import plot_heat_map, strongest_keys
from accelsim.explore.figures.parallel import plot_parallel
from accelsim.explore.figures.pareto import MOST_NUMBERED, plot_pareto
from accelsim.explore.plots import draw_sweep_plots, sweep_plot_files
from tests.support.figures import cut_off, overlaps, shown_texts


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Points of one model, done where they have a time."""
    points = pd.DataFrame(
        [
            {"model": "m", "batch": 1, "time_us": np.nan, "energy_per_frame_nj": np.nan, "area_mm2": np.nan} | row
            for row in rows
        ]
    )
    points.insert(0, "number", range(len(points)))
    points["status"] = np.where(np.isfinite(points["time_us"]), "done", "failed")
    return points


SMALL = table(
    [
        {"mac.rows": 8, "mac.columns": 8, "time_us": 10.0, "energy_per_frame_nj": 1.0},
        {"mac.rows": 8, "mac.columns": 16, "time_us": 5.0, "energy_per_frame_nj": 2.0},
        {"mac.rows": 16, "mac.columns": 8, "time_us": 6.0, "energy_per_frame_nj": 3.0},
        {"mac.rows": 16, "mac.columns": 16, "time_us": 4.0, "energy_per_frame_nj": 4.0},
        {"mac.rows": 32, "mac.columns": 8, "time_us": 5.0, "energy_per_frame_nj": 2.0},
        {"mac.rows": 32, "mac.columns": 16},
    ]
)
SMALL_AXES = {"mac.rows": [8, 16, 32, 64], "mac.columns": [8, 16]}


def test_every_figure_of_a_sweep() -> None:
    figures = draw_sweep_plots(sweep_table(), AXES, ["latency", "energy", "area"])
    assert list(figures) == [
        *(
            "pareto_energy_per_frame_nj_over_time_us",
            "pareto_area_mm2_over_time_us",
            "pareto_area_mm2_over_energy_per_frame_nj",
        ),
        *("heat_map_time_us", "heat_map_energy_per_frame_nj", "heat_map_area_mm2", "parallel"),
    ]
    for name, figure in figures.items():
        assert (name, overlaps(figure), cut_off(figure)) == (name, [], [])


def test_files_are_the_same_each_time() -> None:
    first, second = (sweep_plot_files(SMALL, SMALL_AXES, [], formats=("png", "svg")) for _ in range(2))
    assert first == second
    assert len(first) == 2 * 4
    for name, content in first.items():
        assert content.startswith(b"\x89PNG" if name.endswith(".png") else b"<?xml")


def test_pareto_by_hand() -> None:
    """(10, 1), (5, 2) twice and (4, 4) are on the front; (6, 3) is beaten by (5, 2)."""
    done = SMALL[SMALL["status"] == "done"]
    figure = plot_pareto(done, SMALL_AXES, ("time_us", "energy_per_frame_nj"), title="m")
    plot, listed = figure.axes
    dominated, stairs, front = plot.lines
    assert dominated.get_xydata().tolist() == [[6, 3]]
    assert sorted(front.get_xydata().tolist()) == [[4, 4], [5, 2], [5, 2], [10, 1]]
    assert stairs.get_xydata().tolist() == [[4, 4], [5, 4], [5, 2], [10, 2], [10, 1]]
    assert (plot.get_xlabel(), plot.get_ylabel()) == ("latency in µs", "energy a frame in nJ")
    assert [text.get_text() for text in plot.texts] == ["1", "2", "3"]
    cells = [text.get_text() for text in listed.texts]
    assert cells == [
        *("no.", "mac.\nrows", "mac.\ncolumns", "latency\nin µs", "energy a frame\nin nJ"),
        *("1", "16", "16", "4", "4"),
        *("2 (+1 equal)", "8", "16", "5", "2"),
        *("3", "8", "8", "10", "1"),
    ]
    assert "5 points, 3 on the front" in figure.get_suptitle()


def test_a_long_front_is_numbered_at_its_ends_and_between() -> None:
    points = table([{"mac.rows": n, "time_us": 200.0 - n, "energy_per_frame_nj": 1.0 + n} for n in range(100)])
    figure = plot_pareto(points, {"mac.rows": list(range(100))}, ("time_us", "energy_per_frame_nj"))
    assert "100 points, 100 on the front; 16 are numbered" in figure.get_suptitle()
    rows = [text.get_text() for text in figure.axes[1].texts[4::4]][:MOST_NUMBERED]
    assert len(rows) == MOST_NUMBERED
    listed = [text.get_text() for text in figure.axes[1].texts]
    assert listed[5] == "99"
    assert listed[-3] == "0"
    assert (overlaps(figure), cut_off(figure)) == ([], [])


def test_points_on_the_front_of_all_objectives_have_a_ring() -> None:
    done = SMALL[SMALL["status"] == "done"].assign(area_mm2=[5.0, 4.0, 1.0, 6.0, 4.0])
    objectives = ["time_us", "energy_per_frame_nj", "area_mm2"]
    figure = plot_pareto(done, SMALL_AXES, ("time_us", "energy_per_frame_nj"), all_objectives=objectives)
    ring = figure.axes[0].lines[-1]
    # (6, 3) has the least area.
    assert sorted(ring.get_xydata().tolist()) == [[4, 4], [5, 2], [5, 2], [6, 3], [10, 1]]


def test_heat_map_by_hand() -> None:
    figure = plot_heat_map(SMALL, SMALL_AXES, ("mac.rows", "mac.columns"), "time_us")
    plot, bar = figure.axes
    cells = plot.images[0].get_array()
    assert cells is not None
    np.testing.assert_array_equal(np.ma.filled(cells, np.nan), [[10, 6, 5], [5, 4, np.nan]])
    assert [text.get_text() for text in plot.texts] == ["10", "6", "5", "5", "4"]
    # The one that failed is hatched.
    (failed,) = [patch for patch in plot.patches if patch.get_hatch()]
    assert failed.get_bbox().bounds == (1.5, 0.5, 1, 1)
    assert "hatched: all failed" in figure.get_suptitle()
    assert bar.get_ylabel() == "latency in µs"
    assert (plot.get_xlabel(), plot.get_ylabel()) == ("mac.rows", "mac.columns")
    assert [label.get_text() for label in plot.get_xticklabels()] == ["8", "16", "32"]


def test_a_cell_is_the_best_over_the_other_keys() -> None:
    points = sweep_table(fail=False)
    figure = plot_heat_map(points, AXES, ("mac.rows", "dram.bytes_per_cycle"), "time_us")
    cells = figure.axes[0].images[0].get_array()
    assert cells is not None
    expected = points.groupby(["dram.bytes_per_cycle", "mac.rows"])["time_us"].min().unstack().to_numpy()
    np.testing.assert_allclose(cells, expected)
    text = "each cell: the least over mac.columns, sram.weights.capacity_bytes"
    assert text in figure.get_suptitle()
    figure = plot_heat_map(points, AXES, ("mac.rows", "dram.bytes_per_cycle"), "mac_utilization")
    cells = figure.axes[0].images[0].get_array()
    expected = points.groupby(["dram.bytes_per_cycle", "mac.rows"])["mac_utilization"].max().unstack().to_numpy()
    np.testing.assert_allclose(cells, expected)
    assert "the most over" in figure.get_suptitle()


def test_values_far_apart_have_a_logarithmic_scale_and_cells_too_small_no_number() -> None:
    axes = {"a.x": list(range(60)), "a.y": list(range(30))}
    points = table([{"a.x": x, "a.y": y, "time_us": 10.0 ** (x / 10)} for x in axes["a.x"] for y in axes["a.y"]])
    figure = plot_heat_map(points, axes, ("a.x", "a.y"), "time_us")
    assert figure.axes[1].get_ylabel() == "latency in µs, log scale"
    assert type(figure.axes[0].images[0].norm).__name__ == "LogNorm"
    assert list(figure.axes[0].texts) == []
    assert (overlaps(figure), cut_off(figure)) == ([], [])


def test_cells_that_were_not_tried_are_named() -> None:
    figure = plot_heat_map(SMALL.iloc[:3], SMALL_AXES, ("mac.rows", "mac.columns"), "time_us")
    assert "white: not tried" in figure.get_suptitle()
    assert [patch for patch in figure.axes[0].patches if patch.get_hatch()] == []


def test_the_strongest_keys_are_mapped() -> None:
    rows = [
        {"a.weak": weak, "a.strong": strong, "a.middle": middle, "time_us": 100.0 * strong + 10 * middle + weak}
        for weak in (1, 2)
        for strong in (1, 2)
        for middle in (1, 2)
    ]
    axes = {"a.weak": [1, 2], "a.strong": [1, 2], "a.middle": [1, 2]}
    points = table(rows)
    assert strongest_keys(points, axes, "time_us") == ["a.strong", "a.middle", "a.weak"]
    figure = draw_sweep_plots(points, axes, ["latency"])["heat_map_time_us"]
    assert figure.axes[0].get_xlabel() == "a.strong"


def test_parallel_by_hand() -> None:
    done = SMALL[SMALL["status"] == "done"]
    figure = plot_parallel(done, SMALL_AXES, ["time_us", "energy_per_frame_nj"])
    plot = figure.axes[0]
    assert [label.get_text() for label in plot.get_xticklabels()] == [
        *("mac.\nrows", "mac.\ncolumns", "latency\nin µs", "energy a frame\nin nJ"),
    ]
    others, front = [one for one in plot.collections if isinstance(one, LineCollection)]
    assert len(others.get_segments()) == 1
    assert len(front.get_segments()) == 4
    # The best is drawn last: rows 16 of 8, 16, 32; columns 16 of 8, 16; least time; most energy.
    best = front.get_segments()[-1]
    assert best[:, 0].tolist() == [0, 1, 2, 3]
    assert 1 / 3 < best[0, 1] < 2 / 3
    assert 1 / 2 < best[1, 1] < 1
    assert best[2:, 1].tolist() == [0, 1]
    assert front.get_array().tolist() == [10, 5, 5, 4]


def test_lines_of_a_value_are_a_bundle_apart_from_those_of_the_next() -> None:
    points = table([{"mac.rows": n % 4, "time_us": 1.0 + n} for n in range(200)])
    figure = plot_parallel(points, {"mac.rows": [0, 1, 2, 3]}, ["time_us"])
    lines = [one for one in figure.axes[0].collections if isinstance(one, LineCollection)]
    starts = np.array([line[0, 1] for one in lines for line in one.get_segments()])
    values = [1 / 8, 3 / 8, 5 / 8, 7 / 8]
    for value in values:
        assert np.sum(np.abs(starts - value) <= 0.15 / 4) == 50
    # 199 points that the first beats; together they leave the ground white.
    others, front = lines
    assert len(others.get_segments()) * float(others.get_alpha() or 1) <= 200 * 0.15
    assert float(front.get_alpha() or 1) == 1
    # From 1 to 200 the scales are logarithmic, and their numbers are plain.
    assert "log scale" in figure.axes[1].get_ylabel()
    assert not any("10^" in text for text, _ in shown_texts(figure))


@pytest.mark.parametrize(("times", "scale"), [(4.9, "linear"), (5.0, "log")])
def test_an_objective_has_a_logarithmic_axis_where_it_spreads_far(times: float, scale: str) -> None:
    points = table([{"mac.rows": n, "time_us": n * 10.0, "energy_per_frame_nj": 3.0 - n} for n in (1, 2)])
    points.loc[1, "time_us"] = 10.0 * times
    figure = plot_pareto(points, {"mac.rows": [1, 2]}, ("time_us", "energy_per_frame_nj"))
    assert (figure.axes[0].get_xscale(), figure.axes[0].get_yscale()) == (scale, "linear")


def test_one_point_of_a_value_goes_through_it() -> None:
    points = table([{"mac.rows": n, "time_us": 1.0 * n} for n in (8, 16, 32)])
    figure = plot_parallel(points, {"mac.rows": [32, 8, 16]}, ["time_us"])
    lines = [one for one in figure.axes[0].collections if isinstance(one, LineCollection)]
    starts = sorted(float(line[0, 1]) for one in lines for line in one.get_segments())
    assert starts == pytest.approx([1 / 6, 3 / 6, 5 / 6])


def test_models_and_batches_have_figures_of_their_own() -> None:
    two = pd.concat([SMALL, SMALL.assign(model="b$x/y"), SMALL.assign(batch=4)])
    names = draw_sweep_plots(two, SMALL_AXES, ["latency", "energy"])
    assert [name for name in names if name.startswith("parallel")] == [
        *("parallel_m_batch_1", "parallel_b_x_y_batch_1", "parallel_m_batch_4"),
    ]
    assert r"b\$x/y, batch 1" in names["parallel_b_x_y_batch_1"].get_suptitle()


def test_a_batch_that_is_swept_is_a_setting_like_others() -> None:
    two = pd.concat([SMALL, SMALL.assign(batch=4, time_us=2 * SMALL["time_us"])])
    figures = draw_sweep_plots(two, {"batch": [1, 4], **SMALL_AXES}, ["latency", "energy"])
    assert list(figures) == [
        *("pareto_energy_per_frame_nj_over_time_us", "heat_map_time_us", "heat_map_energy_per_frame_nj", "parallel"),
    ]
    ticks = [label.get_text() for label in figures["parallel"].axes[0].get_xticklabels()]
    assert ticks[:3] == ["batch", "mac.\nrows", "mac.\ncolumns"]


@pytest.mark.parametrize(
    ("points", "axes", "names", "notes"),
    [
        (
            SMALL.assign(status="failed"),
            SMALL_AXES,
            [],
            ["no figures: no point of 6 has a result"],
        ),
        (
            SMALL.iloc[:1],
            SMALL_AXES,
            [],
            [
                "no pareto: there is one objective, time_us",
                "no heat_map: it takes two keys of several values, here are 0",
                "no parallel: the points with results are all of the same settings",
            ],
        ),
        (SMALL, SMALL_AXES, ["heat_map_time_us", "parallel"], ["no pareto: there is one objective, time_us"]),
    ],
)
def test_what_shows_nothing_is_left_out_with_a_note(
    points: pd.DataFrame, axes: dict[str, list[Any]], names: list[str], notes: list[str]
) -> None:
    told: list[str] = []
    assert list(draw_sweep_plots(points, axes, ["latency"], note=told.append)) == names
    assert told == notes


def test_results_that_no_point_has_are_no_unknown_objective() -> None:
    """As the database gives them: a column without any value is no column of numbers."""
    failed = SMALL.assign(status="failed", time_us=None, energy_per_frame_nj=None, area_mm2=None)
    told: list[str] = []
    assert draw_sweep_plots(failed, SMALL_AXES, [], note=told.append) == {}
    assert told == ["no figures: no point of 6 has a result"]
    without_area = SMALL.assign(area_mm2=pd.Series([None] * len(SMALL), dtype=object))
    names = list(draw_sweep_plots(without_area, SMALL_AXES, []))
    assert [name for name in names if name.startswith("pareto")] == ["pareto_energy_per_frame_nj_over_time_us"]


def test_an_unknown_objective() -> None:
    with pytest.raises(
        InputError, match="objective: found 'speed'; expected one of latency, time, energy, area, cycles, dram, time_us"
    ):
        draw_sweep_plots(SMALL, SMALL_AXES, ["speed"])


def test_texts_and_bools_are_values_too() -> None:
    rows = [
        {"chaining.enabled": on, "energy.table": name, "time_us": 5.0 + on + len(name), "energy_per_frame_nj": 9.0 - on}
        for on in (True, False)
        for name in ("45nm", "a_table_with_a_name_too_long_for_a_tick")
    ]
    axes = {"chaining.enabled": [True, False], "energy.table": ["45nm", "a_table_with_a_name_too_long_for_a_tick"]}
    figures = draw_sweep_plots(table(rows), axes, ["latency", "energy"])
    assert len(figures) == 4
    ticks = [label.get_text() for label in figures["heat_map_time_us"].axes[0].get_xticklabels()]
    assert ticks == ["false", "true"]
    for figure in figures.values():
        texts = [text for text, _ in shown_texts(figure)]
        assert not any(len(text) > 20 for text in texts if text.startswith("a_table"))
        assert (overlaps(figure), cut_off(figure)) == ([], [])


def test_texts_of_values() -> None:
    assert [value_text("sram.weights.capacity_bytes", value) for value in (2048, 1000, 0)] == ["2 KiB", "1,000", "0"]
    assert [value_text("dram.bytes_per_cycle", value) for value in (0.5, 4.0, 1e6)] == ["0.5", "4", "1,000,000"]
    assert [metric_text(value) for value in (0.12345, 12.345, 1234.5, 12345.0, 123456.0, 2.5e6, 3.21e9)] == [
        *("0.123", "12.3", "1,234", "12,345", "123K", "2.5M", "3.21G"),
    ]
    assert [result_text(value) for value in (0.12345, 11.174, 6836.4, 123456.7)] == [
        "0.1235",
        "11.17",
        "6,836",
        "123,457",
    ]
    assert [tick_text(value) for value in (0.1 + 0.2, 1572.5, 2.5e6, 4e9)] == ["0.3", "1,572.5", "2.5M", "4G"]
    assert [column_text(name) for name in ("time_us", "dram_cycles", "energy_mac_nj", "mac.rows")] == [
        *("latency in µs", "dram in cycles", "energy mac in nJ", "mac.rows"),
    ]
