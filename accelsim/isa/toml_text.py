"""Plain values as TOML text: exact floats, deterministic order, comments left to the caller."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_string(text: str) -> str:
    """A basic string, which JSON reads as well."""
    # JSON's escapes are TOML's, except that TOML wants DEL escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_value(value: Any) -> str:
    """A string, bool, integer, float, a table of such on one line, or a sequence of them.

    Raises
    ------
    TypeError
        Anything else.
    """
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        # repr is the shortest decimal that reads back as the same float64, so float32 values survive as well.
        return repr(float(value))
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    raise TypeError(f"no TOML value: {value!r}")


def toml_lines(table: Mapping[str, Any], path: str = "") -> list[str]:
    """The lines of a table: its values, then its sub-tables with their headings."""
    lines = [f"{_key(key)} = {toml_value(value)}" for key, value in table.items() if not isinstance(value, Mapping)]
    for key, value in table.items():
        if isinstance(value, Mapping):
            name = f"{path}.{_key(key)}" if path else _key(key)
            lines += ["", f"[{name}]", *toml_lines(value, name)]
    return lines


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else toml_string(key)
