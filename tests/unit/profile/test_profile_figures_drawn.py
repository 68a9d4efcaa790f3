"""What each figure shows: its numbers, its units, and that no text covers another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from profile_runs import Recorded, profile_of

from accelsim.profile.figures.areas import areas_of
from accelsim.profile.figures.bars import plot_cycles, plot_energy
from accelsim.profile.figures.occupancy import plot_occupancy
from accelsim.profile.figures.roofline import plot_roofline
from accelsim.profile.figures.style import picture_files
from accelsim.profile.figures.zoom import MOST_NAMED, Zoom, plot_zoom
from accelsim.profile.occupancy import Buffer, Occupancy
from accelsim.profile.palette import COMPONENT_STYLE
from accelsim.profile.plots import ZoomWish, count_occupancy, draw_figures, draw_zoom, find_zoom
from tests.support.figures import cut_off, overlaps


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


def test_a_zoom_names_its_layer_as_other_figures_do(recorded: Recorded) -> None:
    names = [f"encoder/bidirectional_{way}_with_a_long_name/cell" for way in ("forward", "backward", "both")]
    layers = [replace(layer, name=name) for layer, name in zip(recorded.program.layers, names, strict=True)]
    program = replace(recorded.program, layers=tuple(layers))
    zooms = [find_zoom(recorded.profile, program, ZoomWish(step=2, layer=name), recorded.events) for name in names[:2]]
    assert len({zoom.what for zoom in zooms}) == 2
    figure = plot_zoom(recorded.profile, program, recorded.events, zooms[0])
    (axes,) = figure.axes
    shown = {label.get_text().split("  ")[1] for label in axes.get_yticklabels()}
    drawn = recorded.events[(recorded.events["done"] >= zooms[0].first) & (recorded.events["started"] < zooms[0].last)]
    assert len(shown) == len(np.unique(drawn["layer"])) > 1


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
