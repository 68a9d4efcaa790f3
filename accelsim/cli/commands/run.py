"""``accelsim run``: frames through a compiled program; their values, and the cycles of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from accelsim.cli.chip_choice import check_compiled_for, chip_option
from accelsim.cli.console import note, print_json, say, say_written
from accelsim.cli.cost_choice import energy_option, with_energy
from accelsim.cli.engine_choice import engine_option, simulating
from accelsim.cli.output_folder import check_no_input, check_output_folder, outpath_option, output_folder
from accelsim.cli.plot_choice import PlotChoice, plot_choice, plot_options
from accelsim.cli.program_file import open_program, program_options
from accelsim.cli.state import State, pass_state
from accelsim.cli.trace_file import check_trace_file, finish_trace, trace_file, trace_option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from accelsim.cli.recognition import Recognition
    from accelsim.isa.program import HostTensor, Program
    from accelsim.machine.run import Engine
    from accelsim.quant.model import QTensor

FRAMES_SHOWN = 12
"""Frames whose class is printed, where the data has labels."""
VALUES = "output.npy", "output_float.npy"
"""Files of results: as on the device, and dequantized."""


@dataclass(frozen=True)
class Options:
    """The command's options, as parsed."""

    program: Path | None
    config: Path | None
    weight: Path | None
    data: Path
    input_key: str | None
    layout: str | None
    chip: str | None
    check: str | None
    engine: Engine
    energy: str | None
    drawn: PlotChoice
    trace: Path | None
    trace_banks: bool
    outpath: Path
    as_json: bool


@click.command("run", short_help="Run frames through a compiled program; cycles and values.")
@program_options
@click.option(
    "-i",
    "--input",
    "data",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Frames: .npz (its array `features`, else its only one) or .npy with the frame axis first, or .bin (raw "
    "little-endian float32). float32 is quantized with the input's scale; int8 is taken as it is.",
)
@click.option("--input-key", metavar="NAME", help="Name of the array in a .npz of --input.")
@click.option(
    "-fmt",
    "--format",
    "layout",
    type=click.Choice(["nchw", "nhwc"]),
    help="The vendor's option. A sequence has neither height nor width: frames are read as time steps of features "
    "whichever is given.",
)
@chip_option("Refuse a program that was compiled for another chip.")
@click.option(
    "--check",
    type=click.Choice(["hazards"]),
    help="hazards: check that every read of the first frame sees what program order says, and name what does not.",
)
@engine_option
@energy_option
@trace_option
@plot_options(default=False)
@outpath_option()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@pass_state
def run_command(state: State, /, **options: Any) -> None:
    """Run frames through a compiled program.

    Writes output.npy (int8, as on the device, frame axis first), output_float.npy (float32) and profile.csv.
    Prints the cycles of each layer, the lower bound, and the time at the chip's clock. Cycles do not depend on the
    data, so they are those of one frame, whichever. Where a .npz holds `labels`, prints what was recognised.
    """
    drawn = {name: options.pop(name) for name in ("plots", "plots_format", "zoom", "zoom_step", "zoom_layer")}
    _run(state, Options(**options, drawn=plot_choice(**drawn)))


def _run(state: State, options: Options) -> None:
    check_output_folder(options.outpath)
    for name in (*VALUES, "profile.csv"):
        check_no_input(options.outpath / name, "--outpath", options.data)
    check_trace_file(options.trace, banks=options.trace_banks)
    program, cfg = open_program(options.program, options.config, options.weight)
    check_compiled_for(state, options.chip, program, str(cfg))
    program = with_energy(program, options.energy)

    from accelsim.cli.profile_report import files_of, print_layers
    from accelsim.isa.atomic import write_files
    from accelsim.jit.beside import compiled_beside
    from accelsim.machine.dataflow.follow import operations
    from accelsim.machine.functional import run as run_values
    from accelsim.machine.memory import check_tensors
    from accelsim.machine.run import run_program
    from accelsim.profile import build_profile
    from accelsim.quant.execute import dequantize

    check_tensors(program)
    frames = _device_frames(program, options)
    with trace_file(options.trace, program, banks=options.trace_banks) as write:
        with simulating(silent=options.as_json), compiled_beside(run_values, operations):
            run = run_program(
                program,
                frames,
                engine=options.engine,
                take_events=write,
                take_states=write.states if write else None,
                check_hazards=options.check == "hazards",
            )
            finish_trace(write, program, run.counters)
        values = dequantize(host_tensor(program.outputs[0]), run.outputs)
        profile = build_profile(program, run.counters, len(frames))
        recognised = _recognition(options.data, values)
        contents = {VALUES[0]: npy_bytes(run.outputs), VALUES[1]: npy_bytes(values)}
        contents |= files_of(profile, program, options.drawn)
        with output_folder(options.outpath) as folder:
            written = {folder / name: content for name, content in contents.items()}
            write_files(written)
    files = [*written, *([options.trace] if options.trace else [])]
    if options.as_json:
        result = profile.to_dict() | {"files": [str(path) for path in files]}
        if recognised is not None:
            result["recognition"] = recognised.to_dict()
        print_json(result)
        return
    print_layers(program, profile)
    if options.check == "hazards":
        say("no hazards: every read of the first frame sees what program order says")
    if recognised is not None:
        _print_recognition(recognised)
    say_written(files)


def host_tensor(tensor: HostTensor) -> QTensor:
    """A program's input or output as the quantizer's tensor, for its conversions.

    Parameters
    ----------
    tensor : HostTensor
    """
    import numpy as np

    from accelsim.quant.model import QTensor

    return QTensor(tensor.name, tensor.shape, np.array(tensor.scale, dtype=np.float32), tensor.zero_point)


def npy_bytes(array: NDArray[Any]) -> bytes:
    """The content of a .npy file."""
    import io

    import numpy as np

    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _device_frames(program: Program, options: Options) -> NDArray[np.int8]:
    import numpy as np

    from accelsim.quant.calibration_data import load_frames
    from accelsim.quant.execute import quantize_input

    tensor = program.inputs[0]
    frames = load_frames(options.data, key=options.input_key, frame_shape=tensor.shape, allow_int8=True)
    if frames.dtype == np.int8:
        return frames.astype(np.int8, copy=False)
    return quantize_input(host_tensor(tensor), frames.astype(np.float32, copy=False))


def _recognition(data: Path, values: NDArray[np.float32]) -> Recognition | None:
    """What was recognised, where the data says what was to be."""
    from accelsim.cli.recognition import recognise

    recognised, reason = recognise(data, values)
    if reason:
        note(reason)
    return recognised


def _print_recognition(recognised: Recognition) -> None:
    from accelsim.cli.console import show, table

    rows = [
        (f"{frame:,}", one.recognised, one.label, "yes" if one.correct else "no")
        for frame, one in enumerate(recognised.frames[:FRAMES_SHOWN])
    ]
    show(table(("frame", "recognised", "label", "correct"), rows, left=("recognised", "label", "correct")))
    shown = f"; the first {FRAMES_SHOWN} are shown" if len(recognised.frames) > FRAMES_SHOWN else ""
    say(f"correct: {recognised.correct:,} of {len(recognised.frames):,} frames{shown}")
