"""Word, instruction and text are three spellings of one thing."""

from __future__ import annotations

import contextlib

from hypothesis import example, given
from hypothesis import strategies as st
from isa_strategies import instruction_lists, instructions, words

from accelsim.errors import DecodeError
from accelsim.isa.assembler import assemble, disassemble, format_instruction, parse_instruction
from accelsim.isa.codec import Instruction, decode, encode, table
from accelsim.isa.definition import definition


@given(instructions())
def test_an_instruction_survives_its_word(instruction: Instruction) -> None:
    word = encode(instruction)
    assert decode(word) == instruction
    assert 0 <= word < 2 ** definition().word_bits


@given(words() | st.integers())
@example(0)
@example((1 << 256) - 1)
def test_a_word_is_refused_or_survives(word: int) -> None:
    with contextlib.suppress(DecodeError):
        assert encode(decode(word)) == word


@given(instructions())
def test_an_instruction_survives_its_line(instruction: Instruction) -> None:
    assert parse_instruction(format_instruction(instruction)) == instruction


@given(instruction_lists())
def test_a_program_survives_its_assembly(program: list[Instruction]) -> None:
    text = disassemble(program)
    assert assemble(text) == program
    assert disassemble(assemble(text)) == text


@given(instruction_lists(4))
def test_the_table_holds_every_field(program: list[Instruction]) -> None:
    rows = table(program)
    columns = definition().columns
    for instruction, row in zip(program, rows.tolist(), strict=True):
        values = dict(zip(columns, row, strict=True))
        assert values.pop("opcode") == definition().formats[instruction.name].opcode
        assert {name: value for name, value in values.items() if name in instruction.fields} == instruction.fields
        assert not any(value for name, value in values.items() if name not in instruction.fields)
