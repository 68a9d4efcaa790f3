"""A small program that is right, for tests to break."""

from __future__ import annotations

import pytest

from accelsim.chip import load_chip
from accelsim.isa import encode
from accelsim.isa.assembler import assemble
from accelsim.isa.opcodes import ISA_VERSION
from accelsim.isa.program import HostTensor, LayerInfo, Program, Region

CODE = """
address register=a1 base=0x100 stride0=40
load source=[0x1000] destination=[0] memory=weights row_bytes=64 rows=2 source_pitch=64 destination_pitch=64 signal=s1
loop count=25 {
    matmul weights=[0] input=[a1] accumulators=[0] start=zero rows=4 columns=40 wait=s1 signal=s2*
    vector source=[0] destination=[0x800] parameters=[0] source_type=int32 destination_type=int8 length=4 wait=s2*
}
halt
"""


@pytest.fixture
def program() -> Program:
    """A program of 6 words on the default chip that passes its checks."""
    return Program(
        name="small",
        isa_version=ISA_VERSION,
        chip=load_chip("tx5368"),
        schedule="by hand",
        words=tuple(encode(instruction) for instruction in assemble(CODE)),
        inputs=(HostTensor("x", "int8", (25, 40), (0.5,), -3, 0),),
        outputs=(HostTensor("y", "int8", (4,), (0.25, 0.5, 1.0, 2.0), 7, 1000),),
        regions=(Region("io", "dram", 0, 1024), Region("w", "weights", 0, 128), Region("image", "dram", 4096, 128)),
        layers=(LayerInfo("lstm", "lstm", 4000, 128, ((1, 2), (3, 5))),),
        image=bytes(range(128)),
        image_address=4096,
    )
