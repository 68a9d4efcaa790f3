"""A program's page in a real browser: that it loads, and does what a reader asks of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_reading import buttons, column, header, numbers, said, written
from report_runs import NASTY, Recorded, page_of, record

from accelsim.isa.opcodes import Unit
from accelsim.report import timeline
from accelsim.timing.record import Reason
from tests.support.browser import Page


@pytest.fixture(scope="module")
def program_path(recorded: Recorded, folder: Path) -> Path:
    return written(page_of(recorded), folder / "program.html")


@pytest.fixture
def program(driver: Any, program_path: Path) -> Page:
    return Page(driver, program_path)


@pytest.mark.parametrize("width", [1400, 1000])
def test_a_programs_page_loads_without_a_complaint_or_a_request(driver: Any, program_path: Path, width: int) -> None:
    driver.set_window_size(width, 900)
    try:
        page = Page(driver, program_path)
        plots = page.driver.find_elements("css selector", ".plot .main-svg")
        assert len(plots) >= 6
        assert page.complaints() == []
        assert page.requests() == [program_path.as_uri()]
        # Nothing is wider than the window.
        assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")
    finally:
        driver.set_window_size(1400, 900)


def test_on_paper_nothing_is_cut_off(driver: Any, program_path: Path) -> None:
    """A figure's width is that of the paper, lying; and that of the window again."""
    page = Page(driver, program_path)
    widths = """return [...document.querySelectorAll(".js-plotly-plot")].map(
      (one) => one.querySelector(".main-svg").clientWidth)"""
    before = page.run(widths)
    page.run(f"addEventListener('beforeprint', () => {{ window.printed = (() => {{ {widths} }})(); }})")
    driver.execute_cdp_cmd("Page.printToPDF", {})
    assert set(page.run("return window.printed")) == {960}
    page.wait(lambda: page.run(widths) == before, "figures are as wide as the window")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    driver.set_window_size(976, 900)
    try:
        fits = "return document.documentElement.scrollWidth <= window.innerWidth"
        page.wait(lambda: page.run(fits), "nothing is wider than the paper")
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        driver.set_window_size(1400, 900)


def test_a_number_is_found_as_it_is_shown(program: Page) -> None:
    """The share of a layer is rounded to a place after the point."""
    shares = column(program, "layers", "share")
    values = program.run("return DATA.tables.layers.values.share")
    place = next(at for at, value in enumerate(values) if value != round(value, 1))
    box = program.one('[data-table="layers"] [data-filter="share"]')
    for text in (shares[place], f"{shares[place]}..{shares[place]}", f"={shares[place]}"):
        box.clear()
        box.send_keys(text)
        assert column(program, "layers", "share") == [share for share in shares if share == shares[place]]
    box.clear()
    box.send_keys(f">{shares[place]}")
    assert column(program, "layers", "share") == [share for share in shares if float(share) > float(shares[place])]


def test_plots_do_not_reach_into_the_next_section(program: Page) -> None:
    overlaps = program.run(
        """return [...document.querySelectorAll(".plot")].filter((plot) => {
          const svg = plot.querySelector(".main-svg"), next = plot.closest("section").nextElementSibling;
          return next && svg.getBoundingClientRect().bottom > next.getBoundingClientRect().top;
        }).map((plot) => plot.dataset.figure || plot.id)"""
    )
    assert overlaps == []


def test_a_page_has_no_button_that_sends_data_away(program: Page) -> None:
    assert set(buttons(program)) == {"Download plot as a PNG", "Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes"}


def test_the_policy_keeps_scripts_from_asking(program: Page) -> None:
    program.requests()
    refused = program.run(
        """const image = document.createElement("script"); image.textContent = "window.ran = true";
        document.body.append(image); return window.ran === undefined"""
    )
    assert refused
    assert any("Content Security Policy" in text for text in program.complaints())


def test_layers_sort_by_their_headers(program: Page) -> None:
    given = numbers(column(program, "layers", "cycles"))
    header(program, "layers", "cycles").click()
    assert numbers(column(program, "layers", "cycles")) == sorted(given, reverse=True)
    header(program, "layers", "cycles").click()
    assert numbers(column(program, "layers", "cycles")) == sorted(given)
    header(program, "layers", "cycles").click()
    assert numbers(column(program, "layers", "cycles")) == given
    header(program, "layers", "layer").click()
    assert column(program, "layers", "layer") == sorted(column(program, "layers", "layer"))


