"""Checks of plain data that collect faults instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from accelsim.errors import InputError


class Checker:
    """Collects faults; each check that fails gives a harmless stand-in, so that the caller can go on.

    Parameters
    ----------
    where : str or Path
        Names the file in messages.
    """

    def __init__(self, where: str | Path) -> None:
        self.where = where
        self.errors: list[InputError] = []

    def fault(self, field: str, found: str, expected: str = "") -> None:
        """Note a fault of `field`."""
        self.errors.append(InputError(self.where, field, found, expected))

    def table(self, key: str, data: Mapping[str, Any], path: str = "") -> Mapping[str, Any]:
        """The table `key` of `data`; an empty one where it is missing or none."""
        value = data.get(key, {})
        if isinstance(value, dict):
            return value
        self.fault(f"{path}{key}", f"found {value!r}", "a table")
        return {}

    def number(self, path: str, value: Any, minimum: int) -> int:
        """`value`, if it is an integer of at least `minimum`."""
        if isinstance(value, int) and not isinstance(value, bool) and value >= minimum:
            return value
        self.fault(path, "missing" if value is None else f"found {value!r}", f"an integer of at least {minimum}")
        return minimum

    def keys(self, path: str, table: Mapping[str, Any], required: Iterable[str], optional: Iterable[str]) -> None:
        """Every required key is there, and no unknown one."""
        required = tuple(required)
        prefix = f"{path}." if path else ""
        for key in required:
            if key not in table:
                self.fault(f"{prefix}{key}", "missing")
        for key in table:
            if key not in (*required, *optional):
                self.fault(f"{prefix}{key}", "unknown key", f"one of {', '.join((*required, *optional))}")

    def text(self, path: str, table: Mapping[str, Any]) -> str:
        """The entry's description, which must not be empty."""
        value = table.get("text")
        if isinstance(value, str) and value:
            return value
        self.fault(f"{path}.text", "missing" if value is None else f"found {value!r}", "what it means")
        return ""
