"""Memories larger than a field of an instruction reaches."""

from __future__ import annotations

import pytest

from accelsim.chip import Chip, dump_chip, load_chip
from accelsim.chip.load import check_chip
from accelsim.compiler import compile_graph
from accelsim.compiler.emitter import Emitter, sram_reach
from accelsim.compiler.placement import place
from accelsim.compiler.planner import build_plan
from accelsim.compiler.residency import plan_residency
from accelsim.compiler.schedule import choose
from accelsim.compiler.shared import Shared
from accelsim.errors import CapacityError, InputError
from accelsim.isa import decode, definition
from accelsim.isa.opcodes import Memory
from tests.support.random_models import random_graph


def large_chip(memory: str, capacity_bytes: int) -> Chip:
    data = dump_chip(load_chip("tx5368"))
    data["sram"][memory]["capacity_bytes"] = capacity_bytes
    return check_chip(data, "large")


def registers(emitter: Emitter) -> dict[int, int]:
    """The base of each register."""
    instructions, _ = emitter.finish()
    return {one.fields["register"]: one.fields["base"] for one in instructions if one.name == "address"}


def test_the_reach_is_the_shortest_offset() -> None:
    widths = [one.offset.width for form in definition().formats.values() for one in form.operands]
    assert sram_reach() == 2 ** min(widths)


def test_a_batch_of_more_elements_than_an_instruction_has() -> None:
    chip = load_chip("tx5368")
    graph = random_graph(0, steps=1, sizes=(2,), linear=2000)
    # 64,000 elements are a matter of memory alone.
    with pytest.raises(CapacityError, match=r"sram\.accumulators: 256,000 bytes needed"):
        compile_graph(graph, chip, batch=32)
    with pytest.raises(InputError) as caught:
        compile_graph(graph, chip, batch=33)
    found = "2,000 units for --batch 33 are 66,000 elements of an instruction"
    assert str(caught.value) == f"random_0: layer fc: {found}; expected at most 65,535, as with --batch 32"


def test_a_layer_of_more_units_than_an_instruction_has_elements() -> None:
    with pytest.raises(InputError, match=r"layer fc: 70,000 units for --batch 1 .*; expected at most 65,535$"):
        compile_graph(random_graph(0, steps=1, sizes=(2,), linear=70000), load_chip("tx5368"))


def test_rings_behind_the_reach_of_offsets() -> None:
    chip, graph = large_chip("activations", 2**22), random_graph(1)
    plan = build_plan(graph, 1, chip)
    products = [product for segment in plan.segments for stage in segment.stages for product in stage.products]
    blocks = plan_residency(products, chip)
    plan, slots = choose(plan, blocks, chip)
    shared = Shared(plan, place(plan, blocks, (), slots, 1024, chip), chip)
    near, far = sram_reach() - 64, sram_reach()
    first, inside = shared.ring(near, 4, 64, 0)
    assert (registers(shared.emitter)[first], inside) == (0, near)
    assert shared.ring(0, 4, 64, 0) == (first, 0), "rings of one size share a register"
    second, inside = shared.ring(far, 4, 64, 0)
    assert (registers(shared.emitter)[second], inside) == (far, 0)


def test_a_load_is_as_long_as_its_field_allows() -> None:
    """18 MB of weights: a row takes up to 2**24 - 1 bytes, cut at whole bursts."""
    graph = random_graph(2, steps=1, sizes=(1500, 1500))
    chip = large_chip("weights", 2**25)
    program = compile_graph(graph, chip)
    loads = [one.fields for one in map(decode, program.words) if one.name == "load"]
    weights = [one for one in loads if one["memory"] == Memory.WEIGHTS]
    most = definition().formats["load"].field("row_bytes").maximum // chip.dram.burst_bytes * chip.dram.burst_bytes
    sizes = [one["row_bytes"] for one in weights]
    assert sizes == [most, sum(sizes) - most]
    assert sum(sizes) >= 4 * 1500 * 3000
    assert weights[1]["source.offset"] == weights[0]["source.offset"] + most
