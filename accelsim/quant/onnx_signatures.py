"""What a node of each `accelsim` ONNX operator holds, once for the writer and the reader.

An operand or attribute bears the name of the layer's own field, except that a `Requantizer` is two attributes:
`hidden_requantizer` is `hidden_multiplier` and `hidden_shift`, and a field of several is `input_multipliers` and
`input_shifts`, one a gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim import fixedpoint
from accelsim.graph.model import Gate, GruGate
from accelsim.quant.execute import rnn_activation_table
from accelsim.quant.model import QGru, QLinear, QLstm, QRecurrent, QRnn

LSTM, GRU, RNN, LINEAR, SELECT_STEP = "Lstm", "Gru", "Rnn", "Linear", "SelectStep"
CONCAT = "Concat"
"""The standard operator: bytes copied need no body, and a function of our own could not take any number of parts."""


@dataclass(frozen=True)
class Signature:
    """One operator that computes: operands after x, and attributes beside `y_scale` and `y_zero_point`.

    Parameters
    ----------
    layer : type
        The class of `quant.model`.
    constants : mapping of str to dtype
        Operands after x, in order.
    tables : tuple of str
        Activation tables, operands after those; values as `activation_tables_of` gives them.
    integers, flags, texts : tuple of str
        Fields that are attributes; a flag is 0 or 1.
    factors : mapping of str to int
        Fields of `Requantizer`; how many each holds, 0 for one that is no tuple.
    """

    layer: type[QLstm | QGru | QRnn | QLinear]
    constants: Mapping[str, type]
    tables: tuple[str, ...] = ()
    integers: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    factors: Mapping[str, int] = field(default_factory=dict)

    @property
    def operands(self) -> int:
        """How many inputs a node has."""
        return 1 + len(self.constants) + len(self.tables)


_CELL_CONSTANTS = {
    "input_weights": np.int8,
    "recurrent_weights": np.int8,
    "input_bias": np.int32,
    "recurrent_bias": np.int32,
}

SIGNATURES: Mapping[str, Signature] = {
    LSTM: Signature(
        QLstm,
        _CELL_CONSTANTS,
        tables=("sigmoid_table", "gate_tanh_table", "cell_tanh_table"),
        integers=("cell_clip", "cell_scale_log2", "hidden_zero_point", "initial_hidden"),
        flags=("reverse",),
        factors={"input_requantizers": len(Gate), "recurrent_requantizers": len(Gate), "hidden_requantizer": 0},
    ),
    GRU: Signature(
        QGru,
        _CELL_CONSTANTS,
        tables=("sigmoid_table", "gate_tanh_table"),
        integers=("hidden_zero_point",),
        flags=("linear_before_reset", "reverse"),
        factors={"input_requantizers": len(GruGate), "recurrent_requantizers": len(GruGate), "hidden_requantizer": 0},
    ),
    RNN: Signature(
        QRnn,
        _CELL_CONSTANTS,
        tables=("activation_table",),
        integers=("hidden_zero_point", "preactivation_scale_log2"),
        flags=("reverse",),
        texts=("activation",),
        factors={"input_requantizer": 0, "recurrent_requantizer": 0, "hidden_requantizer": 0},
    ),
    LINEAR: Signature(QLinear, {"weights": np.int8, "bias": np.int32, "output_scale": np.float64}),
}


def factor_attributes(name: str) -> tuple[str, str]:
    """The attributes that hold a field's multipliers and shifts."""
    plural = "s" if name.endswith("s") else ""
    stem = name.removesuffix(plural).removesuffix("requantizer")
    return f"{stem}multiplier{plural}", f"{stem}shift{plural}"


def activation_tables_of(layer: QRecurrent) -> list[tuple[str, NDArray[Any]]]:
    """For each table of a layer's signature: the name it is stored by, and its values.

    Values are empty where the layer's cell scale or activation is one no table exists for.
    """
    tables = fixedpoint.activation_tables()

    def tanh(bits: int) -> tuple[str, NDArray[Any]]:
        exists = 0 <= bits < fixedpoint.TANH_INTEGER_BITS
        return f"activation.tanh_{bits}", tables[fixedpoint.TANH + bits] if exists else np.empty(0, np.int16)

    sigmoid, gate_tanh = ("activation.sigmoid", tables[fixedpoint.SIGMOID]), tanh(fixedpoint.GATE_INTEGER_BITS)
    match layer:
        case QLstm():
            return [sigmoid, gate_tanh, tanh(15 + layer.cell_scale_log2)]
        case QGru():
            return [sigmoid, gate_tanh]
        case QRnn():
            return [("activation.relu", rnn_activation_table("relu")) if layer.activation == "relu" else gate_tanh]
