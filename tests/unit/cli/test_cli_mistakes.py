"""Every kind of bad input: one clear line, exit code 2, and nothing written."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from accelsim.resources import resource_root
from tests.support.command_line import FEATURES, STEPS, Files, Program, refused
from tests.support.onnx_exports import Net, saved
from tests.support.pth_files import file_of, legacy_bytes, lstm_tensors, named, text


def missing(path: Path) -> None:
    path.unlink()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = [missing, truncated, half, empty, flipped, a_folder]

COMMANDS = {
    "kws_quantize_r.cfg": ("run", "{}/kws_quantize_r.cfg", "--input", "{}/data.npz"),
    "kws_quantize_r.weight": ("run", "{}/kws_quantize_r.cfg", "--input", "{}/data.npz"),
    "data.npz": ("run", "{}/kws_quantize_r.cfg", "--input", "{}/data.npz"),
    "kws_quantize.onnx": ("compile", "{}/kws_quantize.onnx"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", COMMANDS)
def test_damaged_files(accelsim: Program, files: Files, name: str, damage: Callable[[Path], None]) -> None:
    damage(files / name)
    arguments = [part.format(files.folder) for part in COMMANDS[name]]
    assert str(files / name) in refused(accelsim, files, *arguments, "--outpath", files.out)


@pytest.mark.parametrize("damage", [missing, truncated, half, empty, a_folder])
@pytest.mark.parametrize("name", ["kws.onnx", "lstm.pth", "data.npz", "data.npy"])
def test_damaged_models_and_calibration_data(
    accelsim: Program, files: Files, name: str, damage: Callable[[Path], None]
) -> None:
    damage(files / name)
    model = name if name in ("kws.onnx", "lstm.pth") else "kws.onnx"
    data = name if name.startswith("data") else "data.bin"
    if data == "data.bin":
        data = "data.npz"
    error = refused(accelsim, files, "quant", "-m", files / model, "-d", files / data, "-s", files.out)
    assert str(files / name) in error


def test_flipped_bit_in_a_zipped_state_dict(accelsim: Program, files: Files) -> None:
    (files / "zip.pth").write_bytes(file_of(lstm_tensors(np.random.default_rng(0), "", FEATURES, 5), legacy=False))
    flipped(files / "zip.pth")
    error = refused(accelsim, files, "quant", "-m", files / "zip.pth", "-d", files / "data.npz", "-s", files.out)
    assert str(files / "zip.pth") in error


@pytest.mark.parametrize("name", ["kws.onnx", "lstm.pth", "data.npy"])
def test_flipped_bits_where_no_checksum_is(accelsim: Program, files: Files, name: str) -> None:
    """These formats have none: a flipped bit may be another number. It is never a fault of the program."""
    content = (files / name).read_bytes()
    model, data = (files / name, files / "data.npz") if name != "data.npy" else (files / "kws.onnx", files / name)
    rng = np.random.default_rng(4)
    places = [*range(0, 60, 6), *rng.integers(0, len(content), 30)]
    codes = set()
    for place in places:
        altered = bytearray(content)
        altered[place] ^= 1 << int(rng.integers(8))
        (files / name).write_bytes(altered)
        outcome = accelsim("quant", "-m", model, "-d", data, "-s", files.out)
        codes.add(outcome.code)
        assert outcome.code == 0 or outcome.error
    assert codes == {0, 2}


@pytest.mark.parametrize("command", ["disasm", "profile", "rne-profiling"])
def test_damaged_programs_elsewhere(accelsim: Program, files: Files, command: str) -> None:
    flipped(files / "kws_quantize_r.weight")
    more = () if command == "disasm" else ("--outpath", files.out)
    error = refused(accelsim, files, command, "--config", files / "kws_quantize_r.cfg", *more)
    assert str(files / "kws_quantize_r.weight") in error


def test_weights_of_another_program(accelsim: Program, files: Files) -> None:
    accelsim.ok("quant", "-m", files / "lstm.pth", "-d", files / "data.npz", "-s", files.folder)
    accelsim.ok("compile", files / "lstm_quantize.onnx", "--outpath", files.folder)
    error = refused(
        accelsim, files, *("run", files / "kws_quantize_r.cfg", "--weight", files / "lstm_quantize_r.weight"),
        *("--input", files / "data.npz", "--outpath", files.out),
    )  # fmt: skip
    assert "the weights of another program?" in error


FRAMES = {
    "shape": (np.zeros((3, STEPS, FEATURES + 1), np.float32), f"[3, {STEPS}, {FEATURES + 1}]"),
    "no frame axis": (np.zeros((STEPS, FEATURES), np.float32), f"[{STEPS}, {FEATURES}]"),
    "no frames": (np.zeros((0, STEPS, FEATURES), np.float32), f"[0, {STEPS}, {FEATURES}]"),
    "float64": (np.zeros((3, STEPS, FEATURES)), "type float64; expected float32"),
    "int32": (np.zeros((3, STEPS, FEATURES), np.int32), "int32"),
    "complex": (np.zeros((3, STEPS, FEATURES), np.complex64), "complex64"),
    "NaN": (np.full((3, STEPS, FEATURES), np.nan, np.float32), "nan"),
    "infinite": (np.full((3, STEPS, FEATURES), np.inf, np.float32), "inf"),
}


@pytest.mark.parametrize("case", FRAMES)
@pytest.mark.parametrize("command", ["run", "quant"])
def test_frames_that_do_not_fit(accelsim: Program, files: Files, case: str, command: str) -> None:
    frames, text = FRAMES[case]
    np.save(files / "bad.npy", frames)
    if command == "run":
        arguments = ("run", files / "kws_quantize_r.cfg", "--input", files / "bad.npy", "--outpath", files.out)
    else:
        arguments = ("quant", "-m", files / "kws.onnx", "-d", files / "bad.npy", "-s", files.out)
    error = refused(accelsim, files, *arguments)
    assert str(files / "bad.npy") in error
    assert text in error


def test_data_of_another_length(accelsim: Program, files: Files) -> None:
    np.save(files / "bad.npy", np.zeros((3, STEPS + 2, FEATURES), np.float32))
    error = refused(accelsim, files, "quant", "-m", files / "kws.onnx", "-d", files / "bad.npy", "-s", files.out)
    assert error == f"{files / 'bad.npy'}: frames of {STEPS + 2} time steps; expected {STEPS}, as the model says"


def test_length_given_that_is_not_the_models(accelsim: Program, files: Files) -> None:
    arguments = ("quant", "-m", files / "kws.onnx", "-d", files / "data.npz", "-s", files.out, "--timesteps", 9)
    assert f"timesteps: 9; expected {STEPS}, as the model says" in refused(accelsim, files, *arguments)


def test_length_given_that_is_not_the_datas(accelsim: Program, files: Files) -> None:
    arguments = ("quant", "-m", files / "lstm.pth", "-d", files / "data.npz", "-s", files.out, "--timesteps", 9)
    error = refused(accelsim, files, *arguments)
    assert f"shape [20, {STEPS}, {FEATURES}]; expected [N, 9, {FEATURES}], as {files / 'lstm.pth'} says" in error


def test_frames_without_time_for_a_state_dict(accelsim: Program, files: Files) -> None:
    np.save(files / "flat.npy", np.zeros((3, FEATURES), np.float32))
    error = refused(accelsim, files, "quant", "-m", files / "lstm.pth", "-d", files / "flat.npy", "-s", files.out)
    assert "[N, T, F]" in error


def test_raw_input_that_is_no_whole_number_of_frames(accelsim: Program, files: Files) -> None:
    truncated(files / "data.bin")
    error = refused(
        accelsim, files, *("run", files / "kws_quantize_r.cfg", "--input", files / "data.bin", "--outpath", files.out)
    )
    assert f"a multiple of {4 * STEPS * FEATURES}" in error


@pytest.mark.parametrize("command", ["quant", "run", "make-input"])
def test_pickles_are_not_opened(accelsim: Program, files: Files, command: str) -> None:
    (files / "data.pkl").write_bytes(b"cos\nsystem\n(S'touch proof'\ntR.")
    arguments = {
        "quant": ("quant", "-m", files / "kws.onnx", "-d", files / "data.pkl"),
        "run": ("run", files / "kws_quantize_r.cfg", "--input", files / "data.pkl"),
        "make-input": ("make-input", "--input", files / "data.pkl"),
    }[command]
    assert ".npz" in refused(accelsim, files, *arguments, "--outpath", files.out)


def test_key_that_is_not_there(accelsim: Program, files: Files) -> None:
    arguments = ("run", files / "kws_quantize_r.cfg", "--input", files / "data.npz", "--outpath", files.out)
    error = refused(accelsim, files, *arguments, "--input-key", "frames")
    assert "no array 'frames'; expected one of: class_names, features, labels" in error


def test_chip_file_with_a_typo(accelsim: Program, files: Files) -> None:
    content = (resource_root() / "configs" / "tx5368.toml").read_text()
    (files / "mine.toml").write_text(content.replace("lanes = 32", "lames = 32"))
    outcome = accelsim("compile", files / "kws_quantize.onnx", "--chip", files / "mine.toml", "--outpath", files.out)
    assert outcome.code == 2
    lines = outcome.err.splitlines()
    assert all(line.startswith(f"accelsim: error: {files / 'mine.toml'}: vector.la") for line in lines)
    assert any("nearest: vector.lanes" in line for line in lines)
    assert not files.out.exists()


@pytest.mark.parametrize("command", ["compile", "quant", "run", "profile"])
def test_unknown_chip(accelsim: Program, files: Files, command: str) -> None:
    arguments: dict[str, tuple[object, ...]] = {
        "compile": ("compile", files / "kws_quantize.onnx"),
        "quant": ("quant", "-m", files / "kws.onnx", "-d", files / "data.npz"),
        "run": ("run", files / "kws_quantize_r.cfg", "--input", files / "data.npz"),
        "profile": ("profile", files / "kws_quantize_r.cfg"),
    }
    error = refused(accelsim, files, "--chip", "tx5386", *arguments[command], "--outpath", files.out)
    assert "no chip named 'tx5386' (nearest: tx5368)" in error


@pytest.mark.parametrize("command", ["run", "profile"])
def test_program_of_another_chip(accelsim: Program, files: Files, command: str) -> None:
    data = ("--input", files / "data.npz") if command == "run" else ()
    arguments = (command, files / "kws_quantize_r.cfg", *data, "--outpath", files.out)
    error = refused(accelsim, files, "--chip", "tx5368-small", *arguments)
    assert "compiled for chip tx5368; expected tx5368-small, as --chip says" in error
    changed = (resource_root() / "configs" / "tx5368.toml").read_text().replace("lanes = 32", "lanes = 16")
    (files / "mine.toml").write_text(changed)
    error = refused(accelsim, files, *arguments, "--chip", files / "mine.toml")
    assert "described by other figures then" in error


def test_state_dict_with_a_forbidden_global(accelsim: Program, files: Files) -> None:
    proof = files / "proof"
    pickled = b"\x80\x02" + named("os", "system") + b"(" + text(f"touch {proof}") + b"tR."
    (files / "evil.pth").write_bytes(legacy_bytes(pickled, {}))
    error = refused(accelsim, files, "quant", "-m", files / "evil.pth", "-d", files / "data.npz", "-s", files.out)
    assert "os.system" in error
    assert not proof.exists()


def test_state_dict_of_another_network(accelsim: Program, files: Files) -> None:
    """Five rows of gates a unit are neither an LSTM's four, a GRU's three nor an RNN's one."""
    (files / "odd.pth").write_bytes(file_of(lstm_tensors(np.random.default_rng(0), "odd.", FEATURES, 5, gates=5)))
    error = refused(accelsim, files, "quant", "-m", files / "odd.pth", "-d", files / "data.npz", "-s", files.out)
    assert "odd.weight_hh_l0" in error or "odd.weight_ih_l0" in error


