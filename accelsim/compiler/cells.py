"""Each kind of layer as products and vector instructions: what the engine does in one step of it.

This is where a cell's arithmetic becomes instructions; where things lie and when they run is decided elsewhere. The
integers are those of `quant.model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.compiler.layout import int8_block, parameter_block
from accelsim.fixedpoint import INT16_MAX, INT16_MIN
from accelsim.graph import Gate, GruGate
from accelsim.isa.opcodes import Activation
from accelsim.quant.model import QGru, QLinear, QLstm, QRecurrent, QRnn, Requantizer

INPUT, RECURRENT, CANDIDATE = 0, 1, 2
"""Places of a recurrent cell's products."""
RESULT = "result"
"""The name of the step that makes the stage's bytes, in every cell."""


@dataclass(frozen=True, eq=False)
class CellProduct:
    """A matrix-vector product.

    Parameters
    ----------
    name : str
    weights : int8[rows, columns]
    bias : int32[rows]
    reads : str
        `input`, `hidden` (the stage's own last result), or a buffer.
    """

    name: str
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    reads: str


@dataclass(frozen=True)
class Sums:
    """The accumulators of a product from a row on."""

    product: int
    row: int


@dataclass(frozen=True, eq=False)
class Step:
    """One vector instruction.

    Parameters
    ----------
    name : str
        `RESULT` for the one that makes the stage's bytes.
    block : bytes
        Its parameter block.
    source : Sums or str
        Accumulators, or an int16 buffer. `NAME.new` is this step's side of a buffer that two steps share in turns,
        `NAME.old` the last step's.
    destination : str
        An int16 buffer, an int8 buffer whose name ends in `8`, or `RESULT`.
    takes_sums : int or None
        The product whose next elements it takes: each row's first reader does.
    after : tuple of str
        Earlier steps whose results it takes element by element.
    addend : Sums, optional
    activation : Activation
    factor, term : str, optional
        int16 buffers.
    shift : int
    real : bool
        Requantized by a float64 factor a channel.
    output_requantize : bool
    """

    name: str
    block: bytes
    source: Sums | str
    destination: str
    takes_sums: int | None = None
    after: tuple[str, ...] = ()
    addend: Sums | None = None
    activation: Activation = Activation.NONE
    factor: str | None = None
    shift: int = 0
    term: str | None = None
    real: bool = False
    output_requantize: bool = False


@dataclass(frozen=True, eq=False)
class Cell:
    """A layer's step.

    Parameters
    ----------
    kind : str
    products : tuple of CellProduct
        The input's first.
    steps : tuple of Step
        In the order they are issued. All rows of a product are taken in ascending order.
    state : str
        The int16 buffer that lasts from step to step, has an old and a new side and starts at 0; empty for none.
    initial_hidden : int
        The bytes before the first step; 0 where there is no recurrence.
    hops : int
        Vector instructions on the way from the recurrent sums to the result.
    """

    kind: str
    products: tuple[CellProduct, ...]
    steps: tuple[Step, ...]
    state: str = ""
    initial_hidden: int = 0
    hops: int = 1

    @property
    def is_recurrent(self) -> bool:
        """Whether it reads its own last result."""
        return len(self.products) > 1

    @property
    def buffers(self) -> list[str]:
        """Buffers the steps write, the state apart."""
        names = [step.destination for step in self.steps if step.destination != RESULT]
        return [name for name in dict.fromkeys(names) if name.split(".")[0] != self.state]


