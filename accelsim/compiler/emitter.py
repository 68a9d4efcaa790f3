"""Writes instructions: registers, guards and semaphores by meaning, loops by nesting, layers beside each word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from accelsim.chip import Chip
from accelsim.errors import CapacityError
from accelsim.isa import Instruction, definition, make, opcodes
from accelsim.isa.opcodes import Place

Operand = tuple[int, int]
"""(address register, offset in bytes)."""


SCRATCH_REGISTERS = 4
"""The last registers are redefined wherever they are used, inside loops too."""
_LASTING_REGISTERS = opcodes.ADDRESS_REGISTERS - 1 - SCRATCH_REGISTERS


@cache
def sram_reach() -> int:
    """Bytes from the start of an SRAM that the offset of every operand in one reaches."""
    offsets = (operand.offset for form in definition().formats.values() for operand in form.operands)
    return 1 + min(offset.maximum for offset in offsets)


@dataclass(frozen=True)
class Token:
    """A semaphore as one instruction uses it.

    Parameters
    ----------
    semaphore : int
    each : bool
        Element by element.
    at : Place
        Where a vector instruction waits for it.
    """

    semaphore: int
    each: bool = False
    at: Place = Place.FIRST


@dataclass
class _Loop:
    """An open or finished loop: its instruction's fields and its body."""

    count: int
    guard: int
    layer: int | None
    body: list[_Item] = field(default_factory=list)


_Item = tuple[Instruction, int | None] | _Loop


