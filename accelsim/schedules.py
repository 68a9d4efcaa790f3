"""The schedule of least cycles: each candidate is compiled, the engine counts, the fewest win.

Outputs are the same bits under every schedule, and cycles never depend on data: one frame's count decides for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from accelsim.chip import Chip
from accelsim.compiler.arrangement import Arrangement
from accelsim.compiler.build import Compiler
from accelsim.compiler.candidates import AUTO, arrangements
from accelsim.errors import CapacityError, InternalError
from accelsim.isa.program import Program
from accelsim.machine.fast import time_program
from accelsim.quant.model import QGraph


@dataclass(frozen=True)
class Candidate:
    """A program that was compared.

    Parameters
    ----------
    schedule : str
        As in the program.
    cycles : int
        Of a frame, or of a batch of them.
    """

    schedule: str
    cycles: int


@dataclass(frozen=True)
class Choice:
    """A program, and what it was chosen from.

    Parameters
    ----------
    program : Program
    candidates : tuple of Candidate
        Those that differ, simple before elaborate; none where there was nothing to choose.
    """

    program: Program
    candidates: tuple[Candidate, ...]


def engine_cycles(program: Program) -> int:
    """What the engine counts for a frame, or for a batch of them."""
    return time_program(program).counters.cycles


def compile_scheduled(
    graph: QGraph,
    chip: Chip,
    *,
    batch: int = 1,
    schedule: str = AUTO,
    count: Callable[[Program], int] = engine_cycles,
) -> Choice:
    """Compile a graph for a chip, in the schedule of fewest cycles.

    Parameters
    ----------
    graph : QGraph
    chip : Chip
    batch : int
        Frames handled at once.
    schedule : str
        `auto` for all there are, or the name of the one to be taken: `stepwise`, `wavefront`, `hoisted`, `interleaved`.
        What a name leaves open is counted too.
    count : callable
        Cycles of a program.

    Raises
    ------
    CapacityError
        The model does not fit, in no candidate: what the simplest one needs.
    InputError
        The graph has a form that can't be compiled; the schedule is unknown, or makes no sense for it.
    """
    compiler = Compiler(graph, chip, batch=batch)
    programs: list[Program] = []
    refusal: CapacityError | None = None
    for ways in arrangements(compiler.plan(), chip, schedule):
        program, error = _first_that_fits(compiler, ways)
        refusal = refusal or error
        if program and not any(program.words == other.words for other in programs):
            programs.append(program)
    if not programs:
        raise refusal or InternalError(f"{graph.name}: a schedule without candidates")
    if len(programs) == 1:
        return Choice(programs[0], ())
    cycles = [count(program) for program in programs]
    best = min(range(len(programs)), key=lambda number: cycles[number])
    candidates = zip(programs, cycles, strict=True)
    return Choice(programs[best], tuple(Candidate(program.schedule, its) for program, its in candidates))


def _first_that_fits(compiler: Compiler, ways: tuple[Arrangement, ...]) -> tuple[Program | None, CapacityError | None]:
    """The program of the first arrangement the chip has room for; else what the last one, the smallest, lacks."""
    refusal = None
    for arrangement in ways:
        try:
            return compiler.program(arrangement), None
        except CapacityError as error:
            refusal = error
    return None, refusal
