"""Static checks of a program: what is wrong on every run is found before the first."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from accelsim.chip import Chip
from accelsim.errors import CapacityError, DecodeError, InputError, ManyErrors
from accelsim.isa.codec import Instruction
from accelsim.isa.definition import DRAM, definition
from accelsim.isa.hazard import accesses
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import HostTensor, Program, Region
from accelsim.isa.stages import place_operations

_CHAINED_UNITS = (Unit.MATRIX, Unit.VECTOR)
"""Those whose elements chaining is about; a DMA counts rows, on every chip."""


def check_program(program: Program, where: str | Path) -> None:
    """Check a program against the instruction set, its chip and itself.

    Parameters
    ----------
    program : Program
    where : str or Path
        Names it in messages.

    Loops nest and end inside the program, which ends with its only halt and has one frame at most; the chip's vector
    unit has the operations of each instruction in their order; semaphores are within the chip's number;
    matrix and vector instructions hand on element by element only where the chip has chaining; addresses without a
    register lie inside their memories; regions lie inside theirs and are disjoint; host tensors
    lie inside DRAM regions, apart from the image; layers' instruction ranges are disjoint.

    Raises
    ------
    InputError
        What is wrong; as `ManyErrors` where it is more than one thing.
    """
    errors = list(_faults(program, where))
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ManyErrors(errors)


def memory_bytes(chip: Chip, memory: str) -> int:
    """Size of a memory, by its name in the instruction set."""
    if memory == DRAM:
        return chip.dram.capacity_bytes
    size: int = getattr(chip.sram, memory).capacity_bytes
    return size


def _faults(program: Program, where: str | Path) -> Iterator[InputError]:
    yield from _names(program, where)
    rules = definition()
    if program.isa_version != rules.version:
        yield InputError(where, "isa version", f"found {program.isa_version}", str(rules.version))
        return
    words = program.chip.sequencer.instruction_memory_words
    if len(program.words) > words:
        yield CapacityError(program.chip.name, "instruction memory", len(program.words), words, "words")
    try:
        instructions = program.instructions
    except DecodeError as error:
        yield error
        return
    yield from _control(instructions, where)
    for index, instruction in enumerate(instructions):
        yield from _instruction(program, index, instruction, where)
    yield from _regions(program, where)
    yield from _tensors(program, where)
    yield from _layers(program, where)


def _names(program: Program, where: str | Path) -> Iterator[InputError]:
    groups = {
        "region": [region.name for region in program.regions],
        "input": [tensor.name for tensor in program.inputs],
        "output": [tensor.name for tensor in program.outputs],
        "layer": [layer.name for layer in program.layers],
    }
    for kind, names in groups.items():
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield InputError(where, f"{kind} {name!r}", "two have this name")
    texts = [program.name, program.schedule, *(layer.kind for layer in program.layers)]
    for text in (*texts, *(name for names in groups.values() for name in names)):
        if not text or any(0xD800 <= ord(letter) < 0xE000 for letter in text):
            yield InputError(ascii(str(where)), "name", f"found {text!a}", "text that UTF-8 can hold")


def _control(instructions: Sequence[Instruction], where: str | Path) -> Iterator[InputError]:
    halts = [index for index, instruction in enumerate(instructions) if instruction.name == "halt"]
    if halts != [len(instructions) - 1] or instructions[-1].fields["guard"]:
        yield InputError(where, "instructions", f"halt at {halts}", "one unguarded halt, at the end")
    ends: list[int] = []
    frames = 0
    for index, instruction in enumerate(instructions):
        while ends and ends[-1] <= index:
            ends.pop()
        if instruction.name == "frame":
            frames += 1
            if ends or frames > 1 or instruction.fields["guard"]:
                yield InputError(where, f"instruction {index}", "frame", "one at most, unguarded, outside of loops")
        if instruction.name != "loop":
            continue
        end = index + 1 + instruction.fields["length"]
        outer = ends[-1] if ends else len(instructions)
        if end > outer:
            yield InputError(where, f"instruction {index}", f"the loop's body ends at {end}", f"at most {outer}")
        ends.append(end)
        if len(ends) > definition().loop_levels:
            expected = f"at most {definition().loop_levels}"
            yield InputError(where, f"instruction {index}", f"{len(ends)} nested loops", expected)


def _instruction(program: Program, index: int, instruction: Instruction, where: str | Path) -> Iterator[InputError]:
    place = f"instruction {index} ({instruction.name})"
    semaphores = program.chip.sequencer.semaphores
    form = instruction.format
    for field in form.fields:
        if field.kind == "semaphore" and instruction.fields[field.name] >= semaphores:
            found = f"{field.name} is s{instruction.fields[field.name]}"
            yield InputError(where, place, found, f"chip {program.chip.name} has s1 to s{semaphores - 1}")
    if not program.chip.chaining.enabled and instruction.unit in _CHAINED_UNITS:
        for field in form.fields:
            slot = field.name.removesuffix("_each")
            if slot != field.name and instruction.fields[field.name] and instruction.fields[slot]:
                found = f"{slot} is s{instruction.fields[slot]} for each element"
                yield InputError(where, place, found, f"one count in all: chip {program.chip.name} has no chaining")
    if instruction.name == "vector" and place_operations(instruction.fields, program.chip.vector.pipeline) is None:
        found = f"the stages of chip {program.chip.name} can't do its operations in their order"
        yield InputError(where, place, found, "operations that `vector.stages` has, in that order")
    offsets = {operand.name: instruction.fields[operand.offset.name] for operand in form.operands}
    registers = {operand.name: instruction.fields[operand.register.name] for operand in form.operands}
    if all(registers.values()):
        return
    mac = program.chip.mac
    for access in accesses(instruction, offsets, mac.rows, mac.weight_block_columns):
        size = memory_bytes(program.chip, access.memory)
        if registers[access.operand] == 0 and access.end > size:
            found = f"{access.operand} reaches byte {access.end - 1} of {access.memory}"
            yield InputError(where, place, found, f"at most {size - 1}")


def _regions(program: Program, where: str | Path) -> Iterator[InputError]:
    known = definition().memories
    by_memory: dict[str, list[Region]] = {}
    for region in program.regions:
        field = f"region {region.name!r}"
        if region.memory not in known:
            yield InputError(where, field, f"found memory {region.memory!r}", f"one of {', '.join(known)}")
            continue
        size = memory_bytes(program.chip, region.memory)
        if region.address < 0 or region.bytes < 1 or region.end > size:
            found = f"{region.bytes} bytes at {region.address}"
            yield InputError(where, field, found, f"inside the {size} bytes of {region.memory}")
        by_memory.setdefault(region.memory, []).append(region)
    for regions in by_memory.values():
        for lower, upper in pairwise(sorted(regions, key=lambda region: region.address)):
            if upper.address < lower.end:
                yield InputError(where, f"region {upper.name!r}", f"overlaps region {lower.name!r}")
    size = memory_bytes(program.chip, DRAM)
    if program.image_address < 0 or program.image_address + len(program.image) > size:
        found = f"{len(program.image)} bytes at {program.image_address}"
        yield InputError(where, "image", found, f"inside the {size} bytes of {DRAM}")


def _tensors(program: Program, where: str | Path) -> Iterator[InputError]:
    dram = [region for region in program.regions if region.memory == DRAM]
    image_end = program.image_address + len(program.image)
    for kind, tensors in (("input", program.inputs), ("output", program.outputs)):
        for tensor in tensors:
            field = f"{kind} {tensor.name!r}"
            yield from _quantization(field, tensor, where)
            place = f"{tensor.bytes} bytes at {tensor.address}"
            if not any(region.address <= tensor.address and tensor.end <= region.end for region in dram):
                yield InputError(where, field, place, "inside a DRAM region")
            if program.image and tensor.address < image_end and program.image_address < tensor.end:
                yield InputError(where, field, f"{place} overlap the image")


def _quantization(field: str, tensor: HostTensor, where: str | Path) -> Iterator[InputError]:
    if tensor.dtype != "int8":
        yield InputError(where, field, f"found dtype {tensor.dtype!r}", "int8")
    if not tensor.shape or min(tensor.shape) < 1:
        yield InputError(where, field, f"found shape {tensor.shape}", "one or more sizes of at least 1")
    elif len(tensor.scale) not in (1, tensor.shape[-1]):
        yield InputError(where, field, f"{len(tensor.scale)} scales", f"1 or {tensor.shape[-1]}")
    if not all(_is_float32(scale) and scale > 0 for scale in tensor.scale):
        yield InputError(where, field, "a scale is not a positive finite float32 value")
    if not 1 <= tensor.batch <= 64:
        yield InputError(where, field, f"found batch {tensor.batch}", "1 to 64")
    if not -128 <= tensor.zero_point <= 127:
        yield InputError(where, field, f"found zero point {tensor.zero_point}", "-128 to 127")


def _is_float32(value: float) -> bool:
    try:
        (rounded,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        return False
    return bool(rounded == value) and value not in (float("inf"), float("-inf"))


def _layers(program: Program, where: str | Path) -> Iterator[InputError]:
    claimed: list[tuple[int, int, str]] = []
    for layer in program.layers:
        field = f"layer {layer.name!r}"
        if layer.macs < 0 or layer.parameters_bytes < 0:
            yield InputError(where, field, "a negative number of MACs or bytes")
        if list(layer.instructions) != sorted(layer.instructions):
            yield InputError(where, field, "instruction ranges out of order")
        for start, end in layer.instructions:
            if not 0 <= start < end <= len(program.words):
                found = f"instructions {start} to {end}"
                yield InputError(where, field, found, f"a range inside 0 to {len(program.words)}")
            claimed.append((start, end, layer.name))
    for lower, upper in pairwise(sorted(claimed)):
        if upper[0] < lower[1]:
            found = f"instruction {upper[0]} is also layer {lower[2]!r}'s"
            yield InputError(where, f"layer {upper[2]!r}", found)
