"""A program in a process group of its own: its output line by line, and an end to it and all that it has started."""

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

from bo_objectives.command import lifeline

POLL = 0.1
"""Seconds within which the end of a silent program is noticed."""
CHUNK = 65536
LAST_READS = 16
"""As many chunks as the largest pipe holds: what the program itself can have left in it."""
MAX_LINE = 1 << 20
"""Bytes after which a line is cut."""
TAIL = 4096
"""Bytes of standard error that are quoted."""


class Program:
    """Runs until it ends or is stopped; leaving the context stops it, and so does the death of this process.

    Standard output goes to stdout.log and standard error to stderr.log in `directory`, after what is there already; a
    program can't be held up by a pipe that nobody empties.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], directory: Path, grace: float = 10.0
    ) -> None:
        """Starts the program. Raises OSError where the system can't; `grace` is in seconds."""
        self.grace = grace
        self._rest = b""
        self._errors = directory / "stderr.log"
        with self._errors.open("ab") as errors:
            self._errors_start = errors.tell()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment,
                process_group=0, bufsize=0,
            )  # fmt: skip
        self._lifeline = lifeline.Lifeline(self._process.pid, grace)
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
        """Negative for the signal that killed it; None while it runs."""
        return self._process.poll()

    def lines(self, timeout: float | None = None) -> Iterator[str]:
        """Standard output, as it comes, until the program has ended.

        Raises:
            TimeoutError: it still runs after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.exit_code is None:
            yield from self._split(self._read(POLL))
            if deadline is not None and time.monotonic() >= deadline and self.exit_code is None:
                raise TimeoutError
        for _ in range(LAST_READS):
            yield from self._split(self._read(0))
        yield from self._split(b"\n")

    def linger(self) -> None:
        """Gives the program the grace to end by itself."""
        deadline = time.monotonic() + self.grace
        while (self.exit_code is None or self._is_open) and time.monotonic() < deadline:
            self._read(POLL)

    def stop(self) -> None:
        """Asks the program and what it has started to end, and kills what is left after the grace."""
        if self.exit_code is None or self._is_open:
            lifeline.end(self._process.pid, signal.SIGTERM)
            self.linger()
        lifeline.end(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._lifeline.let_go()

    def last_errors(self, size: int = TAIL) -> str:
        """The end of standard error, in whole lines where possible; at most `size` bytes."""
        return _tail(self._errors, self._errors_start, size)

    def last_output(self, size: int) -> str:
        """The end of standard output, in whole lines where possible; at most `size` bytes."""
        return _tail(self._output, self._output_start, size)

    def _read(self, patience: float) -> bytes:
        """What has been printed, waiting for it at most `patience` seconds."""
        if not self._is_open:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
            return b""
        if not self._selector.select(patience):
            return b""
        chunk = os.read(self._pipe.fileno(), CHUNK)
        self._log.write(chunk)
        self._is_open = bool(chunk)
        return chunk

    def _split(self, chunk: bytes) -> list[str]:
        """The lines that are whole now. Progress bars end theirs with a carriage return."""
        *whole, rest = re.split(rb"[\r\n]", self._rest + chunk)
        self._rest = rest[:MAX_LINE]
        return [line.decode(errors="replace") for line in whole if line]


def _tail(file: Path, begin: int, most: int) -> str:
    """The end of a file that began earlier."""
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        start = opened.seek(max(begin, size - most))
        tail = opened.read()
    if start > begin and b"\n" in tail[:-1]:
        tail = tail.partition(b"\n")[2]
    return tail.decode(errors="replace").strip()
