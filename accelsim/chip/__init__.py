"""The chip description: typed, validated, every number a key with its unit in the name."""

from accelsim.chip.load import chip_names, dump_chip, load_chip, load_chip_text
from accelsim.chip.model import Chip, Sram

__all__ = ["Chip", "Sram", "chip_names", "dump_chip", "load_chip", "load_chip_text"]
