"""A cost table out of the tables that Accelergy writes: ERT (energy, in pJ) and ART (area, in square micrometres).

Accelergy's names are the user's own, so a map says which of its components and actions stands for what of ours::

    name = "mine"
    base = "45nm"                    # a cost table for all that the map leaves out; none: everything has to be mapped

    [mac]                            # one int8 multiply-accumulate
    component = "chip.PE.mac"        # without its range, [1..256]; the ART's area is of one
    actions = ["compute"]            # of several, the mean is taken: a byte costs the same read or written

    [vector_element]
    component = "chip.vector_lane"
    actions = ["compute"]

    [sram.weights]                   # or default, activations, accumulators, parameters
    component = "chip.weights"
    actions = ["read", "write"]
    access_bytes = 8                 # of one action
    capacity_bytes = 65536           # of one component: gives the area of a bit

    [dram]
    component = "chip.DRAM"
    actions = ["read", "write"]
    access_bytes = 8

A component's energy is of one size of memory, so an imported memory's energy holds for any size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from accelsim.chip.cost_table import CostTable, check_cost_table, load_cost_table
from accelsim.chip.faults import explain, nearest, shown
from accelsim.chip.section import Positive, Section, misfit
from accelsim.errors import InputError, ManyErrors
from accelsim.toml_input import parse_toml

_RANGE = re.compile(r"\[\d+\.\.\d+\]")
_SRAMS = ("default", "weights", "activations", "accumulators", "parameters")


class MappedPart(Section):
    """A part of ours, and what Accelergy calls it."""

    component: Annotated[str, Field(min_length=1)]
    actions: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    arguments: dict[str, int | float | str | bool] | None = None


class MappedSram(MappedPart):
    """A memory on the chip."""

    access_bytes: Positive
    capacity_bytes: Positive


class MappedDram(MappedPart):
    """The memory outside."""

    access_bytes: Positive


class MappedSrams(Section):
    """The memories on the chip."""

    default: MappedSram | None = None
    weights: MappedSram | None = None
    activations: MappedSram | None = None
    accumulators: MappedSram | None = None
    parameters: MappedSram | None = None


class AccelergyMap(Section):
    """A whole map file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
    description: str = ""
    base: str | None = None
    mac: MappedPart | None = None
    vector_element: MappedPart | None = None
    sram: MappedSrams = Field(default_factory=MappedSrams)
    dram: MappedDram | None = None

    @model_validator(mode="after")
    def _something(self) -> AccelergyMap:
        mapped = [self.mac, self.vector_element, self.dram, *(value for _, value in self.sram)]
        if not any(mapped):
            raise misfit("mac", "none", "at least one of mac, vector_element, sram.*, dram")
        return self


def import_accelergy(ert: Path, mapping: Path, art: Path | None = None) -> dict[str, Any]:
    """The plain data of a cost table (as `check_cost_table` takes it) of Accelergy's tables.

    Parameters
    ----------
    ert : Path
        Energy reference table: ``ERT: {tables: [{name, actions: [{name, arguments, energy}]}]}``.
    mapping : Path
        The map, as the module says.
    art : Path, optional
        Area reference table: ``ART: {tables: [{name, area}]}``; without one, imported parts have no area.

    Raises
    ------
    InputError
        A file can't be read, is not of this form, or lacks a component or an action that the map names.
    """
    plan = _read_map(mapping)
    source = _Source(ert, art, mapping)
    table: dict[str, Any] = {}
    if plan.base is not None:
        table = load_cost_table(plan.base, where=mapping, field="base", folder=mapping.parent).model_dump(
            exclude_none=True
        )
    table |= {"name": plan.name, "description": plan.description or f"imported from {ert.name}"}
    table["operations"] = dict(table.get("operations", {}))
    for ours in ("mac", "vector_element"):
        part: MappedPart | None = getattr(plan, ours)
        if part is not None:
            table["operations"][f"imported_{ours}"] = source.operation(part, ours)
            table[ours] = {"operations": {f"imported_{ours}": 1}, "source": f"as mapped by {mapping.name}"}
    srams = dict(table.get("sram", {}))
    for name in _SRAMS:
        memory: MappedSram | None = getattr(plan.sram, name)
        if memory is not None:
            srams[name] = source.sram(memory, f"sram.{name}")
    if srams:
        table["sram"] = srams
    if plan.dram is not None:
        energy, text = source.energy(plan.dram, "dram")
        table["dram"] = {"access_bytes": plan.dram.access_bytes, "energy_pj": energy, "source": text}
    used = {name for ours in ("mac", "vector_element") for name in table.get(ours, {}).get("operations", {})}
    table["operations"] = {name: value for name, value in table["operations"].items() if name in used}
    checked: CostTable = check_cost_table(table, f"{mapping} (with {ert.name})")
    return checked.model_dump(exclude_none=True)


