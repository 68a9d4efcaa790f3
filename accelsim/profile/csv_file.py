"""A profile as a flat table: the columns of `profile.csv` and of a pandas frame."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from accelsim.profile.profile import Part, Profile

if TYPE_CHECKING:
    import pandas as pd

Cell = str | int | float | None


def columns(part: Part) -> dict[str, Cell]:
    """A part's figures by column name, all of one frame.

    * ``layer``, ``kind``
    * ``cycles``, ``share_percent``, ``time_us``: the run's cycles spent on it; they add up over the layers
    * ``cause_*_cycles``: the same by cause
    * ``macs``, ``mac_utilization_percent``, ``vector_elements``
    * ``UNIT_REASON_cycles``: what each unit did for it; units work side by side
    * ``MEMORY_read_bytes``, ``MEMORY_written_bytes``
    * ``dram_bytes_per_cycle`` (over the run's cycles), ``macs_per_dram_byte`` (empty without DRAM traffic)
    * ``energy_nj`` and its components ``energy_*_nj``
    """
    row: dict[str, Cell] = {
        "layer": part.name,
        "kind": part.kind,
        "cycles": part.cycles,
        "share_percent": 100 * part.share,
        "time_us": part.time_us,
    }
    row |= {f"cause_{cause}_cycles": cycles for cause, cycles in part.causes.items()}
    row |= {
        "macs": part.macs,
        "mac_utilization_percent": 100 * part.mac_utilization,
        "vector_elements": part.elements,
    }
    for unit, reasons in part.units.items():
        row |= {f"{unit}_{reason}_cycles": cycles for reason, cycles in reasons.items()}
    for memory, traffic in part.memory.items():
        row[f"{memory}_read_bytes"] = traffic.read_bytes
        row[f"{memory}_written_bytes"] = traffic.written_bytes
    row |= {
        "dram_bytes_per_cycle": part.dram_bytes_per_cycle,
        "macs_per_dram_byte": part.macs_per_dram_byte,
        "energy_nj": part.energy_nj,
    }
    return row | {f"energy_{name}_nj": energy / 1000 for name, energy in part.energy_pj.items()}


def about(profile: Profile) -> dict[str, str | int | float]:
    """What a profile is of: program, chip, schedule, clock_mhz, batch; and setup_cycles, which come before it."""
    return {
        "program": profile.program,
        "chip": profile.chip,
        "schedule": profile.schedule,
        "clock_mhz": profile.total.clock_mhz,
        "batch": profile.batch,
        "setup_cycles": profile.setup_cycles,
    }


def profile_csv(profile: Profile) -> str:
    """The text of ``profile.csv``: a header, a row a layer, one for what is of no layer, and the total.

    Columns are those of `columns`; then, which only the total has, ``bound_cycles``, ``ratio`` and those of `about`.
    Lines end in LF, empty cells have no value, fractions have six significant digits.

    Parameters
    ----------
    profile : Profile
    """
    total = columns(profile.total) | {"bound_cycles": profile.bound.cycles, "ratio": profile.ratio} | about(profile)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(total), restval="", lineterminator="\n")
    writer.writeheader()
    for row in (*(columns(part) for part in profile.layers), total):
        writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})
    return text.getvalue()


def layers_frame(profile: Profile) -> pd.DataFrame:
    """The layers as a pandas frame, with the columns of `columns`; without the total, so that a sum is the total.

    Parameters
    ----------
    profile : Profile

    Returns
    -------
    pandas.DataFrame
        A row a layer and one for what is of no layer.
    """
    import pandas as pd

    return pd.DataFrame([columns(part) for part in profile.layers])
