"""Fixtures every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development data; the test skips where it is absent."""
    root = Path(os.environ.get("ACCELSIM_SHARED", _REPOSITORY.parent / "shared"))
    if not (root / "data").is_dir():
        pytest.skip(f"development data not found at {root / 'data'} (set ACCELSIM_SHARED)")
    return root / "data"
