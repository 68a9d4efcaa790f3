"""Every engine, for tests of values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.isa.program import Program
from accelsim.machine.functional import run_functional
from accelsim.machine.reference import run_reference
from tests.support.tiny import Run


def _functional(program: Program, values: NDArray[np.int8]) -> NDArray[np.int8]:
    return np.asarray(run_functional(program, values[None])[0])


def _reference(program: Program, values: NDArray[np.int8]) -> NDArray[np.int8]:
    return run_reference(program, values, check_hazards=True).output


ENGINES: dict[str, Run] = {"functional": _functional, "reference": _reference}


@pytest.fixture(params=list(ENGINES.values()), ids=list(ENGINES))
def run(request: pytest.FixtureRequest) -> Run:
    """A program's output for a frame."""
    engine: Run = request.param
    return engine
