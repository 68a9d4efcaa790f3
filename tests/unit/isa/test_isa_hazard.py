"""Read and write sets against arithmetic by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.isa import Access, accesses, make, opcodes


def test_load_reads_dram_and_writes_its_memory() -> None:
    load = make("load", memory=opcodes.Memory.PARAMETERS, row_bytes=10, rows=3, source_pitch=16, destination_pitch=12)
    assert accesses(load, {"source": 1000, "destination": 8}, 32) == [
        Access("source", "dram", False, 1000, 10, 3, 16),
        Access("destination", "parameters", True, 8, 10, 3, 12),
    ]


@pytest.mark.parametrize(
    ("start", "extra"),
    [
        (opcodes.Start.ZERO, []),
        (opcodes.Start.BIAS, [Access("bias", "parameters", False, 40, 160, 1, 0)]),
        (opcodes.Start.ACCUMULATE, [Access("accumulators", "accumulators", False, 30, 160, 1, 0)]),
    ],
)
def test_matmul_pads_weights_to_whole_tiles(start: int, extra: list[Access]) -> None:
    matmul = make("matmul", start=start, rows=40, columns=7)
    addresses = {"weights": 10, "input": 20, "accumulators": 30, "bias": 40}
    assert accesses(matmul, addresses, 32) == [
        Access("weights", "weights", False, 10, 64 * 7, 1, 0),
        Access("input", "activations", False, 20, 7, 1, 0),
        *extra,
        Access("accumulators", "accumulators", True, 30, 160, 1, 0),
    ]


def test_vector_reads_what_its_stages_need() -> None:
    addresses = {"source": 1, "addend": 2, "factor": 3, "term": 4, "destination": 5, "parameters": 6}
    fill = make("vector", destination_type=opcodes.Destination.INT16, length=5)
    assert accesses(fill, addresses, 32) == [
        Access("parameters", "parameters", False, 6, 32, 1, 0),
        Access("destination", "activations", True, 5, 10, 1, 0),
    ]
    full = make(
        "vector",
        source_type=opcodes.Source.INT32,
        requantize=opcodes.Requantize.REAL,
        addend_type=opcodes.Addend.INT16,
        multiply=1,
        accumulate=1,
        destination_type=opcodes.Destination.INT8,
        length=5,
    )
    assert accesses(full, addresses, 32) == [
        Access("source", "accumulators", False, 1, 20, 1, 0),
        Access("addend", "activations", False, 2, 10, 1, 0),
        Access("factor", "activations", False, 3, 10, 1, 0),
        Access("term", "activations", False, 4, 10, 1, 0),
        Access("parameters", "parameters", False, 6, 32, 1, 0),
        Access("parameters", "parameters", False, 38, 40, 1, 0),
        Access("destination", "activations", True, 5, 5, 1, 0),
    ]


def test_the_sequencer_touches_no_memory() -> None:
    assert accesses(make("sync", unit=1), {}, 32) == []
    assert accesses(make("halt"), {}, 32) == []


def _bytes(access: Access) -> set[int]:
    starts = (access.address + row * access.pitch for row in range(access.count))
    return {byte for start in starts for byte in range(start, start + access.row_bytes)}


def _accesses() -> st.SearchStrategy[Access]:
    return st.builds(
        lambda memory, address, size, count, pitch: Access("x", memory, False, address, size, count, pitch),
        st.sampled_from(["dram", "weights"]),
        st.integers(0, 60),
        st.integers(1, 12),
        st.integers(1, 5),
        st.integers(0, 20),
    )


@given(_accesses(), _accesses())
def test_overlap_is_a_common_byte(first: Access, second: Access) -> None:
    common = first.memory == second.memory and bool(_bytes(first) & _bytes(second))
    assert first.overlaps(second) == common
    assert second.overlaps(first) == common
    assert first.end == max(_bytes(first)) + 1
