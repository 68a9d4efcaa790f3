"""From the text of `isa.toml` to a `Definition`; every fault of the text is found and reported at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from accelsim.errors import InputError, ManyErrors
from accelsim.isa.checker import Checker
from accelsim.isa.definition import (
    DRAM,
    AccessRule,
    BlockField,
    Definition,
    Element,
    Factor,
    Field,
    Format,
    Operand,
)

_NUMBERS = ("version", "word_bits", "loop_levels", "address_registers", "guard_registers", "semaphores")
_KINDS = ("uint", "int", "semaphore", "flag", "register", "guard")
_BLOCK_TYPES = {"int8": 1, "int16": 2, "int32": 4}
_MODIFIERS = ("bytes", "whole_tiles", "whole_blocks", "plus_one")
_MAX_OFFSET_BITS = 32


def load_definition(path: Path) -> Definition:
    """The instruction set of a TOML file.

    Raises
    ------
    InputError
        The file is missing or not TOML; or as `parse_definition`.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, "", str(error), "an instruction set") from None
    return parse_definition(data, path)


def parse_definition(data: Mapping[str, Any], where: str | Path) -> Definition:
    """Check the plain data of an instruction set file.

    Parameters
    ----------
    data : mapping
        The parsed TOML.
    where : str or Path
        Names the file in messages.

    Raises
    ------
    ManyErrors
        One error a fault: overlapping or misplaced bits, an opcode used twice, an enum that does not fit its field,
        an access that names no operand, an unknown key ...
    """
    return _Loader(data, where).load()


