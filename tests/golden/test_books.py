"""What the cycles of a unit and of a run are booked as: reasons, causes, layers; worked out by hand."""

from __future__ import annotations

import pytest

from accelsim.isa.opcodes import Memory, Unit
from accelsim.machine.reference import run_reference
from accelsim.timing.record import Cause, Reason
from tests.support.tiny import frame, tiny_program, trace

MATMUL = "matmul weights=[0] input=[0] accumulators=[0] rows={rows} columns={columns} "
VECTOR = (
    "vector source=[{source}] destination=[48] parameters=[0] source_type=int8 destination_type=int8 length={length} "
)
LOAD = "load memory=activations source=[0] destination=[128] row_bytes=4 rows=1 "
STORE = "store memory=activations source=[64] destination=[256] row_bytes=4 rows=1 "

CAUSES = {
    # dispatch in 0; beats 1-4, sums written in 7, the run ends with them
    "a product": (MATMUL.format(rows=4, columns=4), {"SEQUENCER": 1, "MATRIX": 4, "LATENCY": 3}),
    # beats 1 and 2, written in 6
    "a vector instruction": (VECTOR.format(source=0, length=4), {"SEQUENCER": 1, "VECTOR": 2, "LATENCY": 4}),
    # request 1, data from 7, written in 9
    "a load": (LOAD, {"SEQUENCER": 1, "DRAM": 9}),
    # beat 1, bus 3-4, in DRAM in 7
    "a store": (STORE, {"SEQUENCER": 1, "DRAM": 7}),
    # dispatch 0; MX beats 1-3; VX refused in 2, when MX has a beat, so not a cause; its beat in 3, when MX has one too;
    # then VX's result until 7
    "a product first": (
        MATMUL.format(rows=2, columns=6) + "\n" + VECTOR.format(source=0, length=2),
        {"SEQUENCER": 1, "MATRIX": 3, "LATENCY": 4},
    ),
    # loads are in flight all along (1-9), but MX's beat in 2 and its sums in 3, 4, 5 come first
    "a transfer behind a product": (
        LOAD + "\n" + MATMUL.format(rows=2, columns=2),
        {"SEQUENCER": 1, "DRAM": 1 + 4, "MATRIX": 1, "LATENCY": 3},
    ),
    # nops until VX is dispatched in 3: beat 4, written in 8
    "nothing to do": (
        "nop\nnop\nnop\n" + VECTOR.format(source=0, length=2),
        {"SEQUENCER": 4, "VECTOR": 1, "LATENCY": 4},
    ),
    # the sequencer's credit is the only thing waited for
    "a credit": (
        "sync unit=matrix wait=s1\nnop\nnop\nsignal semaphore=s1 amount=1",
        {"SEQUENCER": 4, "MATRIX": 1, "LATENCY": 3},
    ),
}


@pytest.mark.parametrize(("code", "causes"), CAUSES.values(), ids=CAUSES.keys())
def test_causes(code: str, causes: dict[str, int]) -> None:
    assert trace(code).causes() == causes


def test_who_refuses_is_the_cause() -> None:
    # both find their credit and want bank 0 in 6: VX has it, ST is refused
    code = "\n".join([STORE.replace("[64]", "[0]") + "wait=s1", VECTOR.format(source=0, length=2) + "wait=s1"])
    result = trace(code + "\nnop\nnop\nnop\nsignal semaphore=s1 amount=2")
    # 0-5 sequencer (s1 is given in 5, seen in 6), VX 6, its result 7-10, then ST's data: beat 7, bus 9-10, done 13
    assert result.causes() == {"SEQUENCER": 6, "VECTOR": 1, "LATENCY": 4, "DRAM": 3}


def test_refusals_are_told_by_unit_and_layer() -> None:
    code = "\n".join(
        [
            LOAD.replace("[128]", "[0]"),  # layer a: could land in bank 0 in 7
            "nop\nnop\nnop",
            MATMUL.format(rows=2, columns=6),  # layer b: dispatched in 4, reads bank 0 in 5 and 6, bank 1 in 7
            VECTOR.format(source=0, length=4),  # layer c: in its unit from 6, wants bank 0 then, has it in 7 and 8
        ]
    )
    program = tiny_program(code, {"a": [(0, 1)], "b": [(4, 5)], "c": [(5, 6)]})
    counters = run_reference(program, frame()).counters
    # LD is refused in 7 and 8, lands in 9 and is done in 11; VX is refused in 6
    assert counters.units[Unit.LOAD, :, Reason.BANK].tolist() == [2, 0, 0, 0]
    assert counters.units[Unit.VECTOR, :, Reason.BANK].tolist() == [0, 0, 1, 0]
    assert counters.units[Unit.MATRIX, :, Reason.BANK].sum() == 0
    # none of these is a cycle in which nobody issues: 0 sequencer, 1-4 LD's data under way, 5-7 MX, 8 VX, then results
    # until VX's is written in 12
    a, b, c, none = counters.causes
    assert (none[Cause.SEQUENCER], a[Cause.DRAM], b[Cause.MATRIX], c[Cause.VECTOR], c[Cause.LATENCY]) == (1, 4, 3, 1, 4)
    assert counters.causes.sum() == counters.cycles == 13


