"""Instructions to words and back, and to the integer table that the engines run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from accelsim.errors import DecodeError, InputError
from accelsim.isa.definition import Definition, Field, Format, definition
from accelsim.isa.nearest import nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_KEPT = 1 << 14
"""Instructions that are remembered with what was worked out of them: programs of a sweep are much alike."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; equal instructions have equal words.

    Parameters
    ----------
    name : str
        A name of `Definition.formats`.
    fields : mapping of str to int
        Every field of the instruction but the opcode; an operand's are `OPERAND.register` and `OPERAND.offset`.
        Don't change it: instructions are values. `make` fills in what is left out.
    """

    name: str
    fields: Mapping[str, int]
    _hash: int = dataclass_field(init=False, repr=False, compare=False, default=0)

    def __hash__(self) -> int:
        # Kept: what is worked out of an instruction is looked up by it again and again.
        if not self._hash:
            object.__setattr__(self, "_hash", hash((self.name, frozenset(self.fields.items()))) or 1)
        return self._hash

    def __reduce__(self) -> tuple[type[Instruction], tuple[str, Mapping[str, int]]]:
        # A text has another hash in another process.
        return Instruction, (self.name, self.fields)

    @property
    def format(self) -> Format:
        """The instruction's definition."""
        return definition().formats[self.name]

    @property
    def unit(self) -> int:
        """Number of the unit that executes it, `opcodes.Unit`."""
        rules = definition()
        form = rules.formats[self.name]
        if form.unit_field:
            return self.fields[form.unit_field]
        return rules.enums["unit"].get(form.unit, rules.sequencer_unit)


def make(name: str, /, **values: int | tuple[int, int]) -> Instruction:
    """An instruction from the fields that matter; the others are 0.

    Parameters
    ----------
    name : str
        A name of the instruction set, such as `matmul`.
    **values : int or (int, int)
        Field values; an operand takes (register, offset), or the offset alone for register 0.

    Raises
    ------
    InputError
        No such instruction, field or operand, or a value out of its field's range.
    """
    return _made(name, tuple(values.items()))


@lru_cache(maxsize=_KEPT)
def _made(name: str, values: tuple[tuple[str, int | tuple[int, int]], ...]) -> Instruction:
    rules = definition()
    form = rules.formats.get(name)
    if form is None:
        raise InputError(f"instruction {name}", "", "no such instruction" + nearest(name, rules.formats))
    fields = dict.fromkeys((field.name for field in form.fields), 0)
    operands = {operand.name for operand in form.operands}
    for key, value in values:
        if key in operands:
            register, offset = value if isinstance(value, tuple) else (0, value)
            fields[f"{key}.register"], fields[f"{key}.offset"] = int(register), int(offset)
        elif key in fields and not isinstance(value, tuple):
            fields[key] = int(value)
        elif key in fields:
            raise InputError(f"instruction {name}", key, f"found {value!r}", "an integer")
        else:
            known = [*operands, *(field for field in fields if "." not in field)]
            raise InputError(f"instruction {name}", key, "no such field" + nearest(key, known))
    instruction = Instruction(name, fields)
    check(instruction)
    return instruction


def check(instruction: Instruction) -> None:
    """Check every field of an instruction.

    Raises
    ------
    InputError
        No such instruction, a field missing or unknown, or its value out of range or no value of its enum.
    """
    rules = definition()
    where = f"instruction {instruction.name}"
    form = rules.formats.get(instruction.name)
    if form is None:
        raise InputError(where, "", "no such instruction" + nearest(instruction.name, rules.formats))
    for field in form.fields:
        value = instruction.fields.get(field.name)
        if value is None:
            raise InputError(where, field.name, "missing")
        reason = _fault(rules, field, value)
        if reason:
            raise InputError(where, field.name, f"found {value}", reason)
    if len(instruction.fields) != len(form.fields):
        unknown = set(instruction.fields) - {field.name for field in form.fields}
        raise InputError(where, min(unknown), "no such field")


def encode(instruction: Instruction) -> int:
    """The word of an instruction.

    Raises
    ------
    InputError
        As `check`.
    """
    check(instruction)
    return pack(instruction)


