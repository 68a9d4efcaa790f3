"""Two profiles side by side: which layers differ, in what, and by how much."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelsim.profile.saved import Number, Saved, SavedProfile

_DIGITS = 6
"""Of fractions in `profile.csv`: figures that agree in as many are the same."""
_CLOSE = 1e-5
"""Times of a cycle that are this close to each other are the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure in both profiles.

    Parameters
    ----------
    a, b : int or float
    """

    a: Number
    b: Number

    @property
    def absolute(self) -> Number:
        """B minus A; 0 for fractions that agree in the digits that `profile.csv` has."""
        has_fraction = isinstance(self.a, float) or isinstance(self.b, float)
        if has_fraction and f"{self.a:.{_DIGITS}g}" == f"{self.b:.{_DIGITS}g}":
            return 0
        return self.b - self.a

    @property
    def relative(self) -> float | None:
        """The same over A; None where A is 0 and B is not."""
        if not self.absolute:
            return 0.0
        return self.absolute / self.a if self.a else None

    def to_dict(self) -> dict[str, Number | None]:
        """For JSON."""
        return {"a": self.a, "b": self.b, "difference": self.absolute, "relative": self.relative}


@dataclass(frozen=True)
class LayerDifference:
    """A layer of both profiles, or the whole.

    Parameters
    ----------
    name : str
    kinds : (str, str)
        What it is in A and in B.
    figures : mapping of str to Difference
        Those that both profiles have.
    """

    name: str
    kinds: tuple[str, str]
    figures: Mapping[str, Difference]

    @property
    def is_same(self) -> bool:
        """Whether no figure differs."""
        return not any(one.absolute for one in self.figures.values())

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        figures = {name: one.to_dict() for name, one in self.figures.items()}
        return {"name": self.name, "kind_a": self.kinds[0], "kind_b": self.kinds[1], "figures": figures}


@dataclass(frozen=True)
class ProfileDifference:
    """Two profiles.

    Parameters
    ----------
    a, b : SavedProfile
    layers : tuple of LayerDifference
        Those of both, matched by name: the largest difference in cycles first, then in energy, then in order of A.
    only_a, only_b : tuple of Saved
        Layers without a match, in order.
    total : LayerDifference
    """

    a: SavedProfile
    b: SavedProfile
    layers: tuple[LayerDifference, ...]
    only_a: tuple[Saved, ...]
    only_b: tuple[Saved, ...]
    total: LayerDifference

    @property
    def clocks_differ(self) -> bool:
        """Whether a cycle takes another time in B, so that cycles do not say which is faster."""
        cycles, times = (self.total.figures.get(name) for name in ("cycles", "time_us"))
        if cycles is None or times is None or not (cycles.a and cycles.b):
            return False
        # Times of a `profile.csv` are rounded.
        return not math.isclose(times.a / cycles.a, times.b / cycles.b, rel_tol=_CLOSE)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: figures by their names in `profile.csv`."""
        return {
            "a": {"source": self.a.source, **self.a.about},
            "b": {"source": self.b.source, **self.b.about},
            "total": self.total.to_dict()["figures"],
            "layers": [layer.to_dict() for layer in self.layers],
            "only_a": [_alone(layer) for layer in self.only_a],
            "only_b": [_alone(layer) for layer in self.only_b],
            "figures_only_a": _missing(self.a, self.b),
            "figures_only_b": _missing(self.b, self.a),
        }


def compare(a: SavedProfile, b: SavedProfile) -> ProfileDifference:
    """What differs between two profiles.

    Layers are the same that have the same name; of several with one name, the first of A goes with the first of B, and
    so on.

    Parameters
    ----------
    a, b : SavedProfile
    """
    waiting: dict[str, list[Saved]] = defaultdict(list)
    for layer in b.layers:
        waiting[layer.name].append(layer)
    pairs: list[LayerDifference] = []
    only_a = []
    for layer in a.layers:
        if waiting[layer.name]:
            pairs.append(_pair(layer, waiting[layer.name].pop(0)))
        else:
            only_a.append(layer)
    left = [layer for layers in waiting.values() for layer in layers]
    only_b = [layer for layer in b.layers if any(layer is one for one in left)]
    pairs.sort(key=lambda pair: tuple(-abs(_of(pair, name)) for name in ("cycles", "energy_nj")))
    return ProfileDifference(a, b, tuple(pairs), tuple(only_a), tuple(only_b), _pair(a.total, b.total))


def _pair(a: Saved, b: Saved) -> LayerDifference:
    shared = {name: Difference(a.figures[name], b.figures[name]) for name in a.figures if name in b.figures}
    return LayerDifference(a.name, (a.kind, b.kind), shared)


def _of(pair: LayerDifference, name: str) -> Number:
    return pair.figures[name].absolute if name in pair.figures else 0


def _alone(layer: Saved) -> dict[str, Any]:
    return {"name": layer.name, "kind": layer.kind, "figures": dict(layer.figures)}


def _missing(of: SavedProfile, other: SavedProfile) -> Sequence[str]:
    """Figures that the other profile does not have."""
    return [name for name in of.total.figures if name not in other.total.figures]
