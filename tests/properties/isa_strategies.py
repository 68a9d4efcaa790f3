"""Hypothesis strategies derived from the instruction set: any valid instruction, and programs of them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from accelsim.chip import Chip, dump_chip, load_chip
from accelsim.chip.load import check_chip
from accelsim.isa.codec import Instruction, encode, make
from accelsim.isa.definition import Field, definition
from accelsim.isa.program import HostTensor, LayerInfo, Program, Region


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


NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
FLOAT32 = st.floats(2.0**-126, 2.0**100, width=32)


def programs() -> st.SearchStrategy[Program]:
    """Programs that pass their static checks, with any names, scales and layer ranges."""
    return st.composite(_program)()


def _program(draw: st.DrawFn) -> Program:
    body = draw(_blocks(definition().loop_levels))
    words = tuple(encode(instruction) for instruction in [*body, make("halt")])
    cuts = draw(st.lists(st.integers(0, len(words)), max_size=6, unique=True).map(sorted))
    names = draw(st.lists(NAMES, max_size=2, unique=True))
    ranges = list(pairwise(cuts))
    layers = tuple(
        LayerInfo(name, draw(NAMES), draw(st.integers(0, 2**40)), draw(st.integers(0, 99)), tuple(ranges[index::2]))
        for index, name in enumerate(names)
    )
    features = draw(st.integers(1, 3))
    tensor = HostTensor(
        name=draw(NAMES),
        dtype="int8",
        shape=draw(st.sampled_from([(features,), (2, features)])),
        scale=draw(st.sampled_from([1, features]).flatmap(lambda n: st.tuples(*[FLOAT32] * n))),
        zero_point=draw(st.integers(-128, 127)),
        address=draw(st.integers(0, 10)),
    )
    return Program(
        name=draw(NAMES),
        isa_version=definition().version,
        chip=draw(st.sampled_from([load_chip("tx5368"), _other_chip()])),
        schedule=draw(NAMES),
        words=words,
        inputs=(tensor,),
        outputs=(tensor,),
        regions=(Region("io", "dram", 0, 64), Region("w" + draw(NAMES), "weights", 32, 64)),
        layers=layers,
        image=draw(st.binary(max_size=40)),
        image_address=64,
    )


def _other_chip() -> Chip:
    description = dump_chip(load_chip("tx5368"))
    description["dram"]["bytes_per_cycle"] = 1.1
    return check_chip(description, "test")


def _blocks(levels: int) -> st.SearchStrategy[list[Instruction]]:
    """Well nested instruction lists without static addresses, which random offsets would put outside memories."""
    special = {"halt", "loop", "frame"}
    plain = instructions(*(name for name in definition().formats if name not in special)).map(_indirect)
    items = plain.map(lambda instruction: [instruction])
    if levels:
        items |= st.builds(_loop, instructions("loop"), _blocks(levels - 1).filter(bool))
    return st.lists(items, max_size=3).map(lambda lists: [item for part in lists for item in part])


def _loop(loop: Instruction, body: list[Instruction]) -> list[Instruction]:
    return [Instruction("loop", {**loop.fields, "length": len(body)}), *body]


def _indirect(instruction: Instruction) -> Instruction:
    registers = {name: max(value, 1) for name, value in instruction.fields.items() if name.endswith(".register")}
    return Instruction(instruction.name, {**instruction.fields, **registers})
