"""`accelsim run` and `accelsim profile`: files, figures and what is printed are the layers' below."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from accelsim.isa.files import read_program
from accelsim.machine.run import run_program
from accelsim.quant.calibration_data import load_frames
from accelsim.quant.execute import dequantize, quantize_input, run_quantized
from accelsim.quant.onnx_reader import read_quantized_onnx
from tests.support.command_line import CLASSES, FEATURES, FRAMES, STEPS, Files, Program


@pytest.fixture
def expected(files: Files) -> np.ndarray:
    """The quantized graph's output: int8[FRAMES, CLASSES]."""
    graph = read_quantized_onnx(files / "kws_quantize.onnx")
    integers = quantize_input(graph.input, load_frames(files / "data.npz"))
    return run_quantized(graph, integers)[graph.output.name]


@pytest.mark.parametrize("data", ["data.npz", "data.npy", "data.bin", "int8.npy"])
def test_outputs_are_the_quantized_graphs(accelsim: Program, files: Files, expected: np.ndarray, data: str) -> None:
    graph = read_quantized_onnx(files / "kws_quantize.onnx")
    np.save(files / "int8.npy", quantize_input(graph.input, load_frames(files / "data.npz")))
    accelsim.ok("run", files / "kws_quantize_r.cfg", "--input", files / data, "--outpath", files.out)
    output, values = np.load(files.out / "output.npy"), np.load(files.out / "output_float.npy")
    assert output.dtype == np.int8
    assert values.dtype == np.float32
    np.testing.assert_array_equal(output, expected)
    np.testing.assert_array_equal(values, dequantize(graph.output, expected))
    names = sorted(path.name for path in files.out.iterdir())
    assert names == ["output.npy", "output_float.npy", "profile.csv"]


def test_json_has_the_engines_figures(accelsim: Program, files: Files) -> None:
    arguments = ("run", files / "kws_quantize_r.cfg", "--input", files / "data.bin", "--outpath", files.out)
    printed = json.loads(accelsim.ok(*arguments, "--json"))
    program = read_program(files / "kws_quantize_r.cfg")
    zeros = np.zeros((1, STEPS, FEATURES), np.int8)
    cycles = run_program(program, zeros).counters.cycles
    assert printed["cycles"] == cycles
    assert printed["frames"] == FRAMES
    assert printed["time_us"] == pytest.approx(cycles / 400)
    assert 0 < printed["bound_cycles"] <= cycles
    assert [layer["name"] for layer in printed["layers"]][: len(program.layers)] == [one.name for one in program.layers]
    assert sum(layer["cycles"] for layer in printed["layers"]) == cycles
    assert "recognition" not in printed
    assert [Path(path).name for path in printed["files"]] == ["output.npy", "output_float.npy", "profile.csv"]
    rows = list(csv.DictReader((files.out / "profile.csv").read_text().splitlines()))
    assert len(rows) == len(printed["layers"]) + 1


def test_table_has_layers_bound_and_time(accelsim: Program, files: Files) -> None:
    arguments = ("run", files / "kws_quantize_r.cfg", "--input", files / "data.npz", "--outpath", files.out)
    out = accelsim.ok(*arguments)
    printed = json.loads(accelsim.ok(*arguments, "--json"))
    for text in (f"{printed['cycles']:,} cycles a frame", f"lower bound {printed['bound_cycles']:,}", "ratio", "µs"):
        assert text in out
    assert f"all {FRAMES} frames: {FRAMES * printed['cycles']:,} cycles" in out
    for name in ("output.npy", "output_float.npy", "profile.csv"):
        assert f"written: {files.out / name} (" in out


def test_what_was_recognised(accelsim: Program, files: Files, expected: np.ndarray) -> None:
    names = ["yes", "no", "stop"]
    with np.load(files / "data.npz") as archive:
        labels = archive["labels"]
    correct = int((expected.argmax(axis=1) == labels).sum())
    arguments = ("run", files / "kws_quantize_r.cfg", "--input", files / "data.npz", "--outpath", files.out)
    out = accelsim.ok(*arguments)
    assert f"correct: {correct} of {FRAMES} frames; the first 12 are shown" in out
    table = out[out.index("recognised") :].splitlines()[2:14]
    assert [line.split() for line in table] == [
        [str(frame), names[chosen], names[label], "yes" if chosen == label else "no"]
        for frame, (chosen, label) in enumerate(zip(expected.argmax(axis=1)[:12], labels[:12], strict=True))
    ]
    recognition = json.loads(accelsim.ok(*arguments, "--json"))["recognition"]
    assert recognition["correct"] == correct
    assert len(recognition["frames"]) == FRAMES


