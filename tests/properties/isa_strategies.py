"""Hypothesis strategies derived from the instruction set: any valid instruction, and programs of them."""

from __future__ import annotations

from hypothesis import strategies as st

from accelsim.isa.codec import Instruction
from accelsim.isa.definition import Field, definition


def field_values(field: Field) -> st.SearchStrategy[int]:
    """Any valid value of a field; the ends of its range more often than chance would have them."""
    if field.enum:
        return st.sampled_from(sorted(definition().enums[field.enum].values()))
    ends = st.sampled_from([field.minimum, field.maximum])
    return ends | st.integers(field.minimum, field.maximum)


def instructions(*names: str) -> st.SearchStrategy[Instruction]:
    """Any valid instruction; of these names only, where any are given."""
    return st.sampled_from(sorted(names or definition().formats)).flatmap(_of_name)


def _of_name(name: str) -> st.SearchStrategy[Instruction]:
    fields = definition().formats[name].fields
    values = st.fixed_dictionaries({field.name: field_values(field) for field in fields})
    return values.map(lambda chosen: Instruction(name, chosen))


def instruction_lists(max_size: int = 12) -> st.SearchStrategy[list[Instruction]]:
    """Lists of instructions, with loops whose bodies may or may not lie inside the list and nest."""
    return st.lists(instructions() | short_loops(max_size), max_size=max_size)


def short_loops(longest: int) -> st.SearchStrategy[Instruction]:
    """Loops with bodies of at most `longest` instructions."""
    return st.builds(
        lambda loop, length: Instruction("loop", {**loop.fields, "length": length}),
        instructions("loop"),
        st.integers(1, longest),
    )


def words() -> st.SearchStrategy[int]:
    """Words of the right width: random ones, and ones with a right opcode and few other bits."""
    rules = definition()
    any_word = st.integers(0, (1 << rules.word_bits) - 1)
    opcodes = st.sampled_from([form.opcode << rules.opcode.low for form in rules.formats.values()])
    bits = st.lists(st.integers(0, rules.word_bits - 1), max_size=6).map(
        lambda chosen: sum(1 << b for b in set(chosen))
    )
    sparse = st.builds(lambda opcode, extra: (extra & ~rules.opcode.mask) | opcode, opcodes, bits)
    return any_word | sparse
