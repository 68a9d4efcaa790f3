"""``accelsim profile``: a program's time and storage, without input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from accelsim.cli.chip_choice import check_compiled_for, chip_option
from accelsim.cli.console import print_json, say_written
from accelsim.cli.cost_choice import energy_option, with_energy
from accelsim.cli.engine_choice import engine_option, simulating
from accelsim.cli.output_folder import check_output_folder, outpath_option, output_folder
from accelsim.cli.plot_choice import plot_choice, plot_options
from accelsim.cli.program_file import open_program, program_options
from accelsim.cli.state import State, pass_state
from accelsim.cli.trace_file import check_trace_file, finish_trace, trace_file, trace_option

if TYPE_CHECKING:
    from accelsim.machine.run import Engine


@click.command("profile", short_help="Report a program's time and storage, layer by layer.")
@program_options
@chip_option("Refuse a program that was compiled for another chip.")
@engine_option
@energy_option
@trace_option
@plot_options(default=True)
@outpath_option()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@pass_state
def profile_command(
    state: State,
    /,
    program: Path | None,
    config: Path | None,
    weight: Path | None,
    chip: str | None,
    engine: Engine,
    energy: str | None,
    trace: Path | None,
    trace_banks: bool,
    outpath: Path,
    as_json: bool,
    **drawn: Any,
) -> None:
    """Report a program's time and storage, layer by layer.

    Needs no input, as cycles do not depend on data. Writes profile.csv and plots; prints the cycles of each layer,
    the lower bound, and how full each memory is.
    """
    check_output_folder(outpath)
    check_trace_file(trace, banks=trace_banks)
    choice = plot_choice(**drawn)
    opened, cfg = open_program(program, config, weight)
    check_compiled_for(state, chip, opened, str(cfg))
    opened = with_energy(opened, energy)

    from accelsim.cli.profile_report import files_of, print_details, print_layers
    from accelsim.isa.atomic import write_files
    from accelsim.jit.beside import compiled_beside
    from accelsim.machine.dataflow.follow import operations
    from accelsim.machine.run import time_frame
    from accelsim.profile import build_profile

    with trace_file(trace, opened, banks=trace_banks) as write:
        with simulating(silent=as_json), compiled_beside(operations):
            counters = time_frame(opened, engine=engine, take_events=write, take_states=write.states if write else None)
            finish_trace(write, opened, counters)
        report = build_profile(opened, counters, 1)
        contents = files_of(report, opened, choice)
        with output_folder(outpath) as folder:
            written = {folder / name: content for name, content in contents.items()}
            write_files(written)
    files = [*written, *([trace] if trace else [])]
    if as_json:
        print_json(report.to_dict() | {"files": [str(path) for path in files]})
        return
    print_layers(opened, report)
    print_details(opened, report)
    say_written(files)
