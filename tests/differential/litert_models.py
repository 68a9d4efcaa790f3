"""Writes one-operator integer LSTM models for LiteRT, runs them, and reads the integer operators of any model.

LiteRT's reference kernels (no delegate, no machine-dependent assembly) are the third party that judges our integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from accelsim.quant.lstm_parameters import lstm_from_scales
from accelsim.quant.model import QLinear, QLstm, QTensor, fold_zero_point

flatbuffers = pytest.importorskip("flatbuffers")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
interpreter = pytest.importorskip("ai_edge_litert.interpreter")

# Where the kernel expects each tensor (TensorFlow Lite, kernels/lstm_shared.h); gate order input, forget, cell, output.
INPUT = 0
INPUT_WEIGHTS = (1, 2, 3, 4)
RECURRENT_WEIGHTS = (5, 6, 7, 8)
BIAS = (12, 13, 14, 15)
HIDDEN_STATE = 18
CELL_STATE = 19
OPERANDS = 24
EFFECTIVE_HIDDEN = 4  # among the intermediates


@dataclass(frozen=True, eq=False)
class LstmQuantities:
    """What a `.tflite` file says about one int8 UNIDIRECTIONAL_SEQUENCE_LSTM.

    Parameters
    ----------
    input_weights : int8[4, units, inputs]
    recurrent_weights : int8[4, units, units]
    bias : int32[4, units]
    input_weight_scales, recurrent_weight_scales : float32[4]
    input_scale, input_zero_point : of the input
    recurrent_scale, recurrent_zero_point : of the hidden state as the recurrent product consumes it
    hidden_scale, hidden_zero_point : of the hidden state as it is produced
    cell_scale_log2 : int
    cell_clip : float
    time_major : bool
    """

    input_weights: np.ndarray
    recurrent_weights: np.ndarray
    bias: np.ndarray
    input_weight_scales: np.ndarray
    recurrent_weight_scales: np.ndarray
    input_scale: float
    input_zero_point: int
    recurrent_scale: float
    recurrent_zero_point: int
    hidden_scale: float
    hidden_zero_point: int
    cell_scale_log2: int
    cell_clip: float
    time_major: bool = False

    @property
    def units(self) -> int:
        return int(self.input_weights.shape[1])

    @property
    def inputs(self) -> int:
        return int(self.input_weights.shape[2])

    def layer(self, steps: int) -> QLstm:
        """The same layer as this package keeps it."""
        return lstm_from_scales(
            "lstm",
            _tensor("x", (steps, self.inputs), self.input_scale, self.input_zero_point),
            _tensor("y", (steps, self.units), self.hidden_scale, self.hidden_zero_point),
            input_weights=self.input_weights,
            input_weight_scales=self.input_weight_scales,
            recurrent_weights=self.recurrent_weights,
            recurrent_weight_scales=self.recurrent_weight_scales,
            bias=self.bias,
            input_scale=self.input_scale,
            input_zero_point=self.input_zero_point,
            recurrent_scale=self.recurrent_scale,
            recurrent_zero_point=self.recurrent_zero_point,
            hidden_scale=self.hidden_scale,
            hidden_zero_point=self.hidden_zero_point,
            cell_scale_log2=self.cell_scale_log2,
            cell_clip=self.cell_clip,
        )


def random_quantities(rng: np.random.Generator, units: int, inputs: int, *, saturating: bool = False) -> LstmQuantities:
    """An LSTM drawn so that gates, cell and hidden state use their ranges; `saturating` drives them beyond."""
    excess = float(rng.uniform(4.0, 40.0)) if saturating else float(rng.uniform(0.3, 2.0))
    hidden_scale = float(rng.uniform(0.3, 1.2)) / 127
    same = rng.random() < 0.4
    input_scale = float(10.0 ** rng.uniform(-3, 0.5))

    def weight_scales(columns: int, operand_scale: float) -> np.ndarray:
        # A product of `columns` random int8 pairs has a magnitude near 75 * 75 * sqrt(columns); aim the gate at +-2.
        aim = 2.0 * excess / (75 * 75 * np.sqrt(columns) * operand_scale)
        return (aim * rng.uniform(0.5, 2.0, 4)).astype(np.float32)

    recurrent_scale = hidden_scale if same else float(rng.uniform(0.3, 1.5)) / 127
    hidden_zero_point = int(rng.integers(-40, 41)) if rng.random() < 0.8 else int(rng.integers(-128, 128))
    input_weight_scales = weight_scales(inputs, input_scale)
    bias = rng.normal(0.0, 1.0, (4, units)) * excess / (input_weight_scales[:, None] * input_scale)
    low = -128 if rng.random() < 0.1 else -127
    return LstmQuantities(
        input_weights=rng.integers(low, 128, (4, units, inputs)).astype(np.int8),
        recurrent_weights=rng.integers(low, 128, (4, units, units)).astype(np.int8),
        bias=np.clip(bias, -(2**30), 2**30).astype(np.int32),
        input_weight_scales=input_weight_scales,
        recurrent_weight_scales=weight_scales(units, recurrent_scale),
        input_scale=float(np.float32(input_scale)),
        input_zero_point=int(rng.choice([-128, 0, 127, int(rng.integers(-128, 128))])),
        recurrent_scale=float(np.float32(recurrent_scale)),
        recurrent_zero_point=hidden_zero_point if same else int(rng.integers(-128, 128)),
        hidden_scale=float(np.float32(hidden_scale)),
        hidden_zero_point=hidden_zero_point,
        cell_scale_log2=int(rng.integers(-15, -8)),
        cell_clip=float(rng.choice([0.0, 0.0, float(rng.uniform(0.05, 1.0)), 10.0])),
        time_major=bool(rng.random() < 0.3),
    )


def _tensor(name: str, shape: tuple[int, ...], scale: float, zero_point: int) -> QTensor:
    return QTensor(name, shape, np.array([scale], dtype=np.float32), zero_point)


def write_lstm(quantities: LstmQuantities, batch: int, steps: int) -> bytes:
    """A `.tflite` model whose only operator is this LSTM."""
    tensors: list[Any] = []
    buffers = [schema.BufferT()]

    def add(
        name: str,
        shape: Sequence[int],
        kind: int,
        scale: float | None = None,
        zero_point: int = 0,
        values: np.ndarray | None = None,
        variable: bool = False,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.isVariable = name, list(shape), kind, variable
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [float(scale)], [zero_point]
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), dtype=np.uint8)
            tensor.buffer = len(buffers)
            buffers.append(buffer)
        tensors.append(tensor)
        return len(tensors) - 1

    q = quantities
    kinds = schema.TensorType

    def sequence(features: int) -> list[int]:
        return [steps, batch, features] if q.time_major else [batch, steps, features]

    operands = [-1] * OPERANDS
    operands[INPUT] = add("x", sequence(q.inputs), kinds.INT8, q.input_scale, q.input_zero_point)
    for gate in range(4):
        input_scale, recurrent_scale = q.input_weight_scales[gate], q.recurrent_weight_scales[gate]
        operands[INPUT_WEIGHTS[gate]] = add(
            f"w{gate}", (q.units, q.inputs), kinds.INT8, input_scale, 0, q.input_weights[gate]
        )
        operands[RECURRENT_WEIGHTS[gate]] = add(
            f"r{gate}", (q.units, q.units), kinds.INT8, recurrent_scale, 0, q.recurrent_weights[gate]
        )
        bias_scale = float(np.float32(input_scale) * np.float32(q.input_scale))
        operands[BIAS[gate]] = add(f"b{gate}", (q.units,), kinds.INT32, bias_scale, 0, q.bias[gate])
    operands[HIDDEN_STATE] = add(
        "h", (batch, q.units), kinds.INT8, q.recurrent_scale, q.recurrent_zero_point, variable=True
    )
    operands[CELL_STATE] = add("c", (batch, q.units), kinds.INT16, 2.0**q.cell_scale_log2, variable=True)
    intermediates = [add(f"unused{index}", (0,), kinds.FLOAT32) for index in range(EFFECTIVE_HIDDEN)]
    intermediates.append(add("effective_hidden", (0,), kinds.INT8, q.hidden_scale, q.hidden_zero_point))
    output = add("y", sequence(q.units), kinds.INT8, q.hidden_scale, q.hidden_zero_point)

    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    options.cellClip, options.timeMajor = q.cell_clip, q.time_major
    operator = schema.OperatorT()
    operator.inputs, operator.outputs, operator.intermediates = operands, [output], intermediates
    operator.builtinOptionsType = schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions
    operator.builtinOptions = options
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    code.version = 3
    subgraph = schema.SubGraphT()
    subgraph.tensors, subgraph.operators = tensors, [operator]
    subgraph.inputs, subgraph.outputs = [operands[INPUT]], [output]
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [subgraph], buffers
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def run_lstm(quantities: LstmQuantities, inputs: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Invoke LiteRT once for each int8[batch, steps, inputs], the state kept in between.

    Returns
    -------
    outputs : list of int8[batch, steps, units]
    cells : list of int16[batch, units]
        The cell state after each invocation.
    """
    batch, steps, _ = inputs[0].shape
    engine = interpreter.Interpreter(
        model_content=write_lstm(quantities, batch, steps),
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF,
        num_threads=1,
    )
    engine.allocate_tensors()
    (cell_index,) = [detail["index"] for detail in engine.get_tensor_details() if detail["name"] == "c"]
    outputs, cells = [], []
    for x in inputs:
        fed = x.transpose(1, 0, 2) if quantities.time_major else x
        engine.set_tensor(engine.get_input_details()[0]["index"], np.ascontiguousarray(fed))
        engine.invoke()
        y = engine.get_tensor(engine.get_output_details()[0]["index"])
        outputs.append(y.transpose(1, 0, 2) if quantities.time_major else y)
        cells.append(engine.get_tensor(cell_index).copy())
    return outputs, cells


