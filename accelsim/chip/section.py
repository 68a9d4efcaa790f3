"""What tables of figures have in common: how strict they are, and the ranges of their values."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from accelsim.chip.faults import MISFIT

MOST = 10**9
"""No figure needs to be larger, and with none larger every count of a run is a 64-bit integer."""

Positive = Annotated[int, Field(ge=1, le=MOST)]
Amount = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
"""An energy, a power or an area."""


class Section(BaseModel):
    """A table of the chip file: unknown keys are refused, values never change, and no type stands for another.

    An integer is a number too, but neither true nor false nor a text is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def misfit(key: str, found: object, expected: str) -> PydanticCustomError:
    """The error of a value that is in its range but does not fit the others of its table."""
    return PydanticCustomError(MISFIT, "does not fit", {"key": key, "found": found, "expected": expected})
