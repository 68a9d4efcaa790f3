"""The option that says which engine counts the cycles, and what is shown while it does."""

from __future__ import annotations

from contextlib import AbstractContextManager

import click

from accelsim.cli.console import spinner

engine_option = click.option(
    "--engine",
    type=click.Choice(["fast", "reference"]),
    default="fast",
    show_default=True,
    help="What counts the cycles: fast, compiled; or reference, on SimPy, the one to read and extend, which also moves "
    "the first frame's values when the hardware would. Both give the same cycles.",
)


def simulating(text: str = "simulating", *, silent: bool = False) -> AbstractContextManager[None]:
    """`spinner` while the engine is at work, which says so where it is to be compiled first.

    Parameters
    ----------
    text : str
        What it is used for.
    silent : bool
        Never show one.
    """
    from accelsim.machine.fast.loop import run

    return spinner(text if run.is_ready else f"compiling the engine, once; then {text}", silent=silent)
