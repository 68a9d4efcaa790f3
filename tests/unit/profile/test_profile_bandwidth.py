from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.profile.bandwidth import spread_bursts


def test_a_burst_booked_at_its_end_is_spread_over_the_bins_before() -> None:
    # 8 bytes a bin: 20 bytes that ended in bin 2 took 8 of it, 8 of bin 1 and 4 of bin 0.
    traffic = np.array([[0, 0, 20, 8], [0, 0, 0, 0]])
    np.testing.assert_array_equal(spread_bursts(traffic, 8), [[4, 8, 8, 8], [0, 0, 0, 0]])


def test_reads_and_writes_are_moved_in_proportion() -> None:
    traffic = np.array([[0, 12], [0, 4]])
    np.testing.assert_array_equal(spread_bursts(traffic, 8), [[6, 6], [2, 2]])


@given(st.lists(st.integers(0, 100), min_size=1, max_size=40), st.floats(0.1, 200))
def test_nothing_is_lost_and_only_the_first_bin_can_be_too_full(read: list[int], bin_bytes: float) -> None:
    traffic = np.array([read, read[::-1]])
    spread = spread_bursts(traffic, bin_bytes)
    np.testing.assert_allclose(spread.sum(axis=1).sum(), traffic.sum(), rtol=1e-9, atol=1e-9)
    assert (spread >= -1e-9).all()
    assert (spread.sum(axis=0)[1:] <= bin_bytes * (1 + 1e-9)).all()


def test_what_fits_stays() -> None:
    traffic = np.array([[8, 0, 3], [0, 8, 5]])
    np.testing.assert_array_equal(spread_bursts(traffic, 8.0), traffic)
    assert spread_bursts(traffic, 8.0).dtype == np.float64
    assert spread_bursts(traffic, 8.0).sum() == pytest.approx(24)
