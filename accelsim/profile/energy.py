"""Energy: what was done, times what the chip's table says one of it takes."""

from __future__ import annotations

from collections.abc import Mapping

from accelsim.chip import Chip
from accelsim.timing.record import MEMORY_NAMES

COMPONENTS = ("mac", "vector", *(f"{name}_sram" for name in MEMORY_NAMES[:-1]), "dram", "leakage")
"""What energy is reported of, in the order of reports."""


def energy_pj(
    chip: Chip, *, macs: int, elements: int, memory_bytes: Mapping[str, int], cycles: int
) -> dict[str, float]:
    """Energy by component, in picojoules.

    Multiply-accumulates of padding take none. A byte costs the same read or written. Leakage is power times time:
    ``milliwatts x cycles / megahertz`` is nanojoules.

    Parameters
    ----------
    chip : Chip
    macs : int
        Multiply-accumulates with real operands.
    elements : int
        Elements through the vector unit.
    memory_bytes : mapping of str to int
        Bytes read and written, of each of `timing.record.MEMORY_NAMES`.
    cycles : int

    Returns
    -------
    dict of str to float
        In the order of `COMPONENTS`.
    """
    table = chip.energy
    energy = {"mac": macs * table.mac_int8_pj, "vector": elements * table.vector_element_pj}
    for name in MEMORY_NAMES[:-1]:
        energy[f"{name}_sram"] = memory_bytes[name] * float(getattr(table, f"sram_{name}_pj_per_byte"))
    energy["dram"] = memory_bytes["dram"] * table.dram_pj_per_byte
    energy["leakage"] = table.leakage_mw * cycles / chip.chip.clock_mhz * 1000
    return energy
