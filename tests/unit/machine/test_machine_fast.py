"""The compiled engine's pieces, each beside what it stands for; and how it hands on events, grows and skips."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.isa import make
from accelsim.isa.program import Program
from accelsim.jit import Int64s, kernel
from accelsim.machine.fast import engine, steady, time_program
from accelsim.machine.fast import layout as lay
from accelsim.machine.fast.beats import begin_job, next_beat, passes_at, place_access
from accelsim.machine.fast.repeats import near_period, period, room
from accelsim.machine.fast.tables import OPERANDS, Layout
from accelsim.machine.memory import memory_sizes
from accelsim.timing.beats import BeatTable
from accelsim.timing.record import EVENT
from accelsim.timing.rules import MEMORIES, split_into_passes
from accelsim.timing.stream import Operation, executing_unit
from tests.support.engines import differences, fast
from tests.support.free_programs import free_programs
from tests.support.tiny import tiny_program

QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
_PLACES = 64
_PASS, _TAKES, _GIVES, _READ = range(4)
_COUNTS = _READ + 2 * MEMORIES


@kernel
def _place_all(s: Int64s, c: Int64s, accesses: Int64s, count: int) -> int:
    passes = 1
    for number in range(0, 3 * count, 3):
        passes = place_access(s, c, 0, passes, accesses[number], accesses[number + 1], accesses[number + 2])
    return passes


@kernel
def _beats_of(
    s: Int64s, c: Int64s, p: Int64s, stage: int, job: int, passes: Int64s, most: int, counts: Int64s, length: int
) -> int:
    """Go through a job's beats in a stage: their passes, what they take and give, bytes read and written."""
    at = c[lay.O_STAGE] + stage * lay.STAGE_SIZE
    begin_job(s, c, p, at, stage, job)
    number = 0
    while True:
        base = passes_at(c, stage)
        row = _COUNTS * number
        counts[row + _PASS] = s[at + lay.S_PASSES]
        for one in range(s[at + lay.S_PASSES]):
            for memory in range(MEMORIES):
                passes[MEMORIES * (most * number + one) + memory] = s[base + MEMORIES * one + memory]
        counts[row + _TAKES], counts[row + _GIVES] = s[at + lay.S_TAKES], s[at + lay.S_GIVES]
        for memory in range(MEMORIES):
            counts[row + _READ + memory] = s[at + lay.S_BYTES + memory]
            counts[row + _READ + MEMORIES + memory] = s[at + lay.S_BYTES + MEMORIES + memory]
        number += 1
        if s[at + lay.S_IS_LAST] or number == length:
            return number
        next_beat(s, c, p, at, stage, job)


@kernel
def _before(limit: int, cycle: int, step: int, count: int, period: int, periods: int) -> int:
    return steady._transfers_before(limit, cycle, step, count, period, periods)


@settings(QUICK, max_examples=300)
@given(
    st.lists(st.tuples(st.integers(1, 64), st.integers(1, 20), st.booleans()), min_size=4, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3000), st.integers(0, 300)), min_size=1, max_size=8),
)
def test_accesses_go_into_the_same_passes(
    memories: list[tuple[int, int, bool]], accesses: list[tuple[int, int, int]]
) -> None:
    banks, words, free = ([one[part] for one in memories] for part in range(3))
    layout = Layout(tiny_program("nop"), [256] * 5)
    for memory in range(MEMORIES):
        power, odd = words[memory] & (words[memory] - 1) == 0, banks[memory] & (banks[memory] - 1)
        layout.c[lay.C_BANKS + memory], layout.c[lay.C_WORD + memory] = banks[memory], words[memory]
        layout.c[lay.C_CONFLICT_FREE + memory] = free[memory]
        layout.c[lay.C_BANK_BITS + memory] = -1 if odd else banks[memory] - 1
        layout.c[lay.C_WORD_SHIFT + memory] = words[memory].bit_length() - 1 if power else -1
    state = np.zeros(MEMORIES * 4000, np.int64)
    count = _place_all(state, layout.c, np.array(accesses, np.int64), len(accesses))
    # A mask of 64 banks is a negative number there.
    found = [tuple(int(mask) % (1 << 64) for mask in state[MEMORIES * n :][:MEMORIES]) for n in range(count)]
    assert found == list(split_into_passes(accesses, banks, words, free))


