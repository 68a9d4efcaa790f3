"""The rows of the report: each a piece of work, what is measured of it, and the figures it is to stay within."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measure import Measured, Spread, repeated, run_process

REPOSITORY = Path(__file__).resolve().parents[2]
KEYWORD_MODEL = REPOSITORY / "workloads" / "kws12" / "artefacts"
LSTM_1024 = ("lstm", "1024", "1024", "25")
"""Cell, inputs, units, time steps; its 8 MB of weights are streamed on the default chip."""
SHORT_AND_LONG = (100, 100_000)
STEPS_OF_MANY_EVENTS = 400_000

UNITS = {
    "wall_s": ("wall time", "s"),
    "cpu_s": ("CPU time", "s"),
    "peak_mb": ("peak memory", "MB"),
    "cycles": ("cycles", ""),
    "cycles_per_s": ("simulated cycles a second", "million"),
    "instructions": ("instructions", ""),
    "points": ("points", ""),
    "events": ("events", "million"),
    "file_mb": ("file", "MB"),
    "stepwise_cycles": ("cycles stepwise", ""),
    "fewer": ("fewer than stepwise by a factor of", ""),
    "time_ratio": ("time over the shorter's", ""),
    "memory_ratio": ("memory over the shorter's", ""),
    "speed_ratio": ("the compiled engine's speed over it", ""),
}
"""Each figure's name and unit in the page."""

Figures = dict[str, Spread]
ROWS: list[Row] = []


@dataclass(frozen=True)
class Target:
    """A figure and what it is to be.

    Parameters
    ----------
    figure : str
    limit : float
    at_least : bool
        Larger is better.
    """

    figure: str
    limit: float
    at_least: bool = False

    def met(self, figures: Figures) -> bool:
        """Whether the median is within it."""
        found = figures[self.figure].median
        return found >= self.limit if self.at_least else found <= self.limit


@dataclass(frozen=True)
class Row:
    """A row of the report.

    Parameters
    ----------
    name : str
    work : str
        What is done, in a few words.
    targets : tuple of Target
    measure : callable
        The figures, of work in an empty folder, done so many times.
    """

    name: str
    work: str
    targets: tuple[Target, ...]
    measure: Callable[[Path, int], Figures]


def row(work: str, *targets: Target) -> Callable[[Callable[[Path, int], Figures]], Callable[[Path, int], Figures]]:
    """Registers a function as the row of its name."""

    def register(function: Callable[[Path, int], Figures]) -> Callable[[Path, int], Figures]:
        ROWS.append(Row(function.__name__, work, targets, function))
        return function

    return register


def process_figures(runs: Sequence[Measured]) -> Figures:
    """Wall time, CPU time and peak memory of whole processes."""
    return {name: Spread.of([getattr(run, name) for run in runs]) for name in ("wall_s", "cpu_s", "peak_mb")}


def task_figures(runs: Sequence[Measured], *names: str) -> Figures:
    """`seconds` of the work inside each process and the peak of the process, and what else its task says, by name."""
    said = [json.loads(run.output) for run in runs]
    figures = {"wall_s": Spread.of([one["seconds"] for one in said])}
    figures["peak_mb"] = Spread.of([run.peak_mb for run in runs])
    if "cycles_per_s" in names:
        figures["cycles_per_s"] = Spread.of([one["cycles"] / one["seconds"] for one in said])
    return figures | {name: Spread.of([one[name] for one in said]) for name in names if name != "cycles_per_s"}


def task_process(name: str, *arguments: object) -> Measured:
    """A task of `tasks`, in a process of its own."""
    words = [sys.executable, "-m", "tests.benchmarks.tasks", name, *(str(argument) for argument in arguments)]
    return run_process(words, folder=REPOSITORY)


def accelsim(*words: object) -> list[str]:
    """The command line, of the Python that runs this."""
    return [sys.executable, "-m", "accelsim.cli", *(str(word) for word in words)]


def run_keyword_model(outpath: Path) -> list[str]:
    """`accelsim run` of the bundled model on its 50 test clips."""
    program, clips = KEYWORD_MODEL / "lstm_quantize_r.cfg", KEYWORD_MODEL / "kws12_test.npz"
    return accelsim("run", program, "--input", clips, "--outpath", outpath)


@row("`accelsim run` of the keyword model: 50 clips' values, cycles", Target("wall_s", 0.8), Target("peak_mb", 200))
def keyword_run(folder: Path, times: int) -> Figures:
    """The whole process, kernels compiled before."""
    return process_figures(repeated(lambda: run_process(run_keyword_model(folder)), times, warm_up=True))


