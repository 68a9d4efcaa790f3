"""Which chip a command is for: its own option, else the program's, else the default."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from accelsim.cli.state import State
from accelsim.errors import InputError

if TYPE_CHECKING:
    from accelsim.chip import Chip
    from accelsim.isa.program import Program

_Function = TypeVar("_Function", bound=Callable[..., Any])

DEFAULT_CHIP = "tx5368"


def chip_option(text: str) -> Callable[[_Function], _Function]:
    """The option ``--chip``, with this help."""
    return click.option("-ch", "--chip", "chip", metavar="NAME|FILE", help=text)


def chosen_chip(state: State, option: str | None) -> Chip:
    """The chip to work for.

    Parameters
    ----------
    state : State
    option : str or None
        The command's own option.

    Raises
    ------
    InputError
        As `accelsim.chip.load_chip`.
    """
    from accelsim.chip import load_chip

    return load_chip(option or state.chip or DEFAULT_CHIP)


def check_compiled_for(state: State, option: str | None, program: Program, where: str) -> None:
    """A program runs on the chip it was compiled for; refuse another one where one is named.

    Raises
    ------
    InputError
        As `accelsim.chip.load_chip`; or the chips differ in a figure.
    """
    name = option or state.chip
    if name is None:
        return
    from accelsim.chip import load_chip

    chip = load_chip(name)
    if chip.digest != program.chip.digest:
        found = f"compiled for chip {program.chip.name}"
        if chip.name == program.chip.name:
            found += ", described by other figures then"
        raise InputError(where, "", found, f"{name}, as --chip says: compile the model again for it")
