"""ONNX models built by hand after what PyTorch's two exporters write, so that no test of them needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]


@dataclass
class Net:
    """An ONNX graph under construction."""

    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    count: int = 0

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}_{self.count}"

    def constant(self, value: Any, dtype: Any = np.int64, name: str | None = None) -> str:
        name = name or self.fresh("constant")
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, operator: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; gives its output's name, or the list of them."""
        names = [self.fresh(operator.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=f"/{names[0]}", **attributes))
        return names[0] if outputs == 1 else names

    def weights(self, *shape: int) -> str:
        values = self.rng.uniform(-1, 1, shape) / np.sqrt(shape[-1])
        return self.constant(values, np.float32, self.fresh("weights"))

    def lstm_weights(self, inputs: int, units: int, bias: bool = True) -> list[str]:
        names = [self.weights(1, 4 * units, inputs), self.weights(1, 4 * units, units)]
        return [*names, self.weights(1, 8 * units)] if bias else names

    def lstm(self, x: str, inputs: int, units: int, *, outputs: int = 3, bias: bool = True, **attributes: Any) -> Any:
        """A forward LSTM from zero states left out."""
        operands = [x, *self.lstm_weights(inputs, units, bias)]
        return self.node("LSTM", operands, outputs, **{"hidden_size": units, **attributes})

    def model(
        self, input_shape: Sequence[int | str], output: str, *, rank: int = 2, opset: int = 17
    ) -> onnx.ModelProto:
        """The model; `rank` is the output's, whose sizes are left open."""
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None] * rank)],
            self.initializers,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@dataclass(frozen=True)
class Form:
    """One way to write a model of `layers` LSTM layers and a Linear layer down."""

    batch_first: bool = True
    open_batch: bool = True
    open_time: bool = False
    layers: int = 1
    bias: bool = True
    head: str = "gather"
    linear: str = "gemm"
    opset: int = 17
    batch: int = 2
    steps: int = 6
    inputs: int = 5
    units: int = 4
    outputs: int = 3

    def input_shape(self) -> list[int | str]:
        batch: int | str = "batch" if self.open_batch else self.batch
        steps: int | str = "time" if self.open_time else self.steps
        return [batch, steps, self.inputs] if self.batch_first else [steps, batch, self.inputs]

    def frames(self, rng: np.random.Generator) -> Array:
        """Frames float32[batch, T, F]."""
        return rng.normal(size=(self.batch, self.steps, self.inputs)).astype(np.float32)


def _axes_operand(net: Net, form: Form, operator: str, x: str, axes: list[int]) -> str:
    """Squeeze or Unsqueeze: axes are an input since opset 13."""
    if form.opset < 13:
        return str(net.node(operator, [x], axes=axes))
    return str(net.node(operator, [x, net.constant(axes)]))


def _legacy_zero_state(net: Net, form: Form, x: str, layers: int) -> str:
    """Shape, Gather, Unsqueeze, Concat, ConstantOfShape (open batch) or Expand (fixed)."""
    shape = net.node("Shape", [x])
    batch = net.node("Gather", [shape, net.constant(1)], axis=0)
    batch = _axes_operand(net, form, "Unsqueeze", batch, [0])
    target = net.node("Concat", [net.constant([layers]), batch, net.constant([form.units])], axis=0)
    if form.open_batch:
        return str(net.node("ConstantOfShape", [target], value=helper.make_tensor("", TensorProto.FLOAT, [1], [0.0])))
    return str(net.node("Expand", [net.constant(np.zeros((layers, 1, form.units)), np.float32), target]))


def legacy_export(form: Form, seed: int) -> onnx.ModelProto:
    """As ``torch.onnx.export(..., dynamo=False)`` writes: zero states computed and sliced, Squeeze after each LSTM."""
    net = Net(np.random.default_rng(seed))
    x = net.node("Transpose", ["x"], perm=[1, 0, 2]) if form.batch_first else "x"
    states = _legacy_zero_state(net, form, x, form.layers)
    hidden: list[str] = []
    for layer in range(form.layers):
        bounds = [net.constant([layer]), net.constant([layer + 1]), net.constant([0])]
        state = net.node("Slice", [states, *bounds])
        features = form.inputs if layer == 0 else form.units
        weights = net.lstm_weights(features, form.units, form.bias)
        operands = [x, *weights, *[""] * (3 - len(weights)), "", state, state]
        y, last, _ = net.node("LSTM", operands, 3, hidden_size=form.units)
        hidden.append(last)
        x = _axes_operand(net, form, "Squeeze", y, [1])
    if form.head == "hidden":
        return _finish(net, form, _last_hidden(net, hidden), 2)
    return _headed(net, form, x)


