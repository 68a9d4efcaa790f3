"""What callers hand over: paths in place of objects, arrays in place of files; each mistake in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from accelsim.chip import Chip, load_chip
from accelsim.errors import InputError
from accelsim.graph.model import Graph
from accelsim.isa.program import Program
from accelsim.quant.model import QGraph, QTensor
from accelsim.quant.quantize import QuantizationResult

_FLOAT_SUFFIXES = (".pth", ".pt")


def chip_of(chip: object) -> Chip:
    """A chip, or that of a name or file."""
    return chip if isinstance(chip, Chip) else load_chip(path_of(chip, "chip", "a Chip"))


def path_of(value: object, name: str, other: str) -> Path:
    """A path; `name` says which argument it is, `other` what could stand there besides."""
    if not isinstance(value, str | Path):
        raise InputError(name, "", f"found {type(value).__name__}", f"{other}, or the path of a file")
    return Path(value)


def quantized_model(model: object) -> QGraph:
    """The graph of a quantized model or of its file."""
    from accelsim.quant.onnx_reader import read_quantized_onnx
    from accelsim.quant.validate import check_quantized_graph

    if isinstance(model, QuantizationResult):
        return model.qgraph
    if isinstance(model, QGraph):
        check_quantized_graph(model, model.name)
        return model
    path = path_of(model, "model", "a QGraph")
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


def float_model(
    path: Path, frames: NDArray[np.float32], head: Literal["last", "all"], nonlinearity: Literal["tanh", "relu"]
) -> Graph:
    """A model for frames of T time steps."""
    if frames.ndim != 3:
        raise InputError("data", "", shown(frames), "float32 [N, T, F], frames of T time steps")
    if path.suffix.lower() in _FLOAT_SUFFIXES:
        from accelsim.frontend.pytorch import load_pytorch

        return load_pytorch(path, timesteps=frames.shape[1], head=head, name=path.stem, nonlinearity=nonlinearity)
    from accelsim.frontend.onnx import load_onnx

    return load_onnx(path, timesteps=frames.shape[1])


def calibration_frames(data: object, input_key: str | None) -> tuple[NDArray[np.float32], str | Path]:
    """Frames, and what to call them."""
    from accelsim.quant.calibration_data import load_frames

    if not isinstance(data, np.ndarray):
        path = path_of(data, "data", "a float32 array")
        return load_frames(path, key=input_key), path
    return _checked(data, "data", (np.float32,)).astype(np.float32, copy=False), "data"


def device_frames(program: Program, x: object, input_key: str | None) -> NDArray[np.int8]:
    """Frames as the machine takes them, int8[N, *input shape], of an array or a file."""
    from accelsim.quant.calibration_data import load_frames
    from accelsim.quant.execute import quantize_input

    shape = program.inputs[0].shape
    if isinstance(x, np.ndarray):
        frames = _checked(x, "x", (np.float32, np.int8))
        if frames.shape[1:] != shape or frames.ndim != len(shape) + 1:
            raise InputError("x", "", shown(frames), f"{shape_text(shape)}, the frames first")
    else:
        path = path_of(x, "x", "a float32 or int8 array")
        frames = load_frames(path, key=input_key, frame_shape=shape, allow_int8=True)
    if frames.dtype == np.int8:
        return frames.astype(np.int8, copy=False)
    return quantize_input(host_tensor(program, "inputs"), frames.astype(np.float32, copy=False))


def _checked(array: NDArray[Any], name: str, types: tuple[type, ...]) -> NDArray[Any]:
    """An array of one of these types, with at least one value, all finite; in this machine's byte order."""
    from accelsim.quant.calibration_data import check_finite

    expected = " or ".join(np.dtype(one).name for one in types)
    found = next((np.dtype(one) for one in types if array.dtype.newbyteorder("=") == one), None)
    if found is None:
        # Another width is another rounding, and whose it should be is not ours to choose.
        raise InputError(name, "", shown(array), f"{expected}, converted by you")
    if not array.size:
        raise InputError(name, "", f"no values: {shown(array)}", "at least one frame")
    native = np.ascontiguousarray(array, dtype=found)
    if found == np.float32:
        check_finite(name, "", native.astype(np.float32, copy=False))
    return native


def host_tensor(program: Program, which: Literal["inputs", "outputs"]) -> QTensor:
    """A program's input or output as the quantizer's tensor, for its conversions."""
    (tensor,) = getattr(program, which)
    return QTensor(tensor.name, tensor.shape, np.array(tensor.scale, dtype=np.float32), tensor.zero_point)


def shown(array: NDArray[Any]) -> str:
    """Type and shape, for a message."""
    return f"{array.dtype}{list(array.shape)}"


def shape_text(shape: tuple[int, ...]) -> str:
    """The shape of frames, for a message."""
    return f"[N, {', '.join(map(str, shape))}]"
