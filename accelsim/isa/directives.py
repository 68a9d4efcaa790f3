"""The lines of an `.asm` file that start with a dot: split into words and `key=value` pairs, every type checked."""

from __future__ import annotations

import json
import re
import struct

from accelsim.errors import InputError
from accelsim.isa.grammar import TokenError, read_number

_TOKEN = re.compile(r'\s*(?:(?P<comment>;.*)|(?P<token>(?:[^\s;"]|"(?:[^"\\]|\\.)*")+))')


class Directive:
    """One directive line.

    Parameters
    ----------
    line : str
        Begins with the directive's name.
    where : str
        File and line, for messages.

    Attributes
    ----------
    name : str
        With its dot.
    opens_block : bool
        Whether the line ends with `{`.

    Raises
    ------
    InputError
        A quote is not closed, or a key stands twice.
    """

    def __init__(self, line: str, where: str) -> None:
        self.where = where
        tokens = self._split(line.strip())
        self.name = tokens.pop(0)
        self.opens_block = bool(tokens) and tokens[-1] == "{"
        if self.opens_block:
            tokens.pop()
        self._words: list[str] = []
        self._values: dict[str, str] = {}
        for token in tokens:
            key, equals, value = token.partition("=")
            if token.startswith('"') or not equals:
                self._words.append(token)
            elif key in self._values:
                raise InputError(where, token, "written twice")
            else:
                self._values[key] = value

    def _split(self, line: str) -> list[str]:
        tokens, position = [], 0
        while position < len(line):
            match = _TOKEN.match(line, position)
            if match is None:
                raise InputError(self.where, line[position:].strip(), "a quote is not closed", 'text in "..."')
            if match["token"]:
                tokens.append(match["token"])
            position = match.end()
        return tokens

    def word(self, expected: str) -> str:
        """The next word that is no `key=value`; text in quotes is unquoted."""
        if not self._words:
            raise InputError(self.where, self.name, f"no {expected}")
        return self._unquote(self._words.pop(0), expected)

    def address(self) -> int:
        """The next word, as an address: decimal or hexadecimal, not negative."""
        text = self.word("address")
        value = self._integer("address", text)
        if value < 0:
            raise InputError(self.where, text, "a negative address")
        return value

    def rest(self) -> list[str]:
        """All words that are left."""
        words, self._words = self._words, []
        return words

    def text(self, key: str, default: str | None = None) -> str:
        """The text of `key="..."`; the quotes may be left out around a single word."""
        if key not in self._values and default is not None:
            return default
        return self._unquote(self._take(key), key)

    def number(self, key: str, default: int | None = None) -> int:
        """The integer of `key=...`, decimal or hexadecimal."""
        if key not in self._values and default is not None:
            return default
        return self._integer(key, self._take(key))

    def numbers(self, key: str, separator: str) -> tuple[int, ...]:
        """Integers joined by `separator`."""
        return tuple(self._integer(key, text) for text in self._take(key).split(separator))

    def floats(self, key: str) -> tuple[float, ...]:
        """float32 values joined by commas; a decimal is rounded to the nearest of them."""
        return tuple(self._float32(key, text) for text in self._take(key).split(","))

    def finish(self) -> None:
        """Refuse what nobody has taken."""
        for token in [*self._words, *self._values]:
            raise InputError(self.where, token, f"{self.name} has no such argument, or not here")

    def _take(self, key: str) -> str:
        value = self._values.pop(key, None)
        if value is None:
            raise InputError(self.where, self.name, f"no {key}=", f"{key}=VALUE")
        return value

    def _integer(self, key: str, text: str) -> int:
        try:
            return read_number(text)
        except TokenError as error:
            raise InputError(self.where, f"{key}=", error.found, error.expected) from None

    def _float32(self, key: str, text: str) -> float:
        try:
            (value,) = struct.unpack("<f", struct.pack("<f", float(text)))
        except (ValueError, OverflowError):
            raise InputError(self.where, f"{key}=", f"found {text!r}", "a float32 number") from None
        return float(value)

    def _unquote(self, text: str, expected: str) -> str:
        if not text.startswith('"'):
            return text
        try:
            value = json.loads(text)
        except ValueError:
            raise InputError(self.where, text, f"no proper text for {expected}", 'text in "..."') from None
        return str(value)
