"""Reading the quantized ONNX: the same graph, or one line that names what is wrong; nothing else comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from accelsim.errors import InputError
from accelsim.quant.model import QGraph
from accelsim.quant.onnx_reader import read_quantized_model, read_quantized_onnx
from accelsim.quant.onnx_writer import DIGEST_KEY, build_model, seal, write_quantized_onnx
from tests.support.onnx_alterations import (
    attribute,
    each,
    initializer,
    set_dims,
    set_input,
    set_integer,
    set_integers,
    set_values,
    set_version,
)
from tests.support.quantized_graphs import (
    difference,
    random_graph,
    random_linear,
    random_lstm,
    random_tensor,
    select_step,
)


def whole_graph() -> QGraph:
    """An LSTM, a selected step and a fully connected layer, one input scale a feature."""
    rng = np.random.default_rng(5)
    source = random_tensor(rng, "features", (3, 4), per_feature=True)
    lstm = random_lstm(rng, "lstm", source, 5)
    select = select_step("select", lstm.y, 2)
    fc = random_linear(rng, "fc", select.y, 2)
    return QGraph("whole", source, fc.y, (lstm, select, fc))


GRAPH = whole_graph()
CONTENT = seal(build_model(GRAPH, "m"))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_round_trip(seed: int) -> None:
    qgraph = random_graph(np.random.default_rng(seed), largest=6)
    content = seal(build_model(qgraph, "m"))
    again = read_quantized_model(content, "m")
    assert difference(qgraph, again) == ""
    assert seal(build_model(again, "m")) == content


def test_round_trip_by_file(tmp_path: Path) -> None:
    write_quantized_onnx(GRAPH, tmp_path / "m.onnx")
    assert difference(GRAPH, read_quantized_onnx(tmp_path / "m.onnx")) == ""


def test_difference_sees_every_field() -> None:
    # The comparison the round trips rest on.
    layer = GRAPH.layers[0]
    assert difference(GRAPH, replace(GRAPH, layers=(replace(layer, cell_clip=7), *GRAPH.layers[1:])))
    bias = layer.input_bias.copy()
    bias[3, 0] += 1
    assert difference(layer, replace(layer, input_bias=bias)) == "graph.input_bias: arrays"
    assert difference(layer, replace(layer, input_bias=layer.input_bias.astype(np.int64)))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.onnx: can't be read: No such file"):
        read_quantized_onnx(tmp_path / "none.onnx")
    with pytest.raises(InputError, match=r"can't be read"):
        read_quantized_onnx(tmp_path)


def test_a_float_model() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", values[:1], values[1:]))
    with pytest.raises(InputError, match="no operators of domain accelsim; expected a quantized model"):
        read_quantized_model(model.SerializeToString(), "m")


@pytest.mark.parametrize("content", [b"", b"\x00", b"PK\x03\x04 not a model", b"\xff" * 40, CONTENT[:-1]])
def test_not_a_model(content: bytes) -> None:
    with pytest.raises(InputError, match=r"^m: "):
        read_quantized_model(content, "m")


def test_a_flipped_weight() -> None:
    position = CONTENT.index(np.ascontiguousarray(GRAPH.layers[0].input_weights).tobytes()) + 7
    flipped = CONTENT[:position] + bytes([CONTENT[position] ^ 1]) + CONTENT[position + 1 :]
    with pytest.raises(InputError, match=r"metadata accelsim\.sha256: the content's is .* altered since"):
        read_quantized_model(flipped, "m")


def read_or_refuse(content: bytes) -> str:
    """The one line it is refused with; empty where the same graph came out."""
    try:
        qgraph = read_quantized_model(content, "m")
    except InputError as error:
        return str(error)
    return difference(GRAPH, qgraph) and "another graph came out"


# Most bytes of the file are tables; positions are drawn from the rest as well, where the structure is.
POSITIONS = st.one_of(
    st.integers(0, len(CONTENT) - 1), st.integers(0, 400), st.integers(len(CONTENT) - 12000, len(CONTENT) - 1)
)


@given(position=POSITIONS, bit=st.integers(0, 7))
@settings(max_examples=300, deadline=None)
def test_fuzz_bit_flips(position: int, bit: int) -> None:
    with pytest.raises(InputError):
        read_quantized_model(CONTENT[:position] + bytes([CONTENT[position] ^ 1 << bit]) + CONTENT[position + 1 :], "m")


@given(length=POSITIONS)
@settings(max_examples=150, deadline=None)
def test_fuzz_truncation(length: int) -> None:
    with pytest.raises(InputError):
        read_quantized_model(CONTENT[:length], "m")


@given(position=POSITIONS, inserted=st.binary(min_size=1, max_size=8), dropped=st.integers(0, 8))
@settings(max_examples=150, deadline=None)
def test_fuzz_splices(position: int, inserted: bytes, dropped: int) -> None:
    refusal = read_or_refuse(CONTENT[:position] + inserted + CONTENT[position + dropped :])
    assert refusal == "" or refusal.startswith("m: ")
    assert "\n" not in refusal


# --- alterations with a right digest: the structure itself is checked --------------------------------------------


def edit_body(model: onnx.ModelProto) -> None:
    (function,) = [function for function in model.functions if function.name == "RoundingDivide"]
    function.node[0].attribute[0].i = 3


def cut_constant(model: onnx.ModelProto) -> None:
    (function,) = [function for function in model.functions if function.name == "ToUnsigned"]
    tensor = function.node[0].attribute[0].t
    tensor.ClearField("int32_data")
    tensor.raw_data = b"1"


def retype_weights(model: onnx.ModelProto) -> None:
    initializer(model, "fc.weights").data_type = TensorProto.UINT8


def move_out(model: onnx.ModelProto) -> None:
    initializer(model, "fc.weights").data_location = TensorProto.EXTERNAL


def retype_attribute(model: onnx.ModelProto) -> None:
    target = attribute(model, "select", "step")
    target.type = onnx.AttributeProto.FLOAT


def set_dimension(position: int, **fields: object) -> Callable[[onnx.ModelProto], None]:
    def alter(model: onnx.ModelProto) -> None:
        dimension = model.graph.input[0].type.tensor_type.shape.dim[position]
        dimension.Clear()
        for field, value in fields.items():
            setattr(dimension, field, value)

    return alter


def float64_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def relu_inside(model: onnx.ModelProto) -> None:
    model.graph.node[2].op_type, model.graph.node[2].domain = "Relu", ""


DEQUANTIZE = f"DequantizeLinear.{GRAPH.output.name}"
TABLE = np.zeros(65536, dtype=np.int16)
ALTERATIONS: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "domain version": (set_version("accelsim", 1), r"version of domain accelsim: 1; expected 2"),
    "opset version": (set_version("", 21), r"version of domain ai\.onnx: 21; expected 17"),
    "no opset": (lambda m: m.opset_import.pop(0), r"version of domain ai\.onnx: none"),
    "function body": (edit_body, r"function RoundingDivide: its body is another"),
    "function constant": (cut_constant, r"function ToUnsigned: its body is another"),
    "function gone": (lambda m: m.functions.pop(), r"function \w+: its body is another"),
    "function twice": (lambda m: m.functions.append(m.functions[0]), r"function \w+: its body is another"),
    "function more": (
        lambda m: m.functions.add(name="More", domain="accelsim"),
        r"function More: its body is another",
    ),
    "initializer twice": (
        lambda m: m.graph.initializer.append(m.graph.initializer[3]),
        r"initializer '.*' occurs twice|initializer '.*': occurs twice",
    ),
    "no layers": (lambda m: m.graph.node.pop(1) and m.graph.node.pop(1) and m.graph.node.pop(1), r"graph: 2 nodes"),
    "first node": (lambda m: m.graph.node.pop(0), r"graph: 4 nodes; expected QuantizeLinear"),
    "last node": (lambda m: m.graph.node.pop(), r"graph: 4 nodes; expected QuantizeLinear"),
    "foreign node": (relu_inside, r"node 'select': operator \.Relu; expected Concat, or one of accelsim"),
    "unknown operator": (
        lambda m: setattr(m.graph.node[2], "op_type", "Scan"),
        r"node 'select': operator accelsim\.Scan; expected Concat, or one of accelsim",
    ),
    "more inputs": (lambda m: m.graph.input.append(m.graph.input[0]), r"inputs: \['features', 'features'\]"),
    "other input": (set_input("QuantizeLinear.features", 0, "elsewhere"), r"inputs: \['features'\]; expected one"),
    "other output": (lambda m: setattr(m.graph.output[0], "name", "elsewhere"), r"outputs: \['elsewhere'\]"),
    "renamed input": (
        each(set_input("QuantizeLinear.features", 0, "sound"), lambda m: setattr(m.graph.input[0], "name", "sound")),
        r"input 'sound': converted to 'features_int8'",
    ),
    "input type": (float64_input, r"input 'features': element type 11; expected float32"),
    "batch axis": (set_dimension(0, dim_value=1), r"input 'features': shape \[1, 3, 4\]"),
    "free time axis": (set_dimension(1, dim_param="T"), r"input 'features': shape \['N', 'T', 4\]"),
    "longer input": (set_dimension(1, dim_value=2), r"layer 'select': step: 2; expected an integer in \[0, 1\]"),
    "wider input": (set_dimension(2, dim_value=9), r"node 'QuantizeLinear\.features': scale, zero point"),
    "no frame": (
        lambda m: (
            m.graph.input[0].type.tensor_type.shape.dim.pop() and m.graph.input[0].type.tensor_type.shape.dim.pop()
        ),
        r"scale, zero point: shapes \(4,\), \(4,\)",
    ),
    "input scale": (
        set_values("features_int8.scale", np.full(4, -1, dtype=np.float32)),
        r"input 'features': scale: -1\.0 to -1\.0; expected positive",
    ),
    "input scale is no number": (
        set_values("features_int8.scale", np.full(4, np.nan, dtype=np.float32)),
        r"input 'features': scale: nan to nan; expected positive",
    ),
    "input zero points": (
        set_values("features_int8.zero_point", np.array([1, 2, 3, 4], dtype=np.int8)),
        r"zero point: differs between features",
    ),
    "axis": (set_integer("QuantizeLinear.features", "axis", 1), r"axis: 1; expected 2, the last"),
    "output zero point": (
        set_values(f"{GRAPH.output.name}_int8.zero_point", np.array(-GRAPH.output.zero_point - 1, dtype=np.int8)),
        r"output 'fc\.y': tensor: another shape, scale or zero point",
    ),
    "output not made": (set_input(DEQUANTIZE, 0, "lstm.y_int8"), r"output 'fc\.y': converted to 'lstm\.y_int8'"),
    "operands": (lambda m: m.graph.node[1].input.pop(), r"node 'lstm': 7 inputs, 1 outputs; expected 8 inputs"),
    "quantize operands": (lambda m: m.graph.node[0].input.pop(), r"2 inputs, 1 outputs; expected 3 inputs"),
    "dequantize operands": (lambda m: m.graph.node[-1].input.pop(), r"2 inputs, 1 outputs; expected 3 inputs"),
    "unknown x": (set_input("fc", 0, "nowhere_int8"), r"node 'fc': x: no earlier tensor 'nowhere'"),
    "x not an integer tensor": (set_input("fc", 0, "features"), r"node 'fc': tensor 'features'; expected a name"),
    "no initializer": (set_input("fc", 1, "nowhere"), r"node 'fc': weights: no initializer 'nowhere'"),
    "weights type": (retype_weights, r"node 'fc': weights: element type 2; expected int8"),
    "weights elsewhere": (move_out, r"node 'fc': weights: stored in another file"),
    "weights shape": (set_dims("fc.weights", [2, 6]), r"node 'fc': weights: values that don't fill its shape \(2, 6\)"),
    "weights transposed": (set_dims("fc.weights", [5, 2]), r"layer 'fc': weights: shape \(5, 2\); expected"),
    "weights flat": (set_dims("fc.weights", [10]), r"layer 'fc': weights: shape \(10,\); expected two axes"),
    "weights negative shape": (set_dims("fc.weights", [-1, 5]), r"values that don't fill its shape \(-1, 5\)"),
    "gates": (set_dims("lstm.input_weights", [5, 4, 4]), r"layer 'lstm': input_weights: shape \(5, 4, 4\)"),
    "weights without gates": (set_dims("lstm.input_weights", [80]), r"input_weights: shape \(80,\); expected three"),
    "bias shape": (set_dims("lstm.recurrent_bias", [5, 4]), r"layer 'lstm': recurrent_bias: shape \(5, 4\)"),
    "output scale": (
        set_values("fc.output_scale", np.array([1.0, np.nan])),
        r"layer 'fc': output_scale: nan to nan; expected positive",
    ),
    "tables": (
        set_values("activation.sigmoid", TABLE),
        r"node 'lstm': sigmoid_table: other values; expected the table",
    ),
    "table length": (set_values("activation.tanh_3", TABLE[:9]), r"node 'lstm': gate_tanh_table: other values"),
    "cell scale": (set_integer("lstm", "cell_scale_log2", -16), r"node 'lstm': cell_tanh_table: other values"),
    "cell scale beyond": (set_integer("lstm", "cell_scale_log2", 99), r"node 'lstm': cell_tanh_table: other values"),
    "cell clip": (set_integer("lstm", "cell_clip", -1), r"layer 'lstm': cell_clip: -1; expected an integer in"),
    "hidden zero point": (set_integer("lstm", "hidden_zero_point", 128), r"hidden_zero_point: 128; expected"),
    "initial hidden": (set_integer("lstm", "initial_hidden", -129), r"initial_hidden: -129; expected"),
    "y zero point": (set_integer("fc", "y_zero_point", 500), r"layer 'fc': y: zero point: 500"),
    "multiplier": (
        set_integers("lstm", "input_multipliers", [1, 2, 3, 4]),
        r"layer 'lstm': input_requantizers\[0\] multiplier: 1; expected an integer in \[1073741824, 2147483647\]",
    ),
    "shift": (
        set_integers("lstm", "recurrent_shifts", [0, 0, 0, 60]),
        r"layer 'lstm': recurrent_requantizers\[3\] shift: 60; expected an integer in \[-31, 31\]",
    ),
    "hidden shift": (set_integer("lstm", "hidden_shift", -40), r"layer 'lstm': hidden_requantizer shift: -40"),
    "shifts": (
        set_integers("lstm", "input_shifts", [1, 2]),
        r"input_multipliers, input_shifts: 4 and 2; expected 4, one a gate",
    ),
    "step": (set_integer("select", "step", 3), r"layer 'select': step: 3; expected an integer in \[0, 2\]"),
    "attribute type": (retype_attribute, r"node 'select': step: attribute type 1; expected 2"),
    "attribute gone": (lambda m: m.graph.node[2].attribute.pop(), r"node 'select': step: missing"),
    "attribute more": (
        lambda m: m.graph.node[2].attribute.append(helper.make_attribute("stride", 1)),
        r"node 'select': stride: unknown",
    ),
    "attribute twice": (
        lambda m: m.graph.node[2].attribute.append(m.graph.node[2].attribute[0]),
        r"node 'select': attributes: one occurs twice",
    ),
    "layer name": (lambda m: setattr(m.graph.node[2], "name", "lstm"), r"layer 'lstm': name: used by an earlier layer"),
    "no layer name": (lambda m: setattr(m.graph.node[2], "name", ""), r"layer '': name: empty"),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_alteration_is_named(name: str) -> None:
    alter, expected = ALTERATIONS[name]
    model = onnx.ModelProto.FromString(CONTENT)
    alter(model)
    with pytest.raises(InputError, match=expected):
        read_quantized_model(seal(model), "m")


TABLES = [
    (CONTENT.index(table.raw_data), len(table.raw_data))
    for table in onnx.ModelProto.FromString(CONTENT).graph.initializer
    if table.name.startswith("activation.")
]
STRUCTURE = [p for p in range(len(CONTENT)) if not any(start < p < start + size for start, size in TABLES)]


@given(position=st.sampled_from(STRUCTURE), bit=st.integers(0, 7))
@example(position=CONTENT.index(b"RoundingDivide") + 3, bit=7)
@settings(max_examples=300, deadline=None)
def test_fuzz_with_a_right_digest(position: int, bit: int) -> None:
    """Whatever a file states, the outcome is a valid graph or one line; never another error."""
    flipped = CONTENT[:position] + bytes([CONTENT[position] ^ 1 << bit]) + CONTENT[position + 1 :]
    try:
        model = onnx.ModelProto.FromString(flipped)
        read_quantized_model(seal(model), "m")
    except (DecodeError, InputError) as error:
        refusal = str(error)
    else:
        refusal = ""
    assert "\n" not in refusal


def test_an_unaltered_model_sealed_again_is_read() -> None:
    # What the alterations are measured against.
    assert difference(GRAPH, read_quantized_model(seal(onnx.ModelProto.FromString(CONTENT)), "m")) == ""


def test_the_digest_is_required() -> None:
    model = onnx.ModelProto.FromString(CONTENT)
    model.metadata_props.pop()
    with pytest.raises(InputError, match=r"metadata accelsim\.sha256: 0 entries; expected one"):
        read_quantized_model(model.SerializeToString(), "m")
    for _ in range(2):
        entry = model.metadata_props.add()
        entry.key, entry.value = DIGEST_KEY, "0" * 64
    with pytest.raises(InputError, match=r"metadata accelsim\.sha256: 2 entries; expected one"):
        read_quantized_model(model.SerializeToString(), "m")


@pytest.mark.parametrize("name", [b"lstm.y_int8", b"accelsim.sha256", b"MatrixProduct", b"whole", b"cell_clip"])
def test_a_name_that_is_no_text(name: bytes) -> None:
    garbled = name[:2] + b"\xff" + name[3:]
    with pytest.raises(InputError, match=r"^m: (name .* not UTF-8 text|not an ONNX file)"):
        read_quantized_model(CONTENT.replace(name, garbled), "m")
