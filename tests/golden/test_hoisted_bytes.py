"""DRAM traffic and cycles of hoisted programs, by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from accelsim.chip import Chip, dump_chip, load_chip
from accelsim.chip.load import check_chip
from accelsim.compiler import compile_graph
from accelsim.compiler.arrangement import Arrangement
from accelsim.isa.opcodes import Memory
from accelsim.isa.program import Program
from accelsim.machine.fast import time_program
from accelsim.machine.reference import run_reference
from accelsim.timing.stream import walk
from tests.support.random_chips import chip_data
from tests.support.random_models import random_graph
from tests.support.schedules import with_accumulators

HOISTED = Arrangement(hoisted=frozenset(["lstm_0"]))
STEPWISE = Arrangement(lags=(1,))


def traffic(program: Program) -> Counter[str]:
    """DRAM bytes by instruction and memory on the chip."""
    found: Counter[str] = Counter()
    for operation in walk(program.instructions, program.name):
        if operation is not None and operation.name in ("load", "store"):
            memory = Memory(operation.fields["memory"]).name.lower()
            found[f"{operation.name} {memory}"] += operation.fields["rows"] * operation.fields["row_bytes"]
    return found


def small_chip(**changes: dict[str, int]) -> Chip:
    """8 x 16 multipliers, 4 bytes of DRAM a cycle."""
    return check_chip(chip_data(**changes), "chip")


def test_streamed_input_weights_are_read_once_a_chunk() -> None:
    # LSTM 32 -> 8: 32 x 32 = 1,024 input weights in 4 row tiles of 256 bytes, 32 x 8 = 256 recurrent ones.
    graph = random_graph(3, steps=10, sizes=(32, 8))
    # 1,280 bytes of weights don't fit 1,024: the input's stream through two slots of 256, the recurrent ones stay.
    # Stepwise the activations hold 2 x 16 of results, two cell states of 16 and, so that their banks differ, one word
    # more, three gates of 16 and the banks between: nothing near 512. A chunk has what is left of 384 bytes.
    chip = small_chip(
        sram_weights={"capacity_bytes": 1024}, sram_activations={"capacity_bytes": 384}, sram_accumulators={
            "capacity_bytes": 512}
    )  # fmt: skip
    program = compile_graph(graph, chip, arrangement=HOISTED)
    regions = {region.name: region for region in program.regions}
    chunk = regions["a chunk of steps of an input"]
    left = 384 - chunk.address
    # Chunks of equal length, so that the fewest there can be are full: 32 bytes a step.
    chunks = -(-10 // (left // 32))
    assert (chunk.bytes, 1 < chunks < 10) == (-(-10 // chunks) * 32, True)
    found = traffic(program)
    assert found["load weights"] == chunks * 1024 + 256
    # Each step's input once; each step's 32 sums out and in; each step's 8 results.
    assert found["load activations"] == 10 * 32
    assert found["store accumulators"] == found["load accumulators"] == 10 * 32 * 4
    assert found["store activations"] == 10 * 8
    assert traffic(compile_graph(graph, chip, arrangement=STEPWISE))["load weights"] == 10 * 1024 + 256


def test_sums_that_fit_stay_on_the_chip() -> None:
    graph = random_graph(3, steps=10, sizes=(32, 8))
    # 10 steps of 32 sums of 4 bytes are 1,280 bytes, the recurrent product's 32 sums 128.
    needed = 1280 + 128
    for capacity, stay in ((needed, True), (needed - 128, False)):
        chip = small_chip(sram_weights={"capacity_bytes": 1024}, sram_accumulators={"capacity_bytes": capacity})
        found = traffic(compile_graph(graph, chip, arrangement=HOISTED))
        assert found["load weights"] == 1024 + 256
        assert found["load accumulators"] == found["store accumulators"] == (0 if stay else 1280)


@pytest.mark.parametrize("hoisted", [False, True])
def test_cycles_are_those_of_the_bytes(hoisted: bool) -> None:
    """Where the DRAM is the limit there is little beside it: all of it is asked for ahead."""
    # LSTM 64 -> 64: 256 x 64 = 16,384 bytes each of input and recurrent weights, 20 steps, 4 bytes a cycle.
    graph = random_graph(4, steps=20, sizes=(64, 64))
    chip = with_accumulators(small_chip(sram_weights={"capacity_bytes": 4096}), 4096)
    arrangement = HOISTED if hoisted else STEPWISE
    program = compile_graph(graph, chip, arrangement=arrangement)
    weights = 16384 * (1 + 20) if hoisted else 16384 * 2 * 20
    assert traffic(program)["load weights"] == weights
    total = sum(traffic(program).values())
    sums = 20 * 256 * 4 * 2 if hoisted else 0
    # And the input, the output, 512 biases of 4 bytes, blocks of parameters.
    assert weights + sums + 20 * 64 * 2 + 2048 <= total <= weights + sums + 20 * 64 * 2 + 2048 + 512
    cycles = run_reference(program, np.zeros(graph.input.shape, np.int8)).counters.cycles
    assert total / 4 <= cycles <= 1.1 * total / 4


def test_an_lstm_whose_weights_all_stream() -> None:
    """LSTM 1024 -> 1024, 25 steps, on the default chip: 4 MiB of input weights once, 4 MiB of recurrent ones a step."""
    graph = random_graph(0, steps=25, sizes=(1024, 1024))
    chip, half = load_chip("tx5368"), 4096 * 1024
    stepwise = traffic(compile_graph(graph, chip, arrangement=STEPWISE))
    hoisted = traffic(compile_graph(graph, chip, arrangement=HOISTED))
    assert stepwise["load weights"] == 25 * 2 * half
    assert hoisted["load weights"] == (1 + 25) * half
    assert hoisted["load accumulators"] == hoisted["store accumulators"] == 25 * 4096 * 4
    # 8 bytes a cycle either way; hoisted, next to nothing else takes time.
    cycles = time_program(compile_graph(graph, chip, arrangement=HOISTED)).counters.cycles
    assert cycles <= 1.01 * sum(hoisted.values()) / 8
    # As the README has it, in millions.
    assert (round(cycles / 1e6, 1), round(sum(stepwise.values()) / 8e6, 1)) == (13.8, 26.2)
    assert sum(stepwise.values()) / 8 >= 1.9 * cycles


def test_an_lstm_whose_recurrent_weights_stay() -> None:
    """LSTM 1952 -> 384, 195 steps, where 384 x 1,536 bytes and two blocks of 32 rows fit the weights' memory."""
    graph = random_graph(0, steps=195, sizes=(1952, 384))
    data = dump_chip(load_chip("tx5368"))
    inputs, recurrent = 1536 * 1952, 1536 * 384
    data["sram"]["weights"]["capacity_bytes"] = recurrent + 2 * 32 * 1952
    chip = check_chip(data, "chip")
    stepwise = traffic(compile_graph(graph, chip, arrangement=STEPWISE))
    hoisted = traffic(compile_graph(graph, chip, arrangement=HOISTED))
    assert stepwise["load weights"] == 195 * inputs + recurrent
    # 61 to 65 steps of 1,984 bytes, in whole words, lie in the 128 KiB of activations beside the cell's own.
    assert hoisted["load weights"] == 4 * inputs + recurrent
    assert hoisted["load accumulators"] == hoisted["store accumulators"] == 195 * 1536 * 4
    cycles = time_program(compile_graph(graph, chip, arrangement=HOISTED)).counters.cycles
    assert sum(stepwise.values()) / 8 >= 30 * cycles
