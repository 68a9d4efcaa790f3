"""The same points on a Dask cluster, whose workers may come and go."""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from accelsim.errors import InputError
from accelsim.explore.evaluate import Evaluator, Work
from accelsim.explore.executors import Pacer, survivors, without_interrupts, without_main
from accelsim.explore.results import Result
from accelsim.explore.space import Point

LOCAL = "local"
"""In place of an address: a cluster on this machine, for as long as the sweep lasts."""
_AHEAD = 2
"""Chunks for each thread of a worker, the one it works on included."""
_ANSWER_SECONDS = 10


class Cluster:
    """Simulates on a Dask cluster.

    What all points have in common goes to the scheduler once, as a task of its own: a worker that comes later, or in
    place of one that was lost, gets it from there.

    Use it as a context manager.

    Parameters
    ----------
    work : Work
    address : str
        Of the scheduler, as ``tcp://HOST:8786``; or `LOCAL`.
    jobs : int
        Workers of a local cluster.

    Raises
    ------
    InputError
        Dask is not installed; no scheduler answers at the address, or it has no workers.
    """

    def __init__(self, work: Work, address: str, jobs: int) -> None:
        if importlib.util.find_spec("distributed") is None:
            raise InputError("--dask", "", "Dask is not installed", "pip install 'accelsim[dask]'")
        self._work, self._address = work, address
        self._stack = ExitStack()
        try:
            self.client = self._connected(address, jobs)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _connected(self, address: str, jobs: int) -> Any:
        import dask
        from distributed import Client, LocalCluster

        # A worker that takes long to say so is not lost; neither is one that is busy in compiled code.
        dask.config.set({"distributed.comm.timeouts.connect": f"{_ANSWER_SECONDS}s"})
        if address == LOCAL:
            # Its workers, and those that come in their place, hear of no Ctrl-C: they end with the cluster.
            with without_main(), without_interrupts():
                cluster = LocalCluster(
                    n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
                )
            self._stack.callback(cluster.close, timeout=_ANSWER_SECONDS)
            address = cluster.scheduler_address
        try:
            client = Client(address, timeout=_ANSWER_SECONDS)
        except (OSError, ValueError, TimeoutError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError("--dask", address, f"no scheduler answers ({reason})", "tcp://HOST:PORT of one") from None
        # What it has to say of a scheduler that is gone is said in one line.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        self._stack.callback(client.close, timeout=_ANSWER_SECONDS)
        try:
            client.wait_for_workers(1, timeout=_ANSWER_SECONDS)
        except TimeoutError:
            raise InputError("--dask", address, "the scheduler has no workers", "at least one") from None
        return client

    def results(self, points: Iterator[Point]) -> Iterator[list[Result]]:
        """As `Executor.results`; points of a worker that is lost are taken up again.

        Raises
        ------
        InputError
            The scheduler is lost.
        """
        from distributed import CancelledError

        try:
            yield from self._results(points)
        except (CancelledError, OSError):
            gone = "the scheduler is gone; what was done is kept"
            raise InputError("--dask", self._address, gone, "the same command again, with one") from None

    def _results(self, points: Iterator[Point]) -> Iterator[list[Result]]:
        from distributed import KilledWorker, wait

        pacer = Pacer()
        chunks = pacer.chunks(points)
        suspects: list[Point] = []
        deaths: dict[int, int] = {}
        work = self.client.submit(_keep, self._work, pure=False)
        flying: dict[Any, list[Point]] = {}
        while True:
            while len(flying) < max(1, sum(self.client.nthreads().values())) * _AHEAD:
                chunk = [suspects.pop()] if suspects else next(chunks, [])
                if not chunk:
                    break
                flying[self.client.submit(_evaluate, work, chunk, pure=False)] = chunk
            if not flying:
                return
            done = wait(list(flying), return_when="FIRST_COMPLETED").done
            for future in done:
                chunk = flying.pop(future)
                try:
                    found, seconds = future.result()
                except KilledWorker:
                    # The scheduler has tried it on several workers by then.
                    found, again = survivors(chunk, deaths, self._work)
                    suspects.extend(again)
                else:
                    pacer.took(len(chunk), seconds)
                if found:
                    yield found


_threads = threading.local()


def _keep(work: Work) -> Work:
    return work


def _evaluate(work: Work, chunk: Sequence[Point]) -> tuple[list[Result], float]:
    # One for each thread, kept from chunk to chunk: it remembers what points share.
    if getattr(_threads, "work", None) is not work:
        _threads.work, _threads.evaluator = work, Evaluator(work)
    evaluator: Evaluator = _threads.evaluator
    begin = time.perf_counter()
    return [evaluator.evaluate(point) for point in chunk], time.perf_counter() - begin
