"""The comparison as a picture. matplotlib is imported here."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from accelsim.profile.palette import VERMILION, layer_colours
from accelsim.validation.compare import Compared, ComparedTable
from accelsim.validation.published import QUANTITIES

_MARKERS = "osD^vP*X"
_DOTS_PER_INCH = 150


def parity_plot(tables: Sequence[ComparedTable]) -> bytes:
    """Simulated against published figures, and each row's error in its band, as a PNG file.

    Parameters
    ----------
    tables : sequence of ComparedTable
    """
    rows = sum(len(table.rows) for table in tables)
    figure = Figure(figsize=(13, max(5.0, 1.6 + 0.3 * rows)), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1))
    _draw_parity(left, tables)
    _draw_errors(right, tables)
    figure.legend(loc="outside lower center", ncols=len(tables), frameon=False)
    stream = io.BytesIO()
    # Without the version of the library, equal pictures are equal files.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _draw_parity(axes: Axes, tables: Sequence[ComparedTable]) -> None:
    """Each figure in its own unit: all are positive, and on the diagonal where simulated equals published."""
    figures = [value for table in tables for row in table.rows for value in (row.simulated, row.row.published)]
    ends = [0.7 * min(figures), 1.4 * max(figures)]
    axes.plot(ends, ends, color="black", linewidth=0.8)
    for table, colour, marker in _styles(tables):
        axes.plot(
            [row.row.published for row in table.rows],
            [row.simulated for row in table.rows],
            marker,
            color=colour,
            markerfacecolor="none",
            label=table.chip.name,
        )
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
    axes.set_xlabel("published, in the row's unit")
    axes.set_ylabel("simulated")
    axes.set_title("Simulated against published")
    _plain(axes)


def _draw_errors(axes: Axes, tables: Sequence[ComparedTable]) -> None:
    """Error of each row, and its band as a bar."""
    names: list[str] = []
    for table, colour, marker in _styles(tables):
        for row in table.rows:
            low, high = row.row.band_percent
            axes.barh(len(names), high - low, left=low, height=0.7, color=colour, alpha=0.22)
            axes.plot(row.error_percent, len(names), marker, color=colour if row.inside else VERMILION)
            names.append(_name(row))
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("error in %; bars are the bands")
    axes.set_title("Errors")
    _plain(axes)


def _name(row: Compared) -> str:
    unit = QUANTITIES[row.row.quantity]
    return f"{row.row.title} ({unit})".replace("$", r"\$")


def _styles(tables: Sequence[ComparedTable]) -> list[tuple[ComparedTable, str, str]]:
    colours = layer_colours(len(tables))
    return [(table, colours[at], _MARKERS[at % len(_MARKERS)]) for at, table in enumerate(tables)]


def _plain(axes: Axes) -> None:
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
