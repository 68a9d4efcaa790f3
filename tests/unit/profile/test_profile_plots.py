from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from profile_runs import Recorded, profile_of, renamed

from accelsim.isa.opcodes import Unit
from accelsim.profile.figures.bars import plot_cycles
from accelsim.profile.figures.style import picture_files
from accelsim.profile.figures.timeline import layer_stretches, letter_of, plot_timeline, time_shares, zoom_window
from accelsim.profile.figures.traffic import plot_traffic
from accelsim.profile.palette import CAUSE_STYLE, layer_colours, layer_styles
from accelsim.profile.plots import ZoomWish, draw_figures, draw_plots
from accelsim.profile.profile import CAUSES
from accelsim.timing.record import EVENT
from tests.support.figures import cut_off, overlaps

NAMES = ["cycles_by_layer", "energy_by_layer", "roofline", "unit_timeline", "dram_traffic", "sram_occupancy"]


def png_size(content: bytes) -> tuple[int, int]:
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


@pytest.fixture(scope="module")
def files(recorded: Recorded) -> dict[str, bytes]:
    zoom = ZoomWish(cycles=(100, 200))
    return draw_plots(recorded.profile, recorded.program, formats=("png", "svg"), zoom=zoom)


def test_draws_each_picture_in_both_formats(files: dict[str, bytes]) -> None:
    names = [*NAMES[:4], "unit_timeline_zoom", *NAMES[4:]]
    assert list(files) == [f"{name}.{form}" for name in names for form in ("png", "svg")]
    for name, content in files.items():
        if name.endswith(".png"):
            width, height = png_size(content)
            assert width == 1300
            assert 300 < height < 2300
        else:
            root = ElementTree.fromstring(content)
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            # Letters are outlines: no font of the reader's is needed.
            assert not list(root.iter("{http://www.w3.org/2000/svg}text"))
            assert len(list(root.iter("{http://www.w3.org/2000/svg}use"))) > 50


def test_equal_profiles_are_equal_files(recorded: Recorded, files: dict[str, bytes]) -> None:
    figures = {"cycles_by_layer": plot_cycles(recorded.profile), "dram_traffic": plot_traffic(recorded.profile)}
    again = picture_files(figures, ("png", "svg"))
    assert again == {name: files[name] for name in again}


def test_what_is_not_there_is_left_out_with_a_note(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.profile.plots.MOST_DRAWN", 5)
    monkeypatch.setattr("accelsim.profile.plots.MOST_FOLLOWED", 6)
    profile = profile_of(recorded.program, ["a", "b", "c"], [recorded.counters.cycles, 0, 0])
    operations = {"load": 3, "matrix": 4, "vector": 0, "store": 0, "sequencer": 99}
    notes: list[str] = []
    figures = draw_figures(replace(profile, operations=operations), recorded.program, note=notes.append)
    assert list(figures) == ["cycles_by_layer", "dram_traffic"]
    assert notes == [
        "no energy_by_layer: by the chip's cost table the run takes none",
        "no roofline: the run has no multiply-accumulates",
        "no unit_timeline: the run has 7 operations, more than the 5 one is drawn of",
        "no sram_occupancy: the run has 7 operations, more than the 6 it is counted of",
    ]


def test_bars_are_the_cycles_by_cause(recorded: Recorded) -> None:
    (axes,) = plot_cycles(recorded.profile).axes
    parts = [part for part in recorded.profile.layers if part.cycles]
    drawn = {cause: [bar.get_width() for bar in bars] for cause, bars in zip(CAUSE_STYLE, axes.containers, strict=True)}
    assert drawn == {cause: [part.causes[cause] for part in parts] for cause in CAUSES}
    title = axes.figure.get_suptitle()
    assert f"{recorded.profile.cycles:,} cycles" in title
    assert f"lower bound {recorded.profile.bound.cycles:,} ({recorded.profile.bound.limit})" in title
    assert f"ratio {recorded.profile.ratio:.2f}" in title


def test_of_many_layers_those_that_took_most_are_drawn_and_the_rest_counted(recorded: Recorded) -> None:
    profile = profile_of(recorded.program, [f"layer {n}" for n in range(60)], list(range(101, 161)))
    (axes,) = plot_cycles(profile).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"layer {n}" for n in range(20, 60)]
    assert axes.get_xlabel().endswith("left out: 20)")


def test_names_are_no_formulas(recorded: Recorded) -> None:
    names = ["$x^", r"\frac$", "a" * 99]
    profile = profile_of(recorded.program, names, [recorded.counters.cycles - 2, 1, 1])
    program = renamed(recorded.program, names)
    profile = replace(profile, operations=recorded.profile.operations)
    assert len(draw_plots(profile, program, formats=("svg",))) == 4