@lru_cache(maxsize=_KEPT)
def pack(instruction: Instruction) -> int:
    """The word of an instruction whose fields are right, as those that `make` gives."""
    rules = definition()
    word = rules.formats[instruction.name].opcode << rules.opcode.low
    fields = instruction.fields
    for name, low, mask in _places()[instruction.name]:
        word |= (fields[name] << low) & mask
    return word


def decode(word: int, where: str = "instruction word") -> Instruction:
    """The instruction of a word, such that `encode` gives the word back.

    Parameters
    ----------
    word : int
        `Definition.word_bits` bits.
    where : str
        Names the word in messages.

    Raises
    ------
    DecodeError
        No instruction has this opcode, a reserved bit is set, an enum has no such value, or a value is below its
        field's minimum.
    """
    rules = definition()
    if not 0 <= word < 1 << rules.word_bits:
        raise DecodeError(word, f"not a word of {rules.word_bits} bits", where)
    plan = _decoders().get((word >> rules.opcode.low) & ((1 << rules.opcode.width) - 1))
    if plan is None:
        raise DecodeError(word, f"no instruction has opcode {(word & rules.opcode.mask) >> rules.opcode.low}", where)
    form, steps = plan
    if word & form.reserved:
        wrong = word & form.reserved
        raise DecodeError(word, f"{form.name}: reserved bit {wrong.bit_length() - 1} is set", where)
    fields = {}
    for name, low, ones, sign, valid, field in steps:
        value = (word >> low) & ones
        if value & sign:
            value -= ones + 1
        if not valid[0] <= value <= valid[1] or (field.enum and _fault(rules, field, value)):
            raise DecodeError(
                word, f"{form.name}: {field.name}: found {value}; expected {_expected(rules, field)}", where
            )
        fields[name] = value
    return Instruction(form.name, fields)


def table(instructions: Sequence[Instruction]) -> NDArray[np.int64]:
    """The instructions as integers, for the engines' inner loops.

    Parameters
    ----------
    instructions : sequence of Instruction

    Returns
    -------
    int64[instructions, columns]
        Columns are those of `Definition.columns`; their numbers are `opcodes.COL_*`. A field that an instruction does
        not have is 0.
    """
    import numpy as np

    rules = definition()
    rows = np.zeros((len(instructions), len(rules.columns)), dtype=np.int64)
    for index, instruction in enumerate(instructions):
        rows[index] = _row(instruction)
    return rows


@lru_cache(maxsize=_KEPT)
def _row(instruction: Instruction) -> tuple[int, ...]:
    """An instruction's row of `table`."""
    values = {"opcode": definition().formats[instruction.name].opcode} | dict(instruction.fields)
    return tuple(values.get(name, 0) for name in definition().columns)


@cache
def _places() -> dict[str, list[tuple[str, int, int]]]:
    """By format: the name, lowest bit and mask of each field."""
    return {
        form.name: [(field.name, field.low, field.mask) for field in form.fields]
        for form in definition().formats.values()
    }


_Step = tuple[str, int, int, int, tuple[int, int], Field]


@cache
def _decoders() -> dict[int, tuple[Format, list[_Step]]]:
    """By opcode: the format, and what a field's decoding needs, looked up beforehand."""
    plans = {}
    for form in definition().formats.values():
        steps = []
        for field in form.fields:
            ones = (1 << field.width) - 1
            sign = 1 << (field.width - 1) if field.kind == "int" else 0
            steps.append((field.name, field.low, ones, sign, (field.minimum, field.maximum), field))
        plans[form.opcode] = (form, steps)
    return plans


def _fault(rules: Definition, field: Field, value: int) -> str:
    """What was expected of a field's value; empty where it is right."""
    if field.enum:
        return "" if value in rules.enums[field.enum].values() else _expected(rules, field)
    return "" if field.minimum <= value <= field.maximum else _expected(rules, field)


def _expected(rules: Definition, field: Field) -> str:
    if field.enum:
        return "one of " + ", ".join(f"{number} ({name})" for name, number in rules.enums[field.enum].items())
    return f"{field.minimum} to {field.maximum}"
