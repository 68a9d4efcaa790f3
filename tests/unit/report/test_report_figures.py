from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from report_runs import Recorded

from accelsim.profile.profile import CAUSES
from accelsim.report.figures import (
    cycles_figure,
    energy_figure,
    memory_figure,
    roofline_figure,
    traffic_figure,
)


def test_bars_of_cycles_add_up_to_the_run(recorded: Recorded) -> None:
    profile = recorded.profile
    figure = cycles_figure(profile)
    by_cause = {trace["name"].split()[0]: sum(trace["x"]) for trace in figure["data"]}
    assert by_cause == {cause: profile.total.causes[cause] for cause in CAUSES if profile.total.causes[cause]}
    assert sum(by_cause.values()) == profile.cycles
    assert figure["layout"]["xaxis"]["title"]["text"] == "cycles of a frame"
    assert figure["data"][0]["meta"]["layers"] == [index for index, part in enumerate(profile.layers) if part.cycles]


def test_of_very_many_layers_those_with_most_cycles_have_bars(recorded: Recorded) -> None:
    part = recorded.profile.layers[0]
    many = [dataclasses.replace(part, name=f"layer {at}", cycles=100 + at % 90) for at in range(200)]
    figure = cycles_figure(dataclasses.replace(recorded.profile, layers=tuple(many)))
    shown = figure["data"][0]["meta"]["layers"]
    assert len(shown) == 60
    assert min(many[at].cycles for at in shown) >= max(part.cycles for at, part in enumerate(many) if at not in shown)
    assert shown == sorted(shown)


def test_roofline_by_hand(recorded: Recorded) -> None:
    profile = recorded.profile
    figure = roofline_figure(profile)
    limit, first, *_ = figure["data"]
    # 8 bytes a cycle: below 2,048 / 8 = 256 MACs a byte the bus is the limit.
    assert limit["x"][1] == 256
    assert limit["y"] == [8 * limit["x"][0], 2048, 2048]
    part = profile.layers[0]
    assert first["x"] == [part.macs / part.memory["dram"].bytes]
    assert first["y"] == [part.macs / part.cycles]
    assert figure["data"][-1]["name"] == "whole run"
    assert [figure["layout"][axis]["title"]["text"] for axis in ("xaxis", "yaxis")] == [
        "MACs a DRAM byte",
        "MACs a cycle",
    ]


def test_a_layer_without_traffic_stands_at_the_right(recorded: Recorded) -> None:
    profile = recorded.profile
    still = dict.fromkeys(
        profile.total.memory, dataclasses.replace(profile.total.memory["dram"], read_bytes=0, written_bytes=0)
    )
    layers = (dataclasses.replace(profile.layers[0], memory=still), *profile.layers[1:])
    figure = roofline_figure(dataclasses.replace(profile, layers=layers))
    first = figure["data"][1]
    assert first["marker"]["symbol"] == "triangle-right"
    assert first["customdata"][0][1] == "no DRAM traffic"
    assert (
        10 ** figure["layout"]["xaxis"]["range"][1] >= first["x"][0] >= max(one["x"][0] for one in figure["data"][2:])
    )


def test_marks_too_many_to_name_have_one_name_for_all(recorded: Recorded) -> None:
    part = recorded.profile.layers[0]
    for count, named in ((13, 13), (14, 1)):
        many = tuple(dataclasses.replace(part, name=f"layer {at}") for at in range(count))
        figure = roofline_figure(dataclasses.replace(recorded.profile, layers=many))
        names = [trace["name"] for trace in figure["data"] if trace.get("showlegend", True)]
        assert len(names) == named + 2
        assert names[-1] == "whole run"
        assert (names[1] == "layers, from dark to light in their order") == (named == 1)


def test_a_run_without_traffic_has_a_roofline(recorded: Recorded) -> None:
    profile = recorded.profile
    still = dict.fromkeys(
        profile.total.memory, dataclasses.replace(profile.total.memory["dram"], read_bytes=0, written_bytes=0)
    )
    layers = tuple(dataclasses.replace(part, memory=still) for part in profile.layers)
    total = dataclasses.replace(profile.total, memory=still)
    figure = roofline_figure(dataclasses.replace(profile, layers=layers, total=total))
    left, right = figure["layout"]["xaxis"]["range"]
    for trace in figure["data"][1:]:
        assert trace["customdata"][0][1] == "no DRAM traffic"
        assert left < np.log10(trace["x"][0]) < right


def test_bars_of_traffic_hold_every_byte(recorded: Recorded) -> None:
    profile = recorded.profile
    read, written, limit, mean = traffic_figure(profile)["data"]
    moved = profile.total.memory["dram"]
    assert np.dot(read["y"], read["width"]) == pytest.approx(moved.read_bytes, rel=1e-3)
    assert np.dot(written["y"], written["width"]) == pytest.approx(moved.written_bytes, rel=1e-3)
    assert limit["y"] == [8, 8]
    assert mean["y"][0] == pytest.approx(moved.bytes / profile.cycles)
    assert sum(read["width"]) == profile.cycles


def test_bars_of_energy_add_up(recorded: Recorded) -> None:
    profile = recorded.profile
    figure = energy_figure(profile)
    # All layers of this run together are below a thousand nanojoules or above; the axis says which unit it has.
    scale = {"nJ": 1, "µJ": 1000}[figure["layout"]["xaxis"]["title"]["text"].split()[-1]]
    assert scale * sum(sum(trace["x"]) for trace in figure["data"]) == pytest.approx(profile.total.energy_nj)
    whole = [sum(column) for column in zip(*(trace["x"] for trace in figure["data"]), strict=True)]
    assert whole == sorted(whole, reverse=True)


def test_bars_of_energy_of_many_layers_add_up(recorded: Recorded) -> None:
    """However many there are; those that take least share a segment."""
    for count, traces in ((9, 9), (60, 60), (200, 61)):
        parts = [recorded.profile.layers[0]] * (count - 1) + [recorded.profile.layers[1]]
        many = tuple(dataclasses.replace(part, name=f"layer {at}") for at, part in enumerate(parts))
        energy = {key: sum(part.energy_pj[key] for part in many) for key in recorded.profile.total.energy_pj}
        total = dataclasses.replace(recorded.profile.total, energy_pj=energy)
        figure = energy_figure(dataclasses.replace(recorded.profile, layers=many, total=total))
        scale = {"nJ": 1, "µJ": 1000}[figure["layout"]["xaxis"]["title"]["text"].split()[-1]]
        assert len(figure["data"]) == traces
        assert scale * sum(sum(trace["x"]) for trace in figure["data"]) == pytest.approx(sum(energy.values()) / 1000)
    assert figure["data"][-1]["name"] == "140 other layers"


def test_the_memory_map_has_every_region_in_its_place(recorded: Recorded) -> None:
    program = recorded.program
    figure = memory_figure(program)
    (trace,) = figure["data"]
    assert len(trace["x"]) == len(program.regions)
    for at, region in enumerate(program.regions):
        name, size, start, end = trace["customdata"][at]
        assert (name, size) == (region.name, f"{region.bytes:,}")
        assert (int(start, 16), int(end, 16)) == (region.address, region.end - 1)
        if region.memory != "dram":
            capacity = getattr(program.chip.sram, region.memory).capacity_bytes
            assert trace["base"][at] == pytest.approx(100 * region.address / capacity)
            assert trace["x"][at] == pytest.approx(100 * region.bytes / capacity)
        owner = trace["meta"]["layers"][at]
        assert owner < 0 or region.name.startswith(program.layers[owner].name)
    assert max(trace["meta"]["layers"]) == len(program.layers) - 1