@row("the same, the first time ever: kernels are compiled", Target("wall_s", 15))
def keyword_first_run(folder: Path, times: int) -> Figures:
    """The whole process, with an empty folder for its kernels each time."""

    def work() -> Measured:
        with tempfile.TemporaryDirectory() as cache:
            return run_process(run_keyword_model(folder), environment={"ACCELSIM_CACHE_DIR": cache})

    return process_figures(repeated(work, min(times, 3), warm_up=False))


@row("`accelsim quant` of the keyword model, with its calibration data")
def keyword_quant(folder: Path, times: int) -> Figures:
    """The whole process."""
    model, data = KEYWORD_MODEL / "kws.onnx", KEYWORD_MODEL / "kws12_calib.npz"
    words = accelsim("quant", "--model", model, "--data", data, "--outpath", folder)
    return process_figures(repeated(lambda: run_process(words), times, warm_up=True))


@row("`accelsim compile` of the keyword model")
def keyword_compile(folder: Path, times: int) -> Figures:
    """The whole process."""
    words = accelsim("compile", _quantized_keyword_model(folder), "--outpath", folder)
    return process_figures(repeated(lambda: run_process(words), times, warm_up=True))


@row("compiling LSTM 1024 -> 1024, T = 25, for the default chip, in process")
def lstm_compile(folder: Path, times: int) -> Figures:
    """The compiler alone, weights made before."""
    runs = repeated(lambda: task_process("compile_shape", folder, "tx5368", *LSTM_1024), times, warm_up=False)
    return task_figures(runs, "instructions")


@row(
    "LSTM 1024 -> 1024, T = 25, weights streamed: values and cycles of one frame, in process",
    Target("wall_s", 1.0),
    Target("peak_mb", 400),
)
def lstm_run(folder: Path, times: int) -> Figures:
    """The compiled engine, then the functional one."""
    program = _compiled("compile_shape", folder, "tx5368", *LSTM_1024)
    return task_figures(repeated(lambda: task_process("values_and_cycles", program), times, warm_up=False), "cycles")


@row("the same, cycles alone", Target("cycles_per_s", 100e6, at_least=True))
def lstm_timing(folder: Path, times: int) -> Figures:
    """The compiled engine without values."""
    program = _compiled("compile_shape", folder, "tx5368", *LSTM_1024)
    runs = repeated(lambda: task_process("timing", program), times, warm_up=False)
    return task_figures(runs, "cycles", "cycles_per_s")


@row(
    f"the keyword model, cycles alone, T = {SHORT_AND_LONG[1]:,} beside T = {SHORT_AND_LONG[0]:,}",
    Target("time_ratio", 2.0),
    Target("memory_ratio", 1.1),
)
def long_run(folder: Path, times: int) -> Figures:
    """Wall time and peak memory of the longer, and both over the shorter's."""
    quantized = _quantized_keyword_model(folder)
    short, long = (_compiled("compile_for_steps", folder, quantized, steps) for steps in SHORT_AND_LONG)
    shorter, longer = (
        task_figures(repeated(lambda file=file: task_process("timing", file), times, warm_up=False), "cycles")
        for file in (short, long)
    )
    ratios = {
        name: Spread(*(longer[figure].median / shorter[figure].median,) * 2, times)
        for name, figure in (("time_ratio", "wall_s"), ("memory_ratio", "peak_mb"))
    }
    return longer | ratios


@row(
    "LSTM 1024 -> 1024, T = 2, on the reference engine (SimPy), and the compiled engine's speed beside it",
    Target("speed_ratio", 300, at_least=True),
)
def engines(folder: Path, times: int) -> Figures:
    """The reference engine once: it takes long. It has values as well; they cost it little."""
    program = _compiled("compile_shape", folder, "tx5368", *LSTM_1024[:3], 2)
    slow = task_figures([task_process("reference", program)], "cycles", "cycles_per_s")
    fast = task_figures(repeated(lambda: task_process("timing", program), times, warm_up=False))
    ratio = slow["wall_s"].median / fast["wall_s"].median
    return slow | {"speed_ratio": Spread(ratio, ratio, times)}


@row(
    "LSTM 1024 -> 1024, T = 25, on the default chip, hoisted beside stepwise (both compiled and counted)",
    Target("fewer", 1.8, at_least=True),
)
def hoisted(folder: Path, times: int) -> Figures:
    """All weights stream."""
    return _schedules("tx5368", *LSTM_1024, 0)


@row(
    "LSTM 1952 -> 384, T = 195, the same, on a chip whose SRAM holds the recurrent weights",
    Target("fewer", 4, at_least=True),
)
def hoisted_resident(folder: Path, times: int) -> Figures:
    """The input weights stream, through two slots of 32 rows."""
    return _schedules("tx5368", "lstm", 1952, 384, 195, 4 * 384 * 384 + 2 * 32 * 1952)


