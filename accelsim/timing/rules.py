"""The dynamic rules of the machine as pure integer functions. Every engine calls these and no other.

The meaning of time. In cycle t every unit sees the state at the end of cycle t - 1; what happens in t is visible from
a later cycle on, and each function here says which. The one decision inside a cycle is the arbitration of memory
ports, in the order of `PRIORITY`.
"""

from __future__ import annotations

from collections.abc import Sequence

MEMORIES = 4
"""Weights, activations, accumulators, parameters: the order of `isa.opcodes.Memory`."""

PRIORITY = ("matrix", "vector", "store", "load")
"""Who gets a bank when several want it in one cycle."""

Access = tuple[int, int, int]
"""(memory, first byte, bytes) of one contiguous access of a beat."""

Pass = tuple[int, int, int, int]
"""Banks a beat occupies in one cycle: a bit mask a memory."""


def bank_mask(first_word: int, words: int, banks: int) -> int:
    """Bits of the banks that `words` consecutive words from `first_word` on lie in; words <= banks <= 64.

    No intermediate needs more than 64 bits: n ones are 2 * (2**(n - 1) - 1) + 1.
    """
    start = first_word % banks
    beyond = words - (banks - start)
    if beyond <= 0:
        return (2 * ((1 << (words - 1)) - 1) + 1) << start
    ones = 2 * ((1 << (banks - start - 1)) - 1) + 1
    return (ones << start) | (2 * ((1 << (beyond - 1)) - 1) + 1)


def split_into_passes(
    accesses: Sequence[Access], banks: Sequence[int], word_bytes: Sequence[int], conflict_free: Sequence[bool]
) -> tuple[Pass, ...]:
    """The cycles a beat needs when nobody else wants its banks, and the banks of each.

    A bank serves one word a cycle. The accesses are placed in order; each is cut into runs of at most `banks` words,
    and a run goes into the first pass, not before its access's previous run, in which all its banks are still free.
    All accesses of a pass are granted together or not at all. In a conflict-free memory an access takes its cycles,
    but no bank.

    Parameters
    ----------
    accesses : sequence of (memory, first byte, bytes)
    banks, word_bytes, conflict_free : one a memory

    Returns
    -------
    tuple of Pass
        At least one; a beat without accesses has one empty pass.
    """
    passes: list[list[int]] = [[0] * MEMORIES]
    for memory, first_byte, size in accesses:
        if size <= 0:
            continue
        word = first_byte // word_bytes[memory]
        left = (first_byte + size - 1) // word_bytes[memory] - word + 1
        place = 0
        while left > 0:
            run = min(left, banks[memory])
            mask = 0 if conflict_free[memory] else bank_mask(word, run, banks[memory])
            while place < len(passes) and passes[place][memory] & mask:
                place += 1
            if place == len(passes):
                passes.append([0] * MEMORIES)
            passes[place][memory] |= mask
            word += run
            left -= run
            # The next run of the access can't share this pass; with banks its mask says so.
            place += int(conflict_free[memory])
    return tuple((one[0], one[1], one[2], one[3]) for one in passes)


def tile_groups(tiles: int, interval: int) -> list[int]:
    """Row tiles that take turns, group by group: `interval` of them while twice as many are left, then all the rest."""
    groups = []
    while tiles >= 2 * interval:
        groups.append(interval)
        tiles -= interval
    return [*groups, tiles]


def padded_columns(columns: int, block_columns: int) -> int:
    """Columns of a row tile as its weights lie in memory: whole blocks."""
    return -(-columns // block_columns) * block_columns


def drained(issued: int, latency_cycles: int, last_out: int, drain_cycles: int) -> int:
    """The cycle in which a row tile's sums are written: after the array's latency, and behind those before it.

    Parameters
    ----------
    issued : int
        Cycle of the tile's last beat.
    latency_cycles, drain_cycles : int
        Keys of the chip's `mac`.
    last_out : int
        The cycle in which the tile before it was written; far in the past for the first.
    """
    return max(issued + latency_cycles, last_out + drain_cycles)


def beat_written(
    sequencer_free: int, dispatched: int, foreign: int, instruction_cycles: int, oldest_issued: int
) -> int:
    """The cycle in which a unit's sequencer writes an instruction's (or row's) first beat; a later beat, one more each.

    Parameters
    ----------
    sequencer_free : int
        The cycle after its last written beat.
    dispatched : int
        The cycle in which it gets the instruction.
    foreign : int
        Instructions of other units since its last one, each of which it passes over.
    instruction_cycles : int
        What it spends on each.
    oldest_issued : int
        The cycle in which the beat was issued whose place this one takes; it is free a cycle later.
    """
    start = max(sequencer_free + foreign * instruction_cycles, dispatched) + instruction_cycles
    return max(start, oldest_issued + 1)


def is_free(used: Sequence[int], wanted: Pass) -> bool:
    """Whether none of the wanted banks is taken in this cycle."""
    return not (used[0] & wanted[0] or used[1] & wanted[1] or used[2] & wanted[2] or used[3] & wanted[3])


def burst_bytes_at(address: int, left: int, burst_bytes: int) -> int:
    """Bytes of the DRAM request that starts at `address`: requests end at multiples of the burst size."""
    return min(left, burst_bytes - address % burst_bytes)


def reserve_bus(bus_free: int, cycle: int, size: int, rate_numerator: int, rate_denominator: int) -> int:
    """The time at which the DRAM bus is free again after a transfer of `size` bytes asked for in `cycle`.

    Requests take the bus in the order they ask. Times are in units of 1/rate_numerator cycle, so that any rational
    number of bytes a cycle is exact: a byte takes rate_denominator units.
    """
    return max(bus_free, cycle * rate_numerator) + size * rate_denominator


def bus_cycle(time: int, rate_numerator: int) -> int:
    """The first whole cycle not before a bus time."""
    return -(-time // rate_numerator)


def visible_after_completion(completed: int, semaphore_cycles: int) -> int:
    """First cycle in which a waiter sees the signal of an instruction whose result is written in `completed`."""
    return completed + semaphore_cycles


def visible_after_hop(produced: int, hop_cycles: int) -> int:
    """First cycle in which a chained consumer sees an element written in `produced`."""
    return produced + hop_cycles
