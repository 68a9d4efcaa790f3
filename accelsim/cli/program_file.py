"""The program a command works on: named as an argument, or by the vendor's option."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from accelsim.isa.program import Program

_Function = TypeVar("_Function", bound=Callable[..., Any])


def program_options(function: _Function) -> _Function:
    """The argument ``[PROGRAM]``, and the options ``--config`` and ``--weight``."""
    path = click.Path(path_type=Path)
    for decorate in (
        click.option(
            "-w",
            "--weight",
            "weight",
            type=path,
            metavar="FILE",
            help="The program's weights.  [default: the .weight file that the .cfg names, beside it]",
        ),
        click.option(
            "-cfg", "--config", "config", type=path, metavar="FILE", help="The program, where it is no argument."
        ),
        click.argument("program", type=path, required=False, metavar="[PROGRAM_r.cfg]"),
    ):
        function = decorate(function)
    return function


def either(argument: Path | None, option: Path | None, name: str, what: str) -> Path:
    """The file named by an argument or by an option.

    Parameters
    ----------
    argument, option : Path or None
    name : str
        The option's, for messages.
    what : str
        What the file is, for messages.

    Raises
    ------
    click.UsageError
        Neither is there, or both are.
    """
    if argument is not None and option is not None:
        raise click.UsageError(f"{what} given twice: as an argument and as {name}", click.get_current_context())
    file = argument if argument is not None else option
    if file is None:
        raise click.UsageError(f"missing {what}: as an argument or as {name} FILE", click.get_current_context())
    return file


def open_program(argument: Path | None, option: Path | None, weight: Path | None) -> tuple[Program, Path]:
    """The program and its `.cfg` file.

    Raises
    ------
    click.UsageError
        As `either`.
    InputError
        As `accelsim.isa.files.read_program`.
    """
    from accelsim.isa.files import read_program

    path = either(argument, option, "--config", "the compiled program (.cfg)")
    return read_program(path, weight), path
