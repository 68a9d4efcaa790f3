"""The values a key is to take: `8,16,32`, `8:64:x2`, `8:64:+8`, or a list out of a TOML file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from accelsim.chip.settings import check_setting, nearest_key, setting_keys
from accelsim.errors import InputError

BATCH = "batch"
"""An axis beside the chip's keys: frames handled at once."""

Value = int | float | bool | str
_MOST_VALUES = 100_000
"""Of one axis: they are held."""


@dataclass(frozen=True)
class Axis:
    """A key and its values, in order.

    Parameters
    ----------
    key : str
        A dotted chip key, or `BATCH`.
    values : tuple
        At least one, all different.
    """

    key: str
    values: tuple[Value, ...]


def parse_axis(text: str, where: str = "--set") -> Axis:
    """The axis of ``KEY=VALUES``.

    Parameters
    ----------
    text : str
        Values are separated by commas; each is a number, true or false, a text, or a range `FROM:TO:xFACTOR` or
        `FROM:TO:+STEP`, which ends at the last value that is not beyond TO.
    where : str
        Names the option in messages.

    Raises
    ------
    InputError
        Another form; an unknown key, with the nearest known; a value that the key can't have.
    """
    key, equals, values = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise InputError(where, "", f"found {text!r}", "KEY=VALUE,VALUE,... or KEY=FROM:TO:xFACTOR")
    return axis(
        key, [one for part in values.split(",") if part.strip() for one in _values(part.strip(), where, key)], where
    )


def axis(key: str, values: Iterable[Any], where: str) -> Axis:
    """A key with values, checked: the key is there, and each value can be one of it.

    Raises
    ------
    InputError
        As `parse_axis`; no value, or one twice.
    """
    found = tuple(values)
    if key != BATCH and key not in setting_keys():
        expected = "a key as `accelsim chips --keys` lists them, or batch"
        raise InputError(where, key, "unknown key" + nearest_key(key, (BATCH,)), expected)
    if not found:
        raise InputError(where, key, "no values", "at least one")
    seen: set[Value] = set()
    for value in found:
        if key != BATCH:
            check_setting(where, key, value)
        elif not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(where, key, f"found {value!r}", "an integer of at least 1")
        if value in seen:
            raise InputError(where, key, f"{value!r} stands there twice", "different values")
        seen.add(value)
    return Axis(key, found)


def parse_value(text: str) -> Value:
    """A value as a chip file would have it; what is neither a number nor true or false is a text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            number = kind(text.replace("_", ""))
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    return text.strip("\"'")


def _values(text: str, where: str, key: str) -> list[Value]:
    parts = text.split(":")
    if len(parts) == 1:
        return [parse_value(text)]
    expected = "FROM:TO:xFACTOR with a factor above 1, or FROM:TO:+STEP with a step above 0"
    first, last = (parse_value(part.strip()) for part in parts[:2])
    by = parts[2].strip() if len(parts) == 3 else ""
    step = parse_value(by[1:])
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (first, last, step))
    if by[:1] not in ("x", "+") or not numbers:
        raise InputError(where, key, f"found {text!r}", expected)
    assert isinstance(first, int | float)
    assert isinstance(last, int | float)
    assert isinstance(step, int | float)
    if (step <= 1 or first <= 0) if by[0] == "x" else step <= 0:
        raise InputError(where, key, f"found {text!r}", expected)
    found: list[Value] = []
    value = first
    # Sums and products of floats come to rest beside the end: a billionth of it counts as the end.
    while value <= last + abs(last) * 1e-9:
        # Sums of tenths are none; who writes 0.3 means this value.
        found.append(float(f"{value:.12g}") if isinstance(value, float) else value)
        if len(found) > _MOST_VALUES:
            raise InputError(where, key, f"{text!r} has more than {_MOST_VALUES:,} values", "fewer")
        value = value * step if by[0] == "x" else first + len(found) * step
    if not found:
        raise InputError(where, key, f"{text!r} has no values", "FROM at most TO")
    return found
