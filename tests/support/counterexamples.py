"""Programs as text that says all of a run's time: the chip, the instructions, and whose they are.

Data is left out, since no time depends on it; and nothing is checked, so that a program may be one that runs past its
end. Line by line: ``; why``, ``chip KEY VALUE`` for every key that is not the tiny chip's, ``dram BYTES``,
``layer NAME FIRST END``, instructions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from accelsim.chip import Chip, dump_chip
from accelsim.chip.load import check_chip
from accelsim.isa import encode
from accelsim.isa.assembler import format_instruction, parse_instruction
from accelsim.isa.opcodes import ISA_VERSION
from accelsim.isa.program import HostTensor, LayerInfo, Program, Region
from accelsim.machine.memory import dram_bytes
from tests.support.tiny import tiny_chip

BYTES = 16
"""Of input and output each, which lie at the beginning of DRAM."""


Layers = dict[str, tuple[tuple[int, int], ...]]
"""Of each layer the ranges of its instructions."""


def bare_program(chip: Chip, words: tuple[int, ...], layers: Layers, dram: int) -> Program:
    """A program of instructions alone, that can touch so many bytes of DRAM."""
    return Program(
        name="program",
        isa_version=ISA_VERSION,
        chip=chip,
        schedule="by chance",
        words=words,
        inputs=(HostTensor("x", "int8", (BYTES,), (1.0,), 0, 0),),
        outputs=(HostTensor("y", "int8", (BYTES,), (1.0,), 0, BYTES),),
        regions=(Region("io", "dram", 0, dram),),
        layers=tuple(LayerInfo(name, "part", 0, 0, ranges) for name, ranges in layers.items()),
        image=b"",
        image_address=0,
    )


def to_text(program: Program, why: str = "") -> str:
    """The text of a program; `from_text` makes one of it that takes the same time."""
    default = dict(_keys(dump_chip(tiny_chip())))
    lines = [f"; {line}" for line in why.splitlines()]
    for key, value in _keys(dump_chip(program.chip)):
        if key not in default or default[key] != value:
            lines.append(f"chip {key} {json.dumps(value)}")
    lines.append(f"dram {dram_bytes(program)}")
    for layer in program.layers:
        lines += [f"layer {layer.name} {first} {end}" for first, end in layer.instructions]
    lines += [format_instruction(instruction) for instruction in program.instructions]
    return "\n".join(lines) + "\n"


def from_text(text: str) -> Program:
    """The program of a text."""
    chip = dump_chip(tiny_chip())
    layers: Layers = {}
    words, dram = [], 0
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "chip":
            key, _, value = rest.partition(" ")
            *tables, last = key.split(".")
            section = chip
            for table in tables:
                section = section[table]
            section[last] = json.loads(value)
        elif kind == "dram":
            dram = int(rest)
        elif kind == "layer":
            name, first, end = rest.split()
            layers[name] = (*layers.get(name, ()), (int(first), int(end)))
        elif line and kind != ";":
            words.append(encode(parse_instruction(line)))
    return bare_program(check_chip(chip, "chip"), tuple(words), layers, dram)


def _keys(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All keys of a chip that say something of its time."""
    for name, value in section.items():
        if f"{prefix}{name}" in ("provenance", "energy", "schedule", "chip"):
            continue
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
