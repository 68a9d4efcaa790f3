"""TOML texts of users."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from accelsim.errors import InputError


def parse_toml(text: str, where: str | Path, expected: str = "") -> dict[str, Any]:
    """What a TOML text says.

    Parameters
    ----------
    text : str
    where : str or Path
        The file, for messages.
    expected : str
        What should be there, for messages.

    Raises
    ------
    InputError
        It is no TOML, or nests more deeply than Python can follow.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # An integer of thousands of digits is a ValueError.
        reason = "it nests too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(where, "", f"not TOML: {reason}", expected) from None
