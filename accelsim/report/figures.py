"""Figures of a program's page, as plain data for plotly: traces and layouts, no classes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from accelsim.isa.program import Program, Region
from accelsim.profile import Part, Profile
from accelsim.profile.labels import component_name, printable, shortened
from accelsim.profile.palette import BLUE, CAUSE_STYLE, GREY, ORANGE, OUTSIDE_COLOUR, VERMILION, layer_colours
from accelsim.profile.storage import SRAMS
from accelsim.report.page import plot_text
from accelsim.report.quantities import energy_unit

Figure = dict[str, Any]

_BARS = 60
"""Layers a figure has a bar for; of more, those that took most."""
_COLOURED = 7
"""Layers that colours tell apart; of more they go from dark to light, as the legend beside such a figure says."""
_NAMED = 14
"""Marks of the roofline that its own legend names; of more it has one for all."""
_NAME_WIDTH = 26
_BAR_HEIGHT = 24
_CAUSES = {
    "matrix": "the matrix unit issues work",
    "vector": "the vector unit issues work",
    "latency": "results are on their way through a pipeline",
    "dram": "a transfer is waited for",
    "sequencer": "neither of these",
}


def layer_name(name: str) -> str:
    """A name for an axis: short, and plain to plotly."""
    return plot_text(shortened(name, _NAME_WIDTH))


def cycles_figure(profile: Profile) -> Figure:
    """A frame's cycles: a bar a layer, its segments by cause. Bars add up to the run."""
    parts = _largest(profile)
    places = list(range(len(parts)))
    traces = []
    for cause, (colour, hatch) in CAUSE_STYLE.items():
        if not profile.total.causes[cause]:
            continue
        share = 100 * profile.total.causes[cause] / profile.cycles
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": f"{cause} {share:.1f} %",
                "y": places,
                "x": [part.causes[cause] for _, part in parts],
                "customdata": [
                    [plot_text(printable(part.name)), _percent(part.causes[cause], part.cycles)] for _, part in parts
                ],
                "hovertemplate": f"%{{customdata[0]}}<br><b>{cause}</b>: %{{x:,}} cycles, %{{customdata[1]}} of the "
                f"layer's<br>{_CAUSES[cause]}<extra></extra>",
                "marker": {"color": colour, "pattern": _hatch(hatch), "line": {"width": 0.5, "color": "#fff"}},
                "meta": {"layers": [index for index, _ in parts]},
            }
        )
    return {
        "data": traces,
        "layout": {
            "barmode": "stack",
            "height": 150 + _BAR_HEIGHT * len(parts),
            "xaxis": {"title": {"text": f"cycles of {profile.once}"}, "tickformat": ",d"},
            "yaxis": _named(places, [part for _, part in parts]),
        },
    }


def roofline_figure(profile: Profile) -> Figure:
    """Multiply-accumulates a cycle over those a DRAM byte, under what the array and the bus can do; both axes log."""
    peak, bus = profile.total.peak_macs, profile.bandwidth.limit_bytes_per_cycle
    points = [(index, part) for index, part in enumerate(profile.layers) if part.macs and part.cycles]
    if profile.total.macs:
        points.append((-1, profile.total))
    known = [part.macs_per_dram_byte for _, part in points if part.macs_per_dram_byte is not None]
    ridge = peak / bus
    left = 10 ** np.floor(np.log10(min([*known, ridge]) / 1.5))
    right = 10 ** np.ceil(np.log10(max([*known, ridge]) * 1.5))
    rates = [part.macs / part.cycles for _, part in points]
    bottom = 10 ** np.floor(np.log10(min([*rates, peak / 10]) / 1.5))
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"limit: {bus:g} bytes, {peak:,} MACs a cycle",
            "x": [float(bottom / bus), ridge, float(max(right, ridge * 10))],
            "y": [float(bottom), peak, peak],
            "line": {"color": VERMILION, "width": 2},
            "hoverinfo": "skip",
        }
    ]
    colours = _colours(len(profile.layers) - 1)
    many = len(points) > _NAMED
    for place, (index, part) in enumerate(points):
        intensity = part.macs_per_dram_byte
        attained = part.macs / part.cycles
        text = plot_text(shortened(part.name, _NAME_WIDTH))
        whole = part is profile.total
        reach = min(peak, peak if intensity is None else intensity * bus)
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "whole run" if whole else "layers, from dark to light in their order" if many else text,
                "x": [float(right) if intensity is None else intensity],
                "y": [attained],
                "marker": {
                    "color": "#222" if whole else colours[index],
                    "symbol": "diamond" if whole else "circle" if intensity is not None else "triangle-right",
                    "size": 13,
                    "line": {"width": 1, "color": "#222"},
                },
                "customdata": [
                    [
                        plot_text(printable(part.name)),
                        "no DRAM traffic" if intensity is None else f"{intensity:,.2f} MACs a DRAM byte",
                        f"{100 * attained / reach:.1f} %",
                    ]
                ],
                "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{y:,.2f} MACs a cycle, "
                "%{customdata[2]} of the limit there<extra></extra>",
                "showlegend": whole or not many or not place,
                "meta": {"layers": [index]},
            }
        )
    log = {"type": "log", "dtick": 1, "tickformat": ",~r", "minor": {"showgrid": False}}
    # The axes are logarithmic: plotly takes their ranges as powers of ten.
    ranges = np.log10([left, max(right, ridge * 3) * 1.2]), np.log10([bottom, peak * 2])
    return {
        "data": traces,
        "layout": {
            "height": 460,
            "xaxis": log | {"title": {"text": "MACs a DRAM byte"}, "range": ranges[0]},
            "yaxis": log | {"title": {"text": "MACs a cycle"}, "range": ranges[1]},
            "hovermode": "closest",
        },
    }


