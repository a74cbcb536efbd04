"""Does something again and again, on a thread of its own."""

import logging
import threading
from collections.abc import Callable

from bo_service.core.errors import StorageUnavailable, TransactionLost

logger = logging.getLogger("bo_service.ticker")


class Ticker:
    """Calls `act` every `seconds`, until stopped. A failure is logged, and the next call comes all the same."""

    def __init__(self, name: str, seconds: float, act: Callable[[], object], at_end: bool = False) -> None:
        """`at_end` where it is called once more when stopped."""
        self._seconds = seconds
        self._act = act
        self._at_end = at_end
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when the last call has."""
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
        except (StorageUnavailable, TransactionLost) as error:
            logger.warning("%s: %s; trying again in %g s", self._thread.name, error.message, self._seconds)
        except Exception:
            logger.exception("%s failed; trying again in %g s", self._thread.name, self._seconds)
