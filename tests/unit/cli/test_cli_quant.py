"""`accelsim quant`: both forms of naming a model, what it prints, and that the file is the quantizer's."""

from __future__ import annotations

import json

import numpy as np
import pytest
from onnx import TensorProto, helper

from accelsim.cli.commands.quant import METHODS
from accelsim.frontend.pytorch import load_pytorch
from accelsim.quant import observers
from accelsim.quant.calibration_data import load_frames
from accelsim.quant.onnx_reader import read_quantized_onnx
from accelsim.quant.quantize import quantize
from tests.support.command_line import CLASSES, FEATURES, FRAMES, STEPS, Files, Program
from tests.support.onnx_exports import Form, legacy_export, saved
from tests.support.quantized_graphs import difference


def test_final_states_beside_the_result_are_left_out_and_told(accelsim: Program, files: Files) -> None:
    model = legacy_export(Form(steps=STEPS, inputs=FEATURES, units=3, head="all"), 0)
    states = next(node for node in model.graph.node if node.op_type == "LSTM").output[1:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 3) for name in states)
    saved(model, files.folder, "bare.onnx")
    arguments = ("quant", "-m", files / "bare.onnx", "-d", files / "data.npz", "-s", files.out)
    outcome = accelsim(*arguments)
    assert outcome.code == 0
    names, kept = ", ".join(map(repr, states)), model.graph.output[0].name
    told = f"left out, being final states of recurrent layers: {names}; what is kept is {kept!r}"
    assert f"accelsim: note: {files / 'bare.onnx'}: {told}\n" in outcome.err
    assert json.loads(accelsim.ok(*arguments, "--json"))["left_out"] == list(states)
    assert read_quantized_onnx(files.out / "bare_quantize.onnx").output.name == kept


def test_methods_offered_are_the_quantizers() -> None:
    assert observers.METHODS == METHODS


def test_file_is_what_the_quantizer_makes(accelsim: Program, files: Files) -> None:
    out = accelsim.ok("quant", "--model", files / "lstm.pth", "--data", files / "data.npz", "--outpath", files.out)
    features = load_frames(files / "data.npz")
    expected = quantize(load_pytorch(files / "lstm.pth", timesteps=STEPS), features)
    assert difference(read_quantized_onnx(files.out / "lstm_quantize.onnx"), expected.qgraph) == ""
    assert f"same class as the float model: {expected.report.same_class} of {FRAMES}" in out
    assert str(files.out / "lstm_quantize.onnx") in out
    for row in expected.report.rows():
        assert row[3] in out


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("-m", "{}/kws.onnx"), "kws"),
        (("-m", "{}/kws.onnx", "-f", "onnx"), "kws"),
        (("-m", "words", "-w", "{}/kws.onnx"), "words"),
        (("onnx", "-m", "words", "-w", "{}/kws.onnx", "-f", "onnx"), "words"),
        (("-m", "{}/lstm.pth"), "lstm"),
        (("-m", "lstm", "-w", "{}/lstm.pth"), "lstm"),
        (("-m", "{}/lstm.pth", "-f", "pytorch"), "lstm"),
    ],
)
def test_ways_to_name_a_model(accelsim: Program, files: Files, arguments: tuple[str, ...], name: str) -> None:
    filled = [argument.format(files.folder) for argument in arguments]
    accelsim.ok("quant", *filled, "-d", files / "data.npy", "-s", files.out)
    assert [path.name for path in files.out.iterdir()] == [f"{name}_quantize.onnx"]
    assert read_quantized_onnx(files.out / f"{name}_quantize.onnx").input.shape == (STEPS, FEATURES)


def test_json(accelsim: Program, files: Files) -> None:
    out = accelsim.ok(
        "quant", "-m", files / "kws.onnx", "-d", files / "data.npz", "-i", 3, "-bs", 2, "-s", files.out, "--json"
    )
    report = json.loads(out)
    assert (report["frames"], report["frames_in_data"]) == (6, FRAMES)
    assert report["equalized"] is True
    assert len(report["input_scales"]) == FEATURES
    assert report["files"] == [str(files.out / "kws_quantize.onnx")]


