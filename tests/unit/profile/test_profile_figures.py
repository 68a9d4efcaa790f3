from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from profile_runs import BOUND, Recorded, counters_of, profile_of, renamed

from accelsim.chip import Chip, load_chip
from accelsim.compiler import compile_graph
from accelsim.errors import InputError, InternalError
from accelsim.isa.opcodes import Memory, Unit
from accelsim.isa.program import Program
from accelsim.machine.reference import run_reference
from accelsim.profile import Bound, Profile, build_profile
from accelsim.profile.energy import COMPONENTS
from accelsim.timing.record import MEMORY_NAMES, Counters
from accelsim.timing.stream import executing_unit, walk
from tests.support.random_chips import chips
from tests.support.random_models import random_graph

DRAM = len(Memory)


def check_sums(profile: Profile) -> None:
    """Layers add up to the run in everything that is counted."""
    total, layers = profile.total, profile.layers
    assert sum(part.cycles for part in layers) == profile.cycles == sum(total.causes.values())
    assert sum(part.share for part in layers) == pytest.approx(1)
    assert sum(part.macs for part in layers) == total.macs
    assert sum(part.elements for part in layers) == total.elements
    assert sum(part.energy_nj for part in layers) == pytest.approx(total.energy_nj)
    assert sum(part.dram_bytes_per_cycle for part in layers) == pytest.approx(profile.bandwidth.mean_bytes_per_cycle)
    for part in layers:
        assert sum(part.causes.values()) == part.cycles
        assert 0 <= part.mac_utilization <= 1
    for cause, cycles in total.causes.items():
        assert sum(part.causes[cause] for part in layers) == cycles
    for unit, reasons in total.units.items():
        assert sum(reasons.values()) == profile.cycles
        for reason, cycles in reasons.items():
            assert sum(part.units[unit][reason] for part in layers) == cycles
    for memory, traffic in total.memory.items():
        assert sum(part.memory[memory].read_bytes for part in layers) == traffic.read_bytes
        assert sum(part.memory[memory].written_bytes for part in layers) == traffic.written_bytes


def test_layers_add_up_to_the_run(recorded: Recorded) -> None:
    profile = recorded.profile
    check_sums(profile)
    assert [part.name for part in profile.layers] == ["lstm_0", "lstm_1", "fc", "(program)"]
    assert profile.cycles == recorded.counters.cycles
    assert [part.macs for part in profile.layers[:-1]] == [layer.macs for layer in recorded.program.layers]
    assert profile.bound.cycles <= profile.cycles
    assert profile.ratio == profile.cycles / profile.bound.cycles
    assert profile.bandwidth.peak_bytes_per_cycle <= profile.bandwidth.limit_bytes_per_cycle


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chips(), st.integers(0, 2**32), st.integers(1, 4), st.lists(st.integers(1, 20), min_size=2, max_size=3))
def test_any_run_adds_up(chip: Chip, seed: int, steps: int, sizes: list[int]) -> None:
    program = compile_graph(random_graph(seed, steps=steps, sizes=tuple(sizes), linear=3), chip)
    counters = run_reference(program, np.zeros(program.inputs[0].shape, np.int8)).counters
    profile = build_profile(program, counters, 1)
    check_sums(profile)
    rates = profile.bandwidth
    # What a chip loads through its vector unit comes out of the host's queue, beside the bus.
    beside = sum(
        one.fields["rows"] * one.fields["row_bytes"]
        for one in walk(program.instructions, program.name)
        if one is not None and one.name == "load" and executing_unit(one, chip) == Unit.VECTOR
    )
    assert 0 < rates.mean_bytes_per_cycle <= rates.limit_bytes_per_cycle + beside / profile.cycles
    assert rates.traffic_bytes.sum() == pytest.approx(profile.total.memory["dram"].bytes)
    json.dumps(profile.to_dict(), allow_nan=False)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 70), min_size=2, max_size=4), st.integers(1, 30))