# --- reading ------------------------------------------------------------------------------------------------------


class TfliteModel:
    """The operators of a `.tflite` file, with their constants."""

    def __init__(self, content: bytes) -> None:
        self.model = schema.ModelT.InitFromPackedBuf(content, 0)
        self.subgraph = self.model.subgraphs[0]
        self._names = {value: key for key, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}

    def operators(self) -> Iterator[tuple[int, str, Any]]:
        """(position, builtin name, operator)."""
        for position, operator in enumerate(self.subgraph.operators):
            code = self.model.operatorCodes[operator.opcodeIndex]
            yield position, self._names[max(code.builtinCode, code.deprecatedBuiltinCode)], operator

    def constant(self, index: int) -> np.ndarray:
        """The values of a constant tensor."""
        tensor = self.subgraph.tensors[index]
        types = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}
        data = np.asarray(self.model.buffers[tensor.buffer].data, dtype=np.uint8)
        return data.view(types[tensor.type]).reshape([int(size) for size in tensor.shape])

    def scale(self, index: int) -> float:
        """Its first scale."""
        return float(self.subgraph.tensors[index].quantization.scale[0])

    def zero_point(self, index: int) -> int:
        """Its first zero point."""
        return int(self.subgraph.tensors[index].quantization.zeroPoint[0])

    def is_int8(self, index: int) -> bool:
        """Whether an activation is int8."""
        return bool(self.subgraph.tensors[index].type == schema.TensorType.INT8)

    def lstm(self, operator: Any) -> LstmQuantities:
        """The quantities of an int8 UNIDIRECTIONAL_SEQUENCE_LSTM."""
        operands = operator.inputs
        hidden = operator.intermediates[EFFECTIVE_HIDDEN]
        return LstmQuantities(
            input_weights=np.stack([self.constant(operands[index]) for index in INPUT_WEIGHTS]),
            recurrent_weights=np.stack([self.constant(operands[index]) for index in RECURRENT_WEIGHTS]),
            bias=np.stack([self.constant(operands[index]) for index in BIAS]),
            input_weight_scales=np.array([self.scale(operands[index]) for index in INPUT_WEIGHTS], dtype=np.float32),
            recurrent_weight_scales=np.array(
                [self.scale(operands[index]) for index in RECURRENT_WEIGHTS], dtype=np.float32
            ),
            input_scale=self.scale(operands[INPUT]),
            input_zero_point=self.zero_point(operands[INPUT]),
            recurrent_scale=self.scale(operands[HIDDEN_STATE]),
            recurrent_zero_point=self.zero_point(operands[HIDDEN_STATE]),
            hidden_scale=self.scale(hidden),
            hidden_zero_point=self.zero_point(hidden),
            cell_scale_log2=round(np.log2(self.scale(operands[CELL_STATE]))),
            cell_clip=float(operator.builtinOptions.cellClip),
            time_major=bool(operator.builtinOptions.timeMajor),
        )

    def fully_connected(self, operator: Any) -> tuple[QLinear, int]:
        """An int8 FULLY_CONNECTED, and the lowest output its fused activation lets through."""
        x, weights_index, bias_index = operator.inputs
        weights = self.constant(weights_index)
        bias = self.constant(bias_index) if bias_index >= 0 else np.zeros(len(weights), dtype=np.int32)
        y = operator.outputs[0]
        weight_scales = np.asarray(self.subgraph.tensors[weights_index].quantization.scale, dtype=np.float32)
        layer = QLinear(
            name="linear",
            x=_tensor("x", (weights.shape[1],), self.scale(x), self.zero_point(x)),
            y=_tensor("y", (weights.shape[0],), self.scale(y), self.zero_point(y)),
            weights=weights,
            bias=fold_zero_point(weights, bias, self.zero_point(x)),
            output_scale=np.broadcast_to(
                self.scale(x) * weight_scales.astype(np.float64) / self.scale(y), len(weights)
            ).copy(),
        )
        activation = operator.builtinOptions.fusedActivationFunction if operator.builtinOptions else 0
        if activation not in (schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU):
            raise ValueError(f"fused activation {activation} is not compared")
        floor = self.zero_point(y) if activation == schema.ActivationFunctionType.RELU else -128
        return layer, floor
