"""Value changes as a VCD file has them, compiled: a file has millions of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.jit import Int64s, UInt8s, kernel, part
from accelsim.trace.text import put_number, put_text

Ints = NDArray[np.int64]

CLEAR, SET, ADD = 0, 1, 2
"""What a change does; in this order where several are of one cycle and signal."""
UNKNOWN = -1
"""The value that is written as x; no signal is negative."""
TEXT = 0
"""In place of a number of bits: the signal's values are numbers of texts."""
FIRST_CODE = ord("!")
"""A signal's identifier is one printable character: this one, or as many behind it."""
_MOST_BYTES = 64 + 24 + 8
"""Of a change's text, with its time; the characters of a text apart."""


class ChangeFormat:
    """Writes changes, and knows what each signal's value is.

    Parameters
    ----------
    bits : sequence of int
        Of each signal; `TEXT` for texts.
    values : sequence of int
        At the beginning.
    texts : sequence of bytes
        What values of signals of texts stand for.
    """

    def __init__(self, bits: Sequence[int], values: Sequence[int], texts: Sequence[bytes]) -> None:
        self.bits = np.array(bits, dtype=np.int64)
        self._values = np.array(values, dtype=np.int64)
        self._written = self._values.copy()
        self._texts = np.frombuffer(b"".join(texts) or b" ", dtype=np.uint8)
        self._offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        self._last_time = np.zeros(1, dtype=np.int64)

    @property
    def last_time(self) -> int:
        """That was written last."""
        return int(self._last_time[0])

    def __call__(self, changes: Ints, times: Ints) -> memoryview:
        """The text of changes.

        Parameters
        ----------
        changes : int64[N, 4]
            Cycle, signal, what to do, value; in any order of one time.
        times : int64[N]
            Of the changes, in the file's unit.
        """
        order = np.lexsort((changes[:, 2], changes[:, 1], changes[:, 0]))
        changes, times = changes[order], times[order]
        numbers = changes[self.bits[changes[:, 1]] == TEXT, 3]
        size = len(changes) * _MOST_BYTES + int((self._offsets[numbers + 1] - self._offsets[numbers]).sum())
        out = np.empty(size, dtype=np.uint8)
        used = format_changes(
            changes, len(changes), times, self.bits, self._values, self._written, self._last_time, self._texts,
            self._offsets, out,
        )  # fmt: skip
        return out[:used].data


@part
def _put_binary(out: Any, at: int, value: int) -> int:
    digits, rest = 1, value >> 1
    while rest:
        digits += 1
        rest >>= 1
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = 48 + (value & 1)
        value >>= 1
    return at + digits


@kernel
def format_changes(
    changes: Int64s, count: int, times: Int64s, bits: Int64s, values: Int64s, written: Int64s, last_time: Int64s,
    texts: UInt8s, offsets: Int64s, out: UInt8s,
) -> int:  # fmt: skip
    """Changes, in order of time and signal, as text; how many bytes of `out` they take.

    Parameters
    ----------
    changes : int64[count, 4]
        Cycle, signal, action, value.
    times : int64[count]
        In the file's unit.
    bits, values : int64[signals]
        Of the signals; values are brought up to date.
    written, last_time : int64[signals], int64[1]
        What the file says last; brought up to date.
    texts : uint8[bytes]
    offsets : int64[texts + 1]
    out : uint8[as many as they take at most]
    """
    at = 0
    for number in range(count):
        here = 4 * number
        signal = changes[here + 1]
        if changes[here + 2] == ADD:
            values[signal] += changes[here + 3]
        else:
            values[signal] = changes[here + 3]
        following = here + 4
        more = number + 1 < count and changes[following] == changes[here] and changes[following + 1] == signal
        if more or values[signal] == written[signal]:
            continue
        written[signal] = values[signal]
        if times[number] != last_time[0]:
            last_time[0] = times[number]
            out[at] = 35
            at = put_number(out, at + 1, times[number])
            out[at] = 10
            at += 1
        if bits[signal] != 1:
            out[at] = 115 if bits[signal] == TEXT else 98
            at += 1
        if bits[signal] == TEXT:
            at = put_text(out, at, texts, offsets[values[signal]], offsets[values[signal] + 1])
        elif values[signal] == UNKNOWN:
            out[at] = 120
            at += 1
        else:
            at = _put_binary(out, at, values[signal])
        if bits[signal] != 1:
            out[at] = 32
            at += 1
        out[at] = FIRST_CODE + signal
        out[at + 1] = 10
        at += 2
    return at
