"""The option that says which engine counts the cycles."""

from __future__ import annotations

import click

engine_option = click.option(
    "--engine",
    type=click.Choice(["fast", "reference"]),
    default="fast",
    show_default=True,
    help="What counts the cycles: fast, compiled; or reference, on SimPy, the one to read and extend, which also moves "
    "the first frame's values when the hardware would. Both give the same cycles.",
)
