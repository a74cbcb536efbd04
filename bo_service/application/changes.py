"""Wakes those who watch a study when it changes."""

import threading
from collections import defaultdict


class Changes:
    """Announcements, by study."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._announced: defaultdict[str, int] = defaultdict(int)

    def announce(self, study_id: str) -> None:
        """Wakes everyone who waits for this study."""
        with self._condition:
            self._announced[study_id] += 1
            self._condition.notify_all()

    def count(self, study_id: str) -> int:
        """How many changes have been announced; look at the study after asking this, then wait."""
        with self._condition:
            return self._announced.get(study_id, 0)

    def wait(self, study_id: str, count: int, timeout: float) -> bool:
        """Waits until more than `count` have been announced; False after `timeout` seconds without."""
        with self._condition:
            return self._condition.wait_for(lambda: self._announced.get(study_id, 0) > count, timeout)
