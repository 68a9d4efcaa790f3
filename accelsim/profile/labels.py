"""Names from files as text that is safe to show: models and programs may come from anywhere."""

from __future__ import annotations

OUTSIDE_LAYERS = "(program)"
"""Stands in a report for instructions of no layer and for cycles nothing but the sequencer takes."""


def printable(name: str) -> str:
    """`name` with what a terminal would act on, such as control characters, written as an escape."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


def on_a_line(text: str) -> str:
    """`text`, printable, with a space for each end of a line and whatever space is around it."""
    return printable(" ".join(text.split()))


def shortened(name: str, width: int) -> str:
    """`name`, printable, with its middle left out where it is longer than `width` characters."""
    text = printable(name)
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"
