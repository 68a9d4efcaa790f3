"""ONNX models refused as a whole: their inputs, outputs, operator sets and validity."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from accelsim.errors import InputError, UnsupportedOperatorError
from accelsim.frontend.onnx import load_onnx
from tests.support.onnx_exports import Form, Net, legacy_export, saved


def net() -> Net:
    return Net(np.random.default_rng(0))


def squeezed(built: Net, y: str) -> str:
    """The direction axis of an LSTM's output dropped."""
    return str(built.node("Squeeze", [y, built.constant([1])]))


def changed(change: Callable[[onnx.ModelProto], Any]) -> onnx.ModelProto:
    model = legacy_export(Form(), 0)
    change(model)
    return model


def set_input(shape: Any, kind: int = TensorProto.FLOAT) -> Callable[[onnx.ModelProto], None]:
    return lambda model: model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", kind, shape))


def state_input(model: onnx.ModelProto) -> None:
    next(node for node in model.graph.node if node.op_type == "LSTM").input[5] = "h0"
    model.graph.input.append(helper.make_tensor_value_info("h0", TensorProto.FLOAT, [1, 2, 4]))


def output_is(name: str, rank: int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank))

    return change


def stacked_output(model: onnx.ModelProto) -> None:
    last = next(node for node in model.graph.node if node.op_type == "LSTM").output[1]
    model.graph.node.append(helper.make_node("Concat", [last, last], ["both"], name="both", axis=0))
    output_is("both", 3)(model)


def constant_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", [model.graph.initializer[0].name], ["same"], name="same"))
    output_is("same", 3)(model)


def identity_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", ["x"], ["same"], name="same"))
    output_is("same", 3)(model)


def transposed_output(model: onnx.ModelProto) -> None:
    before = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Transpose", [before], ["turned"], name="turn"))
    output_is("turned", 2)(model)


def backward_output(model: onnx.ModelProto) -> None:
    names = ["start", "end", "axis", "step"]
    for name, value in zip(names, (-1, -99, 1, -1), strict=True):
        model.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    model.graph.node.append(helper.make_node("Slice", ["x", *names], ["turned"], name="turn"))
    output_is("turned", 3)(model)


def wide_shape(model: onnx.ModelProto) -> None:
    target = next(item for item in model.graph.initializer if item.dims and "weights" in item.name)
    target.dims[0] = 1000


def sparse(model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "indices")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (state_input, "the model reads 'h0' beside 'x'; expected one input"),
        (set_input(["batch", 6, 5], TensorProto.DOUBLE), "input 'x': is DOUBLE; expected FLOAT"),
        (set_input(["batch", 6, None]), "leaves the number of features"),
        (set_input(["batch", 0, 5]), "sizes of at least 1"),
        (set_input([]), "has no shape"),
        (set_input(["batch", 6, 5, 1]), "rank 4; expected rank 3"),
        (identity_output, "is the input itself"),
        (constant_output, "the output depends on no input"),
        (stacked_output, "output 'both': directions or layers lie on an axis of their own"),
        (backward_output, "output 'turned': runs from the last time step to the first; expected the order of time"),
        (transposed_output, "the features last"),
        (wide_shape, "no valid model"),
        (sparse, "sparse"),
        (lambda model: model.graph.node.pop(), "no valid model"),
        (lambda model: model.graph.output.pop(), "outputs: none"),
        (lambda model: model.opset_import[0].CopyFrom(helper.make_opsetid("", 9)), "no valid model"),
        (lambda model: model.ClearField("graph"), "holds no graph"),
    ],
)
def test_models_that_do_not_fit(tmp_path: Path, change: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        load_onnx(saved(changed(change), tmp_path))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_opset_too_old(tmp_path: Path) -> None:
    built = net()
    result = built.node("Squeeze", [built.lstm("x", 5, 4)[0]], axes=[1])
    with pytest.raises(InputError, match="opset: 10; expected 11 or newer"):
        load_onnx(saved(built.model([6, 2, 5], result, rank=3, opset=10), tmp_path))


def test_a_quantized_model_is_recognised(tmp_path: Path) -> None:
    built = net()
    built.nodes.append(helper.make_node("Lstm", ["x"], ["y"], domain="accelsim"))
    with pytest.raises(InputError, match=r"quantized already .* `accelsim compile` takes this file"):
        load_onnx(saved(built.model([6, 2, 5], "y"), tmp_path))


@pytest.mark.parametrize(
    ("domain", "operator", "reason"),
    [("com.microsoft", "FusedMatMul", "domain 'com.microsoft'"), ("", "Lstm", "no operator of ONNX")],
)
def test_unknown_operators(tmp_path: Path, domain: str, operator: str, reason: str) -> None:
    built = net()
    built.nodes.append(helper.make_node(operator, ["x"], ["y"], name="odd", domain=domain))
    with pytest.raises(UnsupportedOperatorError) as caught:
        load_onnx(saved(built.model([6, 2, 5], "y"), tmp_path))
    assert (caught.value.operator, caught.value.node) == (operator, "odd")
    assert reason in caught.value.reason
