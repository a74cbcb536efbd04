"""The health of a server: whether its database responds."""

import logging
import time
from collections.abc import Callable

from bo_service.application.waiting import deadline

logger = logging.getLogger("bo_service.health")

STORAGE_TIMEOUT_S = 10.0
"""Seconds without a response after which the database counts as unavailable."""


class HealthMonitor:
    """A monitor of the database.

    One thread runs the checks and another reads the result, so that a hanging check blocks nobody.
    """

    def __init__(self, check_storage: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._check_storage = check_storage
        self._clock = clock
        self._last_success = clock()
        self._error = ""
        self._was_healthy = True

    def check(self) -> None:
        """Check the database."""
        try:
            with deadline(STORAGE_TIMEOUT_S):
                self._check_storage()
        except Exception as error:
            self._error = str(error)
        else:
            self._error, self._last_success = "", self._clock()

    @property
    def is_storage_healthy(self) -> bool:
        """The health of the database at the last check."""
        silence_s = self._clock() - self._last_success
        error = self._error or (
            f"the database has not responded for {silence_s:.0f} s" if silence_s > STORAGE_TIMEOUT_S else ""
        )
        if self._was_healthy and error:
            logger.error("not serving: %s", error)
        if not self._was_healthy and not error:
            logger.info("serving again")
        self._was_healthy = not error
        return self._was_healthy
