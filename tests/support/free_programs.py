"""Random programs whose units run freely: they contend for banks, bus and counts, in loops of all levels.

Unlike `random_programs` nothing makes them sequential. What one instruction signals, another of the same loop body
takes, so counts balance turn by turn and most programs end; some are left to run into a deadlock, out of a memory or
past their end. Addresses move with all loops, in rings or not. Values mean nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from accelsim.chip import Chip
from accelsim.isa import Instruction, accesses, definition, encode, make
from accelsim.isa.opcodes import (
    LOOP_LEVELS,
    Activation,
    Addend,
    Destination,
    Memory,
    Place,
    Requantize,
    Source,
    Start,
)
from accelsim.isa.program import Program
from accelsim.isa.stages import place_operations
from accelsim.machine.ranges import element_bytes
from tests.support.counterexamples import bare_program
from tests.support.tiny import in_stages, tiny_chip

_SEMAPHORES = 24
_DRAM_BYTES = 1 << 14
_MOST_EXECUTED = 900
"""Instructions executed; the reference engine takes about as many milliseconds."""
_WIDEST_STRIDE = 512

_KINDS = ["load", "store", "matmul", "matmul", "vector", "vector", "sync", "sync"]
_STAGES = [
    ["add activation multiply add"],
    ["", "add activation multiply", "add", ""],
    ["add", "activation", "multiply add"],
    ["activation add", "add activation multiply", "activation", "multiply add"],
]


def _mostly(often: st.SearchStrategy[Any], seldom: st.SearchStrategy[Any], one_in: int) -> st.SearchStrategy[Any]:
    return st.integers(0, one_in - 1).flatmap(lambda choice: often if choice else seldom)


@st.composite
def free_chips(draw: st.DrawFn) -> Chip:
    """The tiny chip with odd numbers of banks, words, latencies; depths of 1; stages; units with sequencers."""
    few = st.integers(1, 5)
    cycles = _mostly(few, st.sampled_from([17, 40, 90]), 8)
    depth = _mostly(st.integers(1, 3), st.just(12), 5)
    changes: dict[str, Any] = {}
    for name in ("weights", "activations", "accumulators", "parameters"):
        banks, word = draw(st.sampled_from([1, 2, 3, 4, 5, 7, 8, 64])), draw(st.sampled_from([1, 2, 3, 4, 5, 8, 16]))
        changes[f"sram__{name}__banks"] = banks
        changes[f"sram__{name}__word_bytes"] = word
        changes[f"sram__{name}__capacity_bytes"] = math.ceil(4096 / (banks * word)) * banks * word
        changes[f"sram__{name}__conflict_free"] = draw(st.integers(0, 3)) == 0
    return tiny_chip(
        **changes,
        **draw(_vector_units()),
        sequencer__semaphores=_SEMAPHORES,
        sequencer__instruction_memory_words=1024,
        sequencer__dispatch_cycles=draw(cycles),
        sequencer__semaphore_cycles=draw(cycles),
        sequencer__load_queue_depth=draw(depth),
        sequencer__matrix_queue_depth=draw(depth),
        sequencer__vector_queue_depth=draw(depth),
        sequencer__store_queue_depth=draw(depth),
        sequencer__program_in_dram=draw(st.integers(0, 4)) == 0,
        sequencer__beats_ahead=draw(st.sampled_from([0, 0, 1, 2, 3, 7, 50])),
        sequencer__beat_cycles=draw(st.integers(0, 4)),
        sequencer__instruction_cycles=draw(st.integers(0, 3)),
        mac__rows=draw(st.integers(1, 4)),
        mac__columns=draw(st.integers(1, 4)),
        mac__batch_columns=draw(st.integers(1, 3)),
        mac__weight_block_columns=draw(st.integers(1, 3)),
        mac__latency_cycles=draw(cycles),
        mac__accumulate_interval_cycles=draw(st.integers(1, 4)),
        mac__drain_cycles=draw(_mostly(few, st.just(25), 6)),
        chaining__hop_cycles=draw(cycles),
        dma__sram_bytes_per_cycle=draw(st.sampled_from([1, 3, 4, 7, 8, 16])),
        dma__latency_cycles=draw(cycles),
        dram__capacity_bytes=_DRAM_BYTES,
        dram__bytes_per_cycle=draw(st.sampled_from([0.05, 0.3, 0.7, 1, 1.5, 2.3, 3.7, 4, 32])),
        dram__read_latency_cycles=draw(_mostly(st.integers(0, 9), st.just(70), 6)),
        dram__write_latency_cycles=draw(_mostly(st.integers(0, 9), st.just(70), 6)),
        dram__burst_bytes=draw(st.sampled_from([1, 5, 7, 8, 16, 24])),
        dram__outstanding_bursts=draw(st.sampled_from([1, 1, 2, 3, 9])),
    )


@st.composite
def _vector_units(draw: st.DrawFn) -> dict[str, Any]:
    cycles = _mostly(st.integers(1, 5), st.sampled_from([17, 40]), 8)
    changes: dict[str, Any] = {
        "vector__lanes": draw(st.integers(1, 4)),
        "vector__wake_cycles": draw(st.sampled_from([0, 0, 1, 2, 5])),
        "dma__loads_through_vector": draw(st.booleans()),
    }
    if draw(st.booleans()):
        return {**changes, "vector__latency_cycles": draw(cycles)}
    return in_stages(*((draw(cycles), names) for names in draw(st.sampled_from(_STAGES))), **changes)


@dataclass
class _Register:
    """An address register, and how far from its base it is to reach."""

    number: int
    align: int
    phase: int
    wrap: int
    strides: list[int]
    reach: int

    def define(self, base: int = 0) -> Instruction:
        strides = {f"stride{level}": stride for level, stride in enumerate(self.strides)}
        return make("address", register=self.number, base=base, phase=self.phase, wrap=self.wrap, **strides)


@dataclass
class _Writer:
    """A program that is being written: what an instruction's body may be made of, and what it costs so far."""

    draw: st.DrawFn
    chip: Chip
    kinds: list[str]
    registers: list[_Register] = field(default_factory=list)
    guards: int = 0
    credits: dict[int, int] = field(default_factory=dict)
    semaphore: int = 0
    budget: int = _MOST_EXECUTED

    def next_semaphore(self) -> int:
        self.semaphore = self.semaphore % (_SEMAPHORES - 1) + 1
        return self.semaphore


