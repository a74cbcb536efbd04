"""One process that computes, which follows its parent."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import suppress
from typing import Any

from bo_service.adapters.compute import forking, tasks

STARTING_SECONDS = 60.0
"""After which a process that hasn't started yet counts as hung."""
ENDING_SECONDS = 15.0
"""How long a killed process may take to be gone, after which the one that it was forked from counts as hung."""
NICE = 5
"""By how much its priority is lower."""


class Process:
    """One process, which can be started again after it has been killed. One caller at a time."""

    def __init__(self, processors: frozenset[int] | None = None) -> None:
        """`processors` are those that it may run on; None: the same as the thread that starts it."""
        self._processors = processors
        self._executor: ProcessPoolExecutor | None = None
        self.is_loaded = False
        """Whether it can begin with a task at once."""
        self._signaling = threading.Lock()
        """A signal for one task must not reach the next."""

    @property
    def is_dead(self) -> bool:
        """Whether it was started and is gone."""
        return any(not process.is_alive() for process in self._processes())

    def start(self) -> None:
        """Returns once it can begin with a task at once. Raises whatever may be in the way."""
        self._executor = executor = ProcessPoolExecutor(
            1, mp_context=forking.context(), initializer=_enter, initargs=(self._processors,)
        )
        expected = forking.expect(STARTING_SECONDS, lambda: False)
        try:
            loading = executor.submit(tasks.load)
        finally:
            expected.cancel()
        loading.result(STARTING_SECONDS)
        self.is_loaded = True

    def submit(self, task: Callable[..., Any], *arguments: object) -> "Future[Any]":
        """Once it was started. Raises BrokenExecutor."""
        with self._signaling:
            executor = self._executor
            try:
                if executor is not None:
                    return executor.submit(task, *arguments)
            except RuntimeError as error:
                raise BrokenExecutor(str(error)) from error
            raise BrokenExecutor("it was ended")

    def interrupt(self, future: "Future[Any]") -> None:
        """Ends an interruptible task, if it is still at it."""
        with self._signaling:
            if not future.done():
                for process in self._processes():
                    if process.is_alive():
                        os.kill(process.pid, signal.SIGUSR1)

    def kill(self) -> None:
        """What it was at ends with BrokenExecutor."""
        _kill(self._processes())

    def discard(self) -> None:
        """Kills it."""
        killed, executor = self._processes(), self._executor
        self._executor, self.is_loaded = None, False
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)
        _kill(killed)

    def close(self) -> None:
        """Kills it, and returns when it is gone."""
        killed = self._processes()
        if self._executor is not None and not self.is_loaded:
            forking.kill()  # else its start would be waited for
        self.discard()
        for process in killed:
            process.join(ENDING_SECONDS)

    def _processes(self) -> list[Any]:
        executor = self._executor
        return list((executor._processes or {}).values()) if executor is not None else []


def _kill(processes: Sequence[Any]) -> None:
    for process in processes:
        process.kill()
    if processes:
        forking.expect(ENDING_SECONDS, lambda: not any(process.is_alive() for process in processes))


def _enter(processors: frozenset[int] | None) -> None:
    """Leaves Ctrl-C to the parent, and dies with it. Calls are answered first, where processors are few."""
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
