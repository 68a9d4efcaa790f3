"""What a Python program or a notebook calls: quantize, compile, run, time, and look at the result.

The names here are attributes of the package as well: ``accelsim.run(program, x)``. Each mistake of the caller is an
`accelsim.InputError` with one line of text, as on the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from accelsim.api.inputs import (
    calibration_frames,
    chip_of,
    device_frames,
    float_model,
    host_tensor,
    path_of,
    quantized_model,
    shape_text,
    shown,
)
from accelsim.chip import Chip
from accelsim.errors import InputError
from accelsim.graph.model import Graph
from accelsim.isa.program import Program
from accelsim.machine.run import Engine
from accelsim.profile import Profile
from accelsim.quant.model import QGraph
from accelsim.quant.observers import DEFAULT_PERCENTILE, Method
from accelsim.quant.quantize import QuantizationResult
from accelsim.timing.record import Counters

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Schedule: TypeAlias = Literal["auto", "stepwise", "wavefront", "hoisted", "interleaved"]
Frames: TypeAlias = NDArray[np.float32] | NDArray[np.int8] | str | Path


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
        from accelsim.profile.figures.bars import plot_cycles

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

    frames, where = calibration_frames(data, input_key)
    if isinstance(model, Graph):
        graph = model
    else:
        graph = float_model(path_of(model, "model", "a Graph"), frames, head, nonlinearity)
    if frames.shape[1:] != graph.input.shape:
        raise InputError(where, "", shown(frames), f"float32 {shape_text(graph.input.shape)}, as the model says")
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

    graph = quantized_model(model)
    return compile_scheduled(graph, chip_of(chip), batch=batch, schedule=schedule).program


def load_program(path: str | Path) -> Program:
    """A compiled program out of its ``.cfg`` file and the ``.weight`` file beside it.

    Raises
    ------
    InputError
        A file is missing, damaged or of another version.
    """
    from accelsim.isa.files import read_program

    return read_program(path_of(path, "program", "a path"))


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
    frames = device_frames(loaded, x, input_key)
    done = run_program(loaded, frames, engine=_engine(engine), check_hazards=check_hazards)
    return Result(
        program=loaded,
        counters=done.counters,
        profile=build_profile(loaded, done.counters, len(frames)),
        output=done.outputs,
        output_float=dequantize(host_tensor(loaded, "outputs"), done.outputs),
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
    return program if isinstance(program, Program) else load_program(path_of(program, "program", "a Program"))


def _engine(engine: Engine) -> Engine:
    if engine not in ("fast", "reference"):
        raise InputError("engine", "", f"found {engine!r}", "fast or reference")
    return engine
