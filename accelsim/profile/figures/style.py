"""How every figure looks: its size in print, fonts, axes, and what is written to a file.

A figure is as wide as the text of a page (165 mm); at that size no letter is smaller than 6 points. What colours tell
apart, hatches, markers or names tell apart too.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from accelsim.profile.labels import shortened, shortened_apart

Format = Literal["png", "svg"]
FORMATS: tuple[Format, ...] = ("png", "svg")

WIDTH_INCHES = 6.5
DOTS_PER_INCH = 200
SMALL, TINY = 7, 6
"""Points: text inside a plot, and numbers inside its bars."""
NAME_WIDTH = 24
"""Letters of a layer's or buffer's name."""
MOST_TICKS = 6
"""Of an axis of cycles: numbers of eleven digits still stand apart on the narrowest figure."""
_LETTER_INCHES, _HANDLE_INCHES = 0.061, 0.5
"""Of a letter in a legend, and what stands beside a label with the space around both."""
GRID_COLOUR = "#DDDDDD"

_FONT = "DejaVu Sans"
"""Comes with matplotlib: figures are the same whatever other fonts there are."""
_STYLE: Any = {
    "font.family": [_FONT],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.6,
    # Letters as outlines look the same wherever the file is opened; equal figures are equal files.
    "svg.fonttype": "path",
    "svg.hashsalt": "accelsim",
}

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def in_print_style(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """`function`, drawing with the fonts and line widths of print."""

    @functools.wraps(function)
    def styled(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        with matplotlib.rc_context(_STYLE):
            return function(*arguments, **named)

    return styled


def new_figure(height_inches: float, width_inches: float = WIDTH_INCHES) -> Figure:
    """A figure of its own canvas: no display, and no global state of pyplot's."""
    figure = Figure(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@in_print_style
def picture_files(figures: Mapping[str, Figure], formats: Iterable[Format]) -> dict[str, bytes]:
    """Figures as files.

    Parameters
    ----------
    figures : mapping of str to Figure
        By the file's name without its ending.
    formats : iterable of str
        ``png``, ``svg``.

    Returns
    -------
    dict of str to bytes
        By the file's name. Equal figures are equal files, whatever the day and the version of the library.
    """
    # None leaves a key out: the library's version in a PNG, the date in an SVG.
    metadata: dict[Format, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    files = {}
    for name, figure in figures.items():
        for form in formats:
            stream = io.BytesIO()
            figure.savefig(stream, format=form, metadata=metadata[form])
            files[f"{name}.{form}"] = stream.getvalue()
    return files


def plain_axes(axes: Axes, grid: Literal["x", "y", "both"]) -> None:
    """Whole numbers with separators, few enough to stand apart; a light grid, no frame at the top and the right."""
    count_axis(axes)
    light_grid(axes, grid)


def count_axis(axes: Axes) -> None:
    """Whole numbers with separators along the lower edge, few enough to stand apart."""
    axes.xaxis.set_major_locator(MaxNLocator(MOST_TICKS, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def light_grid(axes: Axes, grid: Literal["x", "y", "both"]) -> None:
    """A light grid behind all else, no frame at the top and the right."""
    axes.grid(axis=grid, color=GRID_COLOUR, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def text_of(name: str, width: int = NAME_WIDTH) -> str:
    """A name as it stands, shortened: a dollar sign would begin a formula, and a letter the font lacks be a box."""
    return _no_formula(shortened(_with_glyphs(name), width))


def texts_of(names: Sequence[str], width: int = NAME_WIDTH) -> list[str]:
    """As `text_of`, but shortened so that no two different names read the same."""
    return [_no_formula(text) for text in shortened_apart([_with_glyphs(name) for name in names], width)]


def text_by_name(names: Sequence[str], width: int = NAME_WIDTH) -> dict[str, str]:
    """`texts_of` names, by name: of all layers of a run, so that one reads the same in all its figures."""
    return dict(zip(names, texts_of(names, width), strict=True))


def _no_formula(text: str) -> str:
    return text.replace("$", r"\$")


def _with_glyphs(text: str) -> str:
    """`text` with the letters that the font lacks written as escapes."""
    return "".join(letter if ord(letter) in _glyphs() else ascii(letter)[1:-1] for letter in text)


@functools.cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(_FONT)).get_charmap())


def legend_columns(labels: Sequence[str], most: int) -> int:
    """Columns of a legend that are as wide as the page together, at most.

    Parameters
    ----------
    labels : sequence of str
        At least one.
    most : int
    """
    width = _HANDLE_INCHES + _LETTER_INCHES * max(map(len, labels))
    return max(1, min(most, len(labels), int(WIDTH_INCHES / width)))


def number(value: float) -> str:
    """A figure of three or more digits, with separators."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
