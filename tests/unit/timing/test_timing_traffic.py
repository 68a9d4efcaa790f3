"""What a program's text says of the DRAM bus: by hand, and never more than a run takes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings

from accelsim.errors import InputError
from accelsim.isa.program import Program
from accelsim.timing.traffic import least_bus_cycles
from tests.support.engines import fast
from tests.support.free_programs import free_programs
from tests.support.tiny import tiny_program

HALF = "guard register=g1 level=0 low=1 high=3"
LOAD = "load memory=activations source=[0] destination=[0] row_bytes=4 rows=2"
STORE = "store memory=activations source=[0] destination=[16] row_bytes=3 rows=1"


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        (f"{LOAD}\n{STORE}", 8 + 3),
        (f"loop count=5 {{\n{LOAD}\nloop count=2 {{\n{STORE}\n}}\n}}\n{STORE}", 5 * (8 + 2 * 3) + 3),
        (f"{LOAD}\nframe\n{STORE}", 3),
        # Turns 1 and 2 of 4; of the inner loop's turns, all.
        (f"{HALF}\nloop count=4 {{\n{LOAD} ?g1\nloop count=3 {{\n{STORE} ?g1\n}}\n}}", 2 * 8 + 6 * 3),
        # The counter of a loop that is not there is 0.
        (f"guard register=g1 level=2 low=0 high=1\nloop count=4 {{\n{LOAD} ?g1\n}}", 4 * 8),
        (f"guard register=g1 level=2 low=1 high=2\nloop count=4 {{\n{LOAD} ?g1\n}}", 0),
        # The definition that comes last before it holds.
        (f"{HALF}\nguard register=g1 level=0 low=0 high=3\nloop count=4 {{\n{LOAD} ?g1\n}}", 3 * 8),
        # Not known from the text.
        (f"loop count=4 {{\nguard register=g1 level=0 low=0 high=4\n{LOAD} ?g1\n}}\n{STORE} ?g1", 0),
        (f"{LOAD} ?g2", 0),
    ],
)  # fmt: skip
def test_by_hand(text: str, moved: int) -> None:
    program = tiny_program(text)
    rate = program.chip.dram.rate
    assert least_bus_cycles(program) == -(-moved * rate.denominator // rate.numerator)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(free_programs())
def test_no_run_takes_fewer(program: Program) -> None:
    try:
        program.validate()
    except InputError:
        # Its loops do not nest, as a rule.
        assume(False)
    told = fast(program, with_events=False)
    assert told.counters is None or least_bus_cycles(program) <= told.counters.cycles
