"""Where the files that ship with the package are: instruction set, chips, bundled workload."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@cache
def resource_root() -> Path:
    """The folder that holds `isa/`, `configs/` and `workloads/`: inside the wheel, else the checkout."""
    shipped = _PACKAGE / "_resources"
    return shipped if shipped.is_dir() else _PACKAGE.parent


def workload_folder(name: str) -> Path:
    """The folder with the checked-in artefacts of a bundled workload."""
    root = resource_root()
    shipped = root / "workloads" / name
    return shipped / "artefacts" if (shipped / "artefacts").is_dir() else shipped
