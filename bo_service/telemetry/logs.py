"""Logging: lines of text or JSON. Each line that belongs to a call contains the call's fields."""

import json
import logging
from datetime import UTC, datetime

from bo_service import request_context
from bo_service.telemetry.log_limits import RateLimit

TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
STANDARD_ATTRIBUTES = {*vars(logging.makeLogRecord({})), "message", "asctime"}
"""Attributes that every record has; others were passed with `extra`."""


def configure(level: str, style: str) -> None:
    """Log to standard error.

    Args:
        level: the lowest level to log.
        style: `text` or `json`.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLogFormatter() if style == "json" else TextLogFormatter(TEXT))
    handler.addFilter(RateLimit(handler.handle))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def call_fields() -> dict[str, str]:
    """Return the fields of the call that this thread answers; empty without a call."""
    call = request_context.CURRENT.get(None)
    if call is None:
        return {}
    fields = {
        "method": call.method,
        "request_id": call.request_id,
        "trace_id": call.trace_id,
        "principal": call.principal.name,
        "study": call.study,
    }
    return {name: value for name, value in fields.items() if value}


class JsonLogFormatter(logging.Formatter):
    """A formatter of JSON: one object per line, with the fields of the call and of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **call_fields(),
            **{name: value for name, value in vars(record).items() if name not in STANDARD_ATTRIBUTES},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextLogFormatter(logging.Formatter):
    """A formatter of text. The fields of the call follow in brackets. A record is one line, except its traceback."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the record as one line of text."""
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        line = super().formatMessage(record)
        fields = " ".join(f"{name}={value}" for name, value in call_fields().items() if name != "method")
        return f"{line} [{fields}]" if fields else line
