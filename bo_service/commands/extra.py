"""What commands say where the server's extra isn't installed, and where something can't start."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

EXTRA = 'this command needs more than the client: pip install "bo-service[server]"'


@contextmanager
def loading() -> Iterator[None]:
    """Around imports of the server: where they fail, the command ends with a line that says what to install."""
    try:
        yield
    except ImportError as error:
        sys.exit(f"bo-service: {EXTRA} ({error})")
