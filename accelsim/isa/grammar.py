"""The assembly syntax, as slots: each prints and parses one token of an instruction, both from the same definition.

A line is a mnemonic and its tokens, in any order:

    matmul weights=[a1+0x100] input=[0x40] accumulators=[0] rows=96 columns=40 start=bias ?g1 wait=s3,s4* signal=s5*
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from accelsim.isa.definition import Definition, Field, Format, Operand, definition
from accelsim.isa.nearest import nearest

LOOP = "loop"
"""The instruction whose body may be written in braces."""

BODY_LENGTH = "length"
"""Its field with the number of instructions in the body: left out where there are braces."""

_NUMBER = re.compile(r"[+-]?(?:0x[0-9a-fA-F]{1,64}|[0-9]{1,64})")
_ADDRESS = re.compile(r"\[(?:a(?P<register>[0-9]{1,9})(?:\+(?P<added>[0-9a-fA-Fx]+))?|(?P<alone>[0-9a-fA-Fx]+))\]")
_PREFIX = {"register": "a", "guard": "g", "semaphore": "s"}
_OPTIONAL_VALUES = ("none", "zero", "first")


class TokenError(Exception):
    """A token that its slot can't read: what was found and what was expected."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected


class Slot(Protocol):
    """One token of an instruction."""

    @property
    def key(self) -> str:
        """What the token starts with: a key before `=`, a flag's name, or `?`."""

    @property
    def required(self) -> bool:
        """Whether it must be written, as zero would be no value of its field."""

    def show(self, form: Format, fields: Mapping[str, int]) -> str:
        """The token, or nothing where it may be left out."""

    def read(self, text: str) -> dict[str, int]:
        """The fields that the text after the key gives; `TokenError` where it is wrong."""


@dataclass(frozen=True, slots=True)
class NumberSlot:
    """`rows=96`."""

    field: Field

    @property
    def key(self) -> str:
        """The field's name."""
        return self.field.name

    @property
    def required(self) -> bool:
        """Whether 0 is out of range."""
        return self.field.minimum > 0

    def show(self, form: Format, fields: Mapping[str, int]) -> str:
        """`rows=96`."""
        value = fields[self.field.name]
        return f"{self.key}={value}" if value else ""

    def read(self, text: str) -> dict[str, int]:
        """A decimal or hexadecimal number."""
        return {self.field.name: _in_range(self.field, read_number(text))}


@dataclass(frozen=True, slots=True)
class NumberedSlot:
    """`register=a3`, `semaphore=s5`; also `?g1`, whose key is `?`."""

    field: Field
    key: str

    @property
    def required(self) -> bool:
        """Whether 0 is out of range."""
        return self.field.minimum > 0

    def show(self, form: Format, fields: Mapping[str, int]) -> str:
        """The register's, guard's or semaphore's letter and number."""
        value = fields[self.field.name]
        joint = "" if self.key == "?" else "="
        return f"{self.key}{joint}{_PREFIX[self.field.kind]}{value}" if value else ""

    def read(self, text: str) -> dict[str, int]:
        """The letter and a number."""
        return {self.field.name: _numbered(self.field, text)}


@dataclass(frozen=True, slots=True)
class FlagSlot:
    """`multiply`."""

    field: Field
    required: bool = False

    @property
    def key(self) -> str:
        """The field's name."""
        return self.field.name

    def show(self, form: Format, fields: Mapping[str, int]) -> str:
        """The name where the flag is set."""
        return self.key if fields[self.field.name] else ""

    def read(self, text: str) -> dict[str, int]:
        """Nothing for a set flag; 0 and 1 are understood too."""
        if text not in ("", "0", "1"):
            raise TokenError(f"found {text!r}", f"{self.key}, {self.key}=0 or {self.key}=1")
        return {self.field.name: int(text or "1")}


@dataclass(frozen=True, slots=True)
class EnumSlot:
    """`start=bias`."""

    field: Field
    values: Mapping[str, int]

    @property
    def key(self) -> str:
        """The field's name."""
        return self.field.name

    @property
    def required(self) -> bool:
        """Whether value 0 is more than nothing: only `none`, `zero` and `first` go without saying."""
        return not any(self.values.get(name) == 0 for name in _OPTIONAL_VALUES)

    def show(self, form: Format, fields: Mapping[str, int]) -> str:
        """The value's name."""
        value = fields[self.field.name]
        if value == 0 and not self.required:
            return ""
        return f"{self.key}={next(name for name, number in self.values.items() if number == value)}"

    def read(self, text: str) -> dict[str, int]:
        """One of the enum's names."""
        if text not in self.values:
            raise TokenError(f"no value {text!r}{nearest(text, self.values)}", f"one of {', '.join(self.values)}")
        return {self.field.name: self.values[text]}


