"""The compiled bound against the walk with a cycle for every byte, and what it says of programs that are wrong."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from accelsim.chip import load_chip
from accelsim.compiler import compile_graph
from accelsim.compiler.arrangement import Arrangement
from accelsim.errors import AccelsimError, CapacityError, InputError
from accelsim.isa import encode, make
from accelsim.isa.assembler import assemble
from accelsim.isa.opcodes import LOOP_LEVELS
from accelsim.isa.program import HostTensor, Program
from accelsim.machine.fast import time_program
from accelsim.profile.bounds import lower_bound
from accelsim.validation.networks import Shape, build_network
from tests.support.bound_walk import walked_bound
from tests.support.random_chips import chips
from tests.support.random_models import random_graph, random_network, random_skips
from tests.support.random_programs import small_programs
from tests.support.schedules import any_arrangement, layer_names, with_accumulators
from tests.support.tiny import in_stages, tiny_program

FAST = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
)


@settings(FAST, max_examples=150)
@given(small_programs(most_turns=5))
def test_random_programs(program: Program) -> None:
    assert lower_bound(program) == walked_bound(program)


@settings(FAST, max_examples=150)
@given(small_programs(), st.integers(0, 700), st.integers(1, 80), st.booleans())
def test_outputs_anywhere(program: Program, address: int, size: int, framed: bool) -> None:
    """The output's first and last byte need not be where an access begins or ends; a set-up part may be before all."""
    output = HostTensor("y", "int8", (size,), (1.0,), 0, address)
    words = program.words
    if framed:
        # A loop's length counts what is in it, so what comes before leaves it as it is.
        words = (words[0], encode(make("frame")), *words[1:])
    moved = replace(program, outputs=(output,), words=words)
    assert lower_bound(moved) == walked_bound(moved)


@st.composite
def compiled(draw: st.DrawFn) -> Program:
    """Any network in any arrangement, with memories that hold little: weights stream, sums and results go by DRAM."""
    seed, steps, batch = draw(st.integers(0, 2**32)), draw(st.integers(1, 6)), draw(st.sampled_from([1, 1, 3]))
    if draw(st.booleans()):
        graph = random_skips(seed, steps=steps)
    else:
        graph = random_network(seed, steps=steps, layers=draw(st.integers(0, 3)), largest=20)
    chip = draw(chips(weights_bytes=draw(st.sampled_from([1 << 10, 1 << 12, 1 << 17]))))
    chip = with_accumulators(chip, draw(st.sampled_from([1 << 9, 1 << 12, 1 << 15])) * batch)
    arrangement = draw(any_arrangement(graph))
    assume(not (arrangement.hoisted and chip.dma.loads_through_vector))
    try:
        return compile_graph(graph, chip, batch=batch, arrangement=arrangement)
    except CapacityError:
        assume(False)
    raise AssertionError


@settings(FAST, max_examples=100)
@given(compiled())
def test_compiled_models(program: Program) -> None:
    assert lower_bound(program) == walked_bound(program)


