"""Graphs read from ONNX models, run in float, against ONNX Runtime on the same files."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.frontend.onnx import load_onnx
from accelsim.graph.execute import run_float
from accelsim.graph.model import Graph, Linear, Lstm, SelectStep
from tests.support.onnx_exports import Form, Net, dynamo_export, legacy_export, saved

onnxruntime = pytest.importorskip("onnxruntime")

HEADS = ["gather", "slice-squeeze", "slice-flatten", "slice-reshape", "hidden", "all"]
LINEARS = ["gemm", "gemm-plain", "matmul", "bias-first", "merged-rows"]


def onnxruntime_output(path: Path, features: Any) -> Any:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: features})[0]


def compare(path: Path, frames: Any, *, batch_first: bool, timesteps: int | None) -> Graph:
    """Load and run a model both ways; the graph, for further looks at it."""
    graph = load_onnx(path, timesteps=timesteps)
    ours = run_float(graph, frames)[graph.output.name]
    theirs = onnxruntime_output(path, frames if batch_first else np.ascontiguousarray(frames.transpose(1, 0, 2)))
    if not batch_first and theirs.ndim == 3:
        theirs = theirs.transpose(1, 0, 2)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    return graph


def check_form(form: Form, export: Any, seed: int, folder: Path) -> None:
    path = saved(export(form, seed), folder)
    frames = form.frames(np.random.default_rng(seed + 1))
    timesteps = form.steps if form.open_time else None
    graph = compare(path, frames, batch_first=form.batch_first, timesteps=timesteps)
    kinds = [type(layer) for layer in graph.layers]
    head = [Linear] if form.head == "all" else [SelectStep, Linear]
    assert kinds == [Lstm] * form.layers + head


@pytest.mark.parametrize("export", [legacy_export, dynamo_export])
@pytest.mark.parametrize(("head", "linear"), list(itertools.product(HEADS, LINEARS)))
@pytest.mark.parametrize("open_batch", [True, False])
def test_every_head_and_linear(export: Any, head: str, linear: str, open_batch: bool, tmp_path: Path) -> None:
    form = Form(head=head, linear=linear, open_batch=open_batch, layers=2, batch_first=head != "slice-reshape")
    check_form(form, export, seed=3, folder=tmp_path)


@st.composite
def forms(draw: st.DrawFn) -> tuple[Form, Any]:
    export = draw(st.sampled_from([legacy_export, dynamo_export]))
    batch_first = draw(st.booleans())
    heads = HEADS if batch_first else [head for head in HEADS if head != "slice-flatten"]
    form = Form(
        batch_first=batch_first,
        open_batch=draw(st.booleans()),
        open_time=draw(st.booleans()),
        layers=draw(st.integers(1, 3)),
        bias=draw(st.booleans()),
        head=draw(st.sampled_from(heads)),
        linear=draw(st.sampled_from(LINEARS)),
        opset=draw(st.integers(11 if export is legacy_export else 15, 20)),
        batch=draw(st.integers(1, 3)),
        steps=draw(st.integers(2, 5)),
        inputs=draw(st.integers(1, 6)),
        units=draw(st.integers(1, 6)),
        outputs=draw(st.integers(1, 4)),
    )
    return form, export


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(forms(), st.integers(0, 2**16))
def test_any_form(form_and_export: tuple[Form, Any], seed: int) -> None:
    form, export = form_and_export
    with tempfile.TemporaryDirectory() as folder:
        check_form(form, export, seed, Path(folder))


def test_a_single_time_step_keeps_or_drops_its_axis_as_the_model_does(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).normal(size=(2, 1, 5)).astype(np.float32)
    for head in ("all", "gather"):
        form = Form(steps=1, head=head)
        graph = compare(saved(legacy_export(form, 1), tmp_path), frames, batch_first=True, timesteps=1)
        assert graph.output.is_sequence == (head == "all")


def test_a_model_without_a_batch_axis(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(0))
    x = net.node("Unsqueeze", ["x", net.constant([1])])
    y = net.lstm(x, 5, 4)[0]
    y = net.node("Squeeze", [y, net.constant([1, 2])])
    path = saved(net.model([6, 5], y), tmp_path)
    features = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)
    graph = load_onnx(path)
    np.testing.assert_allclose(
        run_float(graph, features[None])[graph.output.name][0], onnxruntime_output(path, features), rtol=1e-5, atol=1e-6
    )


def test_a_batch_of_vectors_given_one_time_step(tmp_path: Path) -> None:
    net = Net(np.random.default_rng(0))
    y = net.lstm(net.node("Unsqueeze", ["x", net.constant([0])]), 5, 4)[0]
    y = net.node("Squeeze", [y, net.constant([0, 1])])
    path = saved(net.model(["batch", 5], y), tmp_path)
    features = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    graph = load_onnx(path)
    assert graph.input.shape == (1, 5)
    ours = run_float(graph, features[:, None])[graph.output.name]
    np.testing.assert_allclose(ours, onnxruntime_output(path, features), rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def torch() -> Iterator[Any]:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    logging.disable(logging.WARNING)
    yield torch
    logging.disable(logging.NOTSET)


def torch_model(torch: Any, batch_first: bool, layers: int, modules: int, zero_states: bool, last: str) -> Any:
    """Stacked `nn.LSTM` modules, and a Linear on the last step or on all."""

    class Recurrent(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.stack = torch.nn.ModuleList(
                torch.nn.LSTM(5 if index == 0 else 6, 6, layers, batch_first=batch_first) for index in range(modules)
            )
            self.fc = torch.nn.Linear(6, 3)

        def forward(self, x: Any) -> Any:
            for module in self.stack:
                states = None
                if zero_states:
                    batch = x.shape[0] if batch_first else x.shape[1]
                    states = (torch.zeros(layers, batch, 6), torch.zeros(layers, batch, 6))
                x, (hidden, _) = module(x, states)
            time = 1 if batch_first else 0
            heads = {
                "index": lambda: x[:, -1] if batch_first else x[-1],
                "hidden": lambda: hidden[-1],
                "squeeze": lambda: x.narrow(time, x.shape[time] - 1, 1).squeeze(time),
                "unbind": lambda: x.unbind(time)[-1],
                "all": lambda: x,
            }
            return self.fc(heads[last]())

    torch.manual_seed(layers + 10 * modules)
    return Recurrent().eval()


TORCH_CASES = [
    # batch_first, layers, modules, zero_states, last, open axes, opset
    (True, 1, 1, False, "index", "", 11),
    (True, 2, 1, True, "index", "batch", 13),
    (False, 1, 2, False, "hidden", "batch", 17),
    (False, 2, 1, True, "squeeze", "batch time", 20),
    (True, 3, 1, False, "hidden", "batch", 18),
    (True, 1, 2, True, "all", "batch time", 18),
    (True, 1, 1, False, "unbind", "", 18),
]


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize(("batch_first", "layers", "modules", "zero_states", "last", "free", "opset"), TORCH_CASES)
@pytest.mark.filterwarnings("ignore")
def test_torch_export(
    torch: Any,
    tmp_path: Path,
    dynamo: bool,
    batch_first: bool,
    layers: int,
    modules: int,
    zero_states: bool,
    last: str,
    free: str,
    opset: int,
) -> None:
    model = torch_model(torch, batch_first, layers, modules, zero_states, last)
    frames = np.random.default_rng(5).normal(size=(2, 4, 5)).astype(np.float32)
    example = torch.from_numpy(frames if batch_first else np.ascontiguousarray(frames.transpose(1, 0, 2)))
    names = ("batch", "time") if batch_first else ("time", "batch")
    axes = {index: name for index, name in enumerate(names) if name in free.split()}
    path = tmp_path / "model.onnx"
    with contextlib.redirect_stdout(io.StringIO()):
        if dynamo:
            dimensions = dict.fromkeys(axes, torch.export.Dim.AUTO)
            torch.onnx.export(
                model,
                (example,),
                path,
                dynamo=True,
                dynamic_shapes=(dimensions,) if axes else None,
                opset_version=max(opset, 18),
                verbose=False,
            )
        else:
            torch.onnx.export(
                model,
                (example,),
                path,
                dynamo=False,
                input_names=["x"],
                dynamic_axes={"x": axes} if axes else None,
                opset_version=opset,
            )
    graph = compare(path, frames, batch_first=batch_first, timesteps=4)
    assert sum(isinstance(layer, Lstm) for layer in graph.layers) == layers * modules


def test_weights_in_an_external_file(tmp_path: Path) -> None:
    form = Form()
    model = legacy_export(form, 2)
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=64)
    assert (tmp_path / "weights.bin").exists()
    compare(path, form.frames(np.random.default_rng(0)), batch_first=True, timesteps=None)
