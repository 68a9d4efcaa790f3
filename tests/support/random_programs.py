"""Random programs on small chips: all instructions, loops, and a token handed from each to the next.

Each unit has a semaphore. An instruction waits for its own unit's and signals that of the next instruction's unit,
which makes the program sequential; except that here and there a wait is left out, so that one count too many stays and
lets a later instruction run ahead.
"""

from __future__ import annotations

import random
import struct
from itertools import zip_longest
from typing import Any

from hypothesis import strategies as st

from accelsim.chip import Chip
from accelsim.isa import Instruction, accesses, encode, make
from accelsim.isa.opcodes import (
    ISA_VERSION,
    Activation,
    Addend,
    Destination,
    Memory,
    Place,
    Requantize,
    Source,
    Start,
)
from accelsim.isa.program import HostTensor, Program, Region
from tests.support.tiny import IO_BYTES, in_stages, tiny_chip

_ELEMENTS = 5
"""The semaphore of chained pairs; 1 to 4 are the units'."""
_SRAM_BYTES = 256
_BLOCKS = (0, 96)
"""Parameter blocks: one with (multiplier, shift) pairs behind it, one with float64 factors."""


@st.composite
def small_chips(draw: st.DrawFn) -> Chip:
    """The tiny chip with other latencies, widths, depths and banks, and a vector unit in one piece or in stages."""
    few = st.integers(1, 6)
    changes = {f"sram__{name}__banks": draw(st.sampled_from([1, 2, 4])) for name in ("weights", "accumulators")}
    changes |= {f"sram__{name}__banks": draw(st.sampled_from([1, 4, 8])) for name in ("activations", "parameters")}
    changes |= draw(_odd_ones())
    return tiny_chip(
        **changes,
        sequencer__dispatch_cycles=draw(few),
        sequencer__semaphore_cycles=draw(few),
        sequencer__load_queue_depth=draw(few),
        sequencer__matrix_queue_depth=draw(few),
        sequencer__vector_queue_depth=draw(few),
        sequencer__store_queue_depth=draw(few),
        mac__rows=draw(st.integers(1, 4)),
        mac__columns=draw(st.integers(1, 4)),
        mac__latency_cycles=draw(st.integers(1, 20)),
        vector__lanes=draw(few),
        chaining__hop_cycles=draw(few),
        dma__sram_bytes_per_cycle=draw(st.sampled_from([1, 8, 16])),
        dma__latency_cycles=draw(few),
        dram__capacity_bytes=4096,
        dram__bytes_per_cycle=draw(st.sampled_from([0.3, 1.5, 4, 32])),
        dram__read_latency_cycles=draw(st.integers(0, 20)),
        dram__write_latency_cycles=draw(st.integers(0, 20)),
        dram__burst_bytes=draw(st.sampled_from([8, 16, 24])),
        dram__outstanding_bursts=draw(few),
    )


@st.composite
def _odd_ones(draw: st.DrawFn) -> dict[str, Any]:
    """A latency; or stages that can do everything, and what machines with stages have besides."""
    few = st.integers(1, 6)
    if draw(st.booleans()):
        return {"vector__latency_cycles": draw(st.integers(1, 20))}
    operations = draw(
        st.sampled_from(
            [
                ["add activation multiply add"],
                ["", "add activation multiply", "add", ""],
                ["add", "activation", "multiply add"],
                ["activation add", "add activation multiply", "activation", "multiply add"],
            ]
        )
    )
    return {
        **in_stages(*((draw(few), names) for names in operations)),
        "vector__wake_cycles": draw(st.integers(0, 4)),
        "mac__accumulate_interval_cycles": draw(few),
        "mac__drain_cycles": draw(few),
        "sequencer__beats_ahead": draw(st.sampled_from([0, 1, 3, 50])),
        "sequencer__beat_cycles": draw(st.integers(0, 4)),
        "sequencer__instruction_cycles": draw(st.integers(0, 3)),
        "sram__activations__conflict_free": draw(st.booleans()),
        "dma__loads_through_vector": draw(st.booleans()),
    }


