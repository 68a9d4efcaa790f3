"""The order of execution, and what the static checks of a program would have refused."""

from __future__ import annotations

import pytest

from accelsim.errors import InputError
from accelsim.isa import make
from accelsim.isa.assembler import assemble
from accelsim.timing.stream import walk


def indices(code: str) -> list[int | None]:
    return [None if operation is None else operation.index for operation in walk(assemble(code), "test")]


def test_a_cycle_an_item() -> None:
    assert indices("nop\nsync unit=matrix\nloop count=2 {\nsync unit=vector\nnop\n}\nhalt") == [
        None,
        1,
        None,
        3,
        None,
        3,
        None,
    ]


def test_sequence_numbers_count_operations_only() -> None:
    code = (
        "nop\nsync unit=matrix\nguard register=g1 low=5 high=6\nsync unit=load ?g1\nsignal semaphore=s1 amount=1\nhalt"
    )
    operations = [operation for operation in walk(assemble(code), "test") if operation is not None]
    assert [(one.sequence, one.index, one.name) for one in operations] == [(0, 1, "sync"), (1, 4, "signal")]


@pytest.mark.parametrize("code", ["", "nop", "guard register=g1 low=5 high=6\nhalt ?g1"])
def test_running_past_the_end(code: str) -> None:
    with pytest.raises(InputError, match=r"test: instruction \d: the program runs on past its end; expected halt"):
        list(walk(assemble(code), "test"))


def test_nesting_too_deep() -> None:
    loops = [make("loop", count=1, length=5 - level) for level in range(5)]
    with pytest.raises(InputError, match="test: instruction 4: loops nest too deeply; expected at most 4"):
        list(walk([*loops, make("nop"), make("halt")], "test"))
