"""What was compiled for other chips is what would be compiled for this one: random models, chips, keys changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from accelsim.chip import Chip
from accelsim.compiler.build import Compiler
from accelsim.compiler.candidates import arrangements
from accelsim.compiler.reuse import Reuse
from accelsim.errors import InputError
from accelsim.quant.model import QGraph
from tests.support.random_chips import chips
from tests.support.random_models import random_network

VALUES: dict[str, list[Any]] = {
    "mac.rows": [2, 8, 16],
    "mac.columns": [6, 12],
    "mac.latency_cycles": [1, 9],
    "mac.batch_columns": [1, 2],
    "mac.row_parameters_bytes": [4, 12],
    "vector.lanes": [3, 16],
    "chaining.enabled": [False, True],
    "chaining.hop_cycles": [1, 6],
    "sequencer.semaphores": [12, 40, 128],
    "sequencer.instruction_memory_words": [40, 4096],
    "sequencer.semaphore_cycles": [1, 7],
    "sram.weights.capacity_bytes": [1 << 11, 1 << 12, 1 << 14, 1 << 17],
    "sram.activations.capacity_bytes": [1 << 12, 1 << 16],
    "sram.accumulators.capacity_bytes": [1 << 12, 1 << 15],
    "sram.parameters.capacity_bytes": [1 << 12, 1 << 17],
    "sram.weights.banks": [1, 8],
    "dram.bytes_per_cycle": [0.25, 2.0, 64.0],
    "dram.read_latency_cycles": [0, 150],
    "dram.burst_bytes": [16, 64],
    "schedule.weights_preloaded": [False, True],
    "schedule.input_steps_ahead": [0, 2],
}


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    keys = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3, unique=True))
    return {key: draw(st.sampled_from(VALUES[key])) for key in keys}


def programs(graph: QGraph, chip: Chip, batch: int, reuse: Reuse | None) -> list[Any]:
    """All that is compiled for a chip, and why what is not is not."""
    compiler = Compiler(graph, chip, batch=batch, reuse=reuse)
    found: list[Any] = []
    try:
        every = arrangements(compiler.plan(), chip)
    except InputError as error:
        return [str(error)]
    for arrangement in (one for ways in every for one in ways):
        try:
            program = compiler.program(arrangement, is_checked=False)
            compiler.check(program)
        except InputError as error:
            found.append(str(error))
        else:
            assert program.instructions == replace(program).instructions
            found.append(program)
    return found


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    chips(weights_bytes=1 << 13),
    st.lists(changes(), min_size=2, max_size=4),
    st.integers(0, 2**32),
    st.integers(1, 3),
    st.sampled_from([1, 1, 2]),
)
def test_nothing_else_is_made(base: Chip, every: list[dict[str, Any]], seed: int, layers: int, batch: int) -> None:
    graph, reuse = random_network(seed, steps=4, layers=layers, largest=12), Reuse()
    for change in [{}, *every]:
        try:
            chip = base.with_(change)
        except InputError:
            # They do not fit each other.
            continue
        before = len(reuse._made)
        assert programs(graph, chip, batch, reuse) == programs(graph, chip, batch, None)
        event("made anew" if len(reuse._made) > before else "had all")