_Node = Instruction | tuple[int, "list[_Node]"]
"""An instruction, or a loop: its count and its body."""


@st.composite
def free_programs(draw: st.DrawFn) -> Program:
    """A program as this module says; one in ten with a mistake that shows late."""
    chip = draw(free_chips())
    writer = _Writer(draw, chip, draw(st.sampled_from([_KINDS, _KINDS, ["load"], ["load", "store"], _KINDS[2:]])))
    is_calm, mistake = draw(st.integers(0, 3)) > 0, draw(st.integers(0, 29))
    counts = [draw(st.sampled_from([2, 3, 7, 30] if level else [3, 40, 100, 300])) for level in range(LOOP_LEVELS)]
    for number in range(1, draw(st.integers(1, 7))):
        writer.registers.append(draw(_register(chip, number, counts, is_calm, mistake == 0 and number == 1)))
    blocks = [draw(_block(writer, counts, 0, 1)) for _ in range(draw(st.integers(1, 2)))]
    code = [register.define() for register in writer.registers] + _guards(draw, writer, counts)
    for semaphore, amount in writer.credits.items():
        code.append(make("signal", semaphore=semaphore, amount=amount))
    with_frame = draw(st.integers(0, 3)) == 0
    for number, block in enumerate(blocks):
        code += _flat(block)
        if number == 0 and with_frame:
            code.append(make("frame"))
    if mistake == 1:
        code[-1] = make("loop", count=2, length=draw(st.integers(1, 4)))
    elif mistake == 2:
        code += [make("loop", count=draw(st.integers(1, 3)), length=9 - one) for one in range(5)]
    if mistake != 3:
        code.append(make("halt"))
    cuts = sorted(draw(st.lists(st.integers(0, len(code)), min_size=3, max_size=3)))
    layers = {"a": ((cuts[0], cuts[1]),), "b": ((cuts[1], cuts[2]),)} if draw(st.booleans()) else {}
    return bare_program(chip, tuple(encode(one) for one in code), layers, _DRAM_BYTES)


