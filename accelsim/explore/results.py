"""The columns of a sweep's tables, and a point's results as they go there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accelsim.profile.energy import COMPONENTS
from accelsim.profile.profile import CAUSES, Part, Profile

DONE, FAILED = "done", "failed"
MOST_DEATHS = 3
"""So many workers may end while they are at a point; then it is given up."""
LOST = f"the worker's process ended {MOST_DEATHS} times, of memory perhaps"
"""Reason of a point that was given up: of the machine it was tried on, not of the point."""

POINT_COLUMNS = {
    "model": "TEXT",
    "batch": "INTEGER",
    "schedule_asked": "TEXT",
    "settings": "TEXT",
    "status": "TEXT",
    "reason": "TEXT",
    "schedule": "TEXT",
    "cycles": "INTEGER",
    "setup_cycles": "INTEGER",
    "time_us": "REAL",
    "time_per_frame_us": "REAL",
    "bound_cycles": "INTEGER",
    "bound_limit": "TEXT",
    "macs": "INTEGER",
    "mac_utilization": "REAL",
    "dram_bytes": "INTEGER",
    "energy_nj": "REAL",
    "energy_per_frame_nj": "REAL",
    "area_mm2": "REAL",
    **{f"{cause}_cycles": "INTEGER" for cause in CAUSES},
    **{f"energy_{name}_nj": "REAL" for name in COMPONENTS},
}
"""Of a point, beside its number: name and type. `settings` is a JSON object of the swept chip keys. Figures are of a
batch of `batch` frames, but for those that say otherwise."""

LAYER_COLUMNS = {
    "layer": "INTEGER",
    "name": "TEXT",
    "kind": "TEXT",
    "cycles": "INTEGER",
    **{f"{cause}_cycles": "INTEGER" for cause in CAUSES},
    "macs": "INTEGER",
    "dram_bytes": "INTEGER",
    "energy_nj": "REAL",
}
"""Of a layer of a point, beside the point's number."""


@dataclass(frozen=True)
class Result:
    """What came of a point.

    Parameters
    ----------
    number : int
    columns : mapping of str to value
        Of `POINT_COLUMNS`; those that are not there are NULL.
    layers : sequence of mapping
        Rows of `LAYER_COLUMNS`.
    """

    number: int
    columns: Mapping[str, Any]
    layers: Sequence[Mapping[str, Any]] = field(default=())


def profile_columns(profile: Profile, area_mm2: float | None) -> dict[str, Any]:
    """The columns of a point that was simulated.

    Parameters
    ----------
    profile : Profile
        Of one frame, or one batch of them.
    area_mm2 : float or None
    """
    total = profile.total
    return {
        "status": DONE,
        "schedule": profile.schedule,
        "cycles": total.cycles,
        "setup_cycles": profile.setup_cycles,
        "time_us": total.time_us,
        "time_per_frame_us": total.time_us / profile.batch,
        "bound_cycles": profile.bound.cycles,
        "bound_limit": profile.bound.limit,
        "macs": total.macs,
        "mac_utilization": total.mac_utilization,
        "dram_bytes": total.memory["dram"].bytes,
        "energy_nj": total.energy_nj,
        "energy_per_frame_nj": total.energy_nj / profile.batch,
        "area_mm2": area_mm2,
        **{f"{cause}_cycles": cycles for cause, cycles in total.causes.items()},
        **{f"energy_{name}_nj": energy / 1000 for name, energy in total.energy_pj.items()},
    }


def layer_columns(profile: Profile) -> list[dict[str, Any]]:
    """The rows of its layers; the last is what belongs to none."""
    return [_layer(number, part) for number, part in enumerate(profile.layers)]


def _layer(number: int, part: Part) -> dict[str, Any]:
    return {
        "layer": number,
        "name": part.name,
        "kind": part.kind,
        "cycles": part.cycles,
        **{f"{cause}_cycles": cycles for cause, cycles in part.causes.items()},
        "macs": part.macs,
        "dram_bytes": part.memory["dram"].bytes,
        "energy_nj": part.energy_nj,
    }