class _Loader(Checker):
    """Walks the data once, collecting faults; a fault yields a harmless stand-in so that the walk goes on."""

    def __init__(self, data: Mapping[str, Any], where: str | Path) -> None:
        super().__init__(where)
        self.data = data
        self.sizes: dict[str, int] = {}
        self.enums: dict[str, Mapping[str, int]] = {}
        self.enum_texts: dict[str, Mapping[str, str]] = {}
        self.elements: dict[str, Element] = {}

    def load(self) -> Definition:
        tables = ("isa", "enums", "elements", "common", "synchronized", "instruction", "parameter_block")
        self.keys("", self.data, tables, ("enum_texts",))
        isa = self.table("isa", self.data)
        self.keys("isa", isa, ("name", *_NUMBERS), ())
        self.sizes = {key: self.number(f"isa.{key}", isa.get(key), 1) for key in _NUMBERS}
        self.read_enums()
        self.read_enum_texts()
        common = self.fields("common", self.table("common", self.data))
        opcode = next((field for field in common if field.name == "opcode"), None)
        if opcode is None:
            self.fault("common.opcode", "missing")
            opcode = Field("opcode", "uint", 0, 0, 0, 1, "")
        common = [field for field in common if field.name != "opcode"]
        synchronized = self.fields("synchronized", self.table("synchronized", self.data))
        formats = {
            name: self.format(name, opcode, common, synchronized) for name in self.table("instruction", self.data)
        }
        self.opcodes(formats.values(), opcode)
        block_bytes, block = self.block()
        if self.errors:
            raise ManyErrors(self.errors)
        names = dict.fromkeys(field.name for item in formats.values() for field in item.fields)
        shared = [field.name for field in (*common, *synchronized)]
        return Definition(
            name=str(isa["name"]),
            **self.sizes,
            opcode=opcode,
            common=tuple(common),
            synchronized=tuple(synchronized),
            formats=formats,
            enums=self.enums,
            enum_texts=self.enum_texts,
            elements=self.elements,
            block_bytes=block_bytes,
            block=block,
            columns=tuple(dict.fromkeys(["opcode", *shared, *names])),
        )

    # --- enumerations and fields --------------------------------------------------------------------------------

    def read_enums(self) -> None:
        for name, values in self.table("enums", self.data).items():
            path = f"enums.{name}"
            if not isinstance(values, dict) or not values:
                self.fault(path, f"found {values!r}", "a table of names and numbers")
                continue
            numbers = {key: self.number(f"{path}.{key}", value, 0) for key, value in values.items()}
            if len(set(numbers.values())) < len(numbers):
                self.fault(path, "two names have the same value")
            self.enums[name] = numbers
        for name in ("memory", "unit"):
            if name not in self.enums:
                self.fault(f"enums.{name}", "missing")
                self.enums[name] = {"": 0}
        for name, element in self.table("elements", self.data).items():
            path = f"elements.{name}"
            if not isinstance(element, dict):
                self.fault(path, f"found {element!r}", "a table")
                continue
            self.keys(path, element, ("bytes", "memory"), ())
            if element.get("memory") not in self.enums["memory"]:
                self.fault(f"{path}.memory", f"found {element.get('memory')!r}", "one of [enums.memory]")
            size = self.number(f"{path}.bytes", element.get("bytes"), 1)
            self.elements[name] = Element(size, str(element.get("memory")))

    def read_enum_texts(self) -> None:
        for name, texts in self.table("enum_texts", self.data).items():
            path = f"enum_texts.{name}"
            if not isinstance(texts, dict) or name not in self.enums:
                self.fault(path, "is no table of an enum's values")
                continue
            self.keys(path, texts, (), self.enums[name])
            self.enum_texts[name] = {value: str(text) for value, text in texts.items()}

    def fields(self, path: str, table: Mapping[str, Any]) -> list[Field]:
        return [self.field(f"{path}.{name}", name, entry) for name, entry in table.items()]

    def field(self, path: str, name: str, entry: Any) -> Field:
        if not isinstance(entry, dict):
            self.fault(path, f"found {entry!r}", "a table")
            return Field(name, "uint", 0, 0, 0, 1, "")
        self.keys(path, entry, ("kind", "bits", "text"), ("minimum",))
        low, high = self.bits(f"{path}.bits", entry.get("bits"))
        kind, _, enum = str(entry.get("kind")).partition(":")
        minimum, maximum = self.range(path, kind, enum, high - low + 1)
        if "minimum" in entry:
            lowest = entry["minimum"]
            if not isinstance(lowest, int) or not minimum <= lowest <= maximum:
                self.fault(f"{path}.minimum", f"found {lowest!r}", f"an integer from {minimum} to {maximum}")
            else:
                minimum = lowest
        return Field(name, kind, low, high, minimum, maximum, self.text(path, entry), enum)

    def bits(self, path: str, bits: Any) -> tuple[int, int]:
        if isinstance(bits, list) and len(bits) == 2 and all(type(bit) is int for bit in bits):
            high, low = bits
            if 0 <= low <= high < self.sizes["word_bits"]:
                return low, high
        expected = f"[high, low] with {self.sizes['word_bits'] - 1} >= high >= low >= 0"
        self.fault(path, "missing" if bits is None else f"found {bits!r}", expected)
        return 0, 0

    def range(self, path: str, kind: str, enum: str, width: int) -> tuple[int, int]:
        largest = (1 << width) - 1
        if kind == "enum":
            if enum not in self.enums:
                self.fault(f"{path}.kind", f"no enum {enum!r}", f"one of {', '.join(self.enums)}")
                return 0, largest
            highest = max(self.enums[enum].values())
            if highest > largest:
                self.fault(path, f"value {highest} of enum {enum} does not fit {width} bits")
            return min(self.enums[enum].values()), highest
        if kind not in _KINDS or enum:
            self.fault(f"{path}.kind", f"found {kind!r}", f"one of {', '.join(_KINDS)}, enum:NAME")
        if kind == "flag" and width != 1:
            self.fault(path, f"a flag of {width} bits", "one bit")
        if kind == "int":
            return -(1 << (width - 1)), (1 << (width - 1)) - 1
        counts = {"register": "address_registers", "guard": "guard_registers", "semaphore": "semaphores"}
        if kind in counts:
            count = self.sizes[counts[kind]]
            if count - 1 > largest:
                self.fault(path, f"{width} bits can't name {count} {counts[kind].replace('_', ' ')}")
            return 0, min(count - 1, largest)
        return 0, largest

    # --- instructions -------------------------------------------------------------------------------------------

    def format(self, name: str, opcode: Field, common: Sequence[Field], synchronized: Sequence[Field]) -> Format:
        path = f"instruction.{name}"
        entry = self.table(name, self.table("instruction", self.data), "instruction.")
        self.keys(path, entry, ("opcode", "unit", "text"), ("synchronized", "fields", "operands", "reads", "writes"))
        is_synchronized = entry.get("synchronized", False)
        if not isinstance(is_synchronized, bool):
            self.fault(f"{path}.synchronized", f"found {is_synchronized!r}", "true or false")
        own = self.fields(f"{path}.fields", self.table("fields", entry, f"{path}."))
        unit, unit_field = self.unit(path, entry.get("unit"), own)
        operands = [
            self.operand(f"{path}.operands.{key}", key, value, own)
            for key, value in self.table("operands", entry, f"{path}.").items()
        ]
        addresses = [field for operand in operands for field in (operand.register, operand.offset)]
        fields = (*common, *(synchronized if is_synchronized else ()), *own, *addresses)
        used = self.layout(path, (opcode, *fields))
        by_name = {field.name: field for field in fields}
        accesses = [
            self.access(f"{path}.{key}[{index}]", rule, key == "writes", by_name, {item.name for item in operands})
            for key in ("reads", "writes")
            for index, rule in enumerate(self.rules(f"{path}.{key}", entry.get(key, [])))
        ]
        return Format(
            name=name,
            opcode=self.number(f"{path}.opcode", entry.get("opcode"), 0),
            unit=unit,
            unit_field=unit_field,
            synchronized=bool(is_synchronized),
            text=self.text(path, entry),
            own_fields=tuple(own),
            operands=tuple(operands),
            fields=fields,
            accesses=tuple(accesses),
            reserved=((1 << self.sizes["word_bits"]) - 1) & ~used,
        )

    def unit(self, path: str, unit: Any, own: Sequence[Field]) -> tuple[str, str]:
        name = str(unit)
        if name.startswith("by:"):
            chooser = name.removeprefix("by:")
            if not any(field.name == chooser and field.enum == "unit" for field in own):
                self.fault(f"{path}.unit", f"no field {chooser!r} of kind enum:unit")
            return "", chooser
        if name != "sequencer" and name not in self.enums["unit"]:
            known = ", ".join(("sequencer", *self.enums["unit"]))
            self.fault(f"{path}.unit", f"found {unit!r}", f"one of {known}, by:FIELD")
        return name, ""

    def operand(self, path: str, name: str, entry: Any, own: Sequence[Field]) -> Operand:
        if not isinstance(entry, dict):
            self.fault(path, f"found {entry!r}", "a table")
            entry = {}
        self.keys(path, entry, ("memory", "register", "offset", "text"), ())
        low, high = self.bits(f"{path}.register", entry.get("register"))
        registers = self.sizes["address_registers"]
        if 1 << (high - low + 1) < registers:
            self.fault(f"{path}.register", f"{high - low + 1} bits can't name {registers} address registers")
        last = min(registers - 1, (1 << (high - low + 1)) - 1)
        register = Field(f"{name}.register", "register", low, high, 0, last, "Address register.")
        low, high = self.bits(f"{path}.offset", entry.get("offset"))
        if high - low + 1 > _MAX_OFFSET_BITS:
            self.fault(f"{path}.offset", f"{high - low + 1} bits", f"at most {_MAX_OFFSET_BITS}")
        offset = Field(f"{name}.offset", "uint", low, high, 0, (1 << (high - low + 1)) - 1, "Byte offset.")
        memory, chooser = str(entry.get("memory")), ""
        if memory.startswith("by:"):
            memory, chooser = "", memory.removeprefix("by:")
            if not any(field.name == chooser and field.enum for field in own):
                self.fault(f"{path}.memory", f"no enum field {chooser!r}")
        elif memory not in (DRAM, *self.enums["memory"]):
            known = ", ".join((DRAM, *self.enums["memory"]))
            self.fault(f"{path}.memory", f"found {entry.get('memory')!r}", f"one of {known}, by:FIELD")
        return Operand(name, memory, chooser, register, offset, self.text(path, entry))

    def layout(self, path: str, fields: Sequence[Field]) -> int:
        used = 0
        names: set[str] = set()
        for field in fields:
            if used & field.mask:
                others = [other.name for other in fields if other is not field and other.mask & field.mask]
                self.fault(f"{path}.{field.name}", f"bits [{field.high}, {field.low}] overlap {', '.join(others)}")
            if field.name in names:
                self.fault(f"{path}.{field.name}", "two fields have this name")
            used |= field.mask
            names.add(field.name)
        return used

    def rules(self, path: str, rules: Any) -> list[Any]:
        if isinstance(rules, list):
            return rules
        self.fault(path, f"found {rules!r}", "a list of accesses")
        return []

    def access(
        self, path: str, rule: Any, is_write: bool, fields: Mapping[str, Field], operands: set[str]
    ) -> AccessRule:
        if not isinstance(rule, dict):
            self.fault(path, f"found {rule!r}", "a table")
            rule = {}
        self.keys(path, rule, ("operand", "bytes"), ("count", "pitch", "after", "when"))
        operand = str(rule.get("operand"))
        if operand not in operands:
            self.fault(f"{path}.operand", f"no operand {operand!r}", f"one of {', '.join(sorted(operands))}")
        for key in ("count", "pitch"):
            if key in rule and rule[key] not in fields:
                self.fault(f"{path}.{key}", f"no field {rule[key]!r}")
        if ("count" in rule) != ("pitch" in rule):
            self.fault(path, "count and pitch go together")
        factors = rule.get("bytes", [])
        if not isinstance(factors, list) or not factors:
            self.fault(f"{path}.bytes", f"found {factors!r}", "a list of factors")
            factors = []
        when_field, when_values = self.when(f"{path}.when", rule.get("when"), fields)
        return AccessRule(
            operand=operand,
            is_write=is_write,
            after=self.number(f"{path}.after", rule.get("after", 0), 0),
            factors=tuple(self.factor(f"{path}.bytes", factor, fields) for factor in factors),
            count=str(rule.get("count", "")),
            pitch=str(rule.get("pitch", "")),
            when_field=when_field,
            when_values=when_values,
        )

    def factor(self, path: str, factor: Any, fields: Mapping[str, Field]) -> Factor:
        if not isinstance(factor, str):
            return Factor(self.number(path, factor, 1))
        name, _, modifier = factor.partition(":")
        if name not in fields:
            self.fault(path, f"no field {name!r}")
        elif modifier and modifier not in _MODIFIERS:
            self.fault(path, f"found {factor!r}", f"FIELD, or FIELD: and one of {', '.join(_MODIFIERS)}")
        elif modifier == "bytes" and not set(self.enums.get(fields[name].enum, ())) & set(self.elements):
            self.fault(path, f"field {name!r} names no type of [elements]")
        return Factor(1, name, modifier)

    def when(self, path: str, when: Any, fields: Mapping[str, Field]) -> tuple[str, frozenset[int]]:
        if when is None:
            return "", frozenset()
        values = when.get("is") if isinstance(when, dict) else None
        if not isinstance(when, dict) or when.get("field") not in fields or not isinstance(values, list):
            self.fault(path, f"found {when!r}", "{ field = FIELD, is = [VALUE, ...] }")
            return "", frozenset()
        self.keys(path, when, ("field", "is"), ())
        field = fields[when["field"]]
        names = self.enums.get(field.enum, {})
        numbers = set()
        for value in values:
            number = names.get(value) if isinstance(value, str) else value
            if not isinstance(number, int) or not field.minimum <= number <= field.maximum:
                self.fault(f"{path}.is", f"{value!r} is no value of field {field.name!r}")
            else:
                numbers.add(number)
        return field.name, frozenset(numbers)

    def opcodes(self, formats: Iterable[Format], opcode: Field) -> None:
        seen: dict[int, str] = {}
        for item in formats:
            path = f"instruction.{item.name}.opcode"
            if item.opcode in seen:
                self.fault(path, f"{item.opcode} is also the opcode of {seen[item.opcode]}")
            if item.opcode > opcode.maximum:
                self.fault(path, f"{item.opcode} does not fit {opcode.width} bits")
            seen.setdefault(item.opcode, item.name)
        for name in ("halt", "loop"):
            if name not in seen.values():
                self.fault(f"instruction.{name}", "missing")

    def block(self) -> tuple[int, tuple[BlockField, ...]]:
        path = "parameter_block"
        table = self.table(path, self.data)
        size = self.number(f"{path}.bytes", table.get("bytes"), 1)
        members: list[BlockField] = []
        taken: dict[int, str] = {}
        for name, entry in table.items():
            if name == "bytes":
                continue
            if not isinstance(entry, dict) or entry.get("type") not in _BLOCK_TYPES:
                self.fault(f"{path}.{name}", f"found {entry!r}", f"offset and a type of {', '.join(_BLOCK_TYPES)}")
                continue
            self.keys(f"{path}.{name}", entry, ("offset", "type"), ())
            width = _BLOCK_TYPES[entry["type"]]
            offset = self.number(f"{path}.{name}.offset", entry.get("offset"), 0)
            if offset % width or offset + width > size:
                self.fault(f"{path}.{name}", f"offset {offset}", f"a multiple of {width} inside {size} bytes")
            for byte in range(offset, offset + width):
                if taken.setdefault(byte, name) != name:
                    self.fault(f"{path}.{name}", f"byte {byte} overlaps {taken[byte]}")
                    break
            members.append(BlockField(name, offset, entry["type"]))
        return size, tuple(members)
