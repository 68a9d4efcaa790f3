"""Which cost table energies are counted by: the option's, else the chip's own choice."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from accelsim.isa.program import Program

_Function = TypeVar("_Function", bound=Callable[..., Any])


def energy_option(function: _Function) -> _Function:
    """The option ``--energy``."""
    return click.option(
        "--energy",
        metavar="NAME|FILE",
        help="Count energy and area by this cost table (see `accelsim energy`), not by the chip's figures.",
    )(function)


def with_energy(program: Program, table: str | None) -> Program:
    """The program on a chip whose costs are those of the option's table; as it is, where none is named.

    Parameters
    ----------
    program : Program
    table : str or None
        Name or file of a table.

    Raises
    ------
    InputError
        As `accelsim.costs.load_cost_table`.
    """
    if table is None:
        return program
    from accelsim.costs import load_cost_table, with_cost_table

    return dataclasses.replace(program, chip=with_cost_table(program.chip, load_cost_table(table)))