@st.composite
def small_programs(draw: st.DrawFn, most_turns: int = 3) -> Program:
    """Memories are filled, up to six instructions work on them, the activations are the output."""
    chip = draw(small_chips())
    body = [step for _ in range(draw(st.integers(1, 6))) for step in draw(_steps(chip))]
    # The last turn's token comes back to the first unit, and is handed on to the store.
    body_unit = body[0].unit
    first = [_fill(memory) for memory in Memory]
    last = [make("sync", unit=body_unit), _drain()]
    fills, tail = _hand_on([*first, body[0]])[:-1], _hand_on(last)
    fills[0] = _with(fills[0], {"wait0": 0})
    loop = make("loop", count=draw(st.integers(1, most_turns)), length=len(body))
    code = [*fills, loop, *_hand_on([*body, body[0]])[:-1], *tail]
    for index in range(len(fills), len(code) - 1):
        if code[index].fields.get("wait0") and not code[index].fields["wait0_each"] and draw(st.integers(0, 11)) == 0:
            code[index] = _with(code[index], {"wait0": 0})
    return Program(
        name="random",
        isa_version=ISA_VERSION,
        chip=chip,
        schedule="random",
        words=tuple(encode(instruction) for instruction in [*code, make("halt")]),
        inputs=(HostTensor("x", "int8", (IO_BYTES,), (1.0,), 0, 0),),
        outputs=(HostTensor("y", "int8", (IO_BYTES,), (1.0,), 0, IO_BYTES),),
        regions=(Region("io", "dram", 0, 2 * IO_BYTES),),
        layers=(),
        image=_image(draw(st.integers(0, 2**32))),
        image_address=2 * IO_BYTES,
    )


def _image(seed: int) -> bytes:
    """What the four memories are filled with."""
    random_bytes = random.Random(seed).randbytes(3 * _SRAM_BYTES)
    number = random.Random(seed + 1)

    def factor() -> tuple[int, int]:
        return number.randrange(2**30, 2**31), number.randrange(-8, 2)

    def block() -> bytes:
        pairs = [factor() for _ in range(3)]
        limits = number.randrange(-20, 20), -100, 100
        return struct.pack("<3i3bx3h10x", *(m for m, _ in pairs), *(s for _, s in pairs), *limits)

    channels = b"".join(struct.pack("<2i", *factor()) for _ in range(8))
    reals = struct.pack("<8d", *(number.uniform(0.001, 0.1) for _ in range(8)))
    return random_bytes + (block() + channels + block() + reals).ljust(_SRAM_BYTES, b"\1")


def _fill(memory: Memory) -> Instruction:
    source = 2 * IO_BYTES + _SRAM_BYTES * memory
    return make("load", memory=memory, row_bytes=_SRAM_BYTES, rows=1, source=source, destination=0)


def _drain() -> Instruction:
    return make("store", memory=Memory.ACTIVATIONS, row_bytes=IO_BYTES, rows=1, source=0, destination=IO_BYTES)


def _semaphore(unit: int) -> int:
    return 1 + unit


def _hand_on(instructions: list[Instruction]) -> list[Instruction]:
    """Each waits for its unit's semaphore and signals the next one's; of a chained pair the second does so."""
    linked = []
    for instruction, following in zip_longest(instructions, instructions[1:]):
        fields = dict(instruction.fields)
        if not fields["wait0"]:
            fields["wait0"] = _semaphore(instruction.unit)
        if not fields["signal0"] and following is not None:
            fields["signal0"] = _semaphore(following.unit)
        linked.append(Instruction(instruction.name, fields))
    return linked


