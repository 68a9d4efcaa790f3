"""Each kind of layer gate by gate: a product a gate, and vector instructions that use each product's sums once.

For a vector unit that takes sums only as they leave the array, and whose stages each do a few operations. The sums of
input products are requantized to int16 first; that is what adding them would have done, so the integers stay those of
`quant.model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.compiler.cells import HIDDEN, INPUT, RESULT, Cell, CellProduct, Step, Sums
from accelsim.compiler.layout import int8_block, parameter_block
from accelsim.graph import Gate, GruGate
from accelsim.isa.opcodes import Activation, Place
from accelsim.quant.model import QGru, QLstm, QRecurrent, QRnn, Requantizer


def gatewise_cell(layer: QRecurrent, units: int) -> Cell:
    """The cell of a recurrent layer.

    Parameters
    ----------
    layer : QRecurrent
    units : int
        Rows of each product: the layer's, and rows of zeros.
    """
    build = _Builder(layer, units)
    if isinstance(layer, QLstm):
        return _lstm(build, layer)
    return _gru(build, layer) if isinstance(layer, QGru) else _rnn(build, layer)


def padded(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """The array with rows of zeros up to `rows`."""
    result = np.zeros((rows, *array.shape[1:]), dtype=array.dtype)
    result[: len(array)] = array
    return result


@dataclass
class _Builder:
    """Collects products and steps; each step waits for the earlier ones it reads."""

    layer: QRecurrent
    units: int
    products: list[CellProduct] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def product(self, name: str, reads: str, weights: NDArray[np.int8], bias: NDArray[np.int32]) -> Sums:
        self.products.append(CellProduct(name, padded(weights, self.units), padded(bias, self.units), reads))
        return Sums(len(self.products) - 1, 0)

    def early(self, name: str, sums: Sums, requantizer: Requantizer) -> None:
        """Sums of the input's product as an int16 buffer."""
        block = parameter_block(source=requantizer)
        self.steps.append(Step(name, block, sums, name, takes_sums=sums.product, early=True))

    def step(self, name: str, block: bytes, source: Sums | str | None, destination: str, **more: Any) -> None:
        step = Step(name, block, source, destination, **more)
        takes = source.product if isinstance(source, Sums) else None
        self.steps.append(
            Step(name, block, source, destination, **(more | {"takes_sums": takes, "needs": self._needs(step)}))
        )

    def finish(self, kind: str, state: str, hops: int) -> Cell:
        first = [product for product in self.products if product.reads == INPUT]
        if first != self.products[: len(first)]:
            raise ValueError("the input's products come first")
        hidden = self.layer.initial_hidden
        return Cell(kind, self.units, tuple(self.products), tuple(self.steps), state, hidden, hops)

    def _needs(self, step: Step) -> tuple[tuple[str, Place], ...]:
        """Who wrote what it reads in this wave. Results come in order, so a wait covers the writers before."""
        operands = (
            (step.source, Place.FIRST), (step.addend, Place.ADDEND), (step.factor, Place.FACTOR),
            (step.term, Place.TERM),
        )  # fmt: skip
        writers = {
            name: number for number, one in enumerate(self.steps) for name in (one.destination, one.keep) if name
        }
        found: list[tuple[int, Place]] = []
        for operand, place in operands:
            number = writers.get(operand) if isinstance(operand, str) else None
            if number is not None and all(number > earlier for earlier, _ in found):
                found.append((number, place))
        return tuple((self.steps[number].name, place) for number, place in found)


def _gate_products(
    build: _Builder, layer: QLstm | QGru, order: Sequence[Gate | GruGate], names: Sequence[str], reads: str
) -> list[Sums]:
    of_input = reads == INPUT
    weights = layer.input_weights if of_input else layer.recurrent_weights
    bias = layer.input_bias if of_input else layer.recurrent_bias
    kind = "input" if of_input else "recurrent"
    return [
        build.product(f"{name} {kind} weights", reads, weights[gate], bias[gate])
        for gate, name in zip(order, names, strict=True)
    ]


def _early_steps(
    build: _Builder, layer: QLstm | QGru, order: Sequence[Gate | GruGate], names: Sequence[str], sums: Sequence[Sums]
) -> None:
    for gate, name, one in zip(order, names, sums, strict=True):
        build.early(f"{name} of input", one, layer.input_requantizers[gate])


