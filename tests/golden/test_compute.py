"""Matrix and vector unit: beats, passes, chaining, port arbitration; cycles by hand.

Rows are (unit, instruction, dispatched, started, issued, done). An instruction dispatched in d is in its unit from
d + 1; MX writes a beat's result 3 cycles after it, VX 4. Banks: activations' byte a is in bank (a // 4) % 8, the
accumulators' in (a // 8) % 4, the parameters' in (a // 8) % 8, the weights' in (a // 4) % 4.
"""

from __future__ import annotations

from typing import Any

import pytest

from accelsim.isa.opcodes import Unit
from tests.support.tiny import LD, MX, ST, VX, trace


def matmul(rows: int, columns: int, more: str = "", *, weights: int = 0, source: int = 0, sums: int = 0) -> str:
    operands = f"weights=[{weights}] input=[{source}] accumulators=[{sums}] bias=[0]"
    return f"matmul {operands} rows={rows} columns={columns} {more}"


def vector(
    length: int, more: str = "", *, kind: str = "int8", source: int = 0, to: int = 48, parameters: int = 0
) -> str:
    """Into int8; the default destination's bank 4 is not the default source's bank 0."""
    return (
        f"vector source=[{source}] destination=[{to}] parameters=[{parameters}] source_type={kind} "
        f"destination_type=int8 length={length} {more}"
    )


MATMUL = [
    # rows, columns, more, beats, passes
    (2, 2, "", 1, 1),
    (1, 1, "", 1, 1),
    (4, 4, "", 4, 4),  # 2 row tiles x 2 column tiles
    (3, 5, "", 6, 6),  # 2 row tiles, the second of one row, x 3 column tiles, the last of one column
    (2, 7, "", 4, 4),
    (7, 2, "", 4, 4),
    (4, 4, "start=bias", 4, 4),  # the bias lies in the parameters: no port in common with anything
    (2, 2, "start=accumulate", 1, 2),  # the one beat reads and writes the same word of the accumulators
    (2, 4, "start=accumulate", 2, 2),  # the first beat reads, the second writes
    (4, 2, "start=accumulate", 2, 4),  # each row tile's one beat does both
]


