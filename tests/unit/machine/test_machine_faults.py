"""What engines refuse: addresses gone astray, frames of the wrong shape; and what the hazard check says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from accelsim.errors import HazardError, InputError
from accelsim.isa.asm_file import assemble_program
from accelsim.isa.program import Program
from accelsim.machine.functional import run_functional
from accelsim.machine.reference import run_reference
from tests.support.tiny import frame, tiny_program

ENGINES: dict[str, Callable[[Program], object]] = {
    "functional": lambda program: run_functional(program, frame()[None]),
    "reference": lambda program: run_reference(program, frame()),
}


@pytest.fixture(params=list(ENGINES.values()), ids=list(ENGINES))
def run(request: pytest.FixtureRequest) -> Callable[[Program], object]:
    engine: Callable[[Program], object] = request.param
    return engine


MATMUL = "matmul weights=[{}] input=[{}] accumulators=[{}] bias=[{}] start=bias rows=3 columns=2"
VECTOR = (
    "vector source=[{}] source_type=int32 addend=[{}] addend_type=int16 factor=[{}] multiply term=[{}] accumulate "
    "destination=[{}] destination_type=int16 parameters=[{}] requantize=channel length=3"
)
COPY = "memory=activations row_bytes=4 rows=2"

FAULTS = {
    # a1 is an address near the end of every SRAM, 256 bytes each; a2 is negative
    "weights": (MATMUL.format("a1", 0, 0, 0), "weights address 253; expected an address inside the memory"),
    "input": (MATMUL.format(0, "a1+0x2", 0, 0), "activations address 255; expected an address inside the memory"),
    "accumulators": (MATMUL.format(0, 0, "a1+0x3", 0), "accumulators address 256; expected an address inside the"),
    "accumulators' elements": (MATMUL.format(0, 0, "a3", 0), "accumulators address 1 is not aligned to its elements"),
    "bias": (MATMUL.format(0, 0, 0, "a3"), "parameters address 1 is not aligned to its elements"),
    "below 0": (MATMUL.format(0, "a2", 0, 0), "activations address -5; expected an address inside the memory"),
    "source": (VECTOR.format("a3", 0, 0, 0, 0, 0), "accumulators address 1 is not aligned to its elements"),
    "addend": (VECTOR.format(0, "a3", 0, 0, 0, 0), "activations address 1 is not aligned to its elements"),
    "factor": (VECTOR.format(0, 0, "a3+0x2", 0, 0, 0), "activations address 3 is not aligned to its elements"),
    "term": (VECTOR.format(0, 0, 0, "a1+0x1", 0, 0), "activations address 254; expected an address inside the memory"),
    "destination": (VECTOR.format(0, 0, 0, 0, "a1", 0), "activations address 253 is not aligned to its elements"),
    "block": (VECTOR.format(0, 0, 0, 0, 0, "a3"), "parameters address 1 is not aligned to its elements"),
    "factors": (VECTOR.format(0, 0, 0, 0, 0, "a3+0xdf"), "address inside the memory"),
    "a load's SRAM": (
        f"load source=[0] destination=[a1] {COPY}",
        "activations address 253; expected an address inside",
    ),
    "a load's rows": (
        f"load source=[0] destination=[a3] {COPY} destination_pitch=252",
        "activations address 1; expected an address inside the memory",
    ),
    # DRAM ends with the program's last region, tensor or image
    "DRAM": (f"store source=[0] destination=[a3+0x1fb] {COPY} destination_pitch=1", "dram address 508; expected an"),
    "DRAM below 0": (
        f"load source=[a2] destination=[0] {COPY}",
        "dram address -5; expected an address inside the memory",
    ),
}


@pytest.mark.parametrize(("code", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_an_address_gone_astray_is_named(run: Callable[[Program], object], code: str, message: str) -> None:
    registers = "address register=a1 base=253\naddress register=a2 base=0 stride0=-5\naddress register=a3 base=1\n"
    program = tiny_program(registers + "loop count=2 {\nnop\nguard register=g1 low=1 high=2\n" + code + " ?g1\n}")
    with pytest.raises(InputError) as caught:
        run(program)
    text = str(caught.value)
    assert text.startswith(f"golden: instruction 6 ({code.split()[0]} ")
    assert message in text
    assert "\n" not in text


def test_a_frame_of_the_wrong_shape() -> None:
    program = tiny_program("nop")
    for values in (frame()[:-1], frame()[None, None], frame().astype(np.int16)):
        with pytest.raises(InputError, match=r"golden: frames: .*; expected int8\[N, 256\]"):
            run_reference(program, values)


def test_progress_changes_nothing() -> None:
    code = "loop count=4200 {\nsync unit=matrix signal=s1\nsync unit=vector wait=s1\n}"
    program = tiny_program(code)
    seen: list[int] = []
    plain, watched = run_reference(program, frame()), run_reference(program, frame(), progress=seen.append)
    assert plain.counters.cycles == watched.counters.cycles > 4096
    assert np.array_equal(plain.counters.causes, watched.counters.causes)
    assert seen == sorted(seen)
    assert len(seen) > 1


LOAD = "load memory=activations source=[0] destination=[0] row_bytes=4 rows=1 {}\n"
STORE = "store memory=activations source=[0] destination=[256] row_bytes=4 rows=1 {}\n"

HAZARDS = {
    "too early": (
        LOAD.format("") + STORE.format(""),
        "golden: 1 hazard: instruction 1 (store, layer out) reads activations 0x0 in cycle 2, before instruction 0 "
        "(load, layer in) has written it",
    ),
    "too late": (
        LOAD.format("signal=s1") + STORE.format("wait=s2") + LOAD.format("signal=s2"),
        "golden: 1 hazard: instruction 1 (store, layer out) reads activations 0x0 in cycle 12, after instruction 2 "
        "(load, layer in) has overwritten it",
    ),
    "never written": (
        STORE.format(""),
        "golden: 1 hazard: instruction 0 (store, layer in) reads activations 0x0 in cycle 1, which nothing has written",
    ),
    "its own operand": (
        "load memory=parameters source=[0] destination=[0] row_bytes=32 rows=1 signal=s1\n"
        + LOAD.format("signal=s2")
        + "vector source=[0] source_type=int8 destination=[2] destination_type=int8 parameters=[0] length=4 wait=s1,s2",
        "golden: 1 hazard: instruction 2 (vector, layer in) writes activations 0x2 over its own source at 0x0",
    ),
    # the second load asks for what the store has not yet sent
    "in DRAM": (
        LOAD.format("signal=s1,s2") + STORE.format("wait=s1") + LOAD.replace("=[0] d", "=[256] d").format("wait=s2"),
        "golden: 1 hazard: instruction 2 (load, layer in) reads dram 0x100 in cycle 10, before instruction 1 (store, "
        "layer out) has written it",
    ),
}


@pytest.mark.parametrize(("code", "message"), HAZARDS.values(), ids=HAZARDS.keys())
def test_a_hazard_names_both_instructions(code: str, message: str) -> None:
    program = tiny_program(
        code, {"in": [(0, 1), (2, 3)], "out": [(1, 2)]} if code.count("\n") > 1 else {"in": [(0, 1)]}
    )
    with pytest.raises(HazardError) as caught:
        run_reference(program, frame(), check_hazards=True)
    assert str(caught.value) == message
    run_reference(program, frame())


def test_a_program_without_input() -> None:
    bare = assemble_program(".program bare\n.chip tx5368\nhalt\n", "bare.asm")
    with pytest.raises(InputError, match="bare: input: found 0; expected one"):
        run_reference(bare, frame())
    with pytest.raises(InputError, match="bare: input: found 0; expected one"):
        run_functional(bare, frame()[None])
