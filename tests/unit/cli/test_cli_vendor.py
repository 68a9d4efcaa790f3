"""The vendor's documented pipeline, line by line, with only the program's name changed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from accelsim.quant.calibration_data import load_frames
from accelsim.quant.execute import dequantize, quantize_input, run_quantized
from accelsim.quant.onnx_reader import read_quantized_onnx
from accelsim.resources import workload_folder
from tests.support.command_line import Files, Program

QUANT = (
    "accelsim --chip TX5368AV200 quant onnx -m lstm -w lstm.pth -f pytorch -uds lstm.py -if infer_pytorch_rnn "
    "-s OUT -d cmd.npz -i 10 -qm min_max"
)
SCRIPT = "raise SystemExit('user scripts are not executed')\n"
COMPILE = "accelsim --chip TX5368AV200 rne-compile --onnx lstm_quantize.onnx --outpath ."
MAKE_INPUT = "accelsim make-input --input cmd.npz --outpath ."
SIMULATE = (
    "accelsim --chip TX5368AV200 rne-sim --input model_input.bin --weight lstm_quantize_r.weight "
    "--config lstm_quantize_r.cfg --outpath ."
)
PROFILE = "accelsim --chip TX5368AV200 rne-profiling --config lstm_quantize_r.cfg --outpath ."


def pipeline(accelsim: Program, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the lines in `folder`, which holds lstm.pth and cmd.npz; gives the folder of the results."""
    (folder / "lstm.py").write_text(SCRIPT)
    monkeypatch.chdir(folder)
    accelsim.ok(*shlex.split(QUANT)[1:])
    results = folder / "OUT"
    monkeypatch.chdir(results)
    (results / "cmd.npz").write_bytes((folder / "cmd.npz").read_bytes())
    for line in (COMPILE, MAKE_INPUT, SIMULATE, PROFILE):
        accelsim.ok(*shlex.split(line)[1:])
    return results


def check(results: Path, frames: int) -> None:
    """Every documented file is there, and outputs are the quantized graph's."""
    names = {path.name for path in results.iterdir()}
    assert {"lstm_quantize.onnx", "lstm_quantize_r.cfg", "lstm_quantize_r.weight", "model_input.bin"} <= names
    assert {"output.npy", "output_float.npy", "profile.csv"} <= names
    graph = read_quantized_onnx(results / "lstm_quantize.onnx")
    integers = quantize_input(graph.input, load_frames(results / "cmd.npz"))
    expected = run_quantized(graph, integers)[graph.output.name]
    assert len(expected) == frames
    np.testing.assert_array_equal(np.load(results / "output.npy"), expected)
    np.testing.assert_array_equal(np.load(results / "output_float.npy"), dequantize(graph.output, expected))


def test_pipeline_of_a_small_model(accelsim: Program, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "data.npz").rename(files / "cmd.npz")
    check(pipeline(accelsim, files.folder, monkeypatch), 20)


def test_pipeline_of_the_bundled_model(accelsim: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artefacts = workload_folder("kws12")
    (tmp_path / "lstm.pth").write_bytes((artefacts / "lstm.pth").read_bytes())
    (tmp_path / "cmd.npz").write_bytes((artefacts / "kws12_calib.npz").read_bytes())
    check(pipeline(accelsim, tmp_path, monkeypatch), len(load_frames(artefacts / "kws12_calib.npz")))


def test_pipeline_of_the_vendors_model(
    accelsim: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_data: Path
) -> None:
    kws12 = shared_data / "kws12"
    (tmp_path / "lstm.pth").write_bytes((kws12 / "lstm.pth").read_bytes())
    (tmp_path / "cmd.npz").write_bytes((kws12 / "kws12_calib.npz").read_bytes())
    results = pipeline(accelsim, tmp_path, monkeypatch)
    check(results, 61)
    test = kws12 / "kws12_test.npz"
    printed = json.loads(
        accelsim.ok("run", results / "lstm_quantize_r.cfg", "--input", test, "--outpath", tmp_path / "run", "--json")
    )
    assert printed["frames"] == 490
    assert len(printed["recognition"]["frames"]) == 490


def test_the_same_lines_in_a_process_of_their_own(files: Files) -> None:
    """Without the test's process around it: standard streams, working folder and exit codes are real."""
    (files / "data.npz").rename(files / "cmd.npz")
    (files / "lstm.py").write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    for line, folder in ((QUANT, files.folder), (COMPILE, files / "OUT")):
        command = [sys.executable, "-m", "accelsim.cli", *shlex.split(line)[1:]]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "written: " in done.stdout
        assert "\x1b" not in done.stdout
    assert (files / "OUT" / "lstm_quantize_r.cfg").is_file()
