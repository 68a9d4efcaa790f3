"""Networks made of a shape alone: what they are, what they compute, what a chip makes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim.chip import load_chip
from accelsim.compiler import compile_graph
from accelsim.errors import CapacityError, InputError
from accelsim.machine.run import run_program
from accelsim.quant.execute import run_quantized
from accelsim.quant.model import QConcat, QGru, QLinear, QLstm, QRnn, QSelectStep
from accelsim.validation.networks import CELLS, INPUT, Node, Shape, build_joined, build_network
from accelsim.validation.simulate import one_after_the_other, simulate, simulate_shape

SHAPES = [Shape(cell, 24, 40, steps) for cell in CELLS for steps in (1, 5)]


def shape_name(shape: Shape) -> str:
    return f"{shape.cell} {shape.timesteps}"


@pytest.mark.parametrize("shape", SHAPES, ids=shape_name)
def test_the_layer_has_the_shape_asked_for(shape: Shape) -> None:
    graph = build_network(shape)
    layer = graph.layers[0]
    assert (layer.y.features, graph.input.shape[-1]) == (40, 24)
    if isinstance(layer, QLinear):
        assert layer.weights.size == shape.weights
        assert graph.input.shape == ((5, 24) if shape.timesteps == 5 else (24,))
        return
    assert isinstance(layer, {"rnn": QRnn, "gru": QGru, "lstm": QLstm}[shape.cell])
    assert layer.input_weights.size + layer.recurrent_weights.size == shape.weights
    assert graph.input.shape == (shape.timesteps, 24)
    assert graph.output.shape == (40,)
    picked = graph.layers[1]
    assert isinstance(picked, QSelectStep)
    assert picked.step == shape.timesteps - 1
    if isinstance(layer, QGru):
        # The published program multiplies the state by its reset gate before the product.
        assert not layer.linear_before_reset


@pytest.mark.parametrize("shape", SHAPES, ids=shape_name)
@pytest.mark.parametrize("batch", [1, 3])
def test_it_runs_to_the_integers_of_its_definition(shape: Shape, batch: int) -> None:
    graph = build_network(shape)
    frames = np.random.default_rng(3).integers(-128, 128, (batch, *graph.input.shape)).astype(np.int8)
    outputs = run_program(compile_graph(graph, load_chip("tx5368"), batch=batch), frames).outputs
    assert np.array_equal(outputs, run_quantized(graph, frames)[graph.output.name])
    # Neither a network that is always saturated nor one that says the same to everything.
    assert (np.abs(outputs.astype(int)) < 127).mean() > 0.5
    assert outputs.std() > 10


def nodes(steps: int = 3) -> list[Node]:
    """Layers that read each other and the input; nobody reads `end` and `side`."""
    return [
        Node("a", Shape("gemv", 10, 12, steps), (INPUT,)),
        Node("b", Shape("gru", 12, 8, steps), ("a",)),
        Node("side", Shape("gemv", 8, 3, steps), ("b",)),
        Node("c", Shape("lstm", 8 + 10 + 12, 9, steps), ("b", INPUT, "a")),
        Node("end", Shape("rnn", 9 + 10, 5, steps), ("c", INPUT)),
    ]


def test_layers_that_read_each_other() -> None:
    graph = build_joined("five", nodes())
    joins = {layer.y.name: [part.name for part in layer.parts] for layer in graph.layers if isinstance(layer, QConcat)}
    assert joins == {
        "c, joined": ["b", INPUT, "a"],
        "end, joined": ["c", INPUT],
        "output": ["side", "end"],
    }
    assert (graph.input.shape, graph.output.shape) == ((3, 10), (3, 3 + 5))
    frames = np.random.default_rng(3).integers(-128, 128, (2, 3, 10)).astype(np.int8)
    outputs = run_program(compile_graph(graph, load_chip("tx5368"), batch=2), frames).outputs
    assert np.array_equal(outputs, run_quantized(graph, frames)["output"])


def test_results_that_come_back_are_no_weights() -> None:
    chip = load_chip("tx5368")
    graph = build_joined("five", nodes(steps=4))
    run = simulate(graph, chip)
    # A step's frame is read by a, c and end; c and end read what b, a and c have left.
    assert run.activation_bytes == 4 * (10 + 10 + 10 + 8 + 12 + 9)
    image = next(region for region in compile_graph(graph, chip).regions if region.name == "image")
    assert image.bytes - 10 * chip.dram.burst_bytes < run.weight_bytes <= image.bytes


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (1, {"reads": ("c",)}, "net: layer b: reads c; expected some of input, a"),
        (1, {"reads": ()}, "net: layer b: reads nothing; expected some of input, a"),
        (1, {"name": "a"}, "net: layer a: found 'a' of 3 time steps; expected a new name, and 3 time steps"),
        (1, {"shape": Shape("gru", 12, 8, 2)}, "net: layer b: found 'b' of 2 time steps; expected a new name, and 3"),
        (3, {"reads": ("b", INPUT)}, "net: layer c: reads 18 features; expected its input, 30"),
        (
            0,
            {"reads": (INPUT, INPUT)},
            "net: layers: none reads the network's input alone; expected one with reads = [",
        ),
    ],
)
def test_networks_that_are_refused(place: int, change: dict[str, Any], message: str) -> None:
    layers = nodes()
    layers[place] = replace(layers[place], **change)
    with pytest.raises(InputError) as caught:
        build_joined("net", layers)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("batch", [1, 4])
def test_what_a_run_says(batch: int) -> None:
    shape = Shape("gru", 20, 30, 4)
    run = simulate_shape(shape, load_chip("tx5368"), batch=batch)
    assert run.macs == batch * 4 * shape.weights
    assert run.activation_bytes == batch * 4 * 20
    program = compile_graph(build_network(shape), load_chip("tx5368"), batch=batch)
    assert run.weight_bytes == sum(region.bytes for region in program.regions if region.name == "image")
    assert run.ratio == run.cycles / run.bound.cycles
    assert run.ratio >= 1
    assert run.time_us == run.cycles / 400


def test_programs_one_after_the_other_add_up() -> None:
    chip = load_chip("tx5368")
    runs = [simulate(build_network(Shape("gemv", size, 9)), chip) for size in (30, 50)]
    both = one_after_the_other(runs)
    for field in ("cycles", "macs", "dram_read_bytes", "activation_bytes"):
        assert getattr(both, field) == sum(getattr(run, field) for run in runs)
    assert both.bound.path_cycles == sum(run.bound.path_cycles for run in runs)
    assert both.bound.dram_cycles == sum(run.bound.dram_cycles for run in runs)
    assert both.bound.mac_cycles == sum(run.bound.mac_cycles for run in runs)


@pytest.mark.parametrize(
    ("values", "field", "found"),
    [
        (("GRU", 8, 8, 2), "--cell", "found 'GRU'"),
        (("gru", 0, 8, 2), "--input", "found 0"),
        (("gru", 8, -4, 2), "--hidden", "found -4"),
        (("gru", 8, 8, 32769), "--timesteps", "found 32769"),
    ],
)
def test_shapes_that_are_refused(values: tuple[str, int, int, int], field: str, found: str) -> None:
    with pytest.raises(InputError, match=found) as caught:
        Shape(*values)
    assert caught.value.where == field


def test_more_weights_than_the_chips_dram_holds() -> None:
    with pytest.raises(CapacityError, match=r"dram\.capacity_bytes: 8,589,934,592 bytes needed, 268,435,456 there"):
        simulate_shape(Shape("lstm", 32768, 32768), load_chip("tx5368"))
