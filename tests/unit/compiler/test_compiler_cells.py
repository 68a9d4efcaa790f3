"""Which cell a chip gets, and what it asks of the vector unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelsim.chip import Chip, dump_chip, load_chip
from accelsim.chip.load import check_chip
from accelsim.compiler import compile_graph
from accelsim.compiler.cell_choice import cell_of
from accelsim.compiler.cells import HIDDEN, INPUT, Cell
from accelsim.errors import InputError
from accelsim.isa.opcodes import Place
from accelsim.machine.reference import run_reference
from accelsim.profile import build_profile
from accelsim.quant.model import QGru, QLinear, QLstm, QRnn
from accelsim.validation.networks import Shape, build_network

STAGED = load_chip("intel_npu_s10nx")
ONE_STAGE = load_chip("tx5368")


def layer(cell: str, hidden: int = 50) -> Any:
    return build_network(Shape(cell, 30, hidden, 3)).layers[0]


def staged(*operations: list[str], **schedule: bool) -> Chip:
    data = dump_chip(STAGED)
    data["vector"]["stages"] = [
        {"name": f"stage {number}", "latency_cycles": 1, "operations": own} for number, own in enumerate(operations)
    ]
    data["schedule"].update(schedule)
    return check_chip(data, "staged")


def needs(cell: Cell) -> dict[str, tuple[tuple[str, Place], ...]]:
    return {step.name: step.needs for step in cell.steps if step.needs}


@pytest.mark.parametrize(("kind", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_a_unit_of_one_stage_takes_all_gates_at_once(kind: str, gates: int) -> None:
    cell = cell_of(layer(kind), 1, ONE_STAGE)
    assert cell.products[0].weights.shape[0] == 50 * gates
    assert cell.units == 50
    assert not any(step.early or step.needs for step in cell.steps)


@pytest.mark.parametrize(("kind", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_a_unit_of_stages_takes_gate_by_gate(kind: str, gates: int) -> None:
    own = layer(kind)
    cell = cell_of(own, 6, STAGED)
    assert isinstance(own, QLstm | QGru | QRnn)
    # 50 units are two row tiles of 40; 12 take turns.
    assert cell.units == 480
    assert len(cell.reading(INPUT)) == gates
    assert {product.weights.shape[0] for product in cell.products} == {480}
    for product in cell.products:
        assert not product.weights[50:].any()
        assert not product.bias[50:].any()
    assert sum(step.early for step in cell.steps) == gates
    assert all(step.takes_sums is None or cell.steps[number].source for number, step in enumerate(cell.steps))


def test_waits_of_a_gatewise_lstm() -> None:
    """Results come in order: the result's wait for the cell covers the output gate, which came before it."""
    assert needs(cell_of(layer("lstm"), 6, STAGED)) == {
        "forget gate": (("forget gate of input", Place.ADDEND),),
        "input gate": (("input gate of input", Place.ADDEND),),
        "output gate": (("output gate of input", Place.ADDEND),),
        "candidate": (("candidate of input", Place.ADDEND), ("input gate", Place.FACTOR)),
        "cell": (("forget gate", Place.FACTOR), ("candidate", Place.TERM)),
        "result": (("cell", Place.FIRST),),
    }


def test_constants_are_loaded_where_the_chip_file_says_so() -> None:
    assert cell_of(layer("gru"), 6, STAGED).constants == ("zeros8",)
    assert cell_of(layer("lstm"), 6, STAGED).constants == ()
    stages = [list(stage.operations) for stage in STAGED.vector.stages]
    without = cell_of(layer("gru"), 6, staged(*stages, constants_loaded=False))
    assert without.constants == ()
    assert [step.name for step in without.steps if step.source is None] == ["kept"]


def test_a_row_of_stages_that_can_do_no_gate() -> None:
    with pytest.raises(InputError, match=r"chip|stages") as caught:
        cell_of(layer("lstm"), 1, staged(["multiply"], ["add"]))
    assert str(caught.value).startswith("intel_npu_s10nx: vector.stages: can't do the forget gate of lstm in one pass")
    assert isinstance(build_network(Shape("gemv", 3, 4)).layers[0], QLinear)
    assert cell_of(build_network(Shape("gemv", 3, 4)).layers[0], 1, staged([], [])).kind == "linear"


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn", "gemv"])
def test_padding_is_no_work_of_the_model(kind: str) -> None:
    graph = build_network(Shape(kind, 30, 50, 3))
    programs = [compile_graph(graph, chip, batch=2) for chip in (ONE_STAGE, STAGED)]
    macs = [sum(one.macs for one in program.layers) for program in programs]
    assert macs[0] == macs[1]
    frames = np.zeros((2, *programs[1].inputs[0].shape), np.int8)
    counters = run_reference(programs[1], frames).counters
    profile = build_profile(programs[1], counters, 2)
    assert profile.total.macs == 2 * macs[0] < counters.macs.sum()
    assert sum(part.macs for part in profile.layers) == profile.total.macs
    assert [HIDDEN in {one.reads for one in cell_of(graph.layers[0], 2, STAGED).products}] == [kind != "gemv"]
