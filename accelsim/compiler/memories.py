"""Handing out addresses of the on-chip memories."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from accelsim.chip import Chip, Sram
from accelsim.compiler.layout import align
from accelsim.errors import CapacityError
from accelsim.isa.program import Region


@dataclass
class Memory:
    """Hands out addresses of one memory, upwards.

    Parameters
    ----------
    name : str
        As in the memory map.
    shape : Sram
    """

    name: str
    shape: Sram
    top: int = 0
    regions: list[Region] = field(default_factory=list)

    def take(self, name: str, size: int, *, apart_from: Collection[int] = ()) -> int:
        """The address of a new buffer of `size` bytes, aligned to words.

        `apart_from` holds addresses of buffers that the same beats touch: the new one starts in another bank than
        each of them, so that they don't collide beat by beat.
        """
        word, banks = self.shape.word_bytes, self.shape.banks
        start = align(self.top, word)
        taken = {address // word % banks for address in apart_from}
        for bank in range(banks):
            if (start // word + bank) % banks not in taken:
                start += bank * word
                break
        self.regions.append(Region(name, self.name, start, size))
        self.top = start + size
        return start

    def check(self, chip: Chip) -> None:
        """Raise CapacityError if more was handed out than there is."""
        if self.top > self.shape.capacity_bytes:
            largest = max(self.regions, key=lambda region: region.bytes)
            hint = f"largest buffer: {largest.name}, {largest.bytes:,} bytes"
            raise CapacityError(chip.name, f"sram.{self.name}", self.top, self.shape.capacity_bytes, "bytes", hint)
