"""What a server says of its own health: whether its database answers, and whether it computes."""

import logging
import time
from collections.abc import Callable

logger = logging.getLogger("bo_service.health")

PATIENCE_S = 10.0
"""A database that hasn't answered for so long is as good as down, even where it doesn't say so."""


class HealthMonitor:
    """One ticker tells it to check, another asks what it found, so that a check that hangs keeps nobody waiting."""

    def __init__(self, check_storage: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._check_storage = check_storage
        self._clock = clock
        self._answered = clock()
        self._fault = ""
        self._was_well = True

    def check(self) -> None:
        """Asks the database."""
        try:
            self._check_storage()
        except Exception as error:
            self._fault = str(error)
        else:
            self._fault, self._answered = "", self._clock()

    @property
    def storage_is_well(self) -> bool:
        """As the last check found it."""
        silent = self._clock() - self._answered
        fault = self._fault or (f"the database has not answered for {silent:.0f} s" if silent > PATIENCE_S else "")
        if self._was_well and fault:
            logger.error("not serving: %s", fault)
        if not self._was_well and not fault:
            logger.info("serving again")
        self._was_well = not fault
        return self._was_well
