"""Vector instructions of a wave, phase by phase: gates, candidate, cell, hidden state; a linear layer's result."""

from __future__ import annotations

from accelsim.compiler.emitter import Operand, Token
from accelsim.compiler.placement import PlacedStage
from accelsim.compiler.shared import Shared
from accelsim.compiler.stages import GATE_ROWS
from accelsim.graph import Gate
from accelsim.isa.opcodes import Activation, Addend, Destination, Requantize, Source, Unit
from accelsim.quant.model import QLstm


class Phases:
    """Emits the vector phases of stages.

    Parameters
    ----------
    shared : Shared
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared

    def input_gate(self, index: int, placed: PlacedStage) -> None:
        """i = sigmoid(.), the first to read the sums."""
        self._gate_phase(
            index,
            Gate.INPUT,
            Activation.SIGMOID,
            placed.buffers["input gate"],
            first=True,
            signals=[Token(self.shared.gate, self.shared.chained)],
        )

    def output_gate(self, index: int, placed: PlacedStage) -> None:
        """o = sigmoid(.)."""
        self._gate_phase(index, Gate.OUTPUT, Activation.SIGMOID, placed.buffers["output gate"])

    def candidate(self, index: int, placed: PlacedStage) -> None:
        """tanh(.) * i."""
        layer = placed.stage.layer
        if isinstance(layer, QLstm):
            self._gate_phase(
                index,
                Gate.CELL,
                Activation.TANH3,
                placed.buffers["candidate"],
                waits=[Token(self.shared.gate, self.shared.chained)],
                signals=[Token(self.shared.candidate, self.shared.chained)],
                multiply=1,
                shift=30 + layer.cell_scale_log2,
                factor=self.shared.at("factor", placed.buffers["input gate"]),
            )

    def cell(self, index: int, placed: PlacedStage) -> None:
        """c = sigmoid(.) * c + candidate; the last to read the sums."""
        before, after = (
            self.shared.ring(placed.buffers["cell"], 2, self.shared.placement.cell_pitch, behind) for behind in (1, 0)
        )
        self._gate_phase(
            index,
            Gate.FORGET,
            Activation.SIGMOID,
            after,
            waits=[Token(self.shared.candidate, self.shared.chained)],
            signals=[Token(self.shared.cell, self.shared.chained), Token(self.shared.links[index].sums_free)],
            multiply=1,
            shift=15,
            factor=before,
            accumulate=1,
            term=self.shared.at("term", placed.buffers["candidate"]),
        )

    def _gate_phase(
        self,
        index: int,
        gate: Gate,
        activation: Activation,
        destination: int | Operand,
        *,
        first: bool = False,
        waits: list[Token] | None = None,
        signals: list[Token] | None = None,
        **fields: int | Operand,
    ) -> None:
        """One gate: both sums requantized and added, the activation, and what `fields` adds."""
        placed = self.shared.placement.stages[index]
        units = placed.stage.outputs
        start = 4 * units * GATE_ROWS.index(gate)
        input_sums, recurrent_sums = placed.accumulators
        sums = [Token(self.shared.links[index].sums, self.shared.chained)] if self.shared.chained or first else []
        names = {Gate.INPUT: "input", Gate.OUTPUT: "output", Gate.CELL: "cell", Gate.FORGET: "forget"}
        self.shared.vector(
            index,
            names[gate],
            guard=self.shared.guards[index],
            length=units,
            waits=sums + (waits or []),
            signals=signals or [],
            source_type=Source.INT32,
            requantize=Requantize.SCALAR,
            source=self.shared.at("source", recurrent_sums + start),
            addend_type=Addend.INT32,
            addend=self.shared.at("addend", input_sums + start),
            activation=activation,
            destination_type=Destination.INT16,
            destination=self.shared.at("destination", destination) if isinstance(destination, int) else destination,
            **fields,
        )

    def hidden(self, index: int, placed: PlacedStage) -> None:
        """h = o * tanh(c), to int8."""
        layer, link = placed.stage.layer, self.shared.links[index]
        if not isinstance(layer, QLstm):
            return
        waits = [Token(self.shared.cell, self.shared.chained)]
        signals = [Token(link.hidden)]
        self._result(
            index,
            "hidden",
            waits,
            signals,
            length=layer.units,
            source_type=Source.INT16,
            source=self.shared.ring(placed.buffers["cell"], 2, self.shared.placement.cell_pitch, 0),
            activation=Activation.TANH0 + 15 + layer.cell_scale_log2,
            multiply=1,
            factor=self.shared.at("factor", placed.buffers["output gate"]),
            output_requantize=1,
        )

    def linear_result(self, index: int, placed: PlacedStage) -> None:
        """A linear layer's sums, to int8."""
        link = self.shared.links[index]
        self._result(
            index,
            "requantize",
            [Token(link.sums, self.shared.chained)],
            [Token(link.sums_free)],
            length=placed.stage.outputs,
            source_type=Source.INT32,
            requantize=Requantize.REAL,
            source=self.shared.at("source", placed.accumulators[0]),
        )

    def _result(
        self, index: int, block: str, waits: list[Token], signals: list[Token], **fields: int | Operand
    ) -> None:
        """A stage's last instruction: into its ring, for the next stage and for the output."""
        placed = self.shared.placement.stages[index]
        stage, last = placed.stage, index + 1 == len(self.shared.placement.stages)
        announce: list[tuple[int, int, int]] = []
        if not last:
            following = self.shared.placement.stages[index + 1].stage
            announce.append((self.shared.links[index + 1].ready, following.first, following.last))
        else:
            announce.append(
                (self.shared.output_ready, self.shared.pipeline.output_first, self.shared.pipeline.output_last)
            )
            if self.shared.stores_every_step():
                waits = [*waits, Token(self.shared.output_free)]
        late = []
        for semaphore, first, end in announce:
            if (first, end) == (stage.first, stage.last):
                signals = [*signals, Token(semaphore)]
            else:
                late.append((semaphore, first, end))
        self.shared.vector(
            index,
            block,
            guard=self.shared.guards[index],
            waits=waits,
            signals=signals,
            destination_type=Destination.INT8,
            destination=self.shared.ring(placed.output, placed.slots, self.shared.placement.pitch, 0),
            **fields,
        )
        for semaphore, first, end in late:
            # Only some of the steps are wanted: only those are announced.
            guard = self.shared.emitter.guard(first + stage.delay, end + stage.delay, self.shared.pipeline.waves)
            self.shared.emitter.emit("sync", layer=index, guard=guard, unit=Unit.VECTOR, signals=[Token(semaphore)])
