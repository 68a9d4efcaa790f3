"""What the ONNX front end makes of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from accelsim.errors import InputError, UnsupportedOperatorError
from accelsim.frontend.onnx import load_onnx
from accelsim.graph.execute import run_float
from accelsim.graph.model import Gate, Linear, Lstm, SelectStep
from tests.support.onnx_exports import Form, Net, dynamo_export, legacy_export, saved


def net() -> Net:
    return Net(np.random.default_rng(0))


def squeezed(built: Net, y: str) -> str:
    """The direction axis of an LSTM's output dropped."""
    return str(built.node("Squeeze", [y, built.constant([1])]))


def array_of(model: onnx.ModelProto, name: str) -> Any:
    return next(numpy_helper.to_array(item) for item in model.graph.initializer if item.name == name)


def test_gates_and_biases_are_ours(tmp_path: Path) -> None:
    model = legacy_export(Form(), 0)
    lstm = load_onnx(saved(model, tmp_path)).layers[0]
    assert isinstance(lstm, Lstm)
    node = next(node for node in model.graph.node if node.op_type == "LSTM")
    w, r, b = (array_of(model, node.input[index]) for index in (1, 2, 3))
    bias = b.reshape(2, 16).sum(axis=0)
    for position, gate in enumerate((Gate.INPUT, Gate.OUTPUT, Gate.FORGET, Gate.CELL)):
        rows = slice(4 * position, 4 * position + 4)
        np.testing.assert_array_equal(lstm.input_weights[gate], w[0, rows])
        np.testing.assert_array_equal(lstm.recurrent_weights[gate], r[0, rows])
        np.testing.assert_array_equal(lstm.bias[gate], bias[rows])


def test_names_come_from_the_model(tmp_path: Path) -> None:
    built = net()
    y = squeezed(built, built.lstm("x", 5, 4)[0])
    built.nodes[0].name = "/rnn/LSTM"
    logits = built.node("MatMul", [y, built.weights(4, 3)])
    built.nodes[-1].name = "/fc/MatMul"
    result = built.node("Add", [logits, built.weights(3)])
    graph = load_onnx(saved(built.model([6, "batch", 5], result, rank=3), tmp_path, "given.onnx"))
    assert [layer.name for layer in graph.layers] == ["rnn", "fc_2"]
    assert (graph.input.name, graph.output.name, graph.output.shape) == ("x", result, (6, 3))
    assert graph.source.endswith("given.onnx")


def test_output_keeps_the_models_name_after_a_transpose(tmp_path: Path) -> None:
    built = net()
    result = built.node("Transpose", [squeezed(built, built.lstm("x", 5, 4)[0])], perm=[1, 0, 2])
    graph = load_onnx(saved(built.model([6, "batch", 5], result, rank=3), tmp_path))
    assert graph.output.name == result == graph.layers[-1].y.name


def test_the_step_counts_from_zero(tmp_path: Path) -> None:
    for index, step in ((-1, 5), (2, 2), (-6, 0)):
        built = net()
        y = squeezed(built, built.lstm("x", 5, 4)[0])
        result = built.node("Gather", [y, built.constant(index)], axis=0)
        graph = load_onnx(saved(built.model([6, "batch", 5], result), tmp_path))
        assert isinstance(graph.layers[-1], SelectStep)
        assert graph.layers[-1].step == step


def test_timesteps_fill_an_open_time_axis(tmp_path: Path) -> None:
    path = saved(legacy_export(Form(open_time=True), 0), tmp_path)
    assert load_onnx(path, timesteps=9).input.shape == (9, 5)
    with pytest.raises(InputError, match="the number of time steps is open; expected timesteps"):
        load_onnx(path)


def test_timesteps_must_agree_with_a_fixed_time_axis(tmp_path: Path) -> None:
    path = saved(legacy_export(Form(), 0), tmp_path)
    assert load_onnx(path, timesteps=6).input.shape == (6, 5)
    with pytest.raises(InputError, match="timesteps: 7; expected 6, as the model says"):
        load_onnx(path, timesteps=7)


@pytest.mark.parametrize("timesteps", [0, -1, True, 2.0])
def test_timesteps_are_a_count(tmp_path: Path, timesteps: Any) -> None:
    with pytest.raises(InputError, match="timesteps"):
        load_onnx(tmp_path / "none.onnx", timesteps=timesteps)


def test_a_batchwise_layout_is_the_same_model(tmp_path: Path) -> None:
    graphs = []
    for layout in (0, 1):
        built = net()
        weights = built.lstm_weights(5, 4)
        x = "x" if layout else built.node("Transpose", ["x"], perm=[1, 0, 2])
        y, last = built.node("LSTM", [x, *weights], 2, hidden_size=4, layout=layout)
        result = built.node("Squeeze", [last, built.constant([1 if layout else 0])])
        del y
        graphs.append(load_onnx(saved(built.model(["batch", 6, 5], result), tmp_path)))
    features = np.random.default_rng(1).normal(size=(2, 6, 5)).astype(np.float32)
    one, other = (run_float(graph, features)[graph.output.name] for graph in graphs)
    np.testing.assert_array_equal(one, other)


def test_all_states_of_a_batchwise_layout(tmp_path: Path) -> None:
    built = net()
    y = built.lstm("x", 5, 4, outputs=1, layout=1)
    result = built.node("Squeeze", [y, built.constant([2])])
    graph = load_onnx(saved(built.model(["batch", 6, 5], result, rank=3), tmp_path))
    assert graph.output.shape == (6, 4)