def traffic_figure(profile: Profile) -> Figure:
    """DRAM bytes a cycle over time, read and written, against what the bus can do."""
    rates = profile.bandwidth
    edges = np.arange(rates.traffic_bytes.shape[1] + 1, dtype=np.float64) * rates.bin_cycles
    edges[-1] = max(profile.cycles, edges[-2] + 1)
    middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    clock = profile.total.clock_mhz
    moved = profile.total.memory["dram"]
    spans = [
        f"cycles {int(start):,} to {int(end):,}, from {start / clock:,.2f} µs on"
        for start, end in itertools.pairwise(edges.tolist())
    ]
    traces: list[dict[str, Any]] = [
        {
            "type": "bar",
            "name": f"{way}, {count:,} bytes",
            "x": middles,
            "width": widths,
            "y": np.round(values / widths, 4),
            "customdata": spans,
            "hovertemplate": f"%{{customdata}}<br><b>{way}</b>: %{{y:.2f}} bytes a cycle<extra></extra>",
            "marker": {"color": colour, "line": {"width": 0}},
        }
        for way, count, values, colour in (
            ("read", moved.read_bytes, rates.traffic_bytes[0], BLUE),
            ("written", moved.written_bytes, rates.traffic_bytes[1], ORANGE),
        )
    ]
    for name, rate, colour, dash in (
        ("limit", rates.limit_bytes_per_cycle, VERMILION, "solid"),
        ("mean", rates.mean_bytes_per_cycle, "#222", "dash"),
    ):
        label = f"{name}, {rate:.2f} bytes a cycle = {rates.gigabytes_per_second(rate):.2f} GB/s"
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": label,
                "x": [0, profile.cycles],
                "y": [rate, rate],
                "line": {"color": colour, "width": 2, "dash": dash},
                "hoverinfo": "skip",
            }
        )
    return {
        "data": traces,
        "layout": {
            "barmode": "stack",
            "bargap": 0,
            "height": 360,
            "xaxis": {
                "title": {"text": f"cycle ({clock:g} cycles are 1 µs; bars of {rates.bin_cycles:,} cycles)"},
                "tickformat": ",d",
                "range": [0, profile.cycles],
            },
            "yaxis": {"title": {"text": "DRAM bytes a cycle"}, "rangemode": "tozero", "fixedrange": True},
        },
    }


def energy_figure(profile: Profile) -> Figure:
    """Energy of a frame by component, largest first; its segments are the layers, where colours tell them apart."""
    components = sorted(
        (key for key, value in profile.total.energy_pj.items() if value),
        key=lambda key: profile.total.energy_pj[key],
        reverse=True,
    )
    whole = sum(profile.total.energy_pj.values())
    places = list(range(len(components)))
    parts = [(index, part) for index, part in enumerate(profile.layers) if any(part.energy_pj.values())]
    colours = _colours(len(profile.layers) - 1)
    kept = sorted(parts, key=lambda item: item[1].energy_nj, reverse=True)[:_BARS]
    others = [part for index, part in parts if all(index != other for other, _ in kept)]
    parts = [item for item in parts if item in kept]
    unit, scale = energy_unit(max((profile.total.energy_pj[key] for key in components), default=0) / 1000)
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": layer_name(part.name),
            "y": places,
            "x": [part.energy_pj[key] / 1000 / scale for key in components],
            "customdata": [
                [
                    plot_text(printable(part.name)),
                    component_name(key),
                    _percent(profile.total.energy_pj[key], whole),
                ]
                for key in components
            ],
            "hovertemplate": f"%{{customdata[0]}}<br><b>%{{customdata[1]}}</b>: %{{x:,.4~g}} {unit}<br>"
            "the component in all: %{customdata[2]}<extra></extra>",
            # White edges would cover narrow segments.
            "marker": {
                "color": colours[index],
                "line": {"width": 0.5 if len(parts) <= _COLOURED + 1 else 0, "color": "#fff"},
            },
            "meta": {"layers": [index] * len(components)},
        }
        for index, part in parts
    ]
    if others:
        rest = {key: sum(part.energy_pj[key] for part in others) for key in components}
        traces.append(_other_layers(rest, components, len(others), scale, unit))
    names = [f"{component_name(key)}, {_percent(profile.total.energy_pj[key], whole)}" for key in components]
    return {
        "data": traces,
        "layout": {
            "barmode": "stack",
            "height": 140 + 30 * len(components),
            "xaxis": {"title": {"text": f"energy of {profile.once} in {unit}"}, "tickformat": ",~g"},
            "yaxis": {"tickvals": places, "ticktext": names, "autorange": "reversed", "automargin": True},
            # Of many, the legend above the figure says what the colours are.
            "showlegend": len(traces) <= _COLOURED + 1,
        },
    }