def test_semaphores_on_their_way_are_latency() -> None:
    code = "sync unit=matrix signal=s1\nsync unit=vector wait=s1"
    result = trace(code, sequencer__semaphore_cycles=4)
    # MX 1, written in 4, seen in 8: latency 2-7; VX 8, written in 12
    assert result.causes() == {"SEQUENCER": 1, "MATRIX": 1, "LATENCY": 6 + 4, "VECTOR": 1}


def test_layers_of_causes_and_states() -> None:
    code = "\n".join(
        [
            MATMUL.format(rows=2, columns=2) + "signal=s1",  # layer a: beat 1, written in 4, seen in 5
            "sync unit=vector wait=s1 signal=s2",  # layer b: beat 5, written in 9, seen in 10
            MATMUL.format(rows=2, columns=2) + "wait=s2",  # no layer: beat 10, written in 13
        ]
    )
    program = tiny_program(code, {"a": [(0, 1)], "b": [(1, 2)]})
    counters = run_reference(program, frame()).counters
    a, b, none = counters.causes
    assert counters.cycles == 14
    assert (a[Cause.MATRIX], a[Cause.LATENCY], a.sum()) == (1, 3, 4)
    assert (b[Cause.VECTOR], b[Cause.LATENCY], b.sum()) == (1, 4, 5)
    assert (none[Cause.MATRIX], none[Cause.LATENCY], none[Cause.SEQUENCER], none.sum()) == (1, 3, 1, 5)
    vector = counters.units[Unit.VECTOR]
    assert vector[1, Reason.SEMAPHORE] == 3  # in its unit from 2
    assert vector[1, Reason.BUSY] == 1
    assert vector[2, Reason.IDLE] == 14 - 4
    assert counters.macs.tolist() == [4, 0, 4]


def test_results_of_two_layers_at_once() -> None:
    """The latest instruction's layer has the latency, and it keeps it though an earlier result comes later."""
    code = "\n".join(
        [
            "sync unit=matrix",  # layer a: beat 1, written in 4
            "sync unit=vector",  # layer b: beat 2, written in 6
            "sync unit=matrix",  # layer a: beat 3, written in 6
        ]
    )
    program = tiny_program(
        code, {"a": [(0, 1), (2, 3)], "b": [(1, 2)]}, mac__latency_cycles=9, vector__latency_cycles=2
    )
    counters = run_reference(program, frame()).counters
    # MX 1 to 10 and 3 to 12, VX 2 to 4. In 2 VX has a beat; latency of a: 4-12
    a, b, none = counters.causes
    assert (a[Cause.MATRIX], a[Cause.LATENCY]) == (2, 9)
    assert (b[Cause.VECTOR], b[Cause.LATENCY]) == (1, 0)
    assert (none.sum(), counters.cycles) == (1, 13)


def test_data_under_way_belongs_to_its_own_layer() -> None:
    code = "\n".join([LOAD, LOAD + "wait=s1", "sync unit=vector signal=s1"])
    program = tiny_program(code, {"a": [(0, 1)], "b": [(1, 2)]})
    counters = run_reference(program, frame()).counters
    load = counters.units[Unit.LOAD]
    # a: data under way 1-6, lands in 7. b, in its unit from 2, waits for s1 (written in 7, seen in 8), which counts as
    # DRAM while a's data is under way; request 8, bus 8-9, data from 14.
    assert (load[0, Reason.DRAM], load[0, Reason.BUSY]) == (6, 1)
    assert (load[1, Reason.SEMAPHORE], load[1, Reason.DRAM], load[1, Reason.BUSY]) == (0, 6, 1)


def test_bytes_of_each_memory() -> None:
    code = "\n".join(
        [
            "load memory=weights source=[0] destination=[0] row_bytes=20 rows=2 source_pitch=20 destination_pitch=20",
            MATMUL.format(rows=3, columns=3) + "start=bias bias=[0]",
            "vector source=[0] source_type=int32 addend=[0] addend_type=int16 destination=[64] destination_type=int16 "
            "parameters=[0] length=3 requantize=channel multiply factor=[32] accumulate term=[40]",
            "store memory=accumulators source=[0] destination=[256] row_bytes=12 rows=1",
        ]
    )
    moved = trace(code).run.counters.bytes.sum(axis=0).tolist()
    # weights: 40 loaded; 2 row tiles x 2 rows x 3 columns read, padding too
    assert moved[Memory.WEIGHTS] == [12, 40]
    # activations: 3 inputs for each row tile; addend, factor, term, 2 bytes each; result 2 each
    assert moved[Memory.ACTIVATIONS] == [6 + 18, 6]
    # accumulators: 3 sums written; the vector instruction reads 3, the store 12 bytes
    assert moved[Memory.ACCUMULATORS] == [12 + 12, 12]
    # parameters: 3 biases, a block, 3 factors
    assert moved[Memory.PARAMETERS] == [12 + 32 + 24, 0]
    assert moved[4] == [40, 12]


def test_operations_and_elements() -> None:
    counters = trace(
        "loop count=3 {\n" + VECTOR.format(source=0, length=5) + "\n}\nsignal semaphore=s1 amount=1"
    ).run.counters
    assert counters.elements.sum() == 15
    assert counters.operations.tolist() == [0, 0, 3, 0, 1]
