"""Ends a process group when the process that holds the other end of the line is gone, however it went.

A worker that is killed can end nothing any more; without this, its program would go on training, and keep its GPU from
the program that comes next. This file is also the program that waits at the line's end, and therefore imports little.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

LET_GO = b"."


class Lifeline:
    """Holds the line; `grace` is the seconds from SIGTERM to SIGKILL once it is cut."""

    def __init__(self, group: int, grace: float) -> None:
        command = [sys.executable, "-I", "-S", __file__, str(group), str(grace)]
        self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def let_go(self) -> None:
        """The group has ended in good order: nothing is left to be done."""
        with suppress(BrokenPipeError):
            self._guard.communicate(LET_GO)


def end(group: int, number: signal.Signals) -> None:
    """Sends a signal to all processes of the group."""
    with suppress(ProcessLookupError, PermissionError):  # macOS: a group of which only zombies are left
        os.killpg(group, number)


def guard(group: int, grace: float) -> None:
    """Waits at the line's end."""
    if sys.stdin.buffer.read() != LET_GO:
        end(group, signal.SIGTERM)
        time.sleep(grace)
        end(group, signal.SIGKILL)


if __name__ == "__main__":
    guard(int(sys.argv[1]), float(sys.argv[2]))
