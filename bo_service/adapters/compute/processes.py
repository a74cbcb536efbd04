"""Processes that compute, each replaced by itself when it is killed, runs out of memory or hangs."""

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any

import threadpoolctl

from bo_service.adapters.compute import tasks
from bo_service.adapters.compute.process import Process
from bo_service.application.ports import Errand
from bo_service.core.errors import DeadlinePassed

logger = logging.getLogger("bo_service.compute")

LEFT_SECONDS = 10.0
"""How long a process may go on with what nobody waits for any more, before it counts as hung."""
AGAIN_SECONDS = 0.1
"""Until what didn't hear an interruption is interrupted again."""
RETRY_SECONDS = 2.0
"""Until a process that can't be started is tried again."""
TIMES = 2
"""That a task is tried, where its process is killed."""
MOST_PLACES = 100
"""Subjects whose process is known."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Stopped(Exception):
    """The task was stopped, as its errand said."""


@dataclass(eq=False)
class _Running:
    process: Process
    future: "Future[Any]"
    errand: Errand


class Processes:
    """Up to so many processes, each with one task at a time: one from the start, others once a task has to wait."""

    def __init__(self, count: int, processors: frozenset[int] | None = None) -> None:
        """`processors` are those that they may run on; None: the same as this thread."""
        for variable in THREAD_VARIABLES:  # read by the numeric libraries when the processes load them
            os.environ.setdefault(variable, "1")
        threadpoolctl.threadpool_limits(1)  # what this process has loaded already
        self._closed = threading.Event()
        self.restarts = 0
        self._all = [Process(processors) for _ in range(count)]
        self._turns = threading.Condition()
        self._free: list[Process] = []
        self._waiting: list[Errand] = []
        self._running: list[_Running] = []
        self._places: OrderedDict[str, Process] = OrderedDict()
        """Which process was last at which subject."""
        self._spare = self._all[1:]
        self._start(self._all[0])

    def run(
        self,
        patience: float,
        task: Callable[..., Any],
        *arguments: object,
        errand: Errand | None = None,
        subject: str = "",
    ) -> Any:
        """What the task returns, or raises; tried again where its process is killed.

        An urgent errand, as one is that isn't given, goes before the others, and stops one of them where no process is
        free. Of several free processes that one is taken which was last at the same subject: it may remember something.

        Raises:
            DeadlinePassed: not done within `patience` seconds, or the process was killed each time.
            Stopped: the errand was stopped.
        """
        deadline = time.monotonic() + max(0.0, patience)
        errand = errand or Errand(is_urgent=True)
        for _ in range(TIMES):
            try:
                return self._run(deadline, errand, subject, task, *arguments)
            except (BrokenExecutor, OSError) as error:
                logger.warning("a process that computes was killed (%s)", error)
        raise DeadlinePassed("a process that computes was killed; try again")

    def is_ready(self) -> bool:
        """Whether one can begin with a task. Those that were killed while they were idle are replaced."""
        with self._turns:
            dead = [process for process in self._free if process.is_dead]
            self._free = [process for process in self._free if process not in dead]
        for process in dead:
            logger.warning("a process that computes was killed; starting anew")
            self._replace(process)
        return any(process.is_loaded for process in self._all)

    def load(self) -> tuple[int, int]:
        """How many tasks wait for a process, and how many have one."""
        with self._turns:
            return len(self._waiting), len(self._running)

    def close(self) -> None:
        """Ends them, whatever they are at."""
        self._closed.set()
        with self._turns:
            self._turns.notify_all()  # those that wait for a process are told
        for process in self._all:
            process.close()

    def _run(self, deadline: float, errand: Errand, subject: str, task: Callable[..., Any], *arguments: object) -> Any:
        process = self._taken(deadline, errand, subject)
        try:
            future = process.submit(tasks.interruptible, task, *arguments)
        except (BrokenExecutor, OSError):
            self._replace(process)
            raise
        running = _Running(process, future, errand)
        with self._turns:
            self._running.append(running)
            is_short = bool(self._waiting) and not self._free
        if is_short:
            self._call_spare()
        future.add_done_callback(lambda _: self._give_back(running))
        errand.listen(lambda: self._hear(running))
        self._hear(running)
        try:
            return future.result(max(0.0, deadline - time.monotonic()))
        except tasks.Interrupted:
            raise Stopped from None
        except FutureTimeout:
            if not future.cancel():
                self._watch(process, future)
            raise _too_slow() from None
        finally:
            errand.listen(lambda: None)

    def _hear(self, running: _Running) -> None:
        if running.errand.is_stopped and not running.future.done():
            self._watch(running.process, running.future)

    def _taken(self, deadline: float, errand: Errand, subject: str) -> Process:
        """A free process, once nothing more urgent waits."""
        errand.listen(lambda: self._make_way(errand))
        self._make_way(errand)
        if self._running and not self._free:
            self._call_spare()
        with self._turns:
            self._waiting.append(errand)
            try:
                self._turns.wait_for(lambda: self._is_over(errand), max(0.0, deadline - time.monotonic()))
                if errand.is_stopped:
                    raise Stopped
                if self._closed.is_set():
                    raise DeadlinePassed("the server is being stopped; try again")
                if not self._is_next(errand):
                    raise _too_slow()
                return self._choose(subject)
            finally:
                self._waiting.remove(errand)
                self._turns.notify_all()

    def _choose(self, subject: str) -> Process:
        """The free process that was at the subject last, or else that which has been free for longest."""
        chosen = self._places.pop(subject, self._free[0])
        if chosen not in self._free:
            chosen = self._free[0]
        self._free.remove(chosen)
        self._places[subject] = chosen
        if len(self._places) > MOST_PLACES:
            self._places.popitem(last=False)
        return chosen

    def _is_next(self, errand: Errand) -> bool:
        first = next((waiting for waiting in self._waiting if waiting.is_urgent), self._waiting[0])
        return errand.is_stopped or (bool(self._free) and errand is first)

    def _is_over(self, errand: Errand) -> bool:
        """Whether an errand needn't wait for a process any longer."""
        return self._closed.is_set() or self._is_next(errand)

    def _make_way(self, errand: Errand) -> None:
        """Wakes those who wait; stops one that isn't urgent for one that is, and finds no process free."""
        with self._turns:
            self._turns.notify_all()
            others = (r.errand for r in reversed(self._running) if not (r.errand.is_urgent or r.errand.is_stopped))
            other = None if self._free or errand.is_stopped or not errand.is_urgent else next(others, None)
        if other is not None:  # without the lock: a thread that gives a process back may hold the executor's
            other.stop()

    def _call_spare(self) -> None:
        """Starts one more, if there may be more."""
        with self._turns:
            process = self._spare.pop(0) if self._spare else None
        if process is not None:
            self._start(process)

    def _put(self, process: Process) -> None:
        with self._turns:
            self._free.append(process)
            self._turns.notify_all()

    def _watch(self, process: Process, future: "Future[Any]") -> None:
        """Interrupts it, again where it hadn't begun yet; what doesn't end all the same is killed."""

        def judge() -> None:
            end = time.monotonic() + LEFT_SECONDS
            while not future.done() and time.monotonic() < end:
                process.interrupt(future)
                wait([future], AGAIN_SECONDS)
            if not future.done():
                logger.warning("a process that computes hangs; it is killed, and another started")
                process.kill()

        threading.Thread(target=judge, daemon=True, name="interrupt").start()

    def _give_back(self, running: _Running) -> None:
        process, future = running.process, running.future
        with self._turns:
            self._running.remove(running)
        failure = None if future.cancelled() else future.exception()
        if isinstance(failure, BrokenExecutor | MemoryError):  # what is left of its memory is in pieces
            self._replace(process)
        else:
            self._put(process)

    def _replace(self, process: Process) -> None:
        if not self._closed.is_set():
            with self._turns:
                self.restarts += 1
            self._start(process)

    def _start(self, process: Process) -> None:
        """Anew, and in the background: it takes tasks as soon as it can begin with them at once."""
        threading.Thread(target=self._keep_starting, args=(process,), daemon=True, name="start").start()

    def _keep_starting(self, process: Process) -> None:
        while not self._closed.is_set():
            process.discard()
            try:
                process.start()
            except Exception as error:
                if not self._closed.is_set():
                    logger.warning("a process that computes can't be started (%s); trying again", error)
                    self._closed.wait(RETRY_SECONDS)
            else:
                self._put(process)
                break
        if self._closed.is_set():
            process.discard()


def _too_slow() -> DeadlinePassed:
    return DeadlinePassed("the surrogate took longer than the call's deadline; allow more time")
