"""Labels beside points, none over another or across its line: each is tried at many places around its point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation
from numpy.typing import NDArray

from accelsim.profile.figures.geometry import Floats, boxes_around, cross, meet, middles, overlap, padded
from accelsim.profile.figures.style import SMALL

_DISTANCES = (6, 12, 20, 32, 46, 64, 84, 108)
"""Points (1/72 inch) from the marker to its label; from the second on with a line between them."""
_DIRECTIONS = (
    *((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)),
    *((1, 0.5), (-1, 0.5), (1, -0.5), (-1, -0.5), (0.5, 1), (-0.5, 1), (0.5, -1), (-0.5, -1)),
)
_MARKER_POINTS, _BODY_POINTS = 4.5, 3
"""Half of what a text keeps clear of around a marker, and of what a line from a label does not go through."""
_APART_PIXELS = 2
_ALONE_POINTS = 5
"""Between a label without a line and the body of another marker."""
_SAME_PLACE_POINTS = 2
"""Markers nearer than this can't be told apart."""
_LINE_SPACING = 1.05
_LINE_LETTERS, _MOST_LINES = 26, 4
"""Of a label with several names."""
_GROUND = {"boxstyle": "round,pad=0.08", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}


class _Level(Enum):
    """What a label may do where there is no place for it otherwise, level by level."""

    CLEAR = auto()
    OVER_LINES = auto()
    """It covers polylines."""
    LEADER_ACROSS = auto()
    """Its line goes through marks and lines of other labels, too."""


@dataclass(frozen=True)
class Label:
    """A text and the point it names.

    Parameters
    ----------
    x, y : float
        In the axes' data.
    text : str
    order : int
        Where it stands in a label of several.
    """

    x: float
    y: float
    text: str
    order: int = 0


@dataclass(frozen=True)
class _Place:
    """Where a label is, seen from its point: so many points (1/72 inch) right and up, times the distance."""

    distance: float
    right: float
    up: float
    level: _Level = _Level.CLEAR

    @property
    def has_leader(self) -> bool:
        return self.distance > _DISTANCES[0]

    def box(self, point: Floats, size: Floats, pixels_per_point: float) -> Floats:
        # Text stands off its point by an edge where it is wholly beside, above or below it, else by its middle.
        away = np.array([self.right, self.up])
        lower = point + self.distance * pixels_per_point * away - size * (1 - np.trunc(away)) / 2
        return np.concatenate([lower, lower + size])


class _Choices:
    """The places that one label may have, whatever other labels do."""

    def __init__(self, room: _Room, point: Floats, size: Floats) -> None:
        scale = room.pixels_per_point
        self.places = [_Place(far, *way) for far in _DISTANCES for way in _DIRECTIONS]
        boxes = np.array([place.box(point, size, scale) for place in self.places]).reshape(-1, 4)
        self.boxes = padded(boxes, _APART_PIXELS)
        self.leaders = np.stack([middles(self.boxes), np.broadcast_to(point, (len(boxes), 2))], axis=1)
        self.has_leader = np.array([place.has_leader for place in self.places], dtype=np.bool_)
        others = room.marks[np.hypot(*(room.marks - point).T) > _SAME_PLACE_POINTS * scale]
        bodies = boxes_around(others, _BODY_POINTS * scale)
        # Without a line a label is read as that of the nearest mark.
        alone = ~overlap(padded(self.boxes, _ALONE_POINTS * scale), bodies).any(axis=1)
        inside = (self.boxes[:, :2] >= room.inside[:2]) & (self.boxes[:, 2:] <= room.inside[2:])
        free = inside.all(axis=1) & (self.has_leader | alone)
        self.free = free & ~overlap(self.boxes, boxes_around(room.marks, _MARKER_POINTS * scale)).any(axis=1)
        self.over_lines = cross(self.boxes, room.lines).any(axis=1)
        self.across = self.has_leader & cross(bodies, self.leaders).any(axis=0)

    def best(self, texts: Floats, leaders: Floats) -> tuple[int, _Level] | None:
        """The first free place of the least level, beside labels that are there."""
        free = self.free & ~overlap(self.boxes, texts).any(axis=1) & ~cross(self.boxes, leaders).any(axis=1)
        free &= ~(self.has_leader & cross(texts, self.leaders).any(axis=0))
        across = self.across | (self.has_leader & meet(self.leaders, leaders).any(axis=1))
        allowed = {
            _Level.CLEAR: free & ~across & ~self.over_lines,
            _Level.OVER_LINES: free & ~across,
            _Level.LEADER_ACROSS: free,
        }
        return next(((int(np.argmax(any_of)), level) for level, any_of in allowed.items() if any_of.any()), None)


@dataclass(frozen=True, eq=False)
class _Room:
    """What labels keep clear of, in pixels."""

    pixels_per_point: float
    inside: Floats
    marks: Floats
    lines: Floats


def _placed(choices: Sequence[_Choices], order: NDArray[np.int64]) -> dict[int, _Place]:
    """One label after the other, each at the best place that those before have left; some may find none."""
    texts, leaders = np.zeros((0, 4)), np.zeros((0, 2, 2))
    found = {}
    for at in order:
        mine = choices[at]
        best = mine.best(texts, leaders)
        if best is not None:
            which, level = best
            found[int(at)] = replace(mine.places[which], level=level)
            texts = np.concatenate([texts, mine.boxes[which : which + 1]])
            if mine.has_leader[which]:
                leaders = np.concatenate([leaders, mine.leaders[which : which + 1]])
    return found


