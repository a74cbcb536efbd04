"""Run tasks in compute processes, and replace processes that are killed, run out of memory or hang."""

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any

import threadpoolctl

from bo_service.application.ports import ComputationHandle
from bo_service.compute import tasks
from bo_service.compute.process import Process
from bo_service.domain.errors import DeadlinePassed

logger = logging.getLogger("bo_service.compute")

INTERRUPT_TIMEOUT_S = 10.0
"""Seconds that an interrupted task may continue before its process counts as hung."""
INTERRUPT_INTERVAL_S = 0.1
"""Seconds between two interrupts of the same task."""
RESTART_INTERVAL_S = 2.0
"""Seconds between two attempts to start a process."""
MAX_ATTEMPTS = 2
"""Maximum attempts at a task whose process is killed."""
MAX_AFFINITY_KEYS = 100
"""Affinity keys whose last process is remembered."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class ComputationStopped(Exception):
    """The computation was cancelled through its handle."""


@dataclass(eq=False)
class _Running:
    process: Process
    future: "Future[Any]"
    handle: ComputationHandle


class Processes:
    """A number of processes that run one task each. One starts with the pool, the others once a task has to wait."""

    def __init__(self, count: int, processors: frozenset[int] | None = None, memory: int | None = None) -> None:
        """Start the first process in the background.

        Args:
            count: maximum number of processes.
            processors: CPUs that they may use; None for those of this thread.
            memory: memory limit of each process in bytes; None for no limit.
        """
        for variable in THREAD_VARIABLES:  # read by the numeric libraries when the processes load them
            os.environ.setdefault(variable, "1")
        threadpoolctl.threadpool_limits(1)  # what this process has loaded already
        self._closed = threading.Event()
        self.restarts = 0
        self._all = [Process(processors, memory) for _ in range(count)]
        self._changed = threading.Condition()
        self._free: list[Process] = []
        self._waiting: list[ComputationHandle] = []
        self._running: list[_Running] = []
        self._affinity: OrderedDict[str, Process] = OrderedDict()
        """The process that last ran a task with a given affinity key."""
        self._unstarted = self._all[1:]
        self._start(self._all[0])

    def run(
        self,
        timeout: float,
        task: Callable[..., Any],
        *arguments: object,
        handle: ComputationHandle | None = None,
        affinity_key: str = "",
    ) -> Any:
        """Run a task in a process, again if its process is killed, and return its result.

        An urgent task, or one without a handle, takes precedence and cancels another task if no process is free.
        Among free processes, the one that last ran the same affinity key is chosen, as it may have cached results.

        Args:
            timeout: seconds to wait.
            task: the function to run, with its arguments.
            handle: raises the task's priority, or cancels it.
            affinity_key: tasks with the same key prefer the same process.

        Returns:
            What the task returns; what the task raises is raised.

        Raises:
            DeadlinePassed: the task exceeded the timeout, or its process was killed at each attempt.
            ComputationStopped: the computation was cancelled.
        """
        deadline = time.monotonic() + max(0.0, timeout)
        handle = handle or ComputationHandle(is_urgent=True)
        for _ in range(MAX_ATTEMPTS):
            try:
                return self._run(deadline, handle, affinity_key, task, *arguments)
            except (BrokenExecutor, OSError) as error:
                logger.warning("a compute process was killed (%s)", error)
        raise DeadlinePassed("a compute process was killed; try again")

    def is_ready(self) -> bool:
        """Return whether a process can start a task. The call also restarts processes that were killed while idle."""
        with self._changed:
            dead = [process for process in self._free if process.is_dead]
            self._free = [process for process in self._free if process not in dead]
        for process in dead:
            logger.warning("an idle compute process was killed; restarting it")
            self._replace(process)
        return any(process.is_loaded for process in self._all)

    def load(self) -> tuple[int, int]:
        """Return the number of waiting and of running tasks."""
        with self._changed:
            return len(self._waiting), len(self._running)

    def close(self) -> None:
        """Kill the processes and what they compute."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()  # those that wait for a process are told
        for process in self._all:
            process.close()

    def _run(
        self,
        deadline: float,
        handle: ComputationHandle,
        affinity_key: str,
        task: Callable[..., Any],
        *arguments: object,
    ) -> Any:
        process = self._acquire(deadline, handle, affinity_key)
        try:
            future = process.submit(tasks.interruptible, task, *arguments)
        except (BrokenExecutor, OSError):
            self._replace(process)
            raise
        running = _Running(process, future, handle)
        with self._changed:
            self._running.append(running)
            is_short = bool(self._waiting) and not self._free
        if is_short:
            self._start_another()
        changed = threading.Event()
        handle.on_change = changed.set  # whoever cancels the computation doesn't interrupt it: this thread does
        future.add_done_callback(lambda _: self._release(running))
        future.add_done_callback(lambda _: changed.set())
        try:
            while not (future.done() or handle.is_cancelled) and changed.wait(max(0.0, deadline - time.monotonic())):
                changed.clear()
            if handle.is_cancelled and not future.done():
                self._watch(process, future)
            return future.result(max(0.0, deadline - time.monotonic()))
        except tasks.Interrupted:
            raise ComputationStopped from None
        except CancelledError:  # the process was discarded before the task was passed to it
            raise BrokenExecutor("its task had not begun") from None
        except FutureTimeout:
            if not future.cancel():
                self._watch(process, future)
            raise _deadline_passed() from None
        finally:
            handle.on_change = lambda: None

    def _acquire(self, deadline: float, handle: ComputationHandle, affinity_key: str) -> Process:
        """Wait for a free process, and return it once no task with a higher priority waits."""
        handle.on_change = lambda: self._preempt(handle)
        self._preempt(handle)
        if self._running and not self._free:
            self._start_another()
        with self._changed:
            self._waiting.append(handle)
            try:
                self._changed.wait_for(
                    lambda: self._closed.is_set() or self._is_next(handle), max(0.0, deadline - time.monotonic())
                )
                if handle.is_cancelled:
                    raise ComputationStopped
                if self._closed.is_set():
                    raise DeadlinePassed("the server is shutting down; try again")
                if not self._is_next(handle):
                    raise _deadline_passed()
                # the one that last ran the affinity key, or else the one that has been free longest
                chosen = self._affinity.pop(affinity_key, self._free[0])
                if chosen not in self._free:
                    chosen = self._free[0]
                self._free.remove(chosen)
                self._affinity[affinity_key] = chosen
                if len(self._affinity) > MAX_AFFINITY_KEYS:
                    self._affinity.popitem(last=False)
                return chosen
            finally:
                self._waiting.remove(handle)
                self._changed.notify_all()

    def _is_next(self, handle: ComputationHandle) -> bool:
        first = next((waiting for waiting in self._waiting if waiting.is_urgent), self._waiting[0])
        return handle.is_cancelled or (bool(self._free) and handle is first)

    def _preempt(self, handle: ComputationHandle) -> None:
        """Wake the waiting threads, and cancel a running task if an urgent one finds no process free."""
        with self._changed:
            self._changed.notify_all()
            others = (r.handle for r in reversed(self._running) if not (r.handle.is_urgent or r.handle.is_cancelled))
            other = None if self._free or handle.is_cancelled or not handle.is_urgent else next(others, None)
        if other is not None:  # without the lock: a thread that gives a process back may hold the executor's
            other.cancel()

    def _start_another(self) -> None:
        """Start another process if the maximum is not reached."""
        with self._changed:
            process = self._unstarted.pop(0) if self._unstarted else None
        if process is not None:
            self._start(process)

    def _add_free(self, process: Process) -> None:
        with self._changed:
            self._free.append(process)
            self._changed.notify_all()

    def _watch(self, process: Process, future: "Future[Any]") -> None:
        """Interrupt a task repeatedly, and kill its process if it does not end."""

        def should_stop() -> None:
            end = time.monotonic() + INTERRUPT_TIMEOUT_S
            while not future.done() and time.monotonic() < end:
                process.interrupt(future)
                wait([future], INTERRUPT_INTERVAL_S)
            if not future.done():
                logger.warning("a compute process hangs; killing and restarting it")
                process.kill()

        threading.Thread(target=should_stop, daemon=True, name="interrupt").start()

    def _release(self, running: _Running) -> None:
        process, future = running.process, running.future
        with self._changed:
            self._running.remove(running)
        failure = None if future.cancelled() else future.exception()
        if isinstance(failure, BrokenExecutor | MemoryError):  # what is left of its memory is in pieces
            self._replace(process)
        else:
            self._add_free(process)

    def _replace(self, process: Process) -> None:
        if not self._closed.is_set():
            with self._changed:
                self.restarts += 1
            self._start(process)

    def _start(self, process: Process) -> None:
        """Start or restart a process in the background; it accepts tasks once it has started."""
        threading.Thread(target=self._keep_starting, args=(process,), daemon=True, name="start").start()

    def _keep_starting(self, process: Process) -> None:
        while not self._closed.is_set():
            process.discard()
            try:
                process.start()
            except Exception as error:
                if not self._closed.is_set():
                    logger.warning("a compute process failed to start (%s); trying again", error)
                    self._closed.wait(RESTART_INTERVAL_S)
            else:
                self._add_free(process)
                break
        if self._closed.is_set():
            process.discard()


def _deadline_passed() -> DeadlinePassed:
    return DeadlinePassed("the surrogate exceeded the call's deadline; set a longer one")
