"""Energy and area of the bundled network's frame on the default chip, worked out by hand: counts times table."""

from __future__ import annotations

import pytest

from accelsim.isa.files import read_program
from accelsim.isa.program import Program
from accelsim.machine.run import time_frame
from accelsim.profile import Profile, build_profile
from accelsim.resources import workload_folder

STEPS, WORDS, UNITS = 25, 12, 24
INPUTS = (40, 24, 24, 24)
"""Features into each of the four LSTM layers of 24 cells."""

# Horowitz, ISSCC 2014, in pJ: an 8-bit multiply and a 32-bit add; a 32-bit multiply and four 32-bit adds.
MAC, ELEMENT = 0.2 + 0.1, 3.1 + 4 * 0.1
# 8 bytes of a memory of 32 KiB take 20 pJ, of 1 MiB 100 pJ: five times as much for five doublings, so 5 ** (1 / 5) for
# one. A memory of 64 KiB is one doubling away, one of 128 KiB two, one of 288 KiB log2(9) = 3.169925.
ONE, TWO, WEIGHTS = 20 * 1.379730 / 8, 20 * 1.903654 / 8, 20 * 2.774192 / 8
# 1.3 nJ for 8 bytes.
DRAM = 1300 / 8


@pytest.fixture(scope="module")
def program() -> Program:
    return read_program(workload_folder("kws12") / "lstm_quantize_r.cfg")


@pytest.fixture(scope="module")
def profile(program: Program) -> Profile:
    return build_profile(program, time_frame(program), 1)


def test_what_the_model_says_is_counted(profile: Profile) -> None:
    # Four gates of a cell take each input and each of 24 states once a step.
    for layer, inputs in zip(profile.layers, INPUTS, strict=False):
        assert layer.energy_pj["mac"] == pytest.approx(STEPS * 4 * UNITS * (inputs + UNITS) * MAC)
    assert profile.layers[4].energy_pj["mac"] == pytest.approx(UNITS * WORDS * MAC)
    # 153,600 + 3 x 115,200 + 288 multiply-accumulates.
    assert profile.total.energy_pj["mac"] == pytest.approx(499_488 * 0.3)
    # Weights and parameters, the input, the output.
    moved = 24_800 + STEPS * 40 + WORDS
    assert profile.total.energy_pj["dram"] == pytest.approx(moved * DRAM)


def test_a_memory_by_its_size(profile: Profile) -> None:
    for part in (*profile.layers, profile.total):
        count = {name: traffic.bytes for name, traffic in part.memory.items()}
        expected = {
            "vector": part.elements * ELEMENT,
            "weights_sram": count["weights"] * WEIGHTS,
            "activations_sram": count["activations"] * TWO,
            "accumulators_sram": count["accumulators"] * ONE,
            "parameters_sram": count["parameters"] * ONE,
            "leakage": 0.0,
        }
        found = {name: part.energy_pj[name] for name in expected}
        assert found == pytest.approx(expected, rel=1e-6)


def test_layers_and_components_add_up(profile: Profile) -> None:
    for name, whole in profile.total.energy_pj.items():
        assert sum(part.energy_pj[name] for part in profile.layers) == pytest.approx(whole)
    assert profile.total.energy_nj == pytest.approx(sum(profile.total.energy_pj.values()) / 1000)


def test_area(profile: Profile) -> None:
    expected_um2 = {
        "mac": 32 * 64 * (282 + 137),  # 858,112
        "vector": 32 * (3495 + 4 * 137),  # 129,376
        "weights_sram": 288 * 1024 * 8 * 0.346,
        "activations_sram": 128 * 1024 * 8 * 0.346,
        "accumulators_sram": 64 * 1024 * 8 * 0.346,
        "parameters_sram": 64 * 1024 * 8 * 0.346,
    }
    report = profile.to_dict()
    assert report["area_by_component_mm2"] == pytest.approx({key: um2 / 1e6 for key, um2 in expected_um2.items()})
    # 4,456,448 bits take 1,541,931.008 µm².
    assert report["area_mm2"] == pytest.approx((858_112 + 129_376 + 1_541_931.008) / 1e6)