def test_tables_filter_by_text_and_by_range(program: Page) -> None:
    program.one('[data-table="layers"] [data-filter="name"]').send_keys("LSTM")
    assert column(program, "layers", "layer") == ["lstm_0", "lstm_1"]
    assert said(program, "layers") == "2 of 4 rows"
    assert program.texts('[data-table="layers"] tfoot td:nth-child(2)') == ["total, of all rows"]
    program.one('[data-table="layers"] .bar button').click()
    assert len(column(program, "layers", "layer")) == 4
    cycles = numbers(column(program, "layers", "cycles"))
    middle = sorted(cycles)[2]
    box = program.one('[data-table="layers"] [data-filter="cycles"]')
    for text, kept in (
        (f">={middle:,.0f}", [one for one in cycles if one >= middle]),
        (f"..{middle}", [one for one in cycles if one <= middle]),
        (f"{middle}..{middle}", [middle]),
        (f"<{middle}", [one for one in cycles if one < middle]),
        (f"{middle:.0f}", [middle]),
    ):
        box.clear()
        box.send_keys(text)
        assert numbers(column(program, "layers", "cycles")) == kept, text
    box.clear()
    box.send_keys("many")
    assert box.get_attribute("aria-invalid") == "true"
    assert numbers(column(program, "layers", "cycles")) == cycles


def test_a_click_on_a_layer_shows_its_instructions(program: Page, recorded: Recorded) -> None:
    program.one('[data-table="layers"] tbody tr:nth-child(2)').click()
    marked = program.run(
        "return [...document.querySelectorAll('#listing .chosen[data-index]')].map((one) => +one.dataset.index)"
    )
    indices = [index for index, layer in enumerate(recorded.program.layer_indices) if layer == 1]
    assert marked == indices
    assert program.texts("#layer-said") == [f"lstm_1: {len(indices)} instructions"]
    # Of the page, too.
    assert program.run(
        """const box = document.getElementById("listing").getBoundingClientRect();
        return box.top >= 0 && box.top < innerHeight"""
    )
    in_sight = program.run(
        """const box = document.getElementById("listing").getBoundingClientRect();
        const line = document.getElementById("layer-1").getBoundingClientRect();
        return line.top >= box.top && line.bottom <= box.bottom"""
    )
    assert in_sight
    program.one("#only-layer").click()
    shown = program.run(
        "return [...document.querySelectorAll('#listing div')].filter((one) => one.offsetParent).length"
    )
    assert shown == len(program.texts("#listing .chosen"))


