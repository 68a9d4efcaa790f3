"""``accelsim make-input``: frames as the raw file that the vendor's tools take."""

from __future__ import annotations

from pathlib import Path

import click

from accelsim.cli.console import say, say_written
from accelsim.cli.output_folder import check_output_folder, outpath_option, output_folder

FILE_NAME = "model_input.bin"


@click.command("make-input", short_help="Write frames as a raw float32 file.")
@click.option(
    "-i",
    "--input",
    "data",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Frames: .npz or .npy, float32 with the frame axis first.",
)
@click.option("--input-key", metavar="NAME", help="Name of the array in a .npz.  [default: features, or the only one]")
@outpath_option()
def make_input_command(data: Path, input_key: str | None, outpath: Path) -> None:
    """Write model_input.bin: frames as raw little-endian float32, one after the other, without a header.

    Does the job of the vendor's make_rnn_input_onnx.py.
    """
    check_output_folder(outpath)

    from accelsim.isa.atomic import write_files
    from accelsim.quant.calibration_data import load_frames

    frames = load_frames(data, key=input_key)
    with output_folder(outpath) as folder:
        path = folder / FILE_NAME
        write_files({path: frames.astype("<f4").tobytes()})
    say(f"{len(frames):,} frames of {' x '.join(str(size) for size in frames.shape[1:])}")
    say_written([path])
