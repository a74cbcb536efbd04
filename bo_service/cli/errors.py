"""Report a missing installation of the server's extra."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

EXTRA = 'this command needs more than the client: pip install "bo-service[server]"'


@contextmanager
def loading() -> Iterator[None]:
    """End the command with an installation hint if an import inside the block fails.

    Imports make no garbage: looking for it meanwhile would take a tenth of their time.
    """
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    except ImportError as error:
        sys.exit(f"bo-service: {EXTRA} ({error})")
    finally:
        if is_collecting:
            gc.enable()
