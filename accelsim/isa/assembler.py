"""Assembly text to instructions and back, by the slots of `grammar`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelsim.errors import InputError
from accelsim.isa.codec import Instruction
from accelsim.isa.definition import definition
from accelsim.isa.grammar import BODY_LENGTH, LOOP, FlagSlot, Slot, TokenError, slots
from accelsim.isa.nearest import nearest

INDENT = "    "

# A token ends at white space, but not inside an address's brackets.
_TOKEN = re.compile(r"[^\s\[]*\[[^\]]*\]\S*|\S+")


def assemble(text: str, where: str = "assembly") -> list[Instruction]:
    """The instructions of an assembly text without directives.

    Parameters
    ----------
    text : str
    where : str
        The file's name, for messages.

    Raises
    ------
    InputError
        Names the line and the token that is wrong, and the nearest known name.
    """
    assembler = Assembler()
    for number, line in enumerate(text.split("\n"), start=1):
        assembler.line(line, f"{where}:{number}")
    return assembler.finish(where)


def disassemble(instructions: Sequence[Instruction]) -> str:
    """Assembly text that `assemble` turns back into the same instructions."""
    return "".join(f"{INDENT * line.depth}{line.text}\n" for line in listing(instructions))


def format_instruction(instruction: Instruction) -> str:
    """One instruction on one line, a loop with its length instead of braces."""
    return _text(instruction, frozenset())


def parse_instruction(text: str, where: str = "assembly") -> Instruction:
    """The instruction of one line.

    Raises
    ------
    InputError
        As `assemble`; also where the line holds nothing, or opens a loop's braces.
    """
    found = assemble(text, where)
    if len(found) != 1:
        raise InputError(where, text, f"{len(found)} instructions", "one")
    return found[0]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a disassembly.

    Parameters
    ----------
    index : int
        The instruction; for a closing brace the one that follows it.
    depth : int
        Loops around it that are written with braces.
    text : str
    is_instruction : bool
    """

    index: int
    depth: int
    text: str
    is_instruction: bool


def listing(instructions: Sequence[Instruction]) -> list[Line]:
    """The lines of a disassembly; loops that nest well have braces, any other keeps its length."""
    lines: list[Line] = []
    ends: list[int] = []
    for index, instruction in enumerate(instructions):
        _close(lines, ends, index)
        end = index + 1 + instruction.fields[BODY_LENGTH] if instruction.name == LOOP else 0
        if instruction.name == LOOP and end <= (ends[-1] if ends else len(instructions)):
            text = _text(instruction, frozenset((BODY_LENGTH,))) + " {"
            lines.append(Line(index, len(ends), text, True))
            ends.append(end)
        else:
            lines.append(Line(index, len(ends), format_instruction(instruction), True))
    _close(lines, ends, len(instructions))
    return lines


class Assembler:
    """Takes assembly line by line."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self._open: list[tuple[int, str]] = []

    def line(self, line: str, where: str) -> None:
        """Add a line: an instruction, a closing brace, or nothing but a comment.

        Raises
        ------
        InputError
            The line is none of these.
        """
        tokens = _TOKEN.findall(line.partition(";")[0])
        if not tokens:
            return
        if tokens[0] == "}":
            if len(tokens) > 1:
                raise InputError(where, tokens[1], "text after a closing brace")
            self._close(where)
            return
        opens = tokens[-1] == "{"
        if opens:
            tokens.pop()
            if tokens[:1] != [LOOP]:
                raise InputError(where, "{", "a brace without a loop", f"{LOOP} count=N {{")
        instruction = _parse(tokens, where, opens)
        if opens:
            self._open.append((len(self.instructions), where))
        self.instructions.append(instruction)

    def finish(self, where: str) -> list[Instruction]:
        """The instructions.

        Raises
        ------
        InputError
            A loop's brace is still open.
        """
        if self._open:
            raise InputError(self._open[-1][1], "{", "never closed", "} on a line of its own")
        return self.instructions

    def _close(self, where: str) -> None:
        if not self._open:
            raise InputError(where, "}", "no loop is open")
        index, opened = self._open.pop()
        loop = self.instructions[index]
        length = len(self.instructions) - index - 1
        field = loop.format.field(BODY_LENGTH)
        if not field.minimum <= length <= field.maximum:
            expected = f"{field.minimum} to {field.maximum}"
            raise InputError(opened, LOOP, f"a body of {length} instructions", expected)
        self.instructions[index] = Instruction(LOOP, {**loop.fields, BODY_LENGTH: length})


def _close(lines: list[Line], ends: list[int], index: int) -> None:
    while ends and ends[-1] == index:
        ends.pop()
        lines.append(Line(index, len(ends), "}", False))


def _text(instruction: Instruction, hidden: frozenset[str]) -> str:
    form = instruction.format
    shown = (slot.show(form, instruction.fields) for key, slot in slots(instruction.name).items() if key not in hidden)
    return " ".join([instruction.name, *(token for token in shown if token)])


def _parse(tokens: Sequence[str], where: str, opens: bool) -> Instruction:
    name = tokens[0]
    if name not in definition().formats:
        raise InputError(where, name, "no such instruction" + nearest(name, definition().formats))
    known = slots(name)
    fields = dict.fromkeys((field.name for field in definition().formats[name].fields), 0)
    seen = {BODY_LENGTH} if opens else set()
    for token in tokens[1:]:
        slot, text = _find(known, token, name, where)
        if slot.key in seen:
            reason = "the braces give the length" if opens and slot.key == BODY_LENGTH else "written twice"
            raise InputError(where, token, reason)
        seen.add(slot.key)
        try:
            fields.update(slot.read(text))
        except TokenError as error:
            raise InputError(where, token, error.found, error.expected) from None
    missing = [key for key, slot in known.items() if slot.required and key not in seen]
    if missing:
        raise InputError(where, name, f"{', '.join(missing)} missing")
    return Instruction(name, fields)


def _find(known: Mapping[str, Slot], token: str, name: str, where: str) -> tuple[Slot, str]:
    """The slot of a token, and the text that the slot reads."""
    if token.startswith("?"):
        return known["?"], token[1:]
    key, equals, text = token.partition("=")
    if key not in known or key == "?":
        reason = f"{name} has no {key!r}" + nearest(key, (known_key for known_key in known if known_key != "?"))
        raise InputError(where, token, reason)
    slot = known[key]
    if not equals and not isinstance(slot, FlagSlot):
        raise InputError(where, token, "no value", f"{key}=VALUE")
    if equals and not text:
        raise InputError(where, token, "no value after =")
    return slot, text
