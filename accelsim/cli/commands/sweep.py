"""``accelsim sweep``: many chips, models and batches at once; and a search among them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from accelsim.cli.chip_choice import chip_option, chosen_chip
from accelsim.cli.console import is_terminal, note, print_json, progress_bar, say_written
from accelsim.cli.cost_choice import energy_option
from accelsim.cli.output_folder import check_output_folder, output_folder
from accelsim.cli.plot_choice import FORMATS, plots_format_option
from accelsim.cli.state import State, pass_state
from accelsim.errors import InputError

if TYPE_CHECKING:
    from accelsim.explore.database import Database
    from accelsim.explore.executors import Executor
    from accelsim.explore.objectives import Objective
    from accelsim.explore.sweep import Sweep

_MANY = 100_000
"""Points that are not begun without asking: some tens of minutes on a machine of two cores."""
_TRIALS = 200


@dataclass(frozen=True)
class Options:
    """The command's options, as parsed."""

    models: tuple[Path, ...]
    file: Path | None
    chip: str | None
    settings: tuple[str, ...]
    where: tuple[str, ...]
    batch: str | None
    schedule: str | None
    energy: str | None
    outpath: Path
    objective: str | None
    trials: int | None
    sampler: str
    seed: int | None
    jobs: int | None
    dask: str | None
    export: tuple[Path, ...]
    plots: bool
    plots_format: str
    yes: bool
    as_json: bool


