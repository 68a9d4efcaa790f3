"""Runs that the tests of pages share, and a page's data read back out of its text."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.chip import load_chip
from accelsim.compiler import compile_graph
from accelsim.isa.program import Program
from accelsim.machine.run import time_frame
from accelsim.profile import Profile, build_profile
from accelsim.report import program_page
from accelsim.report.timeline import timeline_of
from accelsim.timing.record import Counters
from tests.support.random_models import random_graph

NASTY = "</script><img src=x onerror=alert(1)>&amp;<b>%{x}"
"""A layer's name that would run, if anything took it for more than text."""
MANIFEST = [("command", "accelsim report x_r.cfg"), ("accelsim", "0.1.0")]


@dataclass(frozen=True)
class Recorded:
    program: Program
    counters: Counters
    events: NDArray[np.void]
    profile: Profile


def record(name: str = "") -> Recorded:
    """Two LSTM layers and a linear one on the default chip; `name` is the first layer's, where there is one."""
    program = compile_graph(random_graph(5, steps=6, sizes=(40, 24, 24), linear=12, select=-1), load_chip("tx5368"))
    if name:
        first = dataclasses.replace(program.layers[0], name=name)
        region = dataclasses.replace(program.regions[0], name=f"{name} weights")
        layers, regions = (first, *program.layers[1:]), (region, *program.regions[1:])
        program = dataclasses.replace(program, name=name, layers=layers, regions=regions)
    chunks: list[NDArray[np.void]] = []
    counters = time_frame(program, take_events=chunks.append)
    return Recorded(program, counters, np.concatenate(chunks), build_profile(program, counters, 1))


def page_of(run: Recorded) -> str:
    timeline = timeline_of(run.program, run.counters)
    return program_page(run.program, run.profile, timeline, MANIFEST, weight_file="x_r.weight")


def data_of(page: str) -> dict[str, Any]:
    """The data of a page's scripts."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))
