"""The vendor's keyword LSTM from end to end through the command line, judged by ONNX Runtime on all test clips."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from accelsim.cli import main
from accelsim.isa.files import read_program
from accelsim.quant.execute import dequantize
from accelsim.quant.onnx_reader import read_quantized_onnx


@pytest.fixture(scope="module")
def results(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """The folder with everything the vendor's flow writes, and `run`'s JSON."""
    out = tmp_path_factory.mktemp("vendor")
    data = shared_data / "kws12"

    def run(*words: object) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert main([str(word) for word in words]) == 0
        return printed.getvalue()

    calibration, test = data / "kws12_calib.npz", data / "kws12_test.npz"
    run(
        "quant",
        "-m",
        "lstm",
        "-f",
        "pytorch",
        "-w",
        data / "lstm.pth",
        "-d",
        calibration,
        "-i",
        61,
        "-qm",
        "min_max",
        "-s",
        out,
    )
    run("compile", "--onnx", out / "lstm_quantize.onnx", "--outpath", out)
    printed = run("run", out / "lstm_quantize_r.cfg", "--input", test, "--outpath", out, "--json", "--check", "hazards")
    return out, json.loads(printed)


def test_every_byte_equals_onnx_runtime(results: tuple[Path, dict[str, object]], shared_data: Path) -> None:
    out, _ = results
    features = np.load(shared_data / "kws12" / "kws12_test.npz")["features"]
    assert len(features) == 490
    session = onnxruntime.InferenceSession(out / "lstm_quantize.onnx", providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {session.get_inputs()[0].name: features})
    assert np.load(out / "output_float.npy").tobytes() == expected.tobytes()
    integers = np.load(out / "output.npy")
    assert integers.dtype == np.int8
    quantized = read_quantized_onnx(out / "lstm_quantize.onnx")
    assert dequantize(quantized.output, integers).tobytes() == expected.tobytes()


def test_classes(results: tuple[Path, dict[str, object]], shared_data: Path) -> None:
    data = np.load(shared_data / "kws12" / "kws12_test.npz")
    classes = np.load(results[0] / "output.npy").argmax(axis=1)
    assert (classes == data["float_logits"].argmax(axis=1)).mean() >= 0.97
    keywords = data["groups"] == "keyword"
    assert keywords.sum() == 137
    assert (classes == data["labels"])[keywords].sum() >= 117


def test_weights_are_read_once(results: tuple[Path, dict[str, object]]) -> None:
    """DRAM gives the image and the input once and no more; what little of it is not read fills up for alignment."""
    out, report = results
    memory = report["memory"]
    assert isinstance(memory, dict)
    program = read_program(out / "lstm_quantize_r.cfg")
    everything = len(program.image) + program.inputs[0].bytes
    layers = read_quantized_onnx(out / "lstm_quantize.onnx").layers
    arrays = [vars(layer).get(name) for layer in layers for name in ("weights", "input_weights", "recurrent_weights")]
    smallest = min(array.nbytes for array in arrays if array is not None)
    read = memory["dram"]["read_bytes"]
    assert everything - smallest < read <= everything
    assert memory["dram"]["written_bytes"] == program.outputs[0].bytes


def test_cycles(results: tuple[Path, dict[str, object]]) -> None:
    _, report = results
    cycles, bound = report["cycles"], report["bound_cycles"]
    assert isinstance(cycles, int)
    assert isinstance(bound, int)
    assert bound <= cycles <= 1.6 * bound
