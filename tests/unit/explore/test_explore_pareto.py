"""The front, against its definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from accelsim.explore.pareto import front_mask


@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(0, 30), st.integers(1, 4)),
        elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, np.inf, np.nan]),
    )
)
def test_the_front_is_what_nothing_is_better_than(values: np.ndarray) -> None:
    expected = []
    for one in values:
        better = [other for other in values if (other <= one).all() and (other < one).any()]
        expected.append(not np.isnan(one).any() and not better)
    assert front_mask(values).tolist() == expected
