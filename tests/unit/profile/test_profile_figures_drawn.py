"""What each figure shows: its numbers, its units, and that no text covers another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from profile_runs import Recorded, profile_of

from accelsim.profile import Profile
from accelsim.profile.figures.areas import areas_of
from accelsim.profile.figures.bars import plot_cycles, plot_energy
from accelsim.profile.figures.occupancy import plot_occupancy
from accelsim.profile.figures.placing import Label, place_labels
from accelsim.profile.figures.roofline import NAMED_LAYERS, plot_roofline, roofline_points
from accelsim.profile.figures.style import new_figure, picture_files
from accelsim.profile.figures.zoom import MOST_NAMED, Zoom, plot_zoom
from accelsim.profile.occupancy import Buffer, Occupancy
from accelsim.profile.palette import COMPONENT_STYLE
from accelsim.profile.plots import ZoomWish, count_occupancy, draw_figures, draw_zoom, find_zoom
from accelsim.profile.profile import Traffic
from tests.support.figures import cut_off, overlaps, shown_texts


def with_work(profile: Profile, work: list[tuple[int, int, int]]) -> Profile:
    """The layers do (MACs, DRAM bytes, cycles) each; the whole run is their sum."""
    layers = [
        replace(part, macs=macs, cycles=cycles, memory={**part.memory, "dram": Traffic(moved, 0)})
        for part, (macs, moved, cycles) in zip(profile.layers[:-1], work, strict=True)
    ]
    macs, moved, cycles = np.sum(work, axis=0).tolist()
    total = replace(profile.total, macs=macs, cycles=cycles, memory={**profile.total.memory, "dram": Traffic(moved, 0)})
    return replace(profile, layers=(*layers, replace(profile.layers[-1], macs=0, cycles=0)), total=total)


def test_texts_that_cover_each_other_are_found() -> None:
    figure = Figure(figsize=(2, 2))
    FigureCanvasAgg(figure)
    figure.text(0.1, 0.5, "one text")
    figure.text(0.2, 0.5, "another")
    figure.text(0.9, 0.1, "beyond the edge")
    assert overlaps(figure) == [("one text", "another")]
    assert cut_off(figure) == ["beyond the edge"]


@pytest.fixture(scope="module")
def figures(recorded: Recorded) -> dict[str, Figure]:
    return draw_figures(recorded.profile, recorded.program, zoom=ZoomWish(step=2))


def test_no_text_covers_another_or_is_cut_off(figures: dict[str, Figure]) -> None:
    assert len(figures) == 7
    for name, figure in figures.items():
        assert (name, overlaps(figure), cut_off(figure)) == (name, [], [])
        assert min(text.get_fontsize() for text in figure.findobj(lambda one: hasattr(one, "get_fontsize"))) >= 6


@pytest.mark.parametrize(
    ("name", "across", "up"),
    [
        ("cycles_by_layer", "cycles of a frame", ""),
        ("energy_by_layer", "energy of a frame in nJ", ""),
        ("roofline", "MACs per DRAM byte", "MACs per cycle"),
        ("unit_timeline", "cycle", ""),
        ("unit_timeline_zoom", "cycle (", ""),
        ("dram_traffic", "cycle (bins of ", "DRAM bytes per cycle"),
    ],
)
def test_axes_say_their_unit(figures: dict[str, Figure], name: str, across: str, up: str) -> None:
    for axes in figures[name].axes:
        assert axes.get_xlabel().startswith(across)
        assert axes.get_ylabel() == up


def test_long_names_and_long_runs_cover_nothing(recorded: Recorded) -> None:
    names = [f"encoder.{n}.a_layer_with_quite_a_long_name.{n}" for n in range(45)]
    profile = profile_of(recorded.program, names, [10**11 + 10**10 * n for n in range(45)])
    figure = plot_cycles(replace(profile, program="a program with a name that is very long, too", batch=64))
    assert (overlaps(figure), cut_off(figure)) == ([], [])


def test_energy_bars_are_the_profiles(recorded: Recorded) -> None:
    figure = plot_energy(recorded.profile)
    assert figure is not None
    (axes,) = figure.axes
    parts = [part for part in recorded.profile.layers if part.energy_nj]
    drawn = [[bar.get_width() for bar in bars] for bars in axes.containers]
    np.testing.assert_allclose(drawn, [[part.energy_pj[name] / 1000 for part in parts] for name in COMPONENT_STYLE])
    np.testing.assert_allclose(np.sum(drawn, axis=0), [part.energy_nj for part in parts])
    assert sum(np.sum(drawn, axis=0)) == pytest.approx(recorded.profile.total.energy_nj)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label.rsplit(" ", 2)[0] for label in labels] == [
        *("MACs", "vector unit", "weights SRAM", "activations SRAM", "accumulators SRAM", "parameters SRAM", "DRAM"),
    ]
    total = f"{recorded.profile.total.energy_nj:,.0f} nJ a frame, by cost table 45nm"
    assert figure.get_suptitle().splitlines()[1:] == [total]


def test_figures_say_what_was_done_before_the_frame(recorded: Recorded) -> None:
    before = replace(recorded.profile, setup_cycles=12345)
    for figure in (plot_cycles(before), plot_energy(before), plot_roofline(before)):
        assert figure is not None
        assert "not shown: 12,345 cycles before it, once, that load weights" in figure.get_suptitle()
        assert (overlaps(figure), cut_off(figure)) == ([], [])
    assert "not shown" not in plot_cycles(recorded.profile).get_suptitle()


def test_roofline_by_hand(recorded: Recorded) -> None:
    """600 MACs with 300 bytes in 100 cycles: 2 MACs a byte, 6 a cycle; 800 without bytes in 50: 16 a cycle."""
    profile = profile_of(recorded.program, ["a", "b", "c"], [100, 50, 10])
    profile = with_work(profile, [(600, 300, 100), (800, 0, 50), (0, 40, 10)])
    points = roofline_points(profile)
    assert [(one.name, one.macs_per_byte, one.macs_per_cycle) for one in points] == [("a", 2, 6), ("b", None, 16)]
    figure = plot_roofline(profile)
    assert figure is not None
    (axes,) = figure.axes
    slope, roof, ridge, edge, with_bytes, without, whole = axes.lines
    # 8 bytes a cycle and 2,048 MACs: the ridge is at 256 MACs a byte.
    assert slope.get_xydata()[-1].tolist() == roof.get_xydata()[0].tolist() == [256, 2048]
    assert (slope.get_xydata()[:, 1] / slope.get_xydata()[:, 0]).tolist() == [8, 8]
    assert list(ridge.get_xdata()) == [256, 256]
    assert with_bytes.get_xydata().tolist() == [[2, 6]]
    (place,) = without.get_xydata().tolist()
    assert place[0] > edge.get_xdata()[0] > 256
    assert place[1] == 16
    # 1,400 MACs, 340 bytes, 160 cycles in all.
    assert whole.get_xydata().tolist() == [[1400 / 340, 1400 / 160]]
    assert "right of the line: no DRAM traffic" in axes.get_xlabel()
    texts = [text for text, _ in shown_texts(figure)]
    assert {"a", "b", "layers not drawn, without MACs: 1", "DRAM bus: 8 bytes/cycle"} <= set(texts)
    assert overlaps(figure) == []


def test_a_layer_above_the_slope_is_counted(recorded: Recorded) -> None:
    profile = profile_of(recorded.program, ["a", "b", "c"], [100, 50, 10])
    figure = plot_roofline(with_work(profile, [(600, 300, 10), (800, 1, 50), (10, 40, 10)]))
    assert figure is not None
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "above the slope: 1; bytes came in others' cycles" in texts


def test_of_many_layers_in_a_roofline_those_that_take_most_are_named(recorded: Recorded) -> None:
    count = 60
    profile = profile_of(recorded.program, [f"layer{n}" for n in range(count)], [100 + n for n in range(count)])
    rng = np.random.default_rng(3)
    work = [(int(rng.integers(1000, 90000)), int(rng.integers(100, 9000)), 100 + n) for n in range(count)]
    figure = plot_roofline(with_work(profile, work))
    assert figure is not None
    named = [text for text, _ in shown_texts(figure) if text.startswith("layer") and text[5:].isdecimal()]
    assert 0 < len(named) <= NAMED_LAYERS
    assert all(int(text[5:]) >= count - NAMED_LAYERS for text in named)
    assert (overlaps(figure), cut_off(figure)) == ([], [])


def test_a_roofline_needs_products(recorded: Recorded) -> None:
    profile = profile_of(recorded.program, ["a", "b", "c"], [100, 50, 10])
    assert plot_roofline(with_work(profile, [(0, 1, 10)] * 3)) is None


def test_labels_go_where_there_is_room() -> None:
    """Thirty points in a heap: every label that is written is clear of all others and of the points.

    Of the line, too, or has a ground; and nothing that leads to a label goes through another.
    """
    figure = new_figure(4)
    axes = figure.add_subplot()
    rng = np.random.default_rng(0)
    points = rng.normal(0, 0.15, (30, 2))
    axes.plot(*points.T, "o")
    axes.set(xlim=(-1, 1), ylim=(-1, 1))
    line = np.array([(-1.0, 0.0), (1.0, 0.0)])
    written = place_labels(axes, [Label(x, y, f"point {n}") for n, (x, y) in enumerate(points)], lines=[line])
    assert len(written) > 15
    assert overlaps(figure) == []
    boxes = {text: box for text, box in shown_texts(figure) if text.startswith("point")}
    assert len(boxes) == len(written)
    for place in axes.transData.transform(points):
        assert not any(box.contains(*place) for box in boxes.values())
    height = axes.transData.transform((0, 0))[1]
    on_line = {text for text, box in boxes.items() if box.y0 < height < box.y1}
    assert all(note.get_bbox_patch() for note in written if note.get_text() in on_line)
    leaders = 0
    for note in written:
        if note.arrow_patch is not None:
            leaders += 1
            (start, *_, end) = note.arrow_patch.get_path().vertices
            others = [box for text, box in boxes.items() if text != note.get_text()]
            along = np.linspace(start, end, 200)
            assert not any(box.contains(*place) for box in others for place in along)
    assert leaders > 5


def test_layers_at_one_place_have_one_label_in_their_order(recorded: Recorded) -> None:
    profile = profile_of(recorded.program, ["a", "b", "c", "d", "e", "f", "g"], [100, 101, 50, 10, 10, 10, 10])
    same = [(600, 300, 100), (600, 300, 101)]
    far = [(2000 * 3**n, 300, 50) for n in range(5)]
    figure = plot_roofline(with_work(profile, same + far))
    assert figure is not None
    (axes,) = figure.axes
    assert sorted(text.get_text() for text in axes.texts) == ["a, b", "c", "d", "e", "f", "g"]
    many = [f"quite_a_long_name_{n}" for n in range(9)]
    figure = plot_roofline(with_work(profile_of(recorded.program, many, [10] * 9), [(600, 300, 100)] * 9))
    assert figure is not None
    (label,) = figure.axes[0].texts
    assert label.get_text().split("\n") == [
        "quite_a_long_name_0,", "quite_a_long_name_1,", "quite_a_long_name_2,", "quite_a_long_name_3 and 5 more",
    ]  # fmt: skip
    assert (overlaps(figure), cut_off(figure)) == ([], [])


def test_names_without_room_in_a_roofline_are_counted(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.profile.figures.placing._DISTANCES", ())
    figure = plot_roofline(recorded.profile)
    assert figure is not None
    assert figure.axes[0].get_xlabel().endswith("; names that found no room: 3")


def test_no_label_stands_where_there_is_no_room() -> None:
    figure = new_figure(0.8, 0.8)
    axes = figure.add_subplot()
    assert place_labels(axes, [Label(0.5, 0.5, "a name far too long for this")]) == []


def test_zoom_names_the_operations_in_the_window(recorded: Recorded) -> None:
    zoom = find_zoom(recorded.profile, recorded.program, ZoomWish(step=2, layer="lstm_0"), recorded.events)
    figure = plot_zoom(recorded.profile, recorded.program, recorded.events, zoom)
    (axes,) = figure.axes
    events = recorded.events
    seen = events[(events["done"] >= zoom.first) & (events["started"] < zoom.last)]
    assert len(axes.get_yticklabels()) == len(seen)
    assert axes.get_xlim() == (zoom.first, zoom.last)
    bars = [bar for bars in axes.containers for bar in bars]
    drawn = sorted((bar.get_x(), bar.get_width()) for bar in bars)
    assert drawn == sorted((float(one["started"]), float(one["issued"] - one["started"] + 1)) for one in seen)
    bold = [label.get_text() for label in axes.get_yticklabels() if label.get_fontweight() == "bold"]
    assert len(bold) == len(zoom.marked)
    assert all(text.endswith("lstm_0") for text in bold)
    assert any(text.startswith("matmul @") for text in bold)
    assert any(text.startswith("vector sigmoid @") for text in bold)


@pytest.mark.parametrize("wish", [ZoomWish(cycles=(300, 380)), ZoomWish(step=2)])
def test_a_zoom_needs_no_more_operations_than_it_shows(
    recorded: Recorded, wish: ZoomWish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture of a run that is gone through again and not held is that of one that is."""
    figures = [
        draw_zoom(recorded.profile, recorded.program, wish, events, pytest.fail) for events in (recorded.events, None)
    ]
    held, again = (picture_files({"zoom": figure}, ["png"]) for figure in figures if figure is not None)
    assert held == again
    monkeypatch.setattr("accelsim.profile.plots.MOST_DRAWN", 3)
    notes: list[str] = []
    assert draw_zoom(recorded.profile, recorded.program, wish, None, notes.append) is None
    assert notes[0].startswith("no unit_timeline_zoom: cycles ")


