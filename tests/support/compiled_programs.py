"""Random models, compiled for random chips."""

from __future__ import annotations

from hypothesis import strategies as st

from accelsim.compiler import compile_graph
from accelsim.errors import CapacityError
from accelsim.isa.program import Program
from tests.support.random_chips import chips
from tests.support.random_models import random_graph


@st.composite
def compiled(draw: st.DrawFn, most_steps: int = 6) -> Program:
    """A random model on a random chip; weights resident or streamed."""
    steps = draw(st.integers(1, most_steps))
    graph = random_graph(
        draw(st.integers(0, 2**32)),
        steps=steps,
        sizes=tuple(draw(st.lists(st.integers(1, 20), min_size=2, max_size=4))),
        linear=draw(st.one_of(st.none(), st.integers(1, 12))),
        linear_first=draw(st.one_of(st.none(), st.integers(1, 12))),
        select=draw(st.one_of(st.none(), st.integers(0, steps - 1))),
    )
    # The last always has room for the smallest model.
    large = chips(weights_bytes=1 << 22)
    for chip in draw(st.tuples(st.one_of(chips(), chips(weights_bytes=1 << 10), chips(weights_bytes=1 << 12)), large)):
        for one in (graph, random_graph(0, steps=steps, sizes=(3, 2))):
            try:
                return compile_graph(one, chip)
            except CapacityError:
                continue
    raise AssertionError("the smallest model has no room")
