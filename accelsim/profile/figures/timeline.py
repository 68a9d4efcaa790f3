"""The unit timeline: shares of busy cycles over the whole run, single operations in a stretch of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.profile.figures.heading import run_heading
from accelsim.profile.figures.style import (
    SMALL,
    TINY,
    count_axis,
    in_print_style,
    legend_columns,
    new_figure,
    texts_of,
)
from accelsim.profile.operations import Events
from accelsim.profile.palette import OUTSIDE_STYLE, layer_styles
from accelsim.profile.profile import Profile

LANES = (Unit.LOAD, Unit.MATRIX, Unit.VECTOR, Unit.STORE)
BINS = 600
"""Steps of time of the whole run's panel: about one for two pixels."""
_ZOOM_OPERATIONS = (100, 50, 25)
_ZOOM_MOST_CYCLES = 600
_ZOOM_LEAST_CYCLES = 80
_NAMES_SHOWN = 30
_LEGEND_COLUMNS = 5
_LEGEND_LINE_INCHES = 0.16
_LETTER_SHARE, _BESIDE_SHARE = 0.0095, 0.005
"""Of the panel's width, that a letter takes, and what is beside all letters of a bar."""
_LETTER_BOX = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
_LANE_HEIGHT = 0.76
_RESULT_LINE = 0.93
_LIGHT = 0.3
"""Opacity of the time between an operation's beats."""
_EDGED_SHARE = 1 / 250
"""Bars narrower than this share of the panel have no white edge: it would cover them."""


@in_print_style
def plot_timeline(profile: Profile, program: Program, events: Events) -> Figure:
    """What the four queued units do over time: the whole run, and a few time steps in its middle.

    Parameters
    ----------
    profile : Profile
    program : Program
    events : EVENT[operations]
        At least one.
    """
    names = texts_of([layer.name for layer in program.layers])
    figure = new_figure(4.3)
    draw_timeline(figure, events, profile.cycles, names)
    run_heading(figure, profile, "Unit timeline")
    return figure


def draw_timeline(figure: Figure, events: Events, cycles: int, layers: Sequence[str]) -> None:
    """Draw both panels and the legend, for which the figure is made higher.

    Layers are told apart by colour and hatching, and by a letter where it has room.

    Parameters
    ----------
    figure : Figure
    events : EVENT[operations]
        At least one.
    cycles : int
        Of the run.
    layers : sequence of str
        Names in the program's order.
    """
    styles = [*layer_styles(len(layers)), OUTSIDE_STYLE]
    whole, part = figure.subplots(2, 1, height_ratios=[1, 1.15])
    first, last = zoom_window(events, cycles)
    _draw_shares(whole, events, cycles, styles)
    whole.axvspan(first, last, facecolor="none", edgecolor="black", linewidth=0.8, linestyle="--")
    width = _bin_cycles(cycles)
    span = f"each {width:,} cycles" if width > 1 else "each cycle"
    _title(whole, f"whole run: share of {span} in which the unit issues (solid) or waits between beats (light)")
    draw_operations(part, events, first, last, styles)
    _title(
        part,
        f"cycles {first:,} to {last:,} (marked above): full bar = issuing, half = with waits between beats, "
        "line = to its last result",
    )
    whole.set_xlabel("cycle")
    part.set_xlabel("cycle")
    draw_layer_legend(figure, events, layers)


