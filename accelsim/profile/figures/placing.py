"""Labels beside points, none over another: each is tried at several places around its point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from accelsim.profile.figures.style import SMALL

_DISTANCES = (5, 12, 20, 32, 46, 64)
"""Points (1/72 inch) from the marker to its label; from the second on with a line between them."""
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_MARKER_POINTS = 4.5
"""Half a marker's width."""
_APART_PIXELS = 2
_GROUND = {"boxstyle": "round,pad=0.08", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}


@dataclass(frozen=True)
class Label:
    """A text and the point it names.

    Parameters
    ----------
    x, y : float
        In the axes' data.
    text : str
    """

    x: float
    y: float
    text: str


def place_labels(
    axes: Axes,
    labels: Sequence[Label],
    *,
    points: NDArray[np.float64] | None = None,
    lines: Sequence[NDArray[np.float64]] = (),
    size: float = SMALL,
    boxed: bool = False,
) -> list[Annotation]:
    """Write labels where they cover no other label, no point and no line, and lie inside the axes.

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
    figure = axes.figure.get_figure(root=True)
    if figure is None or not isinstance(figure.canvas, FigureCanvasAgg):
        raise TypeError("labels are placed on a figure with an Agg canvas")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    canvas: Any = figure.canvas
    renderer = canvas.get_renderer()
    pixels_per_point = figure.dpi / 72
    own = np.array([(label.x, label.y) for label in labels], dtype=np.float64).reshape(-1, 2)
    taken = [_around(place, _MARKER_POINTS * pixels_per_point) for place in axes.transData.transform(_or(points, own))]
    segments = [axes.transData.transform(line) for line in lines]
    written = []
    for label in labels:
        for distance, (right, up) in ((far, way) for far in _DISTANCES for way in _DIRECTIONS):
            note = axes.annotate(
                label.text,
                (label.x, label.y),
                xytext=(distance * right, distance * up),
                textcoords="offset points",
                ha={1: "left", 0: "center", -1: "right"}[right],
                va={1: "bottom", 0: "center", -1: "top"}[up],
                fontsize=size,
                bbox=_GROUND if boxed else None,
                arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "#666666", "shrinkA": 0, "shrinkB": 3}
                if distance > _DISTANCES[0]
                else None,
            )
            note.update_positions(renderer)
            # The text alone: an annotation's own box reaches to its point.
            extent = Text.get_window_extent(note, renderer).padded(_APART_PIXELS)
            if _is_free(extent, taken, segments, axes.bbox):
                taken.append(extent)
                written.append(note)
                break
            note.remove()
    return written


def _or(points: NDArray[np.float64] | None, own: NDArray[np.float64]) -> NDArray[np.float64]:
    return own if points is None else points


def _around(place: NDArray[np.float64], half: float) -> Bbox:
    x, y = place
    return Bbox.from_extents(x - half, y - half, x + half, y + half)


def _is_free(box: Bbox, taken: Sequence[Bbox], lines: Sequence[NDArray[np.float64]], inside: Bbox) -> bool:
    if box.x0 < inside.x0 or box.x1 > inside.x1 or box.y0 < inside.y0 or box.y1 > inside.y1:
        return False
    if any(box.overlaps(other) for other in taken):
        return False
    return not any(_crosses(box, line[at], line[at + 1]) for line in lines for at in range(len(line) - 1))


def _crosses(box: Bbox, start: NDArray[np.float64], end: NDArray[np.float64]) -> bool:
    """Whether a segment touches a box (Liang and Barsky's clipping)."""
    first, last = 0.0, 1.0
    for low, high, origin, along in (
        (box.x0, box.x1, start[0], end[0] - start[0]),
        (box.y0, box.y1, start[1], end[1] - start[1]),
    ):
        if along == 0:
            if not low <= origin <= high:
                return False
            continue
        enters, leaves = sorted(((low - origin) / along, (high - origin) / along))
        first, last = max(first, enters), min(last, leaves)
    return bool(first <= last)