@click.command("sweep", short_help="Simulate a model on many chips; search for the best.")
@click.argument("models", nargs=-1, type=click.Path(path_type=Path), metavar="[MODEL]...")
@click.option(
    "-f", "--file", type=click.Path(path_type=Path), metavar="FILE.toml", help="A sweep file; options add to it."
)
@chip_option("The chip whose keys are set.  [default: as for compile]")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUES",
    help="A chip key (see `accelsim chips --keys`) and its values: 8,16,32 or 8:64:x2 or 8:64:+8. Once for each key.",
)
@click.option(
    "--where", multiple=True, metavar="CONDITION", help="Only points that meet it: 'mac.rows * mac.columns <= 4096'."
)
@click.option("--batch", metavar="VALUES", help="Frames handled at once; several values as for --set.  [default: 1]")
@click.option("--schedule", metavar="NAME", help="As for compile.  [default: auto]")
@energy_option
@click.option(
    "-o",
    "--out",
    "--outpath",
    "outpath",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Where sweep.sqlite is; the same command goes on with what it holds.",
)
@click.option(
    "--objective",
    metavar="NAMES",
    help="Search instead of simulating all: some of latency,time,energy,area,cycles,dram.",
)
@click.option(
    "--trials",
    type=click.IntRange(1),
    metavar="N",
    help=f"Trials of the search, earlier ones included.  [default: {_TRIALS}]",
)
@click.option(
    "--sampler", default="tpe", metavar="NAME", show_default=True, help="Of the search: tpe, nsga2, nsga3 or random."
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), metavar="N", help="Of the search.  [default: 0]")
@click.option("-j", "--jobs", type=click.IntRange(1, 1024), metavar="N", help="Processes.  [default: one a core]")
@click.option(
    "--dask", metavar="ADDRESS", help="Simulate on a Dask cluster: tcp://HOST:8786, or local for one on this machine."
)
@click.option(
    "--export",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the points as .csv or .parquet.",
)
@click.option("--plots", is_flag=True, help="Also draw the front, heat maps and parallel coordinates, in FOLDER.")
@plots_format_option
@click.option("-y", "--yes", is_flag=True, help=f"Don't ask before a sweep of more than {_MANY:,} points.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@pass_state
def sweep_command(state: State, /, **options: Any) -> None:
    """Simulate models on many variants of a chip, cycles only.

    MODEL is a quantized ONNX file, or a float one, of which only the shape counts. Every combination of models,
    batches and values of the keys set is compiled for its chip, in the best schedule, and counted; results go to
    FOLDER/sweep.sqlite as they come. Stopped at any moment, the same command goes on where it was. A point that can't
    be compiled is a row with its reason.

    With --objective, Optuna's samplers choose the points worth simulating, and the front of those that no other is
    better than is shown, with what bounds each and what the next value of each key would change.

    \b
      accelsim sweep kws_quantize.onnx --set mac.rows=8:64:x2 --set dram.bytes_per_cycle=1,2,4,8 --out SWEEP
      accelsim sweep kws_quantize.onnx --set mac.rows=4:64:+4 --set mac.columns=4:64:+4 --objective latency,area --out S
    """
    _sweep(state, Options(**options))


def _sweep(state: State, options: Options) -> None:
    from accelsim.explore.export import check_exports

    check_output_folder(options.outpath)
    check_exports(options.export, options.outpath)
    if options.dask is not None and not options.dask.strip():
        raise InputError("--dask", "", f"found {options.dask!r}", "tcp://HOST:PORT of a scheduler, or local")
    sweep, objectives, trials, seed = _asked(state, options)
    _ask_about(sweep, options, trials if objectives else None)
    for model in sweep.models:
        if model.was_float:
            note(f"{model.path} is a float model: it is quantized for its shape; cycles do not depend on values")

    from accelsim.explore.database import FILE_NAME
    from accelsim.explore.sweep import opened

    # The file is made when all else is there: a mistake leaves none behind.
    with (
        _executor(sweep, options) as executor,
        output_folder(options.outpath) as folder,
        opened(folder, sweep.meta()) as database,
    ):
        try:
            if objectives:
                _search(sweep, database, executor, objectives, trials, seed, options)
            else:
                _grid(sweep, database, executor, options)
        except KeyboardInterrupt:
            note(f"{database.count()[0]:,} points are in {database.path}; the same command goes on with them")
            raise
    written = [options.outpath / FILE_NAME, *_exports(options), *_plots(options)]
    if not options.as_json:
        say_written(written)


def _asked(state: State, options: Options) -> tuple[Sweep, tuple[Objective, ...], int, int]:
    """The sweep that the options and the file ask for."""
    from accelsim.costs import load_cost_table, with_cost_table
    from accelsim.explore.axes import BATCH, parse_axis
    from accelsim.explore.constraints import Constraint
    from accelsim.explore.models import read_models
    from accelsim.explore.objectives import parse_objectives
    from accelsim.explore.search import SAMPLERS
    from accelsim.explore.space import fixed_values
    from accelsim.explore.sweep import Sweep
    from accelsim.explore.sweep_file import SweepFile, read_sweep_file
    from accelsim.isa.nearest import nearest

    file = read_sweep_file(options.file) if options.file else SweepFile()
    chip = chosen_chip(state, options.chip or (None if state.chip else file.chip))
    paths = (*options.models, *file.models)
    if options.energy is not None:
        chip = with_cost_table(chip, load_cost_table(options.energy))
    if not paths:
        raise InputError("MODEL", "", "none is named", "a quantized or a float ONNX file")
    axes = [*file.axes, *(parse_axis(text) for text in options.settings)]
    if options.batch is not None:
        axes.append(parse_axis(f"{BATCH}={options.batch}", "--batch"))
    if not axes and len(paths) == 1:
        raise InputError("--set", "", "no key is set", "at least one --set KEY=VALUES, --batch, or several models")
    if file.points and len(axes) > len(file.axes):
        raise InputError("--set", "", f"given beside the points of {options.file}", "a grid in the file")
    if options.sampler not in SAMPLERS:
        found = f"found {options.sampler!r}{nearest(options.sampler, SAMPLERS)}"
        raise InputError("--sampler", "", found, f"one of {', '.join(SAMPLERS)}")
    keys = fixed_values(chip)
    constraints = [Constraint(text, keys, str(options.file)) for text in file.constraints]
    constraints += [Constraint(text, keys) for text in options.where]
    named = options.objective if options.objective is not None else ",".join(file.objectives)
    objectives = parse_objectives(named) if named or options.objective is not None else ()
    if not objectives:
        for name, value in (("--trials", options.trials), ("--seed", options.seed)):
            if value is not None:
                raise InputError(name, "", "given without --objective", "a search, as --objective latency,energy")
    if objectives and len(paths) > 1:
        raise InputError("--objective", "", f"given with {len(paths)} models", "one: of several, the smallest is found")
    schedule = options.schedule or file.schedule or "auto"
    sweep = Sweep(read_models(paths), chip, axes, constraints, file.points, schedule, _command())
    return sweep, objectives, options.trials or file.trials or _TRIALS, _first(options.seed, file.seed, 0)


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)


