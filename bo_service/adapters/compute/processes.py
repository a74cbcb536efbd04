"""Processes that compute, each replaced by itself when it is killed, runs out of memory or hangs.

They are spawned, never forked: a fork of a process with gRPC's threads hangs.
"""

import logging
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from bo_service.adapters.compute import tasks
from bo_service.core.errors import DeadlinePassed

logger = logging.getLogger("bo_service.compute")

ENDING_SECONDS = 5.0
"""How long a killed process may take to be gone."""
LEFT_SECONDS = 10.0
"""How long a process may go on with what nobody waits for any more, before it counts as hung."""
TIMES = 2
"""That a task is tried, where its process is killed."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Process:
    """One process, which starts when it is first needed, and again after it has been killed. One caller at a time."""

    def __init__(self) -> None:
        self._executor: ProcessPoolExecutor | None = None
        self._loading: Future[None] | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether it can begin with a task at once."""
        loading = self._loading
        return loading is not None and loading.done() and not loading.cancelled() and loading.exception() is None

    @property
    def is_dead(self) -> bool:
        """Whether it was started and is gone."""
        return any(not process.is_alive() for process in self._processes())

    def submit(self, task: Callable[..., Any], *arguments: object) -> "Future[Any]":
        """Raises BrokenExecutor, OSError."""
        if self._executor is None:
            spawn = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(1, mp_context=spawn, initializer=_enter)
            self._loading = self._executor.submit(tasks.load)
        return self._executor.submit(task, *arguments)

    def kill(self) -> None:
        """What it was at ends with BrokenExecutor."""
        for process in self._processes():
            process.kill()

    def discard(self) -> None:
        """Kills it; the next task starts another."""
        killed, executor = self._processes(), self._executor
        self._executor = self._loading = None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
        for process in killed:
            process.kill()

    def close(self) -> None:
        """Kills it, and returns when it is gone."""
        killed = self._processes()
        self.discard()
        for process in killed:
            process.join(ENDING_SECONDS)

    def _processes(self) -> list[Any]:
        executor = self._executor
        return list((executor._processes or {}).values()) if executor is not None else []


class Processes:
    """So many processes, each with one task at a time."""

    def __init__(self, count: int) -> None:
        for variable in THREAD_VARIABLES:  # read by the numeric libraries when the processes load them
            os.environ.setdefault(variable, "1")
        self._closed = threading.Event()
        self._counting = threading.Lock()
        self._waiting = self._running = 0
        self.restarts = 0
        self._all = [Process() for _ in range(count)]
        self._free: queue.SimpleQueue[Process] = queue.SimpleQueue()
        for process in self._all:
            self._warm(process)
            self._free.put(process)

    def run(self, patience: float, task: Callable[..., Any], *arguments: object) -> Any:
        """What the task returns, or raises; tried again where its process is killed.

        Raises:
            DeadlinePassed: not done within `patience` seconds, or the process was killed each time.
        """
        deadline = time.monotonic() + max(0.0, patience)
        for _ in range(TIMES):
            try:
                return self._run(deadline, task, *arguments)
            except (BrokenExecutor, OSError) as error:
                logger.warning("a process that computes was killed or can't be started (%s)", error)
        raise DeadlinePassed("a process that computes was killed; try again")

    def is_ready(self) -> bool:
        """Whether one can begin with a task. Those that were killed while they were idle are replaced."""
        for _ in range(self._free.qsize()):
            try:
                process = self._free.get_nowait()
            except queue.Empty:
                break
            if process.is_dead:
                logger.warning("a process that computes was killed; starting anew")
                self._replace(process)
            else:
                self._free.put(process)
        return any(process.is_loaded for process in self._all)

    def load(self) -> tuple[int, int]:
        """How many tasks wait for a process, and how many have one."""
        with self._counting:
            return self._waiting, self._running

    def close(self) -> None:
        """Ends them, whatever they are at."""
        self._closed.set()
        for process in self._all:
            process.close()

    def _run(self, deadline: float, task: Callable[..., Any], *arguments: object) -> Any:
        process = self._taken(deadline)
        try:
            future = process.submit(task, *arguments)
        except (BrokenExecutor, OSError):
            self._replace(process)
            raise
        self._count(running=1)
        future.add_done_callback(lambda done: self._give_back(process, done))
        try:
            return future.result(max(0.0, deadline - time.monotonic()))
        except FutureTimeout:
            if not future.cancel():
                self._watch(process, future)
            raise _too_slow() from None

    def _count(self, waiting: int = 0, running: int = 0) -> None:
        with self._counting:
            self._waiting += waiting
            self._running += running

    def _taken(self, deadline: float) -> Process:
        self._count(waiting=1)
        try:
            return self._free.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise _too_slow() from None
        finally:
            self._count(waiting=-1)

    def _watch(self, process: Process, future: "Future[Any]") -> None:
        def judge() -> None:
            if not future.done():
                logger.warning("a process that computes hangs; it is killed, and another started")
                process.kill()

        timer = threading.Timer(LEFT_SECONDS, judge)
        timer.daemon = True
        timer.start()

    def _give_back(self, process: Process, future: "Future[Any]") -> None:
        self._count(running=-1)
        failure = None if future.cancelled() else future.exception()
        if isinstance(failure, BrokenExecutor | MemoryError):  # what is left of its memory is in pieces
            # on a thread of its own: this one may hold the executor's lock
            threading.Thread(target=self._replace, args=(process,), daemon=True, name="replace").start()
        else:
            self._free.put(process)

    def _replace(self, process: Process) -> None:
        process.discard()
        if not self._closed.is_set():
            self.restarts += 1
            self._warm(process)
            self._free.put(process)

    def _warm(self, process: Process) -> None:
        try:
            process.submit(tasks.load)
        except (BrokenExecutor, OSError) as error:
            logger.warning("a process that computes can't be started (%s); trying again when it is needed", error)
            process.discard()


def _too_slow() -> DeadlinePassed:
    return DeadlinePassed("the surrogate took longer than the call's deadline; allow more time")


def _enter() -> None:
    """Leaves Ctrl-C to the parent, and dies with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True, name="follow-parent").start()
