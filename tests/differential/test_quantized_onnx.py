"""ONNX Runtime runs the quantized ONNX as it is: every tensor equals our integer execution, byte for byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.chip import load_chip
from accelsim.compiler import compile_graph
from accelsim.frontend.pytorch import load_pytorch
from accelsim.machine.functional import run_functional
from accelsim.machine.reference import run_reference
from accelsim.machine.run import run_program
from accelsim.quant import onnx_functions, onnx_signatures
from accelsim.quant.calibration_data import load_frames
from accelsim.quant.execute import dequantize, quantize_input, run_quantized
from accelsim.quant.model import QGraph, QLinear, QTensor
from accelsim.quant.onnx_reader import read_quantized_onnx
from accelsim.quant.onnx_writer import build_model, integer_name, write_quantized_onnx
from accelsim.quant.quantize import quantize
from accelsim.resources import workload_folder
from tests.support.quantized_graphs import (
    CELLS,
    DIRECTIONS,
    difference,
    random_graph,
    random_layers,
    random_linear,
    random_lstm,
    random_tensor,
    select_step,
)
from tests.support.random_models import random_skips

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

LEVELS = {
    "default": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "unoptimized": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
GRAPHS = 40
GRAPHS_EACH = 7
"""Of each cell, direction and bias: 210 in all."""


def session(content: bytes | str, level: str = "default") -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    options.intra_op_num_threads = 1
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def with_every_tensor(qgraph: QGraph) -> bytes:
    """The model with every integer tensor as one more output."""
    model = build_model(qgraph, "model")
    model.graph.output.extend(model.graph.value_info)
    return model.SerializeToString()


def random_features(rng: np.random.Generator, qgraph: QGraph, frames: int) -> np.ndarray:
    """Features that use the input's range and leave it now and then."""
    source = qgraph.input
    integers = rng.uniform(-150, 150, (frames, *source.shape))
    return ((integers - source.zero_point) * source.scale).astype(np.float32)


def wrong_values(qgraph: QGraph, content: bytes, features: np.ndarray, level: str = "default") -> dict[str, int]:
    """How many values of each tensor differ between ONNX Runtime and our execution."""
    judge = session(content, level)
    names = [output.name for output in judge.get_outputs()]
    judged = dict(zip(names, judge.run(None, {qgraph.input.name: features}), strict=True))
    ours = run_quantized(qgraph, quantize_input(qgraph.input, features))
    expected = {name + "_int8": values for name, values in ours.items()}
    expected[qgraph.output.name] = dequantize(qgraph.output, ours[qgraph.output.name])
    assert judged.keys() == expected.keys()
    for name, values in expected.items():
        assert judged[name].dtype == values.dtype
        assert judged[name].shape == values.shape
    differing = {name: int((judged[name] != values).sum()) for name, values in expected.items()}
    return {name: count for name, count in differing.items() if count}


@pytest.mark.parametrize("level", LEVELS)
def test_random_graphs_equal_onnx_runtime(level: str) -> None:
    rng = np.random.default_rng(7)
    seen = set()
    for index in range(GRAPHS):
        cells = CELLS if index % 2 else ("lstm",)
        qgraph = random_graph(rng, excess=20.0 if index % 4 == 0 else 1.0, cells=cells)
        features = random_features(rng, qgraph, int(rng.integers(1, 6)))
        assert wrong_values(qgraph, with_every_tensor(qgraph), features, level) == {}
        seen |= {layer.cell_scale_log2 for layer in qgraph.layers if hasattr(layer, "cell_scale_log2")}
    assert seen == set(range(-15, -8))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_and_direction_equals_onnx_runtime(cell: str, direction: str) -> None:
    """Every tensor of the integer execution, and what both engines give on a chip of either kind."""
    rng = np.random.default_rng([CELLS.index(cell), DIRECTIONS.index(direction)])
    chips = [load_chip(name) for name in ("tx5368", "intel_npu_s10nx")]
    compared = 0
    for index in range(2 * GRAPHS_EACH):
        bias, excess = index % 2 == 0, 20.0 if index % 5 == 0 else 1.0
        source = random_tensor(rng, "features", (int(rng.integers(1, 7)), int(rng.integers(1, 17))))
        units = int(rng.integers(1, 17))
        layers = random_layers(rng, cell, direction, "cell", source, units, bias=bias, excess=excess)
        qgraph = QGraph("one", source, layers[-1].y, tuple(layers))
        features = random_features(rng, qgraph, int(rng.integers(1, 6)))
        content = with_every_tensor(qgraph)
        for level in LEVELS:
            assert wrong_values(qgraph, content, features, level) == {}
        program = compile_graph(qgraph, chips[index // 2 % 2])
        run = run_program(program, quantize_input(source, features))
        expected = session(content).run([qgraph.output.name], {source.name: features})[0]
        np.testing.assert_array_equal(dequantize(qgraph.output, run.outputs), expected)
        compared += len(np.unique(run.outputs)) > 5
    assert compared > GRAPHS_EACH  # not all of them constant


@pytest.mark.parametrize("seed", range(12))
def test_joins_with_the_input_equal_onnx_runtime(seed: int, tmp_path: Path) -> None:
    """And so do both engines, with the program compiled from what the file says."""
    qgraph = random_skips(seed, steps=4)
    features = random_features(np.random.default_rng(seed), qgraph, 3)
    content = with_every_tensor(qgraph)
    for level in LEVELS:
        assert wrong_values(qgraph, content, features, level) == {}
    write_quantized_onnx(qgraph, tmp_path / "model.onnx")
    program = compile_graph(read_quantized_onnx(tmp_path / "model.onnx"), load_chip("tx5368"))
    frames = quantize_input(qgraph.input, features)
    expected = session(content).run([qgraph.output.name], {qgraph.input.name: features})[0]
    timed = np.stack([run_reference(program, frame).output for frame in frames])
    for integers in (run_functional(program, frames), timed):
        np.testing.assert_array_equal(dequantize(qgraph.output, integers), expected)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "brnn"])
