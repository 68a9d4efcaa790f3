"""Energy: what was done, times what one of it takes by the chip's cost table."""

from __future__ import annotations

from collections.abc import Mapping

from accelsim.chip import Chip
from accelsim.costs import ACTIONS, Costs, costs_of

COMPONENTS = (*ACTIONS, "leakage")
"""What energy is reported of, in the order of reports."""


def energy_pj(
    chip: Chip,
    *,
    macs: int,
    elements: int,
    memory_bytes: Mapping[str, int],
    cycles: int,
    costs: Costs | None = None,
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
    costs : Costs, optional
        What an action takes; if not given, `accelsim.costs.costs_of` the chip.

    Returns
    -------
    dict of str to float
        In the order of `COMPONENTS`.
    """
    costs = costs or costs_of(chip)
    counts = {"mac": macs, "vector": elements} | {
        name if name == "dram" else f"{name}_sram": count for name, count in memory_bytes.items()
    }
    energy = {name: counts[name] * costs.action_pj[name].value for name in ACTIONS}
    energy["leakage"] = costs.leakage_mw.value * cycles / chip.chip.clock_mhz * 1000
    return energy
