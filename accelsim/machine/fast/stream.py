"""Streams without contention: bursts of a long row that repeat are advanced together, in closed form.

Let the load DMA be the only unit at work: between two of its requests in one row no other unit has issued a beat, and
the sequencer has done nothing. Each burst i of the row is then full (b bytes, on a boundary of `dram.burst_bytes`) and
has, with N buffers, the bus at b / rate cycles a burst, the read latency L and n beats to land, the times

    request  r(i) = max(r(i-1) + 1, f(i-N))          one a cycle, when a buffer is free
    bus      e(i) = max(e(i-1), r(i)) + b / rate
    landing  l(i) = max(l(i-1) + n, ceil(e(i)) + L)  in order, n cycles each
    buffer   f(i) = l(i) + n

which only add constants to earlier times and take the larger: if at two requests, p bursts and D cycles apart, all
that is under way stands alike relative to the request, every later time is D more than that of p bursts before, for
as long as bursts are full and the row goes on. Nothing else can happen meanwhile: a semaphore that a unit waits for is
given by other units, which are at rest, or with the row's last burst. And n is the same for every burst: a beat that
no other contends with needs its passes and no more, and they depend on its address modulo a word alone
(`timing.rules.split_into_passes`: one access, cut into runs of as many words as there are banks).

So k periods are added in one step, as `steady` does it for loops: k D to every cycle, k p b to the stream's addresses,
k times the last period's counts to the books. The last burst of the row, which signals, is always left.
"""

from __future__ import annotations

from typing import Any

from accelsim.jit import part
from accelsim.machine.fast import books, dma
from accelsim.machine.fast import layout as lay


@part
def is_kept(s: Any, marks: Any, mark: int) -> bool:
    """Whether a request of this row is kept, and nobody else has done anything since."""
    kept: bool = s[lay.STREAM_KEPT] != 0 and marks[mark + lay.M_COUNTER] == s[lay.ACTIVITY]
    return kept


@part
def periods_left(s: Any, c: Any, marks: Any, mark: int) -> int:
    """How many periods can be added: full bursts of the row, but for its last."""
    left = s[lay.LOAD_DMA + lay.D_LEFT]
    periods: int = (left - c[lay.C_BURST]) // (marks[mark + lay.M_LEFT] - left)
    return periods


@part
def move(s: Any, c: Any, p: Any, size: int) -> None:
    """Move the stream's addresses on: of the next request, of those under way, and of the beat that lands."""
    load = lay.LOAD_DMA
    s[load + lay.D_LEFT] -= size
    s[load + lay.D_DRAM] += size
    s[load + lay.D_SRAM] += size
    for number in range(s[lay.LAND_LEFT], s[lay.LAND_TAIL]):
        s[books.land_at(s, c, number) + lay.B_SRAM] += size
    if s[lay.LANDING + lay.D_BUSY]:
        number = s[lay.LANDING + lay.D_PASS]
        dma.land_piece(s, c, p)
        s[lay.LANDING + lay.D_PASS] = number
