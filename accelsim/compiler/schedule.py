"""How far apart the stages run, and how much of each sequence is held on the chip: from an estimate of the waves.

The estimate only chooses; no reported number comes from it. A wave with stages A takes about

    chain + recurrent products of A      or, if longer, the matrix, vector or DRAM work of A,

where the chain is the recurrence: a product, then the vector instructions up to the result, each a unit's latency and
a hop. Input products run in its shadow.
"""

from __future__ import annotations

from collections.abc import Sequence as Sequential
from dataclasses import dataclass, replace
from itertools import pairwise

from accelsim.chip import Chip
from accelsim.compiler.arrangement import Arrangement
from accelsim.compiler.cells import INPUT
from accelsim.compiler.layout import align, weights_bytes
from accelsim.compiler.stages import Plan, Segment, Sequence, Stage
from accelsim.errors import CapacityError


def choose(
    plan: Plan, blocks: Sequential[int], chip: Chip, arrangement: Arrangement | None = None
) -> tuple[Plan, dict[int, tuple[int, int]]]:
    """The plan with the delays of least estimated time, and how many steps of its sequence each stage holds.

    A large lag between stages lets the first ones run while the weights of the later ones still arrive; a small one
    keeps all stages busy in each wave. Candidates are the powers of two up to the number of steps, and all steps,
    unless the arrangement says which.

    Parameters
    ----------
    plan : Plan
    blocks : sequence of int
        From `residency.residency`, for all products in order.
    chip : Chip
    arrangement : Arrangement, optional

    Returns
    -------
    plan : Plan
        With delays.
    slots : dict
        By id of the stages that read a sequence: steps held at once, and loaded at first.

    Raises
    ------
    CapacityError
        The activations can't hold as many steps between layers as the arrangement wants.
    """
    arrangement = arrangement or Arrangement()
    costs = _Costs(chip, plan, blocks)
    segments: list[Segment] = []
    time, layer = 0.0, 0
    for segment in plan.segments:
        steps = segment.stages[0].steps_there
        shifted = {
            lag: segment.with_lag(lag, side_by_side=arrangement.side_by_side)
            for lag in arrangement.lags or possible_lags(steps)
        }
        needed = {lag: _ring_bytes(one, chip) for lag, one in shifted.items()}
        # The rings of results leave at least half of the activations' memory free.
        room = chip.sram.activations.capacity_bytes // 2
        fitting = [lag for lag in sorted(shifted) if needed[lag] <= room]
        if not fitting and arrangement.lags and len(segment.stages) > 1:
            hint = "for the steps between layers, in half of the memory"
            raise CapacityError(chip.name, "sram.activations", min(needed.values()), room, "bytes", hint)
        fitting = fitting or [min(shifted)]
        ends = {lag: costs.finish(shifted[lag], layer, time) for lag in fitting}
        best = min(fitting, key=lambda lag: (ends[lag], lag))
        segments.append(shifted[best])
        time, layer = ends[best], layer + len(segment.stages)
    chosen = replace(plan, segments=tuple(segments))
    slots = {
        id(stage): _input_slots(stage, costs, number == 0, chip)
        for number, segment in enumerate(segments)
        for stage in segment.stages
        if isinstance(stage.source, Sequence) and not stage.hoisted
    }
    return chosen, slots


def possible_lags(steps: int) -> tuple[int, ...]:
    """One less than each power of two, below the number of steps; and all steps.

    The ring of a stage's results then has a power of two of slots, and comes round with the banks and other rings.
    """
    return (*((2 << power) - 1 for power in range(steps.bit_length()) if (2 << power) - 1 < steps), steps)


def _ring_bytes(segment: Segment, chip: Chip) -> int:
    """The rings of results."""
    pitch = max(align(stage.elements, chip.sram.activations.word_bytes) for stage in segment.stages)
    slots = sum(
        2 if segment.reader(index) is None else segment.stages[segment.reader(index) or 0].delay - stage.delay + 1
        for index, stage in enumerate(segment.stages)
    )
    return slots * pitch


@dataclass(frozen=True)
class _StageCost:
    """A stage's cycles in a wave, and when its weights are there."""

    recurrent: int
    products: int
    vector: int
    stream: float
    chain: int
    ready: float


