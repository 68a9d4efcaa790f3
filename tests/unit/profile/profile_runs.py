"""Runs and hand-made profiles that the tests of reports share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.chip import load_chip
from accelsim.compiler import compile_graph
from accelsim.isa.opcodes import Unit
from accelsim.isa.program import LayerInfo, Program
from accelsim.machine.reference import run_reference
from accelsim.profile import Bound, Profile, build_profile
from accelsim.timing.record import Cause, Counters, Reason
from tests.support.random_models import random_graph


@dataclass(frozen=True)
class Recorded:
    program: Program
    counters: Counters
    events: NDArray[np.void]
    profile: Profile


def record() -> Recorded:
    """Two LSTM layers and a linear one on the default chip."""
    graph = random_graph(5, steps=6, sizes=(40, 24, 24), linear=12, select=-1)
    program = compile_graph(graph, load_chip("tx5368"))
    run = run_reference(program, np.zeros(program.inputs[0].shape, np.int8), keep_events=True)
    assert run.events is not None
    return Recorded(program, run.counters, run.events, build_profile(program, run.counters, 3))


def renamed(program: Program, names: list[str], kind: str = "lstm") -> Program:
    """The program with as many layers as there are names; only for what reads no instruction of theirs."""
    return dataclasses.replace(program, layers=tuple(LayerInfo(name, kind, 0, 0, ()) for name in names))


def counters_of(cycles: list[int], outside: int = 0) -> Counters:
    """Layers that take so many cycles of the matrix unit each, and the sequencer `outside` more."""
    counters = Counters(len(cycles), cycles=sum(cycles) + outside, bin_cycles=1 << 24)
    counters.causes[:-1, Cause.MATRIX] = cycles
    counters.causes[-1, Cause.SEQUENCER] = outside
    counters.units[Unit.MATRIX, :-1, Reason.BUSY] = cycles
    for unit in Unit:
        counters.units[unit, -1, Reason.IDLE] = counters.cycles - counters.units[unit].sum()
    return counters


BOUND = Bound(mac_cycles=5, dram_cycles=8, path_cycles=10)


def profile_of(program: Program, names: list[str], cycles: list[int], outside: int = 0) -> Profile:
    return build_profile(renamed(program, names), counters_of(cycles, outside), 1, bound=BOUND)