def test_layers_are_told_apart_by_their_names_in_every_figure(recorded: Recorded) -> None:
    """Names differ in the middle only, or are of letters that the font has no picture of."""
    begin, end = "encoder/bidirectional_", "_with_a_long_name/cell"
    names = [f"{begin}forward{end}", f"{begin}backward{end}", "\u8a9e\u5c42"]
    program = renamed(recorded.program, names)
    profile = replace(
        profile_of(recorded.program, names, [recorded.counters.cycles - 2, 1, 1]),
        operations=recorded.profile.operations,
    )
    bars = [label.get_text() for label in plot_cycles(profile).axes[0].get_yticklabels()]
    timeline = plot_timeline(profile, program, recorded.events).legends[0]
    assert [f"{letter}  {bar}" for letter, bar in zip("ABC", bars, strict=True)] == [
        text.get_text() for text in timeline.get_texts()
    ]
    assert len(set(bars)) == 3
    assert r"\u8a9e\u5c42" in bars
    with warnings.catch_warnings():
        # A letter without a picture would be a box, of which matplotlib warns.
        warnings.simplefilter("error")
        assert len(draw_plots(profile, program)) == 4


def test_traffic_is_drawn_to_the_end_of_the_run_and_below_the_limit(recorded: Recorded) -> None:
    axes = plot_traffic(recorded.profile).axes[0]
    assert axes.get_xlim() == (0, recorded.profile.cycles)
    assert axes.get_xlabel() == f"cycle (bins of {recorded.counters.bin_cycles})"
    read, both = (patch.get_data() for patch in axes.patches)
    widths = np.diff(read.edges)
    assert (read.values * widths).sum() == pytest.approx(recorded.profile.total.memory["dram"].read_bytes)
    assert ((both.values - both.baseline) * widths).sum() == pytest.approx(
        recorded.profile.total.memory["dram"].written_bytes
    )
    assert both.values.max() <= 8 * (1 + 1e-9)


def test_traffic_at_the_begin_of_a_long_run_is_seen(recorded: Recorded) -> None:
    """60 bytes in cycles 0 to 2 of a million: in bins of 976 cycles, not of one."""
    profile = profile_of(recorded.program, ["a", "b", "c"], [10**6, 0, 0])
    traffic = np.array([[20.0, 20.0, 16.0], [0.0, 0.0, 4.0]])
    rates = replace(recorded.profile.bandwidth, bin_cycles=1, traffic_bytes=traffic)
    axes = plot_traffic(replace(profile, bandwidth=rates)).axes[0]
    assert axes.get_xlabel() == "cycle (bins of 976)"
    read = axes.patches[0].get_data()
    assert read.edges.tolist() == [0, 976]
    assert read.values == pytest.approx([56 / 976])
    assert axes.get_ylim()[1] > 56 / 976


@pytest.mark.parametrize(("times", "shown"), [(15, True), (1000, False)])
def test_traffic_is_not_pressed_flat_by_a_limit_far_above(recorded: Recorded, times: int, shown: bool) -> None:
    limit = times * float(plot_traffic(recorded.profile).axes[0].patches[1].get_data().values.max())
    rates = replace(recorded.profile.bandwidth, limit_bytes_per_cycle=limit)
    figure = plot_traffic(replace(recorded.profile, bandwidth=rates))
    assert (figure.axes[0].get_ylim()[1] > limit) == shown
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("limit, above the picture" in label for label in labels) != shown


def test_a_long_run_is_drawn_with_few_shapes(recorded: Recorded) -> None:
    repeats = 200_000 // len(recorded.events) + 1
    events = np.tile(recorded.events, repeats)
    offset = np.repeat(np.arange(repeats) * recorded.counters.cycles, len(recorded.events))
    for field in ("dispatched", "started", "issued", "done"):
        events[field] += offset
    profile = profile_of(recorded.program, ["a", "b", "c"], [repeats * recorded.counters.cycles, 0, 0])
    figure = plot_timeline(profile, recorded.program, events)
    assert sum(len(axes.patches) + len(axes.collections) for axes in figure.axes) < 100


def test_legend_names_the_layers_seen(recorded: Recorded) -> None:
    figure = plot_timeline(recorded.profile, recorded.program, recorded.events)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A  lstm_0", "B  lstm_1", "C  fc"]
    outside = recorded.events.copy()
    outside["layer"] = np.where(outside["layer"] == 2, -1, outside["layer"])
    figure = plot_timeline(recorded.profile, recorded.program, outside)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A  lstm_0", "B  lstm_1", "of no layer"]


@pytest.mark.parametrize("count", [3, 7, 30, 95])
def test_a_timelines_legend_stays_on_the_page(recorded: Recorded, count: int) -> None:
    names = [f"encoder/bidirectional_layer_{n}/with_a_long_name/cell_{n}" for n in range(count)]
    events = recorded.events.copy()
    events["layer"] = np.arange(len(events)) % count
    figure = plot_timeline(recorded.profile, renamed(recorded.program, names), events)
    assert (overlaps(figure), cut_off(figure)) == ([], [])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(texts) == len(set(texts)) == (count if count <= 30 else 24)


