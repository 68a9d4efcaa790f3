"""What the engine does in one step of a layer, as data: products and vector instructions.

`fused_cells` and `gatewise_cells` say which; where things lie and when they run is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.isa.opcodes import Activation, Addend, Place

INPUT, HIDDEN = "input", "hidden"
"""What a product reads: what feeds the stage, or the stage's own last result."""
RESULT = "result"
"""The name of the step that makes the stage's bytes, in every cell."""


@dataclass(frozen=True, eq=False)
class CellProduct:
    """A matrix-vector product.

    Parameters
    ----------
    name : str
    weights : int8[rows, columns]
    bias : int32[rows]
    reads : str
        `INPUT`, `HIDDEN`, or a buffer.
    """

    name: str
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    reads: str


@dataclass(frozen=True)
class Sums:
    """The accumulators of a product from a row on."""

    product: int
    row: int


@dataclass(frozen=True, eq=False)
class Step:
    """One vector instruction.

    Parameters
    ----------
    name : str
        `RESULT` for the one that makes the stage's bytes.
    block : bytes
        Its parameter block.
    source : Sums or str, optional
        Accumulators, or a buffer, int8 where its name ends in `8`, else int16; a constant zero where there is none.
        `NAME.new` is this step's side of a buffer that two steps share in turns, `NAME.old` the last step's.
    destination : str
        An int16 buffer, an int8 buffer whose name ends in `8`, or `RESULT`.
    takes_sums : int or None
        The product whose next elements it takes: each row's first reader does.
    after : tuple of str
        Earlier steps whose results it takes element by element.
    needs : tuple of (str, Place)
        Earlier steps that have to be complete, and where in the vector unit they are waited for.
    early : bool
        It works on input products alone, and comes before the recurrent ones.
    addend : Sums or str, optional
    activation : Activation
    factor, term : str, optional
        int16 buffers.
    shift : int
    real : bool
        Requantized by a float64 factor a channel.
    output_requantize : bool
    keep : str, optional
        A buffer for the int16 value before `output_requantize`.
    """

    name: str
    block: bytes
    source: Sums | str | None
    destination: str
    takes_sums: int | None = None
    after: tuple[str, ...] = ()
    needs: tuple[tuple[str, Place], ...] = ()
    early: bool = False
    addend: Sums | str | None = None
    activation: Activation = Activation.NONE
    factor: str | None = None
    shift: int = 0
    term: str | None = None
    real: bool = False
    output_requantize: bool = False
    keep: str | None = None

    @property
    def addend_type(self) -> Addend:
        """What the adder before the activation takes."""
        if self.addend is None:
            return Addend.NONE
        return Addend.INT32 if isinstance(self.addend, Sums) else Addend.INT16


@dataclass(frozen=True, eq=False)
class Cell:
    """A layer's step.

    Parameters
    ----------
    kind : str
    units : int
        Results a step, padding included.
    products : tuple of CellProduct
        The input's first, then those of the last result, then those of buffers.
    steps : tuple of Step
        In the order they are issued. All rows of a product are taken in ascending order.
    state : str
        The int16 buffer that lasts from step to step, has an old and a new side and starts at 0; empty for none.
    initial_hidden : int
        The bytes before the first step; 0 where there is no recurrence.
    hops : int
        Vector instructions on the way from the recurrent sums to the result.
    constants : tuple of str
        int8 buffers of zeros that steps read.
    """

    kind: str
    units: int
    products: tuple[CellProduct, ...]
    steps: tuple[Step, ...]
    state: str = ""
    initial_hidden: int = 0
    hops: int = 1
    constants: tuple[str, ...] = ()

    @property
    def is_recurrent(self) -> bool:
        """Whether it reads its own last result."""
        return bool(self.reading(HIDDEN))

    def reading(self, what: str) -> list[int]:
        """The products that read `INPUT`, `HIDDEN` or a buffer."""
        return [number for number, product in enumerate(self.products) if product.reads == what]

    @property
    def buffers(self) -> list[str]:
        """Buffers the steps write, the state apart, and those of constants."""
        names = [step.destination for step in self.steps if step.destination != RESULT]
        own = [name for name in dict.fromkeys(names) if name.split(".")[0] != self.state]
        return [*own, *self.constants]
