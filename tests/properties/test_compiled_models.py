"""Any model on any chip: the same bits everywhere, no hazard, cycles between the bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.chip import Chip, load_chip
from accelsim.chip.load import check_chip
from accelsim.compiler import compile_graph
from accelsim.errors import CapacityError, InputError
from accelsim.machine.functional import run_functional
from accelsim.machine.reference import run_reference
from accelsim.profile.bounds import lower_bound
from accelsim.quant.execute import run_quantized
from accelsim.quant.model import QGraph
from tests.support.random_chips import chip_data, chips
from tests.support.random_models import random_graph, random_network, random_skips

FAST = settings(deadline=None, report_multiple_bugs=False, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def graphs(draw: st.DrawFn) -> QGraph:
    steps = draw(st.integers(1, 7))
    depth = draw(st.integers(0, 4))
    linear = draw(st.one_of(st.none(), st.integers(1, 20))) if depth else draw(st.integers(1, 20))
    return random_graph(
        draw(st.integers(0, 2**32)),
        steps=steps,
        sizes=tuple(draw(st.lists(st.integers(1, 24), min_size=depth + 1, max_size=depth + 1))),
        linear=linear,
        linear_first=draw(st.one_of(st.none(), st.none(), st.integers(1, 12))),
        select=draw(st.one_of(st.none(), st.integers(-steps, steps - 1))),
        clip=draw(st.sampled_from([0.0, 0.0, 0.3, 10.0])),
    )


def check(graph: QGraph, chip: Chip, seed: int, batch: int = 1) -> None:
    program = compile_graph(graph, chip, batch=batch)
    frames = np.random.default_rng(seed).integers(-128, 128, (batch + 1, *graph.input.shape)).astype(np.int8)
    expected = run_quantized(graph, frames)[graph.output.name]
    np.testing.assert_array_equal(run_functional(program, frames), expected)
    run = run_reference(program, frames[:batch], check_hazards=True)
    np.testing.assert_array_equal(run.output, expected[:batch])
    assert lower_bound(program).cycles <= run.counters.cycles
    assert run.counters.causes.sum() == run.counters.cycles
    assert (run.counters.units.sum(axis=(1, 2)) == run.counters.cycles).all()


@settings(FAST, max_examples=40)
@given(graphs(), chips(), st.integers(0, 2**32))
def test_engines_and_integer_execution_agree(graph: QGraph, chip: Chip, seed: int) -> None:
    check(graph, chip, seed)


@settings(FAST, max_examples=30)
@given(graphs(), chips(weights_bytes=1 << 10), st.integers(0, 2**32))
def test_streamed_weights(graph: QGraph, chip: Chip, seed: int) -> None:
    """A weights' memory that holds little: most products stream."""
    try:
        check(graph, chip, seed)
    except CapacityError as error:
        if error.resource != "sram.weights" or error.need <= error.have:
            raise


@settings(FAST, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 7), st.integers(0, 3), chips(), st.integers(0, 2**32))
def test_cells_and_directions(model: int, steps: int, layers: int, chip: Chip, seed: int) -> None:
    """LSTM, GRU and RNN layers, forward, reversed and side by side, with every kind of end."""
    check(random_network(model, steps=steps, layers=layers), chip, seed)


@settings(FAST, max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(0, 2), chips(), st.integers(2, 7))
def test_batches(model: int, steps: int, layers: int, chip: Chip, batch: int) -> None:
    """Frames side by side give each frame's own bytes, with fewer frames than the batch takes too."""
    check(random_network(model, steps=steps, layers=layers, largest=10), chip, model, batch)


@settings(FAST, max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 6), chips(), st.sampled_from([1, 1, 3]))
def test_joins_with_the_input(model: int, steps: int, chip: Chip, batch: int) -> None:
    """Concatenations of which the graph's own input is a part: it is loaded from where the host put it."""
    check(random_skips(model, steps=steps), chip, model, batch)


