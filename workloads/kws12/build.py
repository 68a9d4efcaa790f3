"""Quantize and compile the trained network into the checked-in program: ``python -m workloads.kws12.build``.

Needs no extra. Run it again whenever the network, the quantizer, the compiler or `configs/tx5368.toml` changes; a test
compares the checked-in program with a fresh one.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from accelsim.chip import load_chip
from accelsim.frontend.pytorch import load_pytorch
from accelsim.isa.files import write_program
from accelsim.isa.program import Program
from accelsim.quant.calibration_data import load_frames
from accelsim.quant.onnx_reader import read_quantized_onnx
from accelsim.quant.onnx_writer import write_quantized_onnx
from accelsim.quant.quantize import quantize
from accelsim.schedules import compile_scheduled

ARTEFACTS = Path(__file__).resolve().parent / "artefacts"
STEM = "lstm_quantize"


def build_program() -> Program:
    """The program of the checked-in network on the default chip, by the same steps as the command line's."""
    frames = load_frames(ARTEFACTS / "kws12_calib.npz")
    graph = load_pytorch(ARTEFACTS / "lstm.pth", timesteps=frames.shape[1], name="lstm")
    with tempfile.TemporaryDirectory() as folder:
        quantized = Path(folder) / f"{STEM}.onnx"
        write_quantized_onnx(quantize(graph, frames).qgraph, quantized)
        return compile_scheduled(read_quantized_onnx(quantized), load_chip("tx5368")).program


def main() -> None:
    """Write the program files beside the network."""
    for path in write_program(build_program(), ARTEFACTS, STEM):
        sys.stdout.write(f"written: {path}\n")


if __name__ == "__main__":
    main()
