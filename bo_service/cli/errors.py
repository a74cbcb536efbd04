"""Report a missing installation of the server's extra."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

EXTRA = 'this command needs more than the client: pip install "bo-service[server]"'


@contextmanager
def loading() -> Iterator[None]:
    """End the command with an installation hint if an import inside the block fails."""
    try:
        yield
    except ImportError as error:
        sys.exit(f"bo-service: {EXTRA} ({error})")
