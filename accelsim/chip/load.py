"""Chip files in and out: every mistake at once, each with its key and the nearest right one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from accelsim.chip.cost_table import CostTable, check_cost_table, cost_table_names, load_cost_table
from accelsim.chip.faults import explain, nearest, shown
from accelsim.chip.model import Chip
from accelsim.errors import InputError, ManyErrors
from accelsim.resources import resource_root
from accelsim.toml_input import parse_toml

VENDOR_CHIPS = {"tx5368av200": "tx5368"}
"""The vendor's product names, in lower case, and which of our chips is modelled in their style."""


def _folder() -> Path:
    return resource_root() / "configs"


def chip_names() -> list[str]:
    """Names of the chips that ship with the package."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load_chip(name_or_path: str | Path) -> Chip:
    """The chip of a name (`tx5368`, or the vendor's `TX5368AV200`) or of a TOML file (`my/chip.toml`).

    Raises
    ------
    InputError
        No such chip, an unreadable file, or (as `ManyErrors`) every wrong key of it.
    """
    text = str(name_or_path)
    text = VENDOR_CHIPS.get(text.lower(), text)
    if text in chip_names():
        path = _folder() / f"{text}.toml"
    elif text.endswith(".toml") or "/" in text:
        path = Path(text)
    else:
        near = difflib.get_close_matches(text, chip_names(), n=1, cutoff=0.4)
        hint = f" (nearest: {near[0]})" if near else ""
        raise InputError(
            "--chip", "", f"no chip named {text!r}{hint}", f"one of {', '.join(chip_names())}, or a .toml file"
        )
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(path, "", str(reason or error), "a chip file") from None
    return load_chip_text(content, path)


def load_chip_text(content: str, where: str | Path) -> Chip:
    """The chip a TOML text describes; `where` names it in messages."""
    return check_chip(parse_toml(content, where), where)


def check_chip(data: dict[str, Any], where: str | Path) -> Chip:
    """The chip that plain data describes.

    Raises
    ------
    ManyErrors
        One error a wrong, missing or unknown key.
    """
    keys = set(_keys(Chip, ""))
    named = data.get("provenance")
    errors = [
        InputError(where, f'provenance."{key}"', "names no key" + nearest(key, keys))
        for key in (named if isinstance(named, dict) else ())
        if key not in keys and not _is_table(key, keys)
    ]
    data, wrong = _with_cost_table(data, where)
    errors = wrong + errors
    try:
        chip = Chip.model_validate(data)
    except ValidationError as error:
        places = keys | {key.rsplit(".", 1)[0] for key in keys}
        errors = [explain(item, where, Chip, places) for item in error.errors()] + errors
        raise ManyErrors(errors) from None
    if errors:
        raise ManyErrors(errors)
    return chip


def _with_cost_table(data: dict[str, Any], where: str | Path) -> tuple[dict[str, Any], list[InputError]]:
    """The data with the cost table of a file, or one that is written out, read; and what is wrong with it.

    A table that ships with the package stays a name. A file's is taken in whole: a chip says what it costs wherever
    it is taken along. Its path is seen from the chip file's folder.
    """
    energy = data.get("energy")
    if not isinstance(energy, dict) or "table" not in energy:
        return data, []
    table: Any = energy["table"]
    try:
        if isinstance(table, dict):
            table = check_cost_table(table, f"{where}: energy.table")
        elif isinstance(table, str):
            folder = Path(where).parent if Path(where).is_file() else Path()
            loaded = load_cost_table(table, where=where, field="energy.table", folder=folder)
            table = table if table in cost_table_names() else loaded
        elif not isinstance(table, CostTable):
            raise InputError(where, "energy.table", f"found {shown(table)}", "the name or the file of a cost table")
    except InputError as error:
        rest = {key: value for key, value in energy.items() if key != "table"}
        return data | {"energy": rest}, list(error.errors) if isinstance(error, ManyErrors) else [error]
    return data | {"energy": energy | {"table": table}}, []


def dump_chip(chip: Chip) -> dict[str, Any]:
    """Plain data that `check_chip` takes back; every key that has a value written out."""
    return chip.model_dump(exclude_none=True)


def describe_keys(chip: Chip) -> list[tuple[str, Any, str, str]]:
    """(key, value, meaning, provenance) of every key, in the file's order."""
    rows = []
    for key, field_text, value in _walk(chip, ""):
        source = chip.provenance.get(key.partition("[")[0], "")
        parts = key.split(".")
        while not source and len(parts) > 1:
            parts.pop()
            source = chip.provenance.get(".".join(parts) + ".*", "")
        rows.append((key, value, field_text, source))
    return rows


def _walk(section: BaseModel, prefix: str) -> Iterator[tuple[str, str, Any]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, CostTable):
            yield f"{prefix}{name}", field.description or "", value.name
        elif isinstance(value, BaseModel):
            yield from _walk(value, f"{prefix}{name}.")
        elif name != "provenance":
            items = list(value) if isinstance(value, tuple) else []
            if items and isinstance(items[0], BaseModel):
                for number, item in enumerate(items):
                    yield from _walk(item, f"{prefix}{name}[{number}].")
            else:
                yield f"{prefix}{name}", field.description or "", items if isinstance(value, tuple) else value


def _keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _keys(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _is_table(pattern: str, keys: set[str]) -> bool:
    return pattern.endswith(".*") and any(key.startswith(pattern[:-1]) for key in keys)