@dataclass(frozen=True, slots=True)
class OperandSlot:
    """`weights=[a1+0x100]`."""

    operand: Operand
    required: bool = False

    @property
    def key(self) -> str:
        """The operand's name."""
        return self.operand.name

    def show(self, form: Format, fields: Mapping[str, int]) -> str:
        """The address; nothing where it is 0 and the instruction does not use it."""
        register, offset = fields[self.operand.register.name], fields[self.operand.offset.name]
        if not register and not offset and not self._is_used(form, fields):
            return ""
        number = f"0x{offset:x}" if offset else "0"
        if not register:
            return f"{self.key}=[{number}]"
        return f"{self.key}=[a{register}+{number}]" if offset else f"{self.key}=[a{register}]"

    def read(self, text: str) -> dict[str, int]:
        """A register, an offset, or both joined by `+`, in brackets."""
        match = _ADDRESS.fullmatch(re.sub(r"\s+", "", text))
        if match is None:
            raise TokenError(f"found {text!r}", "[OFFSET], [aREGISTER] or [aREGISTER+OFFSET]")
        offset = match["added"] or match["alone"] or "0"
        return {
            self.operand.register.name: _in_range(self.operand.register, int(match["register"] or "0")),
            self.operand.offset.name: _in_range(self.operand.offset, read_number(offset)),
        }

    def _is_used(self, form: Format, fields: Mapping[str, int]) -> bool:
        rules = [rule for rule in form.accesses if rule.operand == self.key]
        return any(not rule.when_field or fields[rule.when_field] in rule.when_values for rule in rules)


@dataclass(frozen=True, slots=True)
class SemaphoresSlot:
    """`wait=s3,s4*`: `*` marks those counted element by element; `s0` keeps the place of one that is not used."""

    key: str
    numbers: tuple[Field, ...]
    each: tuple[Field, ...]
    required: bool = False

    def show(self, form: Format, fields: Mapping[str, int]) -> str:
        """The semaphores up to the last used one."""
        marks = [
            f"s{fields[number.name]}{'*' if fields[each.name] else ''}"
            for number, each in zip(self.numbers, self.each, strict=True)
        ]
        while marks and marks[-1] == "s0":
            marks.pop()
        return f"{self.key}={','.join(marks)}" if marks else ""

    def read(self, text: str) -> dict[str, int]:
        """Semaphores joined by commas."""
        marks = text.split(",")
        if len(marks) > len(self.numbers):
            raise TokenError(f"{len(marks)} semaphores", f"at most {len(self.numbers)}")
        fields = {}
        for mark, number, each in zip(marks, self.numbers, self.each, strict=False):
            fields[number.name] = _numbered(number, mark.removesuffix("*"))
            fields[each.name] = int(mark.endswith("*"))
        return fields


@cache
def slots(name: str) -> Mapping[str, Slot]:
    """The tokens of an instruction by their keys, in the order they are printed."""
    rules = definition()
    form = rules.formats[name]
    found: list[Slot] = [OperandSlot(operand) for operand in form.operands]
    found += [_slot(rules, field) for field in form.own_fields]
    found += [NumberedSlot(field, "?") for field in rules.common if field.kind == "guard"]
    found += [_slot(rules, field) for field in rules.common if field.kind != "guard"]
    if form.synchronized:
        found += _semaphores(rules)
    return {slot.key: slot for slot in found}


def _slot(rules: Definition, field: Field) -> Slot:
    if field.enum:
        return EnumSlot(field, rules.enums[field.enum])
    if field.kind == "flag":
        return FlagSlot(field)
    if field.kind in _PREFIX:
        return NumberedSlot(field, field.name)
    return NumberSlot(field)


def _semaphores(rules: Definition) -> list[Slot]:
    """`wait0`, `wait0_each`, `wait1` ... become one slot `wait`."""
    flags = {field.name: field for field in rules.synchronized if field.kind == "flag"}
    groups: dict[str, list[Field]] = {}
    for field in rules.synchronized:
        if field.kind == "semaphore":
            groups.setdefault(field.name.rstrip("0123456789"), []).append(field)
    return [
        SemaphoresSlot(key, tuple(numbers), tuple(flags[f"{number.name}_each"] for number in numbers))
        for key, numbers in groups.items()
    ]


def read_number(text: str) -> int:
    """A decimal or hexadecimal integer; `TokenError` where it is none."""
    if _NUMBER.fullmatch(text) is None:
        raise TokenError(f"found {text!r}", "a decimal or 0x hexadecimal number")
    return int(text, 16 if "x" in text else 10)


def _numbered(field: Field, text: str) -> int:
    letter = _PREFIX[field.kind]
    digits = text.removeprefix(letter)
    if digits == text or re.fullmatch(r"[0-9]{1,9}", digits) is None:
        raise TokenError(f"found {text!r}", f"{letter} and a number, such as {letter}{max(field.minimum, 1)}")
    return _in_range(field, int(digits))


def _in_range(field: Field, value: int) -> int:
    if not field.minimum <= value <= field.maximum:
        raise TokenError(f"{value} is out of range", f"{field.minimum} to {field.maximum}")
    return value
