r"""Standard output and standard error that no stored text can steer a terminal through.

Characters that a terminal obeys, or that change the order in which text is read, are written as the escapes of JSON,
such as \u001b: so JSON stays the same JSON. The server has this module too, as neither imports the other.
"""

import re
import sys
from typing import Any, TextIO, cast

_STEERING = re.compile(
    "["
    "\\x00-\\x08\\x0b-\\x1f"  # C0 but for tab and line feed
    "\\x7f-\\x9f"  # DEL and C1
    "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"  # directions of writing
    "\\u2028\\u2029"  # ends of lines and paragraphs
    "\\u180e\\u200b\\u2060-\\u2065\\u206a-\\u206f\\ufeff\\ufff9-\\ufffb\\U000e0000-\\U000e007f"  # invisible
    "\\ud800-\\udfff"  # surrogates, which no encoding has
    "]"
)


def escaped(text: str) -> str:
    r"""Return the text with each character that would steer a terminal as \uXXXX."""
    return _STEERING.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


class Guarded:
    """A text stream that escapes what is written to it. It hides the bytes beneath, so that nothing goes around it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        """As it was: for text that is escaped, and what is to steer the terminal."""

    def write(self, text: str) -> int:
        """Return how many characters were written."""
        return self.stream.write(escaped(text))

    def writelines(self, lines: Any) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name in ("buffer", "detach"):
            raise AttributeError(name)
        return getattr(self.stream, name)


def guarded(stream: TextIO) -> TextIO:
    """Return the stream with a guard around it; one that has a guard is returned as it is."""
    return stream if isinstance(stream, Guarded) else cast(TextIO, Guarded(stream))


def unguarded(stream: TextIO) -> TextIO:
    """Return the stream without its guard, for output in which everything that was stored is escaped."""
    return stream.stream if isinstance(stream, Guarded) else stream


def guard() -> None:
    """Put guards around this process's standard output and error; each program does so before anything else."""
    if hasattr(sys.stdout, "reconfigure") and not isinstance(sys.stdout, Guarded):
        sys.stdout.reconfigure(errors="backslashreplace")  # where the terminal's encoding lacks a character
    sys.stdout, sys.stderr = guarded(sys.stdout), guarded(sys.stderr)