def _command() -> str:
    """As the user typed it, the program by its name."""
    return shlex.join(["accelsim", *sys.argv[1:]])


def _ask_about(sweep: Sweep, options: Options, trials: int | None) -> None:
    """Ask before a sweep that will take long; where nobody can answer, refuse it."""
    size = sweep.space.size
    if options.yes or size <= _MANY or trials is not None:
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        expected = f"at most {_MANY:,}, or --yes, or a search with --objective"
        raise InputError("--set", "", f"{size:,} points", expected)
    click.confirm(f"{size:,} points, at some milliseconds or seconds each. Simulate them all?", abort=True, err=True)


@contextmanager
def _executor(sweep: Sweep, options: Options) -> Iterator[Executor]:
    from accelsim.explore.executors import Here, Processes

    jobs = options.jobs or os.cpu_count() or 1
    if options.dask:
        from accelsim.explore.cluster import Cluster

        with Cluster(sweep.work(), options.dask, jobs) as cluster:
            yield cluster
    elif jobs == 1:
        yield Here(sweep.work())
    else:
        yield Processes(sweep.work(), jobs)


def _grid(sweep: Sweep, database: Database, executor: Executor, options: Options) -> None:
    from accelsim.explore.sweep import run_sweep

    with progress_bar(f"simulating {sweep.space.size:,} points", silent=options.as_json) as progress:
        outcome = run_sweep(sweep, database, executor, progress)
    if options.as_json:
        print_json(
            {
                "points": outcome.points,
                "failed": outcome.failed,
                "simulated": outcome.simulated,
                "files": [str(database.path), *map(str, options.export)],
            }
        )
        return
    from accelsim.cli.sweep_report import print_grid

    print_grid(sweep, database, outcome)


def _search(
    sweep: Sweep,
    database: Database,
    executor: Executor,
    objectives: tuple[Objective, ...],
    trials: int,
    seed: int,
    options: Options,
) -> None:
    from accelsim.explore.search import search
    from accelsim.explore.summary import best_points, look_around

    with progress_bar(f"searching, {trials:,} trials", silent=options.as_json) as progress:
        found = search(
            sweep,
            database,
            executor,
            objectives,
            trials=trials,
            seed=seed,
            sampler=options.sampler,
            progress=progress,
        )
    with progress_bar("one step from each of the best", silent=options.as_json):
        around = look_around(sweep, database, executor, objectives)
    best = best_points(sweep, database, objectives)
    if options.as_json:
        points, failed = database.count()
        print_json(
            {
                "trials": found.trials,
                "points": points,
                "failed": failed,
                "simulated": found.simulated + around,
                "front": [one.to_dict(objectives) for one in best],
                "files": [str(database.path), *map(str, options.export)],
            }
        )
        return
    from accelsim.cli.sweep_report import print_search

    print_search(sweep, database, objectives, found, best)


def _exports(options: Options) -> list[Path]:
    if options.export:
        from accelsim.explore.database import read_results
        from accelsim.explore.export import export_points

        results = read_results(options.outpath)
        for path in options.export:
            export_points(results, path)
    return list(options.export)


def _plots(options: Options) -> list[Path]:
    if not options.plots:
        return []
    from accelsim.explore.database import read_results
    from accelsim.explore.plots import sweep_plot_files
    from accelsim.isa.atomic import write_files

    results = read_results(options.outpath)
    files = sweep_plot_files(
        results.points,
        results.meta["axes"],
        results.meta["objectives"],
        formats=FORMATS[options.plots_format],
        note=note,
    )
    paths = {options.outpath / name: content for name, content in files.items()}
    write_files(paths)
    return list(paths)
