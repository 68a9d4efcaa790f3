"""All six kinds of recurrent networks recognised in a state_dict: operator, directions, gates, biases."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.frontend.pytorch import VARIANTS, load_pytorch
from accelsim.graph.execute import run_float
from accelsim.graph.model import Concat, Graph, Gru, GruGate, Linear, Lstm, Rnn, SelectStep
from tests.support import pth_files as files

LAYERS = {"LSTM": Lstm, "GRU": Gru, "RNN": Rnn}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def tensors_of(variant: str, prefix: str = "rnn.", bias: bool = True) -> dict[str, Any]:
    """Two layers of 4 units on 3 features, and a Linear."""
    operator, both = VARIANTS[variant]
    gates = GATES[operator]
    recurrent = files.lstm_tensors(rng(), prefix, 3, 4, 2, gates=gates, bias=bias, bidirectional=both)
    return {**recurrent, **files.linear_tensors(rng(), "fc.", 8 if both else 4, 2)}


def loaded(folder: Path, tensors: dict[str, Any], **options: Any) -> Graph:
    path = folder / "net.pth"
    path.write_bytes(files.file_of(tensors))
    return load_pytorch(path, **{"timesteps": 5, **options})


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("bias", [True, False])
def test_layers_of_every_variant(tmp_path: Path, variant: str, bias: bool) -> None:
    graph = loaded(tmp_path, tensors_of(variant, bias=bias), variant=variant)
    operator, both = VARIANTS[variant]
    cell = LAYERS[operator]
    kinds = [cell, cell, Concat] if both else [cell]
    assert [type(layer) for layer in graph.layers] == [*kinds, *kinds, SelectStep, Linear]
    names = ["l0.forward", "l0.reverse", "l0.concat"] if both else ["l0"]
    assert [layer.name for layer in graph.layers[: len(names)]] == [f"rnn.{name}" for name in names]
    reverses = [layer.reverse for layer in graph.layers if isinstance(layer, cell)]
    assert reverses == ([False, True, False, True] if both else [False, False])


def test_both_directions_read_the_same_and_lie_side_by_side(tmp_path: Path) -> None:
    graph = loaded(tmp_path, tensors_of("bgru"))
    forward, reverse, concat, upper = graph.layers[:4]
    assert isinstance(forward, Gru)
    assert isinstance(reverse, Gru)
    assert isinstance(concat, Concat)
    assert isinstance(upper, Gru)
    assert forward.x == reverse.x == graph.input
    assert concat.parts == (forward.y, reverse.y)
    assert upper.x == concat.y
    assert concat.y.shape == (5, 8)


def test_gru_gates_and_biases_are_ours(tmp_path: Path) -> None:
    tensors = tensors_of("bgru")
    for layer, suffix in zip(loaded(tmp_path, tensors).layers, ("", "_reverse"), strict=False):
        assert isinstance(layer, Gru)
        assert layer.linear_before_reset
        for position, gate in enumerate((GruGate.RESET, GruGate.UPDATE, GruGate.CANDIDATE)):
            rows = slice(4 * position, 4 * position + 4)
            np.testing.assert_array_equal(layer.input_weights[gate], tensors[f"rnn.weight_ih_l0{suffix}"][rows])
            np.testing.assert_array_equal(layer.recurrent_weights[gate], tensors[f"rnn.weight_hh_l0{suffix}"][rows])
            np.testing.assert_array_equal(layer.input_bias[gate], tensors[f"rnn.bias_ih_l0{suffix}"][rows])
            np.testing.assert_array_equal(layer.recurrent_bias[gate], tensors[f"rnn.bias_hh_l0{suffix}"][rows])


def test_an_rnn_is_tanh_unless_told(tmp_path: Path) -> None:
    tensors = tensors_of("rnn")
    for given, expected in (({}, "tanh"), ({"nonlinearity": "tanh"}, "tanh"), ({"nonlinearity": "relu"}, "relu")):
        rnn = loaded(tmp_path, tensors, **given).layers[0]
        assert isinstance(rnn, Rnn)
        assert rnn.activation == expected
        np.testing.assert_array_equal(rnn.bias, tensors["rnn.bias_ih_l0"] + tensors["rnn.bias_hh_l0"])


def test_the_last_layer_may_be_the_output(tmp_path: Path) -> None:
    tensors = files.lstm_tensors(rng(), "", 3, 4, gates=3, bidirectional=True)
    graph = loaded(tmp_path, tensors, head="all")
    assert isinstance(graph.layers[-1], Concat)
    assert graph.output.name == "output"
    assert graph.output.shape == (5, 8)


def test_modules_of_different_kinds_chain(tmp_path: Path) -> None:
    tensors = {
        **files.lstm_tensors(rng(), "a.", 3, 4, gates=1, bidirectional=True),
        **files.lstm_tensors(rng(), "b.", 8, 6, gates=3),
        **files.lstm_tensors(rng(), "c.", 6, 2),
    }
    assert [type(layer) for layer in loaded(tmp_path, tensors, head="all").layers] == [Rnn, Rnn, Concat, Gru, Lstm]


@pytest.mark.parametrize(("held", "asked"), list(itertools.permutations(VARIANTS, 2)))
def test_a_variant_that_the_file_does_not_hold(tmp_path: Path, asked: str, held: str) -> None:
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, tensors_of(held), variant=asked)
    text = f"tensor 'rnn.weight_hh_l0': belongs to a {held} network; expected {asked}"
    assert str(caught.value).endswith(text)


def without(variant: str, name: str) -> dict[str, Any]:
    tensors = tensors_of(variant)
    del tensors[name]
    return tensors


def replaced(variant: str, name: str, *shape: int) -> dict[str, Any]:
    return {**tensors_of(variant), name: np.zeros(shape, np.float32)}


@pytest.mark.parametrize(
    ("tensors", "options", "text"),
    [
        (without("blstm", "rnn.weight_ih_l1_reverse"), {}, "'rnn.weight_ih_l1_reverse': is missing"),
        (without("bgru", "rnn.weight_hh_l0"), {}, "'rnn.weight_hh_l0': is missing"),
        (without("brnn", "rnn.bias_hh_l0_reverse"), {}, "'rnn.bias_hh_l0_reverse': is missing"),
        (
            {name: tensor for name, tensor in tensors_of("bgru").items() if not name.endswith("l1_reverse")},
            {},
            "'rnn.weight_ih_l1_reverse': is missing",
        ),
        (replaced("gru", "rnn.weight_ih_l0", 12), {}, "'rnn.weight_ih_l0': has shape (12,); expected a matrix"),
        (replaced("gru", "rnn.weight_hh_l1", 16, 4), {}, "'rnn.weight_hh_l1': has shape (16, 4); expected (12, 4)"),
        (replaced("bgru", "rnn.weight_ih_l1_reverse", 12, 4), {}, "has shape (12, 4); expected (12, 8)"),
        (replaced("rnn", "rnn.bias_hh_l0", 3), {}, "'rnn.bias_hh_l0': has shape (3,); expected (4,)"),
        (
            replaced("gru", "rnn.weight_hh_l0", 8, 4),
            {},
            "has shape (8, 4); expected (16, 4) of LSTM, (12, 4) of GRU, (4, 4) of RNN",
        ),
        (replaced("gru", "rnn.weight_ih_l0_backward", 12, 3), {}, "belongs to no layer"),
        (tensors_of("gru"), {"variant": "GRU"}, "variant: 'GRU'; expected lstm, blstm, gru"),
        (tensors_of("rnn"), {"nonlinearity": "elu"}, "nonlinearity: 'elu'"),
        (tensors_of("gru"), {"nonlinearity": "relu"}, "the file holds no vanilla RNN"),
    ],
)
def test_refused_in_one_line(tmp_path: Path, tensors: dict[str, Any], options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, tensors, **options)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("variant", "nonlinearity"), [*((variant, "tanh") for variant in VARIANTS), ("rnn", "relu"), ("brnn", "relu")]
)
@pytest.mark.parametrize("bias", [True, False])
def test_agrees_with_torch(tmp_path: Path, variant: str, nonlinearity: Any, bias: bool) -> None:
    torch = pytest.importorskip("torch")
    operator, both = VARIANTS[variant]
    torch.manual_seed(1)
    options: Any = {"nonlinearity": nonlinearity} if operator == "RNN" else {}
    rnn = getattr(torch.nn, operator)(3, 6, 2, bias=bias, batch_first=True, bidirectional=both, **options)
    linear = torch.nn.Linear(12 if both else 6, 4)
    path = tmp_path / "weights.pth"
    torch.save(torch.nn.ModuleDict({"rnn": rnn, "fc": linear}).state_dict(), path)
    frames = rng().normal(size=(7, 5, 3)).astype(np.float32)
    with torch.no_grad():
        hidden = rnn(torch.from_numpy(frames))[0]
        expected: dict[Any, Any] = {"last": linear(hidden[:, -1]).numpy(), "all": linear(hidden).numpy()}
    for head, output in expected.items():
        graph = load_pytorch(path, timesteps=5, head=head, variant=variant, **options)
        np.testing.assert_allclose(run_float(graph, frames)["output"], output, rtol=1e-5, atol=1e-6)
