"""A profile as tables for a terminal of 100 columns; rich is imported here alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from accelsim.isa.program import Program
from accelsim.profile.labels import component_name, shortened
from accelsim.profile.profile import CAUSES, REASONS, UNITS, Part, Profile
from accelsim.profile.storage import SRAMS, Storage, storage

NAME_WIDTH = 18
"""Columns of a layer's name; longer ones lose their middle."""

_KIND_WIDTH = 8
_SHORT_NAMES = {
    "mac": "MACs",
    "dram": "DRAM",
    "weights_sram": "weights",
    "activations_sram": "activ.",
    "accumulators_sram": "accum.",
    "parameters_sram": "param.",
}
"""Of a component, where a column has little room."""
_LARGE = 1_000_000
"""From here on a column shows thousands, so that figures stay within seven columns."""
_LARGE_QUANTITY = 100_000
"""From here on a column of times or energies is in the next larger unit."""


def layer_table(profile: Profile) -> Table:
    """Where a frame's cycles go: layers by cause. The rows add up to the last, the causes of a row to its cycles."""
    scale, unit = _scale(profile.cycles)
    title = (
        f"{profile.cycles:,} cycles {profile.once}, {profile.time_us:,.2f} µs{_rows_in(unit)}\n"
        f"lower bound {profile.bound.cycles:,} ({profile.bound.limit}), ratio {profile.ratio:.2f}"
    )
    table = _table(title, ["layer"], ["cycles", "share %", *CAUSES])
    for part in profile.layers:
        _add(table, part.name, _cycle_cells(part, scale))
    table.add_section()
    _add(table, "total", _cycle_cells(profile.total, scale))
    return table


def work_table(profile: Profile) -> Table:
    """What a frame's layers do: multiply-accumulates, how well they use the array, DRAM traffic, energy."""
    parts = (*profile.layers, profile.total)
    scale, unit = _scale(profile.total.macs)
    byte_scale, byte_unit = _scale(profile.total.memory["dram"].bytes)
    intensities = [part.macs_per_dram_byte for part in parts]
    time_scale, time_unit = _metric(profile.time_us, ("µs", "ms", "s"))
    energy_scale, energy_unit = _metric(profile.total.energy_nj, ("nJ", "µJ", "mJ", "J"))
    decimals = {
        "intensity": _decimals(max((value for value in intensities if value is not None), default=0.0)),
        "time": _decimals(profile.time_us / time_scale),
        "energy": _decimals(profile.total.energy_nj / energy_scale),
    }
    rates = ["util. %", "DRAM B", "B/cycle", "MACs/B"]
    headers = ["MACs", *rates, f"time {time_unit}", f"energy {energy_unit}"]
    units = "".join(f"; {name} in {text}" for name, text in (("MACs", unit), ("DRAM B", byte_unit)) if text)
    table = _table(f"Work of {profile.once}" + units, ["layer", "kind"], headers)
    for part, intensity in zip(parts, intensities, strict=True):
        if part is profile.total:
            table.add_section()
        cells = [
            _count(part.macs, scale),
            _number(100 * part.mac_utilization, 2),
            _count(part.memory["dram"].bytes, byte_scale),
            _number(part.dram_bytes_per_cycle, 3),
            "-" if intensity is None else _number(intensity, decimals["intensity"]),
            _number(part.time_us / time_scale, decimals["time"]),
            _number(part.energy_nj / energy_scale, decimals["energy"]),
        ]
        kind = "" if part is profile.total or part is profile.layers[-1] else shortened(part.kind, _KIND_WIDTH)
        table.add_row(Text(shortened(part.name, NAME_WIDTH)), Text(kind), *cells)
    return table


def unit_table(profile: Profile) -> Table:
    """What each unit does in a frame's cycles. The reasons of a row add up to the run."""
    scale, unit_name = _scale(profile.cycles)
    title = f"Units: what they do in the {profile.cycles:,} cycles of {profile.once}" + _rows_in(unit_name)
    table = _table(title, ["unit"], ["instr.", "busy %", *REASONS])
    for unit in UNITS:
        reasons = profile.total.units[unit]
        cells = [_count(profile.operations[unit], scale), f"{100 * reasons['busy'] / profile.cycles:.1f}"]
        _add(table, unit, cells + [_count(cycles, scale) for cycles in reasons.values()])
    return table


def energy_table(profile: Profile) -> Table:
    """Where a frame's energy goes: layers by component. Rows and columns add up."""
    parts = (*profile.layers, profile.total)
    scale, unit = _metric(profile.total.energy_nj, ("nJ", "µJ", "mJ", "J"))
    decimals = _decimals(profile.total.energy_nj / scale)
    own = "; the chip's own figures come first" if profile.costs.own else ""
    table = _table(
        f"Energy of {profile.once} in {unit}, by cost table {profile.costs.table}{own}",
        ["layer"],
        [*(_SHORT_NAMES.get(name, name) for name in profile.total.energy_pj), "total"],
    )
    for part in parts:
        if part is profile.total:
            table.add_section()
        energies = [*(energy / 1000 for energy in part.energy_pj.values()), part.energy_nj]
        _add(table, part.name, [_number(energy / scale, decimals) for energy in energies])
    return table


