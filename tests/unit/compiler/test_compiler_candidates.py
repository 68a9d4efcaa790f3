"""Which arrangements stand for a schedule's name, and which schedules make no sense."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim import schedules
from accelsim.chip import Chip, load_chip
from accelsim.chip.load import check_chip
from accelsim.compiler.arrangement import Arrangement
from accelsim.compiler.build import Compiler, compile_graph
from accelsim.compiler.candidates import arrangements
from accelsim.errors import CapacityError, InputError
from accelsim.isa.program import Program
from accelsim.quant.model import QConcat, QGraph
from accelsim.schedules import Candidate, compile_scheduled
from accelsim.timing.record import Counters
from tests.support.random_chips import chip_data
from tests.support.random_models import random_graph, random_linear, random_lstm, random_network, tensor

TX5368 = load_chip("tx5368")


def ways(graph: QGraph, schedule: str, chip: Chip = TX5368) -> list[tuple[Arrangement, ...]]:
    return arrangements(Compiler(graph, chip).plan(), chip, schedule)


def both_directions() -> QGraph:
    """The first random network of two directions side by side."""
    for seed in range(50):
        graph = random_network(seed, steps=5, layers=2)
        if any(one.side_by_side for (one, *_) in ways(graph, "auto")):
            try:
                ways(graph, "interleaved")
            except InputError:
                continue
            return graph
    raise AssertionError("no network of two directions")


@pytest.mark.parametrize(
    ("schedule", "sizes", "steps", "reason"),
    [
        (
            "wavefront",
            (4, 3),
            5,
            "no recurrent layer feeds another; expected two that handle several steps in the same",
        ),
        ("wavefront", (4, 3, 3), 1, "no recurrent layer feeds another; expected two that handle several"),
        ("interleaved", (4, 3, 3), 5, "no two layers can run side by side; expected two directions"),
        ("hoisted", (4, 3), 1, "no layer handles more than one time step; expected several"),
        ("best", (4, 3), 5, "found 'best'; expected one of auto, stepwise, wavefront, hoisted, interleaved"),
    ],
)
def test_a_schedule_that_makes_no_sense(schedule: str, sizes: tuple[int, ...], steps: int, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        ways(random_graph(0, steps=steps, sizes=sizes), schedule)
    assert str(caught.value).startswith("--schedule: ")
    assert reason in str(caught.value)


def test_a_chip_that_loads_through_its_vector_unit_hoists_nothing() -> None:
    chip = load_chip("intel_npu_s10nx")
    graph = random_graph(0)
    with pytest.raises(InputError, match="--schedule: hoisted: chip intel_npu_s10nx loads through its vector unit"):
        ways(graph, "hoisted", chip)
    expected = "intel_npu_s10nx: dma.loads_through_vector: found true; expected false, where inputs are to be hoisted"
    with pytest.raises(InputError, match=expected):
        compile_graph(graph, chip, arrangement=Arrangement(hoisted=frozenset(["lstm_0"])))


def test_one_step_of_one_layer_leaves_nothing_to_choose() -> None:
    graph = random_graph(0, steps=1, sizes=(4, 3), linear=2)
    choice = compile_scheduled(graph, TX5368)
    assert (choice.program.schedule, choice.candidates, choice.counters) == ("stepwise, layer after layer", (), None)
    assert choice.program.words == compile_graph(graph, TX5368).words


def test_layers_behind_each_other_are_counted_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph(0, steps=6, sizes=(4, 3, 3))
    wavefronts = {f"wavefront, {lag} between layers": 100 for lag in ("1 step", "3 steps")}
    hoisted = "hoisted, inputs of 2 of 2 layers ahead of their steps"
    counts = {"stepwise, layer after layer": 100, **wavefronts, hoisted: 100}
    limits: dict[str, int | None] = {}

    class Counted(schedules.Engine):
        def whole(self, program: Program) -> Counters:
            limits[program.schedule] = None
            return Counters(len(program.layers), cycles=counts[program.schedule])

        def within(self, program: Program, most_cycles: int) -> Counters | None:
            counters = self.whole(program)
            limits[program.schedule] = most_cycles
            return counters if counters.cycles <= most_cycles else None

    monkeypatch.setattr(schedules, "least_bus_cycles", lambda program: 0)
    # Ties go to the simpler.
    assert compile_scheduled(graph, TX5368, engine=Counted()).program.schedule == "stepwise, layer after layer"
    assert limits == {"stepwise, layer after layer": None} | dict.fromkeys([*wavefronts, hoisted], 99)
    for name in (*wavefronts, hoisted):
        counts = dict.fromkeys(counts, 100) | {name: 99}
        choice = compile_scheduled(graph, TX5368, engine=Counted())
        assert choice.program.schedule == name
        assert choice.counters is not None
        assert choice.counters.cycles == 99
        told = {one.schedule: (one.cycles, one.is_counted) for one in choice.candidates}
        assert told[name] == (99, True)
        assert told["stepwise, layer after layer"] == (100, True)
        assert not any(told[other][1] for other in {*wavefronts, hoisted} - {name})
    # One that only moves its bytes for longer than the best takes is not counted; counted first is what moves least.
    counts |= {"stepwise, layer after layer": 98}
    limits.clear()
    least = {"stepwise, layer after layer": 97, "wavefront, 1 step between layers": 50}
    monkeypatch.setattr(schedules, "least_bus_cycles", lambda program: least.get(program.schedule, 110))
    choice = compile_scheduled(graph, TX5368, engine=Counted())
    assert limits == {"wavefront, 1 step between layers": None, "stepwise, layer after layer": 100}
    assert choice.candidates[2] == Candidate("wavefront, 3 steps between layers", 110, is_counted=False)


def test_directions_one_after_the_other_and_in_turns() -> None:
    graph = both_directions()
    stepwise = compile_scheduled(graph, TX5368, schedule="stepwise").program
    interleaved = compile_scheduled(graph, TX5368, schedule="interleaved").program
    assert stepwise.schedule == "stepwise, layer after layer"
    assert interleaved.schedule.startswith("interleaved directions")
    assert stepwise.words != interleaved.words


def test_branches_that_are_no_directions() -> None:
    """A linear layer and a recurrent one that read the input, joined behind: side by side as directions are."""
    rng = np.random.default_rng(0)
    x, first, second, both = (tensor(name, (4, size), 0.01, 0) for name, size in zip("xabc", (5, 3, 2, 5), strict=True))
    layers = (
        random_lstm(rng, "lstm", x, first),
        random_linear(rng, "linear", x, second),
        QConcat("join", (first, second), both),
    )
    graph = QGraph("branches", x, both, layers)
    assert compile_scheduled(graph, TX5368, schedule="interleaved").program.schedule == "interleaved branches"
    assert compile_graph(graph, TX5368).schedule == "interleaved branches"
    assert compile_scheduled(graph, TX5368, schedule="stepwise").program.schedule == "stepwise, layer after layer"


def test_input_weights_that_stream_are_hoisted_first_of_all() -> None:
    # 24 rows, in whole tiles, of 60 inputs are 1,440 bytes; the other three matrices 24 x 5, in whole words 128 each.
    chip = check_chip(chip_data(weights_bytes=1536), "chip")
    graph = random_graph(0, steps=4, sizes=(60, 5, 5))
    (few,), (every,) = ways(graph, "hoisted", chip)
    assert (few.hoisted, every.hoisted) == ({"lstm_0"}, {"lstm_0", "lstm_1"})
    # All of them where none streams.
    (only,) = ways(graph, "hoisted")
    assert [one.hoisted for one in only] == [{"lstm_0", "lstm_1"}]
    assert only[0].hoisted in [one.hoisted for candidate in ways(graph, "auto") for one in candidate]


def test_so_few_are_hoisted_that_all_other_weights_stay() -> None:
    # Six matrices of 80 x 20, 1,600 bytes each: 9,600 in all, of which one streams, a recurrent one as it happens.
    chip = check_chip(chip_data(weights_bytes=9216), "chip")
    graph = random_graph(0, steps=4, sizes=(20, 20, 20, 20))
    (few,), (every,) = ways(graph, "hoisted", chip)
    # Without the first there are 8,000, and 320 of two row tiles. It reads a sequence anyway.
    assert (few.hoisted, every.hoisted) == ({"lstm_0"}, {"lstm_0", "lstm_1", "lstm_2"})
    assert few in [one for candidate in ways(graph, "auto", chip) for one in [replace(candidate[0], name="hoisted")]]
    program = compile_graph(graph, chip, arrangement=few)
    streamed = [region.name for region in program.regions if "two" in region.name]
    assert streamed == ["blocks of input products, two"]


def test_layer_after_layer_by_way_of_dram_where_the_steps_between_have_no_room() -> None:
    graph = random_graph(0, steps=60, sizes=(4, 30, 30))
    # 61 results of 32 bytes are more than half of 2,048.
    chip = check_chip(chip_data(sram_activations={"capacity_bytes": 2048}), "chip")
    with pytest.raises(CapacityError, match=r"chip test: sram\.activations: 2,016 bytes needed, 1,024 there"):
        compile_graph(graph, chip, arrangement=Arrangement(lags=(60,)))
    program = compile_scheduled(graph, chip, schedule="stepwise").program
    assert program.schedule == "stepwise, layer after layer"
    assert "sequence h0" in [region.name for region in program.regions]


def test_a_model_that_fits_in_no_schedule() -> None:
    chip = check_chip(chip_data(weights_bytes=1024), "chip")
    with pytest.raises(CapacityError, match=r"chip test: sram\.weights: [\d,]+ bytes needed, 1,024 there"):
        compile_scheduled(random_graph(0, steps=4, sizes=(200, 20, 20)), chip)
