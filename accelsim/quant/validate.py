"""Checks that a quantized graph is one: names connect, arrays fit, every integer is in its range.

Run on whatever comes from outside and before anything is written, so that execution and compilation need no checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from accelsim.errors import InputError
from accelsim.fixedpoint import INT8_MAX, INT8_MIN, INT16_MAX
from accelsim.graph.model import Gate, GruGate
from accelsim.quant.lstm_parameters import CELL_SCALE_LOG2_MAX, CELL_SCALE_LOG2_MIN
from accelsim.quant.model import (
    QConcat,
    QGraph,
    QGru,
    QLinear,
    QLstm,
    QRecurrent,
    QRnn,
    QSelectStep,
    QTensor,
    Requantizer,
    layer_inputs,
)
from accelsim.quant.recurrent_parameters import (
    PREACTIVATION_SCALE_LOG2_MAX,
    PREACTIVATION_SCALE_LOG2_MIN,
    RNN_ACTIVATIONS,
    TANH_PREACTIVATION_SCALE_LOG2,
)

_MULTIPLIER_MIN, _MULTIPLIER_MAX = 2**30, 2**31 - 1
_SHIFT_MAX = 31
_OUTPUT_SCALE_MAX = 2.0**64
"""Beyond it a product with an accumulator could leave float64, and no output would be in range anyway."""


@dataclass(frozen=True)
class _Checker:
    """Raises an InputError that names the file and the place."""

    where: str | Path
    place: str

    def require(self, holds: bool, field: str, found: object, expected: str) -> None:
        if not holds:
            raise InputError(self.where, f"{self.place}: {field}", str(found), expected)

    def integer(self, field: str, value: int, low: int, high: int) -> None:
        is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
        self.require(is_integer and low <= value <= high, field, value, f"an integer in [{low}, {high}]")

    def array(self, field: str, values: np.ndarray[Any, Any], dtype: type, shape: tuple[int, ...]) -> None:
        self.require(values.dtype == dtype, field, f"type {values.dtype}", np.dtype(dtype).name)
        self.require(values.shape == shape, field, f"shape {values.shape}", f"shape {shape}")

    def flag(self, field: str, value: object) -> None:
        self.require(isinstance(value, bool), field, value, "true or false")

    def requantizer(self, field: str, factor: Requantizer) -> None:
        if (factor.multiplier, factor.shift) != (0, 0):
            self.integer(f"{field} multiplier", factor.multiplier, _MULTIPLIER_MIN, _MULTIPLIER_MAX)
            self.integer(f"{field} shift", factor.shift, -_SHIFT_MAX, _SHIFT_MAX)


def check_quantized_graph(qgraph: QGraph, where: str | Path) -> None:
    """Check names, connections, shapes, types and ranges of a whole quantized graph.

    Parameters
    ----------
    qgraph : QGraph
    where : str or Path
        The file it comes from or goes to, for the message.

    Raises
    ------
    InputError
        The first thing that is wrong: `where`, the layer or tensor, the field, what was found and expected.
    """
    if not qgraph.layers:
        raise InputError(where, "layers", "none", "at least one")
    _check_tensor(qgraph.input, _Checker(where, f"input {qgraph.input.name!r}"))
    tensors = {qgraph.input.name: qgraph.input}
    names: set[str] = set()
    for layer in qgraph.layers:
        checker = _Checker(where, f"layer {layer.name!r}")
        checker.require(bool(layer.name), "name", "empty", "a name")
        checker.require(layer.name not in names, "name", "used by an earlier layer", "a name of its own")
        names.add(layer.name)
        for position, x in enumerate(layer_inputs(layer)):
            field = f"parts[{position}]" if isinstance(layer, QConcat) else "x"
            known = tensors.get(x.name)
            if known is None:
                raise InputError(where, f"layer {layer.name!r}: {field}", f"no earlier tensor {x.name!r}")
            checker.require(
                same_tensor(known, x),
                field,
                f"another shape, scale or zero point than {x.name!r} where it is made",
                "the same",
            )
        _check_tensor(layer.y, _Checker(where, f"layer {layer.name!r}: y"))
        if layer.y.name in tensors:
            raise InputError(where, f"layer {layer.name!r}: y", f"tensor {layer.y.name!r} exists already")
        match layer:
            case QLstm():
                _check_lstm(layer, checker)
            case QGru():
                _check_gru(layer, checker)
            case QRnn():
                _check_rnn(layer, checker)
            case QLinear():
                _check_linear(layer, checker)
            case QSelectStep():
                _check_select_step(layer, checker)
            case QConcat():
                _check_concat(layer, checker)
        tensors[layer.y.name] = layer.y
    made = tensors.get(qgraph.output.name)
    if made is None or qgraph.output.name == qgraph.input.name:
        raise InputError(where, "output", f"no layer makes tensor {qgraph.output.name!r}")
    _Checker(where, f"output {qgraph.output.name!r}").require(
        same_tensor(made, qgraph.output), "tensor", "another shape, scale or zero point than made", "the same"
    )


def same_tensor(first: QTensor, second: QTensor) -> bool:
    """Whether two descriptions of a tensor agree in every field."""
    return (
        first.name == second.name
        and tuple(first.shape) == tuple(second.shape)
        and first.zero_point == second.zero_point
        and first.scale.shape == second.scale.shape
        and bool((first.scale == second.scale).all())
    )


def _check_tensor(tensor: QTensor, checker: _Checker) -> None:
    checker.require(bool(tensor.name), "name", "empty", "a name")
    shape = tuple(tensor.shape)
    checker.require(
        len(shape) in (1, 2) and all(size >= 1 for size in shape), "shape", shape, "(T, F) or (F,), none zero"
    )
    scale = tensor.scale
    checker.require(scale.dtype == np.float32, "scale", f"type {scale.dtype}", "float32")
    expected = sorted({1, shape[-1]})
    checker.require(
        scale.ndim == 1 and len(scale) in expected,
        "scale",
        f"shape {scale.shape}",
        " or ".join(f"shape ({size},)" for size in expected),
    )
    # Compared as one array, since a not-a-number fails each comparison.
    positive = bool(((scale > 0) & np.isfinite(scale)).all())
    checker.require(positive, "scale", f"{scale.min()} to {scale.max()}", "positive numbers")
    checker.integer("zero point", tensor.zero_point, INT8_MIN, INT8_MAX)


def _check_recurrent(layer: QRecurrent, checker: _Checker, gates: tuple[int, ...]) -> None:
    """What all cells have in common; `gates` is their leading axis, none for a cell without gates."""
    checker.require(len(layer.x.shape) == 2, "x", f"shape {layer.x.shape}", "a sequence (T, inputs)")
    axes = len(gates) + 2
    shape = layer.input_weights.shape
    checker.require(len(shape) == axes, "input_weights", f"shape {shape}", f"{'three' if gates else 'two'} axes")
    units = layer.units
    checker.array("input_weights", layer.input_weights, np.int8, (*gates, units, layer.x.features))
    checker.array("recurrent_weights", layer.recurrent_weights, np.int8, (*gates, units, units))
    checker.array("input_bias", layer.input_bias, np.int32, (*gates, units))
    checker.array("recurrent_bias", layer.recurrent_bias, np.int32, (*gates, units))
    expected = (layer.x.shape[0], units)
    checker.require(tuple(layer.y.shape) == expected, "y", f"shape {layer.y.shape}", f"shape {expected}")
    checker.requantizer("hidden_requantizer", layer.hidden_requantizer)
    checker.integer("hidden_zero_point", layer.hidden_zero_point, INT8_MIN, INT8_MAX)
    checker.flag("reverse", layer.reverse)


def _check_gate_requantizers(layer: QLstm | QGru, checker: _Checker, gates: int) -> None:
    for field in ("input_requantizers", "recurrent_requantizers"):
        factors: tuple[Requantizer, ...] = getattr(layer, field)
        checker.require(len(factors) == gates, field, f"{len(factors)} factors", f"{gates}")
        for gate, factor in enumerate(factors):
            checker.requantizer(f"{field}[{gate}]", factor)


def _check_lstm(layer: QLstm, checker: _Checker) -> None:
    _check_recurrent(layer, checker, (len(Gate),))
    _check_gate_requantizers(layer, checker, len(Gate))
    checker.integer("cell_scale_log2", layer.cell_scale_log2, CELL_SCALE_LOG2_MIN, CELL_SCALE_LOG2_MAX)
    checker.integer("cell_clip", layer.cell_clip, 0, INT16_MAX)
    checker.integer("initial_hidden", layer.initial_hidden, INT8_MIN, INT8_MAX)


def _check_gru(layer: QGru, checker: _Checker) -> None:
    _check_recurrent(layer, checker, (len(GruGate),))
    _check_gate_requantizers(layer, checker, len(GruGate))
    checker.flag("linear_before_reset", layer.linear_before_reset)


def _check_rnn(layer: QRnn, checker: _Checker) -> None:
    _check_recurrent(layer, checker, ())
    checker.requantizer("input_requantizer", layer.input_requantizer)
    checker.requantizer("recurrent_requantizer", layer.recurrent_requantizer)
    checker.require(
        layer.activation in RNN_ACTIVATIONS, "activation", repr(layer.activation), " or ".join(RNN_ACTIVATIONS)
    )
    low, high = PREACTIVATION_SCALE_LOG2_MIN, PREACTIVATION_SCALE_LOG2_MAX
    if layer.activation == "tanh":
        low = high = TANH_PREACTIVATION_SCALE_LOG2
    checker.integer("preactivation_scale_log2", layer.preactivation_scale_log2, low, high)


def _check_linear(layer: QLinear, checker: _Checker) -> None:
    checker.require(layer.weights.ndim == 2, "weights", f"shape {layer.weights.shape}", "two axes")
    outputs = layer.weights.shape[0]
    checker.array("weights", layer.weights, np.int8, (outputs, layer.x.features))
    checker.array("bias", layer.bias, np.int32, (outputs,))
    checker.array("output_scale", layer.output_scale, np.float64, (outputs,))
    expected = (*layer.x.shape[:-1], outputs)
    checker.require(tuple(layer.y.shape) == expected, "y", f"shape {layer.y.shape}", f"shape {expected}")
    scale = layer.output_scale
    in_range = bool(((scale > 0) & (scale <= _OUTPUT_SCALE_MAX)).all())
    checker.require(in_range, "output_scale", f"{scale.min()} to {scale.max()}", "positive, at most 2**64")


def _check_select_step(layer: QSelectStep, checker: _Checker) -> None:
    checker.require(len(layer.x.shape) == 2, "x", f"shape {layer.x.shape}", "a sequence (T, F)")
    checker.integer("step", layer.step, 0, layer.x.shape[0] - 1)
    expected = QTensor(layer.y.name, (layer.x.features,), layer.x.scale, layer.x.zero_point)
    checker.require(
        same_tensor(expected, layer.y), "y", "another shape, scale or zero point than x's", "x's, bytes copied"
    )


def _check_concat(layer: QConcat, checker: _Checker) -> None:
    checker.require(len(layer.parts) >= 2, "parts", f"{len(layer.parts)}", "at least 2")
    front = tuple(layer.parts[0].shape[:-1])
    for position, part in enumerate(layer.parts):
        field = f"parts[{position}]"
        found = tuple(part.shape)
        checker.require(found[:-1] == front, field, f"shape {found}", f"as many steps as {layer.parts[0].name!r}")
        same = part.scale.shape == (1,) == layer.y.scale.shape and part.scale[0] == layer.y.scale[0]
        checker.require(
            bool(same) and part.zero_point == layer.y.zero_point,
            field,
            "another scale or zero point than y's",
            "y's one scale and zero point, bytes copied",
        )
    expected = (*front, sum(part.features for part in layer.parts))
    checker.require(tuple(layer.y.shape) == expected, "y", f"shape {layer.y.shape}", f"shape {expected}")
