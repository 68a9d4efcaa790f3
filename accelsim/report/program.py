"""The page of a program: its run in words, tables and figures, and its instructions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from accelsim.chip.load import describe_keys
from accelsim.costs import known
from accelsim.isa.assembler import format_instruction
from accelsim.isa.program import Program
from accelsim.profile import Part, Profile
from accelsim.profile.labels import component_name, on_a_line, printable
from accelsim.profile.profile import CAUSES, REASONS, UNITS
from accelsim.report.columns import Column, decimals_for, table_of
from accelsim.report.figures import (
    colours_of,
    cycles_figure,
    energy_figure,
    memory_figure,
    roofline_figure,
    traffic_figure,
)
from accelsim.report.listing import listing_lines
from accelsim.report.manifest import Rows
from accelsim.report.page import plot_text, render_page
from accelsim.report.quantities import in_bytes, in_energy, in_time

_CAUSE_WORDS = {
    "matrix": "the matrix unit works",
    "vector": "the vector unit works",
    "latency": "results are on their way through a pipeline",
    "dram": "a transfer from or to DRAM is waited for",
    "sequencer": "only the sequencer is at work",
}
_ONE = {"mac": "a multiply-accumulate", "vector": "an element"}
_UNIT_WORDS = {
    "busy": "A beat is issued.",
    "semaphore": "An instruction waits for a semaphore.",
    "dependency": "A chained instruction waits for the next element.",
    "bank": "Another unit has the memory bank.",
    "dram": "A DMA waits for data or a buffer; the sequencer for its program.",
    "queue": "The sequencer waits for a place in a unit's queue.",
    "idle": "There is no instruction.",
}


def program_page(
    program: Program,
    profile: Profile,
    timeline: Mapping[str, Any] | None,
    manifest: Rows,
    *,
    weight_file: str,
) -> str:
    """The page's text.

    Parameters
    ----------
    program : Program
    profile : Profile
        Of a frame's run.
    timeline : mapping or None
        As `timeline.timeline_of` gives it.
    manifest : list of (str, str)
        What the page was made of, and of what value.
    weight_file : str
        The name of the weights' file.
    """
    figures = {
        "cycles": cycles_figure(profile),
        "traffic": traffic_figure(profile),
        "memory": memory_figure(program),
    }
    if profile.total.macs:
        figures["roofline"] = roofline_figure(profile)
    if _has_energy(profile):
        figures["energy"] = energy_figure(profile)
    names = [printable(part.name) for part in profile.layers]
    data = {
        "figures": figures,
        "tables": {
            "layers": _layers(program, profile),
            "units": _units(profile),
            "chip": _chip(program),
            "costs": _costs(profile),
        },
        "layers": [plot_text(name) for name in names],
        "colours": colours_of(profile),
        "cycles": profile.cycles,
        "clock_mhz": profile.total.clock_mhz,
        "timeline": timeline,
        "instructions": [plot_text(format_instruction(instruction)) for instruction in program.instructions],
    }
    return render_page(
        "program.html.jinja",
        ["timeline.js", "program.js"],
        data,
        title=f"{printable(program.name)} on {program.chip.name}",
        tiles=_tiles(profile),
        sentences=_sentences(program, profile),
        lines=listing_lines(program, weight_file),
        figures=figures,
        timeline=timeline,
        profile=profile,
        chip=program.chip,
        layer_names=names,
        manifest=manifest,
    )


def _tiles(profile: Profile) -> list[tuple[str, str, str]]:
    """(what, how much, beside it) of the figures a reader looks for first."""
    total = profile.total
    rates = profile.bandwidth
    moved = total.memory["dram"].bytes
    energy = (in_energy(total.energy_nj), _energy_share(profile)) if _has_energy(profile) else ("–", "not known")
    area = known(profile.costs.total_area_mm2)
    return [
        ("cycles", f"{profile.cycles:,}", f"of {profile.once}"),
        ("time", in_time(profile.time_us), f"at {total.clock_mhz:g} MHz"),
        ("over the lower bound", f"{profile.ratio:.2f} ×", f"bound {profile.bound.cycles:,}: {profile.bound.limit}"),
        ("MAC utilization", f"{100 * total.mac_utilization:.2f} %", f"of {total.peak_macs:,} MACs a cycle"),
        (
            "DRAM traffic",
            in_bytes(moved),
            f"{100 * rates.mean_bytes_per_cycle / rates.limit_bytes_per_cycle:.0f} % of the bus",
        ),
        ("energy", *energy),
        *([("area", f"{area:.4g} mm²", f"table {profile.costs.table}")] if area else []),
    ]


def _sentences(program: Program, profile: Profile) -> list[str]:
    total, bound = profile.total, profile.bound
    causes = sorted(CAUSES, key=lambda cause: total.causes[cause], reverse=True)[:2]
    waits = " and ".join(
        f"in {100 * total.causes[cause] / profile.cycles:.0f} % {_CAUSE_WORDS[cause]}"
        for cause in causes
        if total.causes[cause]
    )
    longest = max(profile.layers, key=lambda part: part.cycles)
    bounds = {
        "MACs": bound.mac_cycles,
        "DRAM bytes, each once": bound.dram_cycles,
        "dependency path": bound.path_cycles,
    }
    others = ", ".join(f"{name} {cycles:,}" for name, cycles in bounds.items() if name != bound.limit)
    first = (
        f"{printable(program.name)} takes {profile.cycles:,} cycles ({in_time(profile.time_us)}) for {profile.once} on "
        f"chip {program.chip.name}, with the schedule “{printable(program.schedule)}”."
    )
    if profile.setup_cycles:
        first += f" Before the first frame, once, come {profile.setup_cycles:,} cycles of set-up."
    rates = profile.bandwidth
    return [
        first,
        f"The lower bound is {bound.cycles:,} cycles, set by: {bound.limit} ({others}). "
        f"The run takes {profile.ratio:.2f} times as long.",
        f"Of its cycles, {waits}. The layer with most of them is {printable(longest.name)}: {longest.cycles:,}, or "
        f"{100 * longest.share:.1f} %.",
        f"The MAC array does {total.macs:,} multiply-accumulates, {100 * total.mac_utilization:.2f} % of what it could "
        f"in that time. DRAM moves {total.memory['dram'].bytes:,} bytes, {rates.mean_bytes_per_cycle:.2f} a cycle of "
        f"the {rates.limit_bytes_per_cycle:g} the bus can do.",
        *([f"Energy is {in_energy(total.energy_nj)}; {_energy_share(profile)}."] if _has_energy(profile) else []),
        f"{_area(profile)} Energy and area are by {profile.costs.basis}; see below what they leave out.",
    ]


def _has_energy(profile: Profile) -> bool:
    """Whether the cost table knows of each action that the run has, and any of them takes energy."""
    return not math.isnan(profile.total.energy_nj) and profile.total.energy_nj > 0


def _area(profile: Profile) -> str:
    area = profile.costs.area_mm2
    whole = known(profile.costs.total_area_mm2)
    if not whole:
        return "Its area is not known."
    most = max(area, key=lambda key: area[key].value)
    share = 100 * area[most].value / whole
    return f"Array, vector unit and memories cover {whole:.4g} mm², most of it: {component_name(most)}, {share:.0f} %."


def _energy_share(profile: Profile) -> str:
    energy = profile.total.energy_pj
    most = max(energy, key=lambda key: energy[key])
    return f"most in: {component_name(most)}, {100 * energy[most] / (sum(energy.values()) or 1):.0f} %"


def _layers(program: Program, profile: Profile) -> dict[str, Any]:
    total = profile.total
    columns = [
        Column("index", "#", help="Place in the model."),
        Column("name", "layer", kind="text"),
        Column("kind", "kind", kind="text"),
        Column("cycles", "cycles", help="The run's cycles spent on the layer; they add up to the run."),
        Column("share", "share", "%", decimals=1, help="Of the run's cycles."),
        Column("time", "time", "µs", decimals=decimals_for(total.time_us), help="Cycles over the clock."),
        Column("energy", "energy", "nJ", decimals=decimals_for(total.energy_nj), help="All components."),
        *(
            Column(f"cause_{cause}", cause, "cycles", help=f"Cycles in which {_CAUSE_WORDS[cause]}.")
            for cause in CAUSES
        ),
        Column("macs", "MACs", help="Multiply-accumulates of the model."),
        Column("utilization", "MAC util.", "%", decimals=2, help="MACs over what the array could do in these cycles."),
        Column("elements", "vector elements", shown=False, help="Elements through the vector unit."),
        Column("dram_bytes", "DRAM", "bytes", help="Bytes read and written."),
        Column("dram_rate", "DRAM rate", "bytes/cycle", decimals=3, shown=False, help="Over the whole run's cycles."),
        Column("intensity", "MACs/byte", decimals=2, shown=False, help="MACs a DRAM byte; empty without DRAM traffic."),
        *(
            Column(
                f"energy_{key}",
                component_name(key),
                "nJ",
                decimals=decimals_for(total.energy_nj),
                shown=False,
                help="Energy of this component.",
            )
            for key in total.energy_pj
        ),
        Column("parameters", "parameters", "bytes", shown=False, help="Weights and constants, without padding."),
        Column("instructions", "instr.", help="Instructions of the program that are the layer's."),
    ]
    owned = program.layer_indices
    rows = []
    for index, part in enumerate(profile.layers):
        inside = index < len(program.layers)
        rows.append(
            _row(part)
            | {
                "index": index if inside else None,
                "kind": printable(part.kind) if inside else "",
                "parameters": program.layers[index].parameters_bytes if inside else None,
                "instructions": owned.count(index if inside else -1),
            }
        )
    whole = _row(total) | {
        "parameters": sum(layer.parameters_bytes for layer in program.layers),
        "instructions": len(program.words),
    }
    return table_of(columns, rows, whole)


def _row(part: Part) -> dict[str, Any]:
    return {
        "name": printable(part.name),
        "cycles": part.cycles,
        "share": 100 * part.share,
        "time": part.time_us,
        **{f"cause_{cause}": cycles for cause, cycles in part.causes.items()},
        "macs": part.macs,
        "utilization": 100 * part.mac_utilization,
        "elements": part.elements,
        "dram_bytes": part.memory["dram"].bytes,
        "dram_rate": part.dram_bytes_per_cycle,
        "intensity": part.macs_per_dram_byte,
        "energy": part.energy_nj,
        **{f"energy_{key}": value / 1000 for key, value in part.energy_pj.items()},
    }


def _units(profile: Profile) -> dict[str, Any]:
    columns = [
        Column("unit", "unit", kind="text"),
        Column("operations", "instr.", help="Instructions executed."),
        Column("share", "busy", "%", decimals=1, help="Busy cycles over the run's."),
        *(Column(reason, reason, "cycles", help=_UNIT_WORDS[reason]) for reason in REASONS),
    ]
    rows = [
        {
            "unit": unit,
            "operations": profile.operations[unit],
            "share": 100 * profile.total.units[unit]["busy"] / profile.cycles,
            **profile.total.units[unit],
        }
        for unit in UNITS
    ]
    return table_of(columns, rows)


def _chip(program: Program) -> dict[str, Any]:
    columns = [
        Column("key", "key", kind="text"),
        Column("value", "value", kind="text"),
        Column("meaning", "meaning", kind="text"),
        Column("source", "where it comes from", kind="text"),
    ]
    rows = [
        {"key": key, "value": _value(value), "meaning": meaning, "source": on_a_line(source) or "–"}
        for key, value, meaning, source in describe_keys(program.chip)
    ]
    return table_of(columns, rows)


def _costs(profile: Profile) -> dict[str, Any]:
    columns = [
        Column("part", "part", kind="text"),
        Column("what", "figure", kind="text"),
        Column("value", "value", decimals=None),
        Column("unit", "unit", kind="text"),
        Column("source", "where it comes from", kind="text"),
    ]
    costs = profile.costs
    figures = [
        *(
            (component_name(key), f"energy of {_ONE.get(key, 'a byte')}", "pJ", figure)
            for key, figure in costs.action_pj.items()
        ),
        ("all", "leakage", "mW", costs.leakage_mw),
        *((component_name(key), "area", "mm²", figure) for key, figure in costs.area_mm2.items()),
    ]
    return table_of(
        columns,
        [
            {"part": part, "what": what, "value": figure.value, "unit": unit, "source": on_a_line(figure.source)}
            for part, what, unit, figure in figures
        ],
    )


def _value(value: Any) -> str:
    """As it stands in a chip file, with thousands separators."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value) or "none"
    return on_a_line(str(value)) or "–"
