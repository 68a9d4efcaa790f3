"""The assembly syntax: what it reads, what it prints, what it says of mistakes."""

from __future__ import annotations

import pytest

from accelsim.errors import InputError
from accelsim.isa import Instruction, make, opcodes
from accelsim.isa.assembler import assemble, disassemble, format_instruction, parse_instruction

MATMUL = make(
    "matmul",
    guard=1,
    weights=(1, 0x100),
    input=0x40,
    bias=0x80,
    rows=96,
    columns=40,
    start=opcodes.Start.BIAS,
    wait0=3,
    wait1=4,
    wait1_each=1,
    signal0=5,
    signal0_each=1,
)

BYTE = {"length": 1, "destination_type": opcodes.Destination.INT8}


def test_a_line_is_printed_as_documented() -> None:
    assert format_instruction(MATMUL) == (
        "matmul weights=[a1+0x100] input=[0x40] accumulators=[0] bias=[0x80] start=bias rows=96 columns=40 "
        "?g1 wait=s3,s4* signal=s5*"
    )


@pytest.mark.parametrize(
    ("line", "instruction"),
    [
        ("  halt ; the end", make("halt")),
        ("halt ?g0", make("halt")),
        ("nop ?g15", make("nop", guard=15)),
        ("loop length=3 count=0x19", make("loop", count=25, length=3)),
        ("address stride0=-40 register=a31", make("address", register=31, stride0=-40)),
        ("sync unit=vector wait=s0,s2", make("sync", unit=2, wait1=2)),
        ("sync unit=vector signal=s0*", make("sync", unit=2, signal0_each=1)),
        ("vector length=1 destination_type=int8 multiply=1 accumulate=0", make("vector", **BYTE, multiply=1)),
        ("vector length=1 destination_type=int8 factor=[a2 + 16]", make("vector", **BYTE, factor=(2, 16))),
        ("signal semaphore=s1 amount=+2", make("signal", semaphore=1, amount=2)),
    ],
)
def test_a_line_is_read(line: str, instruction: Instruction) -> None:
    assert parse_instruction(line) == instruction


def test_loops_are_braces() -> None:
    text = "loop count=2 {\n    loop count=3 ?g1 {\n        nop\n    }\n    nop\n}\nhalt\n"
    program = assemble(text)
    assert [instruction.fields.get("length") for instruction in program] == [3, 1, None, None, None]
    assert disassemble(program) == text


def test_a_loop_that_nests_badly_keeps_its_length() -> None:
    program = [make("loop", count=2, length=2), make("loop", count=3, length=2), make("nop"), make("nop")]
    text = "loop count=2 {\n    loop count=3 length=2\n    nop\n}\nnop\n"
    assert disassemble(program) == text
    assert assemble(text) == program


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("matmull", "f:1: matmull: no such instruction; nearest: matmul"),
        ("halt\nhalt now", "f:2: now: halt has no 'now'"),
        ("load lines=3", "f:1: lines=3: load has no 'lines'"),
        ("load row=3", "f:1: row=3: load has no 'row'; nearest: rows"),
        ("load rows", "f:1: rows: no value; expected rows=VALUE"),
        ("load rows=", "f:1: rows=: no value after ="),
        ("load rows=1 rows=2", "f:1: rows=2: written twice"),
        ("load rows=many", "f:1: rows=many: found 'many'; expected a decimal or 0x hexadecimal number"),
        ("load rows=0", "f:1: rows=0: 0 is out of range; expected 1 to 65535"),
        ("load rows=1", "f:1: load: memory, row_bytes missing"),
        ("load memory=weight", "f:1: memory=weight: no value 'weight'; nearest: weights; expected one of weights,"),
        ("load source=64", "f:1: source=64: found '64'; expected [OFFSET], [aREGISTER] or [aREGISTER+OFFSET]"),
        ("load source=[a32]", "f:1: source=[a32]: 32 is out of range; expected 0 to 31"),
        ("load source=[0x100000000]", "f:1: source=[0x100000000]: 4294967296 is out of range"),
        ("load source=[0xx]", "f:1: source=[0xx]: found '0xx'; expected a decimal"),
        ("load wait=3", "f:1: wait=3: found '3'; expected s and a number, such as s1"),
        ("load wait=s128", "f:1: wait=s128: 128 is out of range; expected 0 to 127"),
        ("load wait=s1,s2,s3,s4", "f:1: wait=s1,s2,s3,s4: 4 semaphores; expected at most 3"),
        ("halt ?a1", "f:1: ?a1: found 'a1'; expected g and a number, such as g1"),
        ("halt ?=1", "f:1: ?=1: found '=1'; expected g and a number"),
        ("vector multiply=2", "f:1: multiply=2: found '2'; expected multiply, multiply=0 or multiply=1"),
        ("nop {", "f:1: {: a brace without a loop; expected loop count=N {"),
        ("{", "f:1: {: a brace without a loop"),
        ("\nloop count=1 {\nnop", "f:2: {: never closed; expected } on a line of its own"),
        ("loop count=1 {\n}", "f:1: loop: a body of 0 instructions; expected 1 to 65535"),
        ("loop count=1 length=1 {\nnop\n}", "f:1: length=1: the braces give the length"),
        ("nop\n}", "f:2: }: no loop is open"),
        ("loop count=1 {\nnop\n} nop", "f:3: nop: text after a closing brace"),
    ],
)
def test_a_mistake_is_named(text: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        assemble(text, "f")
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("text", ["", "nop\nnop"])
def test_one_line_holds_one_instruction(text: str) -> None:
    with pytest.raises(InputError, match="instructions; expected one"):
        parse_instruction(text)
