"""Tables of results as a sweep has them, from formulas in place of a simulator."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

AXES: dict[str, list[Any]] = {
    "mac.rows": [8, 16, 32, 64],
    "mac.columns": [8, 16, 32, 64],
    "sram.weights.capacity_bytes": [32768, 65536, 131072],
    "dram.bytes_per_cycle": [1.0, 2.0, 4.0, 8.0],
}


def sweep_table(axes: dict[str, list[Any]] | None = None, *, fail: bool = True) -> pd.DataFrame:
    """Every combination; with `fail`, those of an array of 64 columns with the smallest memory have failed."""
    axes = AXES if axes is None else axes
    rows = []
    for number, values in enumerate(itertools.product(*axes.values())):
        point: dict[str, Any] = dict(zip(axes, values, strict=True))
        macs = point.get("mac.rows", 16) * point.get("mac.columns", 16)
        held = point.get("sram.weights.capacity_bytes", 65536)
        bus = point.get("dram.bytes_per_cycle", 4.0)
        cycles = round(4e6 / macs + max(0, 200_000 - held) / bus + 3000)
        energy = 900 + 0.02 * macs + held / 500 + max(0, 200_000 - held) * 0.004
        failed = fail and point.get("mac.columns") == 64 and held == 32768
        rows.append(
            {"number": number, "model": "kws", "batch": 1, "schedule_asked": "auto", **point}
            | ({"status": "failed", "reason": "does not fit"} if failed else {"status": "done", "reason": None})
            | {
                "cycles": np.nan if failed else cycles,
                "time_us": np.nan if failed else cycles / 400,
                "energy_per_frame_nj": np.nan if failed else energy,
                "area_mm2": np.nan if failed else macs * 4e-4 + held * 2e-6,
                "mac_utilization": np.nan if failed else 4e6 / macs / cycles,
            }
        )
    return pd.DataFrame(rows)
