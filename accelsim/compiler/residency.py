"""Which weights stay on the chip, and in blocks of how many rows the others stream."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accelsim.chip import Chip
from accelsim.compiler.hoisting import blocks_ahead, slot_bytes
from accelsim.compiler.layout import align, tile_bytes, weights_bytes
from accelsim.compiler.stages import Plan, Product
from accelsim.errors import CapacityError


def residency(plan: Plan, chip: Chip) -> list[int]:
    """`plan_residency` for all products of a plan in order; 0 for those done ahead, which have blocks of their own.

    Raises
    ------
    CapacityError
        As `plan_residency`.
    """
    stages = [stage for segment in plan.segments for stage in segment.stages]
    every = [(stage, number) for stage in stages for number in range(len(stage.products))]
    in_loop = [(stage, number) for stage, number in every if number not in stage.ahead]
    products = [stage.products[number] for stage, number in in_loop]
    blocks = dict(
        zip(
            in_loop,
            plan_residency(products, chip, taken_bytes=2 * slot_bytes(blocks_ahead(stages, chip), chip)),
            strict=True,
        )
    )
    return [blocks.get(one, 0) for one in every]


def plan_residency(products: Sequence[Product], chip: Chip, *, taken_bytes: int = 0) -> list[int]:
    """Rows of a block for each product whose weights stream, 0 for those that stay on the chip.

    Each streamed product has two slots of its own, one being filled while the other is used. As many bytes as possible
    stay; a block is large enough to hide the DRAM's latency where there is room.

    Parameters
    ----------
    products : sequence of Product
    chip : Chip
    taken_bytes : int
        Bytes of the weights' memory that others have.

    Raises
    ------
    CapacityError
        Not even two row tiles of every product fit.
    """
    sram, mac = chip.sram.weights, chip.mac
    whole = [align(weights_bytes(product.rows, product.columns, mac), sram.word_bytes) for product in products]
    if sum(whole) + taken_bytes <= sram.capacity_bytes:
        return [0] * len(products)
    a_tile = [align(tile_bytes(product.columns, mac), sram.word_bytes) for product in products]
    least = [min(2 * tile, size) for tile, size in zip(a_tile, whole, strict=True)]
    need = taken_bytes + sum(least)
    left = sram.capacity_bytes - need
    if left < 0:
        raise CapacityError(
            chip.name, "sram.weights", need, sram.capacity_bytes, "bytes", "two row tiles of each streamed matrix"
        )
    streamed = []
    for index in sorted(range(len(products)), key=lambda index: -whole[index]):
        if whole[index] - least[index] <= left:
            left -= whole[index] - least[index]
        else:
            streamed.append(index)
    blocks = [0] * len(products)
    target = 4 * chip.dram.read_latency_cycles * chip.dram.bytes_per_cycle
    for place, index in enumerate(streamed):
        tile = a_tile[index]
        extra = left // (len(streamed) - place) // (2 * tile)
        all_tiles = -(-products[index].rows // mac.rows)
        tiles = min(1 + extra, max(1, math.ceil(target / tile)), all_tiles)
        # A divisor of the number of tiles leaves no odd block at the end.
        best = max(count for count in range(1, tiles + 1) if all_tiles % count == 0)
        tiles = best if 2 * best >= tiles else tiles
        left -= 2 * tile * (tiles - 1)
        blocks[index] = tiles * mac.rows
    return blocks
