"""Energy of each action, leakage and areas of a chip, each figure with where it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accelsim.chip import Chip, Sram
from accelsim.chip.cost_table import Composed, CostTable, SramCost, load_cost_table, power_of
from accelsim.chip.model import EnergyChoice, Srams

SRAMS = tuple(Srams.model_fields)
ACTIONS = ("mac", "vector", *(f"{name}_sram" for name in SRAMS), "dram")
"""What takes energy when it acts: a multiply-accumulate, an element, a byte of a memory."""
AREAS = ACTIONS[:-1]
"""What covers the chip."""

_OWN = {
    "mac": "mac_int8_pj",
    "vector": "vector_element_pj",
    **{f"{name}_sram": f"sram_{name}_pj_per_byte" for name in SRAMS},
    "dram": "dram_pj_per_byte",
}
"""The chip's key in place of the table's figure."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and where it comes from.

    Parameters
    ----------
    value : float
        In the unit its place says; NaN where the table does not have it.
    source : str
        A sentence: from which figures of the table, and where those come from.
    """

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Costs:
    """All figures of a chip.

    Parameters
    ----------
    table : str
        The table's name.
    action_pj : mapping of str to Figure
        Of each of `ACTIONS`: picojoules of one multiply-accumulate, one element, one byte.
    leakage_mw : Figure
        Milliwatts, drawn all the time.
    area_mm2 : mapping of str to Figure
        Of each of `AREAS`: square millimetres.
    own : tuple of str
        Keys of the chip that stand in place of the table's figures.
    """

    table: str
    action_pj: Mapping[str, Figure]
    leakage_mw: Figure
    area_mm2: Mapping[str, Figure]
    own: tuple[str, ...] = ()

    @property
    def basis(self) -> str:
        """What the energies are counted by, in words."""
        return f"cost table {self.table}" + (f" and the chip's own {', '.join(self.own)}" if self.own else "")

    @property
    def total_area_mm2(self) -> float:
        """All parts, in square millimetres; NaN where the table lacks one."""
        return sum(figure.value for figure in self.area_mm2.values())

    def to_dict(self) -> dict[str, Any]:
        """For JSON: figures by name, what the table lacks as None."""
        return {
            "energy_table": self.table,
            "own_energy_keys": list(self.own),
            "energy_pj": {name: _plain(figure) for name, figure in self.action_pj.items()},
            "leakage_mw": _plain(self.leakage_mw),
            "area_mm2": known(self.total_area_mm2),
            "area_by_component_mm2": {name: _plain(figure) for name, figure in self.area_mm2.items()},
        }


def _plain(figure: Figure) -> dict[str, Any]:
    return {"value": known(figure.value), "source": figure.source}


def known(value: float) -> float | None:
    """A figure for JSON, which has no NaN: None for what the table does not say."""
    return None if math.isnan(value) else value


def cost_table_of(chip: Chip) -> CostTable:
    """The table the chip names, or has whole.

    Raises
    ------
    InputError
        No table of that name ships with the package.
    """
    table = chip.energy.table
    return table if isinstance(table, CostTable) else load_cost_table(table, where=chip.name, field="energy.table")


def with_cost_table(chip: Chip, table: CostTable) -> Chip:
    """The chip with all its costs by this table, and none of its own."""
    return chip.model_copy(update={"energy": EnergyChoice(table=table)})


def costs_of(chip: Chip, table: CostTable | None = None) -> Costs:
    """Energies and areas of a chip.

    Parameters
    ----------
    chip : Chip
    table : CostTable, optional
        Taken for every figure; if none is given, the chip's table is, and the chip's own figures before the table's.

    Raises
    ------
    InputError
        As `cost_table_of`.

    Notes
    -----
    A part's energy is the sum of its operations'. A memory's byte takes ``access energy / access bytes``. Areas are of
    ``rows x columns x batch columns`` multiply-accumulates, of the vector unit's lanes, and of the memories' bits;
    registers, wires, control, the sequencer and the DMAs are in none of them.
    """
    own = chip.energy.own if table is None else {}
    table = table or cost_table_of(chip)
    macs = chip.mac.rows * chip.mac.columns * chip.mac.batch_columns
    srams: dict[str, Sram] = {name: getattr(chip.sram, name) for name in SRAMS}
    energies = {
        "mac": _energy(table, table.mac),
        "vector": _energy(table, table.vector_element),
        **{f"{name}_sram": _byte(table.sram.of(name), sram) for name, sram in srams.items()},
        "dram": Figure(
            table.dram.energy_pj / table.dram.access_bytes,
            f"{table.dram.energy_pj:g} pJ per {table.dram.access_bytes} bytes: {table.dram.source}",
        ),
    }
    areas = {
        "mac": _area(table, table.mac, macs, "multiply-accumulates"),
        "vector": _area(table, table.vector_element, chip.vector.lanes, "lanes"),
        **{f"{name}_sram": _bits(table.sram.of(name), sram) for name, sram in srams.items()},
    }
    leakage = _leakage(table, macs, chip.vector.lanes, srams)
    for name, key in _OWN.items():
        if key in own:
            energies[name] = _own(chip, key, own[key])
    if "leakage_mw" in own:
        leakage = _own(chip, "leakage_mw", own["leakage_mw"])
    return Costs(table.name, energies, leakage, areas, tuple(own))


def area_mm2(chip: Chip, table: CostTable | None = None) -> dict[str, float]:
    """Square millimetres of each of `AREAS`; NaN where the table does not say.

    Parameters
    ----------
    chip : Chip
    table : CostTable, optional
        The chip's, if none is given.
    """
    return {name: figure.value for name, figure in costs_of(chip, table).area_mm2.items()}


def access_pj(cost: SramCost, capacity_bytes: int) -> float:
    """Picojoules of an access of `cost.access_bytes` to a memory of a size, by the law of `SramCost`.

    Between two neighbours ``(C1, E1)`` and ``(C2, E2)`` the energy is ``E1 (C / C1) ** p`` with
    ``p = ln(E2 / E1) / ln(C2 / C1)``: a straight line where both axes are logarithmic.
    """
    points = cost.accesses
    if len(points) == 1:
        return points[0].energy_pj
    low = _segment(cost, capacity_bytes)
    first, second = points[low], points[low + 1]
    return float(first.energy_pj * (capacity_bytes / first.capacity_bytes) ** power_of(first, second))


def _segment(cost: SramCost, capacity_bytes: int) -> int:
    """Index of the neighbour below; the first or the last but one outside."""
    below = sum(point.capacity_bytes <= capacity_bytes for point in cost.accesses) - 1
    return min(max(below, 0), len(cost.accesses) - 2)


def _byte(cost: SramCost, sram: Sram) -> Figure:
    size = sram.capacity_bytes // (sram.banks if cost.size_of == "bank" else 1)
    energy = access_pj(cost, size)
    text = f"{energy:.4g} pJ per {cost.access_bytes} bytes of a {cost.size_of} of {size:,} bytes"
    points = cost.accesses
    if len(points) == 1:
        return Figure(energy / cost.access_bytes, f"{text}, as for any size: {points[0].source}")
    first, second = points[(low := _segment(cost, size))], points[low + 1]
    outside = not points[0].capacity_bytes <= size <= points[-1].capacity_bytes
    where = "extrapolated by the power law of" if outside else "by the power law between"
    ends = f"{first.capacity_bytes:,} ({first.energy_pj:g} pJ) and {second.capacity_bytes:,} ({second.energy_pj:g} pJ)"
    sources = "; ".join(dict.fromkeys((first.source, second.source)))
    return Figure(energy / cost.access_bytes, f"{text}, {where} {ends}: {sources}")


def _energy(table: CostTable, part: Composed) -> Figure:
    operations = [(count, name, table.operations[name]) for name, count in part.operations.items()]
    terms = " + ".join(f"{count} {name} {operation.energy_pj:g} pJ" for count, name, operation in operations)
    sources = "; ".join(dict.fromkeys(operation.energy_source for _, _, operation in operations))
    value = sum(count * operation.energy_pj for count, _, operation in operations)
    return Figure(value, f"{terms} ({part.source}): {sources}")


def _area(table: CostTable, part: Composed, number: int, what: str) -> Figure:
    operations = [(count, name, table.operations[name]) for name, count in part.operations.items()]
    lacking = [name for _, name, operation in operations if operation.area_um2 is None]
    if lacking:
        return Figure(math.nan, f"table {table.name} has no area of {', '.join(lacking)}")
    one = sum(count * (operation.area_um2 or 0.0) for count, _, operation in operations)
    terms = " + ".join(f"{count} {name} {operation.area_um2:g} µm²" for count, name, operation in operations)
    sources = "; ".join(dict.fromkeys(operation.area_source or "" for _, _, operation in operations))
    return Figure(number * one / 1e6, f"{number:,} {what} of {terms} ({part.source}): {sources}")


def _bits(cost: SramCost, sram: Sram) -> Figure:
    if cost.area is None:
        return Figure(math.nan, "the table has no area of memory")
    bits = 8 * sram.capacity_bytes
    return Figure(
        bits * cost.area.um2_per_bit / 1e6, f"{bits:,} bits of {cost.area.um2_per_bit:g} µm²: {cost.area.source}"
    )


def _leakage(table: CostTable, macs: int, lanes: int, srams: Mapping[str, Sram]) -> Figure:
    """Milliwatts of all parts whose leakage the table has."""
    milliwatts, sources = 0.0, []
    for number, unit in ((macs, table.mac.leakage), (lanes, table.vector_element.leakage)):
        if unit is not None:
            milliwatts += number * unit.uw / 1000
            sources.append(unit.source)
    for name, sram in srams.items():
        memory = table.sram.of(name).leakage
        if memory is not None:
            milliwatts += sram.capacity_bytes / 1024 * memory.uw_per_kib / 1000
            sources.append(memory.source)
    return Figure(milliwatts, "; ".join(dict.fromkeys(sources)) or f"table {table.name} has no leakage")


def _own(chip: Chip, key: str, value: float) -> Figure:
    sources = chip.provenance
    return Figure(value, f"chip {chip.name}: {sources.get(f'energy.{key}') or sources.get('energy.*') or 'unsourced'}")
