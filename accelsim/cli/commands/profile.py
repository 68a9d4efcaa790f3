"""``accelsim profile``: a program's time and storage, without input."""

from __future__ import annotations

from pathlib import Path

import click

from accelsim.cli.chip_choice import check_compiled_for, chip_option
from accelsim.cli.console import print_json, say_written, spinner
from accelsim.cli.output_folder import check_output_folder, outpath_option, output_folder
from accelsim.cli.program_file import open_program, program_options
from accelsim.cli.state import State, pass_state


@click.command("profile", short_help="Report a program's time and storage, layer by layer.")
@program_options
@chip_option("Refuse a program that was compiled for another chip.")
@click.option("--plots/--no-plots", default=True, show_default=True, help="Draw cycles by layer, a timeline, traffic.")
@outpath_option()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@pass_state
def profile_command(
    state: State,
    program: Path | None,
    config: Path | None,
    weight: Path | None,
    chip: str | None,
    plots: bool,
    outpath: Path,
    as_json: bool,
) -> None:
    """Report a program's time and storage, layer by layer.

    Needs no input, as cycles do not depend on data. Writes profile.csv and plots; prints the cycles of each layer,
    the lower bound, and how full each memory is.
    """
    check_output_folder(outpath)
    opened, cfg = open_program(program, config, weight)
    check_compiled_for(state, chip, opened, str(cfg))

    import numpy as np

    from accelsim.cli.profile_report import files_of, print_details, print_layers
    from accelsim.isa.atomic import write_files
    from accelsim.machine.memory import check_tensors
    from accelsim.machine.run import run_program
    from accelsim.profile import build_profile

    check_tensors(opened)

    frame = np.zeros((1, *opened.inputs[0].shape), dtype=np.int8)
    with spinner("simulating", silent=as_json):
        run = run_program(opened, frame, keep_events=plots)
    report = build_profile(opened, run.counters, 1)
    contents = files_of(report, opened, run.events)
    with output_folder(outpath) as folder:
        written = {folder / name: content for name, content in contents.items()}
        write_files(written)
    if as_json:
        print_json(report.to_dict() | {"files": [str(path) for path in written]})
        return
    print_layers(opened, report)
    print_details(opened, report)
    say_written(list(written))
