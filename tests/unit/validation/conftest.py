"""A published table that takes no time to simulate, and the command line."""

from __future__ import annotations

import pytest

from accelsim.chip import load_chip
from accelsim.validation import published
from accelsim.validation.networks import Shape
from accelsim.validation.published import Layer, Quantity, Row, Table
from accelsim.validation.simulate import simulate_shape
from tests.support.command_line import Program

CHIP = "tx5368-small"
SHAPE = Shape("gru", 12, 16, 4)


@pytest.fixture
def accelsim(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(capsys)


@pytest.fixture
def cycles() -> int:
    """Of `SHAPE`, batch 2."""
    return simulate_shape(SHAPE, load_chip(CHIP), batch=2).cycles


def row(published: float, *, quantity: Quantity = "cycles", name: str = "", times: int = 1) -> Row:
    """A row of `SHAPE`, within 5 %."""
    layer = Layer(cell="gru", input=12, hidden=16, timesteps=4, times=times)
    return Row(
        name=name, layers=(layer,), batch=2, quantity=quantity, published=published, band_percent=(-5, 5), note="so so"
    )


def table(*rows: Row) -> Table:
    return Table(title="A machine", chip=CHIP, source="a paper", proves="much", does_not_prove="more", rows=rows)


@pytest.fixture
def small_tables(monkeypatch: pytest.MonkeyPatch, cycles: int) -> list[Table]:
    """In place of the published tables: one with a row that is right, and one of a whole other size.

    Tests change the list.
    """
    tables = [table(row(cycles)), table(row(1.02 * cycles, name="a little off"))]
    monkeypatch.setattr(published, "published_tables", lambda: tuple(tables))
    return tables
