"""The areas of an occupancy's panel: a buffer each, or where there are too many, what buffers have in common."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.profile.figures.style import text_of, texts_of
from accelsim.profile.occupancy import Buffer

_WIDTH = 38
"""Letters of an area's text."""
_LEAST_LAYER_WIDTH = 12
"""Letters of a layer's name: what a buffer is for stands whole, so it may go beyond the text's width."""
_NO_LAYER = "of no layer"


@dataclass(frozen=True, eq=False)
class Area:
    """A part of what a memory holds.

    Parameters
    ----------
    text : str
        What it is, no other of the memory's areas is called so.
    held_bytes : float64[bins]
    """

    text: str
    held_bytes: NDArray[np.float64]


def areas_of(buffers: Sequence[Buffer], layers: Sequence[str], most: int) -> list[Area]:
    """The areas of a memory: its buffers; else its layers; else what buffers are for; else some layers in a row each.

    Parameters
    ----------
    buffers : sequence of Buffer
        Of one memory.
    layers : sequence of str
        Names of all layers of the program, in order.
    most : int
        Areas, at least 2.

    Returns
    -------
    list of Area
        Those of layers in their order, so that a layer looks the same in all memories; others the largest first.
    """
    # What is no layer's is of its own, after them.
    by_layer = _grouped(buffers, lambda one: (one.layer, "" if one.layer else one.role))
    by_layer.sort(key=lambda group: layers.index(group[0].layer) if group[0].layer else len(layers))
    if len(by_layer) < len(buffers) <= most:
        return _largest_first([Area(_buffer_text(one, layers), one.held_bytes) for one in buffers])
    if len(by_layer) <= most:
        return [Area(_layer_text(group, layers), _sum(group)) for group in by_layer]
    by_role = _grouped(buffers, lambda one: one.role)
    if len({one.role for one in buffers if one.layer}) > 1 and len(by_role) <= most:
        return _largest_first([Area(_role_text(group, layers), _sum(group)) for group in by_role])
    if any(one.layer for one in buffers):
        return _rows_of_layers(buffers, layers, most)
    by_size = _largest_first([Area(_buffer_text(one, layers), one.held_bytes) for one in buffers])
    rest = by_size[most - 1 :]
    return [*by_size[: most - 1], Area(f"{len(rest)} other buffers", _sum(rest))]


def _rows_of_layers(buffers: Sequence[Buffer], layers: Sequence[str], most: int) -> list[Area]:
    shared = [one for one in buffers if not one.layer]
    found = {one.layer for one in buffers if one.layer}
    present = [name for name in layers if name in found]
    together = -(-len(present) // (most - bool(shared)))
    texts = dict(zip(layers, texts_of(layers, (_WIDTH - 4) // 2), strict=True))
    areas = []
    for start in range(0, len(present), together):
        row = present[start : start + together]
        text = texts[row[0]] if len(row) == 1 else f"{texts[row[0]]} to {texts[row[-1]]}"
        areas.append(Area(text, _sum([one for one in buffers if one.layer in row])))
    return [*areas, *([Area(_NO_LAYER, _sum(shared))] if shared else [])]


def _grouped(buffers: Sequence[Buffer], key: Callable[[Buffer], Hashable]) -> list[list[Buffer]]:
    groups: dict[Hashable, list[Buffer]] = {}
    for one in buffers:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())


def _largest_first(areas: list[Area]) -> list[Area]:
    return sorted(areas, key=lambda area: -float(area.held_bytes.sum()))


def _sum(buffers: Sequence[Buffer | Area]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.sum([one.held_bytes for one in buffers], axis=0)
    return total


def _buffer_text(buffer: Buffer, layers: Sequence[str]) -> str:
    role = text_of(buffer.role, _WIDTH)
    return f"{_short(buffer.layer, layers, len(role) + 1)} {role}" if buffer.layer else role


def _layer_text(group: Sequence[Buffer], layers: Sequence[str]) -> str:
    if len(group) == 1:
        return _buffer_text(group[0], layers)
    count = f" ({len(group)} buffers)"
    return _short(group[0].layer, layers, len(count)) + count


def _role_text(group: Sequence[Buffer], layers: Sequence[str]) -> str:
    if len(group) == 1:
        return _buffer_text(group[0], layers)
    return f"{text_of(group[0].role, _WIDTH)} ({len(group)} layers)"


def _short(layer: str, layers: Sequence[str], beside: int) -> str:
    """A layer's name where `beside` letters stand beside it; of all layers' names none reads the same."""
    return texts_of(layers, max(_LEAST_LAYER_WIDTH, _WIDTH - beside))[layers.index(layer)]
