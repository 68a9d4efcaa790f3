"""``accelsim diff``: two profiles, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from accelsim.cli.console import note, print_json, say, show, table
from accelsim.cli.engine_choice import simulating
from accelsim.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from accelsim.profile.diff import Difference, LayerDifference, ProfileDifference
    from accelsim.profile.saved import Saved, SavedProfile

_SUFFIXES = (".cfg", ".csv", ".json")
_NAME_WIDTH = 40


@click.command("diff", short_help="Compare two profiles, layer by layer.")
@click.argument("a", type=click.Path(path_type=Path), metavar="A")
@click.argument("b", type=click.Path(path_type=Path), metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def diff_command(a: Path, b: Path, as_json: bool) -> None:
    """Compare two profiles, layer by layer.

    A and B are each a compiled program (X_r.cfg), whose cycles are counted; a profile.csv; or what `run --json` or
    `profile --json` printed (.json). Layers are matched by name, those that differ most come first, and
    those of one profile alone are named. Differences are B minus A; all figures are of one frame, or of one batch,
    without the set-up before the first. Where the clocks differ, there is a table of times, too.
    """
    for path in (a, b):
        if path.suffix.lower() not in _SUFFIXES:
            raise InputError(path, "", f"suffix {path.suffix!r}", f"{', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}")

    from accelsim.profile.diff import compare

    with simulating("counting cycles", silent=as_json):
        difference = compare(_read(a), _read(b))
    for text in _notes(difference):
        note(text)
    if as_json:
        print_json(difference.to_dict())
        return
    _print(difference)


def _read(path: Path) -> SavedProfile:
    from accelsim.profile.saved import from_csv, from_json, from_profile

    if path.suffix.lower() == ".cfg":
        from accelsim.isa.files import read_program
        from accelsim.machine.run import time_frame
        from accelsim.profile import build_profile

        program = read_program(path)
        return from_profile(build_profile(program, time_frame(program), 1), str(path))
    from accelsim.isa.atomic import read_bytes

    content = read_bytes(path, "a profile")
    return from_csv(content, path) if path.suffix.lower() == ".csv" else from_json(content, path)


def _notes(difference: ProfileDifference) -> list[str]:
    """What makes the figures less comparable than they look."""
    a, b = difference.a.about, difference.b.about
    notes = []
    if a.get("batch", 1) != b.get("batch", 1):
        notes.append(
            f"A is of a batch of {a.get('batch', 1)}, B of one of {b.get('batch', 1)}; no figure is divided by that"
        )
    setups = [about.get("setup_cycles") for about in (a, b)]
    if all(isinstance(cycles, int) for cycles in setups) and setups[0] != setups[1]:
        notes.append(
            "set-up, what a program does once before its first frame, is in no figure: "
            f"A has {setups[0]:,} cycles of it, B {setups[1]:,}"
        )
    if difference.clocks_differ:
        notes.append("A and B have different clocks: compare times, not cycles")
    if not difference.layers or all(layer.name.startswith("(") for layer in difference.layers):
        notes.append("no layer of A has the name of one of B; only the totals compare")
    figures = difference.to_dict()
    for one, other in (("a", "b"), ("b", "a")):
        if missing := figures[f"figures_only_{one}"]:
            notes.append(f"only {one.upper()} has {', '.join(missing)}; nothing to compare in {other.upper()}")
    return notes


def _print(difference: ProfileDifference) -> None:
    for letter, profile in (("A", difference.a), ("B", difference.b)):
        say(f"{letter}: {_about(profile)}")
    changed = [layer for layer in difference.layers if not layer.is_same]
    same = len(difference.layers) - len(changed)
    if changed or not difference.total.is_same:
        _print_tables([*changed, difference.total], with_times=difference.clocks_differ)
    if same:
        say(f"no difference in {same} of the {len(difference.layers)} layers of both")
    for letter, layers in (("A", difference.only_a), ("B", difference.only_b)):
        if layers:
            say(f"only in {letter}: " + ", ".join(map(_alone, layers)))


def _print_tables(rows: Sequence[LayerDifference], *, with_times: bool) -> None:
    from accelsim.profile.profile import CAUSES

    causes = [f"cause_{cause}_cycles" for cause in CAUSES]
    show(
        table(
            ("layer", "cycles A", "cycles B", "B - A", "%", *CAUSES),
            [[*_cells(row, "cycles"), *(_signed(row.figures[name]) for name in causes)] for row in rows],
            left=("layer",),
        ),
        *([_amounts(rows, "time µs", ("time_us",))] if with_times else []),
        _amounts(rows, "DRAM bytes", ("dram_read_bytes", "dram_written_bytes")),
        _amounts(rows, "energy nJ", ("energy_nj",)),
    )


def _about(profile: SavedProfile) -> str:
    from accelsim.profile.labels import printable

    about = profile.about
    if not about:
        return profile.source
    batch = f", {about['batch']} frames at once" if about.get("batch", 1) != 1 else ""
    words = f"{about.get('program')} on {about.get('chip')} at {about.get('clock_mhz')} MHz; {about.get('schedule')}"
    return f"{profile.source}: {printable(words)}{batch}"


def _amounts(rows: Sequence[LayerDifference], title: str, names: Sequence[str]) -> Table:
    """A table of the sums of some figures."""
    from accelsim.profile.diff import LayerDifference

    added = [LayerDifference(row.name, row.kinds, {title: _sum(row, names)}) for row in rows]
    headers = ("layer", f"{title} A", "B", "B - A", "%")
    return table(headers, [_cells(row, title) for row in added], left=("layer",))


def _sum(row: LayerDifference, names: Sequence[str]) -> Difference:
    from accelsim.profile.diff import Difference

    there = [row.figures[name] for name in names if name in row.figures]
    return Difference(sum(one.a for one in there), sum(one.b for one in there))


def _cells(row: LayerDifference, name: str) -> list[str]:
    """The row's name; A, B, their difference, and that in percent of A."""
    from accelsim.profile.labels import shortened

    one = row.figures[name]
    relative = f"{100 * one.relative:+,.1f}" if one.relative else "-"
    return [shortened(row.name, _NAME_WIDTH), _number(one.a), _number(one.b), _signed(one), relative]


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _signed(one: Difference) -> str:
    difference = one.absolute
    if not difference:
        return "-"
    return f"{difference:+,}" if isinstance(difference, int) else f"{difference:+,.2f}"


def _alone(layer: Saved) -> str:
    from accelsim.profile.labels import shortened

    return f"{shortened(layer.name, _NAME_WIDTH)} ({layer.figures['cycles']:,} cycles)"
