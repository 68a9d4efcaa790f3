"""A profile as figures by name, read back from what `run` and `profile` write: `profile.csv`, and ``--json``.

A figure's name is that of its column in `profile.csv`. Only figures that add up over layers are kept: shares and rates
follow from them.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelsim.errors import InputError
from accelsim.profile.csv_file import about, columns
from accelsim.profile.profile import CAUSES, REASONS, UNITS, Profile

Number = int | float
_WHOLE = ("cycles", "macs", "vector_elements")
_PARTIAL = ("time_us", "energy_nj")
_TOTAL = "total"
_OF_TOTAL = ("bound_cycles", "setup_cycles")
"""Cycles that no layer has a part of."""
_ABOUT = ("program", "chip", "schedule", "clock_mhz", "batch", "setup_cycles")


@dataclass(frozen=True)
class Saved:
    """A layer's figures, or the whole run's.

    Parameters
    ----------
    name, kind : str
    figures : mapping of str to int or float
        By their columns' names.
    """

    name: str
    kind: str
    figures: Mapping[str, Number]


@dataclass(frozen=True)
class SavedProfile:
    """A profile's figures.

    Parameters
    ----------
    source : str
        The file they are from.
    about : mapping of str to object
        What the file says of the run: program, chip, schedule, clock_mhz, batch, setup_cycles.
    layers : tuple of Saved
        With one for what is of no layer.
    total : Saved
    """

    source: str
    about: Mapping[str, Any]
    layers: tuple[Saved, ...]
    total: Saved


def from_profile(profile: Profile, source: str) -> SavedProfile:
    """The figures of a run that was counted just now."""
    parts = []
    for part in (*profile.layers, profile.total):
        figures = {name: value for name, value in columns(part).items() if isinstance(value, int | float)}
        parts.append(Saved(part.name, part.kind, {name: value for name, value in figures.items() if _adds_up(name)}))
    return SavedProfile(source, about(profile), tuple(parts[:-1]), parts[-1])


def from_csv(content: bytes, where: Path) -> SavedProfile:
    """The figures of a `profile.csv`.

    Parameters
    ----------
    content : bytes
    where : Path
        Names the file in messages.

    Raises
    ------
    InputError
        No such table: a column is missing, a row is too short, a cell is no number.
    """
    expected = "a profile.csv, as `accelsim profile` writes it"
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(where, "", f"no CSV text ({error})", expected) from None
    header = rows[0] if rows else []
    for name in ("layer", "kind", "cycles", *(f"cause_{cause}_cycles" for cause in CAUSES)):
        if header.count(name) != 1:
            raise InputError(where, f"column {name}", "missing" if name not in header else "there twice", expected)
    parts = []
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise InputError(where, f"line {line}", f"{len(row)} cells", f"{len(header)}, as in the first line")
        cells = dict(zip(header, row, strict=True))
        figures = {}
        for name, text in cells.items():
            if _adds_up(name):
                try:
                    figures[name] = _checked(float(text) if _is_partial(name) else int(text))
                except ValueError:
                    raise InputError(where, f"line {line}, {name}", f"found {text!r}", _kind(name)) from None
        parts.append(Saved(cells["layer"], cells["kind"], figures))
    if not parts or parts[-1].kind != _TOTAL:
        raise InputError(where, "", "no row of the total at the end", expected)
    return SavedProfile(str(where), _about(cells, f"line {len(rows)}", where), tuple(parts[:-1]), parts[-1])


def _about(cells: Mapping[str, str], line: str, where: Path) -> dict[str, Any]:
    """What the total's row says beside figures."""
    found: dict[str, Any] = {name: cells[name] for name in _ABOUT if cells.get(name)}
    for name, kind, expected in (
        ("clock_mhz", float, "a number"),
        ("batch", int, "an integer"),
        ("setup_cycles", int, "an integer"),
    ):
        if name in found:
            try:
                found[name] = kind(found[name])
            except ValueError:
                raise InputError(where, f"{line}, {name}", f"found {found[name]!r}", expected) from None
    return found


