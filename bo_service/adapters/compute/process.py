"""One process that computes, which follows its parent.

It is spawned, never forked: a fork of a process with gRPC's threads hangs.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from bo_service.adapters.compute import tasks

ENDING_SECONDS = 5.0
"""How long a killed process may take to be gone."""
NICE = 5
"""By how much its priority is lower."""


class Process:
    """One process, which starts when it is first needed, and again after it has been killed. One caller at a time."""

    def __init__(self) -> None:
        self._executor: ProcessPoolExecutor | None = None
        self._loading: Future[None] | None = None
        self._signaling = threading.Lock()
        """A signal for one task must not reach the next."""

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
        with self._signaling:
            if self._executor is None:
                spawn = multiprocessing.get_context("spawn")
                self._executor = ProcessPoolExecutor(1, mp_context=spawn, initializer=_enter)
                self._loading = self._executor.submit(tasks.load)
            return self._executor.submit(task, *arguments)

    def interrupt(self, future: "Future[Any]") -> None:
        """Ends an interruptible task, if it is still at it."""
        with self._signaling:
            if not future.done() and self.is_loaded:  # before, the signal would kill it
                for process in self._processes():
                    if process.is_alive():
                        os.kill(process.pid, signal.SIGUSR1)

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


def _enter() -> None:
    """Leaves Ctrl-C to the parent, and dies with it. Calls are answered first, where processors are few."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks.allow_interrupts()
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True, name="follow-parent").start()
