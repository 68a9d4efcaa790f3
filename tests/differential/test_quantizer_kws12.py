"""The quantized keyword network against its float model on recorded speech it was not calibrated on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accelsim.frontend.pytorch import load_pytorch
from accelsim.graph.model import Graph
from accelsim.quant.calibration_data import load_frames
from accelsim.quant.execute import quantize_input, run_quantized
from accelsim.quant.observers import METHODS
from accelsim.quant.quantize import quantize


@pytest.fixture(scope="module")
def network(shared_data: Path) -> Graph:
    return load_pytorch(shared_data / "kws12" / "lstm.pth", timesteps=25)


def same_class_and_keywords(shared_data: Path, graph: Graph, **options: object) -> tuple[int, int]:
    """Test clips classified as the float model does, and keywords classified right."""
    folder = shared_data / "kws12"
    qgraph = quantize(graph, load_frames(folder / "kws12_calib.npz"), **options).qgraph  # type: ignore[arg-type]
    with np.load(folder / "kws12_test.npz", allow_pickle=False) as test:
        inputs = quantize_input(qgraph.input, test["features"])
        classes = run_quantized(qgraph, inputs)[qgraph.output.name].argmax(axis=1)
        same = classes == test["float_logits"].argmax(axis=1)
        right = (classes == test["labels"])[test["groups"] == "keyword"]
    assert (len(same), len(right)) == (490, 137)
    return int(same.sum()), int(right.sum())


@pytest.mark.parametrize("method", METHODS)
def test_equalized_agrees_with_float(shared_data: Path, network: Graph, method: str) -> None:
    same, keywords = same_class_and_keywords(shared_data, network, method=method)
    assert same >= 476  # 97 %
    assert keywords >= 117  # the float model has 119


def test_equalization_is_what_makes_it_so(shared_data: Path, network: Graph) -> None:
    same, _ = same_class_and_keywords(shared_data, network, equalize=False)
    assert same < 460