def _other_layers(pj: Mapping[str, float], components: Sequence[str], count: int, scale: float, unit: str) -> Figure:
    """A segment of each bar for the layers that have none of their own, so that the bars add up."""
    return {
        "type": "bar",
        "orientation": "h",
        "name": f"{count} other layers",
        "y": list(range(len(components))),
        "x": [pj[key] / 1000 / scale for key in components],
        "customdata": [component_name(key) for key in components],
        "hovertemplate": f"{count} other layers<br><b>%{{customdata}}</b>: %{{x:,.4~g}} {unit}<extra></extra>",
        "marker": {"color": GREY, "line": {"width": 0.5, "color": "#fff"}},
    }


def memory_figure(program: Program) -> Figure:
    """The memory map: what lies where in each on-chip memory, as a share of it, and in the part of DRAM in use."""
    dram = max([region.end for region in program.regions if region.memory == "dram"], default=0)
    extents = {name: int(getattr(program.chip.sram, name).capacity_bytes) for name in SRAMS}
    if dram:
        extents["dram"] = dram
    places = {name: place for place, name in enumerate(extents)}
    names = [layer.name for layer in program.layers]
    colours = _colours(len(names))
    regions = [region for region in program.regions if region.memory in places]
    owners = [_owner(region, names) for region in regions]
    labels = []
    for name, extent in extents.items():
        used = max([region.end for region in regions if region.memory == name], default=0)
        text = f"in use: {used:,} bytes" if name == "dram" else f"{used:,} of {extent:,} bytes"
        labels.append(f"<b>{'DRAM' if name == 'dram' else name}</b><br>{text}")
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [places[region.memory] for region in regions],
        "base": [100 * region.address / extents[region.memory] for region in regions],
        "x": [100 * region.bytes / extents[region.memory] for region in regions],
        "customdata": [
            [plot_text(printable(region.name)), f"{region.bytes:,}", f"0x{region.address:x}", f"0x{region.end - 1:x}"]
            for region in regions
        ],
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]} bytes, %{customdata[2]} to %{customdata[3]}"
        "<extra></extra>",
        "marker": {
            "color": [GREY if owner < 0 else colours[owner] for owner in owners],
            # A white edge would cover narrow bars.
            "line": {
                "width": [0.6 if region.bytes > extents[region.memory] / 250 else 0 for region in regions],
                "color": "#fff",
            },
        },
        "meta": {"layers": owners},
        "showlegend": False,
    }
    return {
        "data": [trace],
        "layout": {
            "barmode": "overlay",
            "bargap": 0.35,
            "height": 130 + 52 * len(extents),
            "xaxis": {"title": {"text": "address, % of the memory (DRAM: of the part in use)"}, "range": [0, 100]},
            "yaxis": {
                "tickvals": list(places.values()),
                "ticktext": labels,
                "range": [len(extents) - 0.5, -0.5],
                "automargin": True,
                "fixedrange": True,
            },
            "hovermode": "closest",
        },
    }


def colours_of(profile: Profile) -> list[str]:
    """A colour a layer, then one for what is of none."""
    return _colours(len(profile.layers) - 1)


def _owner(region: Region, layers: Sequence[str]) -> int:
    """The layer whose name the region's begins with, the longest such; -1 for none."""
    owners = [index for index, name in enumerate(layers) if region.name == name or region.name.startswith(f"{name} ")]
    return max(owners, key=lambda index: len(layers[index]), default=-1)


def _largest(profile: Profile) -> list[tuple[int, Part]]:
    parts = [(index, part) for index, part in enumerate(profile.layers) if part.cycles]
    kept = sorted(parts, key=lambda item: item[1].cycles, reverse=True)[:_BARS]
    return sorted(kept, key=lambda item: item[0])


def _named(places: Sequence[int], parts: Sequence[Part]) -> dict[str, Any]:
    ticks = [f"{layer_name(part.name)}  {100 * part.share:.1f} %" for part in parts]
    return {"tickvals": places, "ticktext": ticks, "autorange": "reversed", "automargin": True, "fixedrange": True}


def _hatch(hatch: str) -> dict[str, Any]:
    if not hatch:
        return {"shape": ""}
    return {"shape": hatch[0], "fillmode": "overlay", "fgcolor": "#fff", "size": 6, "solidity": 0.25}


def _colours(layers: int) -> list[str]:
    return [*layer_colours(layers), OUTSIDE_COLOUR]


def _percent(value: float, whole: float) -> str:
    return f"{100 * value / whole:.1f} %" if whole else "0 %"