class _Costs:
    def __init__(self, chip: Chip, plan: Plan, blocks: Sequential[int]) -> None:
        remaining = iter(blocks)
        preloaded = chip.schedule.weights_preloaded
        arrival = 0.0 if preloaded else float(chip.dram.read_latency_cycles)
        self.stages: list[_StageCost] = []
        for segment in plan.segments:
            for stage in segment.stages:
                own = [next(remaining) for _ in stage.products]
                arrival += 0.0 if preloaded else _resident_bytes(stage, own, chip) / load_rate(chip)
                self.stages.append(_stage_cost(stage, own, arrival, chip))
        self.loaded = arrival

    def finish(self, segment: Segment, layer: int, begin: float) -> float:
        """Estimated cycle in which a segment ends that begins in cycle `begin`; `layer` is its first stage."""
        costs = self.stages[layer : layer + len(segment.stages)]
        spans = [stage.waves(stage.first, stage.last) for stage in segment.stages]
        time = begin
        for start, end in pairwise(sorted({0, *(edge for span in spans for edge in span)})):
            active = [cost for cost, (first, last) in zip(costs, spans, strict=True) if first <= start < last]
            time = max([time, *(cost.ready for cost, span in zip(costs, spans, strict=True) if span[0] == start)])
            time += (end - start) * wave_cycles(active)
        return time


def load_rate(chip: Chip) -> float:
    """Bytes a cycle the load DMA keeps up: the bus's, unless too few requests are under way to hide their latency."""
    dram = chip.dram
    a_request = dram.read_latency_cycles + dram.burst_bytes / dram.bytes_per_cycle
    return min(dram.bytes_per_cycle, dram.outstanding_bursts * dram.burst_bytes / a_request)


def wave_cycles(costs: Sequential[_StageCost]) -> float:
    """Estimated cycles of a wave in which these stages work."""
    if not costs:
        return 0.0
    chain = max(cost.chain for cost in costs) + sum(cost.recurrent for cost in costs)
    return max(
        chain,
        sum(cost.products for cost in costs),
        sum(cost.vector for cost in costs),
        sum(cost.stream for cost in costs),
    )


def _stage_cost(stage: Stage, blocks: Sequential[int], ready: float, chip: Chip) -> _StageCost:
    groups = -(-stage.batch // chip.mac.batch_columns)
    beats = [
        0 if number in stage.ahead else groups * -(-one.rows // chip.mac.rows) * -(-one.columns // chip.mac.columns)
        for number, one in enumerate(stage.products)
    ]
    streamed = sum(
        weights_bytes(one.rows, one.columns, chip.mac)
        for one, block in zip(stage.products, blocks, strict=True)
        if block
    ) + sum(4 * stage.products[number].rows * stage.batch for number in stage.ahead)
    hop = chip.chaining.hop_cycles if chip.chaining.enabled else chip.sequencer.semaphore_cycles
    rounds = {product.reads for product in stage.cell.products} - {INPUT}
    passes = max(1, len(rounds))
    own = stage.cell.reading(INPUT)
    chain = passes * (chip.mac.latency_cycles + hop) + stage.cell.hops * (chip.vector.depth_cycles + hop)
    return _StageCost(
        recurrent=sum(beats[len(own) :]) if stage.cell.is_recurrent else beats[0],
        products=sum(beats),
        vector=len(stage.cell.steps) * -(-stage.elements // chip.vector.lanes),
        stream=streamed / load_rate(chip),
        chain=chain,
        ready=ready,
    )


def _resident_bytes(stage: Stage, blocks: Sequential[int], chip: Chip) -> int:
    weights = sum(
        weights_bytes(one.rows, one.columns, chip.mac)
        for number, (one, block) in enumerate(zip(stage.products, blocks, strict=True))
        if not block and number not in stage.ahead
    )
    return weights + sum(chip.mac.row_parameters_bytes * product.rows for product in stage.products)


def _input_slots(stage: Stage, costs: _Costs, first_segment: bool, chip: Chip) -> tuple[int, int]:
    """Steps of a sequence on the chip, and loaded at first.

    As many as the chip file says, and a slot to load the next into; or a latency's worth, and those used while weights
    still occupy the load queue.
    """
    sequence = stage.source
    if not isinstance(sequence, Sequence):
        return 0, 0
    if chip.schedule.input_steps_ahead:
        ahead = min(chip.schedule.input_steps_ahead, stage.steps)
        return ahead + 1, ahead
    shortest = wave_cycles([_stage_cost(stage, [0] * len(stage.products), 0.0, chip)])
    loading = costs.loaded if first_segment else 0.0
    slots = int((loading + 2 * chip.dram.read_latency_cycles) / shortest) + 3
    pitch = align(sequence.row_bytes, chip.sram.activations.word_bytes)
    room = chip.sram.activations.capacity_bytes // 8 // pitch
    if slots < stage.steps:
        # A power of two, as of the rings of results.
        slots = 1 << (slots - 1).bit_length()
    while slots > max(1, room):
        slots //= 2
    slots = min(slots, stage.steps)
    return slots, slots
