"""The memory plan: what lies where on the chip and in DRAM, which weights stay and which stream."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from accelsim.chip import Chip, Sram
from accelsim.compiler.layout import align, int8_block, pack_weights, parameter_block, whole_tiles
from accelsim.compiler.stages import Pipeline, Product, Stage
from accelsim.errors import CapacityError
from accelsim.fixedpoint import INT16_MAX, INT16_MIN
from accelsim.graph import Gate
from accelsim.isa.program import Region
from accelsim.quant.model import QLstm


@dataclass
class Memory:
    """Hands out addresses of one memory, upwards.

    Parameters
    ----------
    name : str
        As in the memory map.
    shape : Sram
    """

    name: str
    shape: Sram
    top: int = 0
    regions: list[Region] = field(default_factory=list)

    def take(self, name: str, size: int, *, apart_from: Collection[int] = ()) -> int:
        """The address of a new buffer of `size` bytes, aligned to words.

        `apart_from` holds addresses of buffers that the same beats touch: the new one starts in another bank than
        each of them, so that they don't collide beat by beat.
        """
        word, banks = self.shape.word_bytes, self.shape.banks
        start = align(self.top, word)
        taken = {address // word % banks for address in apart_from}
        for bank in range(banks):
            if (start // word + bank) % banks not in taken:
                start += bank * word
                break
        self.regions.append(Region(name, self.name, start, size))
        self.top = start + size
        return start

    def check(self, chip: Chip, hint: str = "") -> None:
        """Raise CapacityError if more was handed out than there is."""
        if self.top > self.shape.capacity_bytes:
            largest = max(self.regions, key=lambda region: region.bytes)
            hint = hint or f"largest buffer: {largest.name}, {largest.bytes:,} bytes"
            raise CapacityError(chip.name, f"sram.{self.name}", self.top, self.shape.capacity_bytes, "bytes", hint)


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
    """

    product: Product
    block_rows: int = 0
    weights: int = 0
    slot_bytes: int = 0
    dram: int = 0
    bias: int = 0

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
    """Addresses of everything a stage uses; buffers by the names the lowering gives them."""

    stage: Stage
    products: list[PlacedProduct]
    output: int = 0
    slots: int = 2
    buffers: dict[str, int] = field(default_factory=dict)
    blocks: dict[str, int] = field(default_factory=dict)
    accumulators: list[int] = field(default_factory=list)
    parameters: int = 0
    parameters_dram: int = 0
    parameters_bytes: int = 0
    resident_dram: int = 0
    resident_bytes: int = 0
    resident: int = 0


@dataclass
class Placement:
    """The memory plan of a pipeline.

    Parameters
    ----------
    stages : list of PlacedStage
    pitch : int
        Bytes from slot to slot in every stage's ring of results.
    cell_pitch : int
        Bytes between the cell state before and after a step, which take turns.
    input_ring, input_slots, input_pitch : int
        Where steps of the input arrive.
    input_dram, output_dram : int
    constants : dict
        (stage, block) -> address, of the blocks that fill initial states; they come with stage 0's parameters.
    image : bytes
        Weights and parameters, from DRAM address 0 on.
    regions : list of Region
    """

    stages: list[PlacedStage]
    pitch: int
    input_ring: int
    input_slots: int
    input_pitch: int
    input_dram: int
    output_dram: int
    image: bytes
    regions: list[Region]
    constants: dict[tuple[int, str], int]
    cell_pitch: int


