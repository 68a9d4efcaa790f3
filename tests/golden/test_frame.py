"""The set-up part of a program: what `frame` waits for, and that nothing before it counts; what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import InputError, ManyErrors
from accelsim.isa.asm_file import disassemble_program
from accelsim.isa.opcodes import Unit
from accelsim.profile.bounds import lower_bound
from tests.support.command_line import Program
from tests.support.tiny import ST, VX, Run, frame, in_stages, tiny_program, trace

MATMUL = "matmul weights=[0] input=[0] accumulators=[0] bias=[0] rows={} columns=2\n"
STORE = "store memory=activations source=[0] destination=[256] row_bytes=4 rows=1\n"
LOAD = "load memory={} source=[{}] destination=[0] row_bytes={} rows=1 {}\n"


def test_cycles_and_counters_start_behind_it() -> None:
    # The product is done in 1 + 3 + 3, and everything seen in 9: `frame` is over then, and the sync is fetched in 10.
    result = trace(MATMUL.format(8) + LOAD.format("weights", 0, 4, "") + "frame\nsync unit=vector\n")
    assert result.rows == [(VX, 3, 0, 1, 1, 5)]
    assert result.cycles == 6
    counters = result.run.counters
    assert [int(counters.operations[unit]) for unit in Unit] == [0, 0, 1, 0, 0]
    assert (counters.macs.sum(), counters.bytes.sum(), counters.traffic.sum()) == (0, 0, 0)
    assert result.states(Unit.SEQUENCER) == {"BUSY": 2, "IDLE": 4}


@pytest.mark.parametrize("streamed", [False, True])
def test_traffic_is_counted_from_it_on(streamed: bool) -> None:
    code = "sync unit=matrix\n" * 9 + "frame\n" + LOAD.format("activations", 0, 4, "")
    counters = trace(code, dma__loads_through_vector=streamed).run.counters
    # the bus's cycle in 1, or two beats of two bytes in 1 and 2
    assert counters.traffic[0, :4].tolist() == ([0, 2, 2, 0] if streamed else [0, 4, 0, 0])
    assert counters.bytes[-1, 4].tolist() == [4, 0]


@pytest.mark.parametrize(
    ("before", "changes", "seen"),
    [
        ("", {}, 0),
        ("sync unit=matrix\n", {}, 4 + 2),  # done in 4; its signals would be seen a semaphore's 1 or a hop's 2 later
        ("sync unit=matrix\n", {"chaining__hop_cycles": 5}, 4 + 5),
        ("sync unit=matrix\n", {"sequencer__semaphore_cycles": 7}, 4 + 7),
        ("sync unit=matrix\n" * 2, {}, 5 + 2),
        (STORE, {}, 7 + 2),  # beat in 1, bus 3 to 4, in DRAM in 7
        (MATMUL.format(4), {"mac__drain_cycles": 9}, 4 + 9 + 2),
        ("nop\n" * 20 + "sync unit=matrix\n", {}, 24 + 2),
    ],
)
def test_it_waits_until_everything_is_seen(before: str, changes: dict[str, int], seen: int) -> None:
    program = tiny_program(before + "frame\nsync unit=store\n", **changes)
    steps = before.count("\n")
    result = trace(before + "frame\nsync unit=store\n", **changes)
    assert result.rows == [(ST, steps + 1, 0, 1, 1, 3)]
    assert result.cycles == 4
    assert lower_bound(program).cycles <= 4
    assert result.run.counters.setup_cycles == max(seen, steps) + 1


def test_semaphores_last() -> None:
    code = "sync unit=matrix signal=s1\nframe\nsync unit=vector wait=s1\n"
    assert trace(code).rows == [(VX, 2, 0, 1, 1, 5)]


def test_values_last(run: Run) -> None:
    """What the set-up part loads is there in the frame, on every engine."""
    code = (
        LOAD.format("activations", 0, 4, "signal=s1")
        + "frame\nstore memory=activations source=[0] destination=[256] row_bytes=4 rows=1 wait=s1\n"
    )
    assert run(tiny_program(code), frame(b"\1\2\3\4"))[:4].tolist() == [1, 2, 3, 4]


def test_bounds_are_those_of_the_frame() -> None:
    setup = LOAD.format("weights", 0, 64, "") + MATMUL.format(8)
    bound = lower_bound(tiny_program(setup + "frame\n" + MATMUL.format(2)))
    assert (bound.mac_cycles, bound.dram_cycles, bound.path_cycles) == (1, 0, 4)


# --- refused ------------------------------------------------------------------------------------------------------

REFUSED = {
    "two": ("frame\nframe", 1),
    "in a loop": ("loop count=2 {\nframe\n}", 1),
    "in a loop in a loop": ("loop count=2 {\nloop count=2 {\nnop\n}\nframe\n}", 3),
    "guarded": ("guard register=g1 low=0 high=1\nframe ?g1", 1),
}


@pytest.mark.parametrize(("code", "index"), REFUSED.values(), ids=REFUSED.keys())
def test_a_frame_where_it_cannot_be(code: str, index: int) -> None:
    with pytest.raises(InputError) as error:
        tiny_program(code)
    expected = f"golden: instruction {index}: frame; expected one at most, unguarded, outside of loops"
    assert str(error.value) == expected


def test_behind_a_loop_it_may_be() -> None:
    tiny_program("loop count=2 {\nnop\n}\nframe")


VECTOR = "vector source=[0] destination=[128] parameters=[0] source_type=int16 destination_type=int16 length=2 "
ADD, TERM = "addend_type=int16 addend=[32] ", "accumulate term=[64] "
FACTOR, TABLE = "multiply factor=[96] ", "activation=sigmoid "


@pytest.mark.parametrize(
    ("operations", "more", "fits"),
    [
        (["", ""], "", True),
        (["", ""], ADD, False),
        (["add", ""], ADD, True),
        (["add", ""], ADD + TERM, False),  # one adder, used once
        (["add", "add"], ADD + TERM, True),
        (["activation add", ""], ADD + TABLE, False),  # in this order only
        (["activation add", "activation"], ADD + TABLE, True),
        (["add activation multiply", "add"], ADD + TABLE + FACTOR + TERM, True),
        (["multiply add", "activation"], TABLE + FACTOR, False),
        (["multiply add", "activation"], FACTOR + TERM, True),
        (["multiply", "multiply"], FACTOR, True),
    ],
)
def test_operations_that_the_stages_have(operations: list[str], more: str, fits: bool) -> None:
    stages = in_stages(*((1, names) for names in operations))
    if fits:
        tiny_program(VECTOR + more, **stages)
        return
    with pytest.raises(InputError, match=r"^golden: instruction 0 \(vector\): the stages of chip tiny can't do"):
        tiny_program(VECTOR + more, **stages)


def test_the_command_line_refuses_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, good = tmp_path / "bad.asm", disassemble_program(tiny_program("frame"))
    source.write_text(good.replace("frame\n", "frame\nframe\n"), encoding="utf-8")
    outcome = Program(capsys)("asm", source, "--outpath", tmp_path / "out")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.error.endswith("instruction 1: frame; expected one at most, unguarded, outside of loops")
    assert list(tmp_path.iterdir()) == [source]


def test_all_that_is_wrong_is_said() -> None:
    with pytest.raises(ManyErrors) as error:
        tiny_program("frame\nframe\n" + VECTOR + ADD, **in_stages((1, "")))
    assert len(error.value.errors) == 2
