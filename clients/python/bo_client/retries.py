"""Patience: what is tried again while nobody answers, and how often."""

import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TypeVar

from bo_client.errors import BoClientError, DeadlineExceeded, ServerUnavailable

T = TypeVar("T")

FIRST_DELAY, LONGEST_DELAY = 0.1, 1.0
"""Seconds; the longest is short, so that a server that is back is soon found."""


def new_request_id() -> str:
    """For one logical call and all of its retries."""
    return uuid.uuid4().hex


def is_silence(error: BoClientError) -> bool:
    """Whether nobody answered: nobody is there, or the network stalls. A server that is too slow says so itself."""
    if isinstance(error, DeadlineExceeded):
        return error.reason == DeadlineExceeded.default_reason
    return isinstance(error, ServerUnavailable)


def patiently(attempt: Callable[[], T], patience: float, may_stall: bool = True) -> T:
    """What `attempt` returns, tried again for `patience` seconds while nobody answers.

    Args:
        may_stall: whether that counts where an attempt has ended by its own timeout.
    """
    end = time.monotonic() + patience
    waits = delays()
    while True:
        try:
            return attempt()
        except (ServerUnavailable, DeadlineExceeded) as error:
            left = end - time.monotonic()
            is_stall = isinstance(error, DeadlineExceeded)
            if left <= 0 or not is_silence(error) or (is_stall and not may_stall):
                raise
            time.sleep(min(next(waits), left))


def delays() -> Iterator[float]:
    """Seconds to wait before each further attempt: doubling, spread so that clients don't march in step."""
    delay = FIRST_DELAY
    while True:
        yield delay * random.uniform(0.5, 1.0)
        delay = min(2 * delay, LONGEST_DELAY)
