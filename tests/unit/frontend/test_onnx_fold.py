"""Constant folding against ONNX's own reference implementation, and its refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from accelsim.frontend.onnx_fold import FOLDED_OPERATORS, MAX_ELEMENTS, fold
from accelsim.frontend.onnx_values import Node, RefusedError

RNG = np.random.default_rng(0)
CUBE = RNG.normal(size=(2, 3, 4)).astype(np.float32)
ROW = np.array([7, -7, 6], np.int64)
PAIR = np.array([True, False])


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def node(operator: str, outputs: int = 1, inputs: int = 0, **attributes: Any) -> Node:
    names = tuple(f"y{index}" for index in range(outputs))
    return Node(operator, "", "node", tuple(f"x{index}" for index in range(inputs)), names, attributes)


CASES: list[tuple[str, list[Any], dict[str, Any], int]] = [
    ("Add", [CUBE, CUBE[0]], {}, 17),
    ("And", [PAIR, ~PAIR], {}, 17),
    ("Cast", [ROW], {"to": TensorProto.FLOAT}, 17),
    ("Concat", [CUBE, CUBE], {"axis": -1}, 17),
    ("Constant", [], {"value_int": 3}, 17),
    ("Constant", [], {"value_ints": [3, 4]}, 17),
    ("Constant", [], {"value_float": 0.5}, 17),
    ("Constant", [], {"value_floats": [0.5, 1.0]}, 17),
    ("ConstantOfShape", [ints(2, 3)], {}, 17),
    ("Div", [ROW, ints(2, 2, -4)], {}, 17),
    ("Div", [CUBE, np.float32(2)], {}, 17),
    ("Equal", [ROW, ints(7, 7, 6)], {}, 17),
    ("Expand", [CUBE[:, :1], ints(2, 1, 5, 1)], {}, 17),
    ("Gather", [CUBE, ints(-1, 0)], {"axis": 1}, 17),
    ("Greater", [ROW, ints(0, 0, 6)], {}, 17),
    ("Identity", [CUBE], {}, 17),
    ("Less", [ROW, ints(0, 0, 6)], {}, 17),
    ("MatMul", [CUBE, CUBE[0].T], {}, 17),
    ("MatMul", [CUBE, CUBE[0, 0]], {}, 17),
    ("Mul", [ROW, ROW], {}, 17),
    ("Neg", [ROW], {}, 17),
    ("Not", [PAIR], {}, 17),
    ("ReduceProd", [ROW], {"keepdims": 0}, 17),
    ("ReduceProd", [CUBE, ints(1)], {}, 18),
    ("Reshape", [CUBE, ints(0, -1)], {}, 17),
    ("Shape", [CUBE], {"start": 1, "end": 3}, 17),
    ("Shape", [CUBE], {"start": -2}, 17),
    ("Size", [CUBE], {}, 17),
    ("Slice", [CUBE, ints(1), ints(2**62), ints(-1), ints(2)], {}, 17),
    ("Slice", [CUBE, ints(0, 1), ints(1, -1)], {}, 17),
    ("Slice", [CUBE, ints(-1), ints(-(2**63)), ints(2), ints(-1)], {}, 17),
    ("Split", [CUBE, ints(1, 2)], {"axis": 1}, 17),
    ("Split", [CUBE], {"axis": 2}, 17),
    ("Squeeze", [CUBE[:1]], {}, 17),
    ("Squeeze", [CUBE[:1], ints(0)], {}, 17),
    ("Sub", [ROW, ints(1)], {}, 17),
    ("Tile", [CUBE, ints(1, 2, 1)], {}, 17),
    ("Transpose", [CUBE], {"perm": [2, 0, 1]}, 17),
    ("Transpose", [CUBE], {}, 17),
    ("Unsqueeze", [CUBE, ints(0, -1)], {}, 17),
    ("Where", [PAIR, ints(1, 2), ints(3, 4)], {}, 17),
]


def test_every_folded_operator_is_compared() -> None:
    assert {case[0] for case in CASES} == FOLDED_OPERATORS


@pytest.mark.parametrize(("operator", "arrays", "attributes", "opset"), CASES)
def test_agrees_with_the_reference(operator: str, arrays: list[Any], attributes: dict[str, Any], opset: int) -> None:
    outputs = 2 if operator == "Split" else 1
    described = node(operator, outputs, len(arrays), **attributes)
    proto = helper.make_node(operator, described.inputs, described.outputs, **attributes)
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(described.inputs, arrays, strict=True)
    ]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in described.outputs]
    graph = helper.make_graph([proto], "g", infos, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    expected = ReferenceEvaluator(model).run(None, dict(zip(described.inputs, arrays, strict=True)))
    for ours, theirs in zip(fold(described, arrays), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == np.asarray(theirs).dtype


def test_attributes_of_older_opsets() -> None:
    (squeezed,) = fold(node("Squeeze", axes=[0]), [CUBE[:1]])
    (unsqueezed,) = fold(node("Unsqueeze", axes=[1]), [CUBE])
    assert (squeezed.shape, unsqueezed.shape) == ((3, 4), (2, 1, 3, 4))
    assert [part.shape[1] for part in fold(node("Split", 2, axis=1, split=[2, 1]), [CUBE])] == [2, 1]


def test_a_state_of_zeros_takes_no_memory() -> None:
    (zeros,) = fold(node("ConstantOfShape"), [ints(MAX_ELEMENTS)])
    (expanded,) = fold(node("Expand"), [np.float32(0), ints(1, 1009, 512)])
    assert zeros.strides == (0,)
    assert expanded.strides == (0, 0, 0)


@pytest.mark.parametrize(
    ("described", "arrays", "text"),
    [
        (node("Softmax"), [CUBE], "not folded"),
        (node("Constant", value_string="text"), [], "neither numbers nor a dense tensor"),
        (node("ConstantOfShape"), [ints(2**40)], "a constant of shape"),
        (node("ConstantOfShape"), [ints(-1)], "a constant of shape"),
        (node("Concat", axis=0), [np.broadcast_to(np.float32(0), MAX_ELEMENTS)] * 2, "a constant of more than"),
        (node("Concat", axis=0), [CUBE, ROW], "do not suit it"),
        (node("Cast", to=99), [CUBE], "cast to element type 99"),
        (node("Tile"), [CUBE, ints(1)], "1 repeats of a value of rank 3"),
        (node("Div"), [ROW, ints(0)], "division by zero"),
        (node("Unsqueeze"), [CUBE], "axes are missing"),
        (node("Split", 2, axis=0), [CUBE[:1], ints(1, 1)], "split of 1 elements"),
        (node("Slice"), [CUBE, ints(0, 0), ints(1)], "do not match"),
        (node("Reshape"), [CUBE, ints(0, 0, 0, 0)], "copies dimension 3"),
        (node("Reshape"), [CUBE, ints(-2)], "reshape to"),
        (node("Reshape"), [CUBE, ints(23)], "reshape of"),
        (node("Reshape"), [CUBE, ints(-1, 7)], "reshape of"),
        (node("Gather", axis=3), [CUBE, ints(0)], "axis 3"),
        (node("Squeeze"), [CUBE, ints(0, 0)], "name a dimension twice"),
        (node("MatMul"), [CUBE, CUBE], "a product of constants float32[2, 3, 4] and float32[2, 3, 4]"),
        (node("MatMul"), [CUBE, CUBE[0]], "do not suit it"),
    ],
)
def test_refusals(described: Node, arrays: list[Any], text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        fold(described, arrays)
    assert text in caught.value.reason
