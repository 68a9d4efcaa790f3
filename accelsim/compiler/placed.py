"""What lies where: the outcome of `placement`."""

from __future__ import annotations

from dataclasses import dataclass, field

from accelsim.compiler.hoisting import Projection
from accelsim.compiler.stages import Product, Stage
from accelsim.isa.program import Region

STATE_BLOCK = 0, "state"
"""The block that fills every state that is not hidden."""


@dataclass
class PlacedProduct:
    """A product's weights on the chip.

    Parameters
    ----------
    product : Product
    block_rows : int
        Rows of a streamed block; 0 where the weights stay on the chip.
    weights : int
        Address in the weights' memory: of all, or of the two slots blocks take turns in.
    slot_bytes : int
        Size of a slot.
    dram : int
        Address in DRAM.
    bias : int
        Address in the parameters' memory.
    sums : int
        Address in the accumulators.
    """

    product: Product
    block_rows: int = 0
    weights: int = 0
    slot_bytes: int = 0
    dram: int = 0
    bias: int = 0
    sums: int = 0

    @property
    def blocks(self) -> int:
        """Whole blocks a step."""
        return self.product.rows // self.block_rows if self.block_rows else 0

    @property
    def rest_rows(self) -> int:
        """Rows of the block after the whole ones; 0 where they come out even."""
        return self.product.rows - self.blocks * self.block_rows if self.block_rows else 0


@dataclass
class PlacedStage:
    """Addresses of everything a stage uses.

    Parameters
    ----------
    stage : Stage
    products : list of PlacedProduct
    output, slots : int
        The ring of its results.
    input_ring, input_slots, input_pitch : int
        Where steps of a sequence arrive; 0 slots for a stage fed by another.
    input_ahead : int
        Steps loaded before the first is used.
    input_bytes : int
        What is loaded of a step.
    buffers, blocks : dict
        By the names of the cell; a state has its old and new side `state_pitch` apart.
    constants_dram : int
        Zeros for the cell's constants.
    parameters, parameters_dram, parameters_bytes : int
    resident, resident_dram, resident_bytes : int
        Weights that stay, all together.
    projection : Projection or None
        What is done ahead of the loop.
    """

    stage: Stage
    products: list[PlacedProduct]
    output: int = 0
    slots: int = 2
    input_ring: int = 0
    input_slots: int = 0
    input_pitch: int = 0
    input_ahead: int = 0
    input_bytes: int = 0
    buffers: dict[str, int] = field(default_factory=dict)
    blocks: dict[str, int] = field(default_factory=dict)
    constants_dram: int = 0
    parameters: int = 0
    parameters_dram: int = 0
    parameters_bytes: int = 0
    resident: int = 0
    resident_dram: int = 0
    resident_bytes: int = 0
    projection: Projection | None = None

    @property
    def sums_stay(self) -> bool:
        """Whether sums made ahead of the loop stay in the accumulators for all of it."""
        return self.projection is not None and self.projection.stays

    @property
    def in_loop(self) -> list[PlacedProduct]:
        """The products that are done step by step."""
        return [one for number, one in enumerate(self.products) if number not in self.stage.ahead]


@dataclass
class Placement:
    """The memory plan of a program.

    Parameters
    ----------
    segments : list of list of PlacedStage
    pitch : int
        Bytes from slot to slot in every ring of results.
    state_pitch : int
        Bytes between the two sides of every state.
    sequences : dict
        DRAM address by sequence name.
    image : bytes
        Weights and parameters, from DRAM address 0 on.
    regions : list of Region
    constants : dict
        (id of stage, "hidden") -> address, of the blocks that fill initial hidden states, and `STATE_BLOCK`'s, which
        fills all other states; they come with the first stage's parameters.
    """

    segments: list[list[PlacedStage]]
    pitch: int
    state_pitch: int
    sequences: dict[str, int]
    image: bytes
    regions: list[Region]
    constants: dict[tuple[int, str], int]
