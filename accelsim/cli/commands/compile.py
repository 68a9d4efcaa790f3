"""``accelsim compile``: a quantized model in, a program for a chip out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from accelsim.cli.chip_choice import chip_option, chosen_chip
from accelsim.cli.console import print_json, say, say_written, show, table
from accelsim.cli.engine_choice import simulating
from accelsim.cli.output_folder import check_output_folder, outpath_option, output_folder
from accelsim.cli.program_file import either
from accelsim.cli.state import State, pass_state
from accelsim.errors import InputError

if TYPE_CHECKING:
    from accelsim.isa.program import Program
    from accelsim.quant.model import QGraph
    from accelsim.schedules import Choice

_FLOAT_SUFFIXES = (".pth", ".pt")
_MARGIN = 2
"""A schedule that takes longer than so many times the best's cycles is only said to do so."""


@click.command("compile", short_help="Compile a quantized model for a chip.")
@click.argument("model", required=False, type=click.Path(path_type=Path), metavar="[MODEL_quantize.onnx]")
@click.option(
    "--onnx",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The quantized model, as `accelsim quant` writes it, where it is no argument.",
)
@chip_option("Compile for this chip.  [default: the one before the command, else tx5368]")
@click.option(
    "--batch",
    type=int,
    default=1,
    show_default=True,
    metavar="N",
    help="Frames handled at once: they share what is loaded, and up to mac.batch_columns of them each read of weights.",
)
@click.option(
    "--preload/--no-preload",
    default=None,
    help="Load weights that stay on the chip once, before the cycles of a frame are counted; or in each frame.  "
    "[default: as the chip file's schedule.weights_preloaded says]",
)
@click.option(
    "--schedule",
    type=click.Choice(["auto", "stepwise", "wavefront", "hoisted", "interleaved"]),
    default="auto",
    show_default=True,
    help="The order of the work; results are the same bits in each.  stepwise: layer after layer, direction after "
    "direction, all of a time step at once.  wavefront: layers together, each a few steps behind the one that feeds "
    "it.  interleaved: both directions together.  hoisted: a layer's products with its input ahead of all its steps, "
    "so that weights that stream are read once for many steps.  auto: the one in which the engine counts the fewest "
    "cycles.",
)
@outpath_option()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@pass_state
def compile_command(
    state: State,
    model: Path | None,
    onnx: Path | None,
    chip: str | None,
    batch: int,
    preload: bool | None,
    schedule: str,
    outpath: Path,
    as_json: bool,
) -> None:
    """Compile a quantized model for a chip.

    M.onnx gives M_r.cfg, the program as readable text, and M_r.weight, its weights. Prints the program's size and
    schedule and how full each memory is.
    """
    path = either(model, onnx, "--onnx", "the quantized model")
    check_output_folder(outpath)
    target = chosen_chip(state, chip)
    if preload is not None:
        told = target.schedule.model_copy(update={"weights_preloaded": preload})
        target = target.model_copy(update={"schedule": told})

    from accelsim.isa.files import write_program
    from accelsim.schedules import compile_scheduled

    graph = _read(path)
    with simulating("counting the cycles of each schedule", silent=as_json):
        choice = compile_scheduled(graph, target, batch=batch, schedule=schedule, margin=_MARGIN)
    program = choice.program
    with output_folder(outpath) as folder:
        written = write_program(program, folder, path.stem)
    if as_json:
        candidates = [
            {"schedule": one.schedule, "cycles" if one.is_counted else "at_least_cycles": one.cycles}
            for one in choice.candidates
        ]
        print_json(_summary(program) | {"candidates": candidates, "files": [str(file) for file in written]})
        return
    _print_summary(program)
    _print_candidates(choice)
    say_written(written)


def _read(path: Path) -> QGraph:
    from accelsim.quant.onnx_reader import read_quantized_onnx

    try:
        return read_quantized_onnx(path)
    except InputError:
        if path.suffix.lower() in _FLOAT_SUFFIXES or _is_float_model(path):
            run = f"a file that `accelsim quant --model {path} --data CALIBRATION.npz` writes"
            raise InputError(path, "", "a float model", run) from None
        raise


def _is_float_model(path: Path) -> bool:
    """Whether a file that can't be compiled is a sound ONNX model without quantized operators."""
    from accelsim.frontend.onnx_file import open_model

    try:
        open_model(path)
    except InputError:
        return False
    return True


def memory_use(program: Program) -> list[dict[str, Any]]:
    """How full each memory is: name, used_bytes (up to the last byte in use), capacity_bytes.

    Parameters
    ----------
    program : Program
    """
    sram = program.chip.sram
    capacities = {name: getattr(sram, name).capacity_bytes for name in type(sram).model_fields}
    capacities["dram"] = program.chip.dram.capacity_bytes
    return [
        {
            "memory": name,
            "used_bytes": max((region.end for region in program.regions if region.memory == name), default=0),
            "capacity_bytes": capacity,
        }
        for name, capacity in capacities.items()
    ]


def _summary(program: Program) -> dict[str, Any]:
    return {
        "program": program.name,
        "chip": program.chip.name,
        "chip_digest": program.chip.digest,
        "schedule": program.schedule,
        "instructions": len(program.words),
        "instruction_memory_words": program.chip.sequencer.instruction_memory_words,
        "batch": program.batch,
        "macs": sum(layer.macs for layer in program.layers),
        "layers": [
            {
                "layer": layer.name,
                "operator": layer.kind,
                "macs": layer.macs,
                "parameters_bytes": layer.parameters_bytes,
            }
            for layer in program.layers
        ],
        "memory": memory_use(program),
    }


def _print_candidates(choice: Choice) -> None:
    """What the engine counted for each schedule; nothing where there was one."""
    if choice.candidates:
        rows = [
            (one.schedule, ("" if one.is_counted else "at least ") + f"{one.cycles:,}") for one in choice.candidates
        ]
        show(table(("schedule", "cycles"), rows, left=("schedule",)))


def _print_summary(program: Program) -> None:
    macs = sum(layer.macs for layer in program.layers)
    say(f"{program.name} for chip {program.chip.name}: {len(program.layers)} layers, {macs:,} MACs a frame")
    words = program.chip.sequencer.instruction_memory_words
    if program.batch > 1:
        say(f"{program.batch} frames at once")
    say(f"{len(program.words):,} instructions of {words:,}; schedule: {program.schedule}")
    rows = [
        (
            use["memory"],
            f"{use['used_bytes']:,}",
            f"{use['capacity_bytes']:,}",
            f"{100 * use['used_bytes'] / use['capacity_bytes']:.1f}",
        )
        for use in memory_use(program)
    ]
    show(table(("memory", "used bytes", "capacity bytes", "used %"), rows, left=("memory",)))
