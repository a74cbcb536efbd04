"""Where processes that compute come from.

Never from the server itself: a fork of a process with gRPC's threads hangs. On Linux they are forked from one that has
loaded the core and does nothing else, so that they begin at once and share its memory; elsewhere each is spawned.
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

LOADED = "bo_service.adapters.compute.loaded"
IS_FORKED = sys.platform == "linux" and sys.version_info >= (3, 11, 1)
"""Before, whoever was on the machine could make the process fork what he liked (CVE-2022-42919)."""


def context() -> BaseContext:
    """What processes are started by."""
    if not IS_FORKED:
        return multiprocessing.get_context("spawn")
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload([LOADED])
    return forking


def expect(seconds: float, is_done: Callable[[], bool]) -> threading.Timer:
    """The process that others are forked from hangs, and is killed, if something isn't done by then; to be canceled."""

    def judge() -> None:
        if not is_done():
            kill()

    timer = threading.Timer(seconds, judge)
    timer.daemon = True
    timer.start()
    return timer


def kill() -> None:
    """Kills the process that others are forked from, and them with it; the next start brings another."""
    if IS_FORKED:
        pid = multiprocessing.forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
