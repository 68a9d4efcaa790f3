"""Quantities as texts, in the unit that suits them."""

from __future__ import annotations

from collections.abc import Sequence

_TIMES = (("µs", 1.0), ("ms", 1e3), ("s", 1e6))
_ENERGIES = (("nJ", 1.0), ("µJ", 1e3), ("mJ", 1e6))
_SIZES = (("bytes", 1.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9))
_MOST = 1000.0
"""From this number on the next unit is taken."""


def in_time(microseconds: float) -> str:
    """A time."""
    return _in(microseconds, _TIMES)


def in_energy(nanojoules: float) -> str:
    """An energy."""
    return _in(nanojoules, _ENERGIES)


def in_bytes(count: float) -> str:
    """A size, in decimal units."""
    return _in(count, _SIZES)


def in_count(number: int, what: str) -> str:
    """So many of something, which takes an s where it is not one."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def energy_unit(largest_nj: float) -> tuple[str, float]:
    """The unit for energies up to this one, and how many nanojoules it is."""
    return _suited(largest_nj, _ENERGIES)


def _in(value: float, units: Sequence[tuple[str, float]]) -> str:
    unit, scale = _suited(value, units)
    return f"{value / scale:,.4g} {unit}"


def _suited(value: float, units: Sequence[tuple[str, float]]) -> tuple[str, float]:
    for unit, scale in units:
        # As it is written: 999.96 has four digits too many for its unit.
        if float(f"{value / scale:.4g}") < _MOST:
            return unit, scale
    return units[-1]
