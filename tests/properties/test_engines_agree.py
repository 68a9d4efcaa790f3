"""The two cycle engines say the same of random programs: every counter, every event, every word of an error.

300 programs at each run of the tests. For a hunt, with as many as wanted and a seed to come back to::

    ACCELSIM_ENGINE_CASES=20000 ACCELSIM_COUNTEREXAMPLES=found pytest tests/properties/test_engines_agree.py \\
        --hypothesis-seed=1 --hypothesis-show-statistics

A counterexample is made small and, where a folder is named, written there as text that `tests/golden/counterexamples`
takes as it is. The statistics say how many runs had turns of loops skipped, and what was in those.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, event, given, settings

from accelsim.isa.program import Program
from tests.support.compiled_programs import compiled
from tests.support.counterexamples import to_text
from tests.support.engines import Told, compare
from tests.support.free_programs import free_programs
from tests.support.random_programs import small_programs

CASES = int(os.environ.get("ACCELSIM_ENGINE_CASES", "300"))
FOUND = os.environ.get("ACCELSIM_COUNTEREXAMPLES", "")
HUNT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def check(program: Program, name: str) -> None:
    found, told = compare(program)
    if found and FOUND:
        # The smallest is the last that fails.
        Path(FOUND).mkdir(parents=True, exist_ok=True)
        (Path(FOUND) / f"{name}.txt").write_text(to_text(program, "\n".join(text[:200] for text in found)))
    for text in features(program, told):
        event(text)
    assert found == []


def features(program: Program, told: Told) -> Iterator[str]:
    """What a run was like, for the statistics."""
    if told.error:
        yield told.error.partition(":")[0]
    if not told.skipped_cycles:
        return
    yield "skipped"
    chip, counters = program.chip, told.counters
    assert counters is not None
    names = {instruction.name for instruction in program.instructions}
    for text, holds in {
        "a bus rate that is no whole number": chip.dram.rate.denominator > 1,
        "wake_cycles": chip.vector.wake_cycles,
        "beats_ahead": chip.sequencer.beats_ahead,
        "stages": len(chip.vector.pipeline) > 1,
        "loops in loops": any(one.fields["stride1"] for one in program.instructions if one.name == "address"),
        "long rows": any(one.fields.get("row_bytes", 0) > 8 * chip.dram.burst_bytes for one in program.instructions),
        "a frame": "frame" in names,
        "guards": "guard" in names,
        "stores": "store" in names,
        "streamed loads": chip.dma.loads_through_vector and "load" in names,
        "wider bins": counters.bin_cycles > 1,
        "most cycles": told.skipped_cycles > (counters.cycles + counters.setup_cycles) // 2,
    }.items():
        if holds:
            yield f"skipped, with {text}"


@settings(HUNT, max_examples=CASES * 6 // 10)
@given(free_programs())
def test_programs_of_free_units(program: Program) -> None:
    check(program, "free")


@settings(HUNT, max_examples=CASES * 3 // 10)
@given(small_programs(most_turns=60))
def test_programs_of_one_token(program: Program) -> None:
    check(program, "token")


@settings(HUNT, max_examples=CASES // 10)
@given(compiled(most_steps=40))
def test_compiled_programs(program: Program) -> None:
    check(program, "compiled")