@st.composite
def _register(
    draw: st.DrawFn, chip: Chip, number: int, counts: list[int], is_calm: bool, goes_astray: bool
) -> _Register:
    """A register; a calm one is after few turns where it was for banks and bursts, one astray reaches far too far."""
    align = draw(st.sampled_from([1, 2, 4, 8, 8]))
    memory = getattr(chip.sram, Memory(draw(st.integers(0, 3))).name.lower())
    row = math.lcm(align, memory.banks * memory.word_bytes)
    if row > _WIDEST_STRIDE:
        row = align
    steps = [0, row, row * 2, -row] if is_calm else [0, align, 3 * align, -align, row, 5 * align]
    strides = [draw(st.sampled_from(steps)) for _ in counts]
    phase = align * draw(st.integers(0, 3))
    if goes_astray:
        wrap = draw(st.sampled_from([0, row * 40, row * 200]))
        return _Register(number, align, phase, wrap, [draw(st.sampled_from([row, align, -align])), 0, 0, 0], 64)
    if draw(st.booleans()):
        wrap = draw(st.sampled_from([row, row * 2, row * 3] if is_calm else [align * 3, align * 5, row, row * 2]))
        return _Register(number, align, phase, wrap, strides, wrap)
    span = [max(stride, 0) * (count - 1) for stride, count in zip(strides, counts, strict=True)]
    for level in range(len(strides)):
        # What counts down begins at its last turn; what would reach too far stays.
        if strides[level] < 0 or span[level] > 1500:
            strides[level] = span[level] = 0
    return _Register(number, align, phase, 0, strides, phase + sum(span))