def _lstm(build: _Builder, layer: QLstm) -> Cell:
    """``f, i, o``, then ``g * i``, ``c = c * f + g * i`` clipped, ``h = TANH(c) * o``."""
    order = (Gate.FORGET, Gate.INPUT, Gate.OUTPUT, Gate.CELL)
    names = ("forget gate", "input gate", "output gate", "candidate")
    of_input = _gate_products(build, layer, order, names, INPUT)
    of_hidden = _gate_products(build, layer, order, names, HIDDEN)
    _early_steps(build, layer, order, names, of_input)
    log2 = layer.cell_scale_log2
    for gate, name, sums in zip(order, names, of_hidden, strict=True):
        more: dict[str, Any] = {"activation": Activation.SIGMOID}
        if gate == Gate.CELL:
            more = {"activation": Activation.TANH3, "factor": "input gate", "shift": 30 + log2}
        block = parameter_block(source=layer.recurrent_requantizers[gate])
        build.step(name, block, sums, name, addend=f"{name} of input", **more)
    clip: dict[str, Any] = {"low": -layer.cell_clip, "high": layer.cell_clip} if layer.cell_clip else {}
    build.step(
        "cell", parameter_block(**clip), "cell.old", "cell.new", factor="forget gate", shift=15, term="candidate"
    )
    build.step(
        RESULT,
        int8_block(output=layer.hidden_requantizer, zero_point=layer.hidden_zero_point),
        "cell.new",
        RESULT,
        activation=Activation(Activation.TANH0 + 15 + log2),
        factor="output gate",
        output_requantize=True,
    )
    return build.finish("lstm", "cell", hops=3)


def _gru(build: _Builder, layer: QGru) -> Cell:
    """``1 - z``, ``z * s`` with the state s, the candidate n, and ``s = n * (1 - z) + z * s``."""
    update, reset, candidate = order = (GruGate.UPDATE, GruGate.RESET, GruGate.CANDIDATE)
    names = ("complement", "reset", "candidate")
    inputs = [f"{name} of input" for name in names]
    of_input = _gate_products(build, layer, order, names, INPUT)
    before = layer.linear_before_reset
    # In the order in which their sums are taken.
    taken = (0, 2, 1) if before else (0, 1)
    sums = _gate_products(build, layer, [order[one] for one in taken], [names[one] for one in taken], HIDDEN)
    of_hidden = dict(zip(taken, sums, strict=True))
    _early_steps(build, layer, order, names, of_input)
    output: dict[str, Any] = {"output": layer.hidden_requantizer, "zero_point": layer.hidden_zero_point}

    def source(gate: GruGate) -> dict[str, Any]:
        return {"source": layer.recurrent_requantizers[gate]}

    build.step(
        "complement", parameter_block(**source(update)), of_hidden[0], "complement", addend=inputs[0],
        activation=Activation.SIGMOID_COMPLEMENT,
    )  # fmt: skip
    build.step(
        "kept", parameter_block(), None, "kept", addend="complement", activation=Activation.COMPLEMENT,
        factor="state.old", shift=15,
    )  # fmt: skip
    gate: dict[str, Any] = {"addend": inputs[1], "activation": Activation.SIGMOID, "shift": 15}
    if before:
        build.step("linear", parameter_block(**source(candidate)), of_hidden[2], "linear")
        build.step("reset", parameter_block(**source(reset)), of_hidden[1], "reset", factor="linear", **gate)
        build.step("candidate", parameter_block(), "reset", "candidate", addend=inputs[2], activation=Activation.TANH3)
    else:
        block = int8_block(**source(reset), **output)
        build.step("reset8", block, of_hidden[1], "reset8", factor="state.old", output_requantize=True, **gate)
        weights, bias = layer.recurrent_weights[candidate], layer.recurrent_bias[candidate]
        of_reset = build.product("candidate recurrent weights", "reset8", weights, bias)
        build.step(
            "candidate", parameter_block(**source(candidate)), of_reset, "candidate", addend=inputs[2],
            activation=Activation.TANH3,
        )  # fmt: skip
    build.step(
        RESULT, int8_block(**output), "candidate", RESULT, factor="complement", shift=15, term="kept",
        output_requantize=True, keep="state.new",
    )  # fmt: skip
    return build.finish("gru", "state", hops=2)


def _rnn(build: _Builder, layer: QRnn) -> Cell:
    """``h = activation(W x + R h)``."""
    of_input = build.product("input weights", INPUT, layer.input_weights, layer.input_bias)
    of_hidden = build.product("recurrent weights", HIDDEN, layer.recurrent_weights, layer.recurrent_bias)
    build.early("of input", of_input, layer.input_requantizer)
    build.step(
        RESULT,
        int8_block(
            source=layer.recurrent_requantizer, output=layer.hidden_requantizer, zero_point=layer.hidden_zero_point
        ),
        of_hidden,
        RESULT,
        addend="of input",
        activation=Activation.TANH3 if layer.activation == "tanh" else Activation.RELU,
        output_requantize=True,
    )
    return build.finish("rnn", "", hops=1)
