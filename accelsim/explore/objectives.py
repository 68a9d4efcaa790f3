"""What a search makes small: names that a user gives, and the columns they stand for."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.errors import InputError
from accelsim.isa.nearest import nearest


@dataclass(frozen=True)
class Objective:
    """A figure of a point; less is better.

    Parameters
    ----------
    name : str
    column : str
        Of a sweep's points.
    unit : str
    """

    name: str
    column: str
    unit: str

    @property
    def title(self) -> str:
        """With its unit, for a table's head or an axis."""
        return f"{self.name} / {self.unit}"


OBJECTIVES = {
    one.name: one
    for one in (
        # A frame is there when its batch is; what it takes is its part of the batch's.
        Objective("latency", "time_us", "µs"),
        Objective("time", "time_per_frame_us", "µs a frame"),
        Objective("energy", "energy_per_frame_nj", "nJ a frame"),
        Objective("area", "area_mm2", "mm²"),
        Objective("cycles", "cycles", "cycles"),
        Objective("dram", "dram_bytes", "bytes"),
    )
}


def parse_objectives(text: str) -> tuple[Objective, ...]:
    """The objectives of ``latency,energy,area``.

    Raises
    ------
    InputError
        An unknown one, with the nearest known; one twice; none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in OBJECTIVES:
            raise InputError(
                "--objective", "", f"found {name!r}{nearest(name, OBJECTIVES)}", f"some of {', '.join(OBJECTIVES)}"
            )
    if not names or len(set(names)) != len(names):
        raise InputError("--objective", "", f"found {text!r}", f"some of {', '.join(OBJECTIVES)}, each once")
    return tuple(OBJECTIVES[name] for name in names)
