"""Models to sweep over: quantized ones as they are, float ones quantized for their shape."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from accelsim.errors import InputError
from accelsim.isa.atomic import read_bytes
from accelsim.quant.model import QGraph

_FRAMES = 4
"""Of random data, for a float model: any scales do, as cycles do not depend on values."""


@dataclass(frozen=True, eq=False)
class Model:
    """A model of a sweep.

    Parameters
    ----------
    name : str
        Of its file, without the suffix; unique in a sweep.
    path : str
        As the user gave it.
    sha256 : str
        Of the file, in hex.
    graph : QGraph
    was_float : bool
        Its scales are those of random data.
    """

    name: str
    path: str
    sha256: str
    graph: QGraph
    was_float: bool = False


def read_model(path: Path) -> Model:
    """A model out of its file.

    Raises
    ------
    InputError
        The file can't be read; it is neither a quantized model nor a float one in ONNX.
    """
    from accelsim.quant.onnx_reader import is_quantized_model, read_quantized_model

    content = read_bytes(path, "a quantized or a float ONNX model")
    digest = hashlib.sha256(content).hexdigest()
    if is_quantized_model(content):
        return Model(path.stem, str(path), digest, read_quantized_model(content, path))
    return Model(path.stem, str(path), digest, _quantized(path), was_float=True)


def read_models(paths: Sequence[Path]) -> list[Model]:
    """Several models; where two files have one name, their names are numbered.

    Raises
    ------
    InputError
        As `read_model`; a file that is there twice.
    """
    models: list[Model] = []
    for path in paths:
        model = read_model(path)
        for other in models:
            if other.sha256 == model.sha256:
                raise InputError(path, "", f"is the same model as {other.path}", "each model once")
        same = sum(other.name.rpartition("#")[0] == model.name or other.name == model.name for other in models)
        models.append(replace(model, name=f"{model.name}#{same + 1}") if same else model)
    return models


def _quantized(path: Path) -> QGraph:
    """A float model with scales of random data: of its shape, which is all that cycles depend on."""
    import numpy as np

    from accelsim.frontend.onnx import load_onnx
    from accelsim.quant.quantize import quantize

    graph = load_onnx(path)
    frames = np.random.default_rng(0).standard_normal((_FRAMES, *graph.input.shape), dtype=np.float32)
    return quantize(graph, frames, equalize=False).qgraph
