"""The memory plan: what lies where on the chip and in DRAM."""

from __future__ import annotations

from collections.abc import Sequence as Sequential

from accelsim.chip import Chip, Sram
from accelsim.compiler.hoisting import Blocks, new_projection
from accelsim.compiler.layout import Packer, align, int8_block, parameter_block, weights_bytes
from accelsim.compiler.memories import Memory
from accelsim.compiler.place_projections import place_projections
from accelsim.compiler.placed import STATE_BLOCK, PlacedProduct, PlacedStage, Placement
from accelsim.compiler.stages import Plan, Segment, Sequence, Stage
from accelsim.errors import CapacityError
from accelsim.isa import opcodes
from accelsim.isa.program import Region


def place(
    plan: Plan,
    blocks: Sequential[int],
    ahead: Sequential[Blocks],
    input_slots: dict[int, tuple[int, int]],
    input_bytes: int,
    chip: Chip,
    pack: Packer | None = None,
) -> Placement:
    """Addresses for everything.

    Parameters
    ----------
    plan : Plan
        With delays.
    blocks : sequence of int
        From `residency`, for all products in order.
    ahead : sequence of Blocks
        From `hoisting.blocks_ahead`.
    input_slots : dict
        For each stage (by id) that reads a sequence: how many steps of it are held at once, and loaded at first.
    input_bytes : int
        Size of a frame's input.
    chip : Chip
    pack : Packer, optional
        With what it has packed for other plans of the graph and the chip.

    Raises
    ------
    CapacityError
        A memory is too small: which, bytes needed, bytes there.
    """
    srams = chip.sram
    weights, activations = Memory("weights", srams.weights), Memory("activations", srams.activations)
    accumulators, parameters = Memory("accumulators", srams.accumulators), Memory("parameters", srams.parameters)
    memories = (weights, activations, accumulators, parameters)
    pack = pack or Packer(chip.mac)
    all_stages = [stage for segment in plan.segments for stage in segment.stages]
    pitch = max(align(stage.elements, srams.activations.word_bytes) for stage in all_stages)
    state_pitch = _state_pitch(all_stages, srams.activations)
    image = bytearray()
    constants: dict[tuple[int, str], int] = {}
    remaining, remaining_ahead = iter(blocks), iter(ahead)
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
            placed.projection = new_projection(stage, next(remaining_ahead)) if stage.hoisted else None
            placed.slots = _behind(segment, index) + 1
            _place_weights(placed, weights, image, chip, pack)
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
        accumulators = place_projections(segments, turns, weights, activations, chip)
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


def _place_sequences(
    plan: Plan, segments: list[list[PlacedStage]], image_bytes: int, input_bytes: int, chip: Chip
) -> tuple[dict[str, int], list[Region]]:
    burst = chip.dram.burst_bytes
    ahead = [placed.projection for placed_stages in segments for placed in placed_stages if placed.projection]
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
        *((one.sums.name, one.sums) for one in ahead if not one.stays),
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


def _place_weights(placed: PlacedStage, memory: Memory, image: bytearray, chip: Chip, pack: Packer) -> None:
    name, mac = placed.stage.layer.name, chip.mac
    word = memory.shape.word_bytes
    image.extend(bytes(align(len(image), chip.dram.burst_bytes) - len(image)))
    resident = [one for one in placed.in_loop if not one.block_rows]
    placed.resident_dram = len(image)
    for one in resident:
        packed = pack(one.product.weights)
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
            image += pack(one.product.weights)
    if placed.projection:
        placed.projection.dram = len(image)
        packed = pack(*(placed.products[number].product.weights for number in placed.stage.ahead))
        blocks = placed.projection.blocks
        image += packed + bytes(blocks.count * blocks.bytes - len(packed))


def _place_parameters(
    placed: PlacedStage, initial: dict[tuple[int, str], bytes], memory: Memory, image: bytearray, chip: Chip
) -> dict[tuple[int, str], int]:
    """Bias and blocks of a stage, and the blocks of `initial`."""
    chunk = bytearray()
    for one in placed.products:
        one.bias = len(chunk)
        chunk += one.product.bias.astype("<i4").tobytes()
    chunk += bytes(sum(one.product.rows for one in placed.products) * (chip.mac.row_parameters_bytes - 4))
    for step in placed.stage.cell.steps:
        chunk += bytes(align(len(chunk), opcodes.PARAM_BYTES) - len(chunk))
        placed.blocks[step.name] = len(chunk)
        chunk += step.block
    places: dict[tuple[int, str], int] = {}
    for key, block in initial.items():
        chunk += bytes(align(len(chunk), opcodes.PARAM_BYTES) - len(chunk))
        places[key] = len(chunk)
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
    return {key: start + place for key, place in places.items()}


def _initial_blocks(stages: Sequential[Stage]) -> dict[tuple[int, str], bytes]:
    """Of what states begin with: hidden ones each with a zero point of their own, the others with 0.

    Hidden states whose zero points are equal could share a block; but then cycles would depend on calibration.
    """
    recurrent = [stage for stage in stages if stage.cell.is_recurrent]
    blocks = {(id(stage), "hidden"): int8_block(zero_point=stage.cell.initial_hidden) for stage in recurrent}
    return blocks | ({STATE_BLOCK: parameter_block()} if recurrent else {})


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
