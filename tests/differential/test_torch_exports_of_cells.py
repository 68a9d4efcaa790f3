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
from accelsim.graph.model import Concat, Gru, Lstm, Rnn

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


def check(torch: Any, model: Any, dynamo: bool, folder: Path, batch_axis: int = 0) -> Any:
    """Export, load and compare the first output; the graph, whose other outputs are left out."""
    frames = np.random.default_rng(5).normal(size=(3, STEPS, INPUTS)).astype(np.float32)
    fed = torch.from_numpy(np.ascontiguousarray(frames.swapaxes(0, batch_axis)))
    path = folder / "model.onnx"
    with contextlib.redirect_stdout(io.StringIO()):
        if dynamo:
            shapes = ({batch_axis: torch.export.Dim.AUTO},)
            torch.onnx.export(model, (fed,), path, dynamo=True, dynamic_shapes=shapes, verbose=False)
        else:
            axes = {"x": {batch_axis: "batch"}}
            torch.onnx.export(model, (fed,), path, dynamo=False, input_names=["x"], dynamic_axes=axes)
    graph = load_onnx(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: fed.numpy()})[0].swapaxes(0, batch_axis)
    np.testing.assert_allclose(run_float(graph, frames)[graph.output.name], expected, rtol=1e-5, atol=1e-6)
    assert (graph.output.name, *graph.left_out) == tuple(output.name for output in session.get_outputs())
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
@pytest.mark.parametrize(("layers", "batch_first"), [(1, True), (2, False)])
@pytest.mark.parametrize(("kind", "both"), CASES)
@pytest.mark.filterwarnings("ignore")
def test_a_bare_module_gives_all_states_and_the_final_ones(
    torch: Any, tmp_path: Path, kind: str, both: bool, layers: int, batch_first: bool, dynamo: bool
) -> None:
    torch.manual_seed(len(kind))
    operator, _, nonlinearity = kind.partition(" ")
    options = {"nonlinearity": nonlinearity} if nonlinearity else {}
    model = getattr(torch.nn, operator)(
        INPUTS, UNITS, layers, bidirectional=both, batch_first=batch_first, **options
    ).eval()
    graph = check(torch, model, dynamo, tmp_path, batch_axis=0 if batch_first else 1)
    assert len(graph.left_out) == (2 if kind == "LSTM" else 1)
    kinds = [KINDS[kind], KINDS[kind], Concat] if both else [KINDS[kind]]
    assert [type(layer) for layer in graph.layers] == kinds * layers


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_reverse_only(torch: Any, tmp_path: Path, dynamo: bool) -> None:
    graph = check(torch, flipped_of(torch), dynamo, tmp_path)
    assert [(type(layer), layer.reverse) for layer in graph.layers] == [(Lstm, True)]