@settings(QUICK, max_examples=60)
@given(free_programs(), st.integers(0, 2**32))
def test_beats_are_those_of_the_list(program: Program, seed: int) -> None:
    """Beat by beat in each stage, at any address: `timing.beats`."""
    layout, table, number = Layout(program, memory_sizes(program)), BeatTable(program.chip), random.Random(seed)
    for index, instruction in enumerate(program.instructions):
        if instruction.name not in ("matmul", "vector", "load", "sync"):
            continue
        names = OPERANDS.get(instruction.name, ())
        addresses = {name: 8 * number.randrange(400) for name in names}
        unit = executing_unit(instruction, program.chip)
        if instruction.name == "sync" or unit not in (1, 2):
            continue
        operation = Operation(0, index, instruction, unit, addresses)
        stages = [0] if unit == 1 else list(range(1, len(program.chip.vector.pipeline) + 1))
        for stage in stages if instruction.name != "load" else stages[-1:]:
            state = layout.begin()
            job = int(layout.c[lay.O_JOBS])
            state[job + lay.J_INDEX] = index
            state[job + lay.J_ADDRESS : job + lay.J_ADDRESS + len(names)] = list(addresses.values())
            most = int(layout.c[lay.O_PASSES_SIZE]) // MEMORIES
            beats = table.of(operation, max(stage - 1, 0))
            # One more than there should be, so that a beat too many is seen.
            passes = np.zeros((len(beats) + 1, most, MEMORIES), np.int64)
            counts = np.zeros((len(beats) + 1, _COUNTS), np.int64)
            found = _beats_of(state, layout.c, layout.p, stage, job, passes, most, counts, len(counts))
            assert found == len(beats)
            for row, masks, beat in zip(counts, passes, beats, strict=False):
                assert tuple(row[:_READ]) == (len(beat.passes), beat.takes, beat.gives)
                assert [tuple(int(m) % (1 << 64) for m in masks[n]) for n in range(row[0])] == list(beat.passes)
                for first, accesses in ((_READ, beat.reads), (_READ + MEMORIES, beat.writes)):
                    for memory in range(MEMORIES):
                        assert row[first + memory] == sum(size for one, _, size in accesses if one == memory)


@settings(QUICK, max_examples=300)
@given(
    st.integers(0, 2000),
    st.integers(-50, 300),
    st.integers(1, 9),
    st.integers(1, 12),
    st.integers(1, 40),
    st.integers(1, 30),
)
def test_transfers_before_a_cycle(limit: int, cycle: int, step: int, count: int, period: int, periods: int) -> None:
    # The last of a period can come behind the first of the next.
    every = [cycle + j * period + i * step for j in range(periods) for i in range(count)]
    assert _before(limit, cycle, step, count, period, periods) == sum(one < limit for one in every)


@settings(QUICK, max_examples=300)
@given(
    st.integers(-400, 400), st.sampled_from([0, 1, 12, 40, 96, 100, 210]), st.integers(0, 50),
    st.sampled_from([1, 4, 12, 16, 35]), st.booleans(),
)  # fmt: skip
def test_turns_after_which_an_address_is_the_same(
    stride: int, wrap: int, phase: int, modulus: int, outside: bool
) -> None:
    instruction = make("address", register=1, base=7, stride1=stride, wrap=wrap, phase=phase)
    turns = period(instruction, 1, modulus, 1 << 20 if outside else -(1 << 20))
    whole = modulus if not (wrap and outside) else 1 << 40
    for counter in range(60):
        first, later = (phase + (counter + more) * stride for more in (0, turns))
        first, later = (one % wrap if wrap else one for one in (first, later))
        assert (first - later) % whole == 0


@settings(QUICK, max_examples=300)
@given(
    st.integers(-40, 40), st.sampled_from([-60, 0, 20, 30, 120]), st.sampled_from([0, 12, 40, 60, 120]),
    st.sampled_from([0, 10, 20, 50, 60]), st.sampled_from([1, 4, 12, 16]),
)  # fmt: skip
def test_a_loop_of_few_turns_comes_to_no_end_of_a_ring(
    stride: int, outer: int, wrap: int, phase: int, modulus: int
) -> None:
    instruction = make("address", register=1, base=7, stride0=outer, stride1=stride, wrap=wrap, phase=phase)
    turns, apart = room(instruction, 1), near_period(instruction, 1, modulus)
    assert (turns > 0) == (wrap > 0 and stride > 0)
    for begun in range(12):
        first = phase + begun * outer
        moved = [(first + counter * stride) % wrap for counter in range(turns)]
        assert moved == [first % wrap + counter * stride for counter in range(turns)] if turns else True
        for counter in range(turns - apart):
            assert (moved[counter + apart] - moved[counter]) % modulus == 0