@st.composite
def _steps(draw: st.DrawFn, chip: Chip) -> list[Instruction]:
    """An instruction, or a product and the vector instruction chained to it."""
    kind = draw(st.sampled_from(["load", "store", "matmul", "vector", "vector", "chained", "sync"]))
    if kind == "chained":
        product = draw(_matmul())
        length, source = product.fields["rows"], product.fields["accumulators.offset"]
        vector = draw(_vector(chip, length=length, source=source))
        return [
            _with(product, {"signal0": _ELEMENTS, "signal0_each": 1}),
            _with(vector, {"wait0": _ELEMENTS, "wait0_each": 1}),
        ]
    if kind == "matmul":
        return [draw(_matmul())]
    if kind == "vector":
        return [draw(_vector(chip))]
    if kind == "sync":
        return [make("sync", unit=draw(st.integers(0, 3)))]
    rows, row_bytes = draw(st.integers(1, 3)), draw(st.integers(1, 24))
    memory = draw(st.sampled_from([Memory.WEIGHTS, Memory.ACTIVATIONS, Memory.ACCUMULATORS]))
    pitches = {name: draw(st.integers(0, 40)) for name in ("source_pitch", "destination_pitch")}
    first, second = draw(st.integers(0, 150)), draw(st.integers(0, 150))
    if kind == "load":
        places = {"source": first + draw(st.sampled_from([0, IO_BYTES])), "destination": second}
    else:
        places = {"source": first, "destination": second + IO_BYTES}
    return [make(kind, rows=rows, row_bytes=row_bytes, memory=memory, **pitches, **places)]


@st.composite
def _matmul(draw: st.DrawFn) -> Instruction:
    return make(
        "matmul",
        start=draw(st.sampled_from(Start)),
        rows=draw(st.integers(1, 8)),
        columns=draw(st.integers(1, 8)),
        weights=draw(st.integers(0, 100)),
        input=draw(st.integers(0, 200)),
        accumulators=4 * draw(st.integers(0, 50)),
        bias=4 * draw(st.integers(0, 50)),
    )


@st.composite
def _vector(draw: st.DrawFn, chip: Chip, length: int = 0, source: int = -1) -> Instruction:
    requantize = draw(st.sampled_from(Requantize))
    fields = {
        "source_type": Source.INT32 if length else draw(st.sampled_from(Source)),
        "requantize": requantize,
        "addend_type": draw(st.sampled_from(Addend)),
        "activation": draw(st.sampled_from(Activation)),
        "multiply": draw(st.integers(0, 1)),
        "shift": draw(st.integers(0, 20)),
        "accumulate": draw(st.integers(0, 1)),
        "output_requantize": draw(st.integers(0, 1)),
        "destination_type": draw(st.sampled_from(Destination)),
        "length": length or draw(st.integers(1, 8)),
        "source": 4 * draw(st.integers(0, 50)) if source < 0 else source,
        "parameters": _BLOCKS[requantize == Requantize.REAL],
        "keep": draw(st.integers(0, 1)),
        "wait0_at": draw(st.sampled_from([Place.FIRST] * 6 + list(Place))),
    }
    for operand in ("addend", "factor", "term", "destination", "kept"):
        fields[operand] = 4 * draw(st.integers(0, 50))
    instruction = make("vector", **fields)
    if not _overwrites_itself(instruction, chip):
        return instruction
    # In place where it may be, and away from all its operands where not.
    in_place = make("vector", **{**fields, "destination": fields["source"]})
    if fields["source_type"] != Source.INT32 and not _overwrites_itself(in_place, chip):
        return in_place
    return make(
        "vector",
        **{
            **fields,
            "addend": 0,
            "factor": 0,
            "term": 0,
            "source": 0 if source < 0 else source,
            "destination": 128,
            "kept": 192,
        },
    )


def _overwrites_itself(instruction: Instruction, chip: Chip) -> bool:
    addresses = {operand.name: instruction.fields[operand.offset.name] for operand in instruction.format.operands}
    found = accesses(instruction, addresses, chip.mac.rows, chip.mac.weight_block_columns)
    writes = [access for access in found if access.is_write]
    clash = any(one.overlaps(other) for one in writes for other in writes if one is not other)
    return clash or any(
        read.overlaps(write) and (read.address, read.row_bytes) != (write.address, write.row_bytes)
        for read in found
        for write in writes
        if not read.is_write
    )


def _with(instruction: Instruction, fields: dict[str, int]) -> Instruction:
    return Instruction(instruction.name, {**instruction.fields, **fields})
