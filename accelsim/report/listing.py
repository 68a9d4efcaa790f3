"""A program's assembly text line by line, each with the layer and the instruction that it is of."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.isa.asm_file import disassemble_program
from accelsim.isa.assembler import listing
from accelsim.isa.program import Program
from accelsim.profile.labels import printable

_AFTER_CODE = 2
"""Lines after the instructions: an empty one, and what names the weights' file."""


@dataclass(frozen=True, slots=True)
class ListingLine:
    """A line of the text.

    Parameters
    ----------
    text : str
    layer : int
        In the program's order; -1 for none.
    index : int
        The instruction; -1 for a line that is none.
    anchor : bool
        Whether it is the first of its layer.
    """

    text: str
    layer: int
    index: int
    anchor: bool


def listing_lines(program: Program, weight_file: str) -> list[ListingLine]:
    """What ``accelsim disasm`` prints, but for the weights, which are named by their file.

    Parameters
    ----------
    program : Program
    weight_file : str
    """
    # The k-th .begin opens the k-th range of instructions.
    ranges = sorted((start, layer) for layer, info in enumerate(program.layers) for start, _ in info.instructions)
    opened, layer, index = 0, -1, 0
    lines: list[ListingLine] = []
    seen: set[int] = set()
    texts = disassemble_program(program, weight_file).removesuffix("\n").split("\n")
    body = len(texts) - _AFTER_CODE - _code_length(program)
    for place, text in enumerate(texts):
        directive = place < body or text.startswith(".") or text.strip() in ("", "}")
        if place >= body and text.startswith(".begin "):
            layer = ranges[opened][1]
            opened += 1
        lines.append(ListingLine(printable(text), layer, -1 if directive else index, layer >= 0 and layer not in seen))
        seen.add(layer)
        index += not directive
        if text == ".end":
            layer = -1
    return lines


def _code_length(program: Program) -> int:
    """Lines of the instructions, braces and layers' marks."""
    starts = {start for info in program.layers for start, _ in info.instructions}
    ends = {end for info in program.layers for _, end in info.instructions}
    return len(listing(program.instructions)) + len(starts) + len(ends)
