"""Which cycles a time step of a layer takes.

A step is found from the program, not from the model: a layer's steps are the turns of the loop it does most of its
vector operations in (the innermost loop around them; of a layer in no loop, the whole program is one). How often most
vector instructions in that loop are executed is the number of steps; step N, from 0 in order of execution, is the N-th
time of each of them, and the N-th share of those instructions of the layer in that loop that are executed a multiple of
that often, as products in blocks are. Its cycles go from the first beat of these operations to their last result.
What the layer does outside of that loop, such as input products hoisted out of the steps, is no part of a step, nor are
loads and stores, which work ahead or behind. Of a reversed layer step 0 is the last of the sequence. Layers that run
side by side have steps that overlap in time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import InputError
from accelsim.isa.program import Program
from accelsim.profile.operations import Events
from accelsim.profile.profile import Profile

_COMPUTE = ("matmul", "vector")
_OPTION = "--zoom-step"


class Executions:
    """Takes operations and counts how often each instruction is executed.

    Parameters
    ----------
    program : Program
    """

    def __init__(self, program: Program) -> None:
        self.counts: NDArray[np.int64] = np.zeros(len(program.instructions), dtype=np.int64)

    def __call__(self, events: Events) -> None:
        """Take operations."""
        self.counts += np.bincount(events["index"], minlength=len(self.counts))


@dataclass(frozen=True)
class Steps:
    """A layer's time steps.

    Parameters
    ----------
    layer : str
    count : int
    instructions : mapping of int to int
        Index in the program to how often it is executed in a step.
    """

    layer: str
    count: int
    instructions: dict[int, int]


def find_steps(program: Program, executions: NDArray[np.int64], layer: str) -> Steps:
    """A layer's steps.

    Parameters
    ----------
    program : Program
    executions : int64[instructions]
        How often each instruction is executed.
    layer : str
        Its name.

    Raises
    ------
    InputError
        There is no such layer, or it executes no instruction of the matrix or vector unit.
    """
    names = [one.name for one in program.layers]
    if layer not in names:
        raise InputError("--zoom-layer", "", f"found {layer!r}", f"one of the layers {', '.join(names)}")
    number = names.index(layer)
    mine = [
        index
        for index, owner in enumerate(program.layer_indices)
        if owner == number and program.instructions[index].name in _COMPUTE and executions[index]
    ]
    if not mine:
        raise InputError(_OPTION, "", f"layer {layer} has no operation of the matrix or vector unit", "another layer")
    anchors = [index for index in mine if program.instructions[index].name == "vector"] or mine
    loops = _loops(program)
    work: Counter[tuple[int, int]] = Counter()
    for index in anchors:
        work[loops[index]] += int(executions[index])
    first, last = max(work, key=lambda loop: work[loop])
    often = Counter(int(executions[index]) for index in anchors if loops[index] == (first, last))
    count = max(often, key=lambda times: (often[times], times))
    inside = [index for index in mine if first <= index < last and executions[index] % count == 0]
    return Steps(layer, count, {index: int(executions[index]) // count for index in inside})


def _loops(program: Program) -> list[tuple[int, int]]:
    """For each instruction the body of the innermost loop around it, as a half-open range; of none, the program's."""
    bodies = [(0, len(program.instructions))] * len(program.instructions)
    for index, instruction in enumerate(program.instructions):
        if instruction.name == "loop":
            body = index + 1, index + 1 + instruction.fields["length"]
            # Inner loops come later, and take over their part.
            bodies[body[0] : body[1]] = [body] * (min(body[1], len(bodies)) - body[0])
    return bodies


def busiest_layer(program: Program, profile: Profile) -> str:
    """The layer that takes most cycles; of equal ones the first.

    Raises
    ------
    InputError
        The program has no layers.
    """
    if not program.layers:
        raise InputError(_OPTION, "", f"{program.name} has no layers", "a program with layers, or --zoom FROM:TO")
    return max(profile.layers[: len(program.layers)], key=lambda part: part.cycles).name


class StepWindow:
    """Takes operations in order of completion and finds those of one step, and their cycles.

    A unit completes its operations in order, so that the N-th event of an instruction is its N-th execution.

    Parameters
    ----------
    steps : Steps
    number : int
        The step, from 0.

    Attributes
    ----------
    operations : set of (int, int)
        The step's, by instruction and cycle of dispatch.

    Raises
    ------
    InputError
        There is no such step.
    """

    def __init__(self, steps: Steps, number: int) -> None:
        if not 0 <= number < steps.count:
            raise InputError(_OPTION, "", f"found {number}", f"0 to {steps.count - 1}: layer {steps.layer}'s steps")
        self.steps, self.number = steps, number
        self.first: int | None = None
        self.last = 0
        self.operations: set[tuple[int, int]] = set()
        self._seen = dict.fromkeys(steps.instructions, 0)

    def __call__(self, events: Events) -> None:
        """Take operations."""
        for index, share in self.steps.instructions.items():
            mine = events[events["index"] == index]
            low = max(0, self.number * share - self._seen[index])
            high = max(0, (self.number + 1) * share - self._seen[index])
            self._seen[index] += len(mine)
            mine = mine[low:high]
            if len(mine):
                first = int(mine["started"].min())
                self.first = first if self.first is None else min(self.first, first)
                self.last = max(self.last, int(mine["done"].max()) + 1)
                self.operations.update((index, int(cycle)) for cycle in mine["dispatched"])

    @property
    def window(self) -> tuple[int, int]:
        """First cycle, and the cycle after the last."""
        return self.first or 0, self.last
