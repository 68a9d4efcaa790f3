"""A result written in cycle w is read as it was before in w, and as it is from w + 1 on."""

from __future__ import annotations

import pytest

from accelsim.errors import HazardError
from accelsim.machine.reference import run_reference
from tests.support.tiny import frame, tiny_program

# The first vector instruction is dispatched in cycle d and issues in d + dispatch_cycles; the second, `nops` + 1 cycles
# later in both. Its read is in the cycle of the first one's write when nops + 1 is the latency, and sees it one later.
RACE = """
load memory=parameters source=[0] destination=[0] row_bytes=32 rows=1 signal=s1
loop count=100 {{
nop
}}
vector destination=[0x40] destination_type=int16 length=4 parameters=[0] wait=s1
{nops}
vector source=[0x40] source_type=int16 destination=[0x88] destination_type=int16 length=4 parameters=[0]
"""


@pytest.mark.parametrize("late", [0, 1])
def test_a_result_is_there_in_the_cycle_after_it_is_written(late: int) -> None:
    latency = tiny_program("nop").chip.vector.latency_cycles
    program = tiny_program(RACE.format(nops="\n".join(["nop"] * (latency - 1 + late))))
    if late:
        run_reference(program, frame(), check_hazards=True)
    else:
        with pytest.raises(HazardError, match=r"before instruction .* has written it"):
            run_reference(program, frame(), check_hazards=True)