def _schedules(*arguments: object) -> Figures:
    return task_figures([task_process("schedules", *arguments)], "cycles", "stepwise_cycles", "fewer")


@row(
    f"the keyword model, T = {STEPS_OF_MANY_EVENTS:,}, every operation written to a compressed trace",
    Target("wall_s", 60),
    Target("peak_mb", 500),
    Target("file_mb", 500),
    Target("events", 10e6, at_least=True),
)
def long_trace(folder: Path, times: int) -> Figures:
    """As `--trace` writes it."""
    program = _compiled("compile_for_steps", folder, _quantized_keyword_model(folder), STEPS_OF_MANY_EVENTS)
    runs = []
    for number in range(min(times, 2)):
        place = folder / str(number)
        place.mkdir()
        runs.append(task_process("trace", place, program))
    return task_figures(runs, "events", "file_mb")


@row("a sweep of 1,000 points: the keyword model, MAC array x weights' memory x bandwidth", Target("wall_s", 20))
def sweep_keyword(folder: Path, times: int) -> Figures:
    """The whole command, one process a core."""
    grid = ("mac.rows=4:40:+4", "mac.columns=8:64:x2", "sram.weights.capacity_bytes=32768:524288:x2")
    words = [word for axis in (*grid, "dram.bytes_per_cycle=1:16:x2") for word in ("--set", axis)]
    return _sweep(folder, times, _quantized_keyword_model(folder), *words)


@row(
    "a sweep of 100 points: 4 bidirectional LSTM layers, 1952 -> 384, T = 195, MAC array x bandwidth",
    Target("wall_s", 60),
)
def sweep_bidirectional(folder: Path, times: int) -> Figures:
    """The whole command on the large chip's variants, one process a core."""
    model = json.loads(task_process("bidirectional_model", folder, 1952, 384, 195, 4).output)["model"]
    grid = ("mac.rows=16:256:x2", "mac.columns=32:256:x2", "dram.bytes_per_cycle=4:64:x2")
    words = [word for axis in grid for word in ("--set", axis)]
    return _sweep(folder, min(times, 2), model, "--chip", "tx5368-large", *words)


@row("a sweep's memory in one process: 1,024 points of the keyword model beside 64", Target("memory_ratio", 1.1))
def sweep_memory(folder: Path, times: int) -> Figures:
    """Peak memory of the longer, and over the shorter's."""
    model, array = _quantized_keyword_model(folder), ("--set", "mac.rows=8:64:+8", "--set", "mac.columns=8:64:+8")
    few, many = (
        _sweep(folder, 1, model, "--jobs", 1, *array, "--set", f"dram.bytes_per_cycle=1:{last}:+1") for last in (1, 16)
    )
    ratio = many["peak_mb"].median / few["peak_mb"].median
    return many | {"memory_ratio": Spread(ratio, ratio, 1)}


def _sweep(folder: Path, times: int, *words: object) -> Figures:
    def work() -> Measured:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            return run_process(accelsim("sweep", *words, "--out", out, "--json"))

    runs = repeated(work, times, warm_up=False)
    points = {json.loads(run.output)["points"] for run in runs}
    return process_figures(runs) | {"points": Spread.of([float(one) for one in points])}


def _quantized_keyword_model(folder: Path) -> Path:
    model, data = KEYWORD_MODEL / "kws.onnx", KEYWORD_MODEL / "kws12_calib.npz"
    run_process(accelsim("quant", "--model", model, "--data", data, "--outpath", folder))
    return folder / "kws_quantize.onnx"


def _compiled(name: str, folder: Path, *arguments: object) -> str:
    """The program that a compiling task writes."""
    return str(json.loads(task_process(name, folder, *arguments).output)["program"])


def checked(one: Row, figures: Figures) -> Figures:
    """The figures of a row, of which the page knows the units; else all that is measured after it were lost there."""
    if unknown := figures.keys() - UNITS.keys():
        raise KeyError(f"{one.name}: no unit of {', '.join(sorted(unknown))}")
    return figures


def measure_rows(chosen: Sequence[Row], times: int, told: Callable[[str], None]) -> dict[str, Figures]:
    """The figures of rows by name, each measured in a folder of its own.

    Parameters
    ----------
    chosen : sequence of Row
    times : int
    told : callable
        Called with a row's name before it is measured.
    """
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        # Kernels are compiled here and not in what is measured, whose memory that would be.
        run_process(run_keyword_model(Path(folder)))
    for one in chosen:
        told(one.name)
        with tempfile.TemporaryDirectory() as folder:
            figures[one.name] = checked(one, one.measure(Path(folder), times))
    return figures
