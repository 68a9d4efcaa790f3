"""Published figures of other machines: tables that ship with the package, each row with the band it has to stay in."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from accelsim.validation.networks import Node, Shape

_FOLDER = Path(__file__).parent / "data"

Quantity = Literal["cycles", "cycles_per_step", "array_cycles_per_step", "weight_bytes", "roofline_percent"]

QUANTITIES: dict[Quantity, str] = {
    "cycles": "cycles",
    "cycles_per_step": "cycles a step",
    "array_cycles_per_step": "array's cycles a step",
    "weight_bytes": "bytes of the weights' port",
    "roofline_percent": "% of the bandwidth roofline",
}
"""What a figure is of, in the words of a table."""


class Section(BaseModel):
    """A table of a data file: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Layer(Section):
    """A layer of a row's network.

    Parameters
    ----------
    cell, input, hidden, timesteps
        As in `Shape`.
    times : int
        So many equal layers, one after the other.
    name : str
        By which other layers read it.
    reads : tuple of str
        The layers whose results it reads side by side, and `input`, the network's own. Where layers say so, they are
        one program; each is a program of its own where not.
    """

    cell: str
    input: int
    hidden: int
    timesteps: int = 1
    times: Annotated[int, Field(ge=1)] = 1
    name: str = ""
    reads: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @property
    def shape(self) -> Shape:
        """The shape of its network."""
        return Shape(self.cell, self.input, self.hidden, self.timesteps)

    def __str__(self) -> str:
        return f"{self.times} x {self.shape}" if self.times > 1 else str(self.shape)


class Row(Section):
    """A published figure.

    Parameters
    ----------
    name : str
        What it is of; its only layer where empty.
    layers : tuple of Layer
        Programs that run one after the other, or one program where they read each other.
    batch : int
        Frames handled at once.
    quantity : str
        One of `QUANTITIES`.
    published : float
    band_percent : (float, float)
        The least and the largest error that the simulator may have.
    note : str
        What this row proves, or does not, beyond what its table says.
    """

    name: str = ""
    layers: Annotated[tuple[Layer, ...], Field(min_length=1, strict=False)]
    batch: Annotated[int, Field(ge=1)] = 1
    quantity: Quantity = "cycles"
    published: Annotated[float, Field(gt=0, strict=False)]
    band_percent: Annotated[tuple[float, float], Field(strict=False)]
    note: str = ""

    @property
    def title(self) -> str:
        """Its name, or that of its only layer."""
        return self.name or str(self.layers[0])

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The layers of a network that is one program; none where each is one of its own."""
        return tuple(Node(layer.name, layer.shape, layer.reads) for layer in self.layers if layer.reads)

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        low, high = self.band_percent
        if low > high:
            raise ValueError("band_percent: the larger error first")
        if not self.name and len(self.layers) > 1:
            raise ValueError("name: missing, with more than one layer")
        if self.nodes and (len(self.nodes) < len(self.layers) or any(layer.times > 1 for layer in self.layers)):
            raise ValueError("reads: missing for a layer, or with times; either all layers are one program or none")
        if self.quantity.endswith("_per_step") and any(layer.timesteps % 2 for layer in self.layers):
            raise ValueError("timesteps: odd; a step's cycles are what the second half of the steps adds")
        return self


class Table(Section):
    """The published figures of one machine.

    Parameters
    ----------
    title : str
    chip : str
        Name of the chip file that describes the machine.
    source : str
        Where the figures are published.
    proves, does_not_prove : str
        What it says of the simulator that these rows stay in their bands.
    rows : tuple of Row
    """

    title: str
    chip: str
    source: str
    proves: str
    does_not_prove: str
    rows: Annotated[tuple[Row, ...], Field(min_length=1, strict=False)]


@cache
def published_tables() -> tuple[Table, ...]:
    """All tables, in the order of their files' names."""
    paths = sorted(_FOLDER.glob("*.toml"))
    return tuple(Table.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))) for path in paths)


def published_cycles(chip: str, shape: Shape, batch: int) -> Row | None:
    """The row of a machine's tables that gives the cycles of such a run; None where there is none.

    Parameters
    ----------
    chip : str
    shape : Shape
    batch : int
    """
    for table in published_tables():
        for row in table.rows if table.chip == chip else ():
            alone = len(row.layers) == 1 and row.layers[0].times == 1 and not row.nodes
            if alone and (row.quantity, row.layers[0].shape, row.batch) == ("cycles", shape, batch):
                return row
    return None