def plan_residency(products: Sequence[Product], chip: Chip) -> list[int]:
    """Rows of a block for each product whose weights stream, 0 for those that stay on the chip.

    Each streamed product has two slots of its own, one being filled while the other is used. As many bytes as possible
    stay; a block is large enough to hide the DRAM's latency where there is room.

    Raises
    ------
    CapacityError
        Not even two row tiles of every product fit.
    """
    sram, rows = chip.sram.weights, chip.mac.rows
    whole = [align(whole_tiles(product.rows, rows) * product.columns, sram.word_bytes) for product in products]
    if sum(whole) <= sram.capacity_bytes:
        return [0] * len(products)
    least = [min(2 * align(rows * p.columns, sram.word_bytes), size) for p, size in zip(products, whole, strict=True)]
    left = sram.capacity_bytes - sum(least)
    if left < 0:
        raise CapacityError(
            chip.name, "sram.weights", sum(least), sram.capacity_bytes, "bytes", "two row tiles of each streamed matrix"
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
        tile = align(rows * products[index].columns, sram.word_bytes)
        extra = left // (len(streamed) - place) // (2 * tile)
        tiles = min(1 + extra, max(1, math.ceil(target / tile)), -(-products[index].rows // rows))
        # A divisor of the number of tiles leaves no odd block at the end.
        all_tiles = -(-products[index].rows // rows)
        best = max(count for count in range(1, tiles + 1) if all_tiles % count == 0)
        tiles = best if 2 * best >= tiles else tiles
        left -= 2 * tile * (tiles - 1)
        blocks[index] = tiles * rows
    return blocks


def place(pipeline: Pipeline, blocks: Sequence[int], input_slots: int, chip: Chip) -> Placement:
    """Addresses for everything.

    Parameters
    ----------
    pipeline : Pipeline
        With delays.
    blocks : sequence of int
        From `plan_residency`, for all products in order.
    input_slots : int
        Steps of the input held at once.
    chip : Chip

    Raises
    ------
    CapacityError
        A memory is too small: which, bytes needed, bytes there.
    """
    memories = {
        name: Memory(name, getattr(chip.sram, name))
        for name in ("weights", "activations", "accumulators", "parameters")
    }
    image = bytearray()
    regions: list[Region] = []
    stages: list[PlacedStage] = []
    constants: dict[tuple[int, str], int] = {}
    remaining = iter(blocks)
    pitch = max(align(stage.outputs, chip.sram.activations.word_bytes) for stage in pipeline.stages)
    cell_pitch = _cell_pitch(pipeline, chip.sram.activations)
    for index, stage in enumerate(pipeline.stages):
        following = pipeline.stages[index + 1].delay if index + 1 < len(pipeline.stages) else stage.delay + 1
        placed = PlacedStage(stage, [PlacedProduct(product, next(remaining)) for product in stage.products])
        placed.slots = following - stage.delay + 1
        _place_weights(placed, memories["weights"], image, chip)
        initial = _initial_blocks(pipeline) if index == 0 else {}
        constants |= _place_parameters(placed, initial, memories["parameters"], image, chip)
        _place_values(placed, pitch, cell_pitch, memories)
        stages.append(placed)
    first = pipeline.stages[0].layer
    input_pitch = align(first.x.features, chip.sram.activations.word_bytes)
    input_ring = memories["activations"].take("input steps", input_pitch * input_slots)
    for memory in memories.values():
        memory.check(chip)
        regions += memory.regions
    input_dram = align(len(image), chip.dram.burst_bytes)
    input_bytes = pipeline.input_bytes
    last = pipeline.stages[-1]
    # The address of step 0 seen from wave 0 must not be negative.
    output_dram = align(max(input_dram + input_bytes, last.delay * last.outputs), chip.dram.burst_bytes)
    output_bytes = (pipeline.output_last - pipeline.output_first) * last.outputs
    regions += [
        Region("image", "dram", 0, len(image)),
        Region("input", "dram", input_dram, input_bytes),
        Region("output", "dram", output_dram, output_bytes),
    ]
    if output_dram + output_bytes > chip.dram.capacity_bytes:
        raise CapacityError(
            chip.name, "dram.capacity_bytes", output_dram + output_bytes, chip.dram.capacity_bytes, "bytes"
        )
    return Placement(
        stages,
        pitch,
        input_ring,
        input_slots,
        input_pitch,
        input_dram,
        output_dram,
        bytes(image),
        regions,
        constants,
        cell_pitch,
    )


def _place_weights(placed: PlacedStage, memory: Memory, image: bytearray, chip: Chip) -> None:
    name, rows = placed.stage.layer.name, chip.mac.rows
    word = memory.shape.word_bytes
    image.extend(bytes(align(len(image), chip.dram.burst_bytes) - len(image)))
    resident = [one for one in placed.products if not one.block_rows]
    placed.resident_dram = len(image)
    for one in resident:
        packed = pack_weights(one.product.weights, rows)
        one.dram = len(image)
        one.weights = memory.take(f"{name} {one.product.name}", len(packed))
        image += packed + bytes(align(len(packed), word) - len(packed))
    if resident:
        placed.resident = resident[0].weights
        placed.resident_bytes = memory.top - placed.resident
    for one in placed.products:
        if one.block_rows:
            one.slot_bytes = align(one.block_rows * one.product.columns, word)
            one.weights = memory.take(f"{name} {one.product.name}, two blocks", 2 * one.slot_bytes)
            one.dram = len(image)
            image += pack_weights(one.product.weights, rows)


def _place_parameters(
    placed: PlacedStage, initial: dict[tuple[int, str], bytes], memory: Memory, image: bytearray, chip: Chip
) -> dict[tuple[int, str], int]:
    """Bias and blocks of a stage, and the blocks of `initial`, of which equal ones share their place."""
    layer = placed.stage.layer
    chunk = bytearray()
    for one in placed.products:
        one.bias = len(chunk)
        chunk += one.product.bias.astype("<i4").tobytes()
    for name, block in _blocks(placed.stage).items():
        chunk += bytes(align(len(chunk), 32) - len(chunk))
        placed.blocks[name] = len(chunk)
        chunk += block
    places: dict[bytes, int] = {}
    for block in initial.values():
        if block not in places:
            chunk += bytes(align(len(chunk), 32) - len(chunk))
            places[block] = len(chunk)
            chunk += block
    start = memory.take(f"{layer.name} parameters", len(chunk))
    for one in placed.products:
        one.bias += start
    for name in placed.blocks:
        placed.blocks[name] += start
    image.extend(bytes(align(len(image), chip.dram.burst_bytes) - len(image)))
    placed.parameters, placed.parameters_dram, placed.parameters_bytes = start, len(image), len(chunk)
    image += chunk
    return {key: start + places[block] for key, block in initial.items()}


def _initial_blocks(pipeline: Pipeline) -> dict[tuple[int, str], bytes]:
    blocks = {}
    for index, stage in enumerate(pipeline.stages):
        if isinstance(stage.layer, QLstm):
            blocks[index, "initial cell"] = parameter_block()
            blocks[index, "initial hidden"] = int8_block(zero_point=stage.layer.initial_hidden)
    return blocks


def _blocks(stage: Stage) -> dict[str, bytes]:
    layer = stage.layer
    if not isinstance(layer, QLstm):
        return {"requantize": int8_block(zero_point=layer.y.zero_point, channels=np.asarray(layer.output_scale))}
    gates = {
        name: parameter_block(source=layer.recurrent_requantizers[gate], addend=layer.input_requantizers[gate])
        for name, gate in (("input", Gate.INPUT), ("output", Gate.OUTPUT), ("cell", Gate.CELL))
    }
    low, high = (-layer.cell_clip, layer.cell_clip) if layer.cell_clip else (INT16_MIN, INT16_MAX)
    gates["forget"] = parameter_block(
        source=layer.recurrent_requantizers[Gate.FORGET],
        addend=layer.input_requantizers[Gate.FORGET],
        low=low,
        high=high,
    )
    return gates | {
        "hidden": int8_block(output=layer.hidden_requantizer, zero_point=layer.hidden_zero_point),
    }


def _cell_pitch(pipeline: Pipeline, sram: Sram) -> int:
    """Room for the largest cell state, such that the two of a stage start in different banks."""
    units = max((stage.outputs for stage in pipeline.stages if isinstance(stage.layer, QLstm)), default=0)
    pitch = max(align(2 * units, sram.word_bytes), sram.word_bytes)
    return pitch + sram.word_bytes if sram.banks > 1 and pitch // sram.word_bytes % sram.banks == 0 else pitch


def _place_values(placed: PlacedStage, pitch: int, cell_pitch: int, memories: dict[str, Memory]) -> None:
    stage, activations = placed.stage, memories["activations"]
    name = stage.layer.name
    placed.output = activations.take(f"{name} results", pitch * placed.slots)
    if isinstance(stage.layer, QLstm):
        size = 2 * stage.layer.units
        # The beats of a cell update touch the candidate and both cell states; those of a candidate, the input gate.
        cell = activations.take(f"{name} cell", cell_pitch + size)
        candidate = activations.take(f"{name} candidate", size, apart_from=(cell, cell + cell_pitch))
        placed.buffers = {
            "cell": cell,
            "candidate": candidate,
            "input gate": activations.take(f"{name} input gate", size, apart_from=(candidate,)),
            "output gate": activations.take(f"{name} output gate", size, apart_from=(cell, cell + cell_pitch)),
        }
    for one in placed.products:
        placed.accumulators.append(
            memories["accumulators"].take(
                f"{name} sums of {one.product.name}", 4 * one.product.rows, apart_from=tuple(placed.accumulators)
            )
        )
