"""What `run` and `profile` print and write of a profile."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from accelsim.cli.console import note, say, show

if TYPE_CHECKING:
    from accelsim.cli.plot_choice import PlotChoice
    from accelsim.isa.program import Program
    from accelsim.profile import Profile


def files_of(profile: Profile, program: Program, choice: PlotChoice) -> dict[str, bytes]:
    """The files of a profile by name: profile.csv, and the plots.

    Parameters
    ----------
    profile : Profile
    program : Program
    choice : PlotChoice
        What is drawn; what can't be is left out with a note.

    Raises
    ------
    InputError
        A zoom on what is not there.
    """
    from accelsim.profile.csv_file import profile_csv

    contents = {"profile.csv": profile_csv(profile).encode()}
    if choice.formats:
        # Where its folder in the user's home can't be written, matplotlib takes a temporary one; nobody needs be told.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from accelsim.profile.plots import draw_plots

        contents |= draw_plots(profile, program, formats=choice.formats, zoom=choice.zoom, note=note)
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
    """What the layers do and take, what the units and memories do, and where the bytes lie.

    Parameters
    ----------
    program : Program
    profile : Profile
    """
    from accelsim.profile.tables import area_text, energy_table, memory_table, storage_table, unit_table, work_table

    show(
        work_table(profile),
        energy_table(profile),
        unit_table(profile),
        memory_table(profile),
        storage_table(program),
    )
    say(area_text(profile))
