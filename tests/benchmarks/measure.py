"""Time and memory of whole processes, as the operating system counts them.

A process that starts another is that other's least peak: Linux counts the memory a process had before it became its
program. So nothing large is imported here, nor by what calls this.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_ERROR_LINES = 3
"""Of what a process that failed said last."""


class ProcessFailed(Exception):
    """A process ended with an error, or was stopped at its limit."""


@dataclass(frozen=True)
class Measured:
    """One process, from its start to its end.

    Parameters
    ----------
    wall_s : float
    cpu_s : float
        In user and system mode, of all its threads and the processes it waited for.
    peak_mb : float
        Largest resident set, in 10**6 bytes; of the largest process where there were several.
    output : str
        What it wrote to its standard output.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    output: str


def run_process(
    command: Sequence[str | Path],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    limit_s: float = 600.0,
) -> Measured:
    """Run a command to its end.

    Parameters
    ----------
    command : sequence of str or Path
    folder : Path, optional
        Where it works.
    environment : mapping of str to str, optional
        Variables beside this process's own.
    limit_s : float
        After which it and all it started is stopped.

    Raises
    ------
    ProcessFailed
        It ended with another code than 0, or was stopped; the text has its last lines.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        timer = threading.Timer(limit_s, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - start
        finally:
            timer.cancel()
        process.returncode = code = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    if code == -signal.SIGKILL and wall_s >= limit_s:
        raise ProcessFailed(f"stopped after {limit_s:g} s")
    if code:
        last = " ".join((texts[1] or texts[0]).strip().splitlines()[-_ERROR_LINES:])
        raise ProcessFailed(f"exit code {code}: {last}")
    return Measured(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6, texts[0])


@dataclass(frozen=True)
class Spread:
    """The same work, done several times.

    Parameters
    ----------
    least, median : float
    count : int
    """

    least: float
    median: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of these values."""
        return cls(min(values), statistics.median(values), len(values))


def repeated(work: Callable[[], Measured], times: int, *, warm_up: bool) -> list[Measured]:
    """The same work so often, after once more that is not counted where it has to be warm."""
    if warm_up:
        work()
    return [work() for _ in range(times)]
