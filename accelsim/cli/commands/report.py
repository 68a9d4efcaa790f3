"""``accelsim report``: a program's run, or a sweep's results, as one HTML page."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from accelsim.cli.console import say_written
from accelsim.cli.cost_choice import energy_option, with_energy
from accelsim.cli.engine_choice import simulating
from accelsim.cli.output_folder import check_no_input, check_output_folder, output_folder
from accelsim.errors import InputError

_SQLITE = b"SQLite format 3\0"
_DATABASE_SUFFIXES = (".sqlite", ".sqlite3", ".db")


@click.command("report", short_help="Write an HTML page of a program's run, or of a sweep.")
@click.argument("source", type=click.Path(path_type=Path), metavar="PROGRAM_r.cfg|SWEEP.sqlite")
@click.option(
    "-w",
    "--weight",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The program's weights.  [default: the .weight file that the .cfg names, beside it]",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="The page.  [default: the input's name with .html at its end, beside it]",
)
@energy_option
def report_command(source: Path, weight: Path | None, out: Path | None, energy: str | None) -> None:
    """Write one HTML page, which needs no network: tables that sort and filter, and plots to point at and zoom.

    Of a program, whose cycles are counted: its layers, instructions, time, bandwidth, energy and memory map. Of a
    sweep's database: the Pareto front, what its keys do, every point and its layers.
    """
    page = out or (source / "sweep.html" if source.is_dir() else source.with_name(f"{source.stem}.html"))
    _check_page(page, source, weight)
    options = {"--weight": weight, "--energy": energy}
    given = [text for name, value in options.items() if value is not None for text in (name, str(value))]
    command = shlex.join(["accelsim", "report", str(source), *given])
    if _is_database(source):
        if given:
            raise InputError(given[0], "", f"{source} is a sweep, whose figures are there", "it only with a program")
        text = _sweep(source, command)
    else:
        text = _program(source, weight, energy, command)

    from accelsim.isa.atomic import write_files

    with output_folder(page.parent):
        write_files({page: text.encode()})
    say_written([page])


def _check_page(page: Path, *inputs: Path | None) -> None:
    """Refuse, before any work, a page that can't be written, or that would replace its own input."""
    if page.is_dir():
        raise InputError("--out", "", f"{page} is a folder", "a file name")
    check_output_folder(page.parent)
    check_no_input(page, "--out", *inputs)


def _is_database(source: Path) -> bool:
    if source.suffix in _DATABASE_SUFFIXES or source.is_dir():
        return True  # reading it says what is wrong; a folder is taken for the one a sweep's database lies in
    try:
        with source.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except (OSError, ValueError):
        return False  # reading it as a program says why


def _program(source: Path, weight: Path | None, energy: str | None, command: str) -> str:
    from accelsim.isa.atomic import read_bytes
    from accelsim.isa.files import read_program
    from accelsim.jit.beside import compiled_beside
    from accelsim.machine.dataflow.follow import operations
    from accelsim.machine.run import time_frame
    from accelsim.profile import build_profile
    from accelsim.report import program_page
    from accelsim.report.manifest import program_hashes, versions
    from accelsim.report.timeline import timeline_of

    program = with_energy(read_program(source, weight), energy)
    cfg = read_bytes(source, "a compiled program (.cfg)")
    with simulating(), compiled_beside(operations):
        counters = time_frame(program)
        timeline = timeline_of(program, counters)
    manifest = [("command", command), *versions(), *program_hashes(program, cfg)]
    name = (weight or source.with_name(source.name.removesuffix(".cfg") + ".weight")).name
    return program_page(program, build_profile(program, counters, 1), timeline, manifest, weight_file=name)


def _sweep(source: Path, command: str) -> str:
    import sqlite3

    from pandas.errors import DatabaseError

    from accelsim.explore.database import read_results
    from accelsim.report import sweep_page
    from accelsim.report.manifest import versions

    results = read_results(source)
    try:
        count = len(results.points), len(results.layers)
    except (sqlite3.Error, DatabaseError, ValueError) as error:
        raise InputError(source, "", f"can't be read: {error}", "an undamaged database") from None
    if not count[0]:
        raise InputError(source, "points", "there is none yet", "at least one, done or failed")
    return sweep_page(results, results.path.name, [("command", command), *versions()])
