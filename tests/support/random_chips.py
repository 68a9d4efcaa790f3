"""Random chips, valid and odd: small arrays, few banks, shallow queues, fractional buses, chained or not, in stages."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from accelsim.chip import Chip
from accelsim.chip.load import check_chip


def chip_data(
    *, rows: int = 8, columns: int = 16, lanes: int = 8, weights_bytes: int = 1 << 16, **changes: dict[str, Any]
) -> dict[str, Any]:
    """A chip file's content; `changes` replace keys of a table, `sram_weights` and the like those of a memory."""
    data: dict[str, Any] = {
        "chip": {"name": "test", "clock_mhz": 100},
        "sequencer": {
            "instruction_memory_words": 4096,
            "load_queue_depth": 8,
            "matrix_queue_depth": 8,
            "vector_queue_depth": 8,
            "store_queue_depth": 4,
            "semaphores": 128,
        },
        "mac": {"rows": rows, "columns": columns, "latency_cycles": 4},
        "vector": {"lanes": lanes, "latency_cycles": 5},
        "chaining": {"enabled": True, "hop_cycles": 1},
        "sram": {
            "weights": {"capacity_bytes": weights_bytes, "banks": 8, "word_bytes": 16},
            "activations": {"capacity_bytes": 1 << 16, "banks": 8, "word_bytes": 16},
            "accumulators": {"capacity_bytes": 1 << 15, "banks": 4, "word_bytes": 32},
            "parameters": {"capacity_bytes": 1 << 15, "banks": 4, "word_bytes": 32},
        },
        "dma": {"sram_bytes_per_cycle": 16, "latency_cycles": 1},
        "dram": {
            "capacity_bytes": 1 << 24,
            "bytes_per_cycle": 4,
            "read_latency_cycles": 20,
            "write_latency_cycles": 10,
            "burst_bytes": 32,
            "outstanding_bursts": 4,
        },
    }
    for table, values in changes.items():
        section = data["sram"][table[5:]] if table.startswith("sram_") else data[table]
        section.update(values)
    return data


@st.composite
def chips(draw: st.DrawFn, weights_bytes: int = 1 << 17, in_stages: bool = True) -> Chip:
    """Any chip large enough for a small model; without `in_stages`, of the plain kind."""

    def sram(capacity: int) -> dict[str, int]:
        banks = draw(st.sampled_from([1, 2, 4, 16, 64]))
        word = draw(st.sampled_from([4, 8, 16, 64]))
        return {"capacity_bytes": -(-capacity // (banks * word)) * banks * word, "banks": banks, "word_bytes": word}

    depth = st.integers(1, 12)
    data = chip_data(
        rows=draw(st.sampled_from([1, 3, 4, 8, 16, 32])),
        columns=draw(st.sampled_from([1, 5, 8, 16, 64])),
        lanes=draw(st.sampled_from([1, 4, 7, 8, 32])),
    )
    data["sequencer"].update(
        dispatch_cycles=draw(st.integers(1, 4)),
        load_queue_depth=draw(depth),
        matrix_queue_depth=draw(depth),
        vector_queue_depth=draw(depth),
        store_queue_depth=draw(depth),
        semaphore_cycles=draw(st.integers(1, 4)),
    )
    data["mac"]["latency_cycles"] = draw(st.integers(1, 12))
    data["vector"]["latency_cycles"] = draw(st.integers(1, 12))
    data["chaining"] = {"enabled": draw(st.booleans()), "hop_cycles": draw(st.integers(1, 5))}
    data["sram"] = {
        "weights": sram(weights_bytes),
        "activations": sram(1 << 16),
        "accumulators": sram(1 << 15),
        "parameters": sram(1 << 17),
    }
    data["dma"] = {
        "sram_bytes_per_cycle": draw(st.sampled_from([1, 4, 16, 64])),
        "latency_cycles": draw(st.integers(1, 4)),
    }
    data["dram"].update(
        bytes_per_cycle=draw(st.sampled_from([0.3, 1, 1.5, 4, 16])),
        read_latency_cycles=draw(st.integers(0, 60)),
        write_latency_cycles=draw(st.integers(0, 60)),
        burst_bytes=draw(st.sampled_from([8, 24, 32, 64])),
        outstanding_bursts=draw(st.integers(1, 8)),
    )
    if draw(st.booleans()):
        data["sequencer"]["program_in_dram"] = draw(st.booleans())
        data["mac"].update(
            weight_block_columns=draw(st.sampled_from([1, 3, 8, 32])),
            row_parameters_bytes=draw(st.sampled_from([4, 5, 10, 16])),
        )
    if in_stages and draw(st.booleans()):
        data["mac"].update(
            accumulate_interval_cycles=draw(st.integers(1, 6)),
            drain_cycles=draw(st.integers(1, 5)),
        )
        data["schedule"] = {
            "weights_preloaded": draw(st.booleans()),
            "input_steps_ahead": draw(st.integers(0, 3)),
            "constants_loaded": draw(st.booleans()),
        }
    if in_stages and draw(st.booleans()):
        _in_stages(draw, data)
    return check_chip(data, "test chip")


def _in_stages(draw: st.DrawFn, data: dict[str, Any]) -> None:
    """A vector unit whose stages wait for themselves, and what machines with such units have besides."""
    operations = draw(
        st.sampled_from(
            [
                [["add", "activation", "multiply", "add"]],
                [["activation", "add", "multiply"], ["activation", "add", "multiply"]],
                [[], ["add"], ["activation", "multiply"], ["add"], []],
                [["multiply", "add"], ["activation"], ["multiply", "add"], []],
            ]
        )
    )
    latency = st.integers(1, 9)
    stages = [
        {"name": f"stage {number}", "latency_cycles": draw(latency), "operations": these}
        for number, these in enumerate(operations)
    ]
    data["vector"].update(
        latency_cycles=0,
        stages=stages,
        adds_sums=draw(st.booleans()),
        whole_row_tiles=draw(st.booleans()),
        wake_cycles=draw(st.integers(0, 3)),
    )
    data["sequencer"].update(
        beats_ahead=draw(st.sampled_from([0, 1, 3, 100])),
        beat_cycles=draw(st.integers(0, 5)),
        instruction_cycles=draw(st.integers(0, 3)),
    )
    for name in ("activations", "accumulators"):
        data["sram"][name]["conflict_free"] = draw(st.booleans())
    for memory in data["sram"].values():
        # Room for whole row tiles, of which as many as take turns.
        memory["capacity_bytes"] *= 16 if data["vector"]["whole_row_tiles"] else 1
    data["dma"]["loads_through_vector"] = draw(st.booleans())
    columns = data["mac"]["columns"]
    data["mac"]["input_memories"] = draw(st.sampled_from([part for part in (1, 2, 5, 8) if columns % part == 0]))
