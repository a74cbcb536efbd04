"""Suggestions computed in processes of their own, so that the threads that answer calls only wait.

Processes are spawned, never forked: a fork of a process with gRPC's threads hangs.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any

from bo_service.core.constraints import Configuration
from bo_service.core.errors import DeadlinePassed
from bo_service.core.evidence import Evidence, Predictions, Suggestion
from bo_service.core.insight.findings import Analysis, Slice, SliceRequest

logger = logging.getLogger("bo_service.compute")

ENDING_SECONDS = 5.0
"""How long a killed process may take to be gone."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


STUCK_SECONDS = 60.0
"""A pool that hasn't come to a new task for so long isn't ready."""


@dataclass(frozen=True)
class PoolLoad:
    """What a pool is at."""

    waiting: int
    running: int
    failures: int
    """Suggestions that the surrogate failed to make, since the start."""
    restarts: int
    """Of all processes, because one was killed, since the start."""


class PoolOptimizer:
    """The optimizer in a pool of processes, which start in the background.

    Quick questions are answered in this process, and never wait for the pool.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._guard = threading.Lock()
        self._counting = threading.Lock()  # never held while the pool's own locks are asked for
        self._unfinished = self._failures = self._restarts = 0
        self._pool = self._started()
        self._probe, self._probed = self._submitted(_load), time.monotonic()
        self._is_loaded = False
        threading.Thread(target=_load, daemon=True, name="load-core").start()  # so that the first call needn't

    def suggest(self, evidence: Evidence, count: int, patience: float) -> list[Suggestion] | None:
        try:
            found: list[Suggestion] = self._run(patience, _suggest, evidence, count)
        except DeadlinePassed:
            return None
        except Exception:
            self._failures += 1
            logger.exception("the surrogate failed on a study of %d observations", len(evidence.past))
            return None
        return found

    def suggest_blind(self, evidence: Evidence, count: int) -> list[Suggestion]:
        from bo_service.core.suggest import quasi_random

        return quasi_random(evidence, count)

    def predict(self, evidence: Evidence, configurations: Sequence[Configuration], patience: float) -> Predictions:
        found: Predictions = self._run(patience, _predict, evidence, tuple(configurations))
        return found

    def predict_slice(self, evidence: Evidence, request: SliceRequest, patience: float) -> Slice:
        found: Slice = self._run(patience, _predict_slice, evidence, request)
        return found

    def analyze(self, evidence: Evidence, patience: float) -> Analysis:
        found: Analysis = self._run(patience, _analyze, evidence)
        return found

    def is_ready(self) -> bool:
        """Whether a process has loaded the core, and takes up tasks. Asking starts those that were killed anew."""
        if self._probe.done():
            self._is_loaded = self._probe.exception() is None
            self._probe, self._probed = self._submitted(_load), time.monotonic()
        return self._is_loaded and time.monotonic() < self._probed + STUCK_SECONDS

    def load(self) -> PoolLoad:
        """What the pool is at."""
        with self._counting:
            running = min(self._unfinished, self._processes)
            return PoolLoad(self._unfinished - running, running, self._failures, self._restarts)

    def close(self) -> None:
        """Ends the processes, whatever they are at."""
        with self._guard:
            pool, processes = self._pool, list((self._pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        for process in processes:
            process.join(ENDING_SECONDS)

    def _run(self, patience: float, task: Callable[..., Any], *arguments: object) -> Any:
        future = self._submitted(task, *arguments)
        try:
            return future.result(max(0.0, patience))
        except FutureTimeout as error:
            future.cancel()
            raise DeadlinePassed("the surrogate took longer than the call's deadline; allow more time") from error
        except BrokenExecutor as error:
            raise DeadlinePassed("a process that computes was killed; try again") from error

    def _submitted(self, task: Callable[..., Any], *arguments: object) -> "Future[Any]":
        with self._guard:
            try:
                future = self._pool.submit(task, *arguments)
            except BrokenExecutor:
                logger.warning("a process that computes was killed; starting anew")
                self._restarts += 1
                self._pool = self._started()
                future = self._pool.submit(task, *arguments)
        with self._counting:
            self._unfinished += 1
        future.add_done_callback(self._finished)
        return future

    def _finished(self, _: "Future[Any]") -> None:
        with self._counting:
            self._unfinished -= 1

    def _started(self) -> ProcessPoolExecutor:
        for variable in THREAD_VARIABLES:  # read by the numeric libraries when the processes load them
            os.environ.setdefault(variable, "1")
        spawn = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self._processes, mp_context=spawn, initializer=_enter)
        for _ in range(self._processes):
            pool.submit(_load)
        return pool


def _enter() -> None:
    """Leaves Ctrl-C to the parent, and dies with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True, name="follow-parent").start()


def _load() -> None:
    import bo_service.core.suggest  # noqa: F401 - takes a second; better now than at the first call


def _suggest(evidence: Evidence, count: int) -> list[Suggestion]:
    from threadpoolctl import threadpool_limits

    from bo_service.core.suggest import suggest

    with threadpool_limits(1):
        return suggest(evidence, count)


def _predict(evidence: Evidence, configurations: Sequence[Configuration]) -> Predictions:
    from threadpoolctl import threadpool_limits

    from bo_service.core.suggest import predict

    with threadpool_limits(1):
        return predict(evidence, configurations)


def _predict_slice(evidence: Evidence, request: SliceRequest) -> Slice:
    from threadpoolctl import threadpool_limits

    from bo_service.core.insight.slices import predict_slice

    with threadpool_limits(1):
        return predict_slice(evidence, request)


def _analyze(evidence: Evidence) -> Analysis:
    from threadpoolctl import threadpool_limits

    from bo_service.core.insight.analysis import analyze

    with threadpool_limits(1):
        return analyze(evidence)
