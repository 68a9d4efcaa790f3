"""What lies in DRAM beside the weights themselves: the program's words, padding, what a row has beside its bias.

The tiny chip's bus moves 4 bytes a cycle in bursts of 16, read data is 5 cycles late, and 2 bursts are under way. A
load's word has 28 bytes there, that of `halt` and `nop` 4.
"""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.chip import Chip, chip_names, load_chip
from accelsim.chip.load import check_chip
from accelsim.compiler import compile_graph
from accelsim.isa import definition
from accelsim.isa.program import Program
from accelsim.machine.reference import run_reference
from accelsim.profile.bounds import lower_bound
from tests.support.random_chips import chip_data
from tests.support.random_models import random_graph
from tests.support.tiny import LD, MX, Run, frame, tiny_program, trace

IN_DRAM = {"sequencer__program_in_dram": True}

LOAD = "load memory=activations source=[0] destination=[0] row_bytes=4 rows=1"


def test_a_program_is_read_before_its_first_instruction() -> None:
    # 4 bytes: bus 0-1, there in 6. `halt` is fetched in 7.
    result = trace("", **IN_DRAM)
    assert (result.rows, result.cycles) == ([], 8)
    assert result.causes() == {"DRAM": 7, "SEQUENCER": 1}
    counters = result.run.counters
    assert counters.bytes.sum() == counters.bytes[-1, -1, 0] == counters.traffic[0].sum() == 4


def test_instructions_follow_the_last_word() -> None:
    # 28 + 4 bytes are two bursts: requests in 0 and 1, bus 0-4 and 4-8, there in 9 and 13. Dispatch in 14; the load
    # asks in 15: bus 15-16, data from 21, written 2 later.
    assert trace(LOAD, **IN_DRAM).rows == [(LD, 0, 14, 15, 21, 23)]
    # the program takes 14 cycles, and moves nothing else
    assert trace(LOAD).rows == [(LD, 0, 0, 1, 7, 9)]


DISPATCHED = [
    # 28 + 28 + 4 bytes are bursts of 16, 16, 16 and 12. Requests in 0 and 1; the first buffer is free in 10, the second
    # in 14: bus to 4, 8, 14, 17, there in 9, 13, 19, 22.
    ({}, 23),
    # Requests in 0, 1, 2 and 10: bus to 4, 8, 12, 15.
    ({"dram__outstanding_bursts": 3}, 21),
    # One at a time: bus 0-4, there in 9; 10-14, 19; 20-24, 29; 30-33, 38.
    ({"dram__outstanding_bursts": 1}, 39),
    # One burst of 60 bytes: bus 0-15.
    ({"dram__burst_bytes": 64}, 21),
    # Bursts of 40 and 20: bus to 10, 15.
    ({"dram__burst_bytes": 40}, 21),
]


@pytest.mark.parametrize(("changes", "dispatched"), DISPATCHED)
def test_bursts_of_a_program(changes: dict[str, int], dispatched: int) -> None:
    result = trace(f"{LOAD}\n{LOAD}", **changes, **IN_DRAM)
    assert [row[2] for row in result.rows] == [dispatched, dispatched + 1]


def test_words_lie_without_their_empty_end() -> None:
    # Highest bits: load and store 213, matmul 201, vector 278, address 190, guard 79, sync 59, loop 57, signal 40; 9 of
    # those that have no more than opcode and guard.
    units = {
        "load": 7,
        "store": 7,
        "matmul": 7,
        "vector": 9,
        "address": 6,
        "guard": 3,
        "sync": 2,
        "loop": 2,
        "signal": 2,
    }
    units |= {"nop": 1, "halt": 1, "frame": 1}
    assert {name: form.stored_bytes for name, form in definition().formats.items()} == {
        name: 4 * count for name, count in units.items()
    }


def test_a_frame_does_not_count_the_program() -> None:
    result = trace(f"nop\nframe\n{LOAD}", **IN_DRAM)
    assert result.rows == [(LD, 2, 0, 1, 7, 9)]
    assert result.run.counters.bytes[:, -1].sum() == 4
    # 40 bytes of words come before the frame; in it there are 4.
    assert lower_bound(tiny_program(f"nop\nframe\n{LOAD}", **IN_DRAM)).dram_cycles == 1


