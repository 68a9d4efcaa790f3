"""What a figure of speed means nothing without: the machine and the versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

PACKAGES = ("accelsim", "numpy", "numba", "llvmlite", "simpy", "pydantic", "click")


def machine() -> dict[str, str]:
    """The processor, its cores, the memory and the system, by name."""
    system = f"{platform.system()} {platform.release()}"
    return {"processor": _processor(), "cores": str(_cores()), "memory": _memory(), "system": system}


def versions() -> dict[str, str]:
    """Python's, and those of the packages whose speed counts."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        found[name] = importlib.metadata.version(name)
    return found


def _cores() -> int:
    """Those this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _field(path: str, name: str) -> str | None:
    """What a file of "name: value" lines says of a name."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), None)


def _processor() -> str:
    return _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()


def _memory() -> str:
    total = _field("/proc/meminfo", "MemTotal")
    return f"{int(total.split()[0]) * 1024 / 1e9:.0f} GB" if total else "not known"
