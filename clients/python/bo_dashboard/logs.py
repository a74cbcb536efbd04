"""The dashboard's log: lines of text or JSON as the server's, with a maximum number per minute of each kind."""

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

TEXT_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
MAX_LINES_PER_MINUTE = 20
MINUTE_S = 60.0
DROPPED = "%d more lines in this minute were dropped: %s"


def configure(style: str) -> None:
    """Log warnings, and information on connections, to standard error.

    Args:
        style: `text` or `json`.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(DashboardJsonFormatter() if style == "json" else DashboardTextFormatter(TEXT_FORMAT))
    handler.addFilter(LogRateLimit(handler.handle))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("bo_dashboard").setLevel(logging.INFO)


class LogRateLimit(logging.Filter):
    """A filter that passes a limited number of lines per minute of each kind, and then logs how many were dropped.

    A kind is a logger and the first line of its message before arguments are inserted.
    """

    def __init__(self, emit: Callable[[logging.LogRecord], object]) -> None:
        """Create a filter.

        Args:
            emit: takes the records that say how many lines were dropped.
        """
        super().__init__()
        self._emit = emit
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        """Number of lines of each kind in its current minute."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written."""
        kind = (record.name, str(record.msg).partition("\n")[0])
        with self._lock:
            self._counts[kind] += 1
            if self._counts[kind] == 1:
                timer = threading.Timer(MINUTE_S, self._end, [kind, record.levelno])
                timer.daemon = True
                timer.start()
            return self._counts[kind] <= MAX_LINES_PER_MINUTE

    def _end(self, kind: tuple[str, str], level: int) -> None:
        """End the minute of a kind."""
        with self._lock:
            count = self._counts.pop(kind)
        if count > MAX_LINES_PER_MINUTE:
            arguments = (count - MAX_LINES_PER_MINUTE, kind[1])
            self._emit(logging.LogRecord(kind[0], level, "", 0, DROPPED, arguments, None))


class DashboardJsonFormatter(logging.Formatter):
    """A formatter that writes one JSON object per line, as the server does."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class DashboardTextFormatter(logging.Formatter):
    """A formatter that writes one line per record, except for tracebacks."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line."""
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        return super().formatMessage(record)
