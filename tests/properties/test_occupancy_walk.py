"""Occupancy against a plain walk through the program that keeps every value's life in a list."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.isa import accesses
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import Program
from accelsim.machine.run import time_frame
from accelsim.profile.occupancy import OccupancyCounter
from accelsim.profile.operations import Events, all_operations
from accelsim.profile.storage import SRAMS
from accelsim.timing.stream import Operation, executing_unit, walk
from tests.support.compiled_programs import compiled
from tests.support.random_programs import small_programs

Ramp = tuple[float, float]
Piece = tuple[str, int]


class Walk:
    """Lives of values: (memory, bytes, written from-to, gone from-to)."""

    def __init__(self, program: Program, events: Events) -> None:
        self.program = program
        self.times = {unit: iter(self._begins(events[events["unit"] == unit])) for unit in Unit}
        self.operations = [one for one in walk(program.instructions, "") if one and one.unit != Unit.SEQUENCER]
        self.setup = 0
        if any(one.name == "frame" for one in program.instructions):
            self.setup = len(self.operations) - len(events)
        ends = {(region.memory, place) for region in program.regions for place in (region.address, region.end)}
        for operation in self.operations:
            for access in self.accesses(operation):
                for row in range(access.count):
                    start = access.address + row * access.pitch
                    ends |= {(access.memory, start), (access.memory, start + access.row_bytes)}
        self.ends = {memory: sorted(place for name, place in ends if name == memory) for memory in SRAMS}
        self.lives: list[tuple[str, int, Ramp, Ramp]] = []
        self.written: dict[Piece, Ramp] = {}
        self.read: dict[Piece, float] = defaultdict(lambda: -1.0)

    @staticmethod
    def _begins(events: Events) -> list[tuple[int, int, int]]:
        found, before = [], -1
        for event in events:
            found.append((max(int(event["started"]), before + 1), int(event["issued"]), int(event["done"])))
            before = int(event["issued"])
        return found

    def accesses(self, operation: Operation) -> list:
        mac = self.program.chip.mac
        found = accesses(operation.instruction, operation.addresses, mac.rows, mac.weight_block_columns)
        return [access for access in found if access.memory in SRAMS]

    def go(self, cycles: int) -> None:
        for number, operation in enumerate(self.operations):
            if number < self.setup:
                continue
            begin, issued, done = next(self.times[executing_unit(operation, self.program.chip)])
            for access in self.accesses(operation):
                for row in range(access.count):
                    start = access.address + row * access.pitch
                    places = [place for place in self.ends[access.memory] if start <= place <= start + access.row_bytes]
                    for low, high in pairwise(places):
                        piece = access.memory, low
                        if not access.is_write:
                            if self.setup or piece in self.written:
                                self.read[piece] = max(self.read[piece], issued + 1)
                            continue
                        first = begin + done - issued
                        total, passed = access.count * access.row_bytes, row * access.row_bytes + low - start
                        ramp = tuple(first + (issued - begin) * at / total for at in (passed, passed + high - low))
                        self.gone(piece, high - low, ramp, 0.0)
                        self.written[piece] = ramp
        for memory, ends in self.ends.items():
            for low, high in pairwise(ends):
                self.gone((memory, low), high - low, None, float(cycles))

    def gone(self, piece: Piece, size: int, anew: Ramp | None, end: float) -> None:
        read = self.read.pop(piece, -1.0)
        if read < 0:
            return
        written = self.written.get(piece)
        if written is None:
            # From before the frame, and for the next one where nothing overwrites it.
            written = (0.0, 0.0)
            read = end if anew is None else read
        read = max(read, written[1])
        gone = (read, read)
        if anew is not None and read > anew[0]:
            # Without a semaphore it may be overwritten before it has come.
            gone = max(anew[0], written[0]), max(anew[1], written[1])
        self.lives.append((piece[0], size, written, gone))


def _integral(times: NDArray[np.float64], ramp: Ramp) -> NDArray[np.float64]:
    """Up to each time under what rises from 0 to 1 over the ramp."""
    low, high = ramp
    within = np.clip(times, low, high) - low
    return np.maximum(times - high, 0) + (within**2 / (2 * (high - low)) if high > low else 0)


def _heights(times: NDArray[np.float64], ramp: Ramp, *, after: bool) -> NDArray[np.float64]:
    """Of what rises from 0 to 1 over the ramp, just before or after each time."""
    low, high = ramp
    if low == high:
        return (times >= low if after else times > low).astype(np.float64)
    return np.clip((times - low) / (high - low), 0, 1)


def most(lives: list[tuple[int, Ramp, Ramp]], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each bin: the sum of straight lines is highest where one of them ends."""
    knots = np.unique([*edges, *(time for _, come, gone in lives for time in (*come, *gone))])
    found = np.zeros(len(edges) - 1)
    for after in (False, True):
        held = sum(
            size * (_heights(knots, come, after=after) - _heights(knots, gone, after=after))
            for size, come, gone in lives
        )
        bins = np.searchsorted(edges, knots, side="right" if after else "left") - 1
        inside = (bins >= 0) & (bins < len(found))
        np.maximum.at(found, bins[inside], np.broadcast_to(held, knots.shape)[inside])
    return found


def check(program: Program, chunk: int, lives: int, *, races: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accelsim.profile.occupancy._LIVES", lives)
        _check(program, chunk, races=races)


def _check(program: Program, chunk: int, *, races: bool) -> None:
    try:
        cycles = time_frame(program).cycles
    except InputError:
        # A deadlock: there is no run.
        reject()
    events = all_operations(program)
    counter = OccupancyCounter(program, cycles)
    for start in range(0, len(events), chunk):
        counter(events[start : start + chunk])
    found = counter.finish()
    expected = Walk(program, events)
    expected.go(cycles)
    edges = found.edges.astype(np.float64)
    for memory in SRAMS:
        held = np.zeros(len(edges) - 1)
        for name, size, come, gone in expected.lives:
            if name == memory:
                held += size * np.diff(_integral(edges, come) - _integral(edges, gone)) / np.diff(edges)
        buffers = found.of(memory)
        total = np.sum([buffer.held_bytes for buffer in buffers], axis=0) if buffers else np.zeros(len(held))
        np.testing.assert_allclose(total, held, atol=1e-5)
        assert total.min() >= 0
        peak = most([life[1:] for life in expected.lives if life[0] == memory], edges)
        np.testing.assert_allclose(found.peak_bytes[memory], peak, atol=1e-5)
        assert found.most(memory) == pytest.approx(peak.max() + 0.5, abs=0.5001)
        if races:
            continue
        assert found.most(memory) <= found.capacity_bytes[memory]
        for buffer in buffers:
            sizes = [
                region.bytes for region in program.regions if (region.name, region.memory) == (buffer.name, memory)
            ]
            assert not sizes or buffer.held_bytes.max() <= max(sizes) + 1e-6


SLOW = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@SLOW
@given(small_programs(), st.integers(1, 50), st.integers(0, 60))
def test_random_programs(program: Program, chunk: int, lives: int) -> None:
    check(program, chunk, lives, races=True)


@settings(SLOW, max_examples=12)
@given(compiled(), st.integers(1, 200), st.sampled_from([0, 300, 10_000]))
def test_compiled_programs(program: Program, chunk: int, lives: int) -> None:
    check(program, chunk, lives, races=False)
