"""The time of a database that several servers share: their own clocks may differ."""

import time
from datetime import datetime, timedelta

from bo_service.adapters.storage.columns import EPOCH


class SharedClock:
    """What the database last said, counted on from there: every transaction that writes asks it anew, at no cost."""

    def __init__(self) -> None:
        self._told = (EPOCH, time.monotonic())

    def set(self, now: datetime) -> None:
        """Takes the database's time, just told."""
        self._told = (now, time.monotonic())

    def now(self) -> datetime:
        """In UTC, with its zone."""
        moment, since = self._told
        return moment + timedelta(seconds=time.monotonic() - since)
