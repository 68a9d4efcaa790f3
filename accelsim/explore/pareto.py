"""Which points no other is better than."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def front_mask(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Points that no other is at least as good as in everything and better in something.

    Parameters
    ----------
    values : float64[points, objectives]
        Less is better. A point with a NaN is not in the front, and is better than none.

    Returns
    -------
    bool[points]
        Points with equal values are all in the front, or none of them.
    """
    values = np.asarray(values, dtype=np.float64)
    front = np.zeros(len(values), dtype=bool)
    # In the order of the first objective, then the second ...: what is better than a point comes before it.
    order = np.lexsort(values.T[::-1])
    kept: list[int] = []
    for number in order.tolist():
        point = values[number]
        if np.isnan(point).any():
            continue
        others = values[kept]
        dominated = (others <= point).all(axis=1) & (others < point).any(axis=1)
        if not dominated.any():
            kept.append(number)
    front[kept] = True
    return front
