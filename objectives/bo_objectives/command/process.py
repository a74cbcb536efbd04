"""A program in its own process group: its output line by line, and the termination of all its processes."""

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from bo_objectives.command import orphan_guard

POLL_INTERVAL_S = 0.1
"""Seconds within which the end of a silent program is noticed."""
CHUNK_BYTES = 65536
MAX_FINAL_READS = 16
"""Chunks that the largest pipe can hold: the most output that can remain after the program has ended."""
MAX_LINE_BYTES = 1 << 20
"""Bytes after which a line is cut."""
TAIL_BYTES = 4096
"""Bytes of standard error that are quoted."""


class CommandProcess:
    """A running program; leaving the context stops it, and so does the end of this process.

    Standard output is appended to stdout.log and standard error to stderr.log in `directory`. The pipe is always
    drained, so that output never blocks the program.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], directory: Path, grace: float = 10.0
    ) -> None:
        """Start the program.

        Args:
            command: the program and its arguments.
            environment: its environment variables.
            directory: folder of the logs.
            grace: seconds from SIGTERM to SIGKILL.

        Raises:
            OSError: the program cannot be started.
        """
        self.grace = grace
        self._rest = b""
        self._errors = directory / "stderr.log"
        with self._errors.open("ab") as errors:
            self._errors_start = errors.tell()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment,
                process_group=0, bufsize=0,
            )  # fmt: skip
        self._guard = orphan_guard.OrphanGuard(self._process.pid, grace)
        assert self._process.stdout is not None
        self._pipe = self._process.stdout
        self._output = directory / "stdout.log"
        self._log = self._output.open("ab", buffering=0)
        self._output_start = self._log.tell()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._is_open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._selector.close()
            self._pipe.close()
            self._log.close()

    @property
    def exit_code(self) -> int | None:
        """The exit code; negative for a signal, None while the program runs."""
        return self._process.poll()

    def lines(self, timeout: float | None = None) -> Iterator[str]:
        """Yield lines of standard output until the program ends.

        Args:
            timeout: maximum seconds; None for no limit.

        Raises:
            TimeoutError: the program still runs.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.exit_code is None:
            yield from self._split(self._read(POLL_INTERVAL_S))
            if deadline is not None and time.monotonic() >= deadline and self.exit_code is None:
                raise TimeoutError
        for _ in range(MAX_FINAL_READS):
            yield from self._split(self._read(0))
        yield from self._split(b"\n")

    def linger(self) -> None:
        """Give the program the grace period to end by itself."""
        deadline = time.monotonic() + self.grace
        while (self.exit_code is None or self._is_open) and time.monotonic() < deadline:
            self._read(POLL_INTERVAL_S)

    def stop(self) -> None:
        """Terminate the program's process group, and kill what remains after the grace period."""
        if self.exit_code is None or self._is_open:
            orphan_guard.end(self._process.pid, signal.SIGTERM)
            self.linger()
        orphan_guard.end(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._guard.release()

    def last_errors(self, size: int = TAIL_BYTES) -> str:
        """Return the end of standard error, in whole lines if possible.

        Args:
            size: maximum bytes.
        """
        return _tail(self._errors, self._errors_start, size)

    def last_output(self, size: int) -> str:
        """Return the end of standard output, in whole lines if possible.

        Args:
            size: maximum bytes.
        """
        return _tail(self._output, self._output_start, size)

    def _read(self, timeout: float) -> bytes:
        """Return new output, after a wait of at most `timeout` seconds."""
        if not self._is_open:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
            return b""
        if not self._selector.select(timeout):
            return b""
        chunk = os.read(self._pipe.fileno(), CHUNK_BYTES)
        self._log.write(chunk)
        self._is_open = bool(chunk)
        return chunk

    def _split(self, chunk: bytes) -> list[str]:
        """Return the lines that are complete. Progress bars end theirs with a carriage return."""
        *whole, rest = re.split(rb"[\r\n]", self._rest + chunk)
        self._rest = rest[:MAX_LINE_BYTES]
        return [line.decode(errors="replace") for line in whole if line]


def _tail(file: Path, begin: int, max_bytes: int) -> str:
    """Return the end of a file from an offset on."""
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        start = opened.seek(max(begin, size - max_bytes))
        tail = opened.read()
    if start > begin and b"\n" in tail[:-1]:
        tail = tail.partition(b"\n")[2]
    return tail.decode(errors="replace").strip()
