"""What is made once for chips that are alike in what was read of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accelsim.chip import Chip, load_chip
from accelsim.compiler import reuse
from accelsim.compiler.build import Compiler
from accelsim.compiler.reuse import Reuse, watched
from accelsim.errors import CapacityError
from tests.support.random_models import random_graph

CHIP = load_chip("tx5368")
WIDE = CHIP.with_(mac_columns=2 * CHIP.mac.columns)
FAST = CHIP.with_(dram_bytes_per_cycle=32)


def test_what_is_read_is_noted() -> None:
    reads: reuse.Reads = {}
    chip = watched(CHIP, reads)
    assert (chip.mac.rows, chip.sram.weights.banks) == (CHIP.mac.rows, CHIP.sram.weights.banks)
    assert chip.vector.pipeline == CHIP.vector.pipeline
    assert reads == {
        ("mac", "rows"): CHIP.mac.rows,
        ("sram", "weights", "banks"): CHIP.sram.weights.banks,
        ("vector", "pipeline"): CHIP.vector.pipeline,
    }
    with pytest.raises(TypeError, match=r"mac\.model_dump is no value"):
        chip.mac.model_dump()
    with pytest.raises(AttributeError):
        chip.mac.nothing  # type: ignore[attr-defined]  # noqa: B018


def counted(make: Callable[[Chip], int]) -> tuple[Callable[[Chip], int], list[int]]:
    made: list[int] = []

    def count(chip: Chip) -> int:
        made.append(make(chip))
        return made[-1]

    return count, made


def test_a_value_that_was_not_read_does_not_matter() -> None:
    make, made = counted(lambda chip: chip.mac.columns * 10)
    kept = Reuse()
    assert [kept.get("key", chip, make) for chip in (CHIP, FAST, WIDE, CHIP)] == [
        10 * chip.mac.columns for chip in (CHIP, FAST, WIDE, CHIP)
    ]
    assert len(made) == 2
    kept.get("another key", CHIP, make)
    assert len(made) == 3


def test_what_is_read_may_depend_on_what_was_read() -> None:
    """On the wide chip the bus is looked at too."""
    make, made = counted(
        lambda chip: int(chip.dram.bytes_per_cycle) if chip.mac.columns == WIDE.mac.columns else chip.mac.columns
    )
    kept = Reuse()
    wide_and_fast = WIDE.with_(dram_bytes_per_cycle=32)
    every = (CHIP, FAST, WIDE, wide_and_fast, FAST, wide_and_fast)
    expected = [CHIP.mac.columns] * 2 + [int(WIDE.dram.bytes_per_cycle), 32, CHIP.mac.columns, 32]
    assert [kept.get("key", chip, make) for chip in every] == expected
    assert len(made) == 3


def test_a_refusal_is_remembered() -> None:
    graph, small = random_graph(0), CHIP.with_(sequencer_instruction_memory_words=10)
    kept, texts = Reuse(), []
    for chip in (small, small.with_(dram_write_latency_cycles=3)):
        made = len(kept._made)
        with pytest.raises(CapacityError) as error:
            Compiler(graph, chip, reuse=kept).program()
        texts.append(str(error.value))
        assert error.value.__traceback__ is not None
    assert texts[0] == texts[1]
    assert len(kept._made) == made


def test_programs_are_said_to_be_of_their_chip() -> None:
    graph, kept = random_graph(1), Reuse()
    programs = [Compiler(graph, chip, reuse=kept).program() for chip in (CHIP, FAST)]
    assert [program.chip for program in programs] == [CHIP, FAST]
    assert programs[0].words is programs[1].words
    assert programs[0].instructions is programs[1].instructions


def test_room_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Reuse()
    monkeypatch.setattr(reuse, "_MOST_BYTES", 3 * reuse._LEAST_BYTES)
    make, made = counted(lambda chip: chip.mac.rows)
    for rows in (1, 2, 3, 1, 4, 1, 2):
        assert kept.get("key", CHIP.with_(mac_rows=rows), make) == rows
    # The least recently used went when the fourth came.
    assert made == [1, 2, 3, 4, 2]
    assert kept._bytes == 3 * reuse._LEAST_BYTES
