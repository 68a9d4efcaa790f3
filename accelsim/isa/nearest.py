"""The nearest known name, for messages about an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """`; nearest: NAME`, or nothing where no known name is like it."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.4)
    return f"; nearest: {close[0]}" if close else ""
