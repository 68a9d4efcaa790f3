"""ONNX models of several outputs: final states are left out, anything else beside the result is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from accelsim.errors import InputError, UnsupportedOperatorError
from accelsim.frontend.onnx import load_onnx
from accelsim.graph.model import Concat, Graph, Linear, Lstm, SelectStep
from tests.support.onnx_exports import Net, saved

Build = Callable[[Net, str, str, str], Sequence[str]]
"""Names the outputs, given an LSTM's Y as (time, batch, features), its Y_h and its Y_c."""


def model_of(build: Build, direction: str = "forward") -> onnx.ModelProto:
    """Six steps of five features into four units."""
    net = Net(np.random.default_rng(0))
    directions = 2 if direction == "bidirectional" else 1
    weights = [net.weights(directions, 16, 5), net.weights(directions, 16, 4)]
    y, last, cell = net.node("LSTM", ["x", *weights], 3, hidden_size=4, direction=direction)
    y = net.node("Reshape", [net.node("Transpose", [y], perm=[0, 2, 1, 3]), net.constant([0, 0, -1])])
    names = build(net, y, last, cell)
    model = net.model([6, "batch", 5], names[0], rank=3)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 3) for name in names)
    return model


def loaded(folder: Path, build: Build, direction: str = "forward") -> tuple[Graph, list[str]]:
    """The graph, and the names of the model's outputs."""
    model = model_of(build, direction)
    return load_onnx(saved(model, folder)), [output.name for output in model.graph.output]


def linear(net: Net, x: str) -> str:
    return str(net.node("MatMul", [x, net.weights(4, 3)]))


def step(net: Net, y: str, index: int) -> str:
    return str(net.node("Gather", [y, net.constant(index)], axis=0))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_final_states_are_left_out(tmp_path: Path, direction: str) -> None:
    graph, names = loaded(tmp_path, lambda _, y, last, cell: (y, last, cell), direction)
    both = direction == "bidirectional"
    assert [type(layer) for layer in graph.layers] == ([Lstm, Lstm, Concat] if both else [Lstm])
    assert (graph.output.name, *graph.left_out) == tuple(names)
    assert graph.output.shape == (6, 8 if both else 4)


def through_glue(net: Net, y: str, last: str, cell: str) -> Sequence[str]:
    """h_n and c_n of two layers as an exporter puts them together, with the batch first."""
    first, states = linear(net, y), []
    for state in (last, cell):
        stack = net.node("Concat", [state, state], axis=0)
        states.append(net.node("Unsqueeze", [net.node("Transpose", [stack], perm=[1, 0, 2]), net.constant([1])]))
    return first, *states


def side_by_side(net: Net, y: str, last: str, cell: str) -> Sequence[str]:
    ends = [net.node("Slice", [last, net.constant([at]), net.constant([at + 1]), net.constant([0])]) for at in (0, 1)]
    return y, net.node("Concat", ends, axis=2)


def one_step_cut_out(net: Net, y: str, last: str, cell: str) -> Sequence[str]:
    return linear(net, y), step(net, y, 5)


def twice_the_last_step(net: Net, y: str, last: str, cell: str) -> Sequence[str]:
    return linear(net, y), step(net, net.node("Concat", [y, y], axis=2), 5)


@pytest.mark.parametrize(
    ("build", "direction", "kinds"),
    [
        (through_glue, "forward", [Lstm, Linear]),
        (side_by_side, "bidirectional", [Lstm, Lstm, Concat]),
        (one_step_cut_out, "forward", [Lstm, Linear]),
        (twice_the_last_step, "forward", [Lstm, Linear]),
    ],
)
def test_what_is_a_final_state(tmp_path: Path, build: Build, direction: str, kinds: list[type]) -> None:
    graph, names = loaded(tmp_path, build, direction)
    assert [type(layer) for layer in graph.layers] == kinds
    assert (graph.output.name, *graph.left_out) == tuple(names)


def test_the_result_may_stand_after_the_states(tmp_path: Path) -> None:
    graph, names = loaded(tmp_path, lambda net, y, last, cell: (cell, last, linear(net, y)))
    assert (graph.output.name, graph.left_out) == (names[2], tuple(names[:2]))


def test_of_states_alone_the_first_is_kept(tmp_path: Path) -> None:
    graph, names = loaded(tmp_path, lambda _, y, last, cell: (last, cell))
    assert [type(layer) for layer in graph.layers] == [Lstm, SelectStep]
    assert (graph.output.name, *graph.left_out) == tuple(names)


def test_a_model_of_one_output_leaves_none_out(tmp_path: Path) -> None:
    assert loaded(tmp_path, lambda _, y, last, cell: (y,))[0].left_out == ()


@pytest.mark.parametrize(
    ("second", "direction"),
    [
        (lambda net, y, last: linear(net, last), "forward"),
        (lambda net, y, last: step(net, y, 4), "forward"),
        (lambda net, y, last: step(net, y, 5), "reverse"),
        # The reverse direction's last step is the first one of time.
        (lambda net, y, last: step(net, y, 5), "bidirectional"),
        (lambda net, y, last: net.node("Identity", ["x"]), "forward"),
        (lambda net, y, last: net.node("Identity", [net.weights(3)]), "forward"),
        (lambda net, y, last: net.node("Dropout", [last], 2)[1], "forward"),
    ],
)
def test_any_other_output_is_refused(tmp_path: Path, second: Callable[[Net, str, str], str], direction: str) -> None:
    model = model_of(lambda net, y, last, _: (y, second(net, y, last)), direction)
    names = [output.name for output in model.graph.output]
    with pytest.raises(InputError) as caught:
        load_onnx(saved(model, tmp_path))
    assert f"outputs: {names[0]!r}, {names[1]!r}; expected one output, beside final states" in str(caught.value)


def test_an_unknown_operator_is_named_before_the_outputs(tmp_path: Path) -> None:
    """Whichever output it leads to."""
    for build in (
        lambda net, y, last, cell: (y, linear(net, y), net.node("Softsign", [last])),
        lambda net, y, last, cell: (net.node("Softsign", [y]), y, last, cell),
    ):
        with pytest.raises(UnsupportedOperatorError) as caught:
            load_onnx(saved(model_of(build), tmp_path))
        assert caught.value.operator == "Softsign"
        assert caught.value.node.startswith("/softsign")


def test_cell_states_are_no_output(tmp_path: Path) -> None:
    model = model_of(lambda net, y, last, cell: (net.node("Squeeze", [cell, net.constant([0])]),))
    with pytest.raises(InputError, match=": is an LSTM's final cell state; expected a recurrent"):
        load_onnx(saved(model, tmp_path))


@pytest.mark.parametrize(
    ("build", "operator"),
    [
        (lambda net, y, last, cell: (linear(net, cell),), "MatMul"),
        (lambda net, y, last, cell: (y, net.node("Concat", [last, cell], axis=2)), "Concat"),
    ],
)
def test_no_layer_reads_cell_states(tmp_path: Path, build: Build, operator: str) -> None:
    with pytest.raises(UnsupportedOperatorError, match="it reads the final cell state of 'lstm") as caught:
        load_onnx(saved(model_of(build), tmp_path))
    assert caught.value.operator == operator
