"""Published figures beside simulated ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from accelsim.chip import Chip, load_chip
from accelsim.validation.networks import Node, Shape, build_joined
from accelsim.validation.published import Layer, Row, Table
from accelsim.validation.simulate import (
    Simulated,
    difference,
    one_after_the_other,
    repeated,
    simulate,
    simulate_shape,
)


@dataclass(frozen=True)
class Compared:
    """A row, and what the simulator says of it.

    Parameters
    ----------
    row : Row
    simulated : float
        Of the row's quantity.
    cycles, bound_cycles : float
        Of the run, or of one of its steps where the quantity is.
    limit : str
        What sets the bound.
    """

    row: Row
    simulated: float
    cycles: float
    bound_cycles: float
    limit: str

    @property
    def error_percent(self) -> float:
        """How far the simulator is above the published figure."""
        return 100 * (self.simulated / self.row.published - 1)

    @property
    def inside(self) -> bool:
        """Whether the error is in the row's band."""
        low, high = self.row.band_percent
        return low <= self.error_percent <= high

    @property
    def ratio(self) -> float:
        """Cycles over the lower bound."""
        return self.cycles / self.bound_cycles

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a key that is a quantity ends in its unit."""
        return {
            "row": self.row.title,
            "layers": [layer.model_dump() for layer in self.row.layers],
            "batch": self.row.batch,
            "quantity": self.row.quantity,
            "simulated": self.simulated,
            "published": self.row.published,
            "error_percent": self.error_percent,
            "band_percent": list(self.row.band_percent),
            "inside": self.inside,
            "cycles": self.cycles,
            "bound_cycles": self.bound_cycles,
            "limit": self.limit,
            "ratio": self.ratio,
        }


@dataclass(frozen=True)
class ComparedTable:
    """A table, its chip, and its rows compared."""

    table: Table
    chip: Chip
    rows: tuple[Compared, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "title": self.table.title,
            "chip": self.chip.name,
            "chip_digest": self.chip.digest,
            "source": self.table.source,
            "proves": self.table.proves,
            "does_not_prove": self.table.does_not_prove,
            "rows": [row.to_dict() for row in self.rows],
        }


def compare_tables(
    tables: Sequence[Table], *, chip: Chip | None = None, progress: Callable[[int, int], None] | None = None
) -> list[ComparedTable]:
    """Simulate every row of some tables.

    Parameters
    ----------
    tables : sequence of Table
    chip : Chip, optional
        To take instead of the one each table names.
    progress : callable, optional
        Called with the rows done and the rows in all.

    Raises
    ------
    InputError, CapacityError
        A chip file is wrong, or a network does not fit its chip.
    """
    total, done = sum(len(table.rows) for table in tables), 0
    compared = []
    for table in tables:
        runner = _Runner(chip or load_chip(table.chip))
        rows = []
        for row in table.rows:
            rows.append(runner.compare(row))
            done += 1
            if progress is not None:
                progress(done, total)
        compared.append(ComparedTable(table, runner.chip, tuple(rows)))
    return compared


class _Runner:
    """Simulates rows on a chip, and each program of theirs once."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self._known: dict[tuple[Shape | tuple[Node, ...], int], Simulated] = {}

    def compare(self, row: Row) -> Compared:
        run, steps = self._run(row), 1
        if row.quantity.endswith("_per_step"):
            halves = tuple(layer.model_copy(update={"timesteps": layer.timesteps // 2}) for layer in row.layers)
            run = difference(run, self._run(row.model_copy(update={"layers": halves})))
            steps = row.layers[0].timesteps // 2
        return Compared(
            row=row,
            simulated=self._value(row, run) / steps,
            cycles=run.cycles / steps,
            bound_cycles=run.bound.cycles / steps,
            limit=run.bound.limit,
        )

    def _value(self, row: Row, run: Simulated) -> float:
        if row.quantity == "weight_bytes":
            return run.weight_bytes
        if row.quantity == "array_cycles_per_step":
            return run.array_cycles
        if row.quantity == "roofline_percent":
            weights = sum(layer.times * layer.timesteps * layer.shape.weights for layer in row.layers)
            return 100 * float(weights / self.chip.dram.rate) / run.cycles
        return run.cycles

    def _run(self, row: Row) -> Simulated:
        if row.nodes:
            return self._network(row)
        return one_after_the_other([repeated(self._layer(layer, row.batch), layer.times) for layer in row.layers])

    def _network(self, row: Row) -> Simulated:
        key = row.nodes, row.batch
        if key not in self._known:
            self._known[key] = simulate(build_joined(row.title, row.nodes), self.chip, batch=row.batch)
        return self._known[key]

    def _layer(self, layer: Layer, batch: int) -> Simulated:
        key = layer.shape, batch
        if key not in self._known:
            self._known[key] = simulate_shape(layer.shape, self.chip, batch=batch)
        return self._known[key]
