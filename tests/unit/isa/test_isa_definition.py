"""Every contradiction in an instruction set file is found, and all of them at once."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from accelsim.errors import InputError, ManyErrors
from accelsim.isa.definition import definition
from accelsim.isa.load import load_definition, parse_definition
from accelsim.resources import resource_root


def shipped() -> dict[str, Any]:
    return tomllib.loads((resource_root() / "isa" / "isa.toml").read_text(encoding="utf-8"))


def changed(path: str, value: Any) -> dict[str, Any]:
    """The shipped data with one entry replaced; None deletes it."""
    data = copy.deepcopy(shipped())
    *parents, last = path.split("/")
    table: Any = data
    for key in parents:
        table = table[int(key)] if isinstance(table, list) else table[key]
    if value is None:
        del table[last]
    else:
        table[int(last) if isinstance(table, list) else last] = value
    return data


UINT = {"kind": "uint", "text": "x"}

BAD = [
    ("isa/version", 0, "isa.version: found 0; expected an integer of at least 1"),
    ("isa/word_bits", True, "isa.word_bits: found True"),
    ("isa/loop_levels", None, "isa.loop_levels: missing"),
    ("isa/colour", 1, "isa.colour: unknown key"),
    ("isa", 3, "isa: found 3; expected a table"),
    ("surplus", {}, "surplus: unknown key"),
    ("enums/memory", None, "enums.memory: missing"),
    ("enums/start", {}, "enums.start: found {}; expected a table of names and numbers"),
    ("enums/start/bias", 0, "enums.start: two names have the same value"),
    ("enums/start/bias", -1, "enums.start.bias: found -1"),
    ("enums/start/bias", 4, "value 4 of enum start does not fit 2 bits"),
    ("enum_texts/start/biass", "x", "enum_texts.start.biass: unknown key"),
    ("enum_texts/begin", {}, "enum_texts.begin: is no table of an enum's values"),
    ("elements/int8", 1, "elements.int8: found 1; expected a table"),
    ("elements/int8/memory", "disk", "elements.int8.memory: found 'disk'; expected one of [enums.memory]"),
    ("common/opcode", None, "common.opcode: missing"),
    ("common/guard", 1, "common.guard: found 1; expected a table"),
    ("common/guard/bits", [8, 6], "3 bits can't name 16 guard registers"),
    ("common/guard/bits", [9, 5], "overlap opcode"),
    ("common/guard/bits", None, "common.guard.bits: missing"),
    ("common/guard/bits", [6, 9], "common.guard.bits: found [6, 9]; expected [high, low]"),
    ("common/guard/bits", [288, 280], "found [288, 280]"),
    ("common/guard/kind", "floating", "common.guard.kind: found 'floating'"),
    ("common/guard/text", "", "common.guard.text: found ''"),
    ("common/guard/text", None, "common.guard.text: missing"),
    ("common/opcode/bits", [3, 0], "16 does not fit 4 bits"),
    ("synchronized/wait0_each/bits", [18, 17], "a flag of 2 bits"),
    ("instruction/nop", 1, "instruction.nop: found 1; expected a table"),
    ("instruction/nop/opcode", 1, "is also the opcode of nop"),
    ("instruction/halt", None, "instruction.halt: missing"),
    ("instruction/nop/unit", "engine", "instruction.nop.unit: found 'engine'"),
    ("instruction/sync/unit", "by:memory", "instruction.sync.unit: no field 'memory' of kind enum:unit"),
    ("instruction/load/synchronized", 1, "instruction.load.synchronized: found 1; expected true or false"),
    ("instruction/loop/fields/count/minimum", -1, "instruction.loop.fields.count.minimum: found -1"),
    ("instruction/loop/fields/more", UINT | {"bits": [255, 240]}, None),
    ("instruction/loop/fields/more", UINT | {"bits": [60, 57]}, "overlap length"),
    ("instruction/loop/fields/guard", UINT | {"bits": [255, 240]}, "two fields have this name"),
    ("instruction/load/fields/memory/kind", "enum:store", "no enum 'store'"),
    ("instruction/load/operands/source", 1, "instruction.load.operands.source: found 1; expected a table"),
    ("instruction/load/operands/source/memory", "disk", "found 'disk'; expected one of dram, weights"),
    ("instruction/load/operands/source/memory", "by:rows", "no enum field 'rows'"),
    ("instruction/load/operands/source/register", [63, 60], "4 bits can't name 32 address registers"),
    ("instruction/load/operands/source/offset", [255, 214], "42 bits; expected at most 32"),
    ("instruction/load/reads", 1, "instruction.load.reads: found 1; expected a list of accesses"),
    ("instruction/load/reads/0", 1, "instruction.load.reads[0]: found 1; expected a table"),
    ("instruction/load/reads/0/operand", "sauce", "no operand 'sauce'; expected one of destination, source"),
    ("instruction/load/reads/0/count", "columns", "no field 'columns'"),
    ("instruction/load/reads/0/pitch", None, "count and pitch go together"),
    ("instruction/load/reads/0/after", -4, "found -4"),
    ("instruction/load/reads/0/bytes", [], "found []; expected a list of factors"),
    ("instruction/load/reads/0/bytes", ["columns"], "no field 'columns'"),
    ("instruction/load/reads/0/bytes", [0], "found 0; expected an integer of at least 1"),
    ("instruction/load/reads/0/bytes", ["rows:tiles"], "found 'rows:tiles'"),
    ("instruction/load/reads/0/bytes", ["rows:bytes"], "field 'rows' names no type of [elements]"),
    ("instruction/matmul/reads/2/when", {"field": "begin", "is": [1]}, "expected { field = FIELD, is = [VALUE, ...] }"),
    ("instruction/matmul/reads/2/when/is", ["bais"], "'bais' is no value of field 'start'"),
    ("parameter_block/bytes", 0, "parameter_block.bytes: found 0"),
    ("parameter_block/low", 1, "parameter_block.low: found 1"),
    ("parameter_block/low/offset", 17, "offset 17; expected a multiple of 2 inside 32 bytes"),
    ("parameter_block/low/offset", 32, "offset 32; expected a multiple of 2 inside 32 bytes"),
    ("parameter_block/low/offset", 16, "parameter_block.low: byte 16 overlaps zero_point"),
]


@pytest.mark.parametrize(("path", "value", "expected"), BAD)
def test_a_fault_is_named(path: str, value: Any, expected: str | None) -> None:
    data = changed(path, value)
    if expected is None:
        assert "more" in parse_definition(data, "isa.toml").columns
        return
    with pytest.raises(ManyErrors) as caught:
        parse_definition(data, "isa.toml")
    assert expected in str(caught.value)
    assert all(str(error).startswith("isa.toml: ") for error in caught.value.errors)


def test_all_faults_are_reported_at_once() -> None:
    data = changed("common/guard/bits", [9, 5])
    data["isa"]["version"] = 0
    with pytest.raises(ManyErrors) as caught:
        parse_definition(data, "isa.toml")
    # One overlap an instruction, and the version.
    assert len(caught.value.errors) == len(data["instruction"]) + 1


def test_every_bit_is_accounted_for() -> None:
    rules = definition()
    for form in rules.formats.values():
        masks = [rules.opcode.mask, *(field.mask for field in form.fields), form.reserved]
        assert sum(masks) == 2**rules.word_bits - 1, form.name


@pytest.mark.parametrize("content", [None, b"[isa", b"\xff"])
def test_an_unreadable_file_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "isa.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"isa\.toml: .*expected an instruction set"):
        load_definition(path)


def test_lookups() -> None:
    rules = definition()
    with pytest.raises(KeyError):
        rules.formats["nop"].field("rows")
    with pytest.raises(KeyError):
        rules.value_name("start", 3)
    assert rules.memories == ("dram", "weights", "activations", "accumulators", "parameters")
