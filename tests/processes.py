"""The processes of a machine, as Linux lists them."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE_S = 120.0


def children_of(pid: int) -> list[int]:
    """Of all of its threads."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for listing in listed for child in listing.read_text().split()]


def processes_of(server: int) -> list[int]:
    """A server's processes and theirs, once there is one that computes; none if there never is."""
    deadline = time.monotonic() + 2 * PATIENCE_S  # they load scikit-learn
    while time.monotonic() < deadline:
        found = children_of(server)
        computing = [process for child in found for process in children_of(child)]
        if computing:
            return found + computing
        time.sleep(0.05)
    return []


@contextmanager
def surrogate_stalled(server: int) -> Iterator[None]:
    """Stop a server's computing processes meanwhile, and whatever could start others."""
    stopped = processes_of(server)
    assert stopped, "the server computes in no process"
    for process in stopped:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in stopped:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def memory_of(pid: int) -> int:
    """Bytes of memory that a process has."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
