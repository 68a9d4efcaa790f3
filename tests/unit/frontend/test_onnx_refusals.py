"""Nodes the ONNX front end refuses: each by operator, node and reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from accelsim.errors import InputError, UnsupportedOperatorError
from accelsim.frontend.onnx import load_onnx
from tests.support.onnx_exports import Net, saved


def net() -> Net:
    return Net(np.random.default_rng(0))


def squeezed(built: Net, y: str) -> str:
    """The direction axis of an LSTM's output dropped."""
    return str(built.node("Squeeze", [y, built.constant([1])]))


# Refusals: each builds a model by hand and says which operator is refused and why.
Build = Callable[[Net], str]


def lstm_with(**attributes: Any) -> Build:
    return lambda built: squeezed(built, built.lstm("x", 5, 4, **attributes)[0])


def lstm_operand(index: int, make: Callable[[Net], str]) -> Build:
    """A forward LSTM whose operand at `index` is what `make` gives."""

    def build(built: Net) -> str:
        operands = ["x", *built.lstm_weights(5, 4), "", "", "", ""]
        operands[index] = make(built)
        return squeezed(built, built.node("LSTM", operands, 3, hidden_size=4)[0])

    return build


def after_lstm(operator: str, *operands: Callable[[Net], str], **attributes: Any) -> Build:
    """An operator on the LSTM's output float32[time, batch, 4]."""

    def build(built: Net) -> str:
        y = squeezed(built, built.lstm("x", 5, 4)[0])
        return str(built.node(operator, [y, *(make(built) for make in operands)], **attributes))

    return build


def array(values: Any, dtype: Any = np.int64) -> Callable[[Net], str]:
    return lambda built: built.constant(values, dtype)


def weights(*shape: int) -> Callable[[Net], str]:
    return lambda built: built.weights(*shape)


def with_nan(*shape: int) -> Callable[[Net], str]:
    return array(np.full(shape, np.nan), np.float32)


def dropout_mask(built: Net) -> str:
    mask = built.node("Dropout", [squeezed(built, built.lstm("x", 5, 4)[0])], 2)[1]
    return str(built.node("Cast", [mask], to=TensorProto.FLOAT))


def zero_state_from_input(built: Net) -> str:
    return str(built.node("Gather", ["x", built.constant([0])], axis=0))


def batch_as_bias(built: Net) -> str:
    size = built.node("Cast", [built.node("Shape", ["x"], start=1, end=2)], to=TensorProto.FLOAT)
    return str(built.node("Add", [after_lstm("MatMul", weights(4, 3))(built), size]))


def lstm_of_a_step(built: Net) -> str:
    _, last, _ = built.lstm("x", 5, 4)
    return squeezed(built, built.lstm(last, 4, 4)[0])


def lstm_operand_of_constants(built: Net) -> str:
    """Weights that depend on the input, of a constant sequence."""
    operands = [built.weights(6, 2, 5), "x", built.weights(1, 16, 4)]
    return squeezed(built, str(built.node("LSTM", operands, hidden_size=4)))


def mixed_stack(built: Net) -> str:
    _, first, _ = built.lstm("x", 5, 4)
    _, second, _ = built.lstm("x", 5, 4)
    stack = built.node("Concat", [first, second], axis=0)
    return str(built.node("Gather", [stack, built.constant(0)], axis=1))


def constant_slice_without_axes(built: Net) -> str:
    row = built.node("Slice", [built.weights(4), built.constant([0]), built.constant([4]), "", built.constant([1])])
    return str(built.node("Add", ["x", row]))


def concatenated(*makers: Callable[[Net], str], axis: int = 2) -> Build:
    return lambda built: str(built.node("Concat", [make(built) for make in makers], axis=axis))