def test_labels_without_names_are_numbers(accelsim: Program, files: Files) -> None:
    features = load_frames(files / "data.npz")[:2]
    np.savez(files / "few.npz", features=features, labels=np.array([0, 2], np.uint8))
    arguments = ("run", files / "kws_quantize_r.cfg", "--input", files / "few.npz", "--outpath", files.out, "--json")
    frames = json.loads(accelsim.ok(*arguments))["recognition"]["frames"]
    assert [frame["label"] for frame in frames] == ["0", "2"]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.zeros(3, np.int64), "int64 [3] are not one whole number a frame"),
        (np.zeros(2, np.float32), "float32 [2] are not one whole number a frame"),
        (np.array([0, CLASSES]), f"0 to {CLASSES}, where the model has {CLASSES} classes"),
        (np.array([-1, 0]), "-1 to 0"),
    ],
)
def test_labels_that_do_not_fit_are_noted(accelsim: Program, files: Files, labels: np.ndarray, reason: str) -> None:
    np.savez(files / "few.npz", features=load_frames(files / "data.npz")[:2], labels=labels)
    outcome = accelsim("run", files / "kws_quantize_r.cfg", "--input", files / "few.npz", "--outpath", files.out)
    assert outcome.code == 0
    assert "correct:" not in outcome.out
    (line,) = outcome.err.splitlines()
    assert line.startswith("accelsim: note: ")
    assert reason in line


def test_data_without_labels(accelsim: Program, files: Files) -> None:
    np.savez(files / "plain.npz", features=load_frames(files / "data.npz"), others=np.zeros(3))
    arguments = ("run", files / "kws_quantize_r.cfg", "--input", files / "plain.npz", "--outpath", files.out)
    assert "correct:" not in accelsim.ok(*arguments)


@pytest.mark.parametrize(
    ("field", "expected"), [("labels", "one whole number a frame"), ("class_names", "one text a class")]
)
def test_labels_that_are_python_objects(accelsim: Program, files: Files, field: str, expected: str) -> None:
    arrays = {"labels": np.zeros(2, np.int64), "class_names": np.array(["a"] * CLASSES)}
    arrays[field] = arrays[field].astype(object)
    np.savez(files / "few.npz", features=load_frames(files / "data.npz")[:2], **arrays)
    outcome = accelsim("run", files / "kws_quantize_r.cfg", "--input", files / "few.npz", "--outpath", files.out)
    assert outcome.code == 2
    found = "an array of pickled Python objects, which is not opened"
    assert outcome.error == f"{files / 'few.npz'}: {field}: {found}; expected {expected}"
    assert not files.out.exists()


def test_sequences_are_not_classes(accelsim: Program, files: Files) -> None:
    accelsim.ok("quant", "-m", files / "lstm.pth", "-d", files / "data.npz", "--head", "all", "-s", files.folder)
    accelsim.ok("compile", files / "lstm_quantize.onnx", "--outpath", files.folder)
    arguments = ("run", files / "lstm_quantize_r.cfg", "--input", files / "data.npz", "--outpath", files.out)
    assert "correct:" not in accelsim.ok(*arguments)
    assert np.load(files.out / "output.npy").shape == (FRAMES, STEPS, CLASSES)


def test_frames_quantized_beyond_the_range_saturate(accelsim: Program, files: Files) -> None:
    np.save(files / "huge.npy", np.full((1, STEPS, FEATURES), 1e30, np.float32))
    accelsim.ok("run", files / "kws_quantize_r.cfg", "--input", files / "huge.npy", "--outpath", files.out)
    graph = read_quantized_onnx(files / "kws_quantize.onnx")
    saturated = np.full((1, STEPS, FEATURES), 127, np.int8)
    expected = run_quantized(graph, saturated)[graph.output.name]
    np.testing.assert_array_equal(np.load(files.out / "output.npy"), expected)