def test_the_words_are_bytes_of_the_bound() -> None:
    # 4 bytes at 4 a cycle; 32 and 4
    assert lower_bound(tiny_program("", **IN_DRAM)).dram_cycles == 1
    assert lower_bound(tiny_program(LOAD, **IN_DRAM)).dram_cycles == 9


def padded_product(weights_at: int = 0) -> str:
    return f"""
        load memory=weights source=[0] destination=[{weights_at}] row_bytes=16 rows=1 signal=s1
        load memory=activations source=[16] destination=[0] row_bytes=3 rows=1 signal=s2
        sync unit=matrix wait=s1,s2
        matmul start=zero weights=[{weights_at}] input=[0] accumulators=[0] rows=3 columns=3 signal=s3
        store memory=accumulators source=[0] destination=[256] row_bytes=12 rows=1 wait=s3
    """


def test_row_tiles_are_whole_blocks_apart(run: Run) -> None:
    # Tiles of 2 rows in blocks of 4 columns: 8 bytes each, column by column. 99 is padding, which nothing reads.
    weights = [1, 4, 2, 5, 3, 6, 99, 99, 7, 0, 8, 0, 9, 0, 99, 99]
    program = tiny_program(padded_product(), mac__weight_block_columns=4)
    output = run(program, frame(bytes([*weights, 1, 10, 100])))[:12].view("<i4")
    # rows 1 2 3, 4 5 6 and 7 8 9
    assert output.tolist() == [321, 654, 987]


def test_padding_has_no_beats() -> None:
    # 2 row tiles x 2 column tiles, whatever the block.
    code = "matmul start=zero weights=[0] input=[0] accumulators=[0] rows=3 columns=3"
    for block in (1, 4, 32):
        assert trace(code, mac__weight_block_columns=block).rows == [(MX, 0, 0, 1, 4, 7)]


def test_weights_of_a_block_are_read_where_they_lie() -> None:
    # With one bank of 8-byte words a beat needs a pass for each word its 4 bytes are in. From byte 2 on, unpadded:
    # bytes 2-5, 6-7, 8-11 and 12-13, one word each; tiles of 8 bytes: 2-5, 6-7, 10-13 and 14-15.
    code = "matmul start=zero weights=[{}] input=[0] accumulators=[0] rows=3 columns=3"
    one_bank = {"sram__weights__banks": 1, "sram__weights__word_bytes": 8}
    assert trace(code.format(2), **one_bank).rows == [(MX, 0, 0, 1, 4, 7)]
    assert trace(code.format(2), mac__weight_block_columns=4, **one_bank).rows == [(MX, 0, 0, 1, 4, 7)]
    # From byte 0 on, the second tile begins in byte 6 or, padded, in byte 8: bytes 6-9 lie in two words, 8-11 in one.
    assert trace(code.format(0), **one_bank).rows == [(MX, 0, 0, 1, 5, 8)]
    assert trace(code.format(0), mac__weight_block_columns=4, **one_bank).rows == [(MX, 0, 0, 1, 4, 7)]


def _reads(program: Program) -> int:
    frames = np.zeros(program.inputs[0].shape, np.int8)
    return int(run_reference(program, frames).counters.bytes[:, -1, 0].sum())


@pytest.mark.parametrize("weights_bytes", [1 << 16, 1 << 8])
def test_bytes_of_a_compiled_network(weights_bytes: int) -> None:
    # A linear layer of 20 x 10: 3 row tiles of 8 rows, of 10 columns, or of 16 in blocks of 8.
    graph = random_graph(0, steps=1, sizes=(10,), linear=20)
    plain = chip_data(weights_bytes=weights_bytes)
    reads = _reads(compile_graph(graph, check_chip(plain, "chip")))
    mac = {"weight_block_columns": 8, "row_parameters_bytes": 10}
    padded = check_chip(chip_data(weights_bytes=weights_bytes, mac=mac), "chip")
    # Resident weights come in whole words of 16 bytes: 240 or 384; parameters 20 rows of 10 bytes instead of 4, before
    # a block at a multiple of 32: at 96, or at 224.
    assert _reads(compile_graph(graph, padded)) - reads == (384 - 240) + (224 - 96)


@pytest.mark.parametrize("name", [name for name in chip_names() if name != "ethos_u55_128"])
def test_other_chips_have_none_of_it(name: str) -> None:
    chip: Chip = load_chip(name)
    found = chip.sequencer.program_in_dram, chip.mac.weight_block_columns, chip.mac.row_parameters_bytes
    assert found == (False, 1, 4)