def test_trained_networks_equal_onnx_runtime(name: str) -> None:
    folder = workload_folder("kws12")
    graph = load_pytorch(folder / f"{name}.pth", timesteps=25)
    qgraph = quantize(graph, load_frames(folder / "kws12_calib.npz")).qgraph
    features, content = load_frames(folder / "kws12_test.npz"), with_every_tensor(qgraph)
    for level in LEVELS:
        assert wrong_values(qgraph, content, features, level) == {}


@pytest.mark.parametrize("level", LEVELS)
def test_one_batch_and_one_frame_at_a_time_agree(level: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    qgraph = random_graph(rng, largest=24, steps=9)
    features = random_features(rng, qgraph, 30)
    path = tmp_path / "model.onnx"
    write_quantized_onnx(qgraph, path)
    judge = session(str(path), level)
    assert [output.name for output in judge.get_outputs()] == [qgraph.output.name]
    whole = judge.run(None, {qgraph.input.name: features})[0]
    single = [judge.run(None, {qgraph.input.name: frame[None]})[0][0] for frame in features]
    ours = run_quantized(qgraph, quantize_input(qgraph.input, features))[qgraph.output.name]
    np.testing.assert_array_equal(whole, dequantize(qgraph.output, ours))
    np.testing.assert_array_equal(np.stack(single), whole)


def test_wide_layers_with_extreme_operands() -> None:
    """Every product at its largest: kernels that add pairs in 16 bits with saturation would be wrong here."""
    rng = np.random.default_rng(9)
    source = QTensor("features", (3, 520), np.array([1.0], dtype=np.float32), 0)
    lstm = random_lstm(rng, "lstm", source, 130)
    weights = np.where(rng.random(lstm.input_weights.shape) < 0.5, -128, 127).astype(np.int8)
    lstm = replace(lstm, input_weights=weights)
    fc = random_linear(rng, "fc", lstm.y, 140)
    # The accumulators reach 130 * 128 * 128: scaled to within int8, so that an error would show.
    fc = replace(
        fc, weights=np.where(fc.weights < 0, -128, 127).astype(np.int8), output_scale=np.full(140, 127 / (130 * 2**14))
    )
    qgraph = QGraph("wide", source, fc.y, (lstm, fc))
    features = np.where(rng.random((4, 3, 520)) < 0.5, -128, 127).astype(np.float32)
    features[0] = 127
    features[1] = -128
    assert wrong_values(qgraph, with_every_tensor(qgraph), features) == {}


def test_fully_connected_rounds_ties_away_from_zero() -> None:
    """Also the float64 just below one half, which `floor(|x| + 0.5)` takes to 1."""
    source = QTensor("x", (1,), np.array([1.0], dtype=np.float32), 0)
    scale = np.array([0.5, 1.5, 0.49999999999999994, 2.0**60, 2.0**-70])
    linear = QLinear(
        "fc",
        source,
        QTensor("y", (5,), np.array([1.0], dtype=np.float32), 0),
        np.ones((5, 1), dtype=np.int8),
        np.zeros(5, dtype=np.int32),
        scale,
    )
    qgraph = QGraph("ties", source, linear.y, (linear,))
    features = np.arange(-3, 4, dtype=np.float32)[:, None]
    assert wrong_values(qgraph, with_every_tensor(qgraph), features) == {}
    ours = run_quantized(qgraph, quantize_input(source, features))["y"]
    np.testing.assert_array_equal(ours[2], [-1, -2, 0, -128, 0])
    np.testing.assert_array_equal(ours[4], [1, 2, 0, 127, 0])
    np.testing.assert_array_equal(ours[6], [2, 5, 1, 127, 0])


@pytest.mark.parametrize("per_feature", [False, True])
def test_input_conversion_at_ties_and_extremes(per_feature: bool) -> None:
    rng = np.random.default_rng(10)
    source = random_tensor(rng, "x", (2, 64), per_feature=per_feature)
    step = select_step("select", source, 1)
    qgraph = QGraph("input", source, step.y, (step,))
    features = (rng.integers(-300, 300, (50, 2, 64)) * (source.scale / 2)).astype(np.float32)
    features[0, 0, :6] = [np.inf, -np.inf, 3e38, -3e38, 1e-45, -0.0]
    assert wrong_values(qgraph, with_every_tensor(qgraph), features) == {}


@given(
    values=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=50),
    scale=st.floats(min_value=2.0**-30, max_value=2.0**30, width=32),
    zero_point=st.integers(-128, 127),
)
@settings(max_examples=60, deadline=None)
def test_input_conversion_is_quantize_linear(values: list[float], scale: float, zero_point: int) -> None:
    source = QTensor("x", (1,), np.array([scale], dtype=np.float32), zero_point)
    linear = random_linear(np.random.default_rng(0), "fc", source, 1)
    qgraph = QGraph("input", source, linear.y, (linear,))
    assert wrong_values(qgraph, with_every_tensor(qgraph), np.array(values, dtype=np.float32)[:, None]) == {}


