"""Make `workloads/` importable: it is no part of the installed package."""

from __future__ import annotations

import sys
from pathlib import Path

# Last, so that an installed `accelsim` is not hidden by the checkout's.
sys.path.append(str(Path(__file__).resolve().parents[3]))
