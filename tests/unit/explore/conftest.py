"""A small model in a file, and sweeps of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from accelsim.chip import load_chip
from accelsim.explore.axes import parse_axis
from accelsim.explore.constraints import Constraint
from accelsim.explore.models import read_models
from accelsim.explore.space import fixed_values
from accelsim.explore.sweep import Sweep
from accelsim.quant.onnx_writer import write_quantized_onnx
from tests.support.random_models import random_graph

MakeSweep = Callable[..., Sweep]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small.onnx"
    write_quantized_onnx(random_graph(5, steps=6, sizes=(12, 10, 9), linear=4), path)
    return path


@pytest.fixture
def make(model: Path) -> MakeSweep:
    chip = load_chip("tx5368-small")

    def made(*axes: str, where: tuple[str, ...] = (), models: tuple[Path, ...] = (), **more: object) -> Sweep:
        constraints = [Constraint(text, fixed_values(chip)) for text in where]
        found = [parse_axis(one) for one in axes]
        return Sweep(read_models(models or (model,)), chip, found, constraints, **more)  # type: ignore[arg-type]

    return made
