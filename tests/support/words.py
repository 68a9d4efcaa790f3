"""Programs with other instructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from accelsim.isa import Instruction, encode
from accelsim.isa.program import Program


def with_instructions(program: Program, instructions: Sequence[Instruction]) -> Program:
    """The program with these in place of its own."""
    return replace(program, words=tuple(encode(instruction) for instruction in instructions))