def from_json(content: bytes, where: Path) -> SavedProfile:
    """The figures of what ``accelsim run --json`` or ``accelsim profile --json`` printed.

    Parameters
    ----------
    content : bytes
    where : Path
        Names the file in messages.

    Raises
    ------
    InputError
        No such object: a key is missing, a value is none that it can have.
    """
    try:
        data = json.loads(content)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(where, "", f"no JSON ({error})", "what `accelsim run --json` prints") from None
    reader = _JsonReader(where)
    whole = reader.table(data, "")
    total = reader.part(whole | {"name": _TOTAL, "kind": _TOTAL}, "", is_total=True)
    layers = reader.value(whole, "layers", "", list, "a list")
    parts = [reader.part(one, f"layers[{number}].") for number, one in enumerate(layers)]
    about: dict[str, Any] = {name: whole[name] for name in _ABOUT if name in whole}
    return SavedProfile(str(where), about, tuple(parts), total)


class _JsonReader:
    """Takes figures out of a JSON object, and says which key is wrong."""

    def __init__(self, where: Path) -> None:
        self._where = where

    def table(self, value: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise InputError(
                self._where, key, f"found {_shown(value)}", "an object, as `accelsim run --json` prints it"
            )
        return value

    def value(self, table: dict[str, Any], key: str, prefix: str, kind: Any, expected: str) -> Any:
        if key not in table:
            raise InputError(self._where, prefix + key, "missing", "what `accelsim run --json` prints")
        if not isinstance(table[key], kind):
            raise InputError(self._where, prefix + key, f"found {_shown(table[key])}", expected)
        return table[key]

    def part(self, value: Any, prefix: str, *, is_total: bool = False) -> Saved:
        table = self.table(value, prefix.removesuffix("."))
        name = self.value(table, "name", prefix, str, "a text")
        kind = self.value(table, "kind", prefix, str, "a text")
        return Saved(name, kind, dict(self._figures(table, prefix, is_total)))

    def _figures(self, table: dict[str, Any], prefix: str, is_total: bool) -> Iterator[tuple[str, Number]]:
        for name in (*_WHOLE, *_PARTIAL):
            yield name, self._number(table, name, prefix, name)
        causes = self._inner(table, "cause_cycles", prefix)
        for cause in CAUSES:
            yield (
                f"cause_{cause}_cycles",
                self._number(causes, cause, f"{prefix}cause_cycles.", f"cause_{cause}_cycles"),
            )
        if is_total:
            units = {
                unit: self._inner(one, "cycles", f"units.{unit}.") for unit, one in self._units(table, "units", "")
            }
        else:
            units = dict(self._units(table, "unit_cycles", prefix))
        for unit, reasons in units.items():
            for reason in REASONS:
                name = f"{unit}_{reason}_cycles"
                yield name, self._number(reasons, reason, f"{prefix}{unit}.", name)
        for memory, traffic in self._inner(table, "memory", prefix).items():
            moved = self.table(traffic, f"{prefix}memory.{memory}")
            for name in ("read_bytes", "written_bytes"):
                yield f"{memory}_{name}", self._number(moved, name, f"{prefix}memory.{memory}.", name)
        energy = self._inner(table, "energy_by_component_nj", prefix)
        for component in energy:
            name = f"energy_{component}_nj"
            yield name, self._number(energy, component, f"{prefix}energy_by_component_nj.", name)

    def _units(self, table: dict[str, Any], key: str, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        units = self._inner(table, key, prefix)
        for unit in UNITS:
            yield unit, self._inner(units, unit, f"{prefix}{key}.")

    def _inner(self, table: dict[str, Any], key: str, prefix: str) -> dict[str, Any]:
        return self.table(self.value(table, key, prefix, dict, "an object"), prefix + key)

    def _number(self, table: dict[str, Any], key: str, prefix: str, name: str) -> Number:
        value = self.value(table, key, prefix, int | float, _kind(name))
        try:
            if isinstance(value, bool) or (isinstance(value, float) and not _is_partial(name)):
                raise ValueError
            return _checked(value)
        except ValueError:
            raise InputError(self._where, prefix + key, f"found {_shown(value)}", _kind(name)) from None


def _adds_up(name: str) -> bool:
    """Whether a column's figures add up to the run's."""
    if name in _WHOLE or _is_partial(name):
        return True
    return name.endswith(("_cycles", "_read_bytes", "_written_bytes")) and name not in _OF_TOTAL


def _is_partial(name: str) -> bool:
    """Whether a figure may have a fraction."""
    return name in _PARTIAL or (name.startswith("energy_") and name.endswith("_nj"))


def _kind(name: str) -> str:
    return "a number of at least 0" if _is_partial(name) else "an integer of at least 0"


def _checked(value: Number) -> Number:
    if not math.isfinite(value) or value < 0:
        raise ValueError
    return value


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return json.dumps(value)
