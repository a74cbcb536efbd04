"""Run a function periodically on its own thread."""

import logging
import threading
from collections.abc import Callable

from bo_service.domain.errors import StorageUnavailable, TransactionConflict

logger = logging.getLogger("bo_service.ticker")


class PeriodicTask:
    """A thread that calls a function at an interval until it is stopped.

    A failed call is logged; the next follows as usual.
    """

    def __init__(self, name: str, seconds: float, act: Callable[[], object], at_end: bool = False) -> None:
        """Start the thread.

        Args:
            name: name of the thread, for logs.
            seconds: interval between calls.
            act: the function.
            at_end: whether to call the function once more on `stop`.
        """
        self._seconds = seconds
        self._act = act
        self._at_end = at_end
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the last call has returned."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._call()
        if self._at_end:
            self._call()

    def _call(self) -> None:
        try:
            self._act()
        except (StorageUnavailable, TransactionConflict) as error:
            logger.warning("%s: %s; retrying in %g s", self._thread.name, error.message, self._seconds)
        except Exception:
            logger.exception("%s failed; retrying in %g s", self._thread.name, self._seconds)