def test_an_output_with_the_input_in_it_is_refused() -> None:
    graph = random_skips(0, steps=3)
    (join,) = (layer for layer in graph.layers if layer.y is graph.layers[-1].x)
    graph = replace(graph, output=join.y, layers=graph.layers[:-1])
    with pytest.raises(InputError, match="layer end: joins the input itself, and is the output; expected"):
        compile_graph(graph, load_chip("tx5368"))


def test_a_batch_reads_the_weights_once() -> None:
    chip = check_chip(chip_data(mac={"batch_columns": 3}), "chip")
    graph = random_graph(5, steps=6, sizes=(20, 24), linear=4)
    reads, cycles = [], []
    for batch in (1, 3):
        program = compile_graph(graph, chip, batch=batch)
        frames = np.zeros((batch, 6, 20), np.int8)
        counters = run_reference(program, frames).counters
        reads.append(counters.bytes[:, 0, 0].sum())
        cycles.append(counters.cycles)
    # Three vectors fit side by side in the array: as many reads of the weights' memory as one.
    assert reads[0] == reads[1]
    assert cycles[1] < 2 * cycles[0]


def test_a_batch_of_no_frames_is_refused() -> None:
    with pytest.raises(InputError, match="--batch: found 0; expected 1 to 64"):
        compile_graph(random_graph(0), load_chip("tx5368"), batch=0)


@settings(FAST, max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 3), chips(weights_bytes=1 << 10), st.integers(0, 2**32))
def test_cells_with_streamed_weights(model: int, steps: int, layers: int, chip: Chip, seed: int) -> None:
    try:
        check(random_network(model, steps=steps, layers=layers), chip, seed)
    except CapacityError as error:
        if error.resource != "sram.weights":
            raise


@pytest.mark.parametrize("name", ["tx5368", "tx5368-small", "tx5368-large"])
def test_shipped_chips(name: str) -> None:
    graph = random_graph(7, steps=6, sizes=(40, 24, 24, 24, 24), linear=12, select=-1)
    check(graph, load_chip(name), 7)


@pytest.mark.parametrize("units", [96, 130])
def test_wide_layer_streams_on_the_small_chip(units: int) -> None:
    graph = random_graph(3, steps=3, sizes=(70, units), linear=5)
    check(graph, load_chip("tx5368-small"), 3)


def test_program_length_does_not_depend_on_the_number_of_steps() -> None:
    lengths = {
        steps: len(compile_graph(_keyword_graph(steps), load_chip("tx5368")).words) for steps in (25, 100, 777, 2500)
    }
    assert set(lengths.values()) == {lengths[25]}
    assert lengths[25] <= 256


def test_outputs_do_not_depend_on_the_chip() -> None:
    graph = random_graph(11, steps=9, sizes=(13, 17, 5), linear=3)
    frames = np.random.default_rng(0).integers(-128, 128, (20, 9, 13)).astype(np.int8)
    outputs = [
        run_functional(compile_graph(graph, check_chip(chip_data(rows=rows, columns=columns), "chip")), frames)
        for rows, columns in ((1, 1), (3, 7), (32, 64))
    ]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])


@pytest.mark.parametrize(
    ("memory", "capacity"), [("weights", 2048), ("activations", 256), ("accumulators", 256), ("parameters", 256)]
)
def test_model_too_large_names_the_memory(memory: str, capacity: int) -> None:
    chip = check_chip(chip_data(**{f"sram_{memory}": {"capacity_bytes": capacity}}), "chip")
    with pytest.raises(CapacityError, match=rf"chip test: sram\.{memory}: [\d,]+ bytes needed, {capacity:,} there"):
        compile_graph(random_graph(0, steps=4, sizes=(200, 20, 20)), chip)


def _keyword_graph(steps: int) -> QGraph:
    return random_graph(1, steps=steps, sizes=(40, 24, 24, 24, 24), linear=12, select=-1)