def test_no_effect_no_layer(tmp_path: Path) -> None:
    """Identity, Dropout, Cast to float32 and Flatten leave values as they are; dead nodes and inputs are not read."""
    built = net()
    x = built.node("Identity", ["x"])
    x = built.node("Cast", [x], to=TensorProto.FLOAT)
    y, last, cell = built.lstm(x, 5, 4)
    built.node("Softmax", [cell])
    dropped, _ = built.node("Dropout", [last, built.constant(0.5, np.float32), built.constant(False, np.bool_)], 2)
    first = built.node("Gather", [dropped, built.constant([0])], axis=0)
    result = built.node("Reshape", [first, built.constant([-1, 4])])
    model = built.model([6, "batch", 5], result)
    model.graph.input.append(helper.make_tensor_value_info("unused", TensorProto.INT64, [1]))
    graph = load_onnx(saved(model, tmp_path))
    assert [type(layer) for layer in graph.layers] == [Lstm, SelectStep]
    assert y not in [layer.y.name for layer in graph.layers[1:]]


def test_reshape_may_copy_sizes(tmp_path: Path) -> None:
    built = net()
    y = built.lstm("x", 5, 4, outputs=1)
    result = built.node("Reshape", [y, built.constant([0, -1, 4])])
    assert load_onnx(saved(built.model([6, "batch", 5], result, rank=3), tmp_path)).output.shape == (6, 4)


def test_time_steps_may_be_split_apart(tmp_path: Path) -> None:
    built = net()
    y = squeezed(built, built.lstm("x", 5, 4)[0])
    parts = built.node("Split", [y, built.constant([1, 1, 1])], 3, axis=0)
    result = built.node("Squeeze", [parts[1], built.constant([0])])
    graph = load_onnx(saved(built.model([3, "batch", 5], result), tmp_path))
    assert isinstance(graph.layers[-1], SelectStep)
    assert graph.layers[-1].step == 1


def test_last_states_may_be_stacked_and_sliced(tmp_path: Path) -> None:
    built = net()
    y, first, _ = built.lstm("x", 5, 4)
    _, second, _ = built.lstm(squeezed(built, y), 4, 4)
    stack = built.node("Concat", [first, second], axis=0)
    shape = built.node("Shape", [stack])
    layers = built.node("Gather", [shape, built.constant([0])], axis=0)
    start = built.node("Sub", [layers, built.constant([1])])
    last = built.node("Slice", [stack, start, layers, built.constant([0])])
    result = built.node("Squeeze", [last, built.constant([0])])
    graph = load_onnx(saved(built.model([6, "batch", 5], result), tmp_path))
    assert [type(layer) for layer in graph.layers] == [Lstm, Lstm, SelectStep]


def test_a_linear_model_without_time(tmp_path: Path) -> None:
    built = net()
    result = built.node("Gemm", ["x", built.weights(5, 3), built.weights(1, 3)])
    path = saved(built.model(["batch", 5], result), tmp_path)
    graph = load_onnx(path)
    assert (graph.input.shape, graph.output.shape) == ((5,), (3,))
    with pytest.raises(InputError, match="timesteps: 4; expected 1"):
        load_onnx(path, timesteps=4)


def test_gemm_of_a_transposed_matrix(tmp_path: Path) -> None:
    built = net()
    result = built.node("Gemm", [built.node("Transpose", ["x"]), built.weights(5, 3)], transA=1)
    (layer,) = load_onnx(saved(built.model(["batch", 5], result), tmp_path)).layers
    assert isinstance(layer, Linear)


def test_a_branch_whose_condition_is_known(tmp_path: Path) -> None:
    """As exporters write a squeeze of an axis whose size they do not know."""
    built = net()
    y = squeezed(built, built.lstm("x", 5, 4)[0])
    last = built.node("Slice", [y, built.constant([-1]), built.constant([2**63 - 1]), built.constant([0])])
    size = built.node("Gather", [built.node("Shape", [last]), built.constant([0])], axis=0)
    one = built.node("Equal", [size, built.constant([1])])
    axes = numpy_helper.from_array(np.array([0]), "axes")
    squeeze = helper.make_node("Squeeze", [last, "axes"], ["then"])
    keep = helper.make_node("Identity", [last], ["else"])
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("then", "else")]
    for item in info:
        item.type.tensor_type.shape.SetInParent()
    result = built.node(
        "If",
        [one],
        then_branch=helper.make_graph([squeeze], "then", [], [info[0]], [axes]),
        else_branch=helper.make_graph([keep], "else", [], [info[1]]),
    )
    graph = load_onnx(saved(built.model([6, "batch", 5], result), tmp_path))
    assert graph.output.shape == (4,)


def test_functions_of_the_model_are_inlined(tmp_path: Path) -> None:
    built = net()
    y = squeezed(built, built.lstm("x", 5, 4)[0])
    built.nodes.append(helper.make_node("Relu", [y], ["out"], name="call", domain="local"))
    model = built.model([6, "batch", 5], "out", rank=3)
    body = [helper.make_node("Identity", ["a"], ["b"])]
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.functions.append(helper.make_function("local", "Relu", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    assert load_onnx(saved(model, tmp_path)).output.shape == (6, 4)
    model.functions[0].opset_import[0].version = 16
    with pytest.raises(
        UnsupportedOperatorError, match=r"Relu \(node 'call'\): not supported: operators of domain 'local'"
    ):
        load_onnx(saved(model, tmp_path))


def test_both_exporters_give_the_same_graph(tmp_path: Path) -> None:
    """The same weights under both exporters' forms give the same numbers."""
    form = Form(layers=2)
    features = form.frames(np.random.default_rng(3))
    outputs = []
    for export in (legacy_export, dynamo_export):
        graph = load_onnx(saved(export(form, 4), tmp_path))
        outputs.append(run_float(graph, features)[graph.output.name])
    np.testing.assert_array_equal(*outputs)
