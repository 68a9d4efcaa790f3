"""Every mistake a quantized graph can have is found and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.quant.lstm_parameters import lstm_from_scales
from accelsim.quant.model import QGraph, QTensor, Requantizer
from accelsim.quant.validate import check_quantized_graph, same_tensor
from tests.support.quantized_graphs import (
    concat,
    random_cell,
    random_graph,
    random_linear,
    random_lstm,
    random_tensor,
    select_step,
)

RNG = np.random.default_rng(21)
SOURCE = random_tensor(RNG, "x", (3, 4), per_feature=True)
LSTM = random_lstm(RNG, "lstm", SOURCE, 5)
SELECT = select_step("select", LSTM.y, 2)
FC = random_linear(RNG, "fc", SELECT.y, 2)


def graph(*, lstm: Any = LSTM, select: Any = SELECT, fc: Any = FC, **fields: Any) -> QGraph:
    return replace(QGraph("g", SOURCE, FC.y, (lstm, select, fc)), **fields)


def scale(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


BAD: dict[str, tuple[Callable[[], QGraph], str]] = {
    "no layers": (lambda: graph(layers=()), "layers: none; expected at least one"),
    "input name": (lambda: graph(input=replace(SOURCE, name="")), "input '': name: empty"),
    "input shape": (lambda: graph(input=replace(SOURCE, shape=(3, 0))), r"input 'x': shape: \(3, 0\)"),
    "input axes": (lambda: graph(input=replace(SOURCE, shape=(1, 3, 4))), r"input 'x': shape: \(1, 3, 4\)"),
    "scale type": (lambda: graph(input=replace(SOURCE, scale=np.ones(4))), "input 'x': scale: type float64"),
    "scale shape": (
        lambda: graph(input=replace(SOURCE, scale=scale(1, 1))),
        r"scale: shape \(2,\); expected shape \(1,\) or shape \(4,\)",
    ),
    "scale zero": (lambda: graph(input=replace(SOURCE, scale=scale(0))), "scale: 0.0 to 0.0; expected positive"),
    "scale infinite": (lambda: graph(input=replace(SOURCE, scale=scale(np.inf))), "scale: inf to inf"),
    "zero point": (lambda: graph(input=replace(SOURCE, zero_point=128)), "input 'x': zero point: 128"),
    "zero point type": (lambda: graph(input=replace(SOURCE, zero_point=0.5)), r"zero point: 0\.5; expected an integer"),
    "layer name": (lambda: graph(lstm=replace(LSTM, name="")), "layer '': name: empty; expected a name"),
    "layer names": (lambda: graph(fc=replace(FC, name="lstm")), "layer 'lstm': name: used by an earlier layer"),
    "x unknown": (lambda: graph(lstm=replace(LSTM, x=replace(SOURCE, name="z"))), "layer 'lstm': x: no earlier tensor"),
    "x other": (
        lambda: graph(lstm=replace(LSTM, x=replace(SOURCE, zero_point=SOURCE.zero_point ^ 1))),
        "layer 'lstm': x: another shape, scale or zero point than 'x' where it is made",
    ),
    "y exists": (lambda: graph(lstm=replace(LSTM, y=replace(LSTM.y, name="x"))), "layer 'lstm': y: tensor 'x' exists"),
    "y shape": (
        lambda: graph(lstm=replace(LSTM, y=replace(LSTM.y, shape=(2, 5)))),
        r"layer 'lstm': y: shape \(2, 5\); expected shape \(3, 5\)",
    ),
    "output unknown": (lambda: graph(output=replace(FC.y, name="z")), "output: no layer makes tensor 'z'"),
    "output is input": (lambda: graph(output=SOURCE), "output: no layer makes tensor 'x'"),
    "output other": (lambda: graph(output=replace(FC.y, scale=FC.y.scale * 2)), "output 'fc.y': tensor: another shape"),
    "lstm on a vector": (
        lambda: QGraph(
            "g", QTensor("v", (4,), scale(1), 0), LSTM.y, (replace(LSTM, x=QTensor("v", (4,), scale(1), 0)),)
        ),
        r"layer 'lstm': x: shape \(4,\); expected a sequence",
    ),
    "weights axes": (
        lambda: graph(lstm=replace(LSTM, input_weights=LSTM.input_weights[0])),
        r"input_weights: shape \(5, 4\); expected three axes",
    ),
    "weights type": (
        lambda: graph(lstm=replace(LSTM, recurrent_weights=LSTM.recurrent_weights.astype(np.int16))),
        "layer 'lstm': recurrent_weights: type int16; expected int8",
    ),
    "bias shape": (
        lambda: graph(lstm=replace(LSTM, input_bias=LSTM.input_bias[:3])),
        r"layer 'lstm': input_bias: shape \(3, 5\); expected shape \(4, 5\)",
    ),
    "factors": (
        lambda: graph(lstm=replace(LSTM, input_requantizers=LSTM.input_requantizers[:3])),
        "layer 'lstm': input_requantizers: 3 factors; expected 4",
    ),
    "multiplier": (
        lambda: graph(lstm=replace(LSTM, hidden_requantizer=Requantizer(2**31, 0))),
        r"hidden_requantizer multiplier: 2147483648; expected an integer in \[1073741824, 2147483647\]",
    ),
    "shift": (
        lambda: graph(lstm=replace(LSTM, hidden_requantizer=Requantizer(2**30, -32))),
        r"hidden_requantizer shift: -32; expected an integer in \[-31, 31\]",
    ),
    "zero multiplier": (
        lambda: graph(lstm=replace(LSTM, hidden_requantizer=Requantizer(0, 1))),
        "hidden_requantizer multiplier: 0",
    ),
    "cell scale": (lambda: graph(lstm=replace(LSTM, cell_scale_log2=-16)), r"cell_scale_log2: -16; .* \[-15, -9\]"),
    "cell clip": (lambda: graph(lstm=replace(LSTM, cell_clip=32768)), r"cell_clip: 32768; expected .* \[0, 32767\]"),
    "cell clip type": (lambda: graph(lstm=replace(LSTM, cell_clip=True)), "cell_clip: True; expected an integer"),
    "hidden zero": (lambda: graph(lstm=replace(LSTM, hidden_zero_point=-129)), "hidden_zero_point: -129"),
    "initial hidden": (lambda: graph(lstm=replace(LSTM, initial_hidden=200)), "initial_hidden: 200"),
    "linear axes": (lambda: graph(fc=replace(FC, weights=FC.weights[0])), r"weights: shape \(5,\); expected two axes"),
    "linear columns": (lambda: graph(fc=replace(FC, weights=FC.weights[:, :3])), r"weights: shape \(2, 3\); expected"),
    "linear bias": (lambda: graph(fc=replace(FC, bias=FC.bias.astype(np.int64))), "bias: type int64; expected int32"),
    "linear y": (
        lambda: graph(fc=replace(FC, y=replace(FC.y, shape=(3,))), output=replace(FC.y, shape=(3,))),
        r"layer 'fc': y: shape \(3,\); expected shape \(2,\)",
    ),
    "output scale type": (
        lambda: graph(fc=replace(FC, output_scale=FC.output_scale.astype(np.float32))),
        "output_scale: type float32; expected float64",
    ),
    "output scale zero": (lambda: graph(fc=replace(FC, output_scale=np.zeros(2))), r"output_scale: 0\.0 to 0\.0"),
    "output scale nan": (lambda: graph(fc=replace(FC, output_scale=np.full(2, np.nan))), "output_scale: nan to nan"),
    "output scale huge": (lambda: graph(fc=replace(FC, output_scale=np.full(2, 1e30))), r"output_scale: 1e\+30"),
    "step": (
        lambda: graph(select=replace(SELECT, step=3)),
        r"layer 'select': step: 3; expected an integer in \[0, 2\]",
    ),
    "step before": (lambda: graph(select=replace(SELECT, step=-1)), "layer 'select': step: -1"),
    "step of a vector": (
        lambda: graph(layers=(LSTM, SELECT, select_step("again", SELECT.y, 0))),
        r"layer 'again': x: shape \(5,\); expected a sequence",
    ),
    "step rescaled": (
        lambda: graph(select=replace(SELECT, y=replace(SELECT.y, scale=SELECT.y.scale * 2))),
        "layer 'select': y: another shape, scale or zero point than x's",
    ),
}


GRU = random_cell(RNG, "gru", "gru", SOURCE, 5)
RNN = random_cell(RNG, "rnn, relu", "rnn", SOURCE, 2, y=replace(GRU.y, name="rnn.y", shape=(3, 2)), reverse=True)
JOINT = concat("joint", GRU.y, RNN.y)


def joined(*, gru: Any = GRU, rnn: Any = RNN, joint: Any = JOINT, **fields: Any) -> QGraph:
    return replace(QGraph("g", SOURCE, joint.y, (gru, rnn, joint)), **fields)


BAD |= {
    "lstm reverse": (lambda: graph(lstm=replace(LSTM, reverse=1)), "layer 'lstm': reverse: 1; expected true or false"),
    "gru axes": (
        lambda: joined(gru=replace(GRU, input_weights=GRU.input_weights[0])),
        r"layer 'gru': input_weights: shape \(5, 4\); expected three axes",
    ),
    "gru gates": (
        lambda: joined(gru=replace(GRU, recurrent_weights=np.zeros((4, 5, 5), np.int8))),
        r"layer 'gru': recurrent_weights: shape \(4, 5, 5\); expected shape \(3, 5, 5\)",
    ),
    "gru bias": (
        lambda: joined(gru=replace(GRU, recurrent_bias=GRU.recurrent_bias[0])),
        r"layer 'gru': recurrent_bias: shape \(5,\); expected shape \(3, 5\)",
    ),
    "gru factors": (
        lambda: joined(gru=replace(GRU, recurrent_requantizers=GRU.recurrent_requantizers * 2)),
        "layer 'gru': recurrent_requantizers: 6 factors; expected 3",
    ),
    "gru hidden factor": (
        lambda: joined(gru=replace(GRU, hidden_requantizer=Requantizer(1, 0))),
        "layer 'gru': hidden_requantizer multiplier: 1",
    ),
    "gru zero point": (
        lambda: joined(gru=replace(GRU, hidden_zero_point=128)),
        "layer 'gru': hidden_zero_point: 128",
    ),
    "gru order": (
        lambda: joined(gru=replace(GRU, linear_before_reset=0)),
        "layer 'gru': linear_before_reset: 0; expected true or false",
    ),
    "gru reverse": (lambda: joined(gru=replace(GRU, reverse=None)), "layer 'gru': reverse: None; expected true"),
    "gru of another input": (
        lambda: joined(gru=replace(GRU, x=replace(SOURCE, shape=(4,)), y=GRU.y), input=replace(SOURCE, shape=(4,))),
        r"layer 'gru': x: shape \(4,\); expected a sequence",
    ),
    "rnn axes": (
        lambda: joined(rnn=replace(RNN, input_weights=RNN.input_weights[np.newaxis])),
        r"layer 'rnn': input_weights: shape \(1, 2, 4\); expected two axes",
    ),
    "rnn bias": (
        lambda: joined(rnn=replace(RNN, input_bias=RNN.input_bias[:1])),
        r"layer 'rnn': input_bias: shape \(1,\); expected shape \(2,\)",
    ),
    "rnn input factor": (
        lambda: joined(rnn=replace(RNN, input_requantizer=Requantizer(2**30, 32))),
        "layer 'rnn': input_requantizer shift: 32",
    ),
    "rnn recurrent factor": (
        lambda: joined(rnn=replace(RNN, recurrent_requantizer=Requantizer(5, 0))),
        "layer 'rnn': recurrent_requantizer multiplier: 5",
    ),
    "rnn activation": (
        lambda: joined(rnn=replace(RNN, activation="sine")),
        "layer 'rnn': activation: 'sine'; expected tanh or relu",
    ),
    "rnn scale": (
        lambda: joined(rnn=replace(RNN, preactivation_scale_log2=32)),
        r"preactivation_scale_log2: 32; expected an integer in \[-31, 31\]",
    ),
    "rnn scale of tanh": (
        lambda: joined(rnn=replace(RNN, activation="tanh", preactivation_scale_log2=-13)),
        r"preactivation_scale_log2: -13; expected an integer in \[-12, -12\]",
    ),
    "joint of one": (
        lambda: joined(joint=replace(JOINT, parts=JOINT.parts[:1])),
        "layer 'joint': parts: 1; expected at least 2",
    ),
    "joint of an unknown part": (
        lambda: joined(joint=replace(JOINT, parts=(GRU.y, replace(RNN.y, name="z")))),
        r"layer 'joint': parts\[1\]: no earlier tensor 'z'",
    ),
    "joint of another part": (
        lambda: joined(joint=replace(JOINT, parts=(replace(GRU.y, zero_point=GRU.y.zero_point ^ 1), RNN.y))),
        r"layer 'joint': parts\[0\]: another shape, scale or zero point than 'gru\.y' where it is made",
    ),
    "joint of other steps": (
        lambda: joined(
            joint=replace(JOINT, parts=(GRU.y, SELECT.y)),
            layers=(GRU, LSTM, SELECT, replace(JOINT, parts=(GRU.y, SELECT.y))),
        ),
        r"layer 'joint': parts\[1\]: shape \(5,\); expected as many steps as 'gru\.y'",
    ),
    "joint of other scales": (
        lambda: joined(joint=replace(JOINT, y=replace(JOINT.y, scale=JOINT.y.scale * 2))),
        r"layer 'joint': parts\[0\]: another scale or zero point than y's; expected y's one scale",
    ),
    "joint of other zero points": (
        lambda: joined(joint=replace(JOINT, y=replace(JOINT.y, zero_point=JOINT.y.zero_point ^ 1))),
        r"layer 'joint': parts\[0\]: another scale or zero point than y's",
    ),
    "joint of equalized features": (
        lambda: joined(joint=(both := concat("joint", SOURCE, SOURCE)), layers=(both,)),
        r"layer 'joint': y: scale: shape \(4,\); expected shape \(1,\) or shape \(8,\)",
    ),
    "joint of another width": (
        lambda: joined(joint=replace(JOINT, y=replace(JOINT.y, shape=(3, 8)))),
        r"layer 'joint': y: shape \(3, 8\); expected shape \(3, 7\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_named(name: str) -> None:
    make, expected = BAD[name]
    with pytest.raises(InputError, match=rf"^model\.onnx: .*{expected}"):
        check_quantized_graph(make(), "model.onnx")


def test_good_graphs_pass() -> None:
    check_quantized_graph(graph(), "g")
    check_quantized_graph(joined(), "g")
    check_quantized_graph(graph(lstm=replace(LSTM, hidden_requantizer=Requantizer(0, 0))), "g")
    for seed in range(20):
        check_quantized_graph(random_graph(np.random.default_rng(seed)), "g")


def test_same_tensor_compares_every_field() -> None:
    tensor = QTensor("t", (3, 4), scale(1), 5)
    assert same_tensor(tensor, replace(tensor, scale=scale(1)))
    others = {"name": "u", "shape": (4,), "scale": scale(2), "zero_point": 6}
    for field, value in others.items():
        assert not same_tensor(tensor, replace(tensor, **{field: value}))
    assert not same_tensor(tensor, replace(tensor, scale=scale(1, 1, 1, 1)))


# --- from scales to integers -------------------------------------------------------------------------------------

X, Y = QTensor("x", (3, 2), scale(0.5), 7), QTensor("y", (3, 1), scale(0.0078125), -3)
QUANTITIES: dict[str, Any] = {
    "input_weights": np.arange(8, dtype=np.int8).reshape(4, 1, 2),
    "input_weight_scales": [0.25, 0.5, 1.0, 2.0],
    "recurrent_weights": np.full((4, 1, 1), -5, dtype=np.int8),
    "recurrent_weight_scales": scale(1, 1, 1, 1),
    "bias": np.full((4, 1), 100, dtype=np.int32),
    "input_scale": 0.5,
    "input_zero_point": 7,
    "recurrent_scale": 0.25,
    "recurrent_zero_point": 2,
    "hidden_scale": 0.0078125,
    "hidden_zero_point": -3,
    "cell_scale_log2": -11,
    "cell_clip": 10.0,
}


def test_scales_become_integers() -> None:
    layer = lstm_from_scales("lstm", X, Y, **QUANTITIES)
    check_quantized_graph(QGraph("g", X, Y, (layer,)), "g")
    np.testing.assert_array_equal(layer.input_bias[:, 0], 100 - 7 * np.array([1, 5, 9, 13]))
    np.testing.assert_array_equal(layer.recurrent_bias[:, 0], [10] * 4)  # -2 * -5
    # 0.25 * 0.5 * 2**12 = 2**9 = 2**30 * 2**(10 - 31).
    assert layer.input_requantizers == tuple(Requantizer(2**30, shift) for shift in (10, 11, 12, 13))
    assert layer.recurrent_requantizers == (Requantizer(2**30, 11),) * 4  # 2**-2 * 2**12
    assert layer.hidden_requantizer == Requantizer(2**30, -22)  # 2**-30 / 2**-7
    assert (layer.cell_clip, layer.hidden_zero_point, layer.initial_hidden) == (20480, -3, 2)
    assert lstm_from_scales("lstm", X, Y, **QUANTITIES | {"cell_clip": 0.0}).cell_clip == 0
    assert lstm_from_scales("lstm", X, Y, **QUANTITIES | {"cell_scale_log2": -12}).cell_clip == 32767


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("input_weights", np.zeros((4, 2), dtype=np.int8), r"input_weights: shape \(4, 2\)"),
        ("input_weights", np.zeros((4, 1, 3), dtype=np.int8), r"input_weights: shape \(4, 1, 3\); expected .*4, 1, 2"),
        ("recurrent_weights", np.zeros((4, 1, 2), dtype=np.int8), r"recurrent_weights: shape \(4, 1, 2\)"),
        ("bias", np.zeros(4, dtype=np.int32), r"bias: shape \(4,\); expected shape \(4, 1\)"),
        ("input_weight_scales", [1.0] * 3, r"input_weight_scales: shape \(3,\)"),
        ("recurrent_weight_scales", [1.0, 1.0, 0.0, 1.0], r"recurrent_weight_scales: .*; expected positive numbers"),
        ("input_scale", -1.0, r"input_scale: \[-1\.0\]; expected positive"),
        ("recurrent_scale", float("nan"), r"recurrent_scale: \[nan\]; expected positive"),
        ("hidden_scale", float("inf"), r"hidden_scale: \[inf\]; expected positive"),
        ("cell_scale_log2", -16, r"cell_scale_log2: -16; expected -15 to -9"),
        ("cell_scale_log2", -8, r"cell_scale_log2: -8; expected -15 to -9"),
    ],
)
def test_scales_that_make_no_layer(field: str, value: Any, expected: str) -> None:
    with pytest.raises(InputError, match=rf"^layer lstm: {expected}"):
        lstm_from_scales("lstm", X, Y, **QUANTITIES | {field: value})
