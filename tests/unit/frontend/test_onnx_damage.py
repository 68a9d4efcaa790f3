"""ONNX files that are missing, cut off or damaged: one clear line, whatever the byte."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.errors import InputError
from accelsim.frontend.onnx import load_onnx
from accelsim.graph.check import check_graph
from tests.support.cell_models import Model
from tests.support.onnx_exports import Form, Net, dynamo_export, legacy_export, saved
from tests.support.unrolled_rnn import Unrolled


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_onnx(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def test_missing_directory_empty_and_text(tmp_path: Path) -> None:
    assert "can't be read (No such file" in refusal(tmp_path / "none.onnx")
    assert "can't be read (Is a directory" in refusal(tmp_path)
    path = tmp_path / "model.onnx"
    path.write_bytes(b"")
    assert "the file is empty" in refusal(path)
    path.write_bytes(b"hello world, this is no model")
    assert "not a protobuf message" in refusal(path)


def external(folder: Path) -> Path:
    path = folder / "model.onnx"
    model = legacy_export(Form(), 0)
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=64)
    return path


def test_external_weights_missing_cut_off_or_elsewhere(tmp_path: Path) -> None:
    path = external(tmp_path)
    weights = tmp_path / "weights.bin"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    refusal(path)
    weights.unlink()
    assert "weights.bin" in refusal(path)
    model = onnx.load(path, load_external_data=False)
    for item in model.graph.initializer:
        for entry in item.external_data:
            if entry.key == "location":
                entry.value = "../weights.bin"
    (tmp_path.parent / "weights.bin").write_bytes(content)
    refusal(saved(model, tmp_path))


def test_text_that_is_no_utf8(tmp_path: Path) -> None:
    path = saved(legacy_export(Form(), 0), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"Transpose", b"Trans\xffose"))
    assert "text that is no UTF-8" in refusal(path)


def test_a_tensor_of_an_unknown_type(tmp_path: Path) -> None:
    model = legacy_export(Form(), 0)
    next(item for item in model.graph.initializer if "weights" in item.name).data_type = 99
    refusal(saved(model, tmp_path))


def unrolled() -> onnx.ModelProto:
    net = Net(np.random.default_rng(0))
    layer = Unrolled(inputs=3, units=2, steps=3)
    both = [layer.add(net, "x")[0], replace(layer, reverse=True).add(net, "x")[0]]
    return net.model([3, "batch", 3], net.node("Concat", both, axis=2), rank=3)


GOOD = {
    "legacy": lambda: legacy_export(Form(head="hidden", layers=2), 1),
    "dynamo": lambda: dynamo_export(Form(head="hidden", layers=2, open_batch=False), 1),
    "gru": lambda: Model("gru before", "bidirectional", head="layers", layers=2).build(1),
    "rnn": lambda: Model("rnn relu", "bidirectional", head="ends", exporter="dynamo").build(1),
    "unrolled": unrolled,
}


@cache
def good(kind: str) -> bytes:
    return bytes(GOOD[kind]().SerializeToString())


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(good(draw(st.sampled_from(sorted(GOOD)))))
    if draw(st.integers(0, 4)) == 0:
        return bytes(data[: draw(st.integers(0, len(data) - 1))])
    for _ in range(draw(st.integers(1, 3))):
        data[draw(st.integers(0, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


@settings(max_examples=700, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged())
def test_damage_gives_one_line_or_a_valid_graph(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        text = "read"
        try:
            graph = load_onnx(path)
        except InputError as error:
            text = str(error)
        else:
            check_graph(graph)
            assert all(
                np.isfinite(array).all()
                for layer in graph.layers
                for array in vars(layer).values()
                if isinstance(array, np.ndarray)
            )
    assert "\n" not in text
