"""Patience: what is tried again while nobody answers, and how often."""

import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TypeVar

from bo_client.errors import ServerUnavailable

T = TypeVar("T")

FIRST_DELAY, LONGEST_DELAY = 0.1, 1.0
"""Seconds; the longest is short, so that a server that is back is soon found."""


def new_request_id() -> str:
    """For one logical call and all of its retries."""
    return uuid.uuid4().hex


def patiently(attempt: Callable[[], T], patience: float) -> T:
    """What `attempt` returns, tried again for `patience` seconds while it raises ServerUnavailable."""
    end = time.monotonic() + patience
    waits = delays()
    while True:
        try:
            return attempt()
        except ServerUnavailable:
            left = end - time.monotonic()
            if left <= 0:
                raise
            time.sleep(min(next(waits), left))


def delays() -> Iterator[float]:
    """Seconds to wait before each further attempt: doubling, spread so that clients don't march in step."""
    delay = FIRST_DELAY
    while True:
        yield delay * random.uniform(0.5, 1.0)
        delay = min(2 * delay, LONGEST_DELAY)
