"""What of a program's instructions is the same again after some turns of a loop: for `steady`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accelsim.isa import Instruction
from accelsim.isa import opcodes as isa


def period(instruction: Instruction, level: int, modulus: int, beyond: int) -> int:
    """After how many turns of a loop what an `address` defines is the same again modulo `modulus`.

    The address is base + ((x + counter * stride) mod wrap), where x does not change with this loop's counter. If
    `modulus` divides `wrap`, or there is no wrap, it moves by counter * stride modulo `modulus`; else it is at least
    the same byte again when counter * stride is a multiple of `wrap`. That is asked for, too, where the ring reaches
    outside a memory: which of its turns do so is then found out by going through all of them.
    """
    fields = instruction.fields
    stride, wrap = fields[f"stride{level}"], fields["wrap"]
    grain = math.gcd(wrap, fields["phase"], *(fields[f"stride{other}"] for other in range(isa.LOOP_LEVELS)))
    outside = wrap > 0 and fields["base"] + wrap - grain + beyond > 0
    whole = wrap if wrap % modulus or outside else modulus
    return whole // math.gcd(whole, stride)


def near_period(instruction: Instruction, level: int, modulus: int) -> int:
    """The same as `period` where the loop comes to no end of the ring."""
    return modulus // math.gcd(modulus, instruction.fields[f"stride{level}"])


def room(instruction: Instruction, level: int) -> int:
    """So many turns of a loop, however often it is begun, go through no end of the ring of an `address`.

    In base + ((x + counter * stride) mod wrap), x modulo wrap is a multiple of the greatest common divisor g of `wrap`,
    `phase` and the other loops' strides, so it is wrap - g at most: while counter * stride is less than g, the address
    moves by counter * stride, as it does without a ring.
    """
    fields = instruction.fields
    stride = fields[f"stride{level}"]
    others = (fields[f"stride{other}"] for other in range(isa.LOOP_LEVELS) if other != level)
    grain = math.gcd(fields["wrap"], fields["phase"], *others)
    return (grain - 1) // stride + 1 if fields["wrap"] and stride > 0 else 0


def waited_tokens(instructions: Sequence[Instruction]) -> list[int]:
    """The semaphores, a bit each, that each instruction waits for; a loop with all of its body."""
    found = []
    for one in instructions:
        tokens = [one.fields.get(f"wait{slot}", 0) for slot in range(3)]
        found.append(sum({1 << token for token in tokens if token}))
    for number, one in enumerate(instructions):
        if one.name == "loop":
            for inner in range(number + 1, min(number + 1 + one.fields["length"], len(found))):
                found[number] |= found[inner]
    return found
