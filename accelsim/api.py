"""What a Python program or a notebook calls: quantize, compile, run, time, and look at the result.

The names here are attributes of the package as well: ``accelsim.run(program, x)``. Each mistake of the caller is an
`accelsim.InputError` with one line of text, as on the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from accelsim.chip import Chip, load_chip
from accelsim.errors import InputError
from accelsim.graph.model import Graph
from accelsim.isa.program import Program
from accelsim.machine.run import Engine
from accelsim.profile import Profile
from accelsim.quant.model import QGraph, QTensor
from accelsim.quant.observers import DEFAULT_PERCENTILE, Method
from accelsim.quant.quantize import QuantizationResult
from accelsim.timing.record import Counters

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Schedule: TypeAlias = Literal["auto", "stepwise", "wavefront", "hoisted", "interleaved"]
Frames: TypeAlias = NDArray[np.float32] | NDArray[np.int8] | str | Path

_FLOAT_SUFFIXES = (".pth", ".pt")


@dataclass(frozen=True, eq=False)
class Timing:
    """The cycles of a program, and what they were spent on; all of one frame, or of one batch of them.

    Parameters
    ----------
    program : Program
    counters : Counters
        The engine's books.
    profile : Profile
        What they say, with units and lower bound.
    """

    program: Program
    counters: Counters
    profile: Profile

    @property
    def cycles(self) -> int:
        """Length of the run, in cycles of the chip's clock."""
        return self.profile.cycles

    @property
    def time_us(self) -> float:
        """Length of the run, in microseconds."""
        return self.profile.time_us

    @cached_property
    def layers(self) -> pd.DataFrame:
        """A row a layer, and one for what is of no layer; a column's name ends in its unit.

        The columns are those of `profile.csv`: ``layer``, ``kind``, ``cycles``, ``time_us``, ``cause_*_cycles``,
        ``macs``, ``dram_read_bytes``, ``energy_nj`` and more. Cycles, causes, bytes and energy add up to the run's.
        """
        from accelsim.profile.csv_file import layers_frame

        return layers_frame(self.profile)

    def plot(self) -> Figure:
        """Cycles by layer and cause, as a matplotlib figure that a notebook shows, or ``savefig`` writes."""
        from accelsim.profile.plots import plot_cycles

        return plot_cycles(self.profile)


@dataclass(frozen=True, eq=False)
class Result(Timing):
    """Cycles of a program, and its values.

    Parameters
    ----------
    program, counters, profile
        As in `Timing`.
    output : int8[N, *output shape]
        As the machine writes them.
    output_float : float32[N, *output shape]
        ``(output - zero_point) * scale``.
    """

    output: NDArray[np.int8]
    output_float: NDArray[np.float32]


def quantize(
    model: str | Path | Graph,
    data: NDArray[np.float32] | str | Path,
    *,
    method: Method = "min_max",
    percentile: float = DEFAULT_PERCENTILE,
    equalize: bool = True,
    cell_clip: float = 0.0,
    head: Literal["last", "all"] = "last",
    nonlinearity: Literal["tanh", "relu"] = "tanh",
    input_key: str | None = None,
) -> QuantizationResult:
    """Quantize a float model to int8 weights and activations.

    Parameters
    ----------
    model : str, Path or Graph
        An ONNX file, or a ``.pth`` file of a PyTorch `state_dict`.
    data : float32[N, T, F], or str or Path
        Calibration frames, typical input; or a .npz, .npy file of them.
    method : {"min_max", "percentile", "mse", "kl"}
        How an activation's observed values become its range.
    percentile : float
        Share of the values, in percent, for method `percentile`.
    equalize : bool
        Give every input feature its own scale, folded into the first weights.
    cell_clip : float
        Bound of every LSTM's cell state, 0 for none.
    head : {"last", "all"}
        For ``.pth`` files: whether Linear layers see the last time step only, or each one.
    nonlinearity : {"tanh", "relu"}
        For ``.pth`` files of `nn.RNN` layers.
    input_key : str, optional
        Name of the array in a .npz file.

    Returns
    -------
    QuantizationResult
        ``qgraph``, which `compile` takes, and ``report``.

    Raises
    ------
    InputError
        The model or the data can't be read, or do not fit each other.
    """
    from accelsim.quant.quantize import quantize as quantize_graph

    frames, where = _calibration_frames(data, input_key)
    if isinstance(model, Graph):
        graph = model
    else:
        graph = _float_model(_path(model, "model", "a Graph"), frames, head, nonlinearity)
    if frames.shape[1:] != graph.input.shape:
        raise InputError(where, "", _text(frames), f"float32 {_shape(graph.input.shape)}, as the model says")
    return quantize_graph(graph, frames, method=method, percentile=percentile, equalize=equalize, cell_clip=cell_clip)


