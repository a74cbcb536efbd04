"""Provide the multiprocessing context of the compute processes.

They never fork from the server itself: a fork of a process with gRPC's threads hangs. On Linux they fork from a
forkserver that has imported the optimizer, so that they start quickly and share its memory. Elsewhere each is spawned.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import BaseContext

PRELOADED_MODULE = "bo_service.compute.preload"
IS_FORKED = sys.platform == "linux" and sys.version_info >= (3, 11, 1)
"""Whether a forkserver is used. Before Python 3.11.1, any local user could make it run code (CVE-2022-42919)."""


def context() -> BaseContext:
    """Return the multiprocessing context that starts the processes."""
    if not IS_FORKED:
        return multiprocessing.get_context("spawn")
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload([PRELOADED_MODULE])
    return forking


def kill_unless_done(seconds: float, is_done: Callable[[], bool]) -> threading.Timer:
    """Kill the forkserver if `is_done` is false after some seconds.

    Args:
        seconds: how long to wait.
        is_done: whether the forkserver has done what it should.

    Returns:
        The timer; cancel it once the forkserver is known to work.
    """

    def should_stop() -> None:
        if not is_done():
            kill()

    timer = threading.Timer(seconds, should_stop)
    timer.daemon = True
    timer.start()
    return timer


def kill() -> None:
    """Kill the forkserver and the processes forked from it; the next start brings a new one."""
    if IS_FORKED:
        pid = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