def cell_of(layer: QRecurrent | QLinear, batch: int) -> Cell:
    """The cell of a layer, for `batch` vectors that lie element beside element."""
    if isinstance(layer, QLstm):
        return _lstm(layer)
    if isinstance(layer, QGru):
        return _gru(layer)
    if isinstance(layer, QRnn):
        return _rnn(layer)
    block = int8_block(zero_point=layer.y.zero_point, channels=np.repeat(layer.output_scale, batch))
    product = CellProduct("weights", layer.weights, layer.bias, "input")
    return Cell("linear", (product,), (Step(RESULT, block, Sums(0, 0), RESULT, takes_sums=0, real=True),))


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
        _rows("input weights", "input", order, layer.input_weights, layer.input_bias),
        _rows("recurrent weights", "hidden", order, layer.recurrent_weights, layer.recurrent_bias),
    )
    clip = {"low": -layer.cell_clip, "high": layer.cell_clip} if layer.cell_clip else {}

    def gate(which: Gate, name: str, destination: str, activation: Activation, **more: Any) -> Step:
        row = layer.units * order.index(which)
        limits = clip if which == Gate.FORGET else {}
        block = _gate_block(layer.recurrent_requantizers[which], layer.input_requantizers[which], **limits)
        return Step(
            name,
            block,
            Sums(RECURRENT, row),
            destination,
            takes_sums=RECURRENT,
            addend=Sums(INPUT, row),
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
    return Cell("lstm", products, steps, "cell", layer.initial_hidden, hops=4)


def _gru(layer: QGru) -> Cell:
    """The state ``s = n * (32767 - z) + z * s``, and the candidate n with the reset gate before or behind R."""
    units = layer.units
    reset, update, candidate = GruGate.RESET, GruGate.UPDATE, GruGate.CANDIDATE
    order = (candidate, reset, update) if layer.linear_before_reset else (reset, update, candidate)
    of_input = _rows("input weights", "input", order, layer.input_weights, layer.input_bias)

    def sums(product: int, gate: GruGate) -> Sums:
        return Sums(product, units * order.index(gate))

    def block(gate: GruGate) -> bytes:
        return _gate_block(layer.recurrent_requantizers[gate], layer.input_requantizers[gate])

    def gate(which: GruGate, name: str, activation: Activation, **more: Any) -> Step:
        return Step(
            name, block(which), sums(RECURRENT, which), **({"destination": name} | more),
            addend=sums(INPUT, which), activation=activation,
        )  # fmt: skip

    keep = (
        gate(update, "complement", Activation.SIGMOID_COMPLEMENT, takes_sums=RECURRENT),
        gate(update, "kept", Activation.SIGMOID, factor="state.old", shift=15),
    )
    mix: dict[str, Any] = {"activation": Activation.TANH3, "factor": "complement", "shift": 15, "term": "kept"}
    result_block = int8_block(output=layer.hidden_requantizer, zero_point=layer.hidden_zero_point)
    result = Step(RESULT, result_block, "state.new", RESULT, after=("state",), output_requantize=True)
    if layer.linear_before_reset:
        recurrent = _rows("recurrent weights", "hidden", order, layer.recurrent_weights, layer.recurrent_bias)
        before = (
            Step("linear", parameter_block(source=layer.recurrent_requantizers[candidate]),
                 sums(RECURRENT, candidate), "linear", takes_sums=RECURRENT),
            gate(reset, "reset", Activation.SIGMOID, takes_sums=RECURRENT, after=("linear",), factor="linear",
                 shift=15),
            *keep,
            Step("state", parameter_block(addend=layer.input_requantizers[candidate]), "reset", "state.new",
                 after=("kept",), addend=sums(INPUT, candidate), **mix),
            result,
        )  # fmt: skip
        return Cell("gru", (of_input, recurrent), before, "state", layer.initial_hidden, hops=4)
    gates = _rows("recurrent weights", "hidden", (reset, update), layer.recurrent_weights, layer.recurrent_bias)
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
        Step("reset8", reset_block, sums(RECURRENT, reset), "reset8", takes_sums=RECURRENT, addend=sums(INPUT, reset),
             activation=Activation.SIGMOID, factor="state.old", shift=15, output_requantize=True),
        *keep,
        Step("state", block(candidate), Sums(CANDIDATE, 0), "state.new", takes_sums=CANDIDATE, after=("kept",),
             addend=sums(INPUT, candidate), **mix),
        result,
    )  # fmt: skip
    return Cell("gru", products, steps, "state", layer.initial_hidden, hops=3)


def _rnn(layer: QRnn) -> Cell:
    """``h = activation(W x + R h)``."""
    products = (
        CellProduct("input weights", layer.input_weights, layer.input_bias, "input"),
        CellProduct("recurrent weights", layer.recurrent_weights, layer.recurrent_bias, "hidden"),
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
        Sums(RECURRENT, 0),
        RESULT,
        takes_sums=RECURRENT,
        addend=Sums(INPUT, 0),
        activation=Activation.TANH3 if layer.activation == "tanh" else Activation.RELU,
        output_requantize=True,
    )
    return Cell("rnn", products, (step,), "", layer.initial_hidden)
