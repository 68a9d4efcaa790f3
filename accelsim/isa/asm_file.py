"""`.asm` files: a whole program as text to read, edit and assemble again.

Directives, each on a line of its own; all but `.chip` may be left out:

    .program "NAME" schedule="..." isa=RNE version=1
    .chip NAME digest=SHA256            ; a shipped chip or a .toml file; or `.chip {`, the text of one, `}`
    .input "NAME" dtype=int8 shape=25x40 scale=0.25 zero_point=-3 address=0x0
    .output "NAME" ...                  ; as .input; scale takes one number or one a feature
    .region "NAME" memory=dram address=0x0 bytes=4096
    .layer "NAME" kind=lstm macs=1000 parameters_bytes=200
    .image address=0x1000 {             ; base64 lines, `}`; or `.image address=0x1000 file="lstm_r.weight"`
    .dram 0x1000 00ff 1234              ; bytes in hexadecimal; several make one image, zero in between
    .begin "NAME"                       ; the instructions from here to .end are the layer's
    .end
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from pathlib import Path

from accelsim.chip import Chip, chip_names, dump_chip, load_chip, load_chip_text
from accelsim.errors import InputError
from accelsim.isa.assembler import INDENT, Assembler, listing
from accelsim.isa.codec import encode
from accelsim.isa.definition import definition
from accelsim.isa.directives import Directive
from accelsim.isa.nearest import nearest
from accelsim.isa.program import HostTensor, LayerInfo, Program, Region
from accelsim.isa.toml_text import toml_lines, toml_string
from accelsim.isa.weight_file import read_weights

_BASE64_COLUMNS = 96

# --- writing ------------------------------------------------------------------------------------------------------


def disassemble_program(program: Program, weight_file: str = "") -> str:
    """A program as `.asm` text; `assemble_program` makes an equal program of it.

    Parameters
    ----------
    program : Program
    weight_file : str
        Refer to this `.weight` file, by a path relative to the `.asm` file, instead of writing the image inline.
    """
    rules = definition()
    head = f".program {toml_string(program.name)} schedule={toml_string(program.schedule)}"
    lines = [
        f"; A program for the {rules.name} instruction set.",
        f"{head} isa={rules.name} version={program.isa_version}",
    ]
    lines += _chip_lines(program.chip)
    lines += [""]
    lines += [_tensor_line(".input", tensor) for tensor in program.inputs]
    lines += [_tensor_line(".output", tensor) for tensor in program.outputs]
    lines += [
        f".region {toml_string(region.name)} memory={region.memory} address=0x{region.address:x} bytes={region.bytes}"
        for region in program.regions
    ]
    lines += [
        f".layer {toml_string(layer.name)} kind={toml_string(layer.kind)} macs={layer.macs}"
        f" parameters_bytes={layer.parameters_bytes}"
        for layer in program.layers
    ]
    lines += ["", *_code_lines(program), "", *_image_lines(program, weight_file)]
    return "\n".join(lines) + "\n"


def _chip_lines(chip: Chip) -> list[str]:
    if chip.name in chip_names() and load_chip(chip.name) == chip:
        return [f".chip {chip.name} digest={chip.digest}"]
    return [".chip {", *toml_lines(dump_chip(chip)), "}"]


def _tensor_line(directive: str, tensor: HostTensor) -> str:
    shape = "x".join(str(size) for size in tensor.shape)
    scale = ",".join(repr(scale) for scale in tensor.scale)
    return (
        f"{directive} {toml_string(tensor.name)} dtype={tensor.dtype} shape={shape} scale={scale}"
        f" zero_point={tensor.zero_point} address=0x{tensor.address:x}"
        + (f" batch={tensor.batch}" if tensor.batch != 1 else "")
    )


def _code_lines(program: Program) -> list[str]:
    starts = {start: layer.name for layer in program.layers for start, _ in layer.instructions}
    ends = {end for layer in program.layers for _, end in layer.instructions}
    lines = []
    for line in listing(program.instructions):
        if line.is_instruction:
            lines += _marks(line.index, starts, ends)
        lines.append(INDENT * line.depth + line.text)
    return lines + _marks(len(program.words), starts, ends)


def _marks(index: int, starts: dict[int, str], ends: set[int]) -> list[str]:
    marks = [".end"] if index in ends else []
    return [*marks, f".begin {toml_string(starts[index])}"] if index in starts else marks


def _image_lines(program: Program, weight_file: str) -> list[str]:
    head = f".image address=0x{program.image_address:x}"
    if weight_file:
        return [f"{head} file={toml_string(weight_file)}"]
    text = base64.b64encode(program.image).decode()
    body = [text[start : start + _BASE64_COLUMNS] for start in range(0, len(text), _BASE64_COLUMNS)]
    return [f"{head} {{", *body, "}"]


# --- reading ------------------------------------------------------------------------------------------------------


def assemble_program(text: str, where: str | Path) -> Program:
    """The program of an `.asm` text.

    Parameters
    ----------
    text : str
    where : str or Path
        The file, for messages and for finding the files it refers to; its stem is the name of a program without
        `.program`.

    Raises
    ------
    InputError
        Names the line and the token that is wrong; or what the program's static checks find.
    """
    program = _Reader(text, Path(where)).read()
    program.validate(where)
    return program


def read_asm(path: str | Path) -> Program:
    """The program of an `.asm` file.

    Raises
    ------
    InputError
        The file can't be read; or as `assemble_program`.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(path, "", error.strerror or str(error), "an assembly file (.asm)") from None
    except UnicodeDecodeError:
        raise InputError(path, "", "not UTF-8 text", "an assembly file (.asm)") from None
    return assemble_program(text, path)


