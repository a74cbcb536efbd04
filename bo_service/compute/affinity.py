"""Control the CPUs on which the threads that answer calls run.

Python runs bytecode on one CPU at a time. With several CPUs its threads wake each other across CPUs, which takes a
third of a call's time or more on virtual machines. A server that has one CPU to itself is faster on that CPU alone.
"""

import os
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from bo_service.domain.errors import StartupError


class Affinity:
    """A CPU affinity of the threads there are, and of those and the processes that they start, until `close`.

    Without processors it changes nothing.
    """

    def __init__(self, processors: Collection[int] = ()) -> None:
        """Set the affinity.

        Args:
            processors: indices of the CPUs; empty leaves the affinity as it is.

        Raises:
            StartupError: a CPU does not exist, or the system does not support affinity.
        """
        self.free: frozenset[int] | None = None
        """CPUs that this process had before; None without an affinity."""
        if processors:
            self._processors = frozenset(processors)
            self.free = _check_available(self._processors)
            try:
                for thread in threading.enumerate():  # such as the one that reads the log lines of C libraries
                    os.sched_setaffinity(thread.native_id or 0, self._processors)
            except OSError as error:
                raise StartupError(f"--cpu-affinity: the system refused it ({error}); leave it out") from error

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Restore the original CPUs inside the block, for threads and processes that start there."""
        if self.free is None:
            yield
            return
        os.sched_setaffinity(0, self.free)
        try:
            yield
        finally:
            os.sched_setaffinity(0, self._processors)

    def close(self) -> None:
        """Restore the original CPUs of this thread."""
        if self.free is not None:
            os.sched_setaffinity(0, self.free)


def _check_available(requested: Collection[int]) -> frozenset[int]:
    if not hasattr(os, "sched_getaffinity"):
        raise StartupError("--cpu-affinity: this system does not support CPU affinity; leave it out")
    available = frozenset(os.sched_getaffinity(0))
    if not available.issuperset(requested):
        listed = ", ".join(map(str, sorted(available)))
        raise StartupError(
            f"--cpu-affinity: is {','.join(map(str, sorted(requested)))}; this process may use the CPUs {listed}: "
            "give one of them, or several with commas"
        )
    return available
