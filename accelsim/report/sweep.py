"""The page of a sweep: its points in words, figures and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from accelsim.profile.labels import component_name, printable
from accelsim.profile.palette import BLUE, CAUSE_STYLE, ORANGE, PURPLE
from accelsim.report.columns import table_of
from accelsim.report.manifest import NO_SEED, Rows
from accelsim.report.page import plot_text, render_page
from accelsim.report.points import CAUSES, COMPONENT_COLUMNS, Points, key_columns, point_columns, points_of
from accelsim.report.quantities import in_count

if TYPE_CHECKING:
    import pandas as pd

MOST_LAYER_ROWS = 200_000
"""Layers of points a page holds: about 10 MB. Of more, only those of points on the front."""
_LIMITS = {
    "MACs": (BLUE, "circle"),
    "DRAM bytes, each once": (ORANGE, "square"),
    "dependency path": (PURPLE, "diamond"),
}
"""Colour and mark of what bounds a point."""
_REASONS_SHOWN = 5


class Results(Protocol):
    """What is read of a sweep.

    ``points`` has a row a point: ``number``, ``model``, ``batch``, ``schedule_asked``, a column a swept key, ``status``
    ("done" or "failed"), ``reason`` and, of those done, the results. ``layers`` has a row for each layer of each point,
    by the point's ``number``. ``meta`` says what was asked for.
    """

    @property
    def points(self) -> pd.DataFrame:
        """A row a point."""

    @property
    def layers(self) -> pd.DataFrame:
        """A row a layer of a point."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """What was asked for."""


def sweep_page(results: Results, name: str, manifest: Rows) -> str:
    """The page's text.

    Parameters
    ----------
    results : Results
    name : str
        What the page is called.
    manifest : list of (str, str)
        What the page was made of; what the sweep was made of comes after it.
    """
    meta = results.meta
    axes = {str(key): list(values) for key, values in meta["axes"].items()}
    points = points_of(results.points, axes, meta.get("objectives") or [])
    layers = _layers(results.layers, points)
    data = {
        "points": table_of(point_columns(points), points.rows),
        "failed": table_of(key_columns(points, with_reason=True), points.failed),
        "keys": [{"key": key, "values": _distinct(points, key, axes.get(key, []))} for key in points.keys],
        "metrics": [
            {"key": key, **asdict(points.metric(key)), "decimals": points.decimals[key]} for key in points.metrics
        ],
        "objectives": points.objectives,
        "whose": points.whose,
        "groups": [{"name": printable(model), "rows": rows} for model, rows in points.groups.items()],
        "front": points.front,
        "layers": layers,
        "causes": [{"name": cause, "colour": style[0], "hatch": style[1][:1]} for cause, style in CAUSE_STYLE.items()],
        "limits": [{"name": name, "colour": colour, "symbol": mark} for name, (colour, mark) in _LIMITS.items()],
        "components": [
            {"key": key, "name": component_name(key.removeprefix("energy_").removesuffix("_nj"))}
            for key in points.columns
            if key in COMPONENT_COLUMNS
        ],
    }
    return render_page(
        "sweep.html.jinja",
        ["sweep_figures.js", "point.js", "sweep.js"],
        data,
        title=f"Sweep {printable(name)}",
        name=printable(name),
        points=points,
        sentences=_sentences(points, meta),
        best=[(printable(model), _best(points, rows)) for model, rows in points.groups.items()],
        reasons=_reasons(points),
        axes=[(key, ", ".join(map(_text, values))) for key, values in axes.items()],
        constraints=[printable(str(text)) for text in meta.get("constraints") or []],
        whole_layers=layers["whole"],
        manifest=[*manifest, *_sweep_manifest(meta)],
    )


def _sentences(points: Points, meta: Mapping[str, Any]) -> list[str]:
    done, failed = len(points.rows), len(points.failed)
    models = ", ".join(printable(str(model["name"])) for model in meta["models"])
    keys = ", ".join(
        f"{key} ({in_count(len(_distinct(points, key, meta['axes'].get(key, []))), 'value')})" for key in points.keys
    )
    sentences = [
        f"{in_count(done + failed, 'point')} of {models} on chips made from {meta['chip']['name']}, over "
        f"{keys or 'no key'}: {done:,} done, {failed:,} failed."
    ]
    if not done:
        return sentences
    if points.has_batches:
        sentences.append(
            "Cycles, time, energy and traffic are of a batch, however many frames it has; what is said to be “a frame” "
            "is its share of that."
        )
    count = sum(points.front)
    titles = _listed([points.metric(key).title for key in points.objectives])
    where = " of its network" if len(points.groups) > 1 else ""
    sentences.append(
        f"{count:,} of them {'is' if count == 1 else 'are'} on the Pareto front of {titles}: no other point{where} is "
        "better in one of these and as good in the rest."
    )
    limits: dict[str, int] = {}
    for row in points.rows:
        limits[row["bound_limit"]] = limits.get(row["bound_limit"], 0) + 1
    ranked = sorted(limits.items(), key=lambda item: -item[1])
    sentences.append(
        "The lower bound is set by "
        + _listed([f"“{limit}” at {in_count(number, 'point')}" for limit, number in ranked])
        + "."
    )
    return sentences


def _best(points: Points, rows: Sequence[int]) -> list[dict[str, str]]:
    """For each objective the point that is best in it, as texts."""
    found = []
    for key in points.objectives:
        known = [row for row in rows if points.rows[row][key] is not None]
        if not known:
            continue
        row = points.rows[min(known, key=lambda at: points.rows[at][key])]
        metric = points.metric(key)
        found.append(
            {
                "objective": f"least {metric.title}",
                "value": f"{row[key]:,.{points.decimals[key]}f} {metric.unit}",
                "number": str(row["number"]),
                "settings": ", ".join(f"{name} = {_text(row[name])}" for name in points.keys),
                "limit": str(row["bound_limit"]),
            }
        )
    return found


def _reasons(points: Points) -> list[tuple[int, str]]:
    """How often points failed for each reason; numbers in it apart, the first text stands for all."""
    counts: dict[str, tuple[int, str]] = {}
    for row in points.failed:
        shape = "".join("#" if letter.isdigit() else letter for letter in row["reason"])
        count, text = counts.get(shape, (0, row["reason"]))
        counts[shape] = count + 1, text
    return sorted(counts.values(), key=lambda item: -item[0])[:_REASONS_SHOWN]


def _layers(layers: pd.DataFrame, points: Points) -> dict[str, Any]:
    """Layers of the points in their order, as columns; ``starts[row]`` is where a point's begin."""
    numbers = {row["number"]: at for at, row in enumerate(points.rows)}
    frame = layers[layers["number"].isin(list(numbers))]
    whole = len(frame) <= MOST_LAYER_ROWS
    if not whole:
        shown = [row["number"] for row, front in zip(points.rows, points.front, strict=True) if front]
        frame = frame[frame["number"].isin(shown)]
    places = frame["number"].map(numbers)
    frame = frame.assign(place=places).sort_values(["place", "layer"], kind="stable")
    counts = frame["place"].value_counts()
    starts = [0]
    for row in range(len(points.rows)):
        starts.append(starts[-1] + int(counts.get(row, 0)))
    names = list(dict.fromkeys(frame["name"].astype(str)))
    index = {name: at for at, name in enumerate(names)}
    return {
        "whole": whole,
        "starts": starts,
        "names": [plot_text(printable(name)) for name in names],
        "name": [index[name] for name in frame["name"].astype(str)],
        "causes": {cause: frame[f"{cause}_cycles"].tolist() for cause in CAUSES},
        "macs": frame["macs"].tolist(),
        "dram_bytes": frame["dram_bytes"].tolist(),
        "energy_nj": frame["energy_nj"].tolist(),
    }


