"""Rows, pitches, address registers and guards: which bytes move, by hand, on each engine.

DRAM holds 1, 2, 3, ... at byte 0, 1, 2, ...; the output begins at 256.
"""

from __future__ import annotations

import pytest

from tests.support.tiny import Run, frame, tiny_program

COPY = {
    # rows gathered: bytes 0, 1 and 8, 9 and 16, 17 side by side
    "gather": (
        "load memory=activations source=[0] destination=[0] row_bytes=2 rows=3 source_pitch=8 destination_pitch=2 "
        "signal=s1\n"
        "store memory=activations source=[0] destination=[256] row_bytes=6 rows=1 wait=s1",
        [1, 2, 9, 10, 17, 18],
    ),
    # and scattered, in the SRAM and in DRAM
    "scatter": (
        "load memory=weights source=[0] destination=[0] row_bytes=1 rows=3 source_pitch=1 destination_pitch=5 "
        "signal=s1\n"
        "store memory=weights source=[0] destination=[256] row_bytes=1 rows=3 source_pitch=5 destination_pitch=2 "
        "wait=s1",
        [1, 0, 2, 0, 3, 0],
    ),
    # one row read again and again
    "pitch 0": (
        "load memory=accumulators source=[4] destination=[0] row_bytes=2 rows=3 destination_pitch=2 signal=s1\n"
        "store memory=accumulators source=[0] destination=[256] row_bytes=6 rows=1 wait=s1",
        [5, 6, 5, 6, 5, 6],
    ),
    # a ring of six bytes, entered at its fourth: iteration (i, j) writes byte (4 + 2 i + j) mod 6
    "ring": (
        "address register=a1 base=0 stride0=2 stride1=1\n"
        "address register=a2 base=256 phase=4 wrap=6 stride0=2 stride1=1\n"
        "load memory=parameters source=[0] destination=[0] row_bytes=6 rows=1 signal=s1\n"
        "sync unit=store wait=s1\n"
        "loop count=3 {\nloop count=2 {\n"
        "store memory=parameters source=[a1] destination=[a2] row_bytes=1 rows=1\n"
        "}\n}",
        [3, 4, 5, 6, 1, 2],
    ),
    # backwards, and a ring backwards: (3 - i) mod 4 = 3, 2, 1, 0, 3, 2
    "negative strides": (
        "address register=a1 base=0 phase=3 wrap=4 stride0=-1\n"
        "address register=a2 base=261 stride0=-1\n"
        "load memory=activations source=[0] destination=[0] row_bytes=4 rows=1 signal=s1\n"
        "sync unit=store wait=s1\n"
        "loop count=6 {\nstore memory=activations source=[a1] destination=[a2] row_bytes=1 rows=1\n}",
        [3, 4, 1, 2, 3, 4],
    ),
    # offset and register are added; levels that do not run count 0; a2 is not defined and reads 0
    "offsets": (
        "address register=a1 base=1 phase=1 stride0=50 stride3=70\n"
        "load memory=activations source=[a1+0x2] destination=[a2+0x1] row_bytes=3 rows=1 signal=s1\n"
        "store memory=activations source=[1] destination=[a2+0x100] row_bytes=3 rows=1 wait=s1",
        [5, 6, 7, 0, 0, 0],
    ),
    # a register's value is the one of the iteration, also where it is defined inside the loop, under a guard
    "redefinition": (
        "guard register=g1 level=0 low=1 high=9\n"
        "address register=a2 base=256 stride0=1\n"
        "address register=a1 base=9\n"
        "load memory=activations source=[0] destination=[0] row_bytes=16 rows=1 signal=s1\n"
        "sync unit=store wait=s1\n"
        "loop count=6 {\n"
        "address register=a1 base=1 stride0=1 ?g1\n"
        "store memory=activations source=[a1] destination=[a2] row_bytes=1 rows=1\n}",
        [10, 3, 4, 5, 6, 7],
    ),
}


@pytest.mark.parametrize(("code", "expected"), COPY.values(), ids=COPY.keys())
def test_copies(run: Run, code: str, expected: list[int]) -> None:
    output = run(tiny_program(code), frame(bytes(range(1, 65))))
    assert output[:6].tolist() == expected
    assert not output[6:].any()
