"""Errors a user can meet: each carries its fields, and builds its text from them.

Two families only. `InputError` is the user's mistake: the command line prints its one line and exits with 2.
`InternalError` is ours: exit code 70. Nothing else leaves the package on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self


class AccelsimError(Exception):
    """Base of every error raised on purpose."""

    exit_code = 70
    _made_of: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *arguments: Any, **keywords: Any) -> Self:
        """Keep what it is made of, which its `__init__` makes a text of."""
        error = super().__new__(cls, *arguments)
        error._made_of = arguments, keywords
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        """From its fields: an exception is otherwise copied, or sent to another process, from its text alone."""
        return _made_again, (type(self), *self._made_of)


class InternalError(AccelsimError):
    """A fault of the program itself, not of its input."""


class InputError(AccelsimError):
    """The user's input can't be used as it is.

    Parameters
    ----------
    where : str or Path
        The file or option that is wrong.
    field : str
        The part of it: a key, a tensor, a node, a line; empty when it is the whole.
    found : str
        What stands there.
    expected : str
        What should stand there; empty when `found` says it all.
    """

    exit_code = 2

    def __init__(self, where: str | Path, field: str, found: str, expected: str = "") -> None:
        self.where = str(where)
        self.field = field
        self.found = found
        self.expected = expected
        text = f"{self.where}: "
        if field:
            text += f"{field}: "
        text += found
        if expected:
            text += f"; expected {expected}"
        super().__init__(" ".join(text.split()))


class UnsupportedOperatorError(InputError):
    """A model uses an operator, or a form of one, that can't be compiled."""

    def __init__(self, where: str | Path, operator: str, node: str, reason: str) -> None:
        self.operator = operator
        self.node = node
        self.reason = reason
        super().__init__(where, f"operator {operator} (node {node!r})", f"not supported: {reason}")


class DecodeError(InputError):
    """A word is no instruction of this instruction set."""

    def __init__(self, word: int, reason: str, where: str = "instruction word") -> None:
        self.word = word
        super().__init__(where, f"0x{word:x}", reason)


class CapacityError(InputError):
    """A program does not fit a memory or a table of the chip."""

    def __init__(self, chip: str, resource: str, need: int, have: int, unit: str, hint: str = "") -> None:
        self.resource = resource
        self.need = need
        self.have = have
        text = f"{need:,} {unit} needed, {have:,} there"
        super().__init__(f"chip {chip}", resource, text + (f" ({hint})" if hint else ""))


class ManyErrors(InputError):
    """Several mistakes in one file, all reported at once, one line each."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        self.errors = tuple(errors)
        first = errors[0]
        super().__init__(first.where, first.field, first.found, first.expected)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class DeadlockError(InputError):
    """Every unit waits and none can go on; says what each waits for."""

    def __init__(self, where: str | Path, cycle: int, waiting: Sequence[str]) -> None:
        self.cycle = cycle
        self.waiting = tuple(waiting)
        super().__init__(where, f"deadlock at cycle {cycle}", "; ".join(waiting))


class HazardError(InputError):
    """`--check hazards` found accesses that no semaphore orders."""

    def __init__(self, where: str | Path, hazards: Sequence[str], count: int) -> None:
        self.hazards = tuple(hazards)
        self.count = count
        super().__init__(where, f"{count} hazard{'s' if count != 1 else ''}", "; ".join(hazards))


def _made_again(kind: type[AccelsimError], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> AccelsimError:
    return kind(*arguments, **keywords)
