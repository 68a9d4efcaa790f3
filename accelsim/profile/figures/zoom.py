"""A stretch of the run, operation by operation: dispatched, issuing, done."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from accelsim.isa.opcodes import Activation, Memory, Unit
from accelsim.isa.program import Program
from accelsim.profile.figures.heading import run_heading
from accelsim.profile.figures.style import GRID_COLOUR, SMALL, TINY, count_axis, in_print_style, new_figure, texts_of
from accelsim.profile.figures.timeline import LANES, draw_layer_legend, draw_operations
from accelsim.profile.operations import Events
from accelsim.profile.palette import BLUE, GREEN, ORANGE, OUTSIDE_STYLE, SKY, layer_styles
from accelsim.profile.profile import Profile

MOST_NAMED = 72
"""Operations that get a line each, which is what a page has room for; more of them share a lane a unit."""
_LINE_INCHES = 0.118
_LAYER_WIDTH = 20
"""Letters of a layer's name beside each of its operations."""
_BAR = 0.72
_UNIT_COLOURS = {Unit.LOAD: ORANGE, Unit.MATRIX: BLUE, Unit.VECTOR: SKY, Unit.STORE: GREEN}
_UNIT_HATCHES = {Unit.LOAD: "////", Unit.MATRIX: "", Unit.VECTOR: "", Unit.STORE: "\\\\\\\\"}


@dataclass(frozen=True)
class Zoom:
    """What is shown.

    Parameters
    ----------
    first, last : int
        Its cycles; `last` is the first that is not shown.
    what : str
        In words, such as ``time step 3 of lstm``; empty for a stretch of cycles.
    marked : frozenset of (int, int)
        Operations that it is about, by instruction and cycle of dispatch.
    """

    first: int
    last: int
    what: str = ""
    marked: frozenset[tuple[int, int]] = frozenset()


@in_print_style
def plot_zoom(profile: Profile, program: Program, events: Events, zoom: Zoom) -> Figure:
    """The operations of a stretch of time, each on a line of its own with its name where they are few enough.

    Parameters
    ----------
    profile : Profile
    program : Program
    events : EVENT[operations]
        Those in the window, in any order; others are left out.
    zoom : Zoom
    """
    inside = events[(events["done"] >= zoom.first) & (events["dispatched"] < zoom.last)]
    seen = inside[inside["started"] < zoom.last]
    seen = seen[np.lexsort((seen["started"], seen["unit"]))]
    named = len(seen) <= MOST_NAMED
    figure = new_figure(1.5 + _LINE_INCHES * max(len(seen), 4) if named else 3.0)
    axes = figure.add_subplot()
    if named:
        _draw_lines(axes, program, seen, zoom, waiting=len(inside) - len(seen))
    else:
        _draw_lanes(figure, axes, program, seen, zoom)
    axes.set_xlim(zoom.first, zoom.last)
    axes.set_xlabel(f"cycle ({zoom.last - zoom.first:,} of {profile.cycles:,} are shown)")
    count_axis(axes)
    what = f", {zoom.what}" if zoom.what else ""
    run_heading(figure, profile, f"Cycles {zoom.first:,} to {zoom.last:,}{what}")
    return figure


def operation_name(program: Program, event: np.void) -> str:
    """An operation in words: its instruction's place in the program, what it does, and its layer.

    Parameters
    ----------
    program : Program
    event : EVENT
    """
    index = int(event["index"])
    instruction = program.instructions[index]
    detail = ""
    if instruction.name == "vector" and instruction.fields["activation"]:
        detail = f" {Activation(instruction.fields['activation']).name.lower()}"
    elif instruction.name in ("load", "store"):
        detail = f" {Memory(instruction.fields['memory']).name.lower()}"
    elif instruction.name == "sync":
        detail = f" {Unit(int(event['unit'])).name.lower()}"
    owner = program.layer_of(index)
    texts = texts_of([layer.name for layer in program.layers], _LAYER_WIDTH)
    layer = f"  {texts[program.layers.index(owner)]}" if owner else ""
    return f"{instruction.name}{detail} @{index}{layer}"


def _draw_lines(axes: Axes, program: Program, events: Events, zoom: Zoom, *, waiting: int) -> None:
    """A line an operation: dotted while it waits in its queue, a bar from first to last beat, a line to its result."""
    rows = np.arange(len(events))
    axes.hlines(rows, events["dispatched"], events["started"], colors="#555555", linewidth=0.7, linestyle=":")
    for unit in LANES:
        mine = events["unit"] == unit
        if not mine.any():
            continue
        lengths = events["issued"][mine] + 1 - events["started"][mine]
        solid = events["busy"][mine] >= lengths
        for full in (True, False):
            some = solid == full
            axes.barh(
                rows[mine][some],
                lengths[some],
                left=events["started"][mine][some],
                height=_BAR if full else _BAR / 2,
                color=_UNIT_COLOURS[unit],
                hatch=_UNIT_HATCHES[unit],
                edgecolor="black",
                linewidth=0.3,
            )
    axes.hlines(rows, events["issued"] + 1, events["done"] + 1, colors="black", linewidth=0.9)
    axes.plot(events["done"] + 1, rows, "|", color="black", markersize=4, clip_on=True)
    names = [operation_name(program, event) for event in events]
    axes.set_yticks(rows, names, fontsize=TINY)
    for label, event in zip(axes.get_yticklabels(), events, strict=True):
        if (int(event["index"]), int(event["dispatched"])) in zoom.marked:
            label.set_fontweight("bold")
    for place in np.flatnonzero(np.diff(events["unit"].astype(np.int64))):
        axes.axhline(place + 0.5, color="#888888", linewidth=0.5)
    axes.set_ylim(max(len(events), 4) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID_COLOUR, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure = axes.figure
    handles: list[Patch | Line2D] = [
        Line2D([], [], color="#555555", linewidth=0.9, linestyle=":", label="in its queue"),
        *(
            Patch(facecolor=_UNIT_COLOURS[unit], hatch=_UNIT_HATCHES[unit], edgecolor="black", linewidth=0.3)
            for unit in LANES
            if (events["unit"] == unit).any()
        ),
        Line2D([], [], color="black", linewidth=0.9, marker="|", markersize=4, label="to its last result"),
    ]
    for handle, unit in zip(handles[1:-1], [unit for unit in LANES if (events["unit"] == unit).any()], strict=True):
        handle.set_label(f"{unit.name.lower()} issues")
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=3,
        frameon=False,
        title="; ".join(
            [
                "a half bar waits between its beats",
                *(["bold: the step's own"] if zoom.marked else []),
                *([f"left out: {waiting} that only wait in their queue"] if waiting else []),
            ]
        ),
        title_fontsize=SMALL,
    )


def _draw_lanes(figure: Figure, axes: Axes, program: Program, events: Events, zoom: Zoom) -> None:
    """A lane a unit, for more operations than there are lines."""
    styles = [*layer_styles(len(program.layers)), OUTSIDE_STYLE]
    draw_operations(axes, events, zoom.first, zoom.last, styles)
    axes.set_title(
        f"{len(events):,} operations; up to {MOST_NAMED} are named one by one. Full bar = issuing, "
        "half = with waits between beats, line = to its last result",
        fontsize=TINY,
        loc="left",
    )
    draw_layer_legend(figure, events, texts_of([layer.name for layer in program.layers]))
