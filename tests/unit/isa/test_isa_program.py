"""Static checks: each way a program can be wrong, one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim.chip import Chip, dump_chip, load_chip
from accelsim.chip.load import check_chip
from accelsim.errors import CapacityError, DecodeError, InputError, ManyErrors
from accelsim.isa import encode
from accelsim.isa.assembler import assemble
from accelsim.isa.program import HostTensor, LayerInfo, Program, Region


def small_chip(**sequencer: int) -> Chip:
    description = dump_chip(load_chip("tx5368"))
    description["sequencer"].update(sequencer)
    return check_chip(description, "test")


def code(text: str) -> dict[str, Any]:
    """Changes that give a program this code and nothing that refers to other code."""
    return {"words": tuple(encode(instruction) for instruction in assemble(text)), "layers": ()}


TENSOR = HostTensor("x", "int8", (25, 40), (0.5,), -3, 0)
LAYER = LayerInfo("lstm", "lstm", 4000, 128, ((1, 2), (3, 5)))
IO = Region("io", "dram", 0, 1024)
NESTED = "loop count=1 {\n" * 5 + "nop\n" + "}\n" * 5 + "halt"
BAD_BODY = "loop count=1 length=3\nloop count=1 length=3\nnop\nnop\nnop\nhalt"

BAD = [
    ({"isa_version": 1}, "small: isa version: found 1; expected 2"),
    ({"chip": small_chip(instruction_memory_words=5)}, "chip tx5368: instruction memory: 6 words needed, 5 there"),
    ({"words": (2,), "layers": ()}, "small: instruction 0: 0x2: loop: length"),
    (code("nop"), "small: instructions: halt at []; expected one unguarded halt, at the end"),
    ({"words": (), "layers": ()}, "small: instructions: halt at []"),
    (code("halt\nhalt"), "small: instructions: halt at [0, 1]"),
    (code("halt ?g1"), "small: instructions: halt at [0]; expected one unguarded halt"),
    (code("loop count=1 length=2\nhalt"), "small: instruction 0: the loop's body ends at 3; expected at most 2"),
    (code(BAD_BODY), "small: instruction 1: the loop's body ends at 5; expected at most 4"),
    (code(NESTED), "small: instruction 4: 5 nested loops; expected at most 4"),
    (
        {"chip": small_chip(semaphores=2)},
        "small: instruction 3 (matmul): signal0 is s2; expected chip tx5368 has s1 to s1",
    ),
    (
        code("matmul weights=[0x47ff0] rows=1 columns=1\nhalt"),
        "small: instruction 0 (matmul): weights reaches byte 294927 of weights; expected at most 294911",
    ),
    (
        code("load memory=weights source=[0xffffff0] row_bytes=8 rows=3 source_pitch=8\nhalt"),
        "small: instruction 0 (load): source reaches byte 268435463 of dram; expected at most 268435455",
    ),
    ({"regions": (IO, Region("w", "disk", 0, 1))}, "small: region 'w': found memory 'disk'; expected one of dram,"),
    ({"regions": (IO, Region("w", "weights", 0, 0))}, "small: region 'w': 0 bytes at 0; expected inside the 294912"),
    ({"regions": (IO, Region("w", "weights", -1, 9))}, "small: region 'w': 9 bytes at -1"),
    ({"regions": (IO, Region("w", "weights", 294912, 1))}, "small: region 'w': 1 bytes at 294912"),
    ({"regions": (Region("w", "dram", 1023, 1), IO)}, "small: region 'w': overlaps region 'io'"),
    ({"regions": (IO, Region("io", "weights", 0, 1))}, "small: region 'io': two have this name"),
    ({"regions": (IO, Region("", "weights", 0, 1))}, "'small': name: found ''; expected text that UTF-8 can hold"),
    ({"name": "\ud800"}, "'\\ud800': name: found '\\ud800'"),
    ({"image_address": 2**28 - 127}, "small: image: 128 bytes at 268435329; expected inside the 268435456 bytes"),
    ({"image_address": -1}, "small: image: 128 bytes at -1"),
    ({"image_address": 999}, "small: input 'x': 1000 bytes at 0 overlap the image"),
    ({"inputs": (replace(TENSOR, address=25),)}, "small: input 'x': 1000 bytes at 25; expected inside a DRAM region"),
    ({"inputs": (TENSOR, TENSOR)}, "small: input 'x': two have this name"),
    ({"inputs": (replace(TENSOR, dtype="int9"),)}, "small: input 'x': found dtype 'int9'; expected int8"),
    ({"inputs": (replace(TENSOR, shape=()),)}, "small: input 'x': found shape ()"),
    ({"inputs": (replace(TENSOR, shape=(4, 0)),)}, "small: input 'x': found shape (4, 0); expected one or more sizes"),
    ({"inputs": (replace(TENSOR, scale=(1.0, 2.0)),)}, "small: input 'x': 2 scales; expected 1 or 40"),
    ({"inputs": (replace(TENSOR, zero_point=128),)}, "small: input 'x': found zero point 128; expected -128 to 127"),
    *(
        ({"inputs": (replace(TENSOR, scale=(scale,)),)}, "small: input 'x': a scale is not a positive finite float32")
        for scale in (0.0, -1.0, 0.1, 1e300, float("inf"), float("nan"))
    ),
    ({"layers": (replace(LAYER, macs=-1),)}, "small: layer 'lstm': a negative number"),
    ({"layers": (replace(LAYER, instructions=((3, 5), (1, 2))),)}, "small: layer 'lstm': instruction ranges out of"),
    ({"layers": (replace(LAYER, instructions=((5, 7),)),)}, "small: layer 'lstm': instructions 5 to 7; expected a"),
    ({"layers": (replace(LAYER, instructions=((2, 2),)),)}, "small: layer 'lstm': instructions 2 to 2"),
    (
        {"layers": (LAYER, replace(LAYER, name="fc", instructions=((4, 5),)))},
        "small: layer 'fc': instruction 4 is also layer 'lstm''s",
    ),
]


@pytest.mark.parametrize(("changes", "expected"), BAD)
def test_a_fault_is_named(program: Program, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        replace(program, **changes).validate()
    assert str(caught.value).startswith(expected)


def test_faults_come_together(program: Program) -> None:
    wrong = replace(program, layers=(replace(LAYER, macs=-1),), inputs=(replace(TENSOR, zero_point=200),))
    with pytest.raises(ManyErrors) as caught:
        wrong.validate()
    assert [error.field for error in caught.value.errors] == ["input 'x'", "layer 'lstm'"]


def test_kinds_of_errors(program: Program) -> None:
    with pytest.raises(CapacityError):
        replace(program, chip=small_chip(instruction_memory_words=1)).validate()
    with pytest.raises(DecodeError, match="small: instruction 1: 0x3f"):
        _ = replace(program, words=(0, 63)).instructions


def test_a_right_program_passes(program: Program) -> None:
    program.validate()


def test_addresses_with_a_register_are_not_judged(program: Program) -> None:
    replace(program, **code("matmul weights=[a1+0x47ff0] rows=1 columns=1\nhalt")).validate()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("matmul rows=1 columns=1 signal=s3*", "instruction 0 (matmul): signal0 is s3 for each element"),
        ("vector destination_type=int8 length=1 wait=s0,s3*", "instruction 0 (vector): wait1 is s3 for each element"),
        ("sync unit=matrix wait=s0,s0,s4*", "instruction 0 (sync): wait2 is s4 for each element"),
        ("sync unit=vector signal=s1,s2,s4*", "instruction 0 (sync): signal2 is s4 for each element"),
    ],
)
def test_elements_one_by_one_need_a_chip_with_chaining(program: Program, text: str, found: str) -> None:
    description = dump_chip(load_chip("tx5368"))
    description["chaining"]["enabled"] = False
    unchained = replace(program, **code(text + "\nhalt"), chip=check_chip(description, "test"))
    replace(unchained, chip=load_chip("tx5368")).validate()
    replace(unchained, **code(text.replace("*", "") + "\nhalt")).validate()
    with pytest.raises(InputError) as caught:
        unchained.validate()
    assert str(caught.value) == f"small: {found}; expected one count in all: chip tx5368 has no chaining"


@pytest.mark.parametrize(
    "text",
    ["load memory=activations row_bytes=1 rows=2 signal=s1*", "store memory=activations row_bytes=1 rows=2 wait=s1*"],
)
def test_transfers_count_rows_without_chaining(program: Program, text: str) -> None:
    description = dump_chip(load_chip("tx5368"))
    description["chaining"]["enabled"] = False
    replace(program, **code(text + "\nhalt"), chip=check_chip(description, "test")).validate()


def test_an_unused_operand_is_not_judged(program: Program) -> None:
    replace(program, **code("matmul bias=[0xffff0] rows=1 columns=1\nhalt")).validate()


def test_layers_of_instructions(program: Program) -> None:
    layers = [program.layer_of(index) for index in range(6)]
    assert [layer.name if layer else "" for layer in layers] == ["", "lstm", "", "lstm", "lstm", ""]
    assert program.layer_indices == (-1, 0, -1, 0, 0, -1)


def test_numpy_scalars_become_numbers() -> None:
    scale = np.float32(0.1)
    tensor = HostTensor("x", "int8", (np.int64(2), 3), (scale,), 0, 0)  # type: ignore[arg-type]
    assert tensor == HostTensor("x", "int8", (2, 3), (float(scale),), 0, 0)
    assert type(tensor.scale[0]) is float
    assert type(tensor.shape[0]) is int
    assert (tensor.bytes, tensor.end) == (6, 6)