class _Source:
    """Accelergy's files, and what the map asks of them."""

    def __init__(self, ert: Path, art: Path | None, mapping: Path) -> None:
        self.ert, self.art, self.mapping = ert, art, mapping
        self.energies = _tables(ert, "ERT")
        self.areas = _tables(art, "ART") if art is not None else {}

    def energy(self, part: MappedPart, ours: str) -> tuple[float, str]:
        """Mean energy of a part's actions in pJ, and where it comes from."""
        table = self._component(self.energies, self.ert, part, ours)
        values = [self._action(table, action, part, ours) for action in part.actions]
        how = f"mean of {' and '.join(part.actions)}" if len(values) > 1 else part.actions[0]
        return sum(values) / len(values), f"{self.ert.name}: {table['name']}, {how}"

    def area(self, part: MappedPart, ours: str) -> tuple[float, str] | None:
        """Area of one such component in square micrometres, and where it comes from."""
        if self.art is None:
            return None
        table = self._component(self.areas, self.art, part, ours)
        return _amount(table.get("area"), self.art, f"{table['name']}: area"), f"{self.art.name}: {table['name']}"

    def operation(self, part: MappedPart, ours: str) -> dict[str, Any]:
        energy, source = self.energy(part, ours)
        made: dict[str, Any] = {"energy_pj": energy, "energy_source": source}
        area = self.area(part, ours)
        return made if area is None else made | {"area_um2": area[0], "area_source": area[1]}

    def sram(self, part: MappedSram, ours: str) -> dict[str, Any]:
        energy, source = self.energy(part, ours)
        point = {"capacity_bytes": part.capacity_bytes, "energy_pj": energy, "source": source}
        made: dict[str, Any] = {"access_bytes": part.access_bytes, "accesses": [point]}
        area = self.area(part, ours)
        if area is not None:
            bits = 8 * part.capacity_bytes
            made["area"] = {"um2_per_bit": area[0] / bits, "source": f"{area[1]}, {area[0]:g} µm² of {bits:,} bits"}
        return made

    def _component(self, tables: dict[str, dict[str, Any]], path: Path, part: MappedPart, ours: str) -> dict[str, Any]:
        found = tables.get(part.component) or tables.get(_RANGE.sub("", part.component))
        if found is None:
            known = nearest(part.component, tables)
            raise InputError(self.mapping, f"{ours}.component", f"{part.component!r} is not in {path}{known}")
        return found

    def _action(self, table: dict[str, Any], action: str, part: MappedPart, ours: str) -> float:
        name = table["name"]
        rows = _listed(table.get("actions"), self.ert, f"{name}: actions")
        rows = [row for row in rows if row.get("name") == action]
        if part.arguments is not None:
            rows = [row for row in rows if _numbers(row.get("arguments")) == _numbers(part.arguments)]
        if not rows:
            known = {str(row.get("name")) for row in table["actions"]}
            what = f"{action!r} is no action of {name} in {self.ert}"
            raise InputError(self.mapping, f"{ours}.actions", what, f"one of {', '.join(sorted(known))}")
        if len(rows) > 1:
            what = f"{action!r} of {name} has {len(rows)} energies in {self.ert}"
            raise InputError(self.mapping, f"{ours}.arguments", what, "the arguments of one of them")
        return _amount(rows[0].get("energy"), self.ert, f"{name}: {action}: energy")


def _read_map(path: Path) -> AccelergyMap:
    try:
        return AccelergyMap.model_validate(parse_toml(_text(path, "a map of components"), path))
    except ValidationError as error:
        raise ManyErrors([explain(item, path, AccelergyMap, set()) for item in error.errors()]) from None


def _tables(path: Path, root: str) -> dict[str, dict[str, Any]]:
    """The tables of a file by the name of their component, ranges left out."""
    try:
        content = yaml.safe_load(_text(path, f"an {root} of Accelergy"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"line {mark.line + 1}" if mark is not None else ""
        raise InputError(path, at, f"not YAML: {getattr(error, 'problem', None) or 'unreadable'}") from None
    except RecursionError:
        raise InputError(path, "", "nested too deeply", f"an {root} of Accelergy") from None
    inside = content.get(root) if isinstance(content, dict) else None
    if not isinstance(inside, dict):
        raise InputError(path, root, "missing", f"a table {root} with a list `tables`, as Accelergy writes it")
    found: dict[str, dict[str, Any]] = {}
    for index, table in enumerate(_listed(inside.get("tables"), path, f"{root}.tables")):
        name = table.get("name")
        if not isinstance(name, str):
            raise InputError(path, f"{root}.tables[{index}].name", f"found {shown(name)}", "a text")
        bare = _RANGE.sub("", name)
        if bare in found:
            raise InputError(path, f"{root}.tables[{index}].name", f"{name!r} is there twice")
        found[bare] = table
    return found


def _listed(value: Any, path: Path, field: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InputError(path, field, "missing" if value is None else "found something else", "a list of tables")
    return value


def _number(value: Any) -> Any:
    """A number that is written without a point, as in 1e-09, which YAML 1.1 takes for a text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _numbers(arguments: Any) -> Any:
    return {key: _number(value) for key, value in arguments.items()} if isinstance(arguments, dict) else arguments


def _amount(value: Any, path: Path, field: str) -> float:
    value = _number(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10**9:
        found = "missing" if value is None else f"found {shown(value)}"
        raise InputError(path, field, found, "a number from 0 to 10**9")
    return float(value)


def _text(path: Path, expected: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(path, "", str(reason or error), expected) from None


def toml_of(table: dict[str, Any], lines: Iterable[str] = ()) -> str:
    """A cost table's plain data as a TOML file, under comments."""
    import tomli_w

    return "".join(f"# {line}\n" for line in lines) + "\n" + tomli_w.dumps(table)