def test_the_checker_accepts_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    for index in range(10):
        path = tmp_path / f"{index}.onnx"
        qgraph = random_graph(rng)
        write_quantized_onnx(qgraph, path)
        onnx.checker.check_model(str(path), full_check=True)
        assert difference(qgraph, read_quantized_onnx(path)) == ""


def test_only_integers_between_the_conversions() -> None:
    """No float operator but the float64 scale of `Linear`: an exact program, not a float sketch."""
    floating = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    domains, kinds = set(), set()

    def visit(nodes: list[onnx.NodeProto]) -> None:
        for node in nodes:
            domains.add(node.domain)
            for attribute in node.attribute:
                if node.op_type == "Cast" and attribute.name == "to":
                    kinds.add(attribute.i)
                if attribute.HasField("t"):
                    kinds.add(attribute.t.data_type)
                if attribute.HasField("g"):
                    visit(list(attribute.g.node))

    for function in onnx_functions.functions():
        visit(list(function.node))
        if function.name != onnx_signatures.LINEAR:
            assert onnx.TensorProto.DOUBLE not in {a.t.data_type for n in function.node for a in n.attribute}
    assert domains == {"", onnx_functions.DOMAIN}
    assert not kinds & floating


def test_a_changed_body_would_be_seen() -> None:
    """The comparison reads what the bodies compute: another rounding in one of them is found."""
    rng = np.random.default_rng(12)
    qgraph = random_graph(rng, largest=24, steps=12)
    features = random_features(rng, qgraph, 20)
    model = onnx.ModelProto.FromString(with_every_tensor(qgraph))
    assert wrong_values(qgraph, model.SerializeToString(), features) == {}
    (divide,) = [function for function in model.functions if function.name == "RoundingDivide"]
    (two,) = [attribute for node in divide.node for attribute in node.attribute if attribute.name == "value_int"]
    assert two.i == 2
    two.i = 2**20  # "half" the divisor becomes 0: truncation
    assert wrong_values(qgraph, model.SerializeToString(), features)


@pytest.mark.parametrize("cells", [(cell,) for cell in CELLS], ids=CELLS)
def test_onnx_reference_evaluator_agrees(cells: tuple[str, ...]) -> None:
    """A second runtime, to which no kernel of the first matters."""
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng(13)
    qgraph = random_graph(rng, largest=5, most_cells=2, steps=3, cells=cells)
    model = build_model(qgraph, "model")
    # It has no conversions of this operator set version: the integers alone.
    del model.graph.node[-1], model.graph.node[0], model.graph.input[:], model.graph.output[:]
    model.graph.input.append(model.graph.value_info[0])
    model.graph.output.extend(model.graph.value_info[1:])
    inputs = rng.integers(-128, 128, (3, *qgraph.input.shape)).astype(np.int8)
    evaluator = ReferenceEvaluator(model)
    judged = dict(zip(evaluator.output_names, evaluator.run(None, {integer_name(qgraph.input): inputs}), strict=True))
    ours = run_quantized(qgraph, inputs)
    assert len(judged) == len(qgraph.layers)
    for layer in qgraph.layers:
        np.testing.assert_array_equal(judged[integer_name(layer.y)], ours[layer.y.name])
