"""A rate limit on log lines that callers can cause, so that they cannot fill the disk."""

import logging
import threading
from collections import Counter
from collections.abc import Callable

LINES_A_MINUTE = 20
MINUTE_S = 60.0


class RateLimit(logging.Filter):
    """A filter that passes a number of lines of each kind per minute, and then logs how many it dropped.

    `extra={"kind": …}` gives a line its kind. Lines without a kind all pass.
    """

    def __init__(
        self, emit: Callable[[logging.LogRecord], object], lines: int = LINES_A_MINUTE, minute_s: float = MINUTE_S
    ) -> None:
        """Create a filter.

        Args:
            emit: writes the records that report how many lines were dropped.
            lines: lines of a kind per period.
            minute_s: length of the period in seconds.
        """
        super().__init__()
        self._emit = emit
        self._lines = lines
        self._minute_s = minute_s
        self._guard = threading.Lock()
        self._counts: Counter[str] = Counter()
        """Lines of each kind in its current period."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written."""
        kind = vars(record).pop("kind", None)
        if kind is None:
            return True
        with self._guard:
            self._counts[kind] += 1
            if self._counts[kind] == 1:
                timer = threading.Timer(self._minute_s, self._end, [kind, record.name, record.levelno])
                timer.daemon = True
                timer.start()
            return self._counts[kind] <= self._lines

    def _end(self, kind: str, name: str, level: int) -> None:
        """End the period of a kind, and report dropped lines."""
        with self._guard:
            count = self._counts.pop(kind)
        if count > self._lines:
            arguments = (count - self._lines, kind)
            self._emit(
                logging.LogRecord(name, level, "", 0, "%d more lines in this minute were dropped: %s", arguments, None)
            )
