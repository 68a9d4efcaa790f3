"""``accelsim validate``: other machines' published figures beside the simulator's."""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from accelsim.cli.chip_choice import chip_option, chosen_chip
from accelsim.cli.console import print_json, progress_bar, say, say_written, show, spinner, table
from accelsim.cli.output_folder import check_output_folder, output_folder
from accelsim.cli.state import State, pass_state
from accelsim.errors import InputError

if TYPE_CHECKING:
    from accelsim.chip import Chip
    from accelsim.validation.compare import ComparedTable
    from accelsim.validation.networks import Shape
    from accelsim.validation.published import Row, Table
    from accelsim.validation.simulate import Simulated

EXIT_OUTSIDE = 1
REPORT, PICTURE = "validation.md", "validation.png"
_FOLDER = Path("reports")


@dataclass(frozen=True)
class Options:
    """The command's options, as parsed."""

    chip: str | None
    cell: str | None
    inputs: int | None
    hidden: int | None
    timesteps: int | None
    batch: int | None
    outpath: Path | None
    as_json: bool

    @property
    def of_one_row(self) -> dict[str, Any]:
        """The options that describe a row, by name, and what was given."""
        return {
            "--cell": self.cell,
            "--input": self.inputs,
            "--hidden": self.hidden,
            "--timesteps": self.timesteps,
            "--batch": self.batch,
        }