@pytest.mark.parametrize(
    ("shape", "capacity"),
    [(Shape("lstm", 65, 63, 7), 1 << 14), (Shape("gru", 130, 37, 5), 1 << 14), (Shape("lstm", 256, 128, 3), 1 << 16)],
)
def test_models_larger_than_a_block_of_marks(shape: Shape, capacity: int) -> None:
    """Streamed weights are read again each step, through blocks that are full by then."""
    chip = load_chip("tx5368")
    weights = chip.sram.weights
    row = weights.banks * weights.word_bytes
    weights = weights.model_copy(update={"capacity_bytes": -(-capacity // row) * row})
    chip = chip.model_copy(update={"sram": chip.sram.model_copy(update={"weights": weights})})
    program = compile_graph(build_network(shape), chip)
    read = time_program(program).counters.bytes[:, -1, 0].sum()
    assert read > 1.5 * (len(program.image) + program.inputs[0].bytes)
    assert lower_bound(program) == walked_bound(program)


def test_bytes_do_not_depend_on_the_schedule() -> None:
    """Results that wait in DRAM are not the model's: with them and without, it has the same bytes to move.

    No part of this model is padded to an aligned address, which one long load would read and several short ones not.
    """
    graph = random_graph(1, steps=5, sizes=(8, 8), linear=4)
    small = load_chip("tx5368-small")
    chip = with_accumulators(small.model_copy(update={"mac": small.mac.model_copy(update={"rows": 4})}), 320)
    whole = Arrangement(hoisted=frozenset(layer_names(graph)))
    programs = compile_graph(graph, chip), compile_graph(graph, chip, arrangement=whole)
    stepwise, hoisted = (time_program(program).counters.bytes[:, -1].sum() for program in programs)
    assert hoisted > stepwise
    assert lower_bound(programs[0]).dram_cycles == lower_bound(programs[1]).dram_cycles


FAR = "store memory=activations source=[0] destination=[{}] row_bytes=8 rows=1\n"
WRONG = {
    "outside": FAR.format(600),
    "outside, in a late turn": "address register=a1 base=256 stride0=64\nloop count=5 {\n" + FAR.format("a1") + "}\n",
    "before the memory": "address register=a1 base=0 stride0=-4\nloop count=2 {\n" + FAR.format("a1") + "}\n",
    "not aligned": "vector source=[1] source_type=int32 destination=[0] destination_type=int8 length=2\n",
    "too deep": "loop count=2 {\n" * (LOOP_LEVELS + 1) + "nop\n" + "}\n" * (LOOP_LEVELS + 1),
}


def unchecked(code: str) -> Program:
    """A program that `validate` would refuse, if it saw it."""
    return replace(tiny_program(""), words=tuple(encode(one) for one in assemble(code + "halt")))


@pytest.mark.parametrize("code", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_program_is_refused_in_the_engines_words(code: str) -> None:
    program = unchecked(code)
    with pytest.raises(InputError) as expected:
        time_program(program)
    with pytest.raises(AccelsimError) as found:
        lower_bound(program)
    assert (type(found.value), str(found.value)) == (type(expected.value), str(expected.value))


def test_a_program_without_an_end_is_refused() -> None:
    program = unchecked("nop\n")
    endless = replace(program, words=program.words[:-1])
    with pytest.raises(InputError, match="the program runs on past its end"):
        lower_bound(endless)


def test_a_program_without_operations_takes_a_cycle() -> None:
    assert lower_bound(tiny_program("")).cycles == 1


def test_a_program_without_an_output() -> None:
    program = replace(tiny_program(FAR.format(256)), outputs=())
    assert lower_bound(program) == walked_bound(program)
    assert lower_bound(program).dram_cycles == 0


def test_stages_and_turns() -> None:
    """A vector unit of stages, with loads through it, row tiles in turns, and an output that lets one out at a time."""
    changes = in_stages(
        (2, "add"),
        (3, "activation multiply"),
        (4, "add"),
        sram__activations__conflict_free=True,
        dma__loads_through_vector=True,
        mac__drain_cycles=3,
        mac__accumulate_interval_cycles=2,
    )
    code = (
        "load memory=activations source=[0] destination=[0] row_bytes=21 rows=3 source_pitch=5 destination_pitch=9\n"
        "loop count=3 {\n"
        "matmul weights=[0] input=[3] accumulators=[8] bias=[0] rows=11 columns=5 start=accumulate\n"
        "vector source=[8] addend=[12] factor=[2] term=[6] destination=[64] kept=[80] parameters=[0] source_type=int32 "
        "requantize=channel addend_type=int32 multiply accumulate keep destination_type=int8 length=7\n"
        "vector source=[64] destination=[4] parameters=[0] source_type=int8 destination_type=int16 length=5\n"
        "}\n"
        "store memory=activations source=[63] destination=[255] row_bytes=9 rows=2 source_pitch=4 "
        "destination_pitch=17\n"
    )
    program = tiny_program(code, **changes)
    assert lower_bound(program) == walked_bound(program)


def test_memory_follows_what_is_written() -> None:
    """Not a cycle for each byte of the model, as the walk keeps."""
    program = compile_graph(build_network(Shape("lstm", 512, 512, 3)), load_chip("tx5368"))
    lower_bound(program)
    tracemalloc.start()
    try:
        lower_bound(program)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < len(program.image) / 4
