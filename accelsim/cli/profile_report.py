"""What `run` and `profile` print and write of a profile."""

from __future__ import annotations

import tempfile
from pathlib import Path
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
        from accelsim.profile.plots import write_plots

        # Drawn elsewhere first: the output folder sees nothing before everything is there.
        with tempfile.TemporaryDirectory() as folder:
            contents |= {path.name: path.read_bytes() for path in write_plots(profile, program, events, Path(folder))}
    return contents


def print_profile(program: Program, profile: Profile) -> None:
    """The layers' table, then cycles, bound and time.

    Parameters
    ----------
    program : Program
    profile : Profile
    """
    from accelsim.profile.tables import layer_table

    frames = f"{profile.frames:,} frame" + ("s" if profile.frames != 1 else "")
    say(f"{program.name} on chip {program.chip.name} at {program.chip.chip.clock_mhz:g} MHz, {frames}")
    show(layer_table(profile))
    ratio = profile.cycles / max(profile.bound.cycles, 1)
    say(
        f"cycles a frame: {profile.cycles:,}; lower bound {profile.bound.cycles:,} ({profile.bound.limit}), "
        f"ratio {ratio:.2f}"
    )
    say(f"time a frame: {profile.time_us:,.2f} us")
