"""Where a program's bytes lie, by layer and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelsim.isa.program import Program
from accelsim.timing.record import MEMORY_NAMES

SRAMS = MEMORY_NAMES[:-1]
"""The on-chip memories, in the order of reports."""

SHARED = "(shared)"
ALIGNMENT = "(alignment)"


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes of a layer, or of something else, in each on-chip memory.

    Parameters
    ----------
    name : str
    model_bytes : int or None
        Weights and constants as the model has them, without padding; None for what is no layer.
    sram : mapping of str to int
        By name in `SRAMS`.
    """

    name: str
    model_bytes: int | None
    sram: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StorageReport:
    """The memory map in figures.

    Parameters
    ----------
    rows : tuple of Storage
        The layers, then what is of no layer, then gaps that alignment leaves; they add up to `used`.
    used : Storage
        Up to the last byte in use of each memory.
    capacity : mapping of str to int
        Bytes of each of `SRAMS`.
    image_bytes, dram_bytes : int
        The image of weights and parameters; DRAM up to the last byte in use.
    instructions, instruction_capacity : int
        Words.
    """

    rows: tuple[Storage, ...]
    used: Storage
    capacity: Mapping[str, int]
    image_bytes: int
    dram_bytes: int
    instructions: int
    instruction_capacity: int


def storage(program: Program) -> StorageReport:
    """A program's memory map by layer: a region is of the layer whose name its own begins with.

    Parameters
    ----------
    program : Program
    """
    names = [layer.name for layer in program.layers]
    held = {name: dict.fromkeys(SRAMS, 0) for name in (*names, SHARED, ALIGNMENT)}
    used = dict.fromkeys(MEMORY_NAMES, 0)
    for region in program.regions:
        used[region.memory] = max(used[region.memory], region.end)
        if region.memory in SRAMS:
            held[owner_of(region.name, names)][region.memory] += region.bytes
    for memory in SRAMS:
        held[ALIGNMENT][memory] = used[memory] - sum(row[memory] for row in held.values())
    on_chip = {memory: used[memory] for memory in SRAMS}
    model: dict[str, int | None] = {layer.name: layer.parameters_bytes for layer in program.layers}
    chip = program.chip
    return StorageReport(
        rows=tuple(Storage(name, model.get(name), row) for name, row in held.items()),
        used=Storage("used", sum(layer.parameters_bytes for layer in program.layers), on_chip),
        capacity={memory: getattr(chip.sram, memory).capacity_bytes for memory in SRAMS},
        image_bytes=len(program.image),
        dram_bytes=max(used["dram"], program.image_address + len(program.image)),
        instructions=len(program.words),
        instruction_capacity=chip.sequencer.instruction_memory_words,
    )


def owner_of(region: str, layers: Sequence[str]) -> str:
    """The layer that a region is of: the longest name that fits, so that ``a b`` keeps what is not of a layer ``a``.

    Parameters
    ----------
    region : str
        A region's name.
    layers : sequence of str

    Returns
    -------
    str
        One of the layers, or `SHARED`.
    """
    owners = [name for name in layers if region == name or region.startswith(f"{name} ")]
    return max(owners, key=len, default=SHARED)
