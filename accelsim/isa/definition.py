"""The instruction set as checked data: what `isa/isa.toml` says, once every claim in it has been verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from accelsim.resources import resource_root

DRAM = "dram"
"""Name of the memory outside; the SRAMs are the names of `[enums.memory]`."""


@dataclass(frozen=True, slots=True)
class Field:
    """A bit field of a word.

    Parameters
    ----------
    name : str
        Unique within its instruction; an operand's two fields are `OPERAND.register` and `OPERAND.offset`.
    kind : str
        uint, int, enum, semaphore, flag, register or guard.
    low, high : int
        Lowest and highest bit, both inclusive.
    minimum, maximum : int
        Range of the value, both inclusive.
    text : str
        What the field means.
    enum : str
        Name of its enumeration; empty where it has none.
    """

    name: str
    kind: str
    low: int
    high: int
    minimum: int
    maximum: int
    text: str
    enum: str = ""

    @property
    def width(self) -> int:
        """Bits."""
        return self.high - self.low + 1

    @property
    def mask(self) -> int:
        """The field's bits in the word."""
        return ((1 << self.width) - 1) << self.low


@dataclass(frozen=True, slots=True)
class Operand:
    """An address: the value of an address register plus an offset.

    Parameters
    ----------
    name : str
    memory : str
        `dram` or an SRAM's name; empty where a field chooses.
    memory_field : str
        The enum field that chooses the memory; empty where `memory` is fixed.
    register, offset : Field
    text : str
    """

    name: str
    memory: str
    memory_field: str
    register: Field
    offset: Field
    text: str


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of an access's row size.

    Parameters
    ----------
    number : int
        The factor itself where `field` is empty.
    field : str
        The field whose value is the factor.
    modifier : str
        `bytes` for the element size of the enum's value, `whole_tiles` for the value rounded up to a multiple of the
        array's rows, `whole_blocks` to one of the columns of a block of weights, `plus_one` for one more, empty for
        the value itself.
    """

    number: int = 1
    field: str = ""
    modifier: str = ""


@dataclass(frozen=True, slots=True)
class AccessRule:
    """What an instruction reads or writes through one operand.

    Parameters
    ----------
    operand : str
    is_write : bool
    after : int
        Bytes between the operand's address and the first byte accessed.
    factors : tuple of Factor
        Their product is the row's size in bytes.
    count, pitch : str
        Fields with the number of rows and the bytes from row to row; empty for one row.
    when_field : str
        The access takes place only where this field holds one of `when_values`; empty for always.
    when_values : frozenset of int
    """

    operand: str
    is_write: bool
    after: int
    factors: tuple[Factor, ...]
    count: str
    pitch: str
    when_field: str
    when_values: frozenset[int]


@dataclass(frozen=True, slots=True)
class Format:
    """One instruction: its opcode, fields and meaning.

    Parameters
    ----------
    name : str
    opcode : int
    unit : str
        `sequencer` or a name of `[enums.unit]`; empty where `unit_field` chooses.
    unit_field : str
    synchronized : bool
        Whether it has the fields of `[synchronized]`.
    text : str
    own_fields : tuple of Field
        Neither common nor synchronization fields nor operands.
    operands : tuple of Operand
    fields : tuple of Field
        Every field of the word but the opcode, operands' included.
    accesses : tuple of AccessRule
        Reads, then writes.
    reserved : int
        Mask of the bits that no field uses: they are zero.
    """

    name: str
    opcode: int
    unit: str
    unit_field: str
    synchronized: bool
    text: str
    own_fields: tuple[Field, ...]
    operands: tuple[Operand, ...]
    fields: tuple[Field, ...]
    accesses: tuple[AccessRule, ...]
    reserved: int

    @property
    def stored_bytes(self) -> int:
        """Bytes of the word in a program in DRAM: whole units of 32 bits, up to the last with a bit of a field."""
        return 4 * (max(field.high for field in self.fields) // 32 + 1)

    def field(self, name: str) -> Field:
        """The field called `name`; KeyError where there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Element:
    """A type that an enum value can name: bytes an element, and the memory it lies in."""

    bytes: int
    memory: str


@dataclass(frozen=True, slots=True)
class BlockField:
    """A member of the vector instruction's parameter block: offset in bytes, type int8, int16 or int32."""

    name: str
    offset: int
    type: str


@dataclass(frozen=True, slots=True)
class Definition:
    """The whole instruction set.

    Parameters
    ----------
    name : str
    version : int
    word_bits, loop_levels, address_registers, guard_registers, semaphores : int
        Register 0, guard 0 and semaphore 0 are counted.
    opcode : Field
    common : tuple of Field
        Fields of every instruction but the opcode.
    synchronized : tuple of Field
        Fields of every instruction a unit executes.
    formats : mapping of str to Format
        By name, in the file's order.
    enums : mapping of str to mapping of str to int
    enum_texts : mapping of str to mapping of str to str
        What an enum's values mean, where their names don't say it.
    elements : mapping of str to Element
    block_bytes : int
    block : tuple of BlockField
    columns : tuple of str
        Column names of `codec.table`: the opcode, then the union of all fields.
    """

    name: str
    version: int
    word_bits: int
    loop_levels: int
    address_registers: int
    guard_registers: int
    semaphores: int
    opcode: Field
    common: tuple[Field, ...]
    synchronized: tuple[Field, ...]
    formats: Mapping[str, Format]
    enums: Mapping[str, Mapping[str, int]]
    enum_texts: Mapping[str, Mapping[str, str]]
    elements: Mapping[str, Element]
    block_bytes: int
    block: tuple[BlockField, ...]
    columns: tuple[str, ...]

    @property
    def sequencer_unit(self) -> int:
        """Number of the sequencer where units are numbered: the first after `[enums.unit]`."""
        return max(self.enums["unit"].values()) + 1

    @property
    def memories(self) -> tuple[str, ...]:
        """DRAM, then the SRAMs."""
        return (DRAM, *self.enums["memory"])

    def value_name(self, enum: str, value: int) -> str:
        """The name of an enum's value; KeyError where it has none."""
        for name, number in self.enums[enum].items():
            if number == value:
                return name
        raise KeyError(value)

    def operand_memory(self, instruction: Format, operand: Operand, fields: Mapping[str, int]) -> str:
        """The memory an operand's address lies in; empty where the choosing field says there is none."""
        if not operand.memory_field:
            return operand.memory
        enum = instruction.field(operand.memory_field).enum
        name = self.value_name(enum, fields[operand.memory_field])
        if enum == "memory":
            return name
        return self.elements[name].memory if name in self.elements else ""


@cache
def definition() -> Definition:
    """The instruction set that ships with the package, loaded and checked once.

    Raises
    ------
    ManyErrors
        The file contradicts itself; one error a fault.
    InputError
        The file is missing or not TOML.
    """
    from accelsim.isa.load import load_definition

    return load_definition(resource_root() / "isa" / "isa.toml")