class _Reader:
    """Goes through the lines once; directives set fields, all other lines go to the assembler."""

    def __init__(self, text: str, path: Path) -> None:
        self.path = path
        self.lines = enumerate(text.split("\n"), start=1)
        self.assembler = Assembler()
        self.name, self.schedule, self.version = path.stem or "program", "by hand", definition().version
        self.chip: Chip | None = None
        self.inputs: list[HostTensor] = []
        self.outputs: list[HostTensor] = []
        self.regions: list[Region] = []
        self.layers: dict[str, tuple[str, int, int]] = {}
        self.ranges: dict[str, list[tuple[int, int]]] = {}
        self.current = ("", 0, "")
        self.image: tuple[int, bytes] | None = None
        self.pieces: list[tuple[int, bytes, str]] = []
        self.seen: set[str] = set()

    def read(self) -> Program:
        known = self._directives()
        for number, line in self.lines:
            where = f"{self.path}:{number}"
            if not line.lstrip().startswith("."):
                self.assembler.line(line, where)
                continue
            directive = Directive(line, where)
            if directive.name not in known:
                raise InputError(where, directive.name, "no such directive" + nearest(directive.name, known))
            if directive.opens_block and directive.name not in (".chip", ".image"):
                raise InputError(where, "{", f"{directive.name} has no block")
            known[directive.name](directive)
            directive.finish()
        instructions = self.assembler.finish(str(self.path))
        if self.current[0]:
            raise InputError(self.current[2], ".begin", "never ended", ".end")
        if self.chip is None:
            raise InputError(self.path, ".chip", "missing", ".chip NAME")
        address, image = self._whole_image(self.chip)
        return Program(
            name=self.name,
            isa_version=self.version,
            chip=self.chip,
            schedule=self.schedule,
            words=tuple(encode(instruction) for instruction in instructions),
            inputs=tuple(self.inputs),
            outputs=tuple(self.outputs),
            regions=tuple(self.regions),
            layers=tuple(
                LayerInfo(name, kind, macs, size, tuple(self.ranges[name]))
                for name, (kind, macs, size) in self.layers.items()
            ),
            image=image,
            image_address=address,
        )

    def _directives(self) -> dict[str, Callable[[Directive], None]]:
        return {
            ".program": self._program,
            ".chip": self._chip,
            ".input": lambda directive: self.inputs.append(_tensor(directive)),
            ".output": lambda directive: self.outputs.append(_tensor(directive)),
            ".region": self._region,
            ".layer": self._layer,
            ".begin": self._begin,
            ".end": self._end,
            ".image": self._image,
            ".dram": self._dram,
        }

    def _once(self, directive: Directive) -> None:
        if directive.name in self.seen:
            raise InputError(directive.where, directive.name, "written twice")
        self.seen.add(directive.name)

    def _block(self, directive: Directive) -> Iterator[str]:
        for _, line in self.lines:
            if line.strip() == "}":
                return
            yield line
        raise InputError(directive.where, directive.name, "its block is never closed", "} on a line of its own")

    def _program(self, directive: Directive) -> None:
        self._once(directive)
        rules = definition()
        self.name = directive.word("name")
        self.schedule = directive.text("schedule", self.schedule)
        isa = directive.text("isa", rules.name)
        self.version = directive.number("version", rules.version)
        if (isa, self.version) != (rules.name, rules.version):
            found = f"instruction set {isa} version {self.version}"
            raise InputError(directive.where, directive.name, found, f"{rules.name} version {rules.version}")

    def _chip(self, directive: Directive) -> None:
        self._once(directive)
        if directive.opens_block:
            self.chip = load_chip_text("\n".join(self._block(directive)), directive.where)
            return
        name = directive.word("chip")
        try:
            self.chip = load_chip(self.path.parent / name if name.endswith(".toml") else name)
        except InputError as error:
            raise InputError(directive.where, directive.name, error.found or str(error), error.expected) from None
        digest = directive.text("digest", self.chip.digest)
        if digest != self.chip.digest:
            reason = f"{self.chip.digest}: the chip's description has changed; leave digest= out to take it as it is"
            raise InputError(directive.where, "digest=", f"found {digest}", reason)

    def _region(self, directive: Directive) -> None:
        name, memory = directive.word("name"), directive.text("memory")
        self.regions.append(Region(name, memory, directive.number("address"), directive.number("bytes")))

    def _layer(self, directive: Directive) -> None:
        name = directive.word("name")
        if name in self.layers:
            raise InputError(directive.where, name, "two layers have this name")
        numbers = directive.number("macs", 0), directive.number("parameters_bytes", 0)
        self.layers[name] = (directive.text("kind"), *numbers)
        self.ranges[name] = []

    def _begin(self, directive: Directive) -> None:
        name = directive.word("layer's name")
        if self.current[0]:
            raise InputError(directive.where, ".begin", f"layer {self.current[0]!r} has not ended", ".end before it")
        if name not in self.layers:
            raise InputError(directive.where, name, "no such layer" + nearest(name, self.layers))
        self.current = (name, len(self.assembler.instructions), directive.where)

    def _end(self, directive: Directive) -> None:
        name, start, _ = self.current
        if not name:
            raise InputError(directive.where, ".end", "no layer has begun")
        if start == len(self.assembler.instructions):
            raise InputError(directive.where, ".end", f"no instructions since .begin of layer {name!r}")
        self.ranges[name].append((start, len(self.assembler.instructions)))
        self.current = ("", 0, "")

    def _image(self, directive: Directive) -> None:
        self._once(directive)
        address = directive.number("address")
        if not directive.opens_block:
            self.image = (address, read_weights(self.path.parent / directive.text("file")))
            return
        text = "".join("".join(line.split()) for line in self._block(directive))
        try:
            self.image = (address, base64.b64decode(text.encode(), validate=True))
        except (binascii.Error, UnicodeEncodeError) as error:
            raise InputError(directive.where, ".image", f"not base64: {error}") from None

    def _dram(self, directive: Directive) -> None:
        where = directive.where
        address = directive.address()
        words = directive.rest()
        try:
            content = bytes.fromhex("".join(words))
        except ValueError as error:
            raise InputError(where, ".dram", f"not hexadecimal bytes: {error}") from None
        if not content:
            raise InputError(where, ".dram", "no bytes", ".dram ADDRESS BYTES")
        self.pieces.append((address, content, where))

    def _whole_image(self, chip: Chip) -> tuple[int, bytes]:
        if not self.pieces:
            return self.image or (0, b"")
        if self.image is not None:
            raise InputError(self.pieces[0][2], ".dram", "there is an .image already", "one or the other")
        first = min(address for address, _, _ in self.pieces)
        image = bytearray()
        for address, content, where in sorted(self.pieces, key=lambda piece: piece[0]):
            # Checked before the gap is filled: a mistyped address must not take all memory.
            if address + len(content) > chip.dram.capacity_bytes:
                expected = f"inside the {chip.dram.capacity_bytes} bytes of chip {chip.name}"
                raise InputError(where, ".dram", f"{len(content)} bytes at 0x{address:x}", expected)
            if address < first + len(image):
                raise InputError(where, ".dram", f"0x{address:x} overlaps another .dram")
            image += bytes(address - first - len(image)) + content
        return first, bytes(image)


def _tensor(directive: Directive) -> HostTensor:
    return HostTensor(
        name=directive.word("name"),
        dtype=directive.text("dtype", "int8"),
        shape=directive.numbers("shape", "x"),
        scale=directive.floats("scale"),
        zero_point=directive.number("zero_point", 0),
        address=directive.number("address"),
        batch=directive.number("batch", 1),
    )