def test_layers_of_a_timeline_are_told_apart_without_colour(recorded: Recorded) -> None:
    figure = plot_timeline(recorded.profile, recorded.program, recorded.events)
    assert len({patch.get_hatch() for patch in figure.legends[0].get_patches()}) == 3
    for axes in figure.axes:
        assert {text.get_text() for text in axes.texts} <= {"A", "B", "C"}
    whole, part = figure.axes
    assert {text.get_text() for text in whole.texts} == {"A", "B", "C"}
    drawn = {one.get_hatch() for one in part.collections if one.get_hatch()}
    assert drawn <= {patch.get_hatch() for patch in figure.legends[0].get_patches()}
    assert drawn
    assert (overlaps(figure), cut_off(figure)) == ([], [])


def test_letters_of_layers_are_as_a_spreadsheets_columns() -> None:
    assert [letter_of(layer) for layer in (0, 25, 26, 51, 52, 701, 702)] == ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]
    assert len({letter_of(layer) for layer in range(2000)}) == 2000


def test_a_layer_is_at_work_alone_from_its_first_bin_to_its_last() -> None:
    """By hand: the first layer with a pause, both, the second; the pause between them is of none."""
    shares = np.array([[0.5, 0, 0.1, 0.3, 0, 0], [0, 0, 0, 0.2, 0, 1]])
    assert layer_stretches(shares) == [(0, 3, 0), (5, 6, 1)]
    assert layer_stretches(np.zeros((2, 4))) == []


def test_colours_are_distinct() -> None:
    for count in (0, 1, 7, 8, 100):
        assert len(set(layer_colours(count))) == count
        styles = layer_styles(count)
        assert len(set(styles)) == count
        assert all(one[1] != other[1] for one, other in itertools.pairwise(styles))
    assert tuple(CAUSE_STYLE) == CAUSES
    assert len({colour for colour, _ in CAUSE_STYLE.values()}) == len(CAUSE_STYLE)


@st.composite
def in_order(draw: st.DrawFn) -> np.ndarray:
    """One unit's operations, one after the other, with idle cycles between them."""
    count = draw(st.integers(1, 12))
    events = np.zeros(count, EVENT)
    events["unit"] = Unit.VECTOR
    cycle = 0
    for event in events:
        event["started"] = cycle + draw(st.integers(0, 9))
        event["issued"] = event["started"] + draw(st.integers(0, 9))
        event["busy"] = draw(st.integers(1, int(event["issued"] - event["started"] + 1)))
        event["layer"] = draw(st.integers(-1, 2))
        event["done"] = event["issued"] + 1
        cycle = int(event["issued"]) + 1
    return events


@given(in_order(), st.integers(1, 20), st.booleans(), st.integers(0, 30))
def test_shares_of_time_are_counted_cycle_by_cycle(events: np.ndarray, width: int, busy: bool, rest: int) -> None:
    cycles = int(events["done"].max()) + rest
    bins = -(-cycles // width)
    expected = np.zeros((4, bins * width))
    for event in events:
        length = event["issued"] - event["started"] + 1
        expected[event["layer"], event["started"] : event["issued"] + 1] = event["busy"] / length if busy else 1
    shares = time_shares(events, Unit.VECTOR, 3, cycles, width, busy=busy)
    np.testing.assert_allclose(shares, expected.reshape(4, bins, width).mean(axis=2), atol=1e-9)
    assert not time_shares(events, Unit.MATRIX, 3, cycles, width, busy=busy).any()


@given(in_order(), st.integers(0, 300))
def test_zoom_is_inside_the_run_and_shows_operations(events: np.ndarray, rest: int) -> None:
    cycles = int(events["done"].max()) + 1 + rest
    first, last = zoom_window(events, cycles)
    assert 0 <= first < last <= cycles
    assert ((events["started"] < last) & (events["done"] >= first)).any()


def test_zoom_falls_on_the_densest_stretch_of_the_middle_half() -> None:
    events = np.zeros(400, EVENT)
    events["unit"] = Unit.MATRIX
    # One operation each 100 cycles, but for 25 at a distance of 2 from the 200th on.
    steps = np.full(400, 100)
    steps[200:225] = 2
    events["started"] = np.cumsum(steps)
    events["issued"] = events["started"]
    events["done"] = events["issued"] + 1
    first, last = zoom_window(events, int(events["done"][-1]) + 1)
    assert first == events["started"][199]
    assert last - first == 80


def test_zoom_without_compute_shows_transfers() -> None:
    events = np.zeros(1, EVENT)
    events["unit"], events["started"], events["issued"], events["done"] = Unit.LOAD, 500, 600, 601
    first, last = zoom_window(events, 1000)
    assert (first, last) == (500, 580)
