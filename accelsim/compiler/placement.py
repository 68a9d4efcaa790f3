"""The memory plan: what lies where on the chip and in DRAM."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Sequence as Sequential
from dataclasses import dataclass, field

from accelsim.chip import Chip, Sram
from accelsim.compiler.layout import align, int8_block, pack_weights, parameter_block, weights_bytes
from accelsim.compiler.stages import Plan, Product, Segment, Sequence, Stage
from accelsim.errors import CapacityError
from accelsim.isa import opcodes
from accelsim.isa.program import Region


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

    def check(self, chip: Chip) -> None:
        """Raise CapacityError if more was handed out than there is."""
        if self.top > self.shape.capacity_bytes:
            largest = max(self.regions, key=lambda region: region.bytes)
            hint = f"largest buffer: {largest.name}, {largest.bytes:,} bytes"
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
        (id of stage, block name) -> address, of the blocks that fill initial states; they come with the first stage's
        parameters.
    """

    segments: list[list[PlacedStage]]
    pitch: int
    state_pitch: int
    sequences: dict[str, int]
    image: bytes
    regions: list[Region]
    constants: dict[tuple[int, str], int]


def place(
    plan: Plan, blocks: Sequential[int], input_slots: dict[int, tuple[int, int]], input_bytes: int, chip: Chip
) -> Placement:
    """Addresses for everything.

    Parameters
    ----------
    plan : Plan
        With delays.
    blocks : sequence of int
        From `plan_residency`, for all products in order.
    input_slots : dict
        For each stage (by id) that reads a sequence: how many steps of it are held at once, and loaded at first.
    input_bytes : int
        Size of a frame's input.
    chip : Chip

    Raises
    ------
    CapacityError
        A memory is too small: which, bytes needed, bytes there.
    """
    srams = chip.sram
    weights, activations = Memory("weights", srams.weights), Memory("activations", srams.activations)
    accumulators, parameters = Memory("accumulators", srams.accumulators), Memory("parameters", srams.parameters)
    memories = (weights, activations, accumulators, parameters)
    all_stages = [stage for segment in plan.segments for stage in segment.stages]
    pitch = max(align(stage.elements, srams.activations.word_bytes) for stage in all_stages)
    state_pitch = _state_pitch(all_stages, srams.activations)
    image = bytearray()
    constants: dict[tuple[int, str], int] = {}
    remaining = iter(blocks)
    segments: list[list[PlacedStage]] = []
    for segment in plan.segments:
        segments.append([])
        for index, stage in enumerate(segment.stages):
            placed = PlacedStage(stage, [PlacedProduct(product, next(remaining)) for product in stage.products])
            placed.slots = _behind(segment, index) + 1
            _place_weights(placed, weights, image, chip)
            initial = {} if constants else _initial_blocks(all_stages)
            constants |= _place_parameters(placed, initial, parameters, image, chip)
            _place_values(placed, pitch, state_pitch, activations, accumulators)
            if stage.cell.constants:
                placed.constants_dram = len(image)
                image.extend(bytes(stage.elements))
            if isinstance(stage.source, Sequence):
                placed.input_slots, placed.input_ahead = input_slots[id(stage)]
                placed.input_bytes = step_bytes(stage.source, chip)
                placed.input_pitch = align(placed.input_bytes, srams.activations.word_bytes)
                placed.input_ring = activations.take(
                    f"{stage.layer.name} input steps", placed.input_pitch * placed.input_slots
                )
            segments[-1].append(placed)
    for memory in memories:
        memory.check(chip)
    regions = [region for memory in memories for region in memory.regions]
    sequences, dram = _place_sequences(plan, len(image), input_bytes, chip)
    return Placement(segments, pitch, state_pitch, sequences, bytes(image), regions + dram, constants)