@dataclass
class Emitter:
    """The program under construction.

    Parameters
    ----------
    chip : Chip
    """

    chip: Chip
    _program: list[_Item] = field(default_factory=list)
    _open: list[_Loop] = field(default_factory=list)
    _semaphores: int = 0
    _registers: dict[tuple[int, ...], int] = field(default_factory=dict)
    _guards: dict[tuple[int, int, int], int] = field(default_factory=dict)
    _setup: int | None = None

    def semaphore(self) -> int:
        """A semaphore nobody else has."""
        self._semaphores += 1
        if self._semaphores >= self.chip.sequencer.semaphores:
            raise CapacityError(
                self.chip.name,
                "sequencer.semaphores",
                self._semaphores + 1,
                self.chip.sequencer.semaphores,
                "semaphores",
            )
        return self._semaphores

    def register(self, base: int, *, phase: int = 0, wrap: int = 0, strides: Sequence[int] = ()) -> int:
        """The number of an address register with this content, defined ahead of all open loops."""
        content = _register_content(base, phase, wrap, strides)
        if content not in self._registers:
            number = len(self._registers) + 1
            if number > _LASTING_REGISTERS:
                raise CapacityError(self.chip.name, "address registers", number, _LASTING_REGISTERS, "registers")
            self._registers[content] = number
            self._define(make("address", register=number, **_register_fields(content)))
        return self._registers[content]

    def scratch(
        self,
        which: int,
        base: int,
        *,
        phase: int = 0,
        wrap: int = 0,
        strides: Sequence[int] = (),
        layer: int | None = None,
        guard: int = 0,
    ) -> int:
        """The number of a register, defined here and now: it holds until `which` is asked for again.

        The sequencer resolves addresses as it dispatches, so instructions in queues don't mind.
        """
        number = _LASTING_REGISTERS + 1 + which
        self.emit(
            "address",
            layer=layer,
            register=number,
            guard=guard,
            **_register_fields(_register_content(base, phase, wrap, strides)),
        )
        return number

    def guard(self, low: int, high: int, waves: int, level: int = 0) -> int:
        """The guard register for waves low <= w < high of a loop; 0, always true, where that is all of them."""
        if low <= 0 and high >= waves:
            return 0
        if (level, low, high) not in self._guards:
            number = len(self._guards) + 1
            if number >= opcodes.GUARD_REGISTERS:
                raise CapacityError(self.chip.name, "guard registers", number, opcodes.GUARD_REGISTERS - 1, "registers")
            self._guards[level, low, high] = number
            self._define(make("guard", register=number, level=level, low=low, high=high))
        return self._guards[level, low, high]

    def new_section(self) -> None:
        """Forget address and guard registers: the next loop defines its own."""
        self._registers.clear()
        self._guards.clear()
        self._setup = None

    def begin_frame(self) -> None:
        """What is emitted from here on belongs to every frame; registers, guards and credits are still set up before.

        To be called once, ahead of the first loop.
        """
        self.new_section()
        self._program.append((make("frame"), None))
        self._setup = len(self._program) - 1

    def credit(self, semaphore: int, amount: int) -> None:
        """Counts a semaphore has before the program's loops."""
        self._define(make("signal", semaphore=semaphore, amount=amount))

    def operand(self, instruction: str, name: str, address: int) -> Operand:
        """A fixed address as an operand; beyond the reach of the offset, through a register for its neighbourhood."""
        reach = definition().formats[instruction].field(f"{name}.offset").maximum + 1
        if address < reach:
            return 0, address
        base = address // (reach // 2) * (reach // 2)
        return self.register(base), address - base

    def emit(
        self,
        name: str,
        *,
        layer: int | None = None,
        waits: Sequence[Token] = (),
        signals: Sequence[Token] = (),
        **fields: int | Operand,
    ) -> None:
        """Append an instruction; `layer` is the index of the layer it works for."""
        for kind, tokens in (("wait", waits), ("signal", signals)):
            for slot, token in enumerate(tokens):
                fields[f"{kind}{slot}"] = token.semaphore
                fields[f"{kind}{slot}_each"] = int(token.each)
                if token.at != Place.FIRST:
                    fields[f"{kind}{slot}_at"] = int(token.at)
        self._here().append((make(name, **fields), layer))

    @contextmanager
    def loop(self, count: int, guard: int = 0, layer: int | None = None) -> Iterator[None]:
        """Everything emitted inside is the body."""
        loop = _Loop(count, guard, layer)
        here = self._here()
        self._open.append(loop)
        yield
        self._open.pop()
        here.append(loop)

    def finish(self) -> tuple[list[Instruction], list[int | None]]:
        """All instructions in order, and the layer each works for."""
        instructions: list[Instruction] = []
        layers: list[int | None] = []
        _flatten(self._program, instructions, layers)
        return instructions, layers

    def _define(self, instruction: Instruction) -> None:
        """What is set up once: ahead of open loops, and of `frame` while what it opened is not over."""
        if self._setup is None:
            self._program.append((instruction, None))
        else:
            self._program.insert(self._setup, (instruction, None))
            self._setup += 1

    def _here(self) -> list[_Item]:
        return self._open[-1].body if self._open else self._program


def _flatten(items: list[_Item], instructions: list[Instruction], layers: list[int | None]) -> None:
    for item in items:
        if isinstance(item, _Loop):
            at = len(instructions)
            instructions.append(make("loop", count=item.count, length=1, guard=item.guard))
            layers.append(item.layer)
            _flatten(item.body, instructions, layers)
            length = len(instructions) - at - 1
            instructions[at] = make("loop", count=item.count, length=length, guard=item.guard)
        else:
            instructions.append(item[0])
            layers.append(item[1])


def _register_content(base: int, phase: int, wrap: int, strides: Sequence[int]) -> tuple[int, ...]:
    steps = [0] * opcodes.LOOP_LEVELS
    for level, stride in enumerate(strides):
        # In a ring only the distance modulo its size counts.
        steps[level] = stride % wrap if wrap else stride
    return base, phase, wrap, *steps


def _register_fields(content: tuple[int, ...]) -> dict[str, Any]:
    base, phase, wrap, *steps = content
    return {"base": base, "phase": phase, "wrap": wrap} | {
        f"stride{level}": stride for level, stride in enumerate(steps)
    }
