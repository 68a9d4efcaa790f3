"""Sweeps as TOML files: models, chip, a grid or a list of points, and conditions between keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelsim.chip.settings import check_setting, setting_keys
from accelsim.errors import InputError
from accelsim.explore.axes import BATCH, Axis, Value, axis, parse_axis
from accelsim.explore.objectives import OBJECTIVES
from accelsim.isa.atomic import read_bytes
from accelsim.isa.nearest import nearest
from accelsim.toml_input import parse_toml

_KEYS = ("models", "chip", "schedule", "grid", "points", "where", "objective", "trials", "seed")


@dataclass(frozen=True)
class SweepFile:
    """What a sweep file says; what it leaves out is None or empty.

    Parameters
    ----------
    models : tuple of Path
        Relative ones are taken from the file's folder.
    chip, schedule : str or None
    axes : tuple of Axis
    points : tuple of mapping
        A list of points, in place of a grid.
    constraints : tuple of str
    objectives : tuple of str
    trials, seed : int or None
    """

    models: tuple[Path, ...] = ()
    chip: str | None = None
    schedule: str | None = None
    axes: tuple[Axis, ...] = ()
    points: tuple[dict[str, Value], ...] = field(default=())
    constraints: tuple[str, ...] = ()
    objectives: tuple[str, ...] = ()
    trials: int | None = None
    seed: int | None = None


def read_sweep_file(path: Path) -> SweepFile:
    """Read and check a sweep file.

    ::

        models = ["kws_quantize.onnx"]
        chip = "tx5368"
        where = ["mac.rows * mac.columns <= 1024"]

        [grid]
        batch = [1, 2]
        "mac.rows" = [8, 16, 32]
        "mac.columns" = "8:64:x2"

    or, in place of `[grid]`, `[[points]]` with a value for each key.

    Raises
    ------
    InputError
        Not TOML; an unknown key, with the nearest known; a value of another type.
    """
    try:
        text = read_bytes(path, "a sweep file").decode()
    except UnicodeDecodeError as error:
        raise InputError(path, "", f"not TOML: {error}") from None
    data = parse_toml(text, path)
    for key in data:
        if key not in _KEYS:
            raise InputError(path, key, "unknown key" + nearest(key, _KEYS), f"one of {', '.join(_KEYS)}")
    if "grid" in data and "points" in data:
        raise InputError(path, "points", "stands beside grid", "one of them")
    chip = _text(path, data, "chip")
    if chip is not None and (chip.endswith(".toml") or "/" in chip):
        chip = str(path.parent / chip)
    axes = tuple(_grid(path, data))
    points: tuple[dict[str, Value], ...] = ()
    if "points" in data:
        points = _points(path, data["points"])
        axes = tuple(Axis(key, tuple(dict.fromkeys(row[key] for row in points))) for key in points[0])
    return SweepFile(
        models=tuple(path.parent / name for name in _texts(path, data, "models")),
        chip=chip,
        schedule=_text(path, data, "schedule"),
        axes=axes,
        points=points,
        constraints=_texts(path, data, "where"),
        objectives=_objectives(path, data),
        trials=_number(path, data, "trials", 1),
        seed=_number(path, data, "seed", 0),
    )


def _grid(path: Path, data: Mapping[str, Any]) -> list[Axis]:
    grid = data.get("grid", {})
    if not isinstance(grid, dict):
        raise InputError(path, "grid", f"found {grid!r}", "a table of keys and their values")
    axes = []
    for key, values in _flat(path, grid).items():
        if isinstance(values, str):
            axes.append(parse_axis(f"{key}={values}", str(path)))
        else:
            axes.append(axis(key, values if isinstance(values, list) else [values], str(path)))
    return axes


def _flat(where: Path | str, table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keys of tables inside tables, dotted: `mac.rows = 8` and `"mac.rows" = 8` are the same."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        more = _flat(where, value, f"{name}.") if isinstance(value, dict) else {name: value}
        for twice in flat.keys() & more.keys():
            raise InputError(where, twice, "is set twice", "each key once, with all its values")
        flat |= more
    return flat


def _points(path: Path, rows: Any) -> tuple[dict[str, Value], ...]:
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and row for row in rows):
        raise InputError(path, "points", "found no points", "[[points]] tables with a value for each key")
    points = [_flat(f"{path}: points[{number}]", row) for number, row in enumerate(rows)]
    seen: dict[frozenset[tuple[str, Value]], int] = {}
    for number, row in enumerate(points):
        where = f"{path}: points[{number}]"
        if not row:
            raise InputError(where, "", "sets no key", "a value for each key")
        if set(row) != set(points[0]):
            odd = ", ".join(sorted(set(row) ^ set(points[0])))
            raise InputError(where, odd, "is in one point and not in another", "the same keys in all")
        for key, value in row.items():
            if key == BATCH:
                axis(key, [value], where)
            elif key in setting_keys():
                check_setting(where, key, value)
            else:
                axis(key, [value], where)
        first = seen.setdefault(frozenset(row.items()), number)
        if first != number:
            raise InputError(where, "", f"is the same as points[{first}]", "each point once")
    return tuple(points)


def _texts(path: Path, data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = data.get(key, [])
    values: Sequence[Any] = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise InputError(path, key, f"found {value!r}", "a text, or a list of texts")
    return tuple(values)


def _objectives(path: Path, data: Mapping[str, Any]) -> tuple[str, ...]:
    found = _texts(path, data, "objective")
    if "objective" in data and not any(found):
        # Nobody asks for a search by nothing: every point would be simulated.
        raise InputError(path, "objective", f"found {data['objective']!r}", f"some of {', '.join(OBJECTIVES)}")
    return found


def _text(path: Path, data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise InputError(path, key, f"found {value!r}", "a text")
    return value


def _number(path: Path, data: Mapping[str, Any], key: str, least: int) -> int | None:
    value = data.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise InputError(path, key, f"found {value!r}", f"an integer of at least {least}")
    return value
