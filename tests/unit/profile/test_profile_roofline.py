"""The roofline's points and lines by hand, and where the names of its layers stand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from profile_runs import Recorded, profile_of

from accelsim.profile import Profile
from accelsim.profile.figures.placing import Label, place_labels
from accelsim.profile.figures.roofline import NAMED_LAYERS, plot_roofline, roofline_points
from accelsim.profile.figures.style import new_figure
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
