"""Reading GRU, vanilla RNN, reversed and joined layers from the quantized ONNX: the same graph, or what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from accelsim.errors import InputError
from accelsim.quant.execute import rnn_activation_table
from accelsim.quant.model import QGraph, QLayer, QTensor
from accelsim.quant.onnx_reader import read_quantized_model
from accelsim.quant.onnx_writer import build_model, seal
from tests.support.onnx_alterations import (
    attribute,
    each,
    node,
    set_dims,
    set_input,
    set_integer,
    set_integers,
    set_values,
)
from tests.support.quantized_graphs import (
    CELLS,
    DIRECTIONS,
    concat,
    difference,
    random_cell,
    random_layers,
    random_tensor,
    select_step,
)


def whole_graph() -> QGraph:
    """A bidirectional GRU, a reversed vanilla RNN with relu, one with tanh on its result."""
    rng = np.random.default_rng(6)
    source = random_tensor(rng, "features", (3, 4))
    gru = random_layers(rng, "gru", "bidirectional", "gru", source, 2)
    relu = random_cell(rng, "rnn, relu", "relu", gru[-1].y, 3, reverse=True)
    tanh = random_cell(rng, "rnn, tanh", "tanh", relu.y, 2)
    return QGraph("whole", source, tanh.y, (*gru, relu, tanh))


GRAPH = whole_graph()
CONTENT = seal(build_model(GRAPH, "m"))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_round_trip(cell: str, direction: str) -> None:
    rng = np.random.default_rng(7)
    for _ in range(3):
        source = random_tensor(rng, "x", (2, 3), per_feature=True)
        layers = random_layers(rng, cell, direction, "cell", source, int(rng.integers(1, 5)))
        qgraph = QGraph("g", source, layers[-1].y, tuple(layers))
        content = seal(build_model(qgraph, "m"))
        again = read_quantized_model(content, "m")
        assert difference(qgraph, again) == ""
        assert seal(build_model(again, "m")) == content


def test_round_trip_of_other_joints() -> None:
    """Three parts, one of them twice; and vectors: the last step of one direction beside the first of the other."""
    rng = np.random.default_rng(8)
    source = random_tensor(rng, "x", (4, 3))
    shared = random_tensor(rng, "y", (4, 2))
    cells = [
        random_cell(rng, "gru", f"c{index}", source, 2, y=QTensor(f"c{index}.y", (4, 2), shared.scale, 5))
        for index in range(2)
    ]
    three = concat("three", cells[0].y, cells[1].y, cells[0].y)
    steps = [select_step("last", cells[0].y, 3), select_step("first", cells[1].y, 0)]
    ends: list[QLayer] = [three, *steps, concat("ends", steps[0].y, steps[1].y)]
    qgraph = QGraph("g", source, ends[-1].y, (*cells, *ends))
    assert difference(qgraph, read_quantized_model(seal(build_model(qgraph, "m")), "m")) == ""


def set_text(owner: str, name: str, value: bytes) -> Callable[[onnx.ModelProto], None]:
    def alter(model: onnx.ModelProto) -> None:
        attribute(model, owner, name).s = value

    return alter


def drop_inputs(owner: str) -> Callable[[onnx.ModelProto], None]:
    def alter(model: onnx.ModelProto) -> None:
        del node(model, owner).input[:]

    return alter


def read_table(owner: str, name: str) -> Callable[[onnx.ModelProto], None]:
    def alter(model: onnx.ModelProto) -> None:
        node(model, owner).input[-1] = name

    return alter


ALTERATIONS: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "reverse": (set_integer("gru", "reverse", 2), r"node 'gru': reverse: 2; expected 0 or 1"),
    "linear before reset": (set_integer("gru", "linear_before_reset", -1), r"linear_before_reset: -1; expected 0 or 1"),
    "text type": (
        lambda m: m.graph.node[4].attribute[0].CopyFrom(helper.make_attribute("activation", 3)),
        r"node 'relu': activation: attribute type 2",
    ),
    "another activation": (set_text("relu", "activation", b"tanh"), r"activation_table: other values; .*tanh_3"),
    "unknown activation": (
        set_text("tanh", "activation", b"sine"),
        r"layer 'tanh': activation: 'sine'; expected tanh or relu",
    ),
    "activation no text": (set_text("tanh", "activation", b"\xff"), r"layer 'tanh': activation: .*; expected tanh or"),
    "tables swapped": (read_table("tanh", "activation.relu"), r"node 'tanh': activation_table: other values"),
    "table": (
        set_values("activation.relu", np.abs(rnn_activation_table("relu"))[::-1].copy()),
        r"node 'relu': activation_table: other values; expected the table activation\.relu",
    ),
    "pre-activation scale": (
        set_integer("relu", "preactivation_scale_log2", 32),
        r"layer 'relu': preactivation_scale_log2: 32; expected an integer in \[-31, 31\]",
    ),
    "pre-activation scale of tanh": (
        set_integer("tanh", "preactivation_scale_log2", -11),
        r"layer 'tanh': preactivation_scale_log2: -11; expected an integer in \[-12, -12\]",
    ),
    "gates of the factors": (
        set_integers("gru", "recurrent_shifts", [1, 1, 1, 1]),
        r"node 'gru': recurrent_multipliers, recurrent_shifts: 3 and 4; expected 3, one a gate",
    ),
    "factor": (set_integer("relu", "input_multiplier", 1), r"layer 'relu': input_requantizer multiplier: 1"),
    "gates of the weights": (
        set_dims("gru.input_weights", [4, 2, 3]),
        r"layer 'gru': input_weights: shape \(4, 2, 3\)",
    ),
    "weights by gate": (
        set_dims("relu.input_weights", [1, 3, 4]),
        r"layer 'relu': input_weights: shape \(1, 3, 4\); expected two axes",
    ),
    "operands": (lambda m: m.graph.node[1].input.pop(), r"node 'gru': 6 inputs, 1 outputs; expected 7 inputs"),
    "joint without parts": (drop_inputs("gru_both"), r"node 'gru_both': 0 inputs, 1 outputs; expected"),
    "joint of one part": (lambda m: m.graph.node[3].input.pop(), r"layer 'gru_both': parts: 1; expected at least 2"),
    "joint with itself": (set_input("gru_both", 1, "gru_both.y_int8"), r"node 'gru_both': x: no earlier tensor"),
    "joint of others": (
        set_input("gru_both", 0, "features_int8"),
        r"layer 'gru_both': parts\[1\]: another scale or zero point than y's",
    ),
    "joint along time": (set_integer("gru_both", "axis", 1), r"node 'gru_both': axis: 1; expected 2, the last"),
    "joint with more": (
        lambda m: m.graph.node[3].attribute.append(helper.make_attribute("axes", 1)),
        r"node 'gru_both': axes: unknown",
    ),
    "one half rescaled": (
        each(lambda m: attribute(m, "gru_back", "y_scale").floats.__setitem__(0, 0.75)),
        r"layer 'gru_both': parts\[1\]: another scale or zero point than y's",
    ),
    "reader of a later layer": (set_input("gru", 0, "relu.y_int8"), r"node 'gru': x: no earlier tensor 'relu\.y'"),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_alteration_is_named(name: str) -> None:
    alter, expected = ALTERATIONS[name]
    model = onnx.ModelProto.FromString(CONTENT)
    alter(model)
    with pytest.raises(InputError, match=expected):
        read_quantized_model(seal(model), "m")


def test_reverse_is_read() -> None:
    model = onnx.ModelProto.FromString(CONTENT)
    set_integer("relu", "reverse", 0)(model)
    assert difference(GRAPH, read_quantized_model(seal(model), "m")) == "graph.layers.3.reverse: True and False"


TABLES = [
    (CONTENT.index(table.raw_data), len(table.raw_data))
    for table in onnx.ModelProto.FromString(CONTENT).graph.initializer
    if table.name.startswith("activation.")
]
FUNCTIONS = CONTENT.index(b"Directed")
STRUCTURE = [
    p for p in range(len(CONTENT)) if p < FUNCTIONS and not any(start < p < start + size for start, size in TABLES)
]


@given(position=st.sampled_from(STRUCTURE), bit=st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_fuzz_with_a_right_digest(position: int, bit: int) -> None:
    """Whatever a file states, the outcome is a valid graph or one line; never another error."""
    flipped = CONTENT[:position] + bytes([CONTENT[position] ^ 1 << bit]) + CONTENT[position + 1 :]
    try:
        read_quantized_model(seal(onnx.ModelProto.FromString(flipped)), "m")
    except (DecodeError, InputError) as error:
        refusal = str(error)
    else:
        refusal = ""
    assert "\n" not in refusal
