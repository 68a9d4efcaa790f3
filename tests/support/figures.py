"""What a figure looks like, for tests: where its texts are."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

_TOUCHING_PIXELS = 1.0


def shown_texts(figure: Figure) -> Iterator[tuple[str, Bbox]]:
    """Every text that is drawn and its box in pixels, without the lines of annotations."""
    figure.draw_without_rendering()
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()
    hidden = set()
    for axis in figure.findobj(Axis):
        if not axis.axes.axison:
            hidden |= {id(text) for text in axis.findobj(Text)}
            continue
        low, high = sorted(axis.get_view_interval())
        for minor in (False, True):
            for place, label in zip(axis.get_ticklocs(minor=minor), axis.get_ticklabels(minor=minor), strict=False):
                if not low <= place <= high:
                    hidden.add(id(label))
    for text in figure.findobj(Text):
        shown = text.get_visible() and text.get_text().strip() and id(text) not in hidden
        if shown and (text.axes is None or text.axes.get_visible()):
            yield text.get_text(), Text.get_window_extent(text, renderer)


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts of which one covers a part of the other."""
    boxes = [(text, box.padded(-_TOUCHING_PIXELS)) for text, box in shown_texts(figure)]
    return [(one, other) for (one, a), (other, b) in itertools.combinations(boxes, 2) if a.overlaps(b)]


def cut_off(figure: Figure) -> list[str]:
    """Texts that reach beyond the figure's edge."""
    page = figure.bbox.padded(_TOUCHING_PIXELS)
    return [
        text
        for text, box in shown_texts(figure)
        if box.x0 < page.x0 or box.x1 > page.x1 or box.y0 < page.y0 or box.y1 > page.y1
    ]
