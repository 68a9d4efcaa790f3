"""The schedule of least cycles: each candidate is compiled, the engine counts, the fewest win.

A candidate is counted no farther than the best so far, and not at all where what it moves over the DRAM bus alone takes
longer: so the one that moves the least is counted first. Which one wins does not depend on that.

Outputs are the same bits under every schedule, and cycles never depend on data: one frame's count decides for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accelsim.chip import Chip
from accelsim.compiler.arrangement import Arrangement
from accelsim.compiler.build import Compiler
from accelsim.compiler.candidates import AUTO, arrangements
from accelsim.compiler.reuse import Reuse
from accelsim.errors import CapacityError, InternalError
from accelsim.isa.program import Program
from accelsim.machine.fast import time_program, time_within
from accelsim.quant.model import QGraph
from accelsim.timing.record import Counters
from accelsim.timing.traffic import least_bus_cycles


@dataclass(frozen=True)
class Candidate:
    """A program that was compared.

    Parameters
    ----------
    schedule : str
        As in the program.
    cycles : int
        Of a frame, or of a batch of them.
    is_counted : bool
        Else it takes at least so many, and more than the best.
    """

    schedule: str
    cycles: int
    is_counted: bool = True


@dataclass(frozen=True)
class Choice:
    """A program, and what it was chosen from.

    Parameters
    ----------
    program : Program
    candidates : tuple of Candidate
        Those that differ, simple before elaborate; none where there was nothing to choose.
    counters : Counters or None
        What the engine counted for the program; None where there was nothing to choose.
    """

    program: Program
    candidates: tuple[Candidate, ...]
    counters: Counters | None


class Engine:
    """What counts cycles."""

    def whole(self, program: Program) -> Counters:
        """The counts of a frame, or of a batch of them."""
        return time_program(program).counters

    def within(self, program: Program, most_cycles: int) -> Counters | None:
        """The same if they are no more than so many cycles; else None."""
        timing = time_within(program, most_cycles)
        return timing.counters if timing else None


def compile_scheduled(
    graph: QGraph,
    chip: Chip,
    *,
    batch: int = 1,
    schedule: str = AUTO,
    margin: int = 1,
    engine: Engine | None = None,
    reuse: Reuse | None = None,
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
    margin : int
        A candidate is counted up to so many times the cycles of the best so far: more of them for who wants to see
        by how much they lose, at least 1.
    engine : Engine, optional
    reuse : Reuse, optional
        With what was compiled for other chips.

    Raises
    ------
    CapacityError
        The model does not fit, in no candidate: what the simplest one needs.
    InputError
        The graph has a form that can't be compiled; the schedule is unknown, or makes no sense for it.
    """
    compiler = Compiler(graph, chip, batch=batch, reuse=reuse)
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
        compiler.check(programs[0])
        return Choice(programs[0], (), None)
    best, counters, candidates = _fewest_cycles(programs, margin, engine or Engine())
    compiler.check(programs[best])
    return Choice(programs[best], candidates, counters)


def _fewest_cycles(
    programs: Sequence[Program], margin: int, engine: Engine
) -> tuple[int, Counters, tuple[Candidate, ...]]:
    """Which program takes the fewest cycles, the first of several; its counts, and all programs as candidates."""
    least = [least_bus_cycles(program) for program in programs]
    candidates = {}
    best, counters = 0, None
    for number in sorted(range(len(programs)), key=least.__getitem__):
        schedule = programs[number].schedule
        if counters is None:
            found: Counters | None = engine.whole(programs[number])
        else:
            # One that takes as many as the best so far is better if it is simpler.
            most = margin * counters.cycles - (margin == 1 and number > best)
            found = engine.within(programs[number], most) if least[number] <= most else None
            if found is None:
                candidates[number] = Candidate(schedule, max(least[number], most + 1), is_counted=False)
        if found:
            candidates[number] = Candidate(schedule, found.cycles)
            if counters is None or (found.cycles, number) < (counters.cycles, best):
                best, counters = number, found
    if counters is None:
        raise InternalError("no program to choose from")
    return best, counters, tuple(candidates[number] for number in range(len(programs)))


def _first_that_fits(compiler: Compiler, ways: tuple[Arrangement, ...]) -> tuple[Program | None, CapacityError | None]:
    """The program of the first arrangement the chip has room for; else what the last one, the smallest, lacks."""
    refusal = None
    for arrangement in ways:
        try:
            return compiler.program(arrangement, is_checked=False), None
        except CapacityError as error:
            refusal = error
    return None, refusal
