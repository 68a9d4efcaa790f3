"""What is timed inside a process of its own: `python -m tests.benchmarks.tasks TASK ARGUMENT...` prints a JSON object.

A process each, so that its peak memory is that of one piece of work and no work finds another's caches warm.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelsim.chip import load_chip
from accelsim.compiler import compile_graph
from accelsim.isa.files import read_program, write_program
from accelsim.validation.networks import Shape, build_network

TASKS: dict[str, Callable[..., dict[str, Any]]] = {}


def task(function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Registers a task under its function's name; its arguments arrive as texts."""
    TASKS[function.__name__] = function
    return function


@task
def compile_shape(folder: str, chip: str, cell: str, inputs: str, hidden: str, steps: str) -> dict[str, Any]:
    """A layer of random weights compiled into `folder`; seconds of the compiler alone."""
    graph = build_network(Shape(cell, int(inputs), int(hidden), int(steps)))
    target = load_chip(chip)
    seconds, program = _timed(lambda: compile_graph(graph, target))
    files = write_program(program, Path(folder), program.name)
    return {"seconds": seconds, "instructions": len(program.words), "program": str(files[0])}


@task
def reference(program: str) -> dict[str, Any]:
    """One frame on the reference engine, which runs on SimPy."""
    import numpy as np

    from accelsim.machine.reference import run_reference

    loaded = read_program(Path(program))
    frame = np.zeros((loaded.batch, *loaded.inputs[0].shape), dtype=np.int8)
    run_reference(loaded, frame)
    seconds, run = _timed(lambda: run_reference(loaded, frame))
    return {"seconds": seconds, "cycles": run.counters.cycles}


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main() -> None:
    """Runs the task that the command line names."""
    name, *arguments = sys.argv[1:]
    sys.stdout.write(json.dumps(TASKS[name](*arguments)))


if __name__ == "__main__":
    main()