@pytest.mark.parametrize("operator", ["Softsign", "Frobnicate"])
def test_operators_that_are_not_supported(accelsim: Program, files: Files, operator: str) -> None:
    net = Net(np.random.default_rng(0))
    y = net.node(operator, ["x"])
    graph = helper.make_graph(
        net.nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", STEPS, FEATURES])],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, [None] * 3)],
        net.initializers,
    )
    saved(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), files.folder, "odd.onnx")
    error = refused(accelsim, files, "quant", "-m", files / "odd.onnx", "-d", files / "data.npz", "-s", files.out)
    assert f"operator {operator}" in error


@pytest.mark.parametrize("name", ["kws.onnx", "lstm.pth"])
def test_float_models_are_quantized_first(accelsim: Program, files: Files, name: str) -> None:
    error = refused(accelsim, files, "compile", "--onnx", files / name, "--outpath", files.out)
    assert f"accelsim quant --model {files / name}" in error


def test_quantized_models_are_not_quantized_again(accelsim: Program, files: Files) -> None:
    arguments = ("quant", "-m", files / "kws_quantize.onnx", "-d", files / "data.npz", "-s", files.out)
    assert "quantized already" in refused(accelsim, files, *arguments)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("-m", "gru", "-f", "pytorch", "-w", "{}/lstm.pth"), "belongs to a lstm network; expected gru"),
        (("-m", "blstm", "-w", "{}/lstm.pth"), "belongs to a lstm network; expected blstm"),
        (("-m", "brnn", "-f", "pytorch"), "--weights: missing: --model brnn is a name, not a file"),
        (("-m", "cnn", "-f", "pytorch", "-w", "{}/lstm.pth"), "'cnn' is no kind of network; expected lstm, blstm, gru"),
        (("-m", "lstm", "-f", "pytorch"), "--weights: missing: --model lstm is a name, not a file"),
        (("-m", "lstm"), "--weights: missing"),
        (("-m", "kws"), "--model: 'kws' is no model file; expected .onnx or .pth"),
        (("-m", "kws", "-f", "tensorflow"), "--framework: tensorflow is not supported"),
        (("-m", "kws", "-f", "caffe", "-w", "kws.caffemodel"), "--framework: caffe is not supported"),
        (("-m", "kws", "-w", "kws.h5"), "suffix '.h5' names no framework"),
        (("-m", "{}/kws.onnx", "--percentile", "99"), "--percentile: given with --method min_max"),
        (("-m", "{}/kws.onnx", "-b", "16"), "--bit-width: 16 is not supported; expected 8"),
        (("-m", "{}/kws.onnx", "-i", "21"), "batches: 21; expected 1 to 20"),
        (("-m", "{}/kws.onnx", "--cell-clip", "1e-30"), "cell clip: 1e-30; expected at least"),
        (("-m", "{}/kws.onnx", "--cell-clip", "nan"), "cell clip: nan; expected 0 (none) or a positive float32"),
        (("-m", "{}/kws.onnx", "-uds", "{}/none.py"), "none.py: no such file; expected the script's file"),
        (("-m", "{}/kws.onnx", "-uds", "{}"), ": is no file; expected the script's file"),
    ],
)
def test_options_that_make_no_sense(accelsim: Program, files: Files, options: tuple[str, ...], expected: str) -> None:
    filled = [option.format(files.folder) for option in options]
    assert expected in refused(accelsim, files, "quant", *filled, "-d", files / "data.npz", "-s", files.out)