def _distinct(points: Points, key: str, asked: Sequence[Any]) -> list[Any]:
    """A key's values, of points done or failed: in ascending order, texts in the order asked for."""
    found = list(dict.fromkeys([*asked, *(row[key] for row in (*points.rows, *points.failed))]))
    present = [value for value in found if value is not None]
    if all(isinstance(value, int | float) for value in present):
        return sorted(present)
    return present


def _sweep_manifest(meta: Mapping[str, Any]) -> Rows:
    rows = [
        ("sweep: command", str(meta["command"])),
        ("sweep: accelsim", str(meta["accelsim"])),
        ("sweep: chip", f"{meta['chip']['name']}, SHA-256 {meta['chip']['sha256']}"),
        *(("sweep: model", f"{model['name']}, {model['path']}, SHA-256 {model['sha256']}") for model in meta["models"]),
    ]
    if meta.get("energy"):
        rows.append(("sweep: energy table", f"{meta['energy']['name']}, SHA-256 {meta['energy']['sha256']}"))
    if meta.get("objectives"):
        rows.append(("sweep: objectives", ", ".join(map(str, meta["objectives"]))))
    seed = meta.get("seed")
    rows.append(("sweep: seed", NO_SEED if seed is None else str(seed)))
    return [(name, printable(value)) for name, value in rows]


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return (
        f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else printable(str(value))
    )
