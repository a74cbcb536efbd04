"""Terminate a process group when the process at the other end of a pipe has ended.

A killed worker cannot end its program, which would keep training and occupy the GPU. This file is also the program that
waits at the end of the pipe, and so imports little.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

RELEASE = b"."


class OrphanGuard:
    """A guard process; `grace` is the number of seconds from SIGTERM to SIGKILL once this process has ended."""

    def __init__(self, group: int, grace: float) -> None:
        command = [sys.executable, "-I", "-S", __file__, str(group), str(grace)]
        self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def release(self) -> None:
        """Release the guard, as the group has ended."""
        with suppress(BrokenPipeError):
            self._guard.communicate(RELEASE)


def end(group: int, number: signal.Signals) -> None:
    """Send a signal to all processes of a group."""
    with suppress(ProcessLookupError, PermissionError):  # macOS: a group of which only zombies are left
        os.killpg(group, number)


def guard(group: int, grace: float) -> None:
    """Wait for the end of the pipe, and terminate the group unless it was released."""
    if sys.stdin.buffer.read() != RELEASE:
        end(group, signal.SIGTERM)
        time.sleep(grace)
        end(group, signal.SIGKILL)


if __name__ == "__main__":
    guard(int(sys.argv[1]), float(sys.argv[2]))