def test_a_layer_is_chosen_by_the_keyboard_too(program: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    program.one('[data-table="layers"] tbody tr').send_keys(Keys.ARROW_DOWN)
    program.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert program.texts("#layer-said")[0].startswith("lstm_1:")
    assert program.texts('[data-table="layers"] tr.chosen td:nth-child(2)') == ["lstm_1"]


def test_a_click_on_a_bar_shows_its_layer(program: Page) -> None:
    program.click('[data-figure="cycles"] .trace.bars .point path')
    program.wait(lambda: program.texts("#layer-said")[0].startswith("lstm_0:"), "the bar's layer is shown")


def test_the_timeline_zooms_to_single_operations(program: Page, recorded: Recorded) -> None:
    whole = program.texts("#timeline-said")[0]
    assert f"cycles 0 to {recorded.profile.cycles:,} " in whole
    program.drag("#timeline-plot .nsewdrag", (0.4, 0.5), (0.6, 0.5))
    program.wait(lambda: program.texts("#timeline-said")[0] != whole, "the stretch is shown")
    first, last = program.run("return document.getElementById('timeline-plot').layout.xaxis.range")
    assert first == pytest.approx(0.4 * recorded.profile.cycles, abs=0.02 * recorded.profile.cycles)
    assert last == pytest.approx(0.6 * recorded.profile.cycles, abs=0.02 * recorded.profile.cycles)
    program.one('[data-view="whole"]').click()
    program.wait(lambda: program.texts("#timeline-said")[0] == whole, "the whole run is shown")
    program.one('[data-view="in"]').click()
    program.wait(lambda: program.texts("#timeline-said")[0] != whole, "half of it is shown")


def test_a_click_on_an_operation_shows_its_instruction(program: Page) -> None:
    """Where it issues: that cycle is one of its own."""
    place, instruction = program.run(
        """const o = DATA.timeline.operations, s = DATA.timeline.states, busy = s.reasons.indexOf("busy");
        const drawn = [...s.reason.keys()].filter((at) => s.reason[at] === busy);
        const place = drawn.findIndex((at) => s.unit[at] === 2), cycle = s.begin[drawn[place]];
        const owns = (at) => o.unit[at] === 2 && o.begin[at] <= cycle && o.end[at] > cycle;
        return [place, o.index[[...o.unit.keys()].find(owns)]]"""
    )
    program.click(f"#timeline-plot .trace:nth-child(4) .point:nth-child({place + 1}) path")
    program.wait(lambda: program.texts("#listing .pointed"), "the operation's instruction is marked")
    assert program.run("return +document.querySelector('#listing .pointed').dataset.index") == instruction


def test_the_timeline_says_what_units_wait_for(program: Page, recorded: Recorded) -> None:
    """Hatched, and not solid as what is issued; in cycles that are the profile's."""
    drawn = program.run(
        """const [, , waits, busy] = document.getElementById("timeline-plot").data;
        const sum = (trace) => trace.width.reduce((all, width) => all + width, 0);
        const said = (text) => text.match(/ ([a-z]+) waits for: ([a-z]+)/).slice(1).join(" ");
        return {waits: sum(waits), busy: sum(busy),
          hatch: waits.marker.pattern.shape.some((one) => one), texts: waits.text.map(said)}"""
    )
    assert drawn["hatch"]
    units = recorded.counters.units
    assert drawn["busy"] == units[:, :, Reason.BUSY].sum()
    assert drawn["waits"] == units.sum() - units[:, :, [Reason.BUSY, Reason.IDLE]].sum()
    assert set(drawn["texts"]) == {
        f"{unit.name.lower()} {reason.name.lower()}"
        for unit in Unit
        for reason in Reason
        if reason not in (Reason.BUSY, Reason.IDLE) and units[unit, :, reason].any()
    }
    assert "load dram" in drawn["texts"]


def test_colours_have_a_legend(program: Page, driver: Any, folder: Path) -> None:
    assert program.texts("#timeline .key") == ["lstm_0", "lstm_1", "fc", "of no layer"]
    assert program.texts("#memory .key") == program.texts("#timeline .key")
    nasty = Page(driver, written(page_of(record(NASTY)), folder / "nasty.html"))
    assert nasty.texts("#timeline .key")[0] == NASTY


def test_shares_of_the_timeline_are_the_same_from_operations_and_from_bins(
    program: Page, driver: Any, recorded: Recorded, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """const timeline = Object.create(Timeline.prototype);
      Object.assign(timeline, { timeline: DATA.timeline, cycles: DATA.cycles, view: [0, DATA.cycles] });
      const states = DATA.timeline.states;
      const { cells } = states ? timeline.countedBins(timeline.inSight(states, "end")) : timeline.givenBins();
      const sums = {};
      for (const { unit, layer, waiting, busy } of cells) {
        const key = `${unit} ${layer}`;
        sums[key] = [(sums[key] || [0, 0])[0] + waiting, (sums[key] || [0, 0])[1] + busy];
      }
      return sums"""
    counted = program.run(script)
    units = recorded.counters.units
    assert sum(busy for _, busy in counted.values()) == units[:, :, Reason.BUSY].sum()
    for limit in ("MOST_STRETCHES", "MOST_OPERATIONS"):
        monkeypatch.setattr(timeline, limit, 1)
        binned = Page(driver, written(page_of(recorded), folder / "bins.html"))
        assert binned.complaints() == []
        assert binned.run(script) == counted


def test_an_operation_is_as_solid_as_it_issues(
    driver: Any, recorded: Recorded, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run with too many states to hold each; the sequencer is there, too."""
    monkeypatch.setattr(timeline, "MOST_STRETCHES", 1)
    page = Page(driver, written(page_of(recorded), folder / "few.html"))
    assert "operations" in page.texts("#timeline-said")[0]
    whole, solid, sequencer = page.run(
        """const [, whole, solid, ...sequencer] = document.getElementById("timeline-plot").data;
        return [whole, solid].map((trace) => trace.y.map((height, at) => height * trace.width[at] / 0.8)).concat(
          [sequencer.flatMap((trace) => trace.base)])"""
    )
    units = recorded.counters.units
    assert sum(solid) == pytest.approx(units[: Unit.SEQUENCER, :, Reason.BUSY].sum())
    assert sum(solid) < sum(whole)
    assert sequencer
    assert min(sequencer) >= 4


def test_names_that_look_like_tags_are_shown_as_they_are(driver: Any, folder: Path) -> None:
    page = Page(driver, written(page_of(record(NASTY)), folder / "nasty.html"))
    assert column(page, "layers", "layer")[0] == NASTY
    assert any("<img" in one for one in page.texts('[data-figure="cycles"] .ytick text'))
    assert page.run("return document.images.length") == 0
    assert page.complaints() == []
