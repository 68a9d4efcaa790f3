"""What each SRAM holds over time, buffer by buffer, or by what buffers have in common."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from accelsim.profile.figures.areas import areas_of
from accelsim.profile.figures.heading import run_heading
from accelsim.profile.figures.style import SMALL, TINY, in_print_style, new_figure, plain_axes
from accelsim.profile.occupancy import Occupancy
from accelsim.profile.palette import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, YELLOW
from accelsim.profile.profile import Profile
from accelsim.profile.storage import SRAMS

_STYLES = (
    (BLUE, ""),
    (ORANGE, "////"),
    (SKY, ""),
    (GREEN, "\\\\\\\\"),
    (YELLOW, ""),
    (PURPLE, "xxxx"),
    (VERMILION, ""),
)
_MOST_COLOUR = "#D4D4D4"
_CAPACITY_SHOWN = 3
"""How many times the largest occupancy the capacity may be and still set the panel's height."""


@in_print_style
def plot_occupancy(profile: Profile, occupancy: Occupancy) -> Figure | None:
    """A panel an SRAM: bytes held, stacked by buffer, below the most held at any time; None where that is nothing.

    Parameters
    ----------
    profile : Profile
    occupancy : Occupancy
    """
    memories = [memory for memory in SRAMS if occupancy.of(memory)]
    if not memories:
        return None
    figure = new_figure(1.2 + 1.55 * len(memories))
    panels = figure.subplots(len(memories), 1, sharex=True, squeeze=False)[:, 0]
    for axes, memory in zip(panels, memories, strict=True):
        _draw_memory(axes, occupancy, memory)
    panels[-1].set_xlabel("cycle")
    panels[-1].set_xlim(0, occupancy.cycles)
    figure.supylabel("bytes held: written, and still to be read", fontsize=8)
    run_heading(figure, profile, "SRAM occupancy")
    notes = []
    if occupancy.bin_cycles > 1:
        notes.append(
            f"areas: means of {occupancy.bin_cycles:,} cycles; light grey: up to the most held at any time in them"
        )
    if len(memories) < len(SRAMS):
        notes.append(f"nothing held: {', '.join(memory for memory in SRAMS if memory not in memories)}")
    if notes:
        figure.supxlabel("\n".join(notes), fontsize=SMALL)
    return figure


def _draw_memory(axes: Axes, occupancy: Occupancy, memory: str) -> None:
    edges = occupancy.edges
    areas = areas_of(occupancy.of(memory), occupancy.layers, len(_STYLES))
    # Behind the areas: it shows where it is above them.
    axes.stairs(occupancy.peak_bytes[memory], edges, fill=True, color=_MOST_COLOUR, linewidth=0)
    base = np.zeros(len(edges) - 1)
    for area, (colour, hatch) in zip(areas, _STYLES, strict=False):
        top = base + area.held_bytes
        axes.stairs(top, edges, baseline=base, fill=True, facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0)
        axes.fill_between([], [], [], facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0, label=area.text)
        base = top
    most, capacity = occupancy.most(memory), occupancy.capacity_bytes[memory]
    if capacity <= _CAPACITY_SHOWN * most:
        axes.axhline(capacity, color=VERMILION, linewidth=1.2)
    axes.set_ylim(0, 1.08 * (capacity if capacity <= _CAPACITY_SHOWN * most else most))
    line = "capacity: red line" if capacity <= _CAPACITY_SHOWN * most else "capacity above the panel"
    axes.set_title(
        f"{memory}: up to {most:,} of {capacity:,} bytes held ({100 * most / capacity:.1f} %; {line})",
        fontsize=SMALL,
        loc="left",
    )
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    plain_axes(axes, "both")
    # From the top down, as the areas lie.
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1],
        labels[::-1],
        loc="upper left",
        bbox_to_anchor=(1.005, 1.06),
        fontsize=TINY,
        frameon=False,
        handlelength=1.6,
        labelspacing=0.35,
    )
