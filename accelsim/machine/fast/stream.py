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

from accelsim.isa.opcodes import Unit
from accelsim.machine.fast import books, dma, steady
from accelsim.machine.fast import layout as lay
from accelsim.machine.fast.signature import STREAM
from accelsim.machine.jit import part

_LOAD = int(Unit.LOAD)


@part
def look(s: Any, c: Any, p: Any, log: Any, marks: Any) -> None:
    """After a request with many more to come: advance if it is like one before, else keep it if it is time."""
    load, mark = lay.LOAD_DMA, steady.mark_of(c, STREAM)
    if not s[lay.LOG_OPEN]:
        steady.forget(s)
    same_row = s[lay.STREAM_KEPT] and marks[mark + steady.M_COUNTER] == s[lay.ACTIVITY]
    if not same_row:
        _keep(s, c, p, marks, 1)
        return
    if steady.is_same(s, c, p, marks, STREAM):
        moved = marks[mark + steady.M_LEFT] - s[load + lay.D_LEFT]
        periods = (s[load + lay.D_LEFT] - c[lay.C_BURST]) // moved
        if periods > 0:
            steady.advance(s, c, log, marks, STREAM, periods)
            _move(s, c, p, periods * moved)
        s[lay.STREAM_KEPT] = 0
        return
    marks[mark + steady.M_LOOKS] += 1
    if marks[mark + steady.M_LOOKS] == marks[mark + steady.M_PATIENCE]:
        _keep(s, c, p, marks, 2 * marks[mark + steady.M_PATIENCE])


@part
def _keep(s: Any, c: Any, p: Any, marks: Any, patience: int) -> None:
    """Keep how it stands after this request."""
    s[lay.STREAM_KEPT] = steady.keep(s, c, p, marks, STREAM, patience)
    mark = steady.mark_of(c, STREAM)
    marks[mark + steady.M_COUNTER] = s[lay.ACTIVITY]
    marks[mark + steady.M_LEFT] = s[lay.LOAD_DMA + lay.D_LEFT]


@part
def _move(s: Any, c: Any, p: Any, size: int) -> None:
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
