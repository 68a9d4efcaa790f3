"""The report as text and as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.benchmarks.measure import Spread
from tests.benchmarks.peers.catalogue import PEERS
from tests.benchmarks.peers.run import PeerRun
from tests.benchmarks.peers.shapes import KEYWORD, LARGE_STEP, Network
from tests.benchmarks.rows import UNITS, Figures, Row, Target

_SCALE = {"cycles_per_s": 1e-6, "events": 1e-6}
_COLUMNS = ("wall_s", "cpu_s", "peak_mb")
"""Figures with a column of their own."""


def number(value: float) -> str:
    """Three digits, or all of a whole number's."""
    if value == int(value) or value >= 1000:
        return f"{value:,.0f}"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 3
    return f"{value:.{digits}f}"


def figure_text(name: str, value: float) -> str:
    """A value with its unit."""
    return f"{number(value * _SCALE.get(name, 1))} {UNITS[name][1]}".strip()


def spread_text(name: str, spread: Spread) -> str:
    """The median, and the least where there were several."""
    least, median = number(spread.least * _SCALE.get(name, 1)), number(spread.median * _SCALE.get(name, 1))
    return median if least == median else f"{median} (least {least})"


def target_text(target: Target, figures: Figures) -> str:
    """The target, and whether it is met."""
    sign = ">=" if target.at_least else "<="
    verdict = "met" if target.met(figures) else "**not met**"
    return f"{UNITS[target.figure][0]} {sign} {figure_text(target.figure, target.limit)}: {verdict}"


def page(
    command: str,
    date: str,
    machine: Mapping[str, str],
    versions: Mapping[str, str],
    rows: Sequence[Row],
    figures: Mapping[str, Figures],
    peers: Sequence[PeerRun],
) -> str:
    """The report.

    Parameters
    ----------
    command, date : str
    machine, versions : mapping of str to str
    rows : sequence of Row
    figures : mapping of str to Figures
        By a row's name; rows without any are left out.
    peers : sequence of PeerRun
    """
    lines = [
        "# Performance",
        "",
        f"Written on {date} by",
        "",
        f"    {command}",
        "",
        "The figures are of one run on one machine; compare them with each other, and with another run's on the same.",
        "",
        *(f"* {name}: {value}" for name, value in machine.items()),
        f"* versions: {', '.join(f'{name} {value}' for name, value in versions.items())}",
        "",
        "## The simulator",
        "",
        "Wall time, CPU time and peak memory (resident set, 10^6 bytes) are those of whole processes; where the work",
        'is "in process", the wall time is that of the work alone and the memory that of its process. Each is the',
        "median, then the least, of several runs; a target is held against the median.",
        "",
        "| work | wall s | CPU s | peak MB | other figures | targets |",
        "|---|---|---|---|---|---|",
        *(_row_line(row, figures[row.name]) for row in rows if row.name in figures),
    ]
    if peers:
        lines += ["", *_peer_lines(peers)]
    return "\n".join([*lines, ""])


def _row_line(row: Row, figures: Figures) -> str:
    columns = [spread_text(name, figures[name]) if name in figures else "" for name in _COLUMNS]
    rest = {name: spread.median for name, spread in figures.items() if name not in _COLUMNS}
    others = [f"{UNITS[name][0]} {figure_text(name, value)}" for name, value in rest.items()]
    targets = [target_text(target, figures) for target in row.targets]
    return _table_line(row.work, *columns, "; ".join(others), "; ".join(targets))


def _peer_lines(peers: Sequence[PeerRun]) -> list[str]:
    lines = [
        "## Others on the same layer shapes",
        "",
        "Each peer runs in an environment of its own, once, as a whole process, on the layer shapes of the keyword",
        f"model ({_described(KEYWORD)}) and of {LARGE_STEP.title}. They answer other questions",
        "than this simulator, of other machines: their cycles are neither each other's nor ours.",
        "",
        "| peer | network | given | wall s | CPU s | peak MB | cycles it says |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in peers:
        if run.measured is None or run.cycles is None:
            figures = ("", "", "", f"none: {' '.join(run.failure.split())}")
        else:
            one = run.measured
            figures = (number(one.wall_s), number(one.cpu_s), number(one.peak_mb), f"{run.cycles:,}")
        lines.append(_table_line(f"{run.peer} {run.version}", run.network.title, run.given, *figures))
    lines += ["", "| peer | models | does not model |", "|---|---|---|"]
    return lines + [_table_line(peer.name, peer.models, peer.lacks) for peer in PEERS]


def _described(network: Network) -> str:
    return f"{network.layers} LSTM layers of {network.units} units, {network.steps} time steps"


def _table_line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def data(
    command: str,
    date: str,
    machine: Mapping[str, str],
    versions: Mapping[str, str],
    rows: Sequence[Row],
    figures: Mapping[str, Figures],
    peers: Sequence[PeerRun],
) -> dict[str, Any]:
    """The same as plain data, units in the names of the figures.

    Parameters
    ----------
    command, date : str
    machine, versions : mapping of str to str
    rows : sequence of Row
    figures : mapping of str to Figures
    peers : sequence of PeerRun
    """
    return {
        "command": command,
        "date": date,
        "machine": dict(machine),
        "versions": dict(versions),
        "rows": [
            {
                "name": row.name,
                "work": row.work,
                "figures": {name: asdict(spread) for name, spread in figures[row.name].items()},
                "targets": [asdict(target) | {"met": target.met(figures[row.name])} for target in row.targets],
            }
            for row in rows
            if row.name in figures
        ],
        "peers": [
            {
                "peer": run.peer,
                "version": run.version,
                "network": run.network.name,
                "wall_s": run.measured.wall_s if run.measured else None,
                "cpu_s": run.measured.cpu_s if run.measured else None,
                "peak_mb": run.measured.peak_mb if run.measured else None,
                "cycles": run.cycles,
                "failure": run.failure,
            }
            for run in peers
        ],
    }
