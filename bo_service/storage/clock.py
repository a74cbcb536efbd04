"""The clocks that stores keep: this machine's, or that of a database which several servers share."""

import time
from datetime import UTC, datetime, timedelta

from bo_service.storage.columns import EPOCH


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        """Return the time in UTC, with its zone."""
        return datetime.now(UTC)


class DatabaseClock:
    """The database's time as it was last set, counted on from there: every transaction that writes sets it anew."""

    def __init__(self) -> None:
        self._set = (EPOCH, time.monotonic())

    def set(self, now: datetime) -> None:
        """Take over the database's time, just received."""
        self._set = (now, time.monotonic())

    def now(self) -> datetime:
        """Return the time in UTC, with its zone."""
        moment, since = self._set
        return moment + timedelta(seconds=time.monotonic() - since)