@click.command("validate", short_help="Compare with other machines' published figures.")
@chip_option("Only this chip's tables; or the chip of a single row.  [default of a row: as for compile]")
@click.option("--cell", metavar="CELL", help="A single row: gemv, rnn, gru or lstm.")
@click.option("--input", "inputs", type=int, metavar="N", help="Its inputs.")
@click.option("--hidden", type=int, metavar="N", help="Its outputs: a recurrent layer's units.")
@click.option("--timesteps", type=int, metavar="N", help="Its time steps.  [default: 1]")
@click.option("--batch", type=int, metavar="N", help="Frames handled at once.  [default: 1]")
@click.option(
    "--outpath",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where validation.md and validation.png go.  [default: reports; with --chip, none]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@pass_state
def validate_command(state: State, /, **options: Any) -> int:
    """Compare the simulator with other machines' published figures.

    Runs every row of the tables that ship with the program, on networks of random weights, and prints what is
    simulated, what is published, and what bounds the run; writes that as a report with a plot. Exits with 1 when a
    row has left its band.

    With --cell, --input and --hidden: the cycles of a single row of any chip. GRUs have their reset gate before the
    recurrent product; of several time steps only the last one's result leaves the chip.
    """
    parsed = Options(**options)
    if any(value is not None for value in parsed.of_one_row.values()):
        return _one_row(state, parsed)
    return _tables(state, parsed)


def _one_row(state: State, options: Options) -> int:
    given = options.of_one_row
    missing = [name for name in ("--cell", "--input", "--hidden") if given[name] is None]
    context = click.get_current_context()
    if missing:
        raise click.UsageError(f"a single row needs {' and '.join(missing)}", context)
    if options.outpath is not None:
        raise click.UsageError("a single row writes no file; leave --outpath out", context)
    chip = chosen_chip(state, options.chip)

    from accelsim.validation.networks import Shape
    from accelsim.validation.published import published_cycles
    from accelsim.validation.simulate import simulate_shape

    timesteps = 1 if options.timesteps is None else options.timesteps
    shape = Shape(given["--cell"], given["--input"], given["--hidden"], timesteps)
    batch = 1 if options.batch is None else options.batch
    with spinner("simulating", silent=options.as_json):
        run = simulate_shape(shape, chip, batch=batch)
    row = published_cycles(chip.name, shape, batch)
    if options.as_json:
        print_json(_row_dict(shape, run, row))
    else:
        _print_row(shape, run, row)
    return 0


def _row_dict(shape: Shape, run: Simulated, row: Row | None) -> dict[str, Any]:
    published: dict[str, Any] = {}
    if row is not None:
        error = 100 * (run.cycles / row.published - 1)
        published = {"published_cycles": int(row.published), "error_percent": error}
    return {
        "chip": run.chip,
        "cell": shape.cell,
        "input": shape.input,
        "hidden": shape.hidden,
        "timesteps": shape.timesteps,
        "batch": run.batch,
        "cycles": run.cycles,
        "time_us": run.time_us,
        "macs": run.macs,
        "bound_cycles": run.bound.cycles,
        "bound": {
            "mac_cycles": run.bound.mac_cycles,
            "dram_cycles": run.bound.dram_cycles,
            "path_cycles": run.bound.path_cycles,
            "limit": run.bound.limit,
        },
        "ratio": run.ratio,
        **published,
    }


def _print_row(shape: Shape, run: Simulated, row: Row | None) -> None:
    together = f", batch {run.batch}" if run.batch > 1 else ""
    say(f"{shape}{together} on chip {run.chip}: {run.cycles:,} cycles, {run.time_us:,.2f} µs")
    say(f"lower bound {run.bound.cycles:,} ({run.bound.limit}), ratio {run.ratio:.2f}")
    if row is not None:
        say(f"published: {row.published:,.0f} cycles, error {100 * (run.cycles / row.published - 1):+.1f} %")


def _tables(state: State, options: Options) -> int:
    named = options.chip or state.chip
    folder = options.outpath or (None if named else _FOLDER)
    if folder is not None:
        check_output_folder(folder)
    chip = chosen_chip(state, options.chip) if named else None

    from accelsim.validation.compare import compare_tables
    from accelsim.validation.report import outside, summary

    tables = _tables_of(chip)
    with progress_bar("simulating", silent=options.as_json) as progress:
        compared = compare_tables(tables, chip=chip, progress=progress)
    written = [] if folder is None else _write(compared, folder, _command(options, named))
    if options.as_json:
        print_json(
            {
                "tables": [one.to_dict() for one in compared],
                "rows": sum(len(one.rows) for one in compared),
                "outside": len(outside(compared)),
                "files": [str(path) for path in written],
            }
        )
    else:
        _print_tables(compared)
        say(summary(compared))
        say_written(written)
    return EXIT_OUTSIDE if outside(compared) else 0


def _tables_of(chip: Chip | None) -> list[Table]:
    from accelsim.validation.published import published_tables

    tables = [one for one in published_tables() if chip is None or one.chip == chip.name]
    if chip is not None and not tables:
        there = ", ".join(dict.fromkeys(one.chip for one in published_tables()))
        expected = f"one of {there}; or --cell, --input and --hidden for a row of your own"
        raise InputError("--chip", "", f"no published table for {chip.name}", expected)
    return tables


def _print_tables(compared: list[ComparedTable]) -> None:
    from accelsim.validation.report import COLUMNS, TEXT_COLUMNS, row_cells

    for one in compared:
        say(f"{one.table.title} (chip {one.chip.name})")
        show(table(COLUMNS, [row_cells(row) for row in one.rows], left=TEXT_COLUMNS, wrapped=TEXT_COLUMNS))


def _command(options: Options, chip: str | None) -> str:
    """What regenerates the report."""
    words = ["accelsim", "validate"]
    words += ["--chip", chip] if chip else []
    words += ["--outpath", str(options.outpath)] if options.outpath else []
    return shlex.join(words)


def _write(compared: list[ComparedTable], folder: Path, command: str) -> list[Path]:
    from accelsim.isa.atomic import write_files
    from accelsim.validation.report import markdown

    # Where its folder in the user's home can't be written, matplotlib takes a temporary one; nobody needs be told.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from accelsim.validation.plot import parity_plot

    contents = {
        REPORT: markdown(compared, command=command, picture=PICTURE).encode(),
        PICTURE: parity_plot(compared),
    }
    with output_folder(folder):
        written = {folder / name: content for name, content in contents.items()}
        write_files(written)
    return list(written)
