"""The Pareto front."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def front_mask(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points no other beats: none is as small in every objective and smaller in one."""
    mask = np.ones(len(values), dtype=np.bool_)
    for at, value in enumerate(values):
        mask[at] = not ((values <= value).all(axis=1) & (values < value).any(axis=1)).any()
    return mask