def test_resident_weights_are_read_from_dram_once(seed: int, sizes: list[int], classes: int) -> None:
    graph = random_graph(seed, steps=2, sizes=tuple(sizes), linear=classes)
    program = compile_graph(graph, load_chip("tx5368"))
    counters = run_reference(program, np.zeros(program.inputs[0].shape, np.int8)).counters
    profile = build_profile(program, counters, 1)
    for index, (part, layer) in enumerate(zip(profile.layers, program.layers, strict=False)):
        own = [region for region in program.regions if region.name.startswith(f"{layer.name} ")]
        weights, parameters = (
            sum(region.bytes for region in own if region.memory == memory) for memory in ("weights", "parameters")
        )
        assert part.memory["weights"].written_bytes == weights
        assert part.memory["parameters"].written_bytes == parameters
        frame = program.inputs[0].bytes if index == 0 else 0
        assert part.memory["dram"].read_bytes == weights + parameters + frame
    assert profile.total.memory["dram"].written_bytes == program.outputs[0].bytes


def by_hand(program: Program) -> Profile:
    """One layer of 30 cycles on the default chip: 32 x 64 MACs, 400 MHz, 8 bytes a cycle; 10 cycles of no layer."""
    counters = counters_of([30], outside=10)
    counters.macs[0], counters.elements[0] = 10_240, 100
    counters.bytes[0, Memory.WEIGHTS] = 1000, 200
    counters.bytes[0, Memory.ACTIVATIONS] = 50, 25
    counters.bytes[0, Memory.ACCUMULATORS] = 0, 40
    counters.bytes[0, Memory.PARAMETERS] = 10, 0
    counters.bytes[0, DRAM] = 80, 48
    counters.bin_cycles = 16
    counters.traffic[0, 0], counters.traffic[1, 2] = 80, 48
    return build_profile(renamed(program, ["only"]), counters, 7, bound=BOUND)


def test_figures_by_hand(recorded: Recorded) -> None:
    profile = by_hand(recorded.program)
    layer, rest = profile.layers
    assert (layer.cycles, rest.cycles, profile.cycles) == (30, 10, 40)
    assert layer.share == 30 / 40
    assert layer.mac_utilization == 10_240 / (30 * 2048)
    assert layer.time_us == 30 / 400
    assert layer.macs_per_dram_byte == 10_240 / 128
    assert rest.macs_per_dram_byte is None
    assert layer.dram_bytes_per_cycle == 128 / 40
    assert profile.ratio == 40 / 10
    assert profile.bound.limit == "dependency path"
    rates = profile.bandwidth
    assert rates.mean_bytes_per_cycle == 3.2
    assert rates.peak_bytes_per_cycle == 80 / 16
    assert rates.gigabytes_per_second(8) == 3.2


def test_energy_by_hand(recorded: Recorded) -> None:
    expected = {
        "mac": 10_240 * (0.2 + 0.1),
        "vector": 100 * (3.1 + 4 * 0.1),
        # 64 bits take 20 pJ of 32 KiB and 5 times as much of 32 times the size; 288 KiB are 9 times 32 KiB
        "weights_sram": 1200 * 20 * 5 ** (math.log(9) / math.log(32)) / 8,
        "activations_sram": 75 * 20 * 5 ** (2 / 5) / 8,  # 4 times 32 KiB, 2 of the 5 doublings
        "accumulators_sram": 40 * 20 * 5 ** (1 / 5) / 8,
        "parameters_sram": 10 * 20 * 5 ** (1 / 5) / 8,
        "dram": 128 * 1300 / 8,
        "leakage": 0.0,
    }
    profile = by_hand(recorded.program)
    assert profile.layers[0].energy_pj == pytest.approx(expected)
    assert tuple(profile.layers[0].energy_pj) == COMPONENTS
    assert profile.total.energy_nj == pytest.approx(sum(expected.values()) / 1000)
    assert profile.layers[1].energy_nj == 0


