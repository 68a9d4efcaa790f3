"""What stands above each figure of a run."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from accelsim.profile.figures.style import text_of
from accelsim.profile.profile import Profile

_LINE = 104
"""Letters that fit in a line of the heading."""


def run_heading(figure: Figure, profile: Profile, what: str, figures: Sequence[str] = ()) -> None:
    """What the figure shows, of which program on which chip; below it, figures of the run.

    Parameters
    ----------
    figure : Figure
    profile : Profile
    what : str
    figures : sequence of str
        Its cycles beside their lower bound, if none are given.
    """
    parts = list(figures) or [
        f"{profile.cycles:,} cycles ({profile.time_us:,.2f} µs) {profile.once}",
        f"lower bound {profile.bound.cycles:,} ({profile.bound.limit})",
        f"ratio {profile.ratio:.2f}",
    ]
    if profile.setup_cycles:
        parts.append(f"not shown: {profile.setup_cycles:,} cycles before it, once, that load weights")
    where = f"{text_of(profile.program)} on {text_of(profile.chip)}"
    lines = [f"{what}: {where}"] if len(what) + len(where) + 2 <= _LINE else [what, where]
    line = parts[0]
    for part in parts[1:]:
        if len(line) + len(part) + 2 > _LINE:
            lines.append(line + ",")
            line = part
        else:
            line += f", {part}"
    figure.suptitle("\n".join([*lines, line]), fontsize=8)
