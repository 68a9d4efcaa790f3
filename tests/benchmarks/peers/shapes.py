"""The layer shapes that every peer is given: those of the bundled keyword model, and one step of a large LSTM."""

from __future__ import annotations

from dataclasses import dataclass

GATES = 4


@dataclass(frozen=True)
class Product:
    """A matrix by a vector.

    Parameters
    ----------
    name : str
    rows : int
        Outputs.
    columns : int
        Inputs.
    """

    name: str
    rows: int
    columns: int


@dataclass(frozen=True)
class Network:
    """LSTM layers and a fully connected one after the last step.

    Parameters
    ----------
    name, title : str
    inputs, units, layers, steps : int
        Of the LSTM layers.
    outputs : int
        Of the fully connected layer; 0 where there is none.
    """

    name: str
    title: str
    inputs: int
    units: int
    layers: int
    steps: int
    outputs: int

    def products(self) -> list[Product]:
        """In the order of time: each LSTM's four gates are one product of its input and state, side by side."""
        made = []
        for step in range(self.steps):
            for layer in range(self.layers):
                columns = (self.inputs if layer == 0 else self.units) + self.units
                made.append(Product(f"l{layer}_step{step}", GATES * self.units, columns))
        if self.outputs:
            made.append(Product("fc", self.outputs, self.units))
        return made

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all products."""
        return sum(one.rows * one.columns for one in self.products())


KEYWORD = Network("keyword", "keyword model", inputs=40, units=24, layers=4, steps=25, outputs=12)
LARGE_STEP = Network(
    "lstm_1024", "one step of LSTM 1024 -> 1024", inputs=1024, units=1024, layers=1, steps=1, outputs=0
)
NETWORKS = (KEYWORD, LARGE_STEP)