def test_leakage_is_power_times_time(recorded: Recorded) -> None:
    chip = recorded.program.chip
    leaking = chip.model_copy(update={"energy": chip.energy.model_copy(update={"leakage_mw": 2.0})})
    program = renamed(recorded.program, ["only"])
    profile = build_profile(
        Program(**{**vars(program), "chip": leaking}), counters_of([300], outside=100), 1, bound=BOUND
    )
    # 2 mW for 300 cycles of 2.5 ns are 1.5 nJ.
    assert profile.layers[0].energy_pj["leakage"] == pytest.approx(1500)
    assert profile.total.energy_nj == pytest.approx(2.0)


def test_totals_are_of_all_frames_and_all_else_of_one(recorded: Recorded) -> None:
    one, three = build_profile(recorded.program, recorded.counters, 1).to_dict(), recorded.profile.to_dict()
    assert three["total"] == pytest.approx({key: 3 * value for key, value in one["total"].items()})
    assert one["total"]["cycles"] == one["cycles"]
    assert one["total"]["time_us"] == one["time_us"]
    assert (one.pop("frames"), three.pop("frames")) == (1, 3)
    del one["total"], three["total"]
    assert one == three


def test_json_has_what_a_script_reads(recorded: Recorded) -> None:
    report = json.loads(json.dumps(recorded.profile.to_dict(), allow_nan=False))
    assert report["cycles"] == sum(layer["cycles"] for layer in report["layers"])
    assert report["bound_cycles"] == max(report["bound"][f"{name}_cycles"] for name in ("mac", "dram", "path"))
    assert report["bound"]["limit"] in ("MACs", "DRAM bytes, each once", "dependency path")
    assert report["ratio"] == report["cycles"] / report["bound_cycles"]
    assert report["time_us"] == report["cycles"] / report["clock_mhz"]
    assert set(report["memory"]) == set(MEMORY_NAMES)
    assert report["units"]["matrix"]["operations"] == int(recorded.counters.operations[1])
    assert sum(report["units"]["vector"]["cycles"].values()) == report["cycles"]
    assert report["bandwidth"]["limit_gb_per_s"] == 3.2
    assert sum(report["energy_by_component_nj"].values()) == pytest.approx(report["energy_nj"])


def test_a_part_without_cycles_has_no_utilization(recorded: Recorded) -> None:
    idle = profile_of(recorded.program, ["busy", "idle"], [10, 0]).layers[1]
    assert (idle.cycles, idle.share, idle.mac_utilization, idle.time_us) == (0, 0, 0, 0)


@pytest.mark.parametrize("frames", [0, -1])
def test_refuses_no_frames(recorded: Recorded, frames: int) -> None:
    with pytest.raises(InputError, match=rf"random_5: frames: found {frames}; expected at least 1"):
        build_profile(recorded.program, recorded.counters, frames)


def test_refuses_counters_of_another_program(recorded: Recorded) -> None:
    with pytest.raises(InternalError, match="random_5 has 3 layers, the counters 5"):
        build_profile(recorded.program, Counters(5), 1)


def test_refuses_counters_that_contradict_themselves(recorded: Recorded) -> None:
    counters = counters_of([1, 2, 3])
    counters.causes[0, 0] += 1
    with pytest.raises(InternalError, match="cycles of the causes sum to 7, the run has 6"):
        build_profile(recorded.program, counters, 1)


def test_takes_a_bound_that_is_known(recorded: Recorded) -> None:
    bound = Bound(1, 2, 3)
    assert build_profile(recorded.program, recorded.counters, 1, bound=bound).bound is bound


def test_import_is_light() -> None:
    code = (
        "import sys, accelsim.profile.csv_file; "
        "print([name for name in ('matplotlib', 'pandas', 'rich', 'onnx') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
