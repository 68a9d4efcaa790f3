"""Any model on any chip in any schedule: the same bits, no hazard, and an order that needs no luck in the timing."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from accelsim.chip import Chip, load_chip
from accelsim.compiler import compile_graph
from accelsim.compiler.arrangement import HOISTED, INTERLEAVED, SCHEDULES, Arrangement
from accelsim.compiler.build import Compiler
from accelsim.compiler.candidates import arrangements
from accelsim.errors import CapacityError, DeadlockError, HazardError, InputError
from accelsim.isa import Instruction, encode
from accelsim.isa.program import Program
from accelsim.machine.fast import time_program, time_within
from accelsim.machine.functional import run_functional
from accelsim.machine.reference import run_reference
from accelsim.profile.bounds import lower_bound
from accelsim.quant.execute import run_quantized
from accelsim.quant.model import QGraph
from accelsim.schedules import compile_scheduled
from accelsim.timing.traffic import least_bus_cycles
from tests.support.engines import COUNTERS
from tests.support.program_order import ProgramOrder
from tests.support.random_chips import chips
from tests.support.random_models import random_graph, random_network, random_skips
from tests.support.schedules import any_arrangement, layer_names, with_accumulators

FAST = settings(
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@st.composite
def networks(draw: st.DrawFn, most_steps: int = 7) -> QGraph:
    """Layers of every kind and direction, joined with each other and with the input, with every kind of end."""
    seed, steps = draw(st.integers(0, 2**32)), draw(st.integers(1, most_steps))
    if draw(st.booleans()):
        return random_skips(seed, steps=steps)
    return random_network(seed, steps=steps, layers=draw(st.integers(0, 3)), largest=12)


@st.composite
def arranged(draw: st.DrawFn, batch: int = 1, most_steps: int = 7) -> tuple[QGraph, Program]:
    """A network and its program, in an arrangement that the chip can do and has room for."""
    graph = draw(networks(most_steps))
    chip = draw(chips(weights_bytes=draw(st.sampled_from([1 << 10, 1 << 12, 1 << 17]))))
    chip = with_accumulators(chip, draw(st.sampled_from([1 << 9, 1 << 10, 1 << 12, 1 << 15])) * batch)
    arrangement = draw(any_arrangement(graph))
    assume(not (arrangement.hoisted and chip.dma.loads_through_vector))
    try:
        program = compile_graph(graph, chip, batch=batch, arrangement=arrangement)
    except CapacityError:
        assume(False)
    event(program.schedule.split(",")[0])
    return graph, program


def check(graph: QGraph, program: Program, seed: int) -> int:
    """The same bytes as layer by layer, without hazards, between the bounds; returns the cycles."""
    frames = np.random.default_rng(seed).integers(-128, 128, (program.batch + 1, *graph.input.shape)).astype(np.int8)
    expected = run_quantized(graph, frames)[graph.output.name]
    np.testing.assert_array_equal(run_functional(program, frames), expected)
    run = run_reference(program, frames[: program.batch], check_hazards=True)
    np.testing.assert_array_equal(run.output, expected[: program.batch])
    assert lower_bound(program).cycles <= run.counters.cycles
    assert run.counters.macs.sum() >= program.batch * sum(layer.macs for layer in program.layers)
    return run.counters.cycles


@settings(FAST, max_examples=60)
@given(arranged(), st.integers(0, 2**32))
def test_any_arrangement(model: tuple[QGraph, Program], seed: int) -> None:
    check(*model, seed)


@settings(FAST, max_examples=25)
@given(arranged(batch=3, most_steps=4), st.integers(0, 2**32))
def test_any_arrangement_of_a_batch(model: tuple[QGraph, Program], seed: int) -> None:
    check(*model, seed)


@settings(FAST, max_examples=25)
@given(arranged(most_steps=3))
def test_any_arrangement_is_ordered_by_its_semaphores(model: tuple[QGraph, Program]) -> None:
    """Whatever the latencies: no access of two instructions to one place that could come in the other order."""
    _, program = model
    assume(len(program.words) < 150)
    assert ProgramOrder(program).unordered() == []


@settings(FAST, max_examples=25)
@given(networks(), chips(), st.sampled_from(["auto", *SCHEDULES]), st.integers(0, 2**32))
def test_schedules_by_name(graph: QGraph, chip: Chip, schedule: str, seed: int) -> None:
    """A schedule is refused with a reason, or gives the bits of all others; none has fewer cycles than the best."""
    try:
        choice = compile_scheduled(graph, chip, schedule=schedule)
    except CapacityError:
        # Rows of sums for each step are more than some chips hold.
        assert schedule not in ("auto", "stepwise")
        return
    except InputError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert refusal.startswith(f"--schedule: {schedule}: ")
        assert schedule not in ("auto", "stepwise")
        return
    if schedule != "auto":
        assert choice.program.schedule.startswith(schedule)
    cycles = check(graph, choice.program, seed)
    if choice.candidates:
        assert cycles == min(one.cycles for one in choice.candidates)


@settings(FAST, max_examples=25)
@given(networks(), st.one_of(chips(), chips(weights_bytes=1 << 12)))
def test_no_schedule_by_name_takes_fewer_cycles(graph: QGraph, chip: Chip) -> None:
    """Whether weights stream or stay."""
    with contextlib.suppress(CapacityError):
        best = time_program(compile_scheduled(graph, chip).program).counters.cycles
        for name in SCHEDULES:
            with contextlib.suppress(InputError):
                assert time_program(compile_scheduled(graph, chip, schedule=name).program).counters.cycles >= best


@settings(FAST, max_examples=25)
@given(networks(), chips(weights_bytes=1 << 12))
def test_the_choice_is_never_behind_the_estimate(graph: QGraph, chip: Chip) -> None:
    try:
        estimated = time_program(compile_graph(graph, chip)).counters.cycles
    except CapacityError:
        assume(False)
    choice = compile_scheduled(graph, chip)
    counters = time_program(choice.program).counters
    assert counters.cycles <= estimated
    if choice.counters:
        assert all(np.array_equal(getattr(choice.counters, name), getattr(counters, name)) for name in COUNTERS)


@settings(FAST, max_examples=60)
@given(networks(), chips(weights_bytes=1 << 12), st.sampled_from([1, 2, 1000]))
def test_the_choice_does_not_depend_on_what_is_left_out(graph: QGraph, chip: Chip, margin: int) -> None:
    """The fewest cycles of all, simple before elaborate; what is not counted takes at least what is said."""
    with contextlib.suppress(CapacityError):
        choice = compile_scheduled(graph, chip, margin=margin)
        compiler = Compiler(graph, chip)
        every: dict[tuple[int, ...], Program] = {}
        for ways in arrangements(compiler.plan(), chip):
            for one in ways:
                with contextlib.suppress(CapacityError):
                    program = compiler.program(one)
                    every.setdefault(program.words, program)
                    break
        counts = [time_program(program).counters.cycles for program in every.values()]
        programs = list(every.values())
        assert choice.program.words == programs[counts.index(min(counts))].words
        for program, cycles in zip(programs, counts, strict=True):
            assert least_bus_cycles(program) <= cycles
            assert time_within(program, cycles) is not None
            assert time_within(program, cycles - 1) is None
        if choice.candidates:
            for candidate, cycles in zip(choice.candidates, counts, strict=True):
                assert candidate.cycles == cycles if candidate.is_counted else candidate.cycles <= cycles


def hoisted_programs() -> dict[str, tuple[QGraph, Program]]:
    """Sums by way of DRAM and on the chip, in chunks with a rest, blocks with a rest."""
    graph = random_graph(1, steps=5, sizes=(7, 5), linear=3)
    found = {}
    for name, accumulators in (("stay", 1 << 15), ("leave", 256)):
        chip = load_chip("tx5368-small")
        small = chip.mac.model_copy(update={"rows": 4, "columns": 4})
        chip = with_accumulators(chip.model_copy(update={"mac": small}), accumulators)
        arrangement = Arrangement(hoisted=frozenset(layer_names(graph)))
        found[name] = graph, compile_graph(graph, chip, arrangement=arrangement)
    return found


@pytest.mark.parametrize("name", ["stay", "leave"])
def test_a_missing_wait_of_a_hoisted_program_is_caught(name: str) -> None:
    """By proof where a run has luck; what is proven redundant shows in no run."""
    graph, program = hoisted_programs()[name]
    frame = np.random.default_rng(0).integers(-128, 128, graph.input.shape).astype(np.int8)
    expected = run_quantized(graph, frame[None])[graph.output.name][0]
    assert not ProgramOrder(program).unordered()
    proofs = shown = 0
    for index, instruction in enumerate(program.instructions):
        for slot in range(3):
            if not instruction.fields.get(f"wait{slot}"):
                continue
            fields = {**instruction.fields, f"wait{slot}": 0, f"wait{slot}_each": 0}
            word = encode(Instruction(instruction.name, fields))
            mutant = replace(program, words=(*program.words[:index], word, *program.words[index + 1 :]))
            caught = bool(ProgramOrder(mutant).unordered())
            try:
                clean = np.array_equal(run_reference(mutant, frame, check_hazards=True).output, expected)
            except (HazardError, DeadlockError):
                clean = False
            assert clean or caught, f"instruction {index} without s{instruction.fields[f'wait{slot}']}"
            proofs += caught
            shown += not clean
    assert proofs > shown > 0


def test_a_hoisted_programs_length_does_not_depend_on_the_number_of_steps() -> None:
    lengths = {}
    for steps in (160, 161, 1600, 1601, 16000):
        graph = random_graph(1, steps=steps, sizes=(40, 24, 24), linear=12, select=-1)
        arrangement = Arrangement(hoisted=frozenset(["lstm_0", "lstm_1"]))
        program = compile_graph(graph, load_chip("tx5368"), arrangement=arrangement)
        assert program.schedule.startswith(HOISTED)
        lengths[steps] = len(program.words)
    # A last chunk of fewer steps has instructions of its own.
    assert len(set(lengths.values())) <= 2, lengths
    assert max(lengths.values()) <= 200


@pytest.mark.parametrize("schedule", [one for one in SCHEDULES if one != INTERLEAVED])
def test_a_program_takes_as_long_whatever_its_weights_and_scales(schedule: str) -> None:
    """Cycles of a shape are those of any model of that shape."""
    graphs = [random_graph(seed, steps=6, sizes=(9, 14, 11), linear_first=7, linear=5) for seed in range(4)]
    chip = load_chip("tx5368-small")
    programs = [compile_scheduled(graph, chip, schedule=schedule).program for graph in graphs]
    assert len({program.image for program in programs}) == len(programs)
    assert len({time_program(program).counters.cycles for program in programs}) == 1