def compile(
    model: str | Path | QGraph | QuantizationResult,
    chip: Chip | str | Path = "tx5368",
    *,
    batch: int = 1,
    schedule: Schedule = "auto",
) -> Program:
    """Compile a quantized model for a chip.

    Parameters
    ----------
    model : str, Path, QGraph or QuantizationResult
        A quantized ONNX file, as `accelsim quant` writes it, or what `quantize` returns.
    chip : Chip, str or Path
        Or the name of one that ships with the package, or a chip file.
    batch : int
        Frames handled at once.
    schedule : str
        ``auto`` for the one of fewest cycles, or its name.

    Returns
    -------
    Program

    Raises
    ------
    CapacityError
        The model does not fit the chip.
    InputError
        The file is no quantized model; the chip, the batch or the schedule is none.
    """
    from accelsim.schedules import compile_scheduled

    graph = _quantized_model(model)
    target = chip if isinstance(chip, Chip) else load_chip(_path(chip, "chip", "a Chip"))
    return compile_scheduled(graph, target, batch=batch, schedule=schedule).program


def load_program(path: str | Path) -> Program:
    """A compiled program out of its ``.cfg`` file and the ``.weight`` file beside it.

    Raises
    ------
    InputError
        A file is missing, damaged or of another version.
    """
    from accelsim.isa.files import read_program

    return read_program(_path(path, "program", "a path"))


def run(
    program: Program | str | Path,
    x: Frames,
    *,
    engine: Engine = "fast",
    check_hazards: bool = False,
    input_key: str | None = None,
) -> Result:
    """Run frames through a program: their values, and the cycles of one.

    Parameters
    ----------
    program : Program, str or Path
        Or its ``.cfg`` file.
    x : float32[N, *input shape] or int8[N, *input shape], or str or Path
        Frames; float32 is quantized with the input's scale, int8 is taken as it is. Or a .npz, .npy or .bin (raw
        little-endian float32) file of them.
    engine : {"fast", "reference"}
        What counts the cycles; both say the same.
    check_hazards : bool
        Check that every read of the first frame sees what program order says.
    input_key : str, optional
        Name of the array in a .npz file.

    Returns
    -------
    Result

    Raises
    ------
    DeadlockError, HazardError
        Of a hand-written program.
    InputError
        Frames of another type or shape, or not finite; a file that can't be read.
    """
    from accelsim.machine.memory import check_tensors
    from accelsim.machine.run import run_program
    from accelsim.profile import build_profile
    from accelsim.quant.execute import dequantize

    loaded = _program(program)
    check_tensors(loaded)
    frames = _device_frames(loaded, x, input_key)
    done = run_program(loaded, frames, engine=_engine(engine), check_hazards=check_hazards)
    return Result(
        program=loaded,
        counters=done.counters,
        profile=build_profile(loaded, done.counters, len(frames)),
        output=done.outputs,
        output_float=dequantize(_tensor(loaded, "outputs"), done.outputs),
    )


def time(program: Program | str | Path, *, engine: Engine = "fast") -> Timing:
    """The cycles of one frame, or batch, without values: cycles do not depend on data.

    Parameters
    ----------
    program : Program, str or Path
        Or its ``.cfg`` file.
    engine : {"fast", "reference"}
        What counts the cycles; both say the same.

    Returns
    -------
    Timing

    Raises
    ------
    DeadlockError
        Of a hand-written program.
    InputError
        A file that can't be read.
    """
    from accelsim.machine.run import time_frame
    from accelsim.profile import build_profile

    loaded = _program(program)
    counters = time_frame(loaded, engine=_engine(engine))
    return Timing(loaded, counters, build_profile(loaded, counters, 1))


def _program(program: Program | str | Path) -> Program:
    return program if isinstance(program, Program) else load_program(_path(program, "program", "a Program"))


def _engine(engine: Engine) -> Engine:
    if engine not in ("fast", "reference"):
        raise InputError("engine", "", f"found {engine!r}", "fast or reference")
    return engine


