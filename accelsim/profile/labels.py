"""Names from files as text that is safe to show: models and programs may come from anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

OUTSIDE_LAYERS = "(program)"
"""Stands in a report for instructions of no layer and for cycles nothing but the sequencer takes."""


_COMPONENTS = {"mac": "MACs", "vector": "vector unit", "dram": "DRAM"}


def component_name(component: str) -> str:
    """A component of energy or area in words, such as ``weights SRAM``."""
    return _COMPONENTS.get(component, component.replace("_sram", " SRAM"))


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
    return _ends(text, width - 1 - end, end)


def shortened_apart(names: Sequence[str], width: int) -> list[str]:
    """Names as `shortened` has them, but with another part left out where two would read the same.

    Parameters
    ----------
    names : sequence of str
    width : int
        At least 8.

    Returns
    -------
    list of str
        As long as `width` at most; equal ones for equal names alone.
    """
    texts = [printable(name) for name in names]
    distinct = list(dict.fromkeys(texts))
    for cut in _cuts(distinct, width):
        found = {text: text if len(text) <= width else cut(text) for text in distinct}
        if len(set(found.values())) == len(distinct):
            return [found[text] for text in texts]
    numbers = {text: f"~{number}" for number, text in enumerate(distinct, 1)}
    return [
        text if len(text) <= width else shortened(text, width - len(numbers[text])) + numbers[text] for text in texts
    ]


_HEAD = 3
"""Letters of a name's begin that stay where a part of its middle is shown."""


def _cuts(texts: Sequence[str], width: int) -> Iterator[Callable[[str], str]]:
    """Ways to leave out a part: the middle, what is left or right of it, all but one part and the begin."""
    middle = (width - 1) - (width - 1) // 2
    for aside in range(middle):
        yield partial(_ends, head=middle - aside, tail=width - 1 - middle + aside)
        if middle + aside < width - 1:
            yield partial(_ends, head=middle + aside, tail=width - 1 - middle - aside)
    shown = width - _HEAD - 2
    for start in range(_HEAD + 1, max(map(len, texts), default=0) - shown + 1):
        yield partial(_part, start=start, end=start + shown)


def _ends(text: str, head: int, tail: int) -> str:
    return f"{text[:head]}…{text[len(text) - tail :]}"


def _part(text: str, start: int, end: int) -> str:
    return f"{text[:_HEAD]}…{text[start:end]}" + ("…" if end < len(text) else "")