def dynamo_export(form: Form, seed: int) -> onnx.ModelProto:
    """As ``torch.onnx.export(..., dynamo=True)`` writes: direction axis merged into the features by a Reshape."""
    net = Net(np.random.default_rng(seed))
    batch_shape = net.node("Shape", ["x"], start=0 if form.batch_first else 1, end=1 if form.batch_first else 2)
    target = net.node("Concat", [net.constant([1]), batch_shape, net.constant([form.units])], axis=0)
    zeros = net.node("Expand", [net.constant(0.0, np.float32), target])
    x = net.node("Transpose", ["x"], perm=[1, 0, 2]) if form.batch_first else "x"
    hidden: list[str] = []
    for layer in range(form.layers):
        features = form.inputs if layer == 0 else form.units
        weights = net.lstm_weights(features, form.units, form.bias)
        operands = [x, *weights, *[""] * (3 - len(weights)), "", zeros, zeros]
        y, last = net.node("LSTM", operands, 2, hidden_size=form.units, direction="forward", layout=0)
        hidden.append(last)
        moved = net.node("Transpose", [y], perm=[0, 2, 1, 3])
        shape = net.node("Shape", [moved], start=0)
        sizes = [net.node("Slice", [shape, net.constant([i]), net.constant([i + 1])]) for i in range(4)]
        merged = net.node("Reshape", [net.node("Mul", sizes[2:]), net.constant([-1])], allowzero=0)
        x = net.node("Reshape", [moved, net.node("Concat", [*sizes[:2], merged], axis=0)], allowzero=0)
    if form.head == "hidden":
        return _finish(net, form, _last_hidden(net, hidden), 2)
    return _headed(net, form, x)


def _last_hidden(net: Net, hidden: list[str]) -> str:
    """``h_n[-1]``."""
    stacked = net.node("Concat", hidden, axis=0) if len(hidden) > 1 else hidden[0]
    return str(net.node("Gather", [stacked, net.constant(-1)], axis=0))


def _headed(net: Net, form: Form, x: str) -> onnx.ModelProto:
    """The last step of time-first `x`, or all, and the Linear layer."""
    axis = 0
    if form.batch_first:
        x, axis = net.node("Transpose", [x], perm=[1, 0, 2]), 1
    if form.head == "all":
        return _finish(net, form, x, 3)
    if form.head == "gather":
        return _finish(net, form, net.node("Gather", [x, net.constant(-1)], axis=axis), 2)
    last = [net.constant([-1]), net.constant([2**63 - 1]), net.constant([axis]), net.constant([1])]
    x = net.node("Slice", [x, *last])
    if form.head == "slice-squeeze":
        return _finish(net, form, _axes_operand(net, form, "Squeeze", x, [axis]), 2)
    if form.head == "slice-flatten":
        return _finish(net, form, net.node("Flatten", [x], axis=1), 2)
    return _finish(net, form, net.node("Reshape", [x, net.constant([-1, form.units])]), 2)


def _finish(net: Net, form: Form, x: str, rank: int) -> onnx.ModelProto:
    if form.linear == "gemm" and rank == 2:
        y = net.node("Gemm", [x, net.weights(form.outputs, form.units), net.weights(form.outputs)], transB=1)
    elif form.linear == "gemm-plain" and rank == 2:
        y = net.node("Gemm", [x, net.weights(form.units, form.outputs)])
    elif form.linear == "merged-rows":
        # A Linear on every step as a matrix product of batch times time rows.
        rows = net.node("Reshape", [x, net.constant([-1, form.units])])
        y = net.node("Gemm", [rows, net.weights(form.outputs, form.units), net.weights(form.outputs)], transB=1)
        if rank == 3:
            shape = net.node("Shape", [x])
            front = net.node("Slice", [shape, net.constant([0]), net.constant([2])])
            y = net.node("Reshape", [y, net.node("Concat", [front, net.constant([-1])], axis=0)])
    else:
        product = net.node("MatMul", [x, net.weights(form.units, form.outputs)])
        y = net.node(
            "Add",
            [net.weights(form.outputs), product]
            if form.linear == "bias-first"
            else [product, net.weights(form.outputs)],
        )
    return net.model(form.input_shape(), y, rank=rank, opset=form.opset)


def saved(model: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    """Write a model into `folder`."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path
