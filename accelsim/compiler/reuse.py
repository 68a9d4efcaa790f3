"""Programs that chips have in common: made once for all chips that are alike in all that was looked at to make them.

What is made from a chip is a function of the values that are read of it, and of those only: let another chip have the
same values at the places read. Then whoever makes it reads the same first value, decides the same, reads the same
second value, and so on, and makes the same. So the reads are noted, and where they agree nothing is made again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from accelsim.chip import Chip
from accelsim.chip.section import Section
from accelsim.errors import InputError
from accelsim.isa.program import Program

_MOST_BYTES = 128 * 2**20
"""Of weights in programs that are kept."""
_LEAST_BYTES = 2**16
"""Of what has no weights, or beside them."""

_Made = TypeVar("_Made")
Place = tuple[str, ...]
Reads = dict[Place, Hashable]


class Watched:
    """A chip, or a table of one, that notes the values read of it.

    Parameters
    ----------
    section : Section
    reads : dict of tuple of str to value
        Where it notes them, by their names from the chip on.
    place : tuple of str
        The names of this table.
    """

    def __init__(self, section: Section, reads: Reads, place: Place = ()) -> None:
        self._section, self._reads, self._place = section, reads, place

    def __getattr__(self, name: str) -> Any:
        """A table, watched too, or a value."""
        value = getattr(self._section, name)
        place = (*self._place, name)
        if isinstance(value, Section):
            return Watched(value, self._reads, place)
        if callable(value):
            raise TypeError(f"{'.'.join(place)} is no value")
        self._reads[place] = value
        return value


def watched(chip: Chip, reads: Reads) -> Chip:
    """A chip that notes what is read of it."""
    return cast(Chip, Watched(chip, reads))


class Reuse:
    """What was made for chips so far; what was used longest ago goes when weights take too much room."""

    def __init__(self) -> None:
        # By what it is, where the chip was read, and the values there.
        self._made: OrderedDict[Hashable, Any] = OrderedDict()
        self._places: dict[Hashable, dict[tuple[Place, ...], None]] = {}
        self._bytes = 0

    def get(self, key: Hashable, chip: Chip, make: Callable[[Chip], _Made]) -> _Made:
        """What `make` gives for a chip, or has given for one like it.

        Parameters
        ----------
        key : hashable
            All that it depends on beside the chip.
        chip : Chip
        make : callable
            Must not change what it has made before.

        Raises
        ------
        InputError
            As `make` raises it, or has raised it.
        """
        full: Hashable
        for places in self._places.get(key, ()):
            full = key, places, tuple(_value(chip, place) for place in places)
            if full in self._made:
                self._made.move_to_end(full)
                break
        else:
            full = self._make(key, chip, make)
        made = self._made[full]
        if isinstance(made, InputError):
            # Without the frames of those who were told before.
            raise made.with_traceback(None)
        return cast(_Made, made)

    def _make(self, key: Hashable, chip: Chip, make: Callable[[Chip], _Made]) -> Hashable:
        reads: Reads = {}
        try:
            made: _Made | InputError = make(watched(chip, reads))
        except InputError as error:
            made = error
        places = tuple(reads)
        full = key, places, tuple(reads.values())
        self._places.setdefault(key, {})[places] = None
        self._made[full] = made
        self._bytes += _size(made)
        while self._bytes > _MOST_BYTES and len(self._made) > 1:
            self._bytes -= _size(self._made.popitem(last=False)[1])
        return full


def _value(chip: Chip, place: Place) -> Any:
    value: Any = chip
    for name in place:
        value = getattr(value, name)
    return value


def _size(made: object) -> int:
    return _LEAST_BYTES + (len(made.image) if isinstance(made, Program) else 0)
