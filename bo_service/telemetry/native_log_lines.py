"""Log what C libraries write to standard error, such as gRPC's line about each failed handshake.

The descriptor of standard error becomes a pipe that a thread reads. Lines in the format of gRPC's core are logged with
a kind; others are passed on unchanged. Python's own output bypasses the pipe.
"""

import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TextIO

logger = logging.getLogger("bo_service.grpc.core")

LINE = re.compile(r"([IWEF])[0-9]{4} [0-9:.]+ +[0-9]+ ([\w./-]+:[0-9]+)\] (.*)")
LEVELS = {"I": logging.INFO, "W": logging.WARNING, "E": logging.ERROR, "F": logging.CRITICAL}
GRPC_LOG_VARIABLES = ("GRPC_VERBOSITY", "GRPC_TRACE")
"""Variables that enable gRPC's own log; then its lines are passed on unchanged."""
STDERR = 2
CATCH_UP_S = 5.0


@contextmanager
def native_lines(
    environment: Mapping[str, str] = os.environ, guarded: Callable[[TextIO], TextIO] = lambda stream: stream
) -> Iterator[None]:
    """Log inside the block what C libraries write. Enter it before logging is configured.

    Args:
        environment: the environment variables.
        guarded: wraps the stream that all lines are written to.
    """
    if any(environment.get(name) for name in GRPC_LOG_VARIABLES):
        yield
        return
    before = sys.stderr
    ours = guarded(os.fdopen(os.dup(STDERR), "w", buffering=1, encoding="utf-8", errors="backslashreplace"))
    reading, writing = os.pipe()
    os.dup2(writing, STDERR)
    os.close(writing)
    sys.stderr = ours
    end, has_caught_up = b"\0" + os.urandom(16).hex().encode() + b"\n", threading.Event()
    arguments = [os.fdopen(reading, "rb"), ours, end, has_caught_up]
    threading.Thread(target=_read, args=arguments, name="native lines", daemon=True).start()
    try:
        yield
    finally:
        os.write(STDERR, end)
        os.dup2(ours.fileno(), STDERR)
        sys.stderr = before
        has_caught_up.wait(CATCH_UP_S)


def _read(lines: IO[bytes], ours: IO[str], end: bytes, has_caught_up: threading.Event) -> None:
    """Log or pass on all lines, and say when `end` has been read. Children that still run may write more."""
    with lines:
        for line in lines:
            if line.endswith(end):
                ours.write(line.removesuffix(end).decode(errors="backslashreplace"))
                has_caught_up.set()
                continue
            text = line.decode(errors="backslashreplace").rstrip("\n")
            match = LINE.fullmatch(text)
            if match is None:
                ours.write(f"{text}\n")
            else:
                level, source, message = match.groups()
                logger.log(LEVELS[level], "%s (%s)", message, source, extra={"kind": f"{logger.name} {source}"})