def test_options_reach_the_quantizer(accelsim: Program, files: Files) -> None:
    accelsim.ok(
        *("quant", "-m", files / "lstm.pth", "-d", files / "data.npz", "-s", files.out),
        *("-qm", "percentile", "--percentile", 99, "--no-equalize", "--cell-clip", 0.5, "--head", "all"),
    )
    graph = load_pytorch(files / "lstm.pth", timesteps=STEPS, head="all")
    features = load_frames(files / "data.npz")
    expected = quantize(graph, features, method="percentile", percentile=99, equalize=False, cell_clip=0.5).qgraph
    assert expected.output.shape == (STEPS, CLASSES)
    assert difference(read_quantized_onnx(files.out / "lstm_quantize.onnx"), expected) == ""


def test_one_scale_is_reported(accelsim: Program, files: Files) -> None:
    common = ("quant", "-m", files / "kws.onnx", "-d", files / "data.npz", "-s", files.out)
    assert "input scales, one a feature" in accelsim.ok(*common)
    assert "input scale, the same for every feature" in accelsim.ok(*common, "--no-equalize")


@pytest.mark.parametrize(("batches", "held", "told"), [(9, 20, True), (10, 20, False), (100, 300, False)])
def test_few_of_many_frames_are_told(accelsim: Program, files: Files, batches: int, held: int, told: bool) -> None:
    """Less than half of the data, unless it is a good number all the same."""
    np.save(files / "more.npy", np.resize(load_frames(files / "data.npz"), (held, STEPS, FEATURES)))
    outcome = accelsim("quant", "-m", files / "kws.onnx", "-d", files / "more.npy", "-i", batches, "-s", files.out)
    assert outcome.code == 0
    assert f": {batches} calibration frames of {held}, method" in outcome.out
    line = f"{files / 'more.npy'}: {batches} of {held} frames are used to calibrate; more of them usually fit better"
    assert outcome.err == (f"accelsim: note: {line}\n" if told else "")


def test_all_frames_are_not_counted_twice(accelsim: Program, files: Files) -> None:
    out = accelsim.ok("quant", "-m", files / "kws.onnx", "-d", files / "data.npz", "-s", files.out)
    assert f": {FRAMES} calibration frames, method" in out


def test_scripts_are_noted_and_not_run(accelsim: Program, files: Files) -> None:
    script = files / "lstm.py"
    script.write_text(f"open({str(files / 'proof')!r}, 'w').close()\n")
    outcome = accelsim(
        *("quant", "onnx", "-m", "lstm", "-w", files / "lstm.pth", "-f", "pytorch", "-d", files / "data.npz"),
        *("-s", files.out, "-uds", script, "-if", "infer"),
    )
    assert outcome.code == 0
    assert not (files / "proof").exists()
    (line,) = outcome.err.splitlines()
    assert line.startswith("accelsim: note: ")
    assert "never executed" in line


def test_open_length_is_taken_from_the_data(accelsim: Program, files: Files) -> None:
    form = Form(open_time=True, inputs=FEATURES)
    saved(legacy_export(form, 5), files.folder, "open.onnx")
    accelsim.ok("quant", "-m", files / "open.onnx", "-d", files / "data.npz", "-s", files.out)
    assert read_quantized_onnx(files.out / "open_quantize.onnx").input.shape == (STEPS, FEATURES)


def test_named_array(accelsim: Program, files: Files) -> None:
    np.savez(files / "two.npz", a=np.zeros((2, 3), np.float32), b=load_frames(files / "data.npz"))
    arguments = ("quant", "-m", files / "kws.onnx", "-d", files / "two.npz", "-s", files.out)
    assert "expected the name of one of: a, b" in accelsim(*arguments).error
    accelsim.ok(*arguments, "--input-key", "b")
