"""What `run` and `profile` print and write of a profile."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from accelsim.cli.console import say, show

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.isa.program import Program
    from accelsim.profile import Profile


def files_of(profile: Profile, program: Program, events: NDArray[Any] | None) -> dict[str, bytes]:
    """The files of a profile by name: profile.csv, and the plots where there are events to draw.

    Parameters
    ----------
    profile : Profile
    program : Program
    events : EVENT[operations] or None
    """
    from accelsim.profile.csv_file import profile_csv

    contents = {"profile.csv": profile_csv(profile).encode()}
    if events is not None:
        # Where its folder in the user's home can't be written, matplotlib takes a temporary one; nobody needs be told.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from accelsim.profile.plots import draw_plots

        contents |= draw_plots(profile, program, events)
    return contents


def print_layers(program: Program, profile: Profile) -> None:
    """Cycles of each layer of one frame, the lower bound, and what all frames take.

    Parameters
    ----------
    program : Program
    profile : Profile
    """
    from accelsim.profile.tables import layer_table

    chip = program.chip
    say(f"{program.name} on chip {chip.name} at {chip.chip.clock_mhz:g} MHz; schedule: {program.schedule}")
    show(layer_table(profile))
    if profile.setup_cycles:
        say(f"before the first frame, once: {profile.setup_cycles:,} cycles of set-up")
    if profile.frames > 1:
        totals = profile.totals
        say(f"all {profile.frames:,} frames: {totals['cycles']:,} cycles, {totals['time_us']:,.2f} µs")


def print_details(program: Program, profile: Profile) -> None:
    """What the layers do, what the units and memories do, and where the bytes lie.

    Parameters
    ----------
    program : Program
    profile : Profile
    """
    from accelsim.profile.tables import memory_table, storage_table, unit_table, work_table

    show(work_table(profile), unit_table(profile), memory_table(profile), storage_table(program))
