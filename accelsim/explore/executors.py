"""Who simulates the points: this process, several here, or a Dask cluster; the results are the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import resource_tracker
from typing import Protocol

from accelsim.explore.evaluate import Evaluator, Work
from accelsim.explore.results import FAILED, LOST, MOST_DEATHS, Result
from accelsim.explore.space import Point
from accelsim.jit.beside import compile_all
from accelsim.machine.dataflow.follow import operations
from accelsim.machine.fast import loop, steady

CHUNK_SECONDS = 0.5
"""Points that go to a worker together take about so long: what is lost with it is no more."""
MOST_CHUNK = 64
_AHEAD = 2
"""Chunks a worker has, the one it works on included."""


class Executor(Protocol):
    """Simulates points."""

    def results(self, points: Iterator[Point]) -> Iterator[list[Result]]:
        """The results of points as they come, some at a time, in any order; only a few points are taken ahead."""


@contextmanager
def without_main() -> Iterator[None]:
    """A process started inside does not run the user's script again: nothing of it is needed there."""
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__file__", "__spec__") if getattr(main, name, None) is not None}
    for name in hidden:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """A process started inside hears of no Ctrl-C until it says so: while it begins it would answer with a trace."""
    if os.name != "posix":
        yield
        return
    # Beginning it lets interrupts in again, so it is begun first.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Here:
    """Simulates in this process, one point after the other.

    Parameters
    ----------
    work : Work
    """

    def __init__(self, work: Work) -> None:
        self._evaluator = Evaluator(work)

    def results(self, points: Iterator[Point]) -> Iterator[list[Result]]:
        """As `Executor.results`, in the order of the points."""
        pacer = Pacer()
        for chunk in pacer.chunks(points):
            begin = time.perf_counter()
            found = [self._evaluator.evaluate(point) for point in chunk]
            pacer.took(len(chunk), time.perf_counter() - begin)
            yield found


class Processes:
    """Simulates in several processes of this machine.

    Parameters
    ----------
    work : Work
    jobs : int
        How many.
    """

    def __init__(self, work: Work, jobs: int) -> None:
        self._work, self._jobs = work, jobs

    def results(self, points: Iterator[Point]) -> Iterator[list[Result]]:
        """As `Executor.results`; a process that ends is replaced, and its points are taken up again."""
        # Here, and not in each of the processes.
        compile_all(loop.run, loop.begin, steady.look, operations)
        pacer = Pacer()
        chunks = pacer.chunks(points)
        suspects: list[Point] = []
        deaths: dict[int, int] = {}
        pool, is_broken, is_alone = self._pool(), False, False
        flying: dict[Future[tuple[list[Result], float]], list[Point]] = {}
        try:
            while True:
                # One that may have ended a process goes alone, so that it is known which.
                most = 1 if suspects else self._jobs * _AHEAD
                while len(flying) < most and not is_broken:
                    # In turns: who ends processes at random does not always meet the same one.
                    chunk = [suspects.pop(0)] if suspects else next(chunks, [])
                    if not chunk:
                        break
                    try:
                        with without_main(), without_interrupts():
                            flying[pool.submit(_evaluate, chunk)] = chunk
                    except BrokenProcessPool:
                        suspects.extend(chunk)
                        is_broken, is_alone = True, False
                if not flying and not suspects:
                    return
                if not is_broken:
                    is_alone = len(flying) == 1
                done, _ = wait(flying, return_when=FIRST_COMPLETED)
                for future in done:
                    chunk = flying.pop(future)
                    try:
                        found, seconds = future.result()
                    except BrokenProcessPool:
                        gone, kept = survivors(chunk, deaths, self._work, is_alone=is_alone)
                        suspects.extend(kept)
                        found, is_broken = gone, True
                    else:
                        pacer.took(len(chunk), seconds)
                    if found:
                        yield found
                if is_broken and not flying:
                    pool.shutdown(wait=False, cancel_futures=True)
                    pool, is_broken = self._pool(), False
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _pool(self) -> ProcessPoolExecutor:
        # Not forked: the lock of the database and what other threads hold stay here.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._jobs, mp_context=context, initializer=_begin, initargs=(self._work,))


class Pacer:
    """How many points go together: as many as take about `CHUNK_SECONDS`."""

    def __init__(self) -> None:
        self._size = 1
        self._mean: float | None = None

    def took(self, points: int, seconds: float) -> None:
        """Learn what some points took."""
        if points:
            each = seconds / points
            self._mean = each if self._mean is None else 0.7 * self._mean + 0.3 * each
            self._size = min(max(1, int(CHUNK_SECONDS / max(self._mean, 1e-6))), MOST_CHUNK)

    def chunks(self, points: Iterator[Point]) -> Iterator[list[Point]]:
        """Points by as many as are best at the time."""
        while True:
            chunk = list(islice(points, self._size))
            if not chunk:
                return
            yield chunk


def survivors(
    chunk: Sequence[Point], deaths: dict[int, int], work: Work, *, is_alone: bool = True
) -> tuple[list[Result], list[Point]]:
    """Of points whose worker ended: results of those that are given up, and those to be tried again.

    Parameters
    ----------
    chunk : sequence of Point
    deaths : dict of int to int
        By number how often that was; it counts on.
    work : Work
    is_alone : bool
        No other points were under way, whose worker may have ended and taken this one's along.
    """
    given_up: list[Result] = []
    again = []
    for point in chunk:
        # In company it was not necessarily this point.
        deaths[point.number] = deaths.get(point.number, 0) + (is_alone and len(chunk) == 1)
        if deaths[point.number] < MOST_DEATHS:
            again.append(point)
        else:
            columns = Evaluator(work).columns(point) | {"status": FAILED, "reason": LOST}
            given_up.append(Result(point.number, columns))
    return given_up, again


_evaluator: Evaluator | None = None


def _begin(work: Work) -> None:
    """In a new process: what it works on; and it ends with the process that began it."""
    global _evaluator
    # From here on it ends at Ctrl-C without a word; the process that began it has that word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if os.name == "posix":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.join,), daemon=True).start()
    _evaluator = Evaluator(work)


def _end_with(wait_for: Callable[[], None]) -> None:
    wait_for()
    os._exit(1)


def _evaluate(chunk: Sequence[Point]) -> tuple[list[Result], float]:
    assert _evaluator is not None
    begin = time.perf_counter()
    return [_evaluator.evaluate(point) for point in chunk], time.perf_counter() - begin
