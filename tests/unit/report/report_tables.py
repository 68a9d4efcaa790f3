"""Results of sweeps, made up: figures that a simple machine would have, so that there is something to trade off."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from accelsim.explore.results import LAYER_COLUMNS

AXES: dict[str, list[Any]] = {
    "mac.rows": [8, 16, 32],
    "mac.columns": [8, 16, 32, 64],
    "dram.bytes_per_cycle": [1, 2, 4, 8],
}
CAUSES = ("matrix", "vector", "latency", "dram", "sequencer")
SETTINGS = {"mac.rows": 32, "mac.columns": 64, "dram.bytes_per_cycle": 8}
LAYERS = (("lstm.l0", "lstm", 153_600, 8_136), ("lstm.l1", "lstm", 115_200, 5_536), ("fc", "linear", 288, 972))


@dataclass(frozen=True)
class MadeResults:
    points: pd.DataFrame
    layers: pd.DataFrame
    meta: Mapping[str, Any] = field(default_factory=dict)


def made_results(
    axes: Mapping[str, Sequence[Any]] = AXES,
    *,
    models: Sequence[str] = ("kws12",),
    batches: Sequence[int] = (1,),
    failing: int = 0,
    layers: Sequence[tuple[str, str, int, int]] = LAYERS,
    objectives: Sequence[str] = (),
    with_area: bool = True,
) -> MadeResults:
    """Every combination of the axes' values.

    Parameters
    ----------
    failing : int
        One of so many points fails; 0 for none.
    layers : sequence of (name, kind, macs, DRAM bytes)
    """
    points: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for number, (model, batch, *values) in enumerate(itertools.product(models, batches, *axes.values())):
        settings = dict(zip(axes, values, strict=True))
        point = {"number": number, "model": model, "batch": batch, "schedule_asked": "auto", **settings}
        if failing and number % failing == failing - 1:
            reason = f"chip tx5368: weights SRAM: {20_736 + number:,} bytes needed, 4,096 there"
            points.append(point | {"status": "failed", "reason": reason})
            continue
        own = [_layer(layer, settings, batch, scale=1 + models.index(model)) for layer in layers]
        rows += [{"number": number, "layer": at} | one for at, one in enumerate(own)]
        points.append(point | {"status": "done", "reason": None} | _whole(own, settings, batch, with_area))
    meta = {
        "format": 1,
        "accelsim": "0.1.0",
        "command": "accelsim sweep kws.onnx --set mac.rows=8,16,32",
        "models": [{"name": model, "path": f"{model}.onnx", "sha256": "a" * 64} for model in models],
        "chip": {"name": "tx5368", "sha256": "b" * 64},
        "axes": {key: list(values) for key, values in axes.items()},
        "constraints": ["mac.rows <= mac.columns"],
        "objectives": list(objectives),
        "seed": 7 if objectives else None,
        "energy": {"name": "45nm", "sha256": "c" * 64},
    }
    return MadeResults(pd.DataFrame(points), pd.DataFrame(rows, columns=["number", *LAYER_COLUMNS]), meta)


def _layer(layer: tuple[str, str, int, int], settings: Mapping[str, Any], batch: int, scale: int) -> dict[str, Any]:
    name, kind, macs, dram_bytes = layer
    chosen = SETTINGS | {key: value for key, value in settings.items() if key in SETTINGS}
    peak = chosen["mac.rows"] * chosen["mac.columns"]
    causes = {
        "matrix": math.ceil(macs * batch * scale / peak),
        "vector": math.ceil(macs / 1500),
        "latency": 200,
        "dram": math.ceil(dram_bytes * scale / chosen["dram.bytes_per_cycle"]),
        "sequencer": 1,
    }
    return {
        "name": name,
        "kind": kind,
        "cycles": sum(causes.values()),
        **{f"{cause}_cycles": cycles for cause, cycles in causes.items()},
        "macs": macs * batch * scale,
        "dram_bytes": dram_bytes * scale,
        "energy_nj": 0.33e-3 * macs * batch * scale + 52.3e-3 * dram_bytes * scale + 1e-4 * peak * sum(causes.values()),
    }


def _whole(
    own: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], batch: int, with_area: bool
) -> dict[str, Any]:
    chosen = SETTINGS | {key: value for key, value in settings.items() if key in SETTINGS}
    peak = chosen["mac.rows"] * chosen["mac.columns"]
    cycles = sum(layer["cycles"] for layer in own)
    macs, dram_bytes = (sum(layer[key] for layer in own) for key in ("macs", "dram_bytes"))
    bounds = {
        "MACs": math.ceil(macs / peak),
        "DRAM bytes, each once": math.ceil(dram_bytes / chosen["dram.bytes_per_cycle"]),
        "dependency path": 2000,
    }
    limit = max(bounds, key=lambda name: bounds[name])
    energy = {"mac": 0.33e-3 * macs, "dram": 52.3e-3 * dram_bytes, "leakage": 1e-4 * peak * cycles}
    return {
        "schedule": "wavefront, 7 steps between layers",
        "cycles": cycles,
        "setup_cycles": 0,
        "time_us": cycles / 400,
        "time_per_frame_us": cycles / 400 / batch,
        "bound_cycles": bounds[limit],
        "bound_limit": limit,
        "macs": macs,
        "mac_utilization": macs / (peak * cycles),
        "dram_bytes": dram_bytes,
        "energy_nj": sum(energy.values()),
        "energy_per_frame_nj": sum(energy.values()) / batch,
        "area_mm2": 1 + 0.0012 * peak + 0.2 * chosen["dram.bytes_per_cycle"] if with_area else math.nan,
        **{f"{cause}_cycles": sum(layer[f"{cause}_cycles"] for layer in own) for cause in CAUSES},
        **{f"energy_{name}_nj": value for name, value in energy.items()},
    }