def _path(value: object, name: str, other: str) -> Path:
    if not isinstance(value, str | Path):
        raise InputError(name, "", f"found {type(value).__name__}", f"{other}, or the path of a file")
    return Path(value)


def _quantized_model(model: object) -> QGraph:
    from accelsim.quant.onnx_reader import read_quantized_onnx
    from accelsim.quant.validate import check_quantized_graph

    if isinstance(model, QuantizationResult):
        return model.qgraph
    if isinstance(model, QGraph):
        check_quantized_graph(model, model.name)
        return model
    path = _path(model, "model", "a QGraph")
    try:
        return read_quantized_onnx(path)
    except InputError:
        if path.suffix.lower() in _FLOAT_SUFFIXES or _is_float_model(path):
            raise InputError(path, "", "a float model", "what accelsim.quantize(model, data) returns") from None
        raise


def _is_float_model(path: Path) -> bool:
    """Whether a file is a sound ONNX model, though no quantized one."""
    from accelsim.frontend.onnx_file import open_model

    try:
        open_model(path)
    except InputError:
        return False
    return True


def _float_model(
    path: Path, frames: NDArray[np.float32], head: Literal["last", "all"], nonlinearity: Literal["tanh", "relu"]
) -> Graph:
    """A model for frames of T time steps."""
    if frames.ndim != 3:
        raise InputError("data", "", _text(frames), "float32 [N, T, F], frames of T time steps")
    if path.suffix.lower() in _FLOAT_SUFFIXES:
        from accelsim.frontend.pytorch import load_pytorch

        return load_pytorch(path, timesteps=frames.shape[1], head=head, name=path.stem, nonlinearity=nonlinearity)
    from accelsim.frontend.onnx import load_onnx

    return load_onnx(path, timesteps=frames.shape[1])


def _calibration_frames(data: object, input_key: str | None) -> tuple[NDArray[np.float32], str | Path]:
    """Frames, and what to call them."""
    from accelsim.quant.calibration_data import load_frames

    if not isinstance(data, np.ndarray):
        path = _path(data, "data", "a float32 array")
        return load_frames(path, key=input_key), path
    return _checked(data, "data", (np.float32,)).astype(np.float32, copy=False), "data"


def _device_frames(program: Program, x: object, input_key: str | None) -> NDArray[np.int8]:
    from accelsim.quant.calibration_data import load_frames
    from accelsim.quant.execute import quantize_input

    shape = program.inputs[0].shape
    if isinstance(x, np.ndarray):
        frames = _checked(x, "x", (np.float32, np.int8))
        if frames.shape[1:] != shape or frames.ndim != len(shape) + 1:
            raise InputError("x", "", _text(frames), f"{_shape(shape)}, the frames first")
    else:
        path = _path(x, "x", "a float32 or int8 array")
        frames = load_frames(path, key=input_key, frame_shape=shape, allow_int8=True)
    if frames.dtype == np.int8:
        return frames.astype(np.int8, copy=False)
    return quantize_input(_tensor(program, "inputs"), frames.astype(np.float32, copy=False))


def _checked(array: NDArray[Any], name: str, types: tuple[type, ...]) -> NDArray[Any]:
    """An array of one of these types, with at least one value, all finite; in this machine's byte order."""
    from accelsim.quant.calibration_data import check_finite

    expected = " or ".join(np.dtype(one).name for one in types)
    found = next((np.dtype(one) for one in types if array.dtype.newbyteorder("=") == one), None)
    if found is None:
        # Another width is another rounding, and whose it should be is not ours to choose.
        raise InputError(name, "", _text(array), f"{expected}, converted by you")
    if not array.size:
        raise InputError(name, "", f"no values: {_text(array)}", "at least one frame")
    native = np.ascontiguousarray(array, dtype=found)
    if found == np.float32:
        check_finite(name, "", native.astype(np.float32, copy=False))
    return native


def _tensor(program: Program, which: Literal["inputs", "outputs"]) -> QTensor:
    """A program's input or output as the quantizer's tensor, for its conversions."""
    (tensor,) = getattr(program, which)
    return QTensor(tensor.name, tensor.shape, np.array(tensor.scale, dtype=np.float32), tensor.zero_point)


def _text(array: NDArray[Any]) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _shape(shape: tuple[int, ...]) -> str:
    return f"[N, {', '.join(map(str, shape))}]"
