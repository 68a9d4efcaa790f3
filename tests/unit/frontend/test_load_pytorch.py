"""Models recognised in a state_dict by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.errors import InputError, UnsupportedOperatorError
from accelsim.frontend.pytorch import load_pytorch
from accelsim.graph.execute import run_float
from accelsim.graph.model import Gate, Graph, Linear, Lstm, SelectStep
from tests.support import pth_files as files


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def loaded(folder: Path, tensors: dict[str, Any], **options: Any) -> Graph:
    path = folder / "net.pth"
    path.write_bytes(files.file_of(tensors))
    return load_pytorch(path, **{"timesteps": 5, **options})


def standard(prefix: str = "lstm.", head: str = "fc.") -> dict[str, Any]:
    return {**files.lstm_tensors(rng(), prefix, 3, 4, 2), **files.linear_tensors(rng(), head, 4, 2)}


def test_layers_names_and_shapes(tmp_path: Path) -> None:
    graph = loaded(tmp_path, standard())
    assert [layer.name for layer in graph.layers] == ["lstm.l0", "lstm.l1", "last_step", "fc"]
    assert [type(layer) for layer in graph.layers] == [Lstm, Lstm, SelectStep, Linear]
    assert (graph.name, graph.input.shape, graph.output.shape) == ("net", (5, 3), (2,))
    assert graph.output.name == "output"


def test_gates_and_biases_are_ours(tmp_path: Path) -> None:
    tensors = standard()
    lstm = loaded(tmp_path, tensors).layers[0]
    assert isinstance(lstm, Lstm)
    rows = {"i": Gate.INPUT, "f": Gate.FORGET, "g": Gate.CELL, "o": Gate.OUTPUT}
    bias = tensors["lstm.bias_ih_l0"] + tensors["lstm.bias_hh_l0"]
    for position, gate in enumerate(rows.values()):
        block = slice(4 * position, 4 * position + 4)
        np.testing.assert_array_equal(lstm.input_weights[gate], tensors["lstm.weight_ih_l0"][block])
        np.testing.assert_array_equal(lstm.recurrent_weights[gate], tensors["lstm.weight_hh_l0"][block])
        np.testing.assert_array_equal(lstm.bias[gate], bias[block])


@pytest.mark.parametrize(("head", "kinds", "shape"), [("last", [Lstm, SelectStep], (4,)), ("all", [Lstm], (5, 4))])
def test_a_model_without_linear_layers(tmp_path: Path, head: Any, kinds: Any, shape: Any) -> None:
    graph = loaded(tmp_path, files.lstm_tensors(rng(), "", 3, 4), head=head, name="given")
    assert [type(layer) for layer in graph.layers] == kinds
    assert (graph.name, graph.output.name, graph.output.shape) == ("given", "output", shape)
    assert graph.layers[0].name == "l0"


def test_every_step_may_have_a_linear(tmp_path: Path) -> None:
    graph = loaded(tmp_path, standard(), head="all")
    assert graph.output.shape == (5, 2)


def test_biases_may_be_absent(tmp_path: Path) -> None:
    tensors = files.lstm_tensors(rng(), "r.", 3, 4, bias=False)
    tensors["fc.weight"] = np.ones((2, 4), np.float32)
    graph = loaded(tmp_path, tensors)
    lstm, _, linear = graph.layers
    assert isinstance(lstm, Lstm)
    assert isinstance(linear, Linear)
    assert not lstm.bias.any()
    assert not linear.bias.any()


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_wrappers_are_no_part_of_names(tmp_path: Path, wrapper: str) -> None:
    tensors = {wrapper + name: tensor for name, tensor in standard("net.rnn.", "net.fc.").items()}
    order = [layer.name for layer in loaded(tmp_path, tensors).layers]
    assert order == ["net.rnn.l0", "net.rnn.l1", "last_step", "net.fc"]


def test_lstm_modules_of_their_own_chain(tmp_path: Path) -> None:
    tensors = {
        **files.lstm_tensors(rng(), "a.", 3, 4),
        **files.lstm_tensors(rng(), "b.", 4, 6),
        **files.linear_tensors(rng(), "c.", 6, 5),
        **files.linear_tensors(rng(), "d.", 5, 2),
    }
    assert [layer.name for layer in loaded(tmp_path, tensors).layers] == ["a.l0", "b.l0", "last_step", "c", "d"]


def without(name: str) -> dict[str, Any]:
    tensors = standard()
    del tensors[name]
    return tensors


def replaced(name: str, *shape: int, dtype: Any = np.float32) -> dict[str, Any]:
    return {**standard(), name: np.zeros(shape, dtype)}


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        (replaced("bn.running_mean", 4), "tensor 'bn.running_mean' (4): belongs to no layer"),
        (replaced("conv.weight", 4, 3, 3), "tensor 'conv.weight' (4x3x3): belongs to no"),
        (replaced("bn.weight", 4), "tensor 'bn.weight' (4): belongs to no"),
        (replaced("lstm.weight_ih_l0_extra", 4), "belongs to no layer"),
        (replaced("extra.bias", 4), "'extra.weight': is missing"),
        (replaced("fc.weight", 2, 4, dtype=np.int64), "is int64"),
        (replaced("fc.weight", 2, 5), "'fc.weight': has shape (2, 5); expected (2, 4)"),
        (replaced("fc.bias", 3), "'fc.bias': has shape (3,); expected (2,)"),
        (replaced("lstm.weight_ih_l1", 16, 5), "'lstm.weight_ih_l1': has shape (16, 5); expected (16, 4)"),
        (replaced("lstm.weight_hh_l0", 15, 4), "'lstm.weight_hh_l0': has shape (15, 4)"),
        (replaced("lstm.weight_hh_l0", 16), "'lstm.weight_hh_l0': has shape (16,); expected a matrix"),
        (replaced("lstm.weight_ih_l1", 16), "'lstm.weight_ih_l1': has shape (16,); expected a matrix"),
        (replaced("lstm.bias_ih_l0", 15), "'lstm.bias_ih_l0': has shape (15,)"),
        (without("lstm.weight_hh_l1"), "'lstm.weight_hh_l1': is missing"),
        (without("lstm.bias_hh_l0"), "'lstm.bias_hh_l0': is missing"),
        (files.lstm_tensors(rng(), "a.", 3, 4, 1) | {"a.weight_ih_l2": np.ones((1, 1), np.float32)}, "weight_ih_l1'"),
        (replaced("lstm.weight_ih_l01", 16, 4), "names a layer's tensor a second time"),
        (files.linear_tensors(rng(), "fc.", 3, 2), "no recurrent layer"),
        (files.linear_tensors(rng(), "a.", 3, 3) | files.lstm_tensors(rng(), "b.", 3, 4), "Linear layer before"),
        (standard() | files.lstm_tensors(rng(), "z.", 2, 4), "'fc.weight': a Linear layer between recurrent layers"),
    ],
)
def test_refused_by_tensor(tmp_path: Path, tensors: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, tensors)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_projections_are_refused_by_operator(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperatorError) as caught:
        loaded(tmp_path, replaced("lstm.weight_hr_l0", 3, 4))
    assert (caught.value.operator, caught.value.node) == ("LSTM", "lstm")
    assert "projection" in caught.value.reason


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"timesteps": 0}, "timesteps: 0"),
        ({"timesteps": True}, "timesteps: True"),
        ({"head": "first"}, "head: 'first'"),
    ],
)
def test_options_are_checked(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        loaded(tmp_path, standard(), **options)


def test_agrees_with_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    lstm, linear = torch.nn.LSTM(3, 6, 2, batch_first=True), torch.nn.Linear(6, 4)
    path = tmp_path / "weights.pth"
    torch.save(torch.nn.ModuleDict({"lstm": lstm, "fc": linear}).state_dict(), path)
    frames = rng().normal(size=(7, 5, 3)).astype(np.float32)
    with torch.no_grad():
        hidden = lstm(torch.from_numpy(frames))[0]
        expected: dict[Any, Any] = {"last": linear(hidden[:, -1]).numpy(), "all": linear(hidden).numpy()}
    for head, output in expected.items():
        graph = load_pytorch(path, timesteps=5, head=head)
        np.testing.assert_allclose(run_float(graph, frames)["output"], output, rtol=1e-5, atol=1e-6)


def test_keyword_model_reproduces_its_float_logits(shared_data: Path) -> None:
    graph = load_pytorch(shared_data / "kws12" / "lstm.pth", timesteps=25)
    test = np.load(shared_data / "kws12" / "kws12_test.npz")
    logits = run_float(graph, test["features"])["output"]
    assert np.abs(logits - test["float_logits"]).max() < 1e-4
