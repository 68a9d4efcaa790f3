"""Writes what is derived from `isa.toml` and kept in the repository: `opcodes.py` and `ISA.md`.

Run as ``python -m accelsim.isa.generate``; with ``--check`` it writes nothing and fails where a file is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from accelsim.errors import InputError
from accelsim.isa.definition import Definition, definition
from accelsim.isa.reference import reference_text
from accelsim.resources import resource_root

COMMAND = "python -m accelsim.isa.generate"

_ENUM_TEXT = {
    "memory": "The SRAMs.",
    "unit": "The units with a queue of their own, and the sequencer.",
    "start": "What a matrix product's sums start from.",
    "source": "Type of a vector instruction's source.",
    "requantize": "How a vector instruction's source is scaled.",
    "addend": "What a vector instruction adds before its activation.",
    "activation": "Functions of the vector unit's table stage.",
    "destination": "Type of a vector instruction's result.",
    "place": "Where in the vector unit a vector instruction takes a wait.",
}


def outputs() -> dict[Path, str]:
    """Every generated file and the text it should hold."""
    return {
        Path(__file__).with_name("opcodes.py"): opcodes_text(definition()),
        resource_root() / "isa" / "ISA.md": reference_text(definition(), COMMAND),
    }


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with ``--check`` compare them; 0 when all is well.

    Raises
    ------
    InputError
        An argument other than ``--check``, or a file that is out of date.
    """
    if list(arguments) not in ([], ["--check"]):
        raise InputError(COMMAND, " ".join(arguments), "unknown argument", "nothing or --check")
    for path, text in outputs().items():
        if not arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            raise InputError(path, "", "out of date", f"what {COMMAND} writes")
    return 0


def opcodes_text(rules: Definition) -> str:
    """The source of `opcodes.py`."""
    lines = [
        '"""Numbers of the instruction set, for code that runs too often to look names up.',
        "",
        f"Generated from isa/isa.toml by `{COMMAND}`; do not edit.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "from enum import IntEnum",
        "",
        f'ISA_NAME = "{rules.name}"',
        f"ISA_VERSION = {rules.version}",
        f"WORD_BITS = {rules.word_bits}",
        f"LOOP_LEVELS = {rules.loop_levels}",
        f"ADDRESS_REGISTERS = {rules.address_registers}",
        f"GUARD_REGISTERS = {rules.guard_registers}",
        f"SEMAPHORES = {rules.semaphores}",
    ]
    lines += _enum("Op", "Opcodes.", {name: form.opcode for name, form in rules.formats.items()})
    for name, values in rules.enums.items():
        members = {**values, "sequencer": rules.sequencer_unit} if name == "unit" else values
        lines += _enum(name.capitalize(), _ENUM_TEXT.get(name, f"Values of the enum {name}."), members)
    lines += ["", "", "# Columns of `codec.table`."]
    lines += [f"COL_{_constant(name)} = {index}" for index, name in enumerate(rules.columns)]
    lines += [f"COLUMNS = {len(rules.columns)}", "", "# Byte offsets in a vector instruction's parameter block."]
    lines += [f"PARAM_{_constant(member.name)} = {member.offset}" for member in rules.block]
    lines += [f"PARAM_BYTES = {rules.block_bytes}"]
    return "\n".join(lines) + "\n"


def _enum(name: str, text: str, members: Mapping[str, int]) -> list[str]:
    return ["", "", f"class {name}(IntEnum):", f'    """{text}"""', ""] + [
        f"    {_constant(member)} = {value}" for member, value in members.items()
    ]


def _constant(name: str) -> str:
    return name.upper().replace(".", "_")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        sys.exit(str(error))
