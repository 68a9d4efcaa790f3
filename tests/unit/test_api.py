"""The package as a Python program sees it: light to import, typed, and one line for each mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import accelsim
from accelsim.errors import InputError
from accelsim.frontend.pytorch import load_pytorch
from accelsim.isa.files import write_program
from accelsim.quant.calibration_data import load_frames
from accelsim.quant.execute import quantize_input, run_quantized
from accelsim.quant.onnx_writer import write_quantized_onnx
from accelsim.quant.quantize import QuantizationResult
from tests.support.pth_files import file_of, linear_tensors, lstm_tensors

ROOT = Path(__file__).resolve().parents[2]
STEPS, FEATURES, UNITS, CLASSES, FRAMES = 4, 6, 5, 3, 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    rng = np.random.default_rng(5)
    tensors = lstm_tensors(rng, "lstm.", FEATURES, UNITS, layers=2) | linear_tensors(rng, "fc.", UNITS, CLASSES)
    (folder / "lstm.pth").write_bytes(file_of(tensors))
    np.savez(folder / "data.npz", features=rng.normal(size=(FRAMES, STEPS, FEATURES)).astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def frames(folder: Path) -> np.ndarray:
    return load_frames(folder / "data.npz")


@pytest.fixture(scope="module")
def quantized(folder: Path, frames: np.ndarray) -> QuantizationResult:
    found = accelsim.quantize(folder / "lstm.pth", frames)
    write_quantized_onnx(found.qgraph, folder / "lstm_quantize.onnx")
    return found


@pytest.fixture(scope="module")
def program(quantized: QuantizationResult) -> accelsim.Program:
    return accelsim.compile(quantized, accelsim.load_chip("tx5368-small"))


def test_values_and_cycles(quantized: QuantizationResult, program: accelsim.Program, frames: np.ndarray) -> None:
    result = accelsim.run(program, frames)
    graph = quantized.qgraph
    inputs = quantize_input(graph.input, frames)
    expected = run_quantized(graph, inputs)[graph.output.name]
    assert result.output.dtype == np.int8
    np.testing.assert_array_equal(result.output, expected)
    assert result.output_float.dtype == np.float32
    scale, zero_point = graph.output.scale, graph.output.zero_point
    np.testing.assert_array_equal(result.output_float, (expected.astype(np.float32) - zero_point) * scale)
    np.testing.assert_array_equal(accelsim.run(program, inputs).output, expected)
    timing = accelsim.time(program)
    assert timing.cycles == result.cycles == accelsim.time(program, engine="reference").cycles > 0
    assert result.profile.frames == FRAMES
    assert result.time_us == result.cycles / program.chip.chip.clock_mhz


def test_layers_are_a_frame_that_adds_up(program: accelsim.Program) -> None:
    timing = accelsim.time(program)
    assert list(timing.layers["layer"]) == [*(layer.name for layer in program.layers), "(program)"]
    assert timing.layers["cycles"].sum() == timing.cycles
    causes = [name for name in timing.layers.columns if name.startswith("cause_")]
    assert (timing.layers[causes].sum(axis=1) == timing.layers["cycles"]).all()
    assert timing.layers["dram_read_bytes"].sum() == timing.counters.traffic[0].sum()
    assert timing.plot().axes


def test_files_in_place_of_objects(
    folder: Path, quantized: QuantizationResult, program: accelsim.Program, frames: np.ndarray
) -> None:
    from_file = accelsim.compile(str(folder / "lstm_quantize.onnx"), "tx5368-small")
    assert from_file.words == program.words == accelsim.compile(quantized.qgraph, program.chip).words
    cfg, _ = write_program(program, folder, "lstm")
    np.save(folder / "data.npy", frames)
    frames.astype("<f4").tofile(folder / "data.bin")
    expected = accelsim.run(program, frames).output
    for name in ("data.npz", "data.npy", "data.bin"):
        np.testing.assert_array_equal(accelsim.run(cfg, folder / name).output, expected)
    assert accelsim.load_program(cfg).words == program.words
    assert accelsim.time(str(cfg)).cycles == accelsim.time(program).cycles
    by_path = accelsim.quantize(folder / "lstm.pth", folder / "data.npz").qgraph
    by_graph = accelsim.quantize(load_pytorch(folder / "lstm.pth", timesteps=STEPS), frames).qgraph
    for graph in (by_path, by_graph):
        assert accelsim.compile(graph, program.chip).image == program.image


def test_another_chip_schedule_and_batch(quantized: QuantizationResult, program: accelsim.Program) -> None:
    wider = accelsim.compile(quantized, program.chip.with_(mac_columns=program.chip.mac.columns // 2))
    assert wider.chip.mac.columns == program.chip.mac.columns // 2
    stepwise = accelsim.compile(quantized, program.chip, schedule="stepwise", batch=2)
    assert stepwise.schedule.startswith("stepwise")
    assert stepwise.batch == 2


def mistakes(folder: Path, program: accelsim.Program) -> dict[str, object]:
    """By the line that is expected, with the folder written as FOLDER, what a caller got wrong."""
    ones = np.ones((2, STEPS, FEATURES), np.float32)
    shape = f"[N, {STEPS}, {FEATURES}]"
    return {
        f"x: float64[2, {STEPS}, {FEATURES}]; expected float32 or int8, converted by you": (
            lambda: accelsim.run(program, ones.astype(np.float64))  # type: ignore[arg-type]
        ),
        f"x: float32[{STEPS}, {FEATURES}]; expected {shape}, the frames first": lambda: accelsim.run(program, ones[0]),
        f"x: float32[2, {STEPS}, 2]; expected {shape}, the frames first": lambda: accelsim.run(program, ones[..., :2]),
        f"x: no values: float32[0, {STEPS}, {FEATURES}]; expected at least one frame": (
            lambda: accelsim.run(program, ones[:0])
        ),
        "x: nan at index [0, 0, 0] (48 in all); expected finite numbers": lambda: accelsim.run(program, ones * np.nan),
        "x: found list; expected a float32 or int8 array, or the path of a file": (
            lambda: accelsim.run(program, [1, 2])  # type: ignore[arg-type]
        ),
        "FOLDER/missing.npz: no such file; expected a readable file": lambda: accelsim.run(
            program, folder / "missing.npz"
        ),
        "program: found int; expected a Program, or the path of a file": (
            lambda: accelsim.time(3)  # type: ignore[arg-type]
        ),
        "engine: found 'slow'; expected fast or reference": (
            lambda: accelsim.time(program, engine="slow")  # type: ignore[arg-type]
        ),
        "model: found NoneType; expected a QGraph, or the path of a file": (
            lambda: accelsim.compile(None, program.chip)  # type: ignore[arg-type]
        ),
        "FOLDER/lstm.pth: a float model; expected what accelsim.quantize(model, data) returns": (
            lambda: accelsim.compile(folder / "lstm.pth", program.chip)
        ),
        "chip: found int; expected a Chip, or the path of a file": (
            lambda: accelsim.compile(folder / "lstm_quantize.onnx", 5)  # type: ignore[arg-type]
        ),
        "data: float32[6]; expected float32 [N, T, F], frames of T time steps": (
            lambda: accelsim.quantize(folder / "lstm.pth", np.ones(6, np.float32))
        ),
        "data: int8[6]; expected float32, converted by you": (
            lambda: accelsim.quantize(folder / "lstm.pth", np.ones(6, np.int8))  # type: ignore[arg-type]
        ),
        f"data: float32[2, {STEPS}, 2]; expected float32 {shape}, as the model says": (
            lambda: accelsim.quantize(folder / "lstm.pth", ones[..., :2])
        ),
    }


def test_mistakes(folder: Path, program: accelsim.Program) -> None:
    for expected, call in mistakes(folder, program).items():
        with pytest.raises(InputError) as caught:
            call()  # type: ignore[operator]
        assert str(caught.value).replace(str(folder), "FOLDER") == expected


def test_other_mistakes_say_what_those_below_say(folder: Path, quantized: QuantizationResult) -> None:
    for call, words in (
        (lambda: accelsim.compile(quantized, "tx5369"), "nearest: tx5368"),
        (lambda: accelsim.compile(quantized, schedule="fast"), "fast"),  # type: ignore[arg-type]
        (lambda: accelsim.compile(quantized, batch=0), "batch"),
        (lambda: accelsim.quantize(folder / "lstm.pth", folder / "data.npz", method="best"), "best"),  # type: ignore[arg-type]
        (lambda: accelsim.load_program(folder / "none.cfg"), "none.cfg"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_names_of_the_package() -> None:
    assert set(accelsim.__all__) <= set(dir(accelsim))
    for name in accelsim.__all__:
        assert getattr(accelsim, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'compiles'"):
        accelsim.compiles  # type: ignore[attr-defined]  # noqa: B018


def test_no_name_is_also_a_subpackage() -> None:
    """Importing a subpackage sets an attribute of its name, which would hide a function."""
    inside = {path.stem for path in (ROOT / "accelsim").iterdir()}
    assert not inside & set(accelsim.__all__)


def test_a_type_checker_sees_the_names(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(
        "import accelsim\n"
        'chip = accelsim.load_chip("tx5368").with_(mac_rows=32)\n'
        'program = accelsim.compile("m.onnx", chip)\n'
        'result = accelsim.run(program, "x.npz")\n'
        "reveal_type(chip)\n"
        "reveal_type(program)\n"
        "reveal_type(result.output)\n"
        "reveal_type(result.layers)\n"
        "accelsim.run(program, 3)\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "user.py")]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    for expected in (
        'Revealed type is "accelsim.chip.model.Chip"',
        'Revealed type is "accelsim.isa.program.Program"',
        "dtype[numpy.signedinteger[numpy._typing._nbit_base._8Bit]]]",
        "DataFrame",
        'Argument 2 to "run" has incompatible type "int"',
        "Found 1 error in 1 file",
    ):
        assert expected in told, told
