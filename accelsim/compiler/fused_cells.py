"""Each kind of layer with all gates in one product, and as few vector instructions as their arithmetic allows.

For a vector unit that does all of an instruction in one place, and adds sums from the accumulators. The integers are
those of `quant.model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.compiler.cells import HIDDEN, INPUT, RESULT, Cell, CellProduct, Step, Sums
from accelsim.compiler.layout import int8_block, parameter_block
from accelsim.fixedpoint import INT16_MAX, INT16_MIN
from accelsim.graph import Gate, GruGate
from accelsim.isa.opcodes import Activation
from accelsim.quant.model import QGru, QLstm, QRecurrent, QRnn, Requantizer

_INPUT, _RECURRENT, _CANDIDATE = 0, 1, 2
"""Places of a cell's products."""


def fused_cell(layer: QRecurrent) -> Cell:
    """The cell of a recurrent layer."""
    if isinstance(layer, QLstm):
        return _lstm(layer)
    return _gru(layer) if isinstance(layer, QGru) else _rnn(layer)


def _rows(
    name: str, reads: str, order: Sequence[int], weights: NDArray[np.int8], bias: NDArray[np.int32]
) -> CellProduct:
    """The gates of `order`, one below the other."""
    picked = list(order)
    return CellProduct(name, weights[picked].reshape(-1, weights.shape[2]), bias[picked].reshape(-1), reads)


def _gate_block(recurrent: Requantizer, of_input: Requantizer, low: int = INT16_MIN, high: int = INT16_MAX) -> bytes:
    return parameter_block(source=recurrent, addend=of_input, low=low, high=high)


def _lstm(layer: QLstm) -> Cell:
    """``i, o = SIG``, ``g = TANH_3 * i``, ``c = SIG(f) * c + g`` clipped, ``h = o * TANH(c)``."""
    order = (Gate.INPUT, Gate.OUTPUT, Gate.CELL, Gate.FORGET)
    products = (
        _rows("input weights", INPUT, order, layer.input_weights, layer.input_bias),
        _rows("recurrent weights", HIDDEN, order, layer.recurrent_weights, layer.recurrent_bias),
    )
    clip = {"low": -layer.cell_clip, "high": layer.cell_clip} if layer.cell_clip else {}

    def gate(which: Gate, name: str, destination: str, activation: Activation, **more: Any) -> Step:
        row = layer.units * order.index(which)
        limits = clip if which == Gate.FORGET else {}
        block = _gate_block(layer.recurrent_requantizers[which], layer.input_requantizers[which], **limits)
        return Step(
            name,
            block,
            Sums(_RECURRENT, row),
            destination,
            takes_sums=_RECURRENT,
            addend=Sums(_INPUT, row),
            activation=activation,
            **more,
        )

    log2 = layer.cell_scale_log2
    steps = (
        gate(Gate.INPUT, "input gate", "input gate", Activation.SIGMOID),
        gate(Gate.OUTPUT, "output gate", "output gate", Activation.SIGMOID),
        gate(
            Gate.CELL,
            "candidate",
            "candidate",
            Activation.TANH3,
            after=("input gate",),
            factor="input gate",
            shift=30 + log2,
        ),
        gate(
            Gate.FORGET,
            "cell",
            "cell.new",
            Activation.SIGMOID,
            after=("candidate",),
            factor="cell.old",
            shift=15,
            term="candidate",
        ),
        Step(
            RESULT,
            int8_block(output=layer.hidden_requantizer, zero_point=layer.hidden_zero_point),
            "cell.new",
            RESULT,
            after=("cell",),
            activation=Activation(Activation.TANH0 + 15 + log2),
            factor="output gate",
            output_requantize=True,
        ),
    )
    return Cell("lstm", layer.units, products, steps, "cell", layer.initial_hidden, hops=4)


