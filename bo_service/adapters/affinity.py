"""Which processors the threads that answer calls may run on.

Python runs on one processor at a time. Where there are several, its threads wake each other across them, which takes a
third of a call's time or more on virtual machines: a server that has a processor to itself does better on that alone.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from bo_service.core.errors import StartupError


class Affinity:
    """Holds this thread, and the threads and processes that it starts, to some processors until it is closed.

    Without any named it holds nothing.
    """

    def __init__(self, processors: Collection[int] = ()) -> None:
        """Raises StartupError where there are no such processors, or this system knows no affinity."""
        self.free: frozenset[int] | None = None
        """Those that this process was given; None where it holds nothing."""
        if processors:
            self._held = frozenset(processors)
            self.free = _given(self._held)
            try:
                os.sched_setaffinity(0, self._held)
            except OSError as error:
                raise StartupError(f"--cpu-affinity: the system doesn't allow it ({error}); leave it out") from error

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """What this thread starts inside the block is free."""
        if self.free is None:
            yield
            return
        os.sched_setaffinity(0, self.free)
        try:
            yield
        finally:
            os.sched_setaffinity(0, self._held)

    def close(self) -> None:
        """This thread is free again."""
        if self.free is not None:
            os.sched_setaffinity(0, self.free)


def _given(wanted: Collection[int]) -> frozenset[int]:
    if not hasattr(os, "sched_getaffinity"):
        raise StartupError("--cpu-affinity: this system has no such thing; leave it out")
    given = frozenset(os.sched_getaffinity(0))
    if not given.issuperset(wanted):
        listed = ", ".join(map(str, sorted(given)))
        raise StartupError(
            f"--cpu-affinity: is {','.join(map(str, sorted(wanted)))}; this process may use the processors {listed}: "
            "give one of them, or several with commas"
        )
    return given