def step_bytes(sequence: Sequence, chip: Chip) -> int:
    """What is loaded of a step; through the vector unit whole column tiles, with the beginning of the next step."""
    if not chip.dma.loads_through_vector:
        return sequence.row_bytes
    return sequence.batch * align(sequence.row_bytes // sequence.batch, chip.mac.columns)


def _behind(segment: Segment, index: int) -> int:
    """How many waves after a stage its reader handles a step; at least 1, since the stage itself reads it then."""
    reader = segment.reader(index)
    return 1 if reader is None else segment.stages[reader].delay - segment.stages[index].delay


def _place_sequences(plan: Plan, image_bytes: int, input_bytes: int, chip: Chip) -> tuple[dict[str, int], list[Region]]:
    burst = chip.dram.burst_bytes
    # Seen from wave 0, the address of a stage's first step lies up to its delay's worth of rows lower.
    lead = max(
        (
            max(0, stage.delay + sink.first) * sink.sequence.row_bytes
            for segment in plan.segments
            for stage in segment.stages
            for sink in stage.sinks
        ),
        default=0,
    )
    addresses = {plan.input.name: align(image_bytes, burst)}
    input_bytes += _beyond(plan.input, chip)
    regions = [
        Region("image", "dram", 0, image_bytes),
        Region("input", "dram", addresses[plan.input.name], input_bytes),
    ]
    top = max(addresses[plan.input.name] + input_bytes, lead)
    for name, sequence in [("output", plan.output), *((f"sequence {one.name}", one) for one in plan.between)]:
        addresses[sequence.name] = align(top, burst)
        size = sequence.bytes + _beyond(sequence, chip)
        regions.append(Region(name, "dram", addresses[sequence.name], size))
        top = addresses[sequence.name] + size
    if top > chip.dram.capacity_bytes:
        raise CapacityError(chip.name, "dram.capacity_bytes", top, chip.dram.capacity_bytes, "bytes")
    return addresses, regions


def _beyond(sequence: Sequence, chip: Chip) -> int:
    """Bytes that a load of a sequence's last step reads behind it."""
    return step_bytes(sequence, chip) - sequence.row_bytes


def _place_weights(placed: PlacedStage, memory: Memory, image: bytearray, chip: Chip) -> None:
    name, mac = placed.stage.layer.name, chip.mac
    word = memory.shape.word_bytes
    image.extend(bytes(align(len(image), chip.dram.burst_bytes) - len(image)))
    resident = [one for one in placed.products if not one.block_rows]
    placed.resident_dram = len(image)
    for one in resident:
        packed = pack_weights(one.product.weights, mac)
        one.dram = len(image)
        one.weights = memory.take(f"{name} {one.product.name}", len(packed))
        image += packed + bytes(align(len(packed), word) - len(packed))
    if resident:
        placed.resident = resident[0].weights
        placed.resident_bytes = memory.top - placed.resident
    for one in placed.products:
        if one.block_rows:
            one.slot_bytes = align(weights_bytes(one.block_rows, one.product.columns, mac), word)
            one.weights = memory.take(f"{name} {one.product.name}, two blocks", 2 * one.slot_bytes)
            one.dram = len(image)
            image += pack_weights(one.product.weights, mac)


def _place_parameters(
    placed: PlacedStage, initial: dict[tuple[int, str], bytes], memory: Memory, image: bytearray, chip: Chip
) -> dict[tuple[int, str], int]:
    """Bias and blocks of a stage, and the blocks of `initial`, of which equal ones share their place."""
    chunk = bytearray()
    for one in placed.products:
        one.bias = len(chunk)
        chunk += one.product.bias.astype("<i4").tobytes()
    chunk += bytes(sum(one.product.rows for one in placed.products) * (chip.mac.row_parameters_bytes - 4))
    for step in placed.stage.cell.steps:
        chunk += bytes(align(len(chunk), opcodes.PARAM_BYTES) - len(chunk))
        placed.blocks[step.name] = len(chunk)
        chunk += step.block
    places: dict[bytes, int] = {}
    for block in initial.values():
        if block not in places:
            chunk += bytes(align(len(chunk), opcodes.PARAM_BYTES) - len(chunk))
            places[block] = len(chunk)
            chunk += block
    start = memory.take(f"{placed.stage.layer.name} parameters", len(chunk))
    for one in placed.products:
        one.bias += start
    for name in placed.blocks:
        placed.blocks[name] += start
    image.extend(bytes(align(len(image), chip.dram.burst_bytes) - len(image)))
    placed.parameters, placed.parameters_dram, placed.parameters_bytes = start, len(image), len(chunk)
    image += chunk
    return {key: start + places[block] for key, block in initial.items()}


def _initial_blocks(stages: Sequential[Stage]) -> dict[tuple[int, str], bytes]:
    blocks = {}
    for stage in stages:
        if stage.cell.is_recurrent:
            blocks[id(stage), "state"] = parameter_block()
            blocks[id(stage), "hidden"] = int8_block(zero_point=stage.cell.initial_hidden)
    return blocks


def _state_pitch(stages: Sequential[Stage], sram: Sram) -> int:
    """Room for the largest state, such that its two sides start in different banks."""
    units = max((stage.elements for stage in stages if stage.cell.state), default=0)
    pitch = max(align(2 * units, sram.word_bytes), sram.word_bytes)
    return pitch + sram.word_bytes if sram.banks > 1 and pitch // sram.word_bytes % sram.banks == 0 else pitch


def _place_values(placed: PlacedStage, pitch: int, state_pitch: int, activations: Memory, accumulators: Memory) -> None:
    stage, cell = placed.stage, placed.stage.cell
    name, size = stage.layer.name, 2 * stage.elements
    placed.output = activations.take(f"{name} results", pitch * placed.slots)
    sides: tuple[int, ...] = ()
    if cell.state:
        placed.buffers[cell.state] = activations.take(f"{name} {cell.state}", state_pitch + size)
        sides = placed.buffers[cell.state], placed.buffers[cell.state] + state_pitch
    previous: tuple[int, ...] = ()
    for buffer in reversed(cell.buffers):
        # The beats of the last steps touch both sides of the state; those of the others, a neighbour.
        placed.buffers[buffer] = activations.take(f"{name} {buffer}", size, apart_from=(*sides, *previous))
        previous = (placed.buffers[buffer],)
    taken: list[int] = []
    for one in placed.products:
        label = f"{name} sums of {one.product.name}"
        one.sums = accumulators.take(label, 4 * one.product.rows * stage.batch, apart_from=taken)
        taken.append(one.sums)