def test_hazards_are_looked_for(accelsim: Program, files: Files) -> None:
    arguments = ("run", files / "kws_quantize_r.cfg", "--input", files / "data.npz", "--outpath", files.out)
    assert "no hazards" not in accelsim.ok(*arguments)
    assert "no hazards" in accelsim.ok(*arguments, "--check", "hazards")


def test_a_program_that_does_not_wait_has_hazards(accelsim: Program, files: Files) -> None:
    text = accelsim.ok("disasm", files / "kws_quantize_r.cfg")
    racy = re.sub(r"^( *store .*) wait=\S+", r"\1", text, flags=re.MULTILINE)
    assert racy != text
    (files / "racy.asm").write_text(racy)
    accelsim.ok("asm", files / "racy.asm", "--outpath", files.folder)
    outcome = accelsim(
        *("run", files / "racy_r.cfg", "--input", files / "data.npz", "--outpath", files.out, "--check", "hazards")
    )
    assert outcome.code == 2
    assert "hazard" in outcome.error
    assert "store" in outcome.error
    assert not files.out.exists()


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_layouts_are_the_same_for_sequences(accelsim: Program, files: Files, expected: np.ndarray, layout: str) -> None:
    arguments = ("run", files / "kws_quantize_r.cfg", "--input", files / "data.bin", "--outpath", files.out)
    accelsim.ok(*arguments, "-fmt", layout)
    np.testing.assert_array_equal(np.load(files.out / "output.npy"), expected)


def test_chip_named_is_the_programs(accelsim: Program, files: Files) -> None:
    arguments = ("run", files / "kws_quantize_r.cfg", "--input", files / "data.npz", "--outpath", files.out)
    accelsim.ok("--chip", "TX5368AV200", *arguments)
    accelsim.ok(*arguments, "--chip", "tx5368")


def test_profile_needs_no_input(accelsim: Program, files: Files) -> None:
    run = accelsim.ok(
        *("run", files / "kws_quantize_r.cfg", "--input", files / "data.npz", "--outpath", files.out, "--json")
    )
    arguments = ("profile", files / "kws_quantize_r.cfg", "--outpath", files / "profile")
    report = json.loads(accelsim.ok(*arguments, "--json", "--no-plots"))
    assert report["frames"] == 1
    assert report["cycles"] == json.loads(run)["cycles"]
    assert [path.name for path in (files / "profile").iterdir()] == ["profile.csv"]
    out = accelsim.ok(*arguments, "--no-plots")
    for text in ("cycles a frame", "Work of a frame", "Units", "Memories", "Storage in bytes", "capacity"):
        assert text in out


def test_plots(accelsim: Program, files: Files) -> None:
    accelsim.ok("profile", files / "kws_quantize_r.cfg", "--outpath", files / "profile")
    drawn = sorted(path.name for path in (files / "profile").glob("*.png"))
    assert len(drawn) >= 2
    for name in drawn:
        assert (files / "profile" / name).read_bytes().startswith(b"\x89PNG")
    accelsim.ok(
        *("run", files / "kws_quantize_r.cfg", "--input", files / "data.npz", "--outpath", files.out, "--plots")
    )
    assert sorted(path.name for path in files.out.glob("*.png")) == drawn


def test_a_home_that_cannot_be_written(files: Files) -> None:
    """The plots' library says no word about it; nor does the kernels' folder, in tests/unit/jit."""
    (files / "home").write_text("no folder")
    elsewhere = ("MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    command = [sys.executable, "-m", "accelsim.cli", "run", files / "kws_quantize_r.cfg", "--plots"]
    done = subprocess.run(
        [*command, "--input", files / "data.npz", "--outpath", files.out],
        env=environment | {"HOME": str(files / "home")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(files.out.glob("*.png"))) == 6


def test_names_that_look_like_markup(accelsim: Program, files: Files) -> None:
    text = accelsim.ok("disasm", files / "kws_quantize_r.cfg")
    layer = read_program(files / "kws_quantize_r.cfg").layers[0].name
    (files / "odd.asm").write_text(text.replace(f'"{layer}"', '"[bold]x[/red]"'))
    accelsim.ok("asm", files / "odd.asm", "--outpath", files.folder)
    out = accelsim.ok("run", files / "odd_r.cfg", "--input", files / "data.npz", "--outpath", files.out)
    assert "[bold]x[/red]" in out
