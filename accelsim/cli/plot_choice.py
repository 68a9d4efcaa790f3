"""The options that say what is drawn of a run, and how it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from accelsim.errors import InputError

if TYPE_CHECKING:
    from accelsim.profile.figures.style import Format
    from accelsim.profile.plots import ZoomWish

_Command = TypeVar("_Command", bound=Callable[..., Any])
FORMATS: dict[str, tuple[Format, ...]] = {"png": ("png",), "svg": ("svg",), "both": ("png", "svg")}
"""What `--plots-format` says, and the files it stands for."""


@dataclass(frozen=True)
class PlotChoice:
    """What is to be drawn.

    Parameters
    ----------
    formats : tuple of str
        ``png``, ``svg``; empty for no plots.
    zoom : ZoomWish or None
    """

    formats: tuple[Format, ...]
    zoom: ZoomWish | None


plots_format_option = click.option(
    "--plots-format",
    type=click.Choice(list(FORMATS)),
    default="png",
    show_default=True,
    help="Files of the plots.",
)


def plot_options(*, default: bool) -> Callable[[_Command], _Command]:
    """The options, which the command takes as keywords and hands to `plot_choice`.

    Parameters
    ----------
    default : bool
        Whether there are plots where nothing is said.
    """
    options = (
        click.option(
            "--plots/--no-plots",
            default=default,
            show_default=True,
            help="Draw cycles and energy by layer, the roofline, a timeline, DRAM traffic and SRAM occupancy.",
        ),
        plots_format_option,
        click.option(
            "--zoom",
            metavar="FROM:TO",
            help="Draw also a timeline of these cycles (TO not included), operation by operation.",
        ),
        click.option(
            "--zoom-step",
            type=click.IntRange(min=0),
            metavar="N",
            help="Draw also a timeline of a layer's time step N (from 0, in order of execution): from the first beat "
            "of the step's operations to their last result.",
        ),
        click.option(
            "--zoom-layer",
            metavar="NAME",
            help="The layer of --zoom-step; the one that takes most cycles where left out.",
        ),
    )

    def add(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def plot_choice(
    *, plots: bool, plots_format: str, zoom: str | None, zoom_step: int | None, zoom_layer: str | None
) -> PlotChoice:
    """The options' values, checked.

    Raises
    ------
    InputError
        A zoom without plots, two of them, or one that is no range of cycles.
    """
    if zoom is None and zoom_step is None:
        if zoom_layer is not None:
            raise InputError("--zoom-layer", "", f"found {zoom_layer!r} without --zoom-step", "--zoom-step N with it")
        return PlotChoice(FORMATS[plots_format] if plots else (), None)
    option = "--zoom" if zoom is not None else "--zoom-step"
    if not plots:
        raise InputError(option, "", "found without plots", "--plots with it")
    from accelsim.profile.plots import ZoomWish

    if zoom is None:
        return PlotChoice(FORMATS[plots_format], ZoomWish(step=zoom_step, layer=zoom_layer))
    if zoom_step is not None or zoom_layer is not None:
        raise InputError("--zoom", "", "found together with --zoom-step or --zoom-layer", "one of the two")
    return PlotChoice(FORMATS[plots_format], ZoomWish(cycles=_cycles(zoom)))


def _cycles(text: str) -> tuple[int, int]:
    first, colon, last = (part.strip().replace("_", "") for part in text.partition(":"))
    if not (colon and first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise InputError("--zoom", "", f"found {text!r}", "FROM:TO, two cycles of which the first is smaller")
    return int(first), int(last)
