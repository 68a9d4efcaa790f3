"""Words, field ranges and the integer table."""

from __future__ import annotations

import pickle

import pytest

from accelsim.errors import DecodeError, InputError
from accelsim.isa import Instruction, decode, encode, make, opcodes, table


def test_a_word_by_hand() -> None:
    # loop: opcode 2, count 25 in bits 41:10, length 3 in bits 57:42.
    assert encode(make("loop", count=25, length=3)) == 2 | 25 << 10 | 3 << 42


def test_negative_numbers_are_twos_complement() -> None:
    word = encode(make("address", register=1, stride3=-1))
    assert word == 3 | 1 << 10 | 0xFFFFFF << 167
    assert decode(word).fields["stride3"] == -1


def test_operands_take_a_register_and_an_offset() -> None:
    instruction = make("load", memory=1, source=(3, 64), destination=128, row_bytes=1, rows=1)
    fields = instruction.fields
    assert (fields["source.register"], fields["source.offset"]) == (3, 64)
    assert (fields["destination.register"], fields["destination.offset"]) == (0, 128)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("matmull", {}, "instruction matmull: no such instruction; nearest: matmul"),
        ("loop", {"lenght": 1}, "instruction loop: lenght: no such field; nearest: length"),
        ("loop", {"count": 1}, "instruction loop: length: found 0; expected 1 to 65535"),
        ("loop", {"count": 2**32, "length": 1}, "instruction loop: count: found 4294967296; expected 0 to 4294967295"),
        ("loop", {"count": (1, 2), "length": 1}, "instruction loop: count: found (1, 2); expected an integer"),
        ("address", {"register": 0}, "instruction address: register: found 0; expected 1 to 31"),
        ("vector", {"length": 1}, "instruction vector: destination_type: found 0; expected one of 1 (int8), 2 (int16)"),
    ],
)
def test_make_names_what_is_wrong(name: str, values: dict[str, int], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        make(name, **values)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        (Instruction("hold", {}), "instruction hold: no such instruction"),
        (Instruction("nop", {}), "instruction nop: guard: missing"),
        (Instruction("nop", {"guard": 0, "rows": 1}), "instruction nop: rows: no such field"),
        (Instruction("nop", {"guard": 16}), "instruction nop: guard: found 16; expected 0 to 15"),
    ],
)
def test_encode_checks_its_instruction(instruction: Instruction, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        encode(instruction)
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        (-1, "not a word of 288 bits"),
        (1 << 288, "not a word of 288 bits"),
        (63, "no instruction has opcode 63"),
        (1 | 1 << 255, "halt: reserved bit 255 is set"),
        (2, "loop: length: found 0; expected 1 to 65535"),
        (24 | 1 << 78, "vector: destination_type: found 0; expected one of 1 (int8), 2 (int16)"),
        (24 | 1 << 78 | 3 << 76, "vector: destination_type: found 3"),
        (24 | 1 << 78 | 1 << 76 | 15 << 64, "vector: activation: found 15"),
    ],
)
def test_decode_names_what_is_wrong(word: int, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(word, "here")
    assert str(caught.value).startswith(f"here: 0x{word:x}: {reason}")
    assert caught.value.word == word


def test_instructions_are_values() -> None:
    nop = make("nop")
    assert {nop, make("nop")} == {nop}
    assert pickle.loads(pickle.dumps(nop)) == nop
    assert nop != make("nop", guard=1)


def test_units() -> None:
    assert make("nop").unit == opcodes.Unit.SEQUENCER
    assert make("sync", unit=opcodes.Unit.STORE).unit == opcodes.Unit.STORE
    assert make("matmul", rows=1, columns=1).unit == opcodes.Unit.MATRIX


def test_the_table_is_read_by_the_generated_columns() -> None:
    rows = table([make("nop"), make("address", register=2, stride0=-40), make("loop", count=7, length=1)])
    assert rows.shape == (3, opcodes.COLUMNS)
    assert rows.dtype == "int64"
    assert rows[:, opcodes.COL_OPCODE].tolist() == [opcodes.Op.NOP, opcodes.Op.ADDRESS, opcodes.Op.LOOP]
    assert rows[:, opcodes.COL_STRIDE0].tolist() == [0, -40, 0]
    assert rows[:, opcodes.COL_COUNT].tolist() == [0, 0, 7]
