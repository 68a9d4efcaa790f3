"""Which bytes an instruction reads and writes: derived from `reads` and `writes` of the instruction set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from accelsim.isa.codec import Instruction
from accelsim.isa.definition import Definition, Factor, Format, definition


@dataclass(frozen=True, slots=True)
class Access:
    """Rows of bytes that an instruction reads or writes.

    Parameters
    ----------
    operand : str
        The operand whose address it starts from.
    memory : str
        `dram` or an SRAM's name.
    is_write : bool
    address : int
        First byte.
    row_bytes : int
        Bytes a row.
    count : int
        Rows.
    pitch : int
        Bytes from the start of a row to the start of the next; 0 where there is one row.
    """

    operand: str
    memory: str
    is_write: bool
    address: int
    row_bytes: int
    count: int
    pitch: int

    @property
    def end(self) -> int:
        """One past the highest byte."""
        return self.address + (self.count - 1) * self.pitch + self.row_bytes

    def overlaps(self, other: Access) -> bool:
        """Whether any byte is in both, to the byte where rows lie apart."""
        if self.memory != other.memory or self.end <= other.address or other.end <= self.address:
            return False
        few, many = sorted((self, other), key=lambda access: access.count)
        return any(many.touches(few.address + row * few.pitch, few.row_bytes) for row in range(few.count))

    def touches(self, address: int, size: int) -> bool:
        """Whether any of `size` bytes from `address` is in a row."""
        if self.pitch == 0:
            return self.address < address + size and address < self.address + self.row_bytes
        # Row r covers [start + r * pitch, ... + row_bytes); the first that ends past `address` decides.
        first = max(0, (address - self.address - self.row_bytes) // self.pitch + 1)
        return first < self.count and self.address + first * self.pitch < address + size


def accesses(
    instruction: Instruction, addresses: Mapping[str, int], array_rows: int, block_columns: int = 1
) -> list[Access]:
    """What an instruction reads and writes.

    Parameters
    ----------
    instruction : Instruction
    addresses : mapping of str to int
        Byte address of each operand: its register's value plus its offset.
    array_rows : int
        Rows of the matrix unit's array, to whose multiples weights are padded.
    block_columns : int
        Columns to whose multiples they are.

    Returns
    -------
    list of Access
        Reads, then writes; only those that take place with the instruction's fields.
    """
    rules = definition()
    form = rules.formats[instruction.name]
    fields = instruction.fields
    multiples = {"whole_tiles": array_rows, "whole_blocks": block_columns}
    memories = {operand.name: rules.operand_memory(form, operand, fields) for operand in form.operands}
    return [
        Access(
            operand=rule.operand,
            memory=memories[rule.operand],
            is_write=rule.is_write,
            address=addresses[rule.operand] + rule.after,
            row_bytes=math.prod(_factor(rules, form, factor, fields, multiples) for factor in rule.factors),
            count=fields[rule.count] if rule.count else 1,
            pitch=fields[rule.pitch] if rule.pitch else 0,
        )
        for rule in form.accesses
        if not rule.when_field or fields[rule.when_field] in rule.when_values
    ]


def _factor(
    rules: Definition, form: Format, factor: Factor, fields: Mapping[str, int], multiples: Mapping[str, int]
) -> int:
    if not factor.field:
        return factor.number
    value = fields[factor.field]
    if factor.modifier in multiples:
        multiple = multiples[factor.modifier]
        return -(-value // multiple) * multiple
    if factor.modifier == "plus_one":
        return value + 1
    if factor.modifier == "bytes":
        return rules.elements[rules.value_name(form.field(factor.field).enum, value)].bytes
    return value
