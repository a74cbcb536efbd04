"""A worker's options on their way to another machine, with the files that they name."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class File:
    """A file's name and what is in it, which no message shows: it may be a token."""

    name: str
    content: bytes = field(repr=False)

    @contextmanager
    def unpacked(self) -> Iterator[Path]:
        """Lies in a folder of its own, for this user's eyes alone, inside the block."""
        with tempfile.TemporaryDirectory(prefix="bo-worker-") as folder:
            path = Path(folder) / self.name
            path.touch(mode=0o600)
            path.write_bytes(self.content)
            yield path


def packed(options: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The options with their files in them; a token that is in the environment becomes a file as well.

    Raises:
        OSError: a file can't be read.
    """
    found = {name: _packed(value) for name, value in options.items()}
    token = environment.get("BO_TOKEN")
    if token and not found.get("token_file"):
        found["token_file"] = File("token", token.encode())
    return found


@contextmanager
def unpacked(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The options with their files where they can be read, inside the block."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(value.unpacked()) if isinstance(value, File) else value
            for name, value in options.items()
        }


def _packed(value: object) -> object:
    if isinstance(value, Path) and value.is_file():
        return File(value.name, value.read_bytes())
    return value