def _gru(layer: QGru) -> Cell:
    """The state ``s = n * (32767 - z) + z * s``, and the candidate n with the reset gate before or behind R."""
    units = layer.units
    reset, update, candidate = GruGate.RESET, GruGate.UPDATE, GruGate.CANDIDATE
    order = (candidate, reset, update) if layer.linear_before_reset else (reset, update, candidate)
    of_input = _rows("input weights", INPUT, order, layer.input_weights, layer.input_bias)

    def sums(product: int, gate: GruGate) -> Sums:
        return Sums(product, units * order.index(gate))

    def block(gate: GruGate) -> bytes:
        return _gate_block(layer.recurrent_requantizers[gate], layer.input_requantizers[gate])

    def gate(which: GruGate, name: str, activation: Activation, **more: Any) -> Step:
        return Step(
            name, block(which), sums(_RECURRENT, which), **({"destination": name} | more),
            addend=sums(_INPUT, which), activation=activation,
        )  # fmt: skip

    keep = (
        gate(update, "complement", Activation.SIGMOID_COMPLEMENT, takes_sums=_RECURRENT),
        gate(update, "kept", Activation.SIGMOID, factor="state.old", shift=15),
    )
    mix: dict[str, Any] = {"activation": Activation.TANH3, "factor": "complement", "shift": 15, "term": "kept"}
    mix |= {"after": ("kept",), "output_requantize": True, "keep": "state.new"}
    output = {"output": layer.hidden_requantizer, "zero_point": layer.hidden_zero_point}
    if layer.linear_before_reset:
        recurrent = _rows("recurrent weights", HIDDEN, order, layer.recurrent_weights, layer.recurrent_bias)
        before = (
            Step("linear", parameter_block(source=layer.recurrent_requantizers[candidate]),
                 sums(_RECURRENT, candidate), "linear", takes_sums=_RECURRENT),
            gate(reset, "reset", Activation.SIGMOID, takes_sums=_RECURRENT, after=("linear",), factor="linear",
                 shift=15),
            *keep,
            Step(RESULT, int8_block(addend=layer.input_requantizers[candidate], **output), "reset", RESULT,
                 addend=sums(_INPUT, candidate), **mix),
        )  # fmt: skip
        return Cell("gru", layer.units, (of_input, recurrent), before, "state", layer.initial_hidden, hops=3)
    gates = _rows("recurrent weights", HIDDEN, (reset, update), layer.recurrent_weights, layer.recurrent_bias)
    products = (
        of_input,
        gates,
        _rows("candidate weights", "reset8", (candidate,), layer.recurrent_weights, layer.recurrent_bias),
    )
    reset_block = int8_block(
        source=layer.recurrent_requantizers[reset],
        addend=layer.input_requantizers[reset],
        output=layer.hidden_requantizer,
        zero_point=layer.hidden_zero_point,
    )
    steps = (
        Step("reset8", reset_block, sums(_RECURRENT, reset), "reset8", takes_sums=_RECURRENT,
             addend=sums(_INPUT, reset), activation=Activation.SIGMOID, factor="state.old", shift=15,
             output_requantize=True),
        *keep,
        Step(RESULT, int8_block(source=layer.recurrent_requantizers[candidate],
                                addend=layer.input_requantizers[candidate], **output),
             Sums(_CANDIDATE, 0), RESULT, takes_sums=_CANDIDATE, addend=sums(_INPUT, candidate), **mix),
    )  # fmt: skip
    return Cell("gru", layer.units, products, steps, "state", layer.initial_hidden, hops=2)


def _rnn(layer: QRnn) -> Cell:
    """``h = activation(W x + R h)``."""
    products = (
        CellProduct("input weights", layer.input_weights, layer.input_bias, INPUT),
        CellProduct("recurrent weights", layer.recurrent_weights, layer.recurrent_bias, HIDDEN),
    )
    block = int8_block(
        source=layer.recurrent_requantizer,
        addend=layer.input_requantizer,
        output=layer.hidden_requantizer,
        zero_point=layer.hidden_zero_point,
    )
    step = Step(
        RESULT,
        block,
        Sums(_RECURRENT, 0),
        RESULT,
        takes_sums=_RECURRENT,
        addend=Sums(_INPUT, 0),
        activation=Activation.TANH3 if layer.activation == "tanh" else Activation.RELU,
        output_requantize=True,
    )
    return Cell("rnn", layer.units, products, (step,), "", layer.initial_hidden)