def cell_with(operator: str, **attributes: Any) -> Build:
    """A node with weights of one direction, or of both where it is bidirectional."""

    def build(built: Net) -> str:
        directions = 2 if attributes.get("direction") == "bidirectional" else 1
        rows = 4 * {"LSTM": 4, "GRU": 3, "RNN": 1}[operator]
        weights = [built.weights(directions, rows, 5), built.weights(directions, rows, 4)]
        return str(built.node(operator, ["x", *weights], hidden_size=4, **attributes))

    return build


def own_axis(built: Net) -> str:
    """Directions that a MatMul would have to keep apart."""
    return str(built.node("MatMul", [cell_with("GRU", direction="bidirectional")(built), built.weights(4, 3)]))


REFUSALS: dict[str, tuple[Build, str, str]] = {
    "direction": (lstm_with(direction="both"), "LSTM", "direction is both"),
    "clip": (lstm_with(clip=1.0), "LSTM", "attribute clip"),
    "activations": (lstm_with(activations=["Relu", "Tanh", "Tanh"]), "LSTM", "activations are"),
    "alpha": (lstm_with(activation_alpha=[1.0]), "LSTM", "attribute activation_alpha"),
    "input forget": (lstm_with(input_forget=1), "LSTM", "input_forget"),
    "layout": (lstm_with(layout=2), "LSTM", "layout is 2"),
    "hidden size": (lstm_with(hidden_size=3), "LSTM", "hidden_size is 3"),
    "sequence lengths": (lstm_operand(4, array([6, 6], np.int32)), "LSTM", "sequence_lens"),
    "peepholes": (lstm_operand(7, weights(1, 12)), "LSTM", "peepholes"),
    "initial state": (lstm_operand(5, weights(1, 2, 4)), "LSTM", "initial_h is not zero"),
    "initial cell": (lstm_operand(6, weights(1, 2, 4)), "LSTM", "initial_c is not zero"),
    "state type": (lstm_operand(6, array(np.zeros((1, 2, 4)), np.float64)), "LSTM", "initial_c is not zero"),
    "state shape": (lstm_operand(5, array(np.zeros((1, 2, 3)), np.float32)), "LSTM", "initial_h has shape"),
    "state computed": (lstm_operand(5, zero_state_from_input), "LSTM", "initial_h is computed from"),
    "weights computed": (lstm_operand(1, zero_state_from_input), "LSTM", "W is no constant"),
    "float64": (lstm_operand(1, array(np.zeros((1, 16, 5)), np.float64)), "LSTM", "is float64"),
    "NaN": (lstm_operand(2, with_nan(1, 16, 4)), "LSTM", "holds NaN"),
    "empty": (lstm_operand(2, array(np.zeros((1, 0, 0)), np.float32)), "LSTM", "is empty"),
    "W shape": (lstm_operand(1, weights(1, 16, 6)), "LSTM", "W has shape"),
    "R shape": (lstm_operand(2, weights(1, 15, 4)), "LSTM", "R has shape"),
    "B shape": (lstm_operand(3, weights(1, 16)), "LSTM", "B has shape"),
    "constant X": (lstm_operand_of_constants, "LSTM", "X is a constant"),
    "one step": (lstm_of_a_step, "LSTM", "single time step"),
    "dropout mask": (dropout_mask, "Cast", "reads output 1 of Dropout"),
    "GRU clip": (cell_with("GRU", clip=1.0), "GRU", "attribute clip"),
    "GRU activations": (cell_with("GRU", activations=["Sigmoid", "Relu"]), "GRU", "Sigmoid, Tanh are supported"),
    "GRU directions": (
        cell_with("GRU", direction="bidirectional", activations=["Sigmoid", "Tanh", "Sigmoid", "Elu"]),
        "GRU",
        "Sigmoid, Tanh in each direction are supported",
    ),
    "RNN activation": (cell_with("RNN", activations=["Sigmoid"]), "RNN", "Tanh or Relu are supported"),
    "RNN alpha": (cell_with("RNN", activation_beta=[1.0]), "RNN", "attribute activation_beta"),
    "RNN too few": (cell_with("RNN", direction="bidirectional", activations=["Tanh"]), "RNN", "in each direction"),
    "directions": (own_axis, "MatMul", "directions or layers lie on an axis of their own"),
    "W of one": (
        lambda built: str(
            built.node("RNN", ["x", built.weights(1, 4, 5), built.weights(2, 4, 4)], direction="bidirectional")
        ),
        "RNN",
        "W has shape (1, 4, 5), (2, 4, 5) is needed",
    ),
    "Relu": (after_lstm("Relu"), "Relu", "no layer of this kind"),
    "Mul": (after_lstm("Mul", weights(4)), "Mul", "shapes only"),
    "bias of nothing": (after_lstm("Add", weights(4)), "Add", "only as the bias of a MatMul"),
    "residual": (lambda built: str(built.node("Add", ["x", "x"])), "Add", "only a constant"),
    "cast": (after_lstm("Cast", to=TensorProto.DOUBLE), "Cast", "only a cast to float32"),
    "training": (
        after_lstm("Dropout", array(0.5, np.float32), array(True, np.bool_)),
        "Dropout",
        "training mode",
    ),
    "two steps": (after_lstm("Slice", array([-2]), array([9]), array([0])), "Slice", "2 of 6 indices"),
    "every other": (after_lstm("Slice", array([-1]), array([-99]), array([0]), array([-2])), "Slice", "3 of 6 indices"),
    "slice lists": (after_lstm("Slice", array([0, 0]), array([1]), array([0])), "Slice", "do not match"),
    "step 0": (after_lstm("Slice", array([0]), array([1]), array([0]), array([0])), "Slice", "do not match"),
    "one feature": (after_lstm("Gather", array(0), axis=2), "Gather", "1 of 4 indices of dimension 2"),
    "one frame": (after_lstm("Gather", array(0), axis=1), "Gather", "1 of 2 indices of dimension 1"),
    "index": (after_lstm("Gather", array(6), axis=0), "Gather", "index 6 of dimension 0"),
    "several": (after_lstm("Gather", array([0, 1]), axis=0), "Gather", "not one integer"),
    "axis": (after_lstm("Gather", array(0), axis=3), "Gather", "axis 3 of a value of rank 3"),
    "split": (after_lstm("Split", array([6]), axis=2), "Split", "split of 4 elements"),
    "squeeze": (after_lstm("Squeeze", array([0])), "Squeeze", "not of size 1"),
    "squeeze axes": (after_lstm("Squeeze", array([0.0], np.float32)), "Squeeze", "not a list of integers"),
    "unsqueeze twice": (after_lstm("Unsqueeze", array([0, 0])), "Unsqueeze", "name a dimension twice"),
    "perm": (after_lstm("Transpose", perm=[0, 0, 1]), "Transpose", "perm [0, 0, 1]"),
    "flatten": (after_lstm("Flatten", axis=4), "Flatten", "axis 4"),
    "cut": (after_lstm("Reshape", array([-1, 2])), "Reshape", "cuts an axis"),
    "loss": (after_lstm("Reshape", array([5, 5])), "Reshape", "reshape of"),
    "shape computed": (lambda built: str(built.node("Reshape", ["x", "x"])), "Reshape", "depends on the model's input"),
    "reshape -1 twice": (after_lstm("Reshape", array([-1, -1])), "Reshape", "reshape to [-1, -1]"),
    "reshape -1 of nothing": (after_lstm("Reshape", array([7, -1])), "Reshape", "reshape of"),
    "reshape copies": (after_lstm("Reshape", array([0, 0, 0, 0])), "Reshape", "copies dimension 3"),
    "concat": (lambda built: str(built.node("Concat", ["x", "x"], axis=0)), "Concat", "concatenation along"),
    "concat constant": (after_lstm("Concat", weights(1, 2, 4), axis=0), "Concat", "a constant is concatenated"),
    "left out": (constant_slice_without_axes, "Slice", "an input before its last is left out"),
    "stack": (mixed_stack, "Gather", "1 of 2 indices of dimension 1"),
    "alpha 2": (
        lambda built: str(built.node("Gemm", [built.node("Flatten", ["x"], axis=2), built.weights(5, 3)], alpha=2.0)),
        "Gemm",
        "alpha is 2.0",
    ),
    "gemm rank": (after_lstm("Gemm", weights(4, 3)), "Gemm", "a matrix is needed"),
    "gemm B": (
        lambda built: str(built.node("Gemm", [built.node("Flatten", ["x"], axis=2), built.weights(1, 5, 3)])),
        "Gemm",
        "B has shape",
    ),
    "features": (after_lstm("MatMul", weights(5, 3)), "MatMul", "weights for 5 features"),
    "batched weights": (after_lstm("MatMul", weights(1, 4, 3)), "MatMul", "a product of"),
    "left weights": (
        lambda built: str(built.node("MatMul", [built.weights(3, 6), "x"])),
        "MatMul",
        "A is a constant",
    ),
    "time mixed": (
        lambda built: str(built.node("MatMul", [built.node("Transpose", ["x"], perm=[1, 2, 0]), built.weights(6, 3)])),
        "MatMul",
        "not the features alone",
    ),
    "bias axis": (
        lambda built: str(
            built.node(
                "Add",
                [
                    built.node("Transpose", [after_lstm("MatMul", weights(4, 3))(built)], perm=[0, 2, 1]),
                    built.weights(3, 1),
                ],
            )
        ),
        "Add",
        "along another axis",
    ),
    "bias shape": (
        lambda built: str(built.node("Add", [after_lstm("MatMul", weights(4, 3))(built), built.weights(2, 3)])),
        "Add",
        "a bias of shape (2, 3)",
    ),
    "loop": (after_lstm("Softmax", axis=2), "Softmax", "no layer of this kind"),
    "random": (lambda built: str(built.node("RandomNormal", [], shape=[2, 2])), "RandomNormal", "not folded"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_by_operator_node_and_reason(tmp_path: Path, case: str) -> None:
    build, operator, reason = REFUSALS[case]
    built = net()
    result = build(built)
    model = built.model([6, 2, 5], result, rank=3)
    for node in model.graph.node:
        if node.op_type == "RandomNormal":
            model.graph.node.append(helper.make_node("Add", ["x", result], ["sum"], name="sum"))
            model.graph.output[0].name = "sum"
            break
    with pytest.raises(UnsupportedOperatorError) as caught:
        load_onnx(saved(model, tmp_path))
    error = caught.value
    assert error.operator == operator
    assert reason in error.reason
    assert error.node in {node.name for node in model.graph.node}
    assert "\n" not in str(error)


def test_a_branch_whose_condition_is_not_known(tmp_path: Path) -> None:
    built = net()
    info = helper.make_tensor_value_info("same", TensorProto.FLOAT, [None] * 3)
    branch = helper.make_graph([helper.make_node("Identity", ["x"], ["same"])], "branch", [], [info])
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["same2"])], "other", [], [info])
    other.output[0].name = "same2"
    condition = built.node("Cast", ["x"], to=TensorProto.FLOAT)
    result = built.node("If", [condition], then_branch=branch, else_branch=other)
    with pytest.raises(UnsupportedOperatorError, match="condition depends"):
        load_onnx(saved(built.model(["time", "batch", 5], result, rank=3), tmp_path), timesteps=4)


def test_a_number_that_comes_from_the_batch_size(tmp_path: Path) -> None:
    built = net()
    path = saved(built.model([6, "batch", 5], batch_as_bias(built), rank=3), tmp_path)
    with pytest.raises(InputError, match="depends on the batch size"):
        load_onnx(path)
