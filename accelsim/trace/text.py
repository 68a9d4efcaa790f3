"""Rows of numbers as text, compiled: a trace has millions of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.jit import Int64s, UInt8s, kernel, part

_MOST_DIGITS = 20


class RowFormat:
    """How rows of integers are written: a text, then numbers with a text before each, then a text to close.

    Parameters
    ----------
    heads : sequence of bytes
        Texts a row can begin with; its first number says which.
    labels : sequence of bytes
        What stands before each further number.
    closing : bytes
        What stands behind the last.
    optional : sequence of int
        Places in `labels` of numbers that are left out, with their label, where they are 0.
    """

    def __init__(
        self, heads: Sequence[bytes], labels: Sequence[bytes], closing: bytes, optional: Sequence[int] = ()
    ) -> None:
        self._heads, self._head_offsets = _joined(heads)
        self._labels, self._label_offsets = _joined([*labels, closing])
        self._optional = np.zeros(len(labels), dtype=np.int64)
        self._optional[list(optional)] = 1
        self._row_bytes = max(map(len, heads), default=0) + self._labels.size + _MOST_DIGITS * len(labels)

    def __call__(self, rows: NDArray[np.int64]) -> bytes:
        """The text of rows.

        Parameters
        ----------
        rows : int64[N, 1 + labels]
        """
        out = np.empty(len(rows) * self._row_bytes, dtype=np.uint8)
        size = format_rows(
            np.ascontiguousarray(rows), len(rows), self._heads, self._head_offsets, self._labels, self._label_offsets,
            self._optional, len(self._optional), out,
        )  # fmt: skip
        return out[:size].tobytes()


def _joined(texts: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return np.frombuffer(b"".join(texts), dtype=np.uint8), np.cumsum([0, *map(len, texts)], dtype=np.int64)


@part
def put_text(out: Any, at: int, text: Any, start: int, end: int) -> int:
    """Bytes of `text`, written to `out` at a place; the place behind them."""
    for place in range(start, end):
        out[at] = text[place]
        at += 1
    return at


@part
def put_number(out: Any, at: int, value: int) -> int:
    """An integer in decimal digits, written to `out` at a place; the place behind them."""
    if value < 0:
        out[at] = 45
        at += 1
        value = -value
    digits, rest = 1, value // 10
    while rest:
        digits += 1
        rest //= 10
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = 48 + value % 10
        value //= 10
    return at + digits


@kernel
def format_rows(
    rows: Int64s, count: int, heads: UInt8s, head_offsets: Int64s, labels: UInt8s, label_offsets: Int64s,
    optional: Int64s, numbers: int, out: UInt8s,
) -> int:  # fmt: skip
    """Rows as text; how many bytes of `out` they take.

    Parameters
    ----------
    rows : int64[count, 1 + numbers]
    heads, labels : uint8[bytes]
    head_offsets, label_offsets : int64[texts + 1]
    optional : int64[numbers]
    out : uint8[as many as they take at most]
    """
    at = 0
    for number in range(count):
        row = number * (1 + numbers)
        head = rows[row]
        at = put_text(out, at, heads, head_offsets[head], head_offsets[head + 1])
        for place in range(numbers):
            value = rows[row + place + 1]
            if value or not optional[place]:
                at = put_text(out, at, labels, label_offsets[place], label_offsets[place + 1])
                at = put_number(out, at, value)
        at = put_text(out, at, labels, label_offsets[numbers], label_offsets[numbers + 1])
    return at