@pytest.mark.parametrize(("rows", "columns", "more", "beats", "passes"), MATMUL)
def test_a_product(rows: int, columns: int, more: str, beats: int, passes: int) -> None:
    result = trace(matmul(rows, columns, more))
    # passes from 1 on, one a cycle; the last sums are written 3 cycles after the last pass
    assert result.rows == [(MX, 0, 0, 1, passes, passes + 3)]
    assert result.cycles == passes + 4
    assert result.states(Unit.MATRIX) == {"BUSY": passes, "IDLE": 4}
    assert result.run.counters.macs.sum() == rows * columns
    assert beats == -(-rows // 2) * -(-columns // 2)


def test_products_follow_each_other() -> None:
    code = "\n".join([matmul(2, 2), matmul(4, 2, sums=8), matmul(2, 2, sums=24)])
    assert trace(code).rows == [
        (MX, 0, 0, 1, 1, 4),
        (MX, 1, 1, 2, 3, 6),
        (MX, 2, 2, 4, 4, 7),  # the first beat follows the last of the one before in the next cycle
    ]


def test_accumulating_products_need_a_semaphore() -> None:
    code = matmul(2, 2, "signal=s1") + "\n" + matmul(2, 2, "start=accumulate wait=s1")
    # sums written in 4, seen in 5; two passes, since the beat reads and writes one word
    assert trace(code).rows == [(MX, 0, 0, 1, 1, 4), (MX, 1, 1, 5, 6, 9)]


def test_weights_wider_than_their_banks() -> None:
    # A beat reads 2 x 2 = 4 weights: 4 words of one byte, in 2 banks two passes a beat.
    result = trace(matmul(2, 4), sram__weights__banks=2, sram__weights__word_bytes=1)
    assert result.rows == [(MX, 0, 0, 1, 4, 7)]


def test_weights_that_straddle_a_word() -> None:
    # Bytes 2..5 lie in two words: with one bank two passes a beat.
    assert trace(matmul(2, 2, weights=2), sram__weights__banks=1).rows == [(MX, 0, 0, 1, 2, 5)]
    assert trace(matmul(2, 2, weights=2)).rows == [(MX, 0, 0, 1, 1, 4)]


VECTOR: list[tuple[str, dict[str, Any], int]] = [
    # two elements a beat: source in word 0, destination in word 12, bank 4
    (vector(2), {}, 1),
    (vector(1), {}, 1),
    (vector(4), {}, 2),
    (vector(7), {}, 4),
    # destination in word 16, bank 0, as the source: each beat takes two passes
    (vector(4, to=64), {}, 4),
    # in place: one word, read and written, needs its bank twice
    (vector(4, to=0), {}, 4),
    # source bytes 3 and 4 are in words 0 and 1: two banks, one pass
    (vector(2, source=3), {}, 1),
    # with one bank: source one pass or two, destination one
    (vector(2, source=2, to=4), {"sram__activations__banks": 1}, 2),
    (vector(2, source=3, to=8), {"sram__activations__banks": 1}, 3),
    # destination bytes 7 and 8 straddle as well
    (vector(2, source=3, to=15), {"sram__activations__banks": 1}, 4),
    # 8 lanes of int32: 4 words of 8 bytes, in 4 banks one pass, in 2 banks two, in 1 bank four
    (vector(8, kind="int32"), {"vector__lanes": 8}, 1),
    (vector(8, kind="int32"), {"vector__lanes": 8, "sram__accumulators__banks": 2}, 2),
    (vector(8, kind="int32"), {"vector__lanes": 8, "sram__accumulators__banks": 1}, 4),
    # source and addend one bank of the accumulators apart, or in the same
    (vector(2, "addend_type=int32 addend=[8]", kind="int32"), {}, 1),
    (vector(2, "addend_type=int32 addend=[32]", kind="int32"), {}, 2),
    # source word 0, factor word 8 (bank 0 again, second pass), destination word 1: beside the source
    (vector(2, "multiply factor=[32]", kind="int16", to=4), {}, 2),
    # source, factor, term and destination all in bank 0: four passes
    (vector(2, "multiply factor=[32] accumulate term=[64]", kind="int16", to=96), {}, 4),
    # and none of them
    (vector(2, "multiply factor=[4] accumulate term=[8]", kind="int16", to=12), {}, 1),
    # the first beat reads 32 bytes of block (banks 0-3) and factors (banks 4, 5), the second factors (banks 6, 7)
    (vector(4, "requantize=channel", kind="int32"), {}, 2),
    # with 4 banks the first beat's factors (banks 0, 1) come a pass after the block
    (vector(4, "requantize=channel", kind="int32"), {"sram__parameters__banks": 4}, 3),
    # with 2 banks: block two passes, factors a third; the second beat's factors one
    (vector(4, "requantize=real", kind="int32"), {"sram__parameters__banks": 2}, 4),
    # a block of two words of 16 bytes, in 2 banks; one that straddles has three
    (vector(2), {"sram__parameters__banks": 2, "sram__parameters__word_bytes": 16}, 1),
    (vector(2, parameters=8), {"sram__parameters__banks": 2, "sram__parameters__word_bytes": 16}, 2),
    # a constant has no source to read
    (vector(4, kind="none", to=0), {}, 2),
]


@pytest.mark.parametrize(("code", "changes", "passes"), VECTOR)
def test_passes_of_a_vector_instruction(code: str, changes: dict[str, Any], passes: int) -> None:
    result = trace(code, **changes)
    assert result.rows == [(VX, 0, 0, 1, passes, passes + 4)]
    assert result.states(Unit.VECTOR) == {"BUSY": passes, "IDLE": 5}
    assert result.cycles == passes + 5


# --- chaining -----------------------------------------------------------------------------------------------------

PRODUCT_8, VECTOR_8 = matmul(8, 2, "signal=s1{0}"), vector(8, "wait=s1{0}", kind="int32")


def test_without_chaining() -> None:
    code = (PRODUCT_8 + "\n" + VECTOR_8).format("")
    assert trace(code).rows == [
        (MX, 0, 0, 1, 4, 7),
        (VX, 1, 1, 8, 11, 15),  # all sums are written in 7, seen in 8
    ]


@pytest.mark.parametrize(("hop_cycles", "start"), [(1, 5), (2, 6), (5, 9)])
def test_chained_to_a_product(hop_cycles: int, start: int) -> None:
    code = (PRODUCT_8 + "\n" + VECTOR_8).format("*")
    # row tile k's sums are written in 1 + k + 3, seen a hop later: the vector unit keeps step from the first on
    assert trace(code, chaining__hop_cycles=hop_cycles).rows == [
        (MX, 0, 0, 1, 4, 7),
        (VX, 1, 1, start, start + 3, start + 7),
    ]


def test_a_chained_consumer_waits_between_beats() -> None:
    code = matmul(4, 4, "signal=s1*") + "\n" + vector(4, "wait=s1*", kind="int32")
    result = trace(code)
    # row tiles are summed in 2 and 4, written in 5 and 7, seen in 7 and 9
    assert result.rows == [(MX, 0, 0, 1, 4, 7), (VX, 1, 1, 7, 9, 13)]
    # in its unit from 2; waits 2-6 and 8
    assert result.states(Unit.VECTOR) == {"IDLE": 2 + 4, "DEPENDENCY": 5 + 1, "BUSY": 2}


def test_a_consumer_wider_than_its_producer() -> None:
    code = matmul(4, 4, "signal=s1*") + "\n" + vector(4, "wait=s1*", kind="int32")
    # four lanes need both row tiles: seen in 9; 4 int32 are two words, two banks
    assert trace(code, vector__lanes=4).rows == [(MX, 0, 0, 1, 4, 7), (VX, 1, 1, 9, 9, 13)]


def test_a_consumer_narrower_than_its_producer() -> None:
    code = matmul(2, 2, "signal=s1*") + "\n" + vector(2, "wait=s1*", kind="int32")
    # both rows are seen in 6, one lane takes them in 6 and 7
    assert trace(code, vector__lanes=1).rows == [(MX, 0, 0, 1, 1, 4), (VX, 1, 1, 6, 7, 11)]


def test_the_last_beat_takes_what_is_left() -> None:
    code = matmul(3, 2, "signal=s1*") + "\n" + vector(3, "wait=s1*", kind="int32") + "\nsync unit=store wait=s1*"
    # 3 elements given in 2 + 1, taken in 2 + 1: nothing is left for the store's sync
    with pytest.raises(Exception, match=r"store: instruction 2 waits for semaphore s1$"):
        trace(code)


def test_a_product_chained_to_a_vector_instruction() -> None:
    code = vector(4, "signal=s1*") + "\n" + matmul(4, 4, "wait=s1*", source=48)
    # 2 elements are written in 5, 2 in 6: seen in 7 and 8. The first row tile takes them; the second (9, 10) none.
    assert trace(code).rows == [(VX, 0, 0, 1, 2, 6), (MX, 1, 1, 7, 10, 13)]


def test_elements_are_given_with_a_beats_last_pass() -> None:
    code = vector(4, "signal=s1*", to=64) + "\n" + matmul(2, 4, "wait=s1*", source=64)
    # each beat's passes in 1, 2 and 3, 4: written in 6 and 8, seen in 8 and 10
    assert trace(code).rows == [(VX, 0, 0, 1, 4, 8), (MX, 1, 1, 8, 10, 13)]


def test_elements_are_taken_with_a_beats_first_pass() -> None:
    code = matmul(4, 2, "signal=s1*") + "\n" + vector(4, "addend_type=int32 addend=[32] wait=s1*", kind="int32")
    # seen in 6 and 7; two passes a beat, for source and addend in one bank: 6, 7 and 8, 9
    assert trace(code).rows == [(MX, 0, 0, 1, 2, 5), (VX, 1, 1, 6, 9, 13)]


def test_chained_and_whole_waits_on_one_instruction() -> None:
    code = matmul(4, 2, "signal=s1*") + "\n" + vector(4, "wait=s1*,s2", kind="int32") + "\nnop\n" * 8
    code += "signal semaphore=s2 amount=1"
    # nops in 2-9, s2 given in 10, seen in 11; the elements have long been there
    result = trace(code)
    assert result.rows == [(MX, 0, 0, 1, 2, 5), (VX, 1, 1, 11, 12, 16)]
    assert result.states(Unit.VECTOR) == {"IDLE": 2 + 4, "SEMAPHORE": 9, "BUSY": 2}


def test_two_producers_of_one_consumer() -> None:
    code = "\n".join(
        [
            matmul(4, 2, "signal=s1*"),
            matmul(4, 4, "signal=s2*", sums=32),
            vector(4, "addend_type=int32 addend=[40] wait=s1*,s2*", kind="int32"),
        ]
    )
    # s1: written 4, 5. s2: beats 3-6, written in 4 + 3 = 7 and 9, seen in 9 and 11. Addend 40 is in bank 1, source 0
    # in bank 0: one pass.
    assert trace(code).rows == [(MX, 0, 0, 1, 2, 5), (MX, 1, 1, 3, 6, 9), (VX, 2, 2, 9, 11, 15)]


# --- arbitration --------------------------------------------------------------------------------------------------


def test_matrix_goes_before_vector() -> None:
    code = matmul(2, 6) + "\n" + vector(2)
    result = trace(code)
    # MX reads bank 0 in 1 and 2 (bytes 0-3) and bank 1 in 3; VX, there from 2, wants bank 0
    assert result.rows == [(MX, 0, 0, 1, 3, 6), (VX, 1, 1, 3, 3, 7)]
    assert result.states(Unit.VECTOR) == {"IDLE": 2 + 4, "BANK": 1, "BUSY": 1}
    assert result.run.events is not None
    assert list(result.run.events["bank"]) == [0, 1]


def test_vector_goes_before_store() -> None:
    code = vector(8) + "\nstore memory=activations source=[0] destination=[256] row_bytes=4 rows=1"
    result = trace(code)
    # VX reads bank 0 in 1, 2 and bank 1 in 3, 4; ST, there from 2, reads in 3; bus 5 to 6, 3 cycles late
    assert result.rows == [(VX, 0, 0, 1, 4, 8), (ST, 1, 1, 3, 3, 9)]
    assert result.states(Unit.STORE) == {"IDLE": 2, "BANK": 1, "BUSY": 1, "DRAM": 6}


def test_store_goes_before_load() -> None:
    code = (
        "load memory=activations source=[0] destination=[0] row_bytes=4 rows=1\n"
        + "nop\n" * 5
        + "store memory=activations source=[0] destination=[256] row_bytes=4 rows=1"
    )
    result = trace(code)
    # LD asks in 1, has the bus to 2, could land in 7; ST, dispatched in 6, has the bank in 7
    assert result.rows == [(LD, 0, 0, 1, 8, 10), (ST, 6, 6, 7, 7, 13)]
    assert result.states(Unit.LOAD) == {"IDLE": 1 + 5, "DRAM": 6, "BANK": 1, "BUSY": 1}
    assert result.cycles == 14


def test_all_four_want_one_bank() -> None:
    code = "\n".join(
        [
            "load memory=activations source=[0] destination=[0] row_bytes=4 rows=1",
            matmul(2, 2, "wait=s1"),
            vector(2, "wait=s1"),
            "store memory=activations source=[0] destination=[256] row_bytes=4 rows=1 wait=s1",
            "nop\nnop",
            "signal semaphore=s1 amount=3",
        ]
    )
    result = trace(code)
    # s1 is given in 6, so in 7 all want bank 0, where the load's data has just come; who is refused takes no count
    assert result.rows == [
        (LD, 0, 0, 1, 10, 12),
        (MX, 1, 1, 7, 7, 10),
        (VX, 2, 2, 8, 8, 12),
        (ST, 3, 3, 9, 9, 15),  # bus 11 to 12
    ]
    assert result.cycles == 16
    # a refusal is counted as such for the vector unit (7), the store (7, 8) and the load (7, 8, 9)
    assert [result.states(unit).get("BANK", 0) for unit in Unit] == [3, 0, 1, 2, 0]


def test_banks_are_granted_one_by_one() -> None:
    code = "\n".join(
        [
            matmul(2, 2, "wait=s1"),
            vector(2, "wait=s1"),
            "store memory=activations source=[48] destination=[256] row_bytes=4 rows=1 wait=s1",
            "signal semaphore=s1 amount=3",
        ]
    )
    # In 4 MX has bank 0, so VX, which wants banks 0 and 4, gets neither; ST gets bank 4.
    assert trace(code).rows == [(MX, 0, 0, 4, 4, 7), (VX, 1, 1, 5, 5, 9), (ST, 2, 2, 4, 4, 10)]


def test_a_refused_unit_blocks_nobody() -> None:
    code = "\n".join(
        [
            matmul(2, 4, "wait=s1"),
            vector(2, "wait=s1"),
            "store memory=activations source=[48] destination=[256] row_bytes=8 rows=1 wait=s1",
            "signal semaphore=s1 amount=3",
        ]
    )
    # MX has bank 0 in 4 and 5; ST (8 bytes, banks 4 and 5) one beat in 4; VX (0 and 4) in 6
    assert trace(code).rows == [(MX, 0, 0, 4, 5, 8), (VX, 1, 1, 6, 6, 10), (ST, 2, 2, 4, 4, 11)]


def test_passes_are_refused_one_by_one() -> None:
    code = vector(2, to=64) + "\n" + matmul(2, 2)
    # VX wants bank 0 twice, 1 for the source and 2 for the destination; MX, there from 2, has it in 2
    result = trace(code)
    assert result.rows == [(VX, 0, 0, 1, 3, 7), (MX, 1, 1, 2, 2, 5)]
    assert result.states(Unit.VECTOR) == {"IDLE": 1 + 4, "BUSY": 2, "BANK": 1}


def test_an_access_fills_the_first_pass_with_room() -> None:
    code = vector(2, "multiply factor=[32]", kind="int16", to=4)
    code += "\nstore memory=activations source=[4] destination=[256] row_bytes=2 rows=1"
    # VX: source (bank 0) and destination (bank 1) in 1, the factor (bank 0) in 2; so ST has bank 1 in 2; bus 4 to 5
    assert trace(code).rows == [(VX, 0, 0, 1, 2, 6), (ST, 1, 1, 2, 2, 8)]


def test_memories_do_not_share_ports() -> None:
    code = matmul(2, 4) + "\n" + vector(4, kind="int32", source=16, to=32) + "\n"
    # MX: weights, activations' bank 0, accumulators' bank 0 in 2; VX: accumulators' bank 2 and 3, activations' bank 0
    # for its destination - refused in 2, granted in 3
    assert trace(code).rows == [(MX, 0, 0, 1, 2, 5), (VX, 1, 1, 3, 4, 8)]


def test_independent_streams() -> None:
    code = "\n".join(
        [
            "load memory=weights source=[0] destination=[128] row_bytes=4 rows=1",
            matmul(4, 4),
            vector(4, source=16, to=48, kind="int8"),
            "store memory=parameters source=[64] destination=[256] row_bytes=4 rows=1",
        ]
    )
    # each as alone: LD lands in 7 (MX has finished with the weights), MX 2-5, VX banks 4 (16-19) and 4 (48-51): twice
    # two passes, 3-6, ST beat in 4, bus 6 to 7
    assert trace(code).rows == [
        (LD, 0, 0, 1, 7, 9),
        (MX, 1, 1, 2, 5, 8),
        (VX, 2, 2, 3, 6, 10),
        (ST, 3, 3, 4, 4, 10),
    ]
