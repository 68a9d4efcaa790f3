"""Random arrangements of a graph's layers, and chips whose accumulators hold no more than a few steps' sums."""

from __future__ import annotations

from hypothesis import strategies as st

from accelsim.chip import Chip
from accelsim.compiler.arrangement import Arrangement
from accelsim.quant.model import QConcat, QGraph, QSelectStep


def layer_names(graph: QGraph) -> list[str]:
    """Layers that compute."""
    return [layer.name for layer in graph.layers if not isinstance(layer, QConcat | QSelectStep)]


@st.composite
def any_arrangement(draw: st.DrawFn, graph: QGraph) -> Arrangement:
    """Any layers hoisted, any apart, layers any distance from each other, directions side by side or not."""
    some = st.frozensets(st.sampled_from(layer_names(graph)))
    steps = graph.input.shape[0]
    return Arrangement(
        hoisted=draw(some),
        apart=draw(some),
        lags=draw(st.sampled_from([(), (1,), (steps,)])),
        side_by_side=draw(st.booleans()),
    )


def with_accumulators(chip: Chip, capacity_bytes: int) -> Chip:
    """The chip with another size of accumulators, up to whole rows of banks."""
    old = chip.sram.accumulators
    row = old.banks * old.word_bytes
    memory = old.model_copy(update={"capacity_bytes": -(-capacity_bytes // row) * row})
    return chip.model_copy(update={"sram": chip.sram.model_copy(update={"accumulators": memory})})