def test_a_zoom_with_long_names_is_in_the_page(recorded: Recorded) -> None:
    profile = replace(recorded.profile, program="$a program$ with a name too long", chip="a_chip_with_a_long_name_too")
    zoom = Zoom(10**10, 10**10 + 99, r"time step 100,000 of \$a layer with…s and letters")
    figure = plot_zoom(profile, recorded.program, recorded.events[:1].copy(), zoom)
    assert (overlaps(figure), cut_off(figure)) == ([], [])


def test_zoom_on_many_operations_has_a_lane_a_unit(recorded: Recorded) -> None:
    assert len(recorded.events) > MOST_NAMED
    figure = plot_zoom(recorded.profile, recorded.program, recorded.events, Zoom(0, recorded.profile.cycles))
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["load", "matrix", "vector", "store"]
    assert (overlaps(figure), cut_off(figure)) == ([], [])


def test_occupancy_is_stacked_by_buffer(recorded: Recorded) -> None:
    found = count_occupancy(recorded.profile, recorded.program, recorded.events)
    figure = plot_occupancy(recorded.profile, found)
    assert figure is not None
    names = ["weights", "activations", "accumulators", "parameters"]
    for axes, memory in zip(figure.axes, names, strict=True):
        most, *areas = axes.patches
        assert max(area.get_data().values.max() for area in areas) == pytest.approx(
            np.sum([buffer.held_bytes for buffer in found.of(memory)], axis=0).max()
        )
        assert most.get_data().values.tolist() == found.peak_bytes[memory].tolist()
        assert axes.get_title(loc="left").startswith(f"{memory}: up to {found.most(memory):,} of ")
    # Weights are loaded once and stay until the layer's last step: at some time all of a buffer is held.
    sizes = {region.name: region.bytes for region in recorded.program.regions if region.memory == "weights"}
    assert {buffer.name: round(buffer.held_bytes.max(), 3) for buffer in found.of("weights")} == sizes


