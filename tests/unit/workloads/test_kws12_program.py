"""The checked-in program is what the checked-in network compiles to, and does what the README says."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.isa.files import read_program
from accelsim.isa.program import Program
from accelsim.machine.run import run_program
from accelsim.profile.bounds import lower_bound
from workloads.kws12.build import ARTEFACTS, STEM, build_program


@pytest.fixture(scope="module")
def program() -> Program:
    return read_program(ARTEFACTS / f"{STEM}_r.cfg")


def test_it_is_up_to_date(program: Program) -> None:
    """`python -m workloads.kws12.build` makes it anew."""
    fresh = build_program()
    assert program.words == fresh.words
    assert program.chip == fresh.chip
    assert program.regions == fresh.regions
    assert program.schedule == fresh.schedule
    # Calibration runs in float32; another BLAS may round a scale differently, but not by more than that.
    np.testing.assert_allclose(program.inputs[0].scale, fresh.inputs[0].scale, rtol=1e-5)


def test_it_recognizes_the_words(program: Program) -> None:
    data = np.load(ARTEFACTS / "kws12_test.npz")
    source = program.inputs[0]
    scale = np.array(source.scale, np.float32)
    frames = np.clip(np.rint(data["features"] / scale) + source.zero_point, -128, 127).astype(np.int8)
    run = run_program(program, frames, check_hazards=True)
    classes = run.outputs.argmax(axis=1)
    assert (classes == data["float_logits"].argmax(axis=1)).mean() >= 0.97
    assert (classes == data["labels"]).sum() >= 48


def test_it_is_small_and_close_to_its_bound(program: Program) -> None:
    assert len(program.words) <= 256
    frame = np.zeros((1, *program.inputs[0].shape), np.int8)
    counters = run_program(program, frame).counters
    assert counters.cycles <= 1.6 * lower_bound(program).cycles
    # Weights are read once: all that is read from DRAM is the image and the input, byte for byte.
    assert counters.bytes[:, -1, 0].sum() <= len(program.image) + program.inputs[0].bytes