def area_text(profile: Profile) -> str:
    """The chip's area by its cost table, in all and by part."""
    costs = profile.costs
    known = [(name, area.value) for name, area in costs.area_mm2.items() if not math.isnan(area.value)]
    if not known:
        return f"area: cost table {costs.table} has none"
    parts = ", ".join(f"{component_name(name)} {area:.3f}" for name, area in known)
    total = costs.total_area_mm2
    lacking = [component_name(name) for name in costs.area_mm2 if name not in dict(known)]
    whole = f"not known in all, without {', '.join(lacking)}" if lacking else f"{total:.3f} mm²"
    return f"area by cost table {costs.table}: {whole}; in mm²: {parts}"


def memory_table(profile: Profile) -> Table:
    """Bytes and energy of each memory, and energy of all else, of a frame."""
    table = _table(
        f"Memories and energy of {profile.once}", [""], ["read bytes", "written bytes", "energy nJ", "share %"]
    )
    whole = sum(profile.total.energy_pj.values())
    decimals = _decimals(whole / 1000)
    for name, energy in profile.total.energy_pj.items():
        traffic = profile.total.memory.get(name.removesuffix("_sram"))
        moved = ["", ""] if traffic is None else [_count(traffic.read_bytes, 1), _count(traffic.written_bytes, 1)]
        share = 100 * energy / whole if whole else 0.0
        _add(table, component_name(name), [*moved, _number(energy / 1000, decimals), f"{share:.1f}"])
    table.add_section()
    _add(table, "total", ["", "", _number(whole / 1000, decimals), "100.0" if whole else "0.0"])
    rates = profile.bandwidth
    gigabytes = [
        f"{name} {rate:.3f} bytes/cycle ({rates.gigabytes_per_second(rate):.3f} GB/s)"
        for name, rate in (
            ("mean", rates.mean_bytes_per_cycle),
            (f"peak over {rates.bin_cycles:,} cycles", rates.peak_bytes_per_cycle),
            ("limit", rates.limit_bytes_per_cycle),
        )
    ]
    table.caption = Text("DRAM: " + ",\n      ".join(gigabytes))
    table.caption_justify = "left"
    return table


def storage_table(program: Program) -> Table:
    """Where a program's bytes lie: layers by memory, and how full each memory is."""
    report = storage(program)
    table = _table("Storage in bytes", ["layer"], ["model", *SRAMS])
    for row in report.rows:
        _add(table, row.name, _storage_cells(row))
    table.add_section()
    _add(table, "used", _storage_cells(report.used))
    _add(table, "capacity", ["", *(_count(report.capacity[name], 1) for name in SRAMS)])
    _add(table, "used %", ["", *(f"{100 * report.used.sram[name] / report.capacity[name]:.1f}" for name in SRAMS)])
    table.caption = Text(
        f"DRAM: {report.dram_bytes:,} bytes, of which {report.image_bytes:,} weights and parameters\n"
        f"instructions: {report.instructions:,} of {report.instruction_capacity:,} words"
    )
    table.caption_justify = "left"
    return table


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(
        title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False
    )
    for header in left:
        table.add_column(Text(header), justify="left", no_wrap=True)
    for header in right:
        table.add_column(Text(header), justify="right", no_wrap=True)
    return table


def _add(table: Table, name: str, cells: Sequence[str]) -> None:
    table.add_row(Text(shortened(name, NAME_WIDTH)), *cells)


def _cycle_cells(part: Part, scale: int) -> list[str]:
    counts = [_count(cycles, scale) for cycles in part.causes.values()]
    return [_count(part.cycles, scale), f"{100 * part.share:.1f}", *counts]


def _storage_cells(row: Storage) -> list[str]:
    model = "" if row.model_bytes is None else _count(row.model_bytes, 1)
    return [model, *(_count(row.sram[name], 1) for name in SRAMS)]


def _scale(largest: int) -> tuple[int, str]:
    """What to divide counts up to `largest` by, and how a title says so."""
    for scale, unit in ((1, ""), (1000, "thousands"), (1_000_000, "millions")):
        if largest < _LARGE * scale:
            return scale, unit
    return 1_000_000_000, "billions"


def _rows_in(unit: str) -> str:
    return f"; rows in {unit}" if unit else ""


def _metric(largest: float, units: Sequence[str]) -> tuple[float, str]:
    """What to divide quantities up to `largest` by, and the unit they are in then; `units` go up by thousands."""
    scale = 1.0
    for unit in units[:-1]:
        if largest < _LARGE_QUANTITY * scale:
            return scale, unit
        scale *= 1000
    return scale, units[-1]


def _count(value: int, scale: int) -> str:
    """With thousands separators; most counts of a row are zero and read better as a dash."""
    if not value:
        return "-"
    return f"{value:,}" if scale == 1 else f"{value / scale:,.0f}"


def _decimals(largest: float) -> int:
    """Places after the point for a column up to `largest`: all its numbers have the same, so that they align."""
    for limit, decimals in ((10, 3), (1000, 2), (100_000, 1)):
        if largest < limit:
            return decimals
    return 0


def _number(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}" if value else "-"
