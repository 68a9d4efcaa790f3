"""The memory plan: what lies where on the chip and in DRAM."""

from __future__ import annotations

from collections.abc import Sequence as Sequential
from dataclasses import dataclass, field

from accelsim.chip import Chip, Sram
from accelsim.compiler.hoisting import Projection, chunk_steps, input_weights, new_projection, ring_slots, slot_bytes
from accelsim.compiler.layout import align, int8_block, pack_weights, parameter_block, weights_bytes
from accelsim.compiler.memories import Memory
from accelsim.compiler.stages import Plan, Product, Segment, Sequence, Stage
from accelsim.errors import CapacityError, InternalError
from accelsim.isa import opcodes
from accelsim.isa.program import Region


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
    in_turns = any(stage.hoisted for stage in all_stages)
    turns: list[Memory] = []
    for segment in plan.segments:
        segments.append([])
        if in_turns:
            # Sums live no longer than their segment, and segments come one after the other.
            accumulators = Memory("accumulators", srams.accumulators)
            turns.append(accumulators)
        for index, stage in enumerate(segment.stages):
            placed = PlacedStage(stage, [PlacedProduct(product, next(remaining)) for product in stage.products])
            placed.projection = new_projection(stage, chip) if stage.hoisted else None
            placed.slots = _behind(segment, index) + 1
            _place_weights(placed, weights, image, chip)
            initial = {} if constants else _initial_blocks(all_stages)
            constants |= _place_parameters(placed, initial, parameters, image, chip)
            _place_values(placed, pitch, state_pitch, activations, accumulators)
            if stage.cell.constants:
                placed.constants_dram = len(image)
                image.extend(bytes(stage.elements))
            if isinstance(stage.source, Sequence) and not stage.hoisted:
                placed.input_slots, placed.input_ahead = input_slots[id(stage)]
                placed.input_bytes = step_bytes(stage.source, chip)
                placed.input_pitch = align(placed.input_bytes, srams.activations.word_bytes)
                placed.input_ring = activations.take(
                    f"{stage.layer.name} input steps", placed.input_pitch * placed.input_slots
                )
            segments[-1].append(placed)
    if in_turns:
        accumulators = _place_projections(segments, turns, weights, activations, chip)
        memories = (weights, activations, accumulators, parameters)
    for memory in memories:
        memory.check(chip)
    regions = [region for memory in memories for region in memory.regions]
    sequences, dram = _place_sequences(plan, segments, len(image), input_bytes, chip)
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


def _place_projections(
    segments: list[list[PlacedStage]], turns: list[Memory], weights: Memory, activations: Memory, chip: Chip
) -> Memory:
    """The buffers that projections share, in what is left; returns the accumulators of all segments as one buffer."""
    every = [placed for placed_stages in segments for placed in placed_stages]
    hoisted = [placed for placed in every if placed.projection]
    slot = slot_bytes([placed.stage for placed in hoisted], chip)
    slots = weights.take("blocks of input products, two", 2 * slot)
    sram, spill = chip.sram.accumulators, Memory("accumulators", chip.sram.accumulators)
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
    pitch = max(align(one.chunk * one.step_bytes, sram.word_bytes) for placed in hoisted if (one := placed.projection))
    base = spill.take("spilled sums", 2 * pitch)
    for placed_stages, accumulators in zip(segments, turns, strict=True):
        mine = [placed for placed in placed_stages if placed.projection]
        for number, placed in enumerate(mine):
            one = placed.projection
            if one is None:
                continue
            one.spill, one.spill_pitch = base, pitch
            _place_ring(placed, one, accumulators, len(mine) - number)
    total = max(memory.top for memory in (spill, *turns))
    regions = [Region("sums, of one segment after the other", "accumulators", 0, total)]
    return Memory("accumulators", sram, total, regions)


