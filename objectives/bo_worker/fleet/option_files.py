"""Serialization of a worker's options for another machine, with the files that they name."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class File:
    """A file's name and content. The content is never shown, as it may be a token."""

    name: str
    content: bytes = field(repr=False)

    @contextmanager
    def unpacked(self) -> Iterator[Path]:
        """Write the file into a private folder inside the block, and yield its path."""
        with tempfile.TemporaryDirectory(prefix="bo-worker-") as folder:
            path = Path(folder) / self.name
            path.touch(mode=0o600)
            path.write_bytes(self.content)
            yield path


def serialize_options(options: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the options with the content of their files; a token in the environment becomes a file too.

    Args:
        options: the options.
        environment: the environment variables.

    Raises:
        OSError: a file cannot be read.
    """
    serialized = {name: _with_content(value) for name, value in options.items()}
    token = environment.get("BO_TOKEN")
    if token and not serialized.get("token_file"):
        serialized["token_file"] = File("token", token.encode())
    return serialized


@contextmanager
def unpacked(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Write the options' files inside the block, and yield the options with their paths."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(value.unpacked()) if isinstance(value, File) else value
            for name, value in options.items()
        }


def _with_content(value: object) -> object:
    if isinstance(value, Path) and value.is_file():
        return File(value.name, value.read_bytes())
    return value
