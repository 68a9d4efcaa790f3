"""`nn.LSTM`, `nn.GRU` and `nn.RNN`, exported by both of PyTorch's exporters, against ONNX Runtime."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.frontend.onnx import load_onnx
from accelsim.graph.execute import run_float
from accelsim.graph.model import Gru, Lstm, Rnn

onnxruntime = pytest.importorskip("onnxruntime")

KINDS = {"LSTM": Lstm, "GRU": Gru, "RNN": Rnn, "RNN relu": Rnn}
STEPS, INPUTS, UNITS, LAYERS = 4, 5, 6, 2


@pytest.fixture(scope="module")
def torch() -> Iterator[Any]:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    logging.disable(logging.WARNING)
    yield torch
    logging.disable(logging.NOTSET)


def model_of(torch: Any, kind: str, both: bool, head: str, bias: bool) -> Any:
    operator, _, nonlinearity = kind.partition(" ")
    options = {"nonlinearity": nonlinearity} if nonlinearity else {}
    directions = 2 if both else 1

    class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            cell = getattr(torch.nn, operator)
            self.rnn = cell(INPUTS, UNITS, LAYERS, bias=bias, batch_first=True, bidirectional=both, **options)
            self.fc = torch.nn.Linear(directions * UNITS, 3)

        def forward(self, x: Any) -> Any:
            every, states = self.rnn(x)
            last = states[0] if isinstance(states, tuple) else states
            heads = {
                "last": lambda: every[:, -1],
                "all": lambda: every,
                "hidden": lambda: torch.cat(list(last[-directions:]), 1),
                "layers": lambda: last.view(LAYERS, directions, -1, UNITS)[-1].transpose(0, 1).flatten(1),
            }
            return self.fc(heads[head]())

    torch.manual_seed(len(kind))
    return Model().eval()


def flipped_of(torch: Any) -> Any:
    """A layer that runs in reverse only, as PyTorch can say it."""

    class Flipped(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.rnn = torch.nn.LSTM(INPUTS, UNITS, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.rnn(x.flip(1))[0].flip(1)

    torch.manual_seed(0)
    return Flipped().eval()


def check(torch: Any, model: Any, dynamo: bool, folder: Path) -> Any:
    """Export, load and compare; the graph."""
    frames = np.random.default_rng(5).normal(size=(3, STEPS, INPUTS)).astype(np.float32)
    path = folder / "model.onnx"
    with contextlib.redirect_stdout(io.StringIO()):
        if dynamo:
            shapes = ({0: torch.export.Dim.AUTO},)
            torch.onnx.export(
                model, (torch.from_numpy(frames),), path, dynamo=True, dynamic_shapes=shapes, verbose=False
            )
        else:
            axes = {"x": {0: "batch"}}
            torch.onnx.export(
                model, (torch.from_numpy(frames),), path, dynamo=False, input_names=["x"], dynamic_axes=axes
            )
    graph = load_onnx(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: frames})[0]
    np.testing.assert_allclose(run_float(graph, frames)[graph.output.name], expected, rtol=1e-5, atol=1e-6)
    return graph


CASES = list(itertools.product(KINDS, [False, True]))
HEADS = ["last", "all", "hidden", "layers"]


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize(
    ("kind", "both", "head", "bias"),
    [(kind, both, HEADS[index % 4], index % 3 > 0) for index, (kind, both) in enumerate(CASES)],
)
@pytest.mark.filterwarnings("ignore")
def test_exported(torch: Any, tmp_path: Path, kind: str, both: bool, head: str, bias: bool, dynamo: bool) -> None:
    graph = check(torch, model_of(torch, kind, both, head, bias), dynamo, tmp_path)
    layers = [layer for layer in graph.layers if isinstance(layer, Lstm | Gru | Rnn)]
    assert [type(layer) for layer in layers] == [KINDS[kind]] * LAYERS * (2 if both else 1)
    assert [layer.reverse for layer in layers] == ([False, True] if both else [False]) * LAYERS


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_reverse_only(torch: Any, tmp_path: Path, dynamo: bool) -> None:
    graph = check(torch, flipped_of(torch), dynamo, tmp_path)
    assert [(type(layer), layer.reverse) for layer in graph.layers] == [(Lstm, True)]