def _place_ring(placed: PlacedStage, one: Projection, accumulators: Memory, sharing: int) -> None:
    """Where the sums of a step arrive, all input products of a stage side by side; `sharing` rings are to come."""
    rows = sum(placed.products[number].product.rows for number in placed.stage.ahead)
    sram = accumulators.shape
    one.ring_pitch = align(4 * rows * placed.stage.batch, sram.word_bytes)
    room = (sram.capacity_bytes - align(accumulators.top, sram.word_bytes)) // sharing
    one.ring_slots = ring_slots(placed.stage.steps, one.ring_pitch, room)
    name = f"{placed.stage.layer.name} input sums of steps"
    address = one.ring = accumulators.take(name, one.ring_pitch * one.ring_slots)
    for number in placed.stage.ahead:
        product = placed.products[number]
        product.sums = address
        address += 4 * product.product.rows * placed.stage.batch


def _place_sequences(
    plan: Plan, segments: list[list[PlacedStage]], image_bytes: int, input_bytes: int, chip: Chip
) -> tuple[dict[str, int], list[Region]]:
    burst = chip.dram.burst_bytes
    sums = [placed.projection.sums for stages in segments for placed in stages if placed.projection]
    lead = max((_lead(placed) for placed_stages in segments for placed in placed_stages), default=0)
    addresses = {plan.input.name: align(max(image_bytes, _input_lead(segments)), burst)}
    input_bytes += _beyond(plan.input, chip)
    regions = [
        Region("image", "dram", 0, image_bytes),
        Region("input", "dram", addresses[plan.input.name], input_bytes),
    ]
    top = max(addresses[plan.input.name] + input_bytes, lead)
    for name, sequence in [
        ("output", plan.output),
        *((f"sequence {one.name}", one) for one in plan.between),
        *((one.name, one) for one in sums),
    ]:
        addresses[sequence.name] = align(top, burst)
        size = sequence.bytes + _beyond(sequence, chip)
        regions.append(Region(name, "dram", addresses[sequence.name], size))
        top = addresses[sequence.name] + size
    if top > chip.dram.capacity_bytes:
        raise CapacityError(chip.name, "dram.capacity_bytes", top, chip.dram.capacity_bytes, "bytes")
    return addresses, regions


def _lead(placed: PlacedStage) -> int:
    """How many bytes below a sequence's first row a stage's address lies in wave 0, for those placed behind the input.

    Seen from wave 0, the address of a stage's first step lies up to its delay's worth of rows lower.
    """
    stage = placed.stage
    rows = [max(0, stage.delay + sink.first) * sink.sequence.row_bytes for sink in stage.sinks]
    read = placed.projection.sums if placed.projection else stage.source
    if isinstance(read, Sequence):
        rows.append(max(0, stage.delay + stage.first) * read.row_bytes)
    return max(rows, default=0)


def _input_lead(segments: list[list[PlacedStage]]) -> int:
    """As `_lead`, for the graph's own input, that stages of the first segment read and joins borrow."""
    return max(
        (
            max(0, placed.stage.delay + placed.stage.first) * part.sequence.row_bytes
            for placed_stages in segments
            for placed in placed_stages
            if isinstance(placed.stage.source, Sequence) and not placed.projection
            for part in placed.stage.source.parts
        ),
        default=0,
    )


def _beyond(sequence: Sequence, chip: Chip) -> int:
    """Bytes that a load of a sequence's last step reads behind it."""
    return step_bytes(sequence, chip) - sequence.row_bytes


def _place_weights(placed: PlacedStage, memory: Memory, image: bytearray, chip: Chip) -> None:
    name, mac = placed.stage.layer.name, chip.mac
    word = memory.shape.word_bytes
    image.extend(bytes(align(len(image), chip.dram.burst_bytes) - len(image)))
    resident = [one for one in placed.in_loop if not one.block_rows]
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
    if placed.projection:
        placed.projection.dram = len(image)
        packed, blocks = pack_weights(input_weights(placed.stage), mac), placed.projection.blocks
        image += packed + bytes(blocks.count * blocks.bytes - len(packed))


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
    if placed.projection:
        placed.projection.bias = placed.products[placed.stage.ahead[0]].bias
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
    for one in placed.in_loop:
        label = f"{name} sums of {one.product.name}"
        one.sums = accumulators.take(label, 4 * one.product.rows * stage.batch, apart_from=taken)
        taken.append(one.sums)
