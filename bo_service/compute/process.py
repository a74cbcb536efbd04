"""Run one compute process, which ends with its parent."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import suppress
from typing import Any

from bo_service.compute import forking, tasks

START_TIMEOUT_S = 60.0
"""Seconds after which a process that has not started counts as hung."""
KILL_TIMEOUT_S = 15.0
"""Seconds that a killed process may take to end; after these the forkserver counts as hung."""
NICE = 5
"""Increment of the process's niceness."""


class Process:
    """A compute process, which can be restarted after it was killed. Use it from one caller at a time."""

    def __init__(self, processors: frozenset[int] | None = None, memory: int | None = None) -> None:
        """Configure the process without starting it.

        Args:
            processors: CPUs that it may use; None for those of the starting thread.
            memory: memory limit in bytes; None for no limit.
        """
        self._processors = processors
        self._memory = memory
        self._executor: ProcessPoolExecutor | None = None
        self.is_loaded = False
        """Whether it can start a task immediately."""
        self._signaling = threading.Lock()
        """Guards signals, so that a signal for one task never reaches the next."""

    @property
    def is_dead(self) -> bool:
        """Whether the process was started and has ended."""
        return any(not process.is_alive() for process in self._processes())

    def start(self) -> None:
        """Start the process, and return once it can run a task.

        Raises:
            Exception: the process could not be started.
        """
        self._executor = executor = ProcessPoolExecutor(
            1, mp_context=forking.context(), initializer=_enter, initargs=(self._processors, self._memory)
        )
        watchdog = forking.kill_unless_done(START_TIMEOUT_S, lambda: False)
        try:
            loading = executor.submit(tasks.load)
        finally:
            watchdog.cancel()
        loading.result(START_TIMEOUT_S)
        self.is_loaded = True

    def submit(self, task: Callable[..., Any], *arguments: object) -> "Future[Any]":
        """Submit a task to the started process.

        Raises:
            BrokenExecutor: the process was not started or has ended.
        """
        with self._signaling:
            executor = self._executor
            try:
                if executor is not None:
                    return executor.submit(task, *arguments)
            except RuntimeError as error:
                raise BrokenExecutor(str(error)) from error
            raise BrokenExecutor("the process has ended")

    def interrupt(self, future: "Future[Any]") -> None:
        """Interrupt an interruptible task if it still runs."""
        with self._signaling:
            if not future.done():
                for process in self._processes():
                    if process.is_alive():
                        os.kill(process.pid, signal.SIGUSR1)

    def kill(self) -> None:
        """Kill the process; its task ends with BrokenExecutor."""
        _kill(self._processes())

    def discard(self) -> None:
        """Kill the process and drop its executor."""
        killed, executor = self._processes(), self._executor
        self._executor, self.is_loaded = None, False
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
        _kill(killed)

    def close(self) -> None:
        """Kill the process, and wait until it has ended."""
        killed = self._processes()
        if self._executor is not None and not self.is_loaded:
            forking.kill()  # else its start would be waited for
        self.discard()
        for process in killed:
            process.join(KILL_TIMEOUT_S)

    def _processes(self) -> list[Any]:
        executor = self._executor
        return list((executor._processes or {}).values()) if executor is not None else []


def _kill(processes: Sequence[Any]) -> None:
    for process in processes:
        process.kill()
    if processes:
        forking.kill_unless_done(KILL_TIMEOUT_S, lambda: not any(process.is_alive() for process in processes))


def _enter(processors: frozenset[int] | None, memory: int | None) -> None:
    """Initialize the process: ignore Ctrl-C, end with the parent, limit memory, and lower the priority."""
    if memory is not None:
        with suppress(ImportError, OSError, ValueError):  # some systems have no such limit, or a lower one already
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    if processors is not None:
        with suppress(OSError):  # they may have been taken from us
            os.sched_setaffinity(0, processors)
    with suppress(AttributeError, OSError):  # some systems have no priorities, or don't let them be changed
        os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks.allow_interrupts()
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True, name="follow-parent").start()
