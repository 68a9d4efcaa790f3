"""The memory of projections: buffers that all of them share, and rings for the sums on their way back."""

from __future__ import annotations

from accelsim.chip import Chip
from accelsim.compiler.hoisting import chunk_steps, ring_slots, slot_bytes
from accelsim.compiler.layout import align
from accelsim.compiler.memories import Memory
from accelsim.compiler.placed import PlacedStage
from accelsim.compiler.stages import Sequence
from accelsim.errors import InternalError
from accelsim.isa.program import Region


def place_projections(
    segments: list[list[PlacedStage]], turns: list[Memory], weights: Memory, activations: Memory, chip: Chip
) -> Memory:
    """The buffers that projections share, in what the stages leave.

    Parameters
    ----------
    segments : list of list of PlacedStage
    turns : list of Memory
        The accumulators of each segment's stages.
    weights, activations : Memory
    chip : Chip

    Returns
    -------
    Memory
        The accumulators of all segments and projections, which have them in turns.
    """
    every = [placed for placed_stages in segments for placed in placed_stages]
    hoisted = [placed for placed in every if placed.projection]
    slot = slot_bytes([placed.projection.blocks for placed in hoisted if placed.projection], chip)
    slots = weights.take("blocks of input products, two", 2 * slot)
    sram, spill = chip.sram.accumulators, Memory("accumulators", chip.sram.accumulators)
    for placed_stages, accumulators in zip(segments, turns, strict=True):
        _place_rings([placed for placed in placed_stages if placed.projection], accumulators)
    word = chip.sram.activations.word_bytes
    inputs = align(activations.top, word)
    chunk_bytes = 0
    for placed in hoisted:
        one, source = placed.projection, placed.stage.source
        if one is None or not isinstance(source, Sequence):
            raise InternalError(f"{placed.stage.layer.name}: hoisted, but reads no sequence")
        one.weights, one.weights_pitch = slots, slot
        one.inputs, one.inputs_pitch = inputs, align(source.row_bytes, word)
        one.chunk = chunk_steps(one, chip.sram.activations.capacity_bytes - inputs, sram.capacity_bytes)
        chunk_bytes = max(chunk_bytes, one.chunk * one.inputs_pitch)
    activations.take("a chunk of steps of an input", chunk_bytes)
    spilled = [one for placed in hoisted if (one := placed.projection) and not one.stays]
    pitch = max((align(one.chunk * one.step_bytes, sram.word_bytes) for one in spilled), default=0)
    base = spill.take("spilled sums", 2 * pitch)
    for one in spilled:
        one.spill, one.spill_pitch = base, pitch
    total = max(memory.top for memory in (spill, *turns))
    regions = [Region("sums, of one segment after the other", "accumulators", 0, total)]
    return Memory("accumulators", sram, total, regions)


def _place_rings(hoisted: list[PlacedStage], accumulators: Memory) -> None:
    """Where the sums of a step arrive, or those of all steps stay; all input products of a stage side by side."""
    sram = accumulators.shape
    steps_bytes = 0
    for placed in hoisted:
        if placed.projection:
            rows = placed.projection.blocks.all_rows
            placed.projection.ring_pitch = align(4 * rows * placed.stage.batch, sram.word_bytes)
            steps_bytes += placed.stage.steps * placed.projection.ring_pitch
    stay = align(accumulators.top, sram.word_bytes) + steps_bytes <= sram.capacity_bytes
    for number, placed in enumerate(hoisted):
        one, steps = placed.projection, placed.stage.steps
        if one is None:
            continue
        room = (sram.capacity_bytes - align(accumulators.top, sram.word_bytes)) // (len(hoisted) - number)
        one.stays, one.ring_slots = stay, steps if stay else ring_slots(steps, one.ring_pitch, room)
        name = f"{placed.stage.layer.name} input sums of steps"
        address = one.ring = accumulators.take(name, one.ring_pitch * one.ring_slots)
        for which in placed.stage.ahead:
            product = placed.products[which]
            product.sums = address
            address += 4 * product.product.rows * placed.stage.batch
