"""Engines, semaphores and bounds on random programs; and that what semaphores order needs no luck in the timing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from accelsim.chip import Chip
from accelsim.chip.load import check_chip
from accelsim.compiler import compile_graph
from accelsim.errors import DeadlockError, HazardError
from accelsim.isa import Instruction, encode
from accelsim.isa.opcodes import Place
from accelsim.isa.program import Program
from accelsim.machine.functional import run_functional
from accelsim.machine.reference import run_reference
from accelsim.profile.bounds import lower_bound
from accelsim.quant.execute import run_quantized
from tests.support.compiled_programs import compiled
from tests.support.program_order import ProgramOrder
from tests.support.random_chips import chip_data
from tests.support.random_models import random_graph
from tests.support.random_programs import small_programs
from tests.support.upper_bound import upper_bound

FAST = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@settings(FAST, max_examples=80)
@given(small_programs(), st.integers(0, 2**32))
def test_random_programs(program: Program, seed: int) -> None:
    """Proven order means no hazard on this chip; no hazard means the values of program order; bounds always hold."""
    program.validate()
    frame = np.random.default_rng(seed).integers(-128, 128, program.inputs[0].shape).astype(np.int8)
    unordered = ProgramOrder(program).unordered()
    try:
        run = run_reference(program, frame, keep_events=True)
    except DeadlockError:
        # Stages of a unit, or two units, that take turns at a semaphore may take each other's counts.
        event("deadlock")
        assert program.chip.vector.stages
        return
    try:
        checked = run_reference(program, frame, check_hazards=True)
    except HazardError:
        event("hazard")
        assert unordered
    else:
        event("luck" if unordered else "proven")
        np.testing.assert_array_equal(run.output, run_functional(program, frame[None])[0])
        np.testing.assert_array_equal(run.output, checked.output)
    assert lower_bound(program).cycles <= run.counters.cycles <= upper_bound(program)
    assert run.counters.causes.sum() == run.counters.cycles
    assert (run.counters.units.sum(axis=(1, 2)) == run.counters.cycles).all()
    assert run.events is not None
    for unit in range(4):
        mine = np.sort(run.events[run.events["unit"] == unit], order="dispatched")
        for column in ("started", "issued", "done"):
            assert (np.diff(mine[column]) > 0).all() or (column == "done" and (np.diff(mine[column]) >= 0).all())
        assert (mine["dispatched"] < mine["started"]).all()
        assert (mine["started"] <= mine["issued"]).all()
        assert (mine["issued"] < mine["done"]).all()


@settings(FAST, max_examples=60)
@given(compiled())
def test_compiled_programs_are_ordered_by_their_semaphores(program: Program) -> None:
    """Whatever the latencies: no access of two instructions to one place that could come in the other order."""
    assert ProgramOrder(program).unordered() == []


@settings(FAST, max_examples=20)
@given(compiled())
def test_bounds_of_compiled_programs(program: Program) -> None:
    frame = np.zeros(program.inputs[0].shape, np.int8)
    assert lower_bound(program).cycles <= run_reference(program, frame).counters.cycles <= upper_bound(program)


# --- programs that lack a wait ------------------------------------------------------------------------------------


def _stages(*latencies: int) -> list[dict[str, Any]]:
    operations = [[], ["add", "activation", "multiply"], ["activation", "add", "multiply"], []]
    return [
        {"name": f"stage {number}", "latency_cycles": latency, "operations": able}
        for number, (latency, able) in enumerate(zip(latencies, operations, strict=True))
    ]


SPEEDS: dict[str, dict[str, dict[str, Any]]] = {
    "even": {},
    "slow DRAM": {"dram": {"bytes_per_cycle": 0.25, "read_latency_cycles": 60, "write_latency_cycles": 200}},
    "fast DRAM": {"dram": {"bytes_per_cycle": 64, "read_latency_cycles": 0, "outstanding_bursts": 16}},
    "slow matrix unit": {"mac": {"latency_cycles": 40}},
    "slow vector unit": {"vector": {"latency_cycles": 40}},
    "in stages": {
        "vector": {"latency_cycles": 0, "adds_sums": False, "wake_cycles": 1, "stages": _stages(3, 9, 2, 1)},
        "mac": {"accumulate_interval_cycles": 3, "drain_cycles": 4},
        "dma": {"loads_through_vector": True},
    },
    "slow stages": {
        "vector": {"latency_cycles": 0, "stages": _stages(1, 30, 30, 1)},
        "mac": {"accumulate_interval_cycles": 2, "drain_cycles": 9},
    },
}


def speed(name: str, chained: bool) -> Chip:
    tables = {"chaining": {"enabled": chained}, **SPEEDS[name]}
    return check_chip(chip_data(rows=4, columns=4, lanes=4, weights_bytes=512, **tables), name)


def without_each_wait(program: Program) -> Iterator[tuple[int, int, Program]]:
    """(instruction, semaphore, the program without that wait)."""
    for index, instruction in enumerate(program.instructions):
        for slot in range(3):
            semaphore = instruction.fields.get(f"wait{slot}", 0)
            if semaphore:
                fields = {**instruction.fields, f"wait{slot}": 0, f"wait{slot}_each": 0}
                word = encode(Instruction(instruction.name, fields))
                words = (*program.words[:index], word, *program.words[index + 1 :])
                yield index, semaphore, replace(program, words=words)


def verdict(program: Program, frame: np.ndarray, expected: np.ndarray) -> str:
    try:
        output = run_reference(program, frame, check_hazards=True).output
    except (HazardError, DeadlockError) as error:
        return type(error).__name__
    return "clean" if np.array_equal(output, expected) else "wrong value"


@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("model", [{"sizes": (5, 4), "linear": 3}, {"sizes": (9,), "linear": 4}])
def test_a_missing_wait_is_caught_or_proven_redundant(model: dict[str, Any], chained: bool) -> None:
    """A run shows a race only where the timing has it; so a wait that no run misses must be one that order implies.

    Redundant by proof are waits for a token that comes back with another one: a product's wait for its weights after
    the first wave, say, where the loop's own turns already bring it.
    """
    graph = random_graph(1, steps=3, **model)
    frame = np.random.default_rng(0).integers(-128, 128, graph.input.shape).astype(np.int8)
    expected = run_quantized(graph, frame[None])[graph.output.name][0]
    found: Counter[str] = Counter()
    for name in SPEEDS:
        program = compile_graph(graph, speed(name, chained))
        assert verdict(program, frame, expected) == "clean"
        for index, semaphore, mutant in without_each_wait(program):
            shown, proven = verdict(mutant, frame, expected), not ProgramOrder(mutant).unordered()
            place = f"{name}: instruction {index} without s{semaphore}"
            # The check of hazards finds what the values show and more.
            assert shown != "wrong value", place
            assert not (proven and shown != "clean"), place
            found["redundant" if proven else "shown" if shown != "clean" else "latent"] += 1
    # Most are shown; those latent on one chip are still found by the order of their semaphores.
    assert found["shown"] > found["latent"] > 0
    assert found["shown"] + found["latent"] > found["redundant"] > 0


@pytest.mark.parametrize("name", ["in stages", "slow stages"])
def test_a_wait_in_too_late_a_stage_is_found(name: str) -> None:
    graph = random_graph(1, steps=3, sizes=(5, 4), linear=3)
    frame = np.random.default_rng(0).integers(-128, 128, graph.input.shape).astype(np.int8)
    expected = run_quantized(graph, frame[None])[graph.output.name][0]
    program = compile_graph(graph, speed(name, chained=True))
    found = 0
    for index, instruction in enumerate(program.instructions):
        for slot in range(3):
            is_wait = instruction.name == "vector" and instruction.fields[f"wait{slot}"]
            if not is_wait or instruction.fields[f"wait{slot}_at"] == Place.LAST:
                continue
            word = encode(Instruction(instruction.name, {**instruction.fields, f"wait{slot}_at": int(Place.LAST)}))
            late = replace(program, words=(*program.words[:index], word, *program.words[index + 1 :]))
            proven = not ProgramOrder(late).unordered()
            found += not proven
            assert not proven or verdict(late, frame, expected) == "clean", (index, slot)
    assert found