def place_labels(
    axes: Axes,
    labels: Sequence[Label],
    *,
    points: NDArray[np.float64] | None = None,
    lines: Sequence[NDArray[np.float64]] = (),
    size: float = SMALL,
    boxed: bool = False,
) -> list[Annotation]:
    """Write labels where they cover no other label and no point, and lie inside the axes; no line either if possible.

    The figure's layout is fixed by this: its limits, titles and legends have to be there already.

    Parameters
    ----------
    axes : Axes
    labels : sequence of Label
        Those that matter most first; one without a free place is left out.
    points : float64[points, 2], optional
        Markers to keep clear of, in the axes' data; the labels' own where left out.
    lines : sequence of float64[corners, 2]
        Polylines to keep clear of, in the axes' data.
    size : float
        Of the letters, in points.
    boxed : bool
        With a light ground, where there are other points that a label may cover.

    Returns
    -------
    list of Annotation
        The labels written.
    """
    canvas, renderer = _fixed(axes)
    own = np.array([(label.x, label.y) for label in labels], dtype=np.float64).reshape(-1, 2)
    corners = [axes.transData.transform(line) for line in lines]
    room = _Room(
        pixels_per_point=canvas.figure.dpi / 72,
        inside=np.array(axes.bbox.extents),
        marks=axes.transData.transform(own if points is None else points),
        lines=np.concatenate([np.zeros((0, 2, 2)), *(np.stack([one[:-1], one[1:]], axis=1) for one in corners)]),
    )
    places = axes.transData.transform(own)
    sizes = [_size(axes, label.text, size, renderer) for label in labels]
    choices = [_Choices(room, point, one) for point, one in zip(places, sizes, strict=True)]
    # What is placed first is in the way of what follows; so several orders are tried, that of importance first.
    orders = [np.arange(len(labels)), *(np.argsort(turn, kind="stable") for one in places.T for turn in (one, -one))]
    found = [_placed(choices, order) for order in orders]
    best = min(found, key=lambda placed: (-len(placed), sum(place.level.value for place in placed.values())))
    return [_annotate(axes, labels[at], best[at], size, boxed=boxed) for at in sorted(best)]


def joined_labels(axes: Axes, labels: Sequence[Label]) -> list[Label]:
    """One label where several would point to marks that can't be told apart, with a line for some of the names each.

    The figure's layout is fixed by this.

    Parameters
    ----------
    axes : Axes
    labels : sequence of Label
        Those that matter most first.
    """
    canvas, _ = _fixed(axes)
    near = _SAME_PLACE_POINTS * canvas.figure.dpi / 72
    groups: list[tuple[NDArray[np.float64], list[Label]]] = []
    for label in labels:
        place = axes.transData.transform((label.x, label.y))
        group = next((group for at, group in groups if np.hypot(*(at - place)) <= near), None)
        if group is None:
            groups.append((place, [label]))
        else:
            group.append(label)
    joined = []
    for _, group in groups:
        names = [label.text for label in sorted(group, key=lambda label: label.order)]
        joined.append(Label(group[0].x, group[0].y, _joined(names)))
    return joined


def _joined(names: Sequence[str]) -> str:
    lines = [names[0]]
    for at, name in enumerate(names[1:], 1):
        if len(lines[-1]) + len(name) + 2 <= _LINE_LETTERS:
            lines[-1] += f", {name}"
        elif len(lines) < _MOST_LINES:
            lines[-1] += ","
            lines.append(name)
        else:
            return "\n".join(lines) + f" and {len(names) - at} more"
    return "\n".join(lines)


def _fixed(axes: Axes) -> tuple[FigureCanvasAgg, Any]:
    """The canvas and its renderer, of a figure in which nothing will move any more."""
    figure = axes.figure.get_figure(root=True)
    if figure is None or not isinstance(figure.canvas, FigureCanvasAgg):
        raise TypeError("labels are placed on a figure with an Agg canvas")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    canvas: Any = figure.canvas
    return canvas, canvas.get_renderer()


def _size(axes: Axes, text: str, size: float, renderer: Any) -> Floats:
    """Width and height of a label, in pixels."""
    written = axes.text(0, 0, text, fontsize=size, linespacing=_LINE_SPACING)
    box = written.get_window_extent(renderer)
    written.remove()
    return np.array([box.width, box.height])


def _annotate(axes: Axes, label: Label, place: _Place, size: float, *, boxed: bool) -> Annotation:
    return axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=(place.distance * place.right, place.distance * place.up),
        textcoords="offset points",
        ha="left" if place.right >= 1 else "right" if place.right <= -1 else "center",
        va="bottom" if place.up >= 1 else "top" if place.up <= -1 else "center",
        fontsize=size,
        linespacing=_LINE_SPACING,
        bbox=_GROUND if boxed or place.level is not _Level.CLEAR else None,
        arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "#666666", "shrinkA": 0, "shrinkB": 3}
        if place.has_leader
        else None,
    )