def draw_layer_legend(figure: Figure, events: Events, layers: Sequence[str]) -> None:
    """The style, letter and name of each layer that has operations, below the panels.

    Parameters
    ----------
    figure : Figure
        Is made higher by the legend.
    events : EVENT[operations]
        At least one.
    layers : sequence of str
        Names in the program's order; of very many some are left out evenly.
    """
    styles = [*layer_styles(len(layers)), OUTSIDE_STYLE]
    used = [int(layer) for layer in np.unique(events["layer"])]
    shown = [layer for layer in used if layer >= 0]
    skip = -(-len(shown) // _NAMES_SHOWN)
    named = [(layer, f"{letter_of(layer)}  {layers[layer]}") for layer in shown[:: max(1, skip)]]
    if -1 in used:
        named.append((-1, "of no layer"))
    handles = []
    for layer, name in named:
        colour, hatch = styles[layer]
        handles.append(Patch(facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0, label=name))
    columns = legend_columns([name for _, name in named], _LEGEND_COLUMNS)
    lines = -(-len(named) // columns) + (skip > 1)
    figure.set_figheight(figure.get_figheight() + _LEGEND_LINE_INCHES * lines)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=2.4,
        title=f"one of {skip} layers is named" if skip > 1 else None,
        title_fontsize=SMALL,
    )


def letter_of(layer: int) -> str:
    """What a layer is marked with, as a spreadsheet's columns are: A to Z, AA, AB and so on."""
    letters = ""
    left = layer + 1
    while left:
        left, place = divmod(left - 1, 26)
        letters = chr(ord("A") + place) + letters
    return letters


def zoom_window(events: Events, cycles: int) -> tuple[int, int]:
    """First and last cycle of the densest stretch of some tens of compute operations in the middle half of the run.

    Parameters
    ----------
    events : EVENT[operations]
        At least one.
    cycles : int
        Of the run.
    """
    compute = events[np.isin(events["unit"], (Unit.MATRIX, Unit.VECTOR))]
    starts = np.sort((compute if len(compute) else events)["started"])
    first, span = _densest(starts, _ZOOM_OPERATIONS[0])
    for count in _ZOOM_OPERATIONS[1:]:
        if span > _ZOOM_MOST_CYCLES:
            first, span = _densest(starts, count)
    last = first + max(span, _ZOOM_LEAST_CYCLES)
    return (first, last) if last <= cycles else (max(0, cycles - (last - first)), cycles)


def _densest(starts: NDArray[np.int64], count: int) -> tuple[int, int]:
    """First cycle and length of the shortest stretch with `count` starts, of those in the middle half."""
    count = min(count, len(starts))
    low = min(len(starts) // 4, len(starts) - count)
    high = max(low + 1, 3 * len(starts) // 4 - count + 1)
    spans = starts[low + count - 1 : high + count - 1] - starts[low:high]
    return int(starts[low + int(spans.argmin())]), int(spans.min()) + 1


def time_shares(
    events: Events, unit: int, layers: int, cycles: int, bin_cycles: int, *, busy: bool
) -> NDArray[np.float64]:
    """How much of each bin of time a unit has an operation between its first and last beat, by layer.

    Parameters
    ----------
    events : EVENT[operations]
    unit : int
    layers : int
    cycles : int
        Of the run.
    bin_cycles : int
    busy : bool
        Count only the cycles it issues beats in, taken as spread evenly over the operation's.

    Returns
    -------
    float64[layers + 1, bins]
        0 to 1; the last row is of no layer.
    """
    mine, begins = _in_turn(events[events["unit"] == unit])
    bins = -(-cycles // bin_cycles)
    starts, ends = begins / bin_cycles, (mine["issued"] + 1) / bin_cycles
    density = mine["busy"] / (mine["issued"] + 1 - begins) if busy else np.ones(len(mine))
    first, last = begins // bin_cycles, mine["issued"] // bin_cycles
    # Whole bins by differences of a running sum; then off with what lies before the start and after the end.
    steps = np.zeros((layers + 1, bins + 1))
    np.add.at(steps, (mine["layer"], first), density)
    np.add.at(steps, (mine["layer"], last + 1), -density)
    shares = np.cumsum(steps, axis=1)[:, :bins]
    np.add.at(shares, (mine["layer"], first), -density * (starts - first))
    np.add.at(shares, (mine["layer"], last), -density * (last + 1 - ends))
    # The running sum leaves rounding errors where nothing is left.
    shares[shares < 1e-9] = 0
    return np.minimum(shares, 1)


def _in_turn(events: Events) -> tuple[Events, NDArray[np.int64]]:
    """One unit's operations in order, and where each begins when the one before has ended.

    The load DMA asks for an operation's data while the data before are landing; all other units have no overlap.
    """
    events = events[np.argsort(events["issued"], kind="stable")]
    begins = events["started"].copy()
    begins[1:] = np.maximum(begins[1:], events["issued"][:-1] + 1)
    return events, begins


def _bin_cycles(cycles: int) -> int:
    return -(-cycles // BINS)


def _draw_shares(axes: Axes, events: Events, cycles: int, styles: Sequence[tuple[str, str]]) -> None:
    width = _bin_cycles(cycles)
    for lane, unit in enumerate(LANES):
        for busy in (False, True):
            shares = time_shares(events, unit, len(styles) - 1, cycles, width, busy=busy)
            edges = np.arange(shares.shape[1] + 1) * width
            # The axis points down: a bar stands on the lane's lower edge.
            base = np.full(shares.shape[1], lane + (1 + _LANE_HEIGHT) / 2)
            for layer, (colour, hatch) in enumerate(styles):
                if shares[layer].any():
                    top = base - _LANE_HEIGHT * shares[layer]
                    axes.stairs(
                        top,
                        edges,
                        baseline=base,
                        fill=True,
                        facecolor=to_rgba(colour, 1 if busy else _LIGHT),
                        edgecolor="white" if busy else to_rgba(colour, 0.8),
                        hatch=hatch,
                        linewidth=0,
                    )
                    base = top
            if not busy:
                for first, last, layer in layer_stretches(shares[:-1]):
                    _letter(axes, lane, edges[first], edges[last], 0, cycles, layer)
    _lanes(axes, 0, cycles)


def layer_stretches(shares: NDArray[np.float64]) -> list[tuple[int, int, int]]:
    """Where one layer alone is at work, with pauses: first bin, the one after the last, the layer.

    Parameters
    ----------
    shares : float64[layers, bins]
    """
    bins = np.flatnonzero(shares.any(axis=0))
    if not len(bins):
        return []
    alone = np.where((shares[:, bins] > 0).sum(axis=0) == 1, shares[:, bins].argmax(axis=0), -1)
    starts = np.flatnonzero(np.diff(alone, prepend=-2))
    ends = np.append(starts[1:], len(bins)) - 1
    return [
        (int(bins[start]), int(bins[end]) + 1, int(alone[start]))
        for start, end in zip(starts, ends, strict=True)
        if alone[start] >= 0
    ]


def _letter(axes: Axes, lane: int, left: float, right: float, first: int, last: int, layer: int) -> None:
    """A layer's letter in the middle of a bar that has room for it."""
    text = letter_of(layer)
    left, right = max(left, first), min(right, last)
    if right - left >= (_LETTER_SHARE * len(text) + _BESIDE_SHARE) * (last - first):
        place = (left + right) / 2, lane + 0.5
        axes.text(*place, text, ha="center", va="center", fontsize=TINY, bbox=_LETTER_BOX)


def draw_operations(axes: Axes, events: Events, first: int, last: int, styles: Sequence[tuple[str, str]]) -> None:
    """A lane a unit: each operation's beats as a bar, a line to its last result.

    Parameters
    ----------
    axes : Axes
    events : EVENT[operations]
        Those in the window, at least.
    first, last : int
        The window's cycles.
    styles : sequence of (str, str)
        Colour and hatching of each layer, and last of what is of no layer.
    """
    palette = np.array([colour for colour, _ in styles])
    hatches = np.array([hatch for _, hatch in styles])
    for lane, unit in enumerate(LANES):
        mine, starts = _in_turn(events[events["unit"] == unit])
        seen = (mine["done"] >= first) & (mine["started"] < last)
        mine, starts = mine[seen], starts[seen]
        ends, done = mine["issued"] + 1, mine["done"] + 1
        solid = mine["busy"] >= ends - starts
        height = np.where(solid, _LANE_HEIGHT, _LANE_HEIGHT / 2)
        middle = lane + 0.5
        boxes = _boxes(starts, ends, middle - height / 2, middle + height / 2)
        wide = ends - starts > _EDGED_SHARE * (last - first)
        colours, hatched = palette[mine["layer"]], hatches[mine["layer"]]
        # A collection has one hatching, which its edges give their colour; narrow bars show neither.
        for hatch in np.unique(hatched[wide]):
            some = wide & (hatched == hatch)
            bars = PolyCollection(list(boxes[some]), facecolors=colours[some], edgecolors="white", linewidths=0.4)
            bars.set_hatch(str(hatch))
            axes.add_collection(bars)
        axes.add_collection(
            PolyCollection(list(boxes[~wide]), facecolors=colours[~wide], edgecolors=colours[~wide], linewidths=0.4)
        )
        axes.hlines(np.full(len(mine), lane + _RESULT_LINE), starts, done, colors=colours, linewidth=1.2)
        for at in np.flatnonzero(wide & (mine["layer"] >= 0)):
            _letter(axes, lane, starts[at], ends[at], first, last, int(mine["layer"][at]))
    _lanes(axes, first, last)


def _boxes(
    left: NDArray[np.int64], right: NDArray[np.int64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """float64[boxes, 4 corners, 2]."""
    corners = [(left, low), (right, low), (right, high), (left, high)]
    return np.stack([np.stack([x.astype(np.float64), y], axis=1) for x, y in corners], axis=1)


def _lanes(axes: Axes, first: int, last: int) -> None:
    axes.set_xlim(first, last)
    axes.set_ylim(len(LANES), 0)
    axes.set_yticks(np.arange(len(LANES)) + 0.5, [unit.name.lower() for unit in LANES])
    axes.tick_params(axis="y", length=0)
    axes.hlines(np.arange(1, len(LANES)), first, last, colors="#CCCCCC", linewidth=0.6)
    count_axis(axes)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=SMALL, loc="left")
