"""Boxes and segments in a plane, many against many.

A box is float64[4]: left, lower, right and upper edge; a segment float64[2, 2]: two points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def boxes_around(points: Floats, half: float) -> Floats:
    """float64[points, 4]: squares of twice `half`."""
    return np.concatenate([points - half, points + half], axis=-1)


def padded(boxes: Floats, by: float) -> Floats:
    """Boxes with a margin on each side."""
    return boxes + by * np.array([-1, -1, 1, 1])


def middles(boxes: Floats) -> Floats:
    """float64[boxes, 2]."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def overlap(boxes: Floats, others: Floats) -> Bools:
    """bool[boxes, others]: whether a part of one is covered by the other."""
    one, other = boxes[:, None], others[None]
    found: Bools = np.all((one[..., :2] < other[..., 2:]) & (other[..., :2] < one[..., 2:]), axis=-1)
    return found


def cross(boxes: Floats, segments: Floats) -> Bools:
    """bool[boxes, segments]: whether a segment touches a box (Liang and Barsky's clipping)."""
    start, along = segments[None, :, 0], segments[None, :, 1] - segments[None, :, 0]
    low, high = boxes[:, None, :2] - start, boxes[:, None, 2:] - start
    still = along == 0
    step = np.where(still, 1.0, along)
    # Along an axis in which it does not move, a segment is between two edges all the time or never.
    between = (low <= 0) & (high >= 0)
    enters = np.where(still, np.where(between, -np.inf, np.inf), np.minimum(low / step, high / step))
    leaves = np.where(still, np.inf, np.maximum(low / step, high / step))
    touched: Bools = np.maximum(enters.max(axis=-1), 0) <= np.minimum(leaves.min(axis=-1), 1)
    return touched


def meet(segments: Floats, others: Floats) -> Bools:
    """bool[segments, others]: whether they go through each other; those that only touch don't."""
    one, other = segments[:, None], others[None]
    through: Bools = (_sides(one, other).prod(axis=-1) < 0) & (_sides(other, one).prod(axis=-1) < 0)
    return through


def _sides(line: Floats, segment: Floats) -> Floats:
    """On which side of a line both ends of a segment are: -1, 0, 1."""
    start, along = line[..., :1, :], line[..., 1:, :] - line[..., :1, :]
    away = segment - start
    return np.sign(along[..., 0] * away[..., 1] - along[..., 1] * away[..., 0])
