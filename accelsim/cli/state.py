"""What the options before the command say to the command."""

from __future__ import annotations

from dataclasses import dataclass

import click


@dataclass
class State:
    """The global options.

    Parameters
    ----------
    debug : bool
        Show tracebacks.
    chip : str or None
        Name or file of a chip, as it was written.
    """

    debug: bool = False
    chip: str | None = None


pass_state = click.make_pass_decorator(State)
"""Hands a command the `State` as its first argument."""
