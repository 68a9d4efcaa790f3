"""The `.cfg` file as text: written from a program, and read back into its parts with every type checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from accelsim.chip import Chip, dump_chip
from accelsim.chip.load import check_chip
from accelsim.errors import InputError
from accelsim.isa.assembler import INDENT, format_instruction, listing
from accelsim.isa.codec import decode
from accelsim.isa.definition import definition
from accelsim.isa.nearest import nearest
from accelsim.isa.program import HostTensor, LayerInfo, Program, Region
from accelsim.isa.toml_text import toml_lines, toml_string, toml_value
from accelsim.toml_input import parse_toml

FORMAT = "accelsim-program"
FORMAT_VERSION = 1

_TRAILER = "# sha256 = "
_DIGITS = 64


@dataclass(frozen=True, slots=True)
class WeightFile:
    """What a `.cfg` says of its `.weight` file: plain name, size of the file and SHA-256 of all of it."""

    file: str
    bytes: int
    sha256: str


# --- writing ------------------------------------------------------------------------------------------------------


def cfg_text(program: Program, weights: WeightFile) -> str:
    """The whole text of a `.cfg`; the same program gives the same bytes."""
    rules = definition()
    chip = program.chip
    lines = [
        f"# A compiled program for the {rules.name} instruction set.",
        "# The last line is the SHA-256 of all lines before it.",
        f"format = {toml_string(FORMAT)}",
        f"format_version = {FORMAT_VERSION}",
        f"name = {toml_string(program.name)}",
        f"schedule = {toml_string(program.schedule)}",
        "",
        "[isa]",
        f"name = {toml_string(rules.name)}",
        f"version = {program.isa_version}",
        "",
        "# Weights and parameters, as they lie in DRAM from this address on before the first frame.",
        "[weights]",
        *toml_lines({"file": weights.file, "bytes": weights.bytes, "sha256": weights.sha256}),
        f"address = {program.image_address}",
        "",
        "# What the host writes before a frame and reads after it: real = scale * (value - zero_point).",
        *_entries("input", program.inputs),
        *_entries("output", program.outputs),
        "# The memory map, in bytes.",
        *_entries("region", program.regions),
        "# Layers: MACs of one frame, and the half-open ranges of their instructions.",
        *_entries("layer", program.layers),
        "# Each instruction: the word, and the assembly that must agree with it.",
        "[program]",
        "words = [",
        *_word_lines(program),
        "]",
        "",
        f"# The chip {chip.name}, whole.",
        "[chip]",
        f"digest = {toml_string(chip.digest)}",
        *toml_lines({"description": dump_chip(chip)}, "chip"),
    ]
    text = "\n".join(lines) + "\n"
    return f"{text}{_TRAILER}{hashlib.sha256(text.encode()).hexdigest()}\n"


def _entries(kind: str, items: Sequence[HostTensor] | Sequence[Region] | Sequence[LayerInfo]) -> list[str]:
    lines = []
    for item in items:
        values = {field.name: getattr(item, field.name) for field in fields(item)}
        lines += [f"[[{kind}]]", *toml_lines(values), ""]
    return lines


def _word_lines(program: Program) -> list[str]:
    digits = definition().word_bits // 4
    lines = []
    for line in listing(program.instructions):
        if line.is_instruction:
            text = toml_string(format_instruction(program.instructions[line.index]))
            lines.append(f'{INDENT * (line.depth + 1)}["{program.words[line.index]:0{digits}x}", {text}],')
    return lines


# --- reading ------------------------------------------------------------------------------------------------------


def parse_cfg(content: bytes, where: str | Path) -> tuple[Program, WeightFile]:
    """The program of a `.cfg`, its image still empty, and what it says of its `.weight` file.

    Parameters
    ----------
    content : bytes
    where : str or Path
        Names the file in messages.

    Raises
    ------
    InputError
        Names the field that is wrong: altered or truncated text, not TOML, another format or version, a missing,
        unknown or ill-typed key, a word that is no instruction or that its assembly contradicts.
    """
    top = _Table(_load(content, where), where, "")
    isa = top.table("isa")
    program = top.table("program")
    chip = top.table("chip")
    weights = top.table("weights")
    isa.expect("name", definition().name)
    isa.expect("version", definition().version)
    result = Program(
        name=top.text("name"),
        isa_version=isa.integer("version"),
        chip=_chip(chip),
        schedule=top.text("schedule"),
        words=_words(program),
        inputs=tuple(_tensor(table) for table in top.tables("input")),
        outputs=tuple(_tensor(table) for table in top.tables("output")),
        regions=tuple(_region(table) for table in top.tables("region")),
        layers=tuple(_layer(table) for table in top.tables("layer")),
        image=b"",
        image_address=weights.integer("address"),
    )
    file = WeightFile(weights.text("file"), weights.integer("bytes"), weights.text("sha256"))
    if not file.file or any(mark in file.file for mark in "/\\\0") or file.file in (".", ".."):
        raise InputError(where, "weights.file", f"found {file.file!r}", "a file name without a folder")
    for table in (top, isa, program, chip, weights):
        table.finish()
    return result, file


def _load(content: bytes, where: str | Path) -> dict[str, Any]:
    trailer_bytes = len(_TRAILER) + _DIGITS + 1
    body, trailer = content[:-trailer_bytes], content[-trailer_bytes:]
    digest = hashlib.sha256(body).hexdigest()
    is_whole = trailer == f"{_TRAILER}{digest}\n".encode()
    # The kind of file is judged first: "altered" would mislead where it was never a program.
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise InputError(where, "", "not UTF-8 text", f"a compiled program ({FORMAT})") from None
    data = parse_toml(text, where, f"a compiled program ({FORMAT})")
    table = _Table(data, where, "")
    table.expect("format", FORMAT)
    table.expect("format_version", FORMAT_VERSION)
    if not trailer.startswith(_TRAILER.encode()):
        raise InputError(where, "last line", "no checksum: the file is truncated or altered", f"{_TRAILER.strip()} ...")
    if not is_whole:
        found = trailer[len(_TRAILER) :].decode().strip()
        raise InputError(where, "SHA-256 of the last line", f"found {found}: the file is altered", digest)
    return {key: value for key, value in data.items() if key not in ("format", "format_version")}


class _Table:
    """A TOML table whose keys are taken one by one; a key nobody takes is unknown."""

    def __init__(self, data: dict[str, Any], where: str | Path, path: str) -> None:
        self.data = data
        self.where = where
        self.path = path
        self.taken: set[str] = set()

    def fault(self, key: str, found: Any, expected: str) -> InputError:
        return InputError(self.where, self.path + key, "missing" if found is None else f"found {found!r}", expected)

    def take(self, key: str, kind: type, expected: str) -> Any:
        value = self.data.get(key)
        self.taken.add(key)
        if type(value) is not kind:
            raise self.fault(key, value, expected)
        return value

    def text(self, key: str) -> str:
        value: str = self.take(key, str, "text")
        return value

    def integer(self, key: str) -> int:
        value: int = self.take(key, int, "an integer")
        return value

    def expect(self, key: str, right: str | int) -> None:
        value = self.take(key, type(right), toml_value(right))
        if value != right:
            raise self.fault(key, value, toml_value(right))

    def items(self, key: str, kind: type, expected: str) -> tuple[Any, ...]:
        values = self.take(key, list, f"a list of {expected}s")
        for index, value in enumerate(values):
            if type(value) is not kind:
                raise self.fault(f"{key}[{index}]", value, f"a {expected}")
        return tuple(values)

    def table(self, key: str) -> _Table:
        return _Table(self.take(key, dict, "a table"), self.where, f"{self.path}{key}.")

    def tables(self, key: str) -> list[_Table]:
        if key not in self.data:
            self.taken.add(key)
            return []
        values = self.items(key, dict, "table")
        return [_Table(value, self.where, f"{self.path}{key}[{index}].") for index, value in enumerate(values)]

    def finish(self) -> None:
        for key in self.data:
            if key not in self.taken:
                raise InputError(self.where, self.path + key, "unknown key" + nearest(key, self.taken))


def _chip(table: _Table) -> Chip:
    description = table.take("description", dict, "the chip's description")
    chip = check_chip(description, f"{table.where}: chip.description")
    table.expect("digest", chip.digest)
    return chip


def _words(table: _Table) -> tuple[int, ...]:
    rows: Sequence[list[Any]] = table.items("words", list, "pair of word and assembly")
    digits = definition().word_bits // 4
    words = []
    for index, row in enumerate(rows):
        key = f"words[{index}]"
        if len(row) != 2 or not all(isinstance(item, str) for item in row):
            raise table.fault(key, row, '["word", "assembly"]')
        text, assembly = row
        if len(text) != digits or not set(text) <= set("0123456789abcdef"):
            raise table.fault(key, text, f"{digits} hexadecimal digits")
        word = int(text, 16)
        right = format_instruction(decode(word, f"{table.where}: {table.path}{key}"))
        if assembly != right:
            raise table.fault(key, assembly, f"{right!r}, which is what the word says")
        words.append(word)
    return tuple(words)


def _tensor(table: _Table) -> HostTensor:
    tensor = HostTensor(
        name=table.text("name"),
        dtype=table.text("dtype"),
        shape=table.items("shape", int, "integer"),
        scale=table.items("scale", float, "float"),
        zero_point=table.integer("zero_point"),
        address=table.integer("address"),
        batch=table.integer("batch"),
    )
    table.finish()
    return tensor


def _region(table: _Table) -> Region:
    region = Region(table.text("name"), table.text("memory"), table.integer("address"), table.integer("bytes"))
    table.finish()
    return region


def _layer(table: _Table) -> LayerInfo:
    ranges = table.items("instructions", list, "pair of integers")
    for index, pair in enumerate(ranges):
        if len(pair) != 2 or not all(type(item) is int for item in pair):
            raise table.fault(f"instructions[{index}]", pair, "[first, one past the last]")
    layer = LayerInfo(
        name=table.text("name"),
        kind=table.text("kind"),
        macs=table.integer("macs"),
        parameters_bytes=table.integer("parameters_bytes"),
        instructions=tuple((start, end) for start, end in ranges),
    )
    table.finish()
    return layer
