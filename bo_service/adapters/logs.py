"""The log: lines of text for people, or of JSON for programs; each that belongs to a call says to which."""

import json
import logging
from datetime import UTC, datetime

from bo_service.adapters import calls

TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
PLAIN = {*vars(logging.makeLogRecord({})), "message", "asctime"}
"""What every record has; the rest was given with the line."""


def configure(level: str, style: str) -> None:
    """Sends everything from `level` on to standard error, as `text` or `json`."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if style == "json" else TextLines(TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def call_fields() -> dict[str, str]:
    """What is known of the call that this thread answers."""
    call = calls.current()
    if call is None:
        return {}
    found = {
        "method": call.method,
        "request_id": call.request_id,
        "trace_id": call.trace_id,
        "principal": call.principal.name,
        "study": call.study,
    }
    return {name: value for name, value in found.items() if value}


class JsonLines(logging.Formatter):
    """One object a line: time, level, logger, message, then the call and what else was given."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **call_fields(),
            **{name: value for name, value in vars(record).items() if name not in PLAIN},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextLines(logging.Formatter):
    """The call in brackets at the end of its lines; one record is one line, but for tracebacks."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = record.message.replace("\r", "\\r").replace("\n", "\\n")
        line = super().formatMessage(record)
        told = " ".join(f"{name}={value}" for name, value in call_fields().items() if name != "method")
        return f"{line} [{told}]" if told else line