def test_disassembly_into_a_missing_folder(accelsim: Program, files: Files) -> None:
    arguments = ("disasm", files / "kws_quantize_r.cfg", "-o", files / "nowhere" / "a.asm")
    assert str(files / "nowhere") in refused(accelsim, files, *arguments)


def test_assembly_errors_name_the_line(accelsim: Program, files: Files) -> None:
    (files / "bad.asm").write_text(".chip tx5368\nfrobnicate\n")
    error = refused(accelsim, files, "asm", files / "bad.asm", "--outpath", files.out)
    assert error.startswith(f"{files / 'bad.asm'}:2: frobnicate")


def test_warnings_of_libraries_do_not_stand_before_the_error(files: Files) -> None:
    """Weights beyond all bounds make numpy warn of an overflow on the way to our one line."""
    tensors = lstm_tensors(np.random.default_rng(0), "lstm.", FEATURES, 5)
    tensors["lstm.weight_ih_l0"] = tensors["lstm.weight_ih_l0"] * np.float32(1e37)
    (files / "huge.pth").write_bytes(file_of(tensors))
    command = [sys.executable, "-m", "accelsim.cli", "quant", "-m", files / "huge.pth", "-d", files / "data.npz"]
    result = subprocess.run([*command, "-s", files.out], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1, result.stderr


def test_a_name_that_is_not_utf_8(accelsim: Program, files: Files) -> None:
    """It gets into files that are UTF-8."""
    name = str(files / "kws") + "\udcff\udcfe.onnx"
    error = refused(accelsim, files, "compile", name, "--outpath", files.out)
    assert error.startswith("the argument '")
    assert error.endswith(r"kws\udcff\udcfe.onnx' is not UTF-8 text")


@pytest.mark.parametrize(
    "arguments",
    [
        ("chips", "{}/deep.toml"),
        ("energy", "{}/deep.toml"),
        ("compile", "{}/kws_quantize.onnx", "--chip", "{}/deep.toml", "--outpath", "{}/out"),
        ("sweep", "--file", "{}/deep.toml", "--out", "{}/out"),
    ],
)
@pytest.mark.parametrize(
    ("text", "expected"),
    [("x = " + 3000 * "[" + 3000 * "]", "it nests too deeply"), ("x = 1" + 5000 * "0", "Exceeds the limit")],
)
def test_toml_that_python_can_not_follow(
    accelsim: Program, files: Files, arguments: tuple[str, ...], text: str, expected: str
) -> None:
    (files / "deep.toml").write_text(text)
    error = refused(accelsim, files, *(one.format(files.folder) for one in arguments))
    assert error.startswith(f"{files / 'deep.toml'}: not TOML: {expected}")


@pytest.mark.parametrize("command", ["run", "profile", "diff"])
def test_a_closed_standard_error_is_no_mistake(files: Files, command: str) -> None:
    program = str(files / "kws_quantize_r.cfg")
    more = {"run": ["-i", str(files / "data.npz")], "profile": ["--no-plots"], "diff": [program]}[command]
    outpath = [] if command == "diff" else ["--outpath", str(files.out)]
    words = [sys.executable, "-m", "accelsim.cli", command, program, *more, *outpath]
    result = subprocess.run(f"{shlex.join(words)} 2>&-", shell=True, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