def _guards(draw: st.DrawFn, writer: _Writer, counts: list[int]) -> list[Instruction]:
    """Definitions of the guards that are used; they change at the ends of a loop or in its middle."""
    code = []
    for number in range(1, writer.guards + 1):
        level = draw(st.integers(0, LOOP_LEVELS - 1))
        low = draw(st.sampled_from([0, 0, 1, 2, counts[level] // 2, counts[level] - 1]))
        high = draw(st.sampled_from([1, counts[level] // 2, counts[level] - 1, counts[level], 1 << 31]))
        code.append(make("guard", register=number, level=level, low=low, high=high))
    return code


@st.composite
def _block(draw: st.DrawFn, writer: _Writer, counts: list[int], level: int, times: int) -> list[_Node]:
    """Instructions, and a loop or two among them, that are executed so many times."""
    nodes: list[_Node] = []
    size = draw(st.integers(1, 6 if level else 3))
    for _ in range(size):
        if writer.budget < times:
            break
        node = draw(_instruction(writer, level))
        if _cost(writer.chip, node) * times > writer.budget:
            node = make("nop")
        writer.budget -= _cost(writer.chip, node) * times
        nodes.append(node)
    _join(draw, writer, nodes)
    loops = draw(st.sampled_from([1, 1, 2] if level == 0 else [0, 0, 1, 1, 2])) if level < LOOP_LEVELS else 0
    for _ in range(loops):
        count = draw(st.sampled_from([counts[level], counts[level], counts[level] // 2, 1]))
        count = min(count, writer.budget // times)
        if count > 0:
            writer.budget -= times
            body = draw(_block(writer, counts, level + 1, times * count))
            nodes.insert(draw(st.integers(0, len(nodes))), (count, body))
    return nodes or [make("nop")]


def _cost(chip: Chip, instruction: Instruction) -> int:
    """Of an execution on the reference engine, in instructions: long transfers are many bursts and beats."""
    size = instruction.fields.get("row_bytes", 0) * instruction.fields.get("rows", 0)
    return 1 + size // (8 * min(chip.dram.burst_bytes, chip.dma.sram_bytes_per_cycle))


def _flat(nodes: list[_Node]) -> list[Instruction]:
    code: list[Instruction] = []
    for node in nodes:
        if isinstance(node, Instruction):
            code.append(node)
        else:
            body = _flat(node[1])
            code += [make("loop", count=node[0], length=len(body)), *body]
    return code


def _join(draw: st.DrawFn, writer: _Writer, nodes: list[_Node]) -> None:
    """Semaphores between two instructions of a body: the one gives per turn what the other takes."""
    able = [n for n, node in enumerate(nodes) if isinstance(node, Instruction) and "wait0" in node.fields]
    for _ in range(draw(st.integers(0, 4)) if able else 0):
        giver, taker = draw(st.sampled_from(able)), draw(st.sampled_from(able))
        first, second = nodes[giver], nodes[taker]
        assert isinstance(first, Instruction)
        assert isinstance(second, Instruction)
        slot = next((n for n in range(3) if not first.fields[f"signal{n}"]), None)
        other = next((n for n in range(3) if not second.fields[f"wait{n}"]), None)
        if slot is None or other is None:
            continue
        fits = first.fields["guard"] == second.fields["guard"] or draw(st.integers(0, 9)) == 0
        if not fits:
            continue
        gives, takes = _elements(first, "signal"), _elements(second, "wait")
        each_gives, each_takes = draw(st.booleans()), draw(st.booleans())
        balanced = (gives if each_gives else 1) == (takes if each_takes else 1)
        if not balanced and draw(st.integers(0, 9)):
            each_gives = each_takes = gives == takes and each_gives
        # With a reversed pair, or one that takes its own, the first turn needs credit.
        semaphore = writer.next_semaphore()
        amount = takes if each_takes else 1
        if giver >= taker or draw(st.integers(0, 2)) == 0:
            ahead = draw(st.sampled_from([1, 1, 2, 5]))
            writer.credits[semaphore] = writer.credits.get(semaphore, 0) + amount * ahead
        nodes[giver] = _with(first, {f"signal{slot}": semaphore, f"signal{slot}_each": int(each_gives)})
        if taker == giver:
            second = nodes[giver]
        nodes[taker] = _with(second, {f"wait{other}": semaphore, f"wait{other}_each": int(each_takes)})


def _elements(instruction: Instruction, kind: str) -> int:
    """How many an instruction gives or takes where it does so for each."""
    fields = instruction.fields
    if instruction.name == "matmul":
        return (fields["extra_vectors"] + 1) * (fields["columns"] if kind == "wait" else fields["rows"])
    return {"vector": fields.get("length", 1), "sync": 1}.get(instruction.name, fields.get("rows", 1))


@st.composite
def _instruction(draw: st.DrawFn, writer: _Writer, level: int) -> Instruction:
    """Any instruction of a unit, or now and then one of the sequencer's own."""
    kind = draw(_mostly(st.sampled_from(writer.kinds), st.sampled_from(["signal", "address", "nop", "guard"]), 9))
    if kind in ("address", "guard") and (not writer.registers or not writer.guards):
        kind = "nop"
    if kind == "nop":
        return make("nop")
    if kind == "signal":
        return make("signal", semaphore=writer.next_semaphore(), amount=draw(st.sampled_from([1, 3, 1 << 20])))
    if kind == "address":
        return draw(st.sampled_from(writer.registers)).define(8 * draw(st.integers(0, 2)))
    if kind == "guard":
        low = draw(st.integers(0, 9))
        register = draw(st.integers(1, writer.guards))
        return make(
            "guard", register=register, level=draw(st.integers(0, min(level, LOOP_LEVELS - 1))), low=low, high=low + 7
        )
    guard = 0
    if draw(st.integers(0, 5)) == 0:
        writer.guards = max(writer.guards, guard := draw(st.integers(1, min(writer.guards + 1, 6))))
    if kind == "sync":
        return make("sync", unit=draw(st.sampled_from([0, 1, 2, 3])), guard=guard)
    values = draw({"matmul": _matmuls(), "vector": _vectors(writer.chip)}.get(kind, _copies()))
    return _placed(draw, writer, make(kind, guard=guard, **values))


@st.composite
def _copies(draw: st.DrawFn) -> dict[str, int]:
    pitches = {name: draw(st.integers(0, 40)) for name in ("source_pitch", "destination_pitch")}
    rows, row_bytes = draw(st.sampled_from([1, 1, 2, 3])), draw(st.sampled_from([1, 2, 4, 9, 16, 31, 150, 700]))
    return {"memory": draw(st.integers(0, 3)), "rows": rows, "row_bytes": row_bytes, **pitches}


@st.composite
def _matmuls(draw: st.DrawFn) -> dict[str, int]:
    size = st.sampled_from([1, 2, 3, 4, 4, 6, 9])
    return {
        "start": draw(st.sampled_from(Start)),
        "rows": draw(size),
        "columns": draw(size),
        "extra_vectors": draw(st.sampled_from([0, 0, 0, 1, 3])),
    }


@st.composite
def _vectors(draw: st.DrawFn, chip: Chip) -> dict[str, int]:
    values: dict[str, int] = {
        "source_type": draw(st.sampled_from(Source)),
        "requantize": draw(st.sampled_from(Requantize)),
        "addend_type": draw(st.sampled_from(Addend)),
        "activation": draw(st.sampled_from([Activation.NONE, Activation.RELU])),
        "multiply": draw(st.integers(0, 1)),
        "accumulate": draw(st.integers(0, 1)),
        "keep": draw(st.integers(0, 1)),
        "destination_type": draw(st.sampled_from(Destination)),
        "length": draw(st.sampled_from([1, 2, 3, 4, 4, 6, 9])),
        **{f"wait{slot}_at": draw(st.sampled_from(Place)) for slot in range(3)},
    }
    for name in ("accumulate", "activation", "addend_type", "multiply"):
        if place_operations(make("vector", **values).fields, chip.vector.pipeline) is None:
            values[name] = 0
    return values


def _placed(draw: st.DrawFn, writer: _Writer, instruction: Instruction) -> Instruction:
    """With registers and offsets, so that all it touches lies inside its memories and where its elements may."""
    rules, chip, form = definition(), writer.chip, instruction.format
    zeros = {operand.name: 0 for operand in form.operands}
    ends = {operand.name: 0 for operand in form.operands}
    for access in accesses(instruction, zeros, chip.mac.rows, chip.mac.weight_block_columns):
        ends[access.operand] = max(ends[access.operand], access.end)
    fields: dict[str, int] = {}
    for operand in form.operands:
        align = element_bytes(instruction, operand.name)
        memory = rules.operand_memory(form, operand, instruction.fields)
        able = [one for one in writer.registers if one.align % align == 0]
        register = draw(st.sampled_from([None, *able, *able]))
        size = _DRAM_BYTES if memory in ("", "dram") else getattr(chip.sram, memory).capacity_bytes
        # A register may be defined anew with a base of up to 16.
        room = (size - ends[operand.name] - (register.reach + 16 if register else 0)) // align
        first = draw(st.integers(0, max(min(room, 50), 0)))
        if room > 50 and draw(st.booleans()):
            first = room - first
        fields[operand.offset.name] = align * max(first, 0)
        fields[operand.register.name] = register.number if register and room > 0 else 0
    return _with(instruction, fields)


def _with(instruction: Instruction, fields: dict[str, int]) -> Instruction:
    return Instruction(instruction.name, {**instruction.fields, **fields})
