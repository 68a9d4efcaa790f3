"""What `run` and `profile` print and write of a profile."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from accelsim.cli.console import note, say, show

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accelsim.isa.program import Program
    from accelsim.profile import Profile


MOST_DRAWN = 1_000_000
"""Operations a timeline is drawn of: they are held for it, and no eye tells more of them apart."""


def files_of(profile: Profile, program: Program, *, plots: bool) -> dict[str, bytes]:
    """The files of a profile by name: profile.csv, and the plots.

    Parameters
    ----------
    profile : Profile
    program : Program
    plots : bool
        Whether to draw them; the timeline only of a run that is not too long for one.
    """
    from accelsim.profile.csv_file import profile_csv

    contents = {"profile.csv": profile_csv(profile).encode()}
    if plots:
        events = _operations(profile, program)
        # Where its folder in the user's home can't be written, matplotlib takes a temporary one; nobody needs be told.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from accelsim.profile.plots import draw_plots

        contents |= draw_plots(profile, program, events)
    return contents


def _operations(profile: Profile, program: Program) -> NDArray[Any] | None:
    """Every operation of a frame, gone through once more to be drawn; None where they are too many."""
    count = sum(number for unit, number in profile.operations.items() if unit != "sequencer")
    if count > MOST_DRAWN:
        note(f"no unit_timeline.png: the run has {count:,} operations, more than the {MOST_DRAWN:,} one is drawn of")
        return None
    import numpy as np

    from accelsim.machine.run import time_frame
    from accelsim.timing.record import EVENT

    chunks: list[NDArray[Any]] = [np.zeros(0, dtype=EVENT)]
    time_frame(program, take_events=chunks.append)
    return np.concatenate(chunks)


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