def test_rings_grow_with_all_that_is_in_them() -> None:
    layout = Layout(tiny_program("nop"), [256] * 5)
    state, number = layout.begin(), random.Random(1)
    before = {}
    for place, (start_, size, head, tail) in enumerate(layout._rings()):
        state[head] = number.randrange(1000)
        state[tail] = state[head] + number.randrange(layout.capacity - lay.SPARE)
        for entry in range(int(state[head]), int(state[tail]) + 1):
            values = [number.randrange(1 << 40) for _ in range(size)]
            state[start_ + entry % layout.capacity * size :][:size] = values
            before[place, entry] = values
    old = layout.capacity
    grown = layout.grow(state)
    assert layout.capacity == 2 * old == grown[lay.CAPACITY]
    for place, (start_, size, head, tail) in enumerate(layout._rings()):
        for entry in range(int(grown[head]), int(grown[tail]) + 1):
            assert grown[start_ + entry % layout.capacity * size :][:size].tolist() == before[place, entry]


LOADS = "load memory=activations source=[0] destination=[0] row_bytes=4 rows=1\n"


@pytest.mark.parametrize("chunk", [1, 10, 100])
def test_events_are_handed_on_in_chunks(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tiny_program(f"loop count=400 {{\n{LOADS}}}\nframe\nloop count=900 {{\n{LOADS}sync unit=vector\n}}")
    whole, chunks = fast(program), []
    monkeypatch.setattr(engine, "_CHUNK", chunk)
    run = time_program(program, events=chunks.append)
    assert len(chunks) > 900 // (chunk + 200)
    assert whole.events is not None
    assert np.array_equal(np.concatenate(chunks), whole.events)
    assert whole.events.dtype == EVENT
    assert run.skipped_cycles == 0


def test_skipping_begins_late_where_it_is_compiled_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """From whichever cycle on turns are looked at, the run is the same one."""
    load = "load memory=activations source=[0] destination=[0] row_bytes=200 rows=1\n"
    program = tiny_program(f"loop count=90 {{\n{load}loop count=20 {{\n{LOADS}}}\n}}")
    plain = fast(program, with_events=False, steady_state=False)
    monkeypatch.setattr(engine, "_SLICE", 500)
    always = engine._Run._look_address
    skipped = []
    for first in range(0, 12, 3):
        looks = iter([0] * first)
        monkeypatch.setattr(engine._Run, "_look_address", lambda run, looks=looks: next(looks, None) or always(run))
        late = fast(program, with_events=False)
        assert differences(plain, late) == []
        skipped.append(late.skipped_cycles)
    assert skipped == sorted(skipped, reverse=True)
    assert skipped[-1] > 0


def test_what_skips_is_compiled_where_it_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    program = tiny_program(f"loop count=4000 {{\n{LOADS}}}")
    monkeypatch.setattr(type(steady.look), "is_ready", False)
    monkeypatch.setattr(engine._Run, "plain_cycles", 0)
    plain = time_program(program)
    assert plain.skipped_cycles == 0
    assert engine._Run.plain_cycles == plain.visited_cycles
    assert time_program(program, steady_state=True).skipped_cycles > 0
    # Short runs add up.
    monkeypatch.setattr(engine._Run, "plain_cycles", engine._MANY_CYCLES)
    assert time_program(program).skipped_cycles > 0
    monkeypatch.setattr(engine._Run, "plain_cycles", 0)
    monkeypatch.setattr(engine, "_SLICE", 500)
    monkeypatch.setattr(engine, "_MANY_CYCLES", 1500)
    late = time_program(program)
    assert late.skipped_cycles > 0
    assert late.visited_cycles >= 1500


def test_turns_whose_transfers_do_not_fit_into_the_log_are_not_skipped() -> None:
    """The log of a turn is full, which another turn then is like."""
    # Two sizes in turn, from addresses that come round too late for a look: every transfer is a record.
    primes = (509, 503, 499)
    registers = "".join(f"address register=a{n} stride1=1 wrap={prime}\n" for n, prime in enumerate(primes, 1))
    loads = "".join(
        f"load memory=activations source=[a{n}] destination=[0] row_bytes={n} rows=1\n" for n in range(1, 4)
    )
    program = tiny_program(
        f"{registers}loop count=5 {{\nloop count=30000 {{\n{loads}}}\nsync unit=load\n}}",
        dram__burst_bytes=499,
        dram__bytes_per_cycle=32,
        dram__capacity_bytes=1024,
    )
    steps = fast(program, with_events=False, steady_state=False)
    whole = fast(program, with_events=False)
    assert whole.skipped_cycles == 0
    assert differences(steps, whole) == []
