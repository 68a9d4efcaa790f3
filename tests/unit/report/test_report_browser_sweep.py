"""A sweep's page in a real browser: that it loads, and does what a reader asks of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from page_reading import buttons, column, header, numbers, said, written
from report_runs import MANIFEST, NASTY
from report_tables import LAYERS, made_results

from accelsim.report import sweep_page
from tests.support.browser import Page


@pytest.fixture(scope="module")
def sweep_path(folder: Path) -> Path:
    return written(sweep_page(made_results(failing=10), "sweep.sqlite", MANIFEST), folder / "sweep.html")


@pytest.fixture
def sweep(driver: Any, sweep_path: Path) -> Page:
    return Page(driver, sweep_path)


def test_a_sweeps_page_loads_without_a_complaint_or_a_request(sweep: Page, sweep_path: Path) -> None:
    assert sweep.complaints() == []
    assert sweep.requests() == [sweep_path.as_uri()]
    assert said(sweep, "points") == "44 rows"
    assert said(sweep, "failed") == "4 rows"
    assert len(column(sweep, "points", "mac.rows")) == 25
    assert {"Box Select", "Lasso Select"} <= set(buttons(sweep))
    assert not [title for title in buttons(sweep) if "hare" in title]


def test_the_front_is_a_step(sweep: Page) -> None:
    """Of points that no other beats; straight lines between them would promise what no point does."""
    shape, x, y = sweep.run(
        "const line = document.getElementById('front-plot').data[0]; return [line.line.shape, line.x, line.y]"
    )
    assert shape == "hv"
    assert x == sorted(x)
    assert y == sorted(y, reverse=True)


def test_marks_of_a_logarithmic_axis_are_round_numbers(sweep: Page) -> None:
    assert sweep.run("return decadeTicks(0.3, 2).filter((one) => one >= 0.3 && one <= 2)") == pytest.approx(
        [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 2], rel=0, abs=0
    )
    assert sweep.run("return decadeTicks(10, 900).filter((one) => one >= 10 && one <= 900)") == [
        *(10, 20, 50, 100, 200, 500),
    ]
    assert sweep.run("return decadeTicks(1, 5000).filter((one) => one >= 1 && one <= 5000)") == [1, 10, 100, 1000]
    kinds = sweep.run(
        "const { xaxis, yaxis } = document.getElementById('front-plot').layout; return [xaxis.type, yaxis.type]"
    )
    assert "log" in kinds


def selected(page: Page) -> int:
    text = page.texts("#selected")[0]
    return int(text.split()[0].replace(",", "")) if text else 0


def brushed(page: Page, low: float, high: float) -> list[float]:
    """Brush a stretch of the first axis of the scatter with the mouse; the times of all points in it."""
    page.drag("#front-plot .nsewdrag", (low, 0.02), (high, 0.98))
    page.wait(lambda: selected(page), "points are selected")
    selection = page.run("return document.getElementById('front-plot').layout.selections[0]")
    first, last = sorted((selection["x0"], selection["x1"]))
    return [time for time in page.run("return VALUES.time_us") if first <= time <= last]


def test_a_brush_on_the_front_filters_the_table_and_a_double_click_lets_go(sweep: Page) -> None:
    inside = brushed(sweep, 0.01, 0.4)
    assert 0 < len(inside) < 44
    assert selected(sweep) == len(inside)
    assert said(sweep, "points") == f"{len(inside)} of 44 rows"
    shown = numbers(column(sweep, "points", "time"))
    assert shown == pytest.approx(inside[: len(shown)], abs=0.01)
    # The other plots show it: pale lines for the rest, frames round the cells.
    sweep.wait(
        lambda: sweep.run("return document.getElementById('heat-plot').layout.shapes.length"), "cells are framed"
    )
    pale = """const traces = document.getElementById("parallel-plot").data;
      return traces.filter((trace) => trace.line && trace.line.color === PALE).length"""
    assert sweep.run(pale) == 1
    sweep.click("#front-plot .nsewdrag", (0.9, 0.1), twice=True)
    sweep.wait(lambda: not selected(sweep), "the selection is gone")
    assert said(sweep, "points") == "44 rows"
    sweep.wait(lambda: sweep.run(pale) == 0, "no line is pale")
    assert not sweep.run("return (document.getElementById('front-plot').layout.selections || []).length")
    assert sweep.complaints() == []


def test_a_brush_is_let_go_of_by_a_button_too(sweep: Page) -> None:
    brushed(sweep, 0.01, 0.5)
    sweep.one("#let-go").click()
    assert said(sweep, "points") == "44 rows"
    gone = "return document.querySelectorAll('#front-plot .selectionlayer path').length"
    sweep.wait(lambda: sweep.run(gone) == 0, "the box is gone")


def test_a_brush_on_the_parallel_coordinates_selects_lines(sweep: Page) -> None:
    # The first axis is mac.rows, and its upper end is 32.
    places = sweep.run(
        """const { xaxis, yaxis } = document.getElementById("parallel-plot")._fullLayout;
        return [xaxis.d2p(0) / xaxis._length, yaxis.d2p(1) / yaxis._length]"""
    )
    sweep.drag("#parallel-plot .nsewdrag", (places[0] - 0.02, places[1] - 0.04), (places[0] + 0.02, places[1] + 0.1))
    sweep.wait(lambda: selected(sweep), "lines are selected")
    assert set(column(sweep, "points", "mac.rows")) == {"32"}


def test_points_sort_and_filter(sweep: Page) -> None:
    header(sweep, "points", "energy").click()
    shown = numbers(column(sweep, "points", "energy"))
    assert shown == sorted(shown)
    sweep.one('[data-table="points"] [data-filter="mac.rows"]').send_keys("10..20")
    assert set(column(sweep, "points", "mac.rows")) == {"16"}
    sweep.one('[data-table="points"] [data-filter="front"]').send_keys("yes")
    assert set(column(sweep, "points", "front")) == {"yes"}


def test_more_columns_can_be_shown(sweep: Page) -> None:
    before = sweep.texts('[data-table="points"] thead tr:first-child button')
    sweep.one('[data-table="points"] summary').click()
    label = next(
        one
        for one in sweep.driver.find_elements("css selector", '[data-table="points"] label')
        if one.text.startswith("schedule")
    )
    label.click()
    after = sweep.texts('[data-table="points"] thead tr:first-child button')
    assert after == [*before, "schedule"]
    assert set(column(sweep, "points", "schedule")) == {"wavefront, 7 steps between layers"}


def test_a_click_on_a_point_shows_its_layers_and_its_neighbours(sweep: Page) -> None:
    sweep.one('[data-table="points"] tbody tr').click()
    sweep.wait(lambda: sweep.texts("#layers-plot .ytick text"), "its layers are drawn")
    assert sweep.texts("#point-title") == ["Point 0"]
    assert [text.split()[0] for text in sweep.texts("#layers-plot .ytick text")] == [name for name, *_ in LAYERS]
    cycles = sweep.run(
        "return document.getElementById('layers-plot').data.flatMap((trace) => trace.x).reduce((a, b) => a + b)"
    )
    assert cycles == sweep.run("return VALUES.cycles[0]")
    # Point 0 has the least of each key: one step up for each, by hand from the table.
    rows = sweep.run(
        """const rows = [...document.querySelectorAll("#point-steps tbody tr")];
        return rows.map((row) => [...row.cells].map((cell) => cell.textContent))"""
    )
    assert [row[0] for row in rows] == ["mac.rows = 16", "mac.columns = 16", "dram.bytes_per_cycle = 2"]
    assert [row[-1] for row in rows] == ["16", "4", "1"]
    first, second = sweep.run("return [VALUES.time_us[0], VALUES.time_us[1]]")
    change = 100 * (second - first) / first
    assert rows[2][1] == f"{'+' if change > 0 else '−'}{abs(change):.1f} %"


def test_a_click_on_a_mark_shows_the_point(sweep: Page) -> None:
    sweep.click("#front-plot .trace:nth-child(2) .point")
    sweep.wait(lambda: sweep.texts("#point-title")[0], "the point is shown")
    assert sweep.texts('[data-table="points"] tr.chosen') or said(sweep, "points")


def test_the_heat_map_shows_the_best_of_each_cell(sweep: Page) -> None:
    script = """const plot = document.getElementById('heat-plot').data[0];
      return plot.customdata.flat().filter((row) => row !== null).map((row) => VALUES.time_us[row])"""
    best = sweep.run(
        """const best = new Map();
        VALUES.time_us.forEach((time, row) => {
          const key = `${VALUES['mac.columns'][row]} ${VALUES['mac.rows'][row]}`;
          best.set(key, Math.min(time, best.has(key) ? best.get(key) : Infinity));
        });
        return [...best.values()]"""
    )
    assert sorted(sweep.run(script)) == sorted(best)
    from selenium.webdriver.support.ui import Select

    Select(sweep.one("#heat-metric")).select_by_visible_text("area")
    sweep.wait(
        lambda: "area" in sweep.run("return document.getElementById('heat-plot').data[0].colorbar.title.text"), "area"
    )
    Select(sweep.one("#heat-x")).select_by_visible_text("dram.bytes_per_cycle")
    title = "return document.getElementById('heat-plot').layout.xaxis.title.text"
    sweep.wait(lambda: sweep.run(title) == "dram.bytes_per_cycle", "the other axis")
    Select(sweep.one("#heat-bar .fixed select")).select_by_visible_text("16")
    rows = """const cells = document.getElementById("heat-plot").data[0].customdata.flat();
      return cells.filter((row) => row !== null).map((row) => VALUES["mac.rows"][row])"""
    sweep.wait(lambda: set(sweep.run(rows)) == {16}, "the key that is no axis is fixed")


def test_a_cell_whose_points_all_failed_has_a_cross(driver: Any, folder: Path) -> None:
    made = made_results({"mac.rows": [8, 16], "mac.columns": [8, 16]}, failing=2)
    page = Page(driver, written(sweep_page(made, "lost", MANIFEST), folder / "lost.html"))
    marks = page.run(
        """const marks = document.getElementById("heat-plot").layout.annotations;
        return marks.map((one) => [one.x, one.y, one.text])"""
    )
    assert [mark[:2] for mark in marks if mark[2] == "✕"] == [[0, 1], [1, 1]]
    assert len(marks) == 4
    assert page.complaints() == []


def test_networks_are_shown_apart(driver: Any, folder: Path) -> None:
    made = made_results({"mac.rows": [8, 16, 32], "mac.columns": [8, 16]}, models=("small", "big"), with_area=False)
    page = Page(driver, written(sweep_page(made, "two", MANIFEST), folder / "two.html"))
    assert set(column(page, "points", "model")) == {"small"}
    from selenium.webdriver.support.ui import Select

    Select(page.one("#group")).select_by_visible_text("big")
    page.wait(lambda: set(column(page, "points", "model")) == {"big"}, "the other network")
    shown = """const traces = document.getElementById("front-plot").data;
      return traces.flatMap((trace) => trace.customdata || []).map((row) => VALUES.model[row])"""
    page.wait(lambda: set(page.run(shown)) == {"big"}, "its marks")
    assert page.complaints() == []


def test_batches_are_an_axis_as_other_keys_are(driver: Any, folder: Path) -> None:
    made = made_results({"mac.rows": [8, 16, 32]}, batches=(1, 4), failing=6)
    page = Page(driver, written(sweep_page(made, "batches", MANIFEST), folder / "batches.html"))
    assert set(column(page, "points", "batch")) == {"1", "4"}
    assert (
        len(page.run("return document.getElementById('front-plot').data.flatMap((trace) => trace.customdata || [])"))
        == 5
    )
    assert page.run("return [STATE.heatX, STATE.heatY]") == ["mac.rows", "batch"]
    assert "time of a batch" in " ".join(page.texts('[data-table="points"] thead button'))
    page.one('[data-table="points"] tbody tr').click()
    page.wait(lambda: page.texts("#point-steps tbody td:first-child"), "the steps of the point")
    assert "batch = 4" in page.texts("#point-steps tbody td:first-child")
    assert page.complaints() == []


def test_names_that_look_like_tags_are_shown_as_they_are(driver: Any, folder: Path) -> None:
    layers = ((NASTY, "lstm", 1000, 100), ("fc", "linear", 10, 10))
    made = made_results({NASTY: ["<i>", NASTY], "mac.rows": [8, 16]}, models=(NASTY,), failing=3, layers=layers)
    page = Page(driver, written(sweep_page(made, NASTY, MANIFEST), folder / "nasty_sweep.html"))
    page.one('[data-table="points"] tbody tr').click()
    page.wait(lambda: page.texts("#layers-plot .ytick text"), "its layers are drawn")
    assert any("</script" in one for one in page.texts("#layers-plot .ytick text"))
    assert page.run("return document.images.length") == 0
    assert page.complaints() == []


def test_thousands_of_points_stay_quick_to_filter(driver: Any, folder: Path) -> None:
    axes = {
        "mac.rows": list(range(4, 64, 4)),
        "mac.columns": list(range(4, 84, 4)),
        "dram.bytes_per_cycle": list(range(1, 11)),
    }
    made = made_results(axes, layers=LAYERS[:1])
    page = Page(driver, written(sweep_page(made, "many", MANIFEST), folder / "many.html"))
    assert said(page, "points") == "3,000 rows"
    assert len(column(page, "points", "mac.rows")) == 25
    drawn = re.fullmatch(r"([0-9,]+) of 3,000 points are drawn", page.texts("#parallel-said")[0])
    assert drawn is not None
    assert 900 <= int(drawn[1].replace(",", "")) <= 1000
    assert page.complaints() == []
