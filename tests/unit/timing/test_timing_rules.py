"""The dynamic rules: banks and passes, bursts, the bus; small cases by hand, any case by what must hold."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.timing.rules import (
    Access,
    bank_mask,
    burst_bytes_at,
    bus_cycle,
    is_free,
    reserve_bus,
    split_into_passes,
    visible_after_completion,
    visible_after_hop,
)

BANKS, WORDS = (4, 8, 2, 1), (4, 2, 8, 16)


@pytest.mark.parametrize(
    ("first_word", "words", "banks", "mask"),
    [
        (0, 1, 4, 0b0001),
        (5, 1, 4, 0b0010),
        (3, 2, 4, 0b1001),
        (6, 4, 4, 0b1111),
        (0, 1, 1, 1),
        (63, 2, 64, 1 << 63 | 1),
    ],
)
def test_bank_mask(first_word: int, words: int, banks: int, mask: int) -> None:
    assert bank_mask(first_word, words, banks) == mask


@given(st.integers(0, 10**6), st.integers(1, 64), st.integers(1, 64))
def test_bank_mask_is_the_set_of_word_numbers_modulo_banks(first_word: int, words: int, banks: int) -> None:
    words = min(words, banks)
    assert bank_mask(first_word, words, banks) == sum(
        1 << (word % banks) for word in range(first_word, first_word + words)
    )


PASSES: list[tuple[list[Access], list[tuple[int, int, int, int]]]] = [
    ([], [(0, 0, 0, 0)]),
    ([(0, 0, 0)], [(0, 0, 0, 0)]),
    ([(0, 0, 1)], [(1, 0, 0, 0)]),
    # bytes 3 and 4 are in two words of 4
    ([(0, 3, 2)], [(0b0011, 0, 0, 0)]),
    # the last word and the first: banks 3 and 0
    ([(0, 12, 8)], [(0b1001, 0, 0, 0)]),
    # 24 bytes are 6 words, of which 4 fit; then words 4 and 5 in banks 0 and 1
    ([(0, 0, 24)], [(0b1111, 0, 0, 0), (0b0011, 0, 0, 0)]),
    # memories don't share ports
    ([(0, 0, 4), (1, 0, 2), (2, 0, 8), (3, 0, 16)], [(1, 1, 1, 1)]),
    # the same word twice
    ([(0, 0, 1), (0, 1, 1)], [(1, 0, 0, 0), (1, 0, 0, 0)]),
    # the third access fits beside the first, though the second had to wait
    ([(0, 0, 4), (0, 16, 4), (0, 4, 4)], [(0b0011, 0, 0, 0), (0b0001, 0, 0, 0)]),
    # a run stays behind the run before it, even where an earlier pass has room: words 4 to 8 are a whole round of banks
    # and bank 0, and wait for the pass after that of banks 0 and 1
    ([(0, 0, 8), (0, 16, 20)], [(0b0011, 0, 0, 0), (0b1111, 0, 0, 0), (0b0001, 0, 0, 0)]),
]


@pytest.mark.parametrize(("accesses", "passes"), PASSES)
def test_passes(accesses: list[Access], passes: list[tuple[int, int, int, int]]) -> None:
    assert split_into_passes(accesses, BANKS, WORDS, [False] * 4) == tuple(passes)


ACCESSES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 500), st.integers(1, 60)), max_size=6)


@given(ACCESSES, st.tuples(*[st.integers(1, 64)] * 4), st.tuples(*[st.integers(1, 16)] * 4))
def test_passes_hold_every_word_once(
    accesses: list[Access], banks: tuple[int, ...], word_bytes: tuple[int, ...]
) -> None:
    passes = split_into_passes(accesses, banks, word_bytes, [False] * 4)
    assert len(passes) == 1 or all(any(one) for one in passes)
    for memory in range(4):
        wanted = [0] * banks[memory]
        for number, first, size in accesses:
            if number == memory:
                for word in range(first // word_bytes[memory], (first + size - 1) // word_bytes[memory] + 1):
                    wanted[word % banks[memory]] += 1
        found = [sum(one[memory] >> bank & 1 for one in passes) for bank in range(banks[memory])]
        assert found == wanted
        # a bank serves a word a cycle, so no order needs fewer passes than its fullest bank has words
        assert len(passes) >= max(wanted)


def test_is_free() -> None:
    assert is_free((1, 0, 0, 0), (2, 1, 1, 1))
    for memory in range(4):
        one = tuple(int(memory == other) for other in range(4))
        assert not is_free(one, one)


@pytest.mark.parametrize(
    ("address", "left", "burst", "size"),
    [(0, 100, 16, 16), (8, 100, 16, 8), (31, 100, 16, 1), (16, 5, 16, 5), (7, 3, 1, 1)],
)
def test_bursts_end_at_multiples(address: int, left: int, burst: int, size: int) -> None:
    assert burst_bytes_at(address, left, burst) == size


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 300)), min_size=1, max_size=20),
    st.fractions(Fraction(1, 100), 100, max_denominator=1024),
)
def test_the_bus_in_exact_fractions(requests: list[tuple[int, int]], rate: Fraction) -> None:
    time, cycle, free = 0, 0, Fraction(0)
    for gap, size in requests:
        cycle += gap
        time = reserve_bus(time, cycle, size, rate.numerator, rate.denominator)
        free = max(free, Fraction(cycle)) + size / rate
        assert Fraction(time, rate.numerator) == free
        assert bus_cycle(time, rate.numerator) - 1 < free <= bus_cycle(time, rate.numerator)


def test_when_signals_are_seen() -> None:
    assert visible_after_completion(10, 3) == 13
    assert visible_after_hop(10, 1) == 11
