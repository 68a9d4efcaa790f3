from __future__ import annotations

import pytest
from profile_runs import Recorded, record


@pytest.fixture(scope="session")
def recorded() -> Recorded:
    return record()
