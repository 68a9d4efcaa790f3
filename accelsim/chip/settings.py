"""Single keys of a chip set to other values: by dotted name, checked as in a chip file."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from accelsim.chip.faults import explained
from accelsim.chip.load import check_chip, dump_chip
from accelsim.chip.model import Chip
from accelsim.errors import InputError

_TEXTS = ("provenance", "chip.name", "chip.description")
"""What is no figure."""


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    """Of each key that has one value, what checks it."""
    found: dict[str, TypeAdapter[Any]] = {}

    def collect(section: type[BaseModel], prefix: str) -> None:
        for name, field in section.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                collect(inner, f"{prefix}{name}.")
            elif f"{prefix}{name}" not in _TEXTS and "tuple" not in str(inner):
                limited: Any = Annotated[(inner, *field.metadata)] if field.metadata else inner
                found[f"{prefix}{name}"] = TypeAdapter(limited, config=ConfigDict(strict=True))

    collect(Chip, "")
    return found


def setting_keys() -> list[str]:
    """Dotted names of the keys that can be set, in the order of a chip file."""
    return list(_adapters())


def check_setting(where: str | Path, key: str, value: Any) -> None:
    """Refuse a key that is not there, or a value that it can't have on any chip.

    Parameters
    ----------
    where : str or Path
        Names the option or file in messages.
    key : str
        As `mac.rows`.
    value : int, float, bool or str

    Raises
    ------
    InputError
        An unknown key, with the nearest known; a value of another type, or out of the key's range.
    """
    adapter = _adapters().get(key)
    if adapter is None:
        raise InputError(where, key, "unknown key" + nearest_key(key), "a key as `accelsim chips --keys` lists them")
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        found, expected = explained(error.errors()[0])
        raise InputError(where, key, found, expected) from None


def nearest_key(key: str, more: tuple[str, ...] = ()) -> str:
    """`; nearest: KEY` of the keys that can be set and some more, or nothing where none is like it."""
    near = difflib.get_close_matches(key, [*setting_keys(), *more], n=1, cutoff=0.5)
    return f"; nearest: {near[0]}" if near else ""


def with_settings(chip: Chip, settings: Mapping[str, Any], where: str | Path = "settings") -> Chip:
    """The chip with some keys set to other values.

    Parameters
    ----------
    chip : Chip
    settings : mapping of str to int, float, bool or str
        By dotted key.
    where : str or Path
        Names them in messages.

    Raises
    ------
    InputError
        As `check_setting`; values that do not fit each other, as `check_chip` says.
    """
    for key, value in settings.items():
        check_setting(where, key, value)
    return check_chip(apply_settings(dump_chip(chip), settings), where)


def apply_settings(data: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a chip's plain data with some keys set."""
    result = copy.deepcopy(dict(data))
    for key, value in settings.items():
        *tables, name = key.split(".")
        section = result
        for table in tables:
            section = section[table]
        section[name] = value
    return result
