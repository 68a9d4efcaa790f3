"""Each thing that makes a graph invalid, by one change to a valid one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim.errors import InputError
from accelsim.graph.check import cell_key, check_graph, inputs_of, preactivation_key
from accelsim.graph.model import Concat, Graph, Gru, Linear, Lstm, Rnn, SelectStep, Tensor


def zeros(*shape: int, dtype: Any = np.float32) -> Any:
    return np.zeros(shape, dtype)


X, H, LAST, Y = Tensor("x", (4, 3)), Tensor("h", (4, 5)), Tensor("last", (5,)), Tensor("y", (2,))
LSTM = Lstm("lstm", X, H, zeros(4, 5, 3), zeros(4, 5, 5), zeros(4, 5))
SELECT = SelectStep("select", H, LAST, 3)
LINEAR = Linear("fc", LAST, Y, zeros(2, 5), zeros(2))


GRU = Gru("gru", X, H, zeros(3, 5, 3), zeros(3, 5, 5), zeros(3, 5), zeros(3, 5), linear_before_reset=True)
RNN = Rnn("rnn", X, H, zeros(5, 3), zeros(5, 5), zeros(5), "relu")
BACK, BOTH = Tensor("back", (4, 5)), Tensor("both", (4, 10))
CONCAT = Concat("concat", (H, BACK), BOTH)


def graph(lstm: Any = LSTM, select: Any = SELECT, linear: Any = LINEAR, **changes: Any) -> Graph:
    return replace(Graph("net", X, Y, (lstm, select, linear), source="net.onnx"), **changes)


def both(first: Any = GRU, second: Any = RNN, concat: Any = CONCAT, **changes: Any) -> Graph:
    """Two layers on the same input, side by side."""
    layers = (first, replace(second, y=replace(second.y, name="back"), reverse=True), concat)
    return replace(Graph("net", X, BOTH, layers, source="net.onnx"), **changes)


@pytest.mark.parametrize("valid", [graph(), graph(GRU), graph(RNN), both(), both(LSTM, GRU)])
def test_a_valid_graph_passes(valid: Graph) -> None:
    check_graph(valid)


def test_what_layers_read_and_report() -> None:
    assert inputs_of(CONCAT) == (H, BACK)
    assert inputs_of(LSTM) == inputs_of(RNN) == (X,)
    assert (cell_key(LSTM), preactivation_key(RNN)) == ("lstm.cell", "rnn.preactivation")


NAN = zeros(2, 5)
NAN[1, 1] = np.nan


@pytest.mark.parametrize(
    ("invalid", "text"),
    [
        (graph(replace(LSTM, y=replace(H, name="x"))), "tensor 'x': is defined twice"),
        (graph(linear=replace(LINEAR, y=replace(Y, name="lstm.cell"))), "tensor 'lstm.cell': is defined twice"),
        (graph(replace(LSTM, y=replace(H, name="lstm.cell"))), "the name 'lstm.cell' is taken"),
        (graph(select=replace(SELECT, name="lstm")), "layer 'lstm': is defined twice"),
        (graph(input=replace(X, shape=(4, 0))), "shape (4, 0)"),
        (graph(input=replace(X, shape=(1, 4, 3))), "shape (1, 4, 3)"),
        (graph(input=replace(X, name="z")), "reads 'x', which no earlier layer writes"),
        (graph(input=replace(X, shape=(4, 4))), "reads 'x' with shape (4, 3); expected shape (4, 4)"),
        (graph(output=replace(Y, name="z")), "graph output: reads 'z'"),
        (graph(layers=(SELECT,)), "reads 'h', which no earlier layer writes"),
        (graph(replace(LSTM, x=replace(X, shape=(3,))), input=replace(X, shape=(3,))), "expected a sequence"),
        (graph(replace(LSTM, input_weights=zeros(4, 5, 2))), "input_weights have shape (4, 5, 2); expected (4, 5, 3)"),
        (graph(replace(LSTM, recurrent_weights=zeros(4, 5, 4))), "recurrent_weights have shape"),
        (graph(replace(LSTM, bias=zeros(4, 4))), "bias have shape"),
        (graph(replace(LSTM, y=replace(H, shape=(3, 5)))), "its output has shape (3, 5); expected (4, 5)"),
        (graph(linear=replace(LINEAR, weights=zeros(2, 5, dtype=np.float64))), "weights are float64"),
        (graph(linear=replace(LINEAR, weights=NAN)), "weights hold NaN or infinity"),
        (graph(linear=replace(LINEAR, bias=zeros(3))), "bias have shape (3,)"),
        (graph(linear=replace(LINEAR, y=replace(Y, shape=(3,)))), "its output has shape (3,)"),
        (graph(select=replace(SELECT, step=4)), "selects step 4; expected 0 to 3"),
        (graph(select=replace(SELECT, step=-1)), "selects step -1"),
        (graph(select=replace(SELECT, y=replace(LAST, shape=(4,)))), "its output has shape (4,)"),
        (graph(replace(GRU, input_weights=zeros(4, 5, 3))), "input_weights have shape (4, 5, 3); expected (3, 5, 3)"),
        (graph(replace(GRU, recurrent_weights=zeros(3, 5, 4))), "recurrent_weights have shape (3, 5, 4)"),
        (graph(replace(GRU, input_bias=zeros(5))), "input_bias have shape (5,); expected (3, 5)"),
        (graph(replace(GRU, recurrent_bias=zeros(3, 4))), "recurrent_bias have shape (3, 4)"),
        (graph(replace(GRU, y=replace(H, shape=(4, 6)))), "its output has shape (4, 6); expected (4, 5)"),
        (graph(replace(RNN, input_weights=zeros(5, 4))), "input_weights have shape (5, 4); expected (5, 3)"),
        (graph(replace(RNN, recurrent_weights=zeros(5, 4))), "recurrent_weights have shape (5, 4)"),
        (graph(replace(RNN, bias=zeros(1, 5))), "bias have shape (1, 5); expected (5,)"),
        (graph(replace(RNN, activation="Relu")), "activation is 'Relu'; expected tanh or relu"),
        (graph(replace(RNN, y=replace(H, name="rnn.preactivation"))), "the name 'rnn.preactivation' is taken"),
        (both(concat=replace(CONCAT, parts=(H,))), "layer 'concat': has 1 parts; expected at least 2"),
        (both(concat=replace(CONCAT, y=replace(BOTH, shape=(4, 9)))), "its output has shape (4, 9); expected (4, 10)"),
        (both(concat=replace(CONCAT, parts=(H, replace(H, name="z")))), "reads 'z', which no earlier layer writes"),
        (
            graph(layers=(LSTM, SELECT, Concat("concat", (H, LAST), BOTH))),
            "parts 'h' (4, 5) and 'last' (5,); expected parts of the same number of steps",
        ),
        (graph(layers=(LSTM, SELECT, SelectStep("again", LAST, Y, 0))), "layer 'again': its input has shape (5,)"),
    ],
)
def test_refused_in_one_line(invalid: Graph, text: str) -> None:
    with pytest.raises(InputError) as caught:
        check_graph(invalid)
    assert text in str(caught.value)
    assert str(caught.value).startswith("net.onnx: ")
    assert "\n" not in str(caught.value)


def test_a_graph_without_a_file_is_named() -> None:
    with pytest.raises(InputError, match=r"^net: "):
        check_graph(graph(source="", output=replace(Y, name="z")))
