"""Speed of the parts, with pytest-benchmark: `pytest tests/benchmarks -m benchmark`. What is checked is the work done,
never its time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.chip import load_chip
from accelsim.compiler import compile_graph
from accelsim.fixedpoint import activation_tables
from accelsim.isa.files import read_program
from accelsim.isa.program import Program
from accelsim.machine.fast import time_program
from accelsim.machine.functional import run_functional
from accelsim.machine.reference import run_reference
from accelsim.profile import lower_bound
from accelsim.validation.networks import Shape, build_network
from tests.benchmarks.rows import KEYWORD_MODEL

pytestmark = pytest.mark.benchmark

CLIPS = 50


@pytest.fixture(scope="module")
def program() -> Program:
    return read_program(KEYWORD_MODEL / "lstm_quantize_r.cfg")


@pytest.fixture(scope="module")
def frames(program: Program) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.integers(-128, 128, (CLIPS, *program.inputs[0].shape), dtype=np.int8)


def test_reading_a_program(benchmark: Any) -> None:
    path: Path = KEYWORD_MODEL / "lstm_quantize_r.cfg"
    assert benchmark(read_program, path).words


def test_compiling_a_large_layer(benchmark: Any) -> None:
    chip = load_chip("tx5368")
    graph = build_network(Shape("lstm", 1024, 1024, 25))
    assert benchmark(compile_graph, graph, chip).words


def test_activation_tables(benchmark: Any) -> None:
    def made() -> np.ndarray:
        activation_tables.cache_clear()
        return activation_tables()

    assert benchmark(made).dtype == np.int16


def test_values_on_the_functional_engine(benchmark: Any, program: Program, frames: np.ndarray) -> None:
    run_functional(program, frames[:1])
    assert len(benchmark(run_functional, program, frames)) == CLIPS


def test_compiled_engine(benchmark: Any, program: Program) -> None:
    time_program(program)
    assert benchmark(time_program, program).counters.cycles >= lower_bound(program).cycles


def test_reference_engine(benchmark: Any, program: Program, frames: np.ndarray) -> None:
    run = benchmark(run_reference, program, frames[:1])
    assert run.counters.cycles >= lower_bound(program).cycles


def test_lower_bound(benchmark: Any, program: Program) -> None:
    assert benchmark(lower_bound, program).cycles > 0
