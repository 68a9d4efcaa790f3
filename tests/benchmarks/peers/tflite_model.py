"""`python -m tests.benchmarks.peers.tflite_model NAME FILE`: an int8 `.tflite` model of a network's shapes.

Weights are random. LSTM layers one after the other and, where the network has one, a fully connected layer that reads
every time step's result: one that reads the last alone would need an operator more.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.benchmarks.peers.shapes import GATES, NETWORKS, Network

# Where the operator has its operands (TensorFlow Lite, kernels/lstm_shared.h).
_INPUT, _INPUT_WEIGHTS, _RECURRENT_WEIGHTS, _BIAS, _HIDDEN_STATE, _CELL_STATE, _OPERANDS = 0, 1, 5, 12, 18, 19, 24
_ABSENT = -1
_INTERMEDIATES_BEFORE_HIDDEN = 4
_SEED = 2020
_ACTIVATION_SCALE, _WEIGHT_SCALE, _CELL_SCALE = 1 / 128, 1 / 128, 2.0**-12
_LSTM_VERSION, _SCHEMA_VERSION = 3, 3


class _Model:
    """Tensors, buffers and operators as they are added."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(_SEED)
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.buffers = [schema.BufferT()]

    def tensor(self, name: str, shape: Sequence[int], kind: int, scale: float | None, variable: bool = False) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.isVariable = name, list(shape), kind, variable
        if scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [0]
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def weights(self, name: str, rows: int, columns: int) -> int:
        index = self.tensor(name, (rows, columns), schema.TensorType.INT8, _WEIGHT_SCALE)
        return self._filled(index, self.rng.integers(-127, 128, (rows, columns), dtype=np.int8))

    def bias(self, name: str, size: int) -> int:
        index = self.tensor(name, (size,), schema.TensorType.INT32, _ACTIVATION_SCALE * _WEIGHT_SCALE)
        return self._filled(index, self.rng.integers(-2000, 2000, size).astype(np.int32))

    def activations(self, name: str, shape: Sequence[int]) -> int:
        return self.tensor(name, shape, schema.TensorType.INT8, _ACTIVATION_SCALE)

    def _filled(self, index: int, values: np.ndarray) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), dtype=np.uint8)
        self.tensors[index].buffer = len(self.buffers)
        self.buffers.append(buffer)
        return index

    def operator(self, code: int, inputs: Sequence[int], output: int, kind: int, options: Any) -> Any:
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = code, list(inputs), [output]
        made.builtinOptionsType, made.builtinOptions = kind, options
        self.operators.append(made)
        return made


def tflite_model(network: Network) -> bytes:
    """The model's file."""
    model, steps = _Model(), network.steps
    first = last = model.activations("x", (1, steps, network.inputs))
    features = network.inputs
    for layer in range(network.layers):
        last = _add_lstm(model, f"l{layer}", last, features, network.units, steps)
        features = network.units
    if network.outputs:
        operands = [last, model.weights("fc_w", network.outputs, features), model.bias("fc_b", network.outputs)]
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims = True
        last = model.activations("y", (1, steps, network.outputs))
        model.operator(1, operands, last, schema.BuiltinOptions.FullyConnectedOptions, options)
    return _packed(model, first, last)


def _add_lstm(model: _Model, name: str, x: int, inputs: int, units: int, steps: int) -> int:
    operands = [_ABSENT] * _OPERANDS
    operands[_INPUT] = x
    for gate in range(GATES):
        operands[_INPUT_WEIGHTS + gate] = model.weights(f"{name}_w{gate}", units, inputs)
        operands[_RECURRENT_WEIGHTS + gate] = model.weights(f"{name}_r{gate}", units, units)
        operands[_BIAS + gate] = model.bias(f"{name}_b{gate}", units)
    kinds = schema.TensorType
    operands[_HIDDEN_STATE] = model.tensor(f"{name}_h", (1, units), kinds.INT8, _ACTIVATION_SCALE, variable=True)
    operands[_CELL_STATE] = model.tensor(f"{name}_c", (1, units), kinds.INT16, _CELL_SCALE, variable=True)
    unused = range(_INTERMEDIATES_BEFORE_HIDDEN)
    intermediates = [model.tensor(f"{name}_unused{index}", (0,), kinds.FLOAT32, None) for index in unused]
    intermediates.append(model.tensor(f"{name}_hidden", (0,), kinds.INT8, _ACTIVATION_SCALE))
    y = model.activations(f"{name}_y", (1, steps, units))
    options = schema.UnidirectionalSequenceLSTMOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    made = model.operator(0, operands, y, schema.BuiltinOptions.UnidirectionalSequenceLSTMOptions, options)
    made.intermediates = intermediates
    return y


def _packed(model: _Model, first: int, last: int) -> bytes:
    lstm, linear = schema.OperatorCodeT(), schema.OperatorCodeT()
    lstm.builtinCode = lstm.deprecatedBuiltinCode = schema.BuiltinOperator.UNIDIRECTIONAL_SEQUENCE_LSTM
    linear.builtinCode = linear.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    lstm.version, linear.version = _LSTM_VERSION, 1
    graph, packed = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = model.tensors, model.operators, [first], [last]
    packed.version, packed.operatorCodes, packed.subgraphs = _SCHEMA_VERSION, [lstm, linear], [graph]
    packed.buffers = model.buffers
    builder = flatbuffers.Builder(4096)
    builder.Finish(packed.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def main() -> None:
    """Writes the model of the network that the command line names."""
    name, file = sys.argv[1:]
    (network,) = (one for one in NETWORKS if one.name == name)
    Path(file).write_bytes(tflite_model(network))


if __name__ == "__main__":
    main()
