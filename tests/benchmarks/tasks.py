"""What is timed inside a process of its own: `python -m tests.benchmarks.tasks TASK ARGUMENT...` prints a JSON object.

A process each, so that its peak memory is that of one piece of work and no work finds another's caches warm.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from accelsim.chip import load_chip
from accelsim.compiler import compile_graph
from accelsim.isa.files import read_program, write_program
from accelsim.isa.program import Program
from accelsim.machine.fast import time_program
from accelsim.machine.reference import run_reference
from accelsim.machine.run import run_program
from accelsim.quant.model import QConcat, QGraph, QLayer, QLstm, QSelectStep, QTensor
from accelsim.quant.onnx_reader import read_quantized_onnx
from accelsim.quant.onnx_writer import write_quantized_onnx
from accelsim.schedules import compile_scheduled
from accelsim.trace.perfetto import PerfettoWriter
from accelsim.validation.networks import INPUT, Node, Shape, build_joined, build_network
from tests.benchmarks.rows import KEYWORD_MODEL

_LONG_ENOUGH_S, _MOST_TIMES = 0.5, 9

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
def compile_for_steps(folder: str, quantized: str, steps: str) -> dict[str, Any]:
    """A quantized model compiled for the default chip, as if it had been made for so many time steps."""
    graph = with_steps(read_quantized_onnx(Path(quantized)), int(steps))
    seconds, program = _timed(lambda: compile_graph(graph, load_chip("tx5368")))
    files = write_program(program, Path(folder), f"{program.name}_{steps}")
    return {"seconds": seconds, "program": str(files[0])}


@task
def bidirectional_model(folder: str, inputs: str, hidden: str, steps: str, layers: str) -> dict[str, Any]:
    """A quantized model of bidirectional LSTM layers with random weights, written into `folder`."""
    nodes, reads = [], (INPUT,)
    for layer in range(int(layers)):
        width = int(hidden) * len(reads) if layer else int(inputs)
        names = tuple(f"lstm_{layer}_{way}" for way in ("forward", "reverse"))
        nodes += [Node(name, Shape("lstm", width, int(hidden), int(steps)), reads) for name in names]
        reads = names
    graph = build_joined("bidirectional", nodes)
    both = [
        replace(one, reverse=True) if isinstance(one, QLstm) and one.name.endswith("reverse") else one
        for one in graph.layers
    ]
    path = Path(folder) / "bidirectional.onnx"
    write_quantized_onnx(replace(graph, layers=tuple(both)), path)
    return {"model": str(path)}


def with_steps(graph: QGraph, steps: int) -> QGraph:
    """A quantized model for another number of time steps."""

    def tensor(one: QTensor) -> QTensor:
        return replace(one, shape=(steps, one.features)) if len(one.shape) > 1 else one

    def layer(one: QLayer) -> QLayer:
        if isinstance(one, QConcat):
            return replace(one, parts=tuple(map(tensor, one.parts)), y=tensor(one.y))
        if isinstance(one, QSelectStep):
            return replace(one, x=tensor(one.x), y=tensor(one.y), step=steps - 1)
        return replace(one, x=tensor(one.x), y=tensor(one.y))

    return QGraph(graph.name, tensor(graph.input), tensor(graph.output), tuple(map(layer, graph.layers)))


@task
def reference(program: str) -> dict[str, Any]:
    """One frame on the reference engine, which runs on SimPy."""
    loaded = read_program(Path(program))
    frame = _zeros(loaded)
    seconds, run = _timed(lambda: run_reference(loaded, frame))
    return {"seconds": seconds, "cycles": run.counters.cycles}


@task
def timing(program: str) -> dict[str, Any]:
    """One frame's cycles alone, once the kernels are loaded."""
    loaded = read_program(Path(program))
    time_program(_keyword_program(), steady_state=True)
    seconds, timed = _timed(lambda: time_program(loaded))
    return {"seconds": seconds, "cycles": timed.counters.cycles}


@task
def values_and_cycles(program: str) -> dict[str, Any]:
    """One frame's values and cycles as `accelsim run` has them, once the kernels are loaded."""

    def run(which: Program) -> int:
        return run_program(which, _zeros(which)).counters.cycles

    loaded = read_program(Path(program))
    time_program(_keyword_program(), steady_state=True)
    run(_keyword_program())
    seconds, cycles = _timed(lambda: run(loaded))
    return {"seconds": seconds, "cycles": cycles}


@task
def trace(folder: str, program: str) -> dict[str, Any]:
    """One frame's cycles with every operation written to a compressed trace file."""
    loaded, file = read_program(Path(program)), Path(folder) / "trace.json.gz"
    start = time.perf_counter()
    with PerfettoWriter(file, loaded, compressed=True) as writer:
        writer.finish(time_program(loaded, events=writer, states=writer.states).counters.cycles)
    return {"seconds": time.perf_counter() - start, "events": writer.count, "file_mb": file.stat().st_size / 1e6}


@task
def schedules(chip: str, cell: str, inputs: str, hidden: str, steps: str, weights_bytes: str) -> dict[str, Any]:
    """Cycles of a layer stepwise and hoisted, on a chip with so many bytes for weights (0: as many as it has)."""
    target = load_chip(chip)
    if int(weights_bytes):
        weights = target.sram.weights.model_copy(update={"capacity_bytes": int(weights_bytes)})
        target = target.model_copy(update={"sram": target.sram.model_copy(update={"weights": weights})})
    graph = build_network(Shape(cell, int(inputs), int(hidden), int(steps)))
    start = time.perf_counter()
    stepwise, hoisted = (
        time_program(compile_scheduled(graph, target, schedule=name).program).counters.cycles
        for name in ("stepwise", "hoisted")
    )
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "cycles": hoisted, "stepwise_cycles": stepwise, "fewer": stepwise / hoisted}


def _keyword_program() -> Program:
    return read_program(KEYWORD_MODEL / "lstm_quantize_r.cfg")


def _zeros(program: Program) -> np.ndarray:
    """A batch of frames; cycles don't depend on what is in them."""
    return np.zeros((program.batch, *program.inputs[0].shape), dtype=np.int8)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Median seconds of work, done so often that short work is not lost in the clock's noise, and its result."""
    seconds: list[float] = []
    while not seconds or (sum(seconds) < _LONG_ENOUGH_S and len(seconds) < _MOST_TIMES):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def main() -> None:
    """Runs the task that the command line names."""
    name, *arguments = sys.argv[1:]
    sys.stdout.write(json.dumps(TASKS[name](*arguments)))


if __name__ == "__main__":
    main()
