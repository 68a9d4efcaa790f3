"""Input products done ahead of all steps: how many rows and steps at a time, and what lies where for them.

A hoisted stage has two parts. The projection goes over its sequence in chunks of as many steps as the activations hold:
it loads a block of rows of the input weights once, multiplies it by every step of the chunk, and stores the sums
(int32) of that block to DRAM. So the weights are read once a chunk, not once a step. The recurrence then takes the
sums of a step from there, through a ring in the accumulators, where it would have multiplied. Where the accumulators
hold the sums of all steps, those of all hoisted stages of a segment, they stay there.

Projections come one after the other and share their buffers: two slots of weights, one chunk of inputs, two slots of
sums. In the accumulators they lie where the sums of the stages lie, since one begins when the other has ended.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from accelsim.chip import Chip
from accelsim.compiler.layout import align, tile_bytes
from accelsim.compiler.stages import Sequence, Stage
from accelsim.isa import definition

_RING_STEPS = 4
"""Steps whose sums are on the chip at most: one in use, the others on their way through the DRAM's latency."""


@dataclass(frozen=True)
class Blocks:
    """The input weights of a hoisted stage, all gates one below the other, in blocks of rows.

    Parameters
    ----------
    rows : int
        Of a block: whole row tiles.
    all_rows : int
        Of all blocks.
    columns : int
    tile_bytes : int
        A row tile's weights.
    tiles : int
        Row tiles of a block.
    """

    rows: int
    all_rows: int
    columns: int
    tile_bytes: int
    tiles: int

    @property
    def bytes(self) -> int:
        """Weights of a block."""
        return self.tiles * self.tile_bytes

    @property
    def whole(self) -> int:
        """Whole blocks."""
        return self.all_rows // self.rows

    @property
    def rest_rows(self) -> int:
        """Rows of the block after the whole ones; 0 where they come out even."""
        return self.all_rows % self.rows

    @property
    def count(self) -> int:
        """All blocks."""
        return -(-self.all_rows // self.rows)


@dataclass
class Projection:
    """A hoisted stage's part ahead of the loop.

    Parameters
    ----------
    blocks : Blocks
    chunk : int
        Steps at a time.
    sums : Sequence
        Of all steps, in DRAM.
    dram : int
        Address of the weights in DRAM.
    bias : int
        Address in the parameters' memory.
    weights, weights_pitch : int
        The two slots of weights.
    inputs, inputs_pitch : int
        A chunk of the sequence.
    spill, spill_pitch : int
        The two slots of sums of a block on their way to DRAM.
    ring, ring_slots, ring_pitch : int
        Sums of steps on their way back; of all steps, in the order in which they are handled, where they stay.
    stays : bool
        Whether the sums stay in the accumulators.
    """

    blocks: Blocks
    sums: Sequence
    chunk: int = 1
    dram: int = 0
    bias: int = 0
    weights: int = 0
    weights_pitch: int = 0
    inputs: int = 0
    inputs_pitch: int = 0
    spill: int = 0
    spill_pitch: int = 0
    ring: int = 0
    ring_slots: int = 1
    ring_pitch: int = 0
    stays: bool = False

    @property
    def step_bytes(self) -> int:
        """Sums of a block of one step."""
        return 4 * min(self.blocks.rows, self.blocks.all_rows) * self.sums.batch

    @property
    def chunks(self) -> tuple[tuple[int, int, int], ...]:
        """(first step, steps, how many like this): whole chunks, then the rest."""
        steps = self.sums.last - self.sums.first
        whole, rest = divmod(steps, self.chunk)
        both = ((0, self.chunk, whole), (whole * self.chunk, rest, 1 if rest else 0))
        return tuple(one for one in both if one[2])


def input_rows(stage: Stage) -> int:
    """Outputs of all products with a stage's input."""
    return sum(stage.products[number].rows for number in stage.ahead)


def input_blocks(stage: Stage, chip: Chip) -> Blocks:
    """Blocks long enough to hide the DRAM's latency, and of at least a burst of sums, as far as there is room."""
    mac, srams, dram = chip.mac, chip.sram, chip.dram
    columns = stage.products[stage.ahead[0]].columns
    tile, all_tiles = tile_bytes(columns, mac), -(-input_rows(stage) // mac.rows)
    sums = 4 * mac.rows * stage.batch
    wanted = max(
        math.ceil(4 * dram.read_latency_cycles * dram.bytes_per_cycle / tile), math.ceil(dram.burst_bytes / sums)
    )
    steps = min(stage.steps, max(1, srams.activations.capacity_bytes // (2 * columns * stage.batch)))
    room = min(srams.weights.capacity_bytes // (8 * tile), srams.accumulators.capacity_bytes // (2 * steps * sums))
    tiles = max(1, min(wanted, room, all_tiles))
    # A divisor of the number of tiles leaves no odd block at the end.
    best = max(count for count in range(1, tiles + 1) if all_tiles % count == 0)
    tiles = best if 2 * best >= tiles else tiles
    return Blocks(tiles * mac.rows, input_rows(stage), columns, tile, tiles)


def blocks_ahead(stages: Iterable[Stage], chip: Chip) -> tuple[Blocks, ...]:
    """Those of the hoisted stages, in order."""
    return tuple(input_blocks(stage, chip) for stage in stages if stage.hoisted)


def slot_bytes(ahead: Iterable[Blocks], chip: Chip) -> int:
    """Size of each of the two slots of weights that all projections share; 0 where nothing is hoisted."""
    return align(max((one.bytes for one in ahead), default=0), chip.sram.weights.word_bytes)


def new_projection(stage: Stage, blocks: Blocks) -> Projection:
    """The part of a hoisted stage that is done ahead, without addresses yet."""
    row_bytes = 4 * blocks.all_rows * stage.batch
    first, last = stage.times
    name = f"{stage.layer.name} input sums"
    return Projection(blocks, Sequence(name, stage.steps_there, row_bytes, stage.batch, first, last))


def chunk_steps(projection: Projection, inputs_bytes: int, spill_bytes: int) -> int:
    """Steps at a time, in equal chunks: as many as these bytes of activations and of accumulators hold; at least 1."""
    steps = projection.sums.last - projection.sums.first
    furthest = definition().formats["address"].field("stride0").maximum
    most = min(
        steps,
        inputs_bytes // projection.inputs_pitch,
        steps if projection.stays else spill_bytes // (2 * projection.step_bytes),
        furthest // projection.sums.row_bytes,
    )
    most = max(1, most)
    return -(-steps // -(-steps // most))


def ring_slots(steps: int, pitch: int, room_bytes: int) -> int:
    """Steps whose sums are on the chip at once; at least 1."""
    return max(1, min(steps, _RING_STEPS, room_bytes // pitch))
