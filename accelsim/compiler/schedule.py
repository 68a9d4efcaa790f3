"""How far apart the stages run, and how much of the input is held on the chip: from an estimate of the waves.

The estimate only chooses; no reported number comes from it. A wave with stages A takes about

    chain + (products of A but the longest)      or, if longer, the matrix, vector or DRAM work of A,

where the chain is the recurrence: product, gate, candidate, cell, hidden state, each a unit's latency and a hop.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from accelsim.chip import Chip
from accelsim.compiler.layout import align, whole_tiles
from accelsim.compiler.stages import Pipeline, Stage, with_delays
from accelsim.quant.model import QLstm

_VECTOR_HOPS = 4
"""Input gate, candidate, cell, hidden state."""
_VECTOR_INSTRUCTIONS = 5


def choose(pipeline: Pipeline, blocks: Sequence[int], chip: Chip) -> tuple[Pipeline, int]:
    """The pipeline with the delays of least estimated time, and how many steps of the input to hold.

    A large lag lets the first stages run while the weights of the later ones still arrive; a small one keeps all
    stages busy in each wave. Candidates are the powers of two up to the number of steps, and all steps.

    Parameters
    ----------
    pipeline : Pipeline
    blocks : sequence of int
        From `placement.plan_residency`.
    chip : Chip
    """
    lags = {pipeline.steps}
    lag = 1
    while lag < pipeline.steps:
        lags.add(lag)
        lag *= 2
    fitting = [lag for lag in sorted(lags) if _fits(with_delays(pipeline, lag), chip)] or [1]
    best = min(fitting, key=lambda lag: (_estimate(with_delays(pipeline, lag), blocks, chip), lag))
    chosen = with_delays(pipeline, best)
    return chosen, _input_slots(chosen, blocks, chip)


def _fits(pipeline: Pipeline, chip: Chip) -> bool:
    """Whether the rings of results leave at least half of the activations' memory free."""
    pitch = max(align(stage.outputs, chip.sram.activations.word_bytes) for stage in pipeline.stages)
    return (pipeline.stages[-1].delay + 2 * len(pipeline.stages)) * pitch <= chip.sram.activations.capacity_bytes // 2


def _products_cycles(stage: Stage, chip: Chip) -> list[int]:
    return [-(-p.rows // chip.mac.rows) * -(-p.columns // chip.mac.columns) for p in stage.products]


def _streamed_bytes(stage: Stage, blocks: Sequence[int], chip: Chip) -> int:
    return sum(
        whole_tiles(p.rows, chip.mac.rows) * p.columns for p, block in zip(stage.products, blocks, strict=True) if block
    )


def _wave_cycles(stages: Sequence[tuple[Stage, Sequence[int]]], chip: Chip) -> float:
    """Estimated cycles of a wave in which these stages work."""
    if not stages:
        return 0.0
    products = [_products_cycles(stage, chip) for stage, _ in stages]
    vector = sum(_VECTOR_INSTRUCTIONS * -(-stage.outputs // chip.vector.lanes) for stage, _ in stages)
    stream = sum(_streamed_bytes(stage, blocks, chip) for stage, blocks in stages) / chip.dram.bytes_per_cycle
    hop = chip.chaining.hop_cycles if chip.chaining.enabled else chip.sequencer.semaphore_cycles
    chain = chip.mac.latency_cycles + hop + _VECTOR_HOPS * (chip.vector.latency_cycles + hop)
    # Input products run ahead in the shadow of the chain; the recurrent ones stand before it.
    recurrent = sum(cycles[-1] for cycles in products)
    return max(chain + recurrent, sum(map(sum, products)), vector, stream)


def _resident_bytes(stage: Stage, blocks: Sequence[int], chip: Chip) -> int:
    weights = sum(
        whole_tiles(p.rows, chip.mac.rows) * p.columns
        for p, block in zip(stage.products, blocks, strict=True)
        if not block
    )
    return weights + sum(4 * product.rows for product in stage.products)


def _by_stage(pipeline: Pipeline, blocks: Sequence[int]) -> list[tuple[Stage, Sequence[int]]]:
    result, at = [], 0
    for stage in pipeline.stages:
        result.append((stage, blocks[at : at + len(stage.products)]))
        at += len(stage.products)
    return result


def _estimate(pipeline: Pipeline, blocks: Sequence[int], chip: Chip) -> float:
    """Estimated cycles of the whole program, from the weights' arrival and the waves' lengths."""
    stages = _by_stage(pipeline, blocks)
    starts = [stage.first + stage.delay for stage, _ in stages]
    ends = [stage.last + stage.delay for stage, _ in stages]
    ready, arrival = [], float(chip.dram.read_latency_cycles)
    for stage, stage_blocks in stages:
        arrival += _resident_bytes(stage, stage_blocks, chip) / chip.dram.bytes_per_cycle
        ready.append(arrival)
    time = 0.0
    marks = sorted({0, *starts, *ends})
    for begin, end in itertools.pairwise(marks):
        active = [one for one, first, last in zip(stages, starts, ends, strict=True) if first <= begin < last]
        time = max([time, *(r for r, first in zip(ready, starts, strict=True) if first == begin)])
        time += (end - begin) * _wave_cycles(active, chip)
    return time


def _input_slots(pipeline: Pipeline, blocks: Sequence[int], chip: Chip) -> int:
    """Steps of the input on the chip: those used while weights still occupy the load queue, and a latency's worth."""
    stages = _by_stage(pipeline, blocks)
    shortest = _wave_cycles(stages[:1], chip)
    loading = sum(_resident_bytes(stage, part, chip) for stage, part in stages) / chip.dram.bytes_per_cycle
    slots = int((loading + 2 * chip.dram.read_latency_cycles) / shortest) + 3
    first = pipeline.stages[0].layer
    pitch = align(first.x.features, chip.sram.activations.word_bytes)
    room = chip.sram.activations.capacity_bytes // 4 // pitch
    return max(1, min(slots, room, pipeline.steps))


def describe(pipeline: Pipeline) -> str:
    """The schedule in a few words, for the program file."""
    lags = [b.delay - a.delay for a, b in zip(pipeline.stages, pipeline.stages[1:], strict=False)]
    recurrent = [lag for lag, stage in zip(lags, pipeline.stages[1:], strict=True) if isinstance(stage.layer, QLstm)]
    if not recurrent:
        return "stepwise"
    if recurrent[0] >= pipeline.steps:
        return "stepwise, layer after layer"
    return f"wavefront, {recurrent[0]} step{'s' if recurrent[0] > 1 else ''} between layers"