def test_occupancy_says_the_most_at_any_time_and_not_the_largest_mean(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SRAM of the size of the largest mean would be too small; how many bins a figure has is no matter."""
    fine = count_occupancy(recorded.profile, recorded.program, recorded.events)
    monkeypatch.setattr("accelsim.profile.occupancy.BINS", 7)
    coarse = count_occupancy(recorded.profile, recorded.program, recorded.events)
    figure = plot_occupancy(recorded.profile, coarse)
    assert figure is not None
    for axes, memory in zip(figure.axes, fine.capacity_bytes, strict=True):
        mean = np.sum([buffer.held_bytes for buffer in coarse.of(memory)], axis=0).max()
        assert coarse.most(memory) == fine.most(memory) > mean
        assert axes.get_title(loc="left").startswith(f"{memory}: up to {fine.most(memory):,} of ")
        assert axes.get_ylim()[1] > fine.most(memory)
    assert "light grey: up to the most held at any time" in figure.get_supxlabel()


ROLES = ("input weights", "recurrent weights", "sums of recurrent weights, two blocks", "cell")


def occupancy_of(layers: list[str], roles: tuple[str, ...], shared: tuple[str, ...] = ()) -> Occupancy:
    """Buffers of 10, 20, 30 ... bytes, all in one memory: each role of each layer, then shared ones."""
    named = [(f"{layer} {role}", layer, role) for layer in layers for role in roles]
    named += [(name, "", name) for name in shared]
    buffers = [
        Buffer(name, "activations", np.full(10, 10.0 * n), layer, role)
        for n, (name, layer, role) in enumerate(named, 1)
    ]
    capacity = dict.fromkeys(("weights", "activations", "accumulators", "parameters"), 4000)
    peak = {"activations": np.sum([one.held_bytes for one in buffers] or [np.zeros(10)], axis=0)}
    return Occupancy(100, 10, tuple(buffers), capacity, peak, tuple(layers))


def areas(found: Occupancy) -> dict[str, float]:
    shown = areas_of(found.of("activations"), found.layers, 7)
    assert len({area.text for area in shown}) == len(shown) <= 7
    total = sum(one.held_bytes[0] for one in found.buffers)
    assert sum(area.held_bytes[0] for area in shown) == pytest.approx(total)
    return {area.text: float(area.held_bytes[0]) for area in shown}


def test_areas_of_an_occupancy_are_buffers_layers_roles_or_layers_in_a_row() -> None:
    few = areas(occupancy_of(["a", "b"], ROLES[:3], ("table",)))
    assert few == {
        "table": 70,
        "b sums of recurrent weights, two blocks": 60,
        "b recurrent weights": 50,
        "b input weights": 40,
        "a sums of recurrent weights, two blocks": 30,
        "a recurrent weights": 20,
        "a input weights": 10,
    }
    by_layer = areas(occupancy_of(["a", "b", "c"], ROLES[:3], ("table",)))
    assert list(by_layer.items()) == [
        ("a (3 buffers)", 60),
        ("b (3 buffers)", 150),
        ("c (3 buffers)", 240),
        ("table", 100),
    ]
    one_each = areas(occupancy_of(["a", "b", "c"], ROLES[:1]))
    assert list(one_each) == ["a input weights", "b input weights", "c input weights"]
    by_role = areas(occupancy_of([f"l{n}" for n in range(10)], ROLES[:2], ("table",)))
    assert by_role == {"recurrent weights (10 layers)": 1100, "input weights (10 layers)": 1000, "table": 210}
    in_a_row = areas(occupancy_of([f"l{n}" for n in range(13)], ("parameters",), ("table", "other")))
    assert list(in_a_row) == ["l0 to l2", "l3 to l5", "l6 to l8", "l9 to l11", "l12", "of no layer"]
    assert list(in_a_row.values()) == [60, 150, 240, 330, 130, 290]
    of_none = areas(occupancy_of([], (), tuple(f"table {n}" for n in range(9))))
    assert of_none == {f"table {n}": 10 + 10 * n for n in range(3, 9)} | {"3 other buffers": 60}


def test_areas_with_long_names_keep_what_they_are_for_and_are_told_apart(recorded: Recorded) -> None:
    names = [f"encoder/bidirectional_lstm_layer_with_a_long_name_{n}/cell{way}" for n in range(3) for way in ("", "_b")]
    for layers, roles in ((names[:2], ROLES[1:4]), (names, ROLES), (names[:3], ROLES[:2])):
        found = occupancy_of(layers, roles)
        shown = areas(found)
        assert all(len(text) <= 50 for text in shown)
        if len(found.buffers) <= 7:
            for role in roles:
                assert sum(text.endswith(f" {role}") for text in shown) == len(layers)
        figure = plot_occupancy(recorded.profile, found)
        assert figure is not None
        assert (overlaps(figure), cut_off(figure)) == ([], [])


def test_occupancy_of_many_buffers_and_an_empty_memory(recorded: Recorded) -> None:
    found = occupancy_of([f"layer {n}" for n in range(20)], ("results",))
    figure = plot_occupancy(recorded.profile, found)
    assert figure is not None
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][:2] == ["layer 18 to layer 19", "layer 15 to layer 17"]
    assert axes.patches[-1].get_data().values.tolist() == [2100.0] * 10
    assert figure.get_supxlabel().endswith("nothing held: weights, accumulators, parameters")
    assert (overlaps(figure), cut_off(figure)) == ([], [])
    assert plot_occupancy(recorded.profile, replace(found, buffers=())) is None
