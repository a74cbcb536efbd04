"""Patience: what is tried again while nobody answers, and how often."""

import logging
import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TypeVar

from bo_client.errors import BoClientError, DeadlineExceeded, ServerUnavailable

T = TypeVar("T")

logger = logging.getLogger("bo_client")

FIRST_DELAY, LONGEST_DELAY = 0.1, 1.0
"""Seconds; the longest is short, so that a server that is back is soon found."""
SILENT_FOR = 2.0
"""Seconds after which it is said that no server answers."""


def new_request_id() -> str:
    """For one logical call and all of its retries."""
    return uuid.uuid4().hex


def is_silence(error: BoClientError) -> bool:
    """Whether nobody answered: nobody is there, or the network stalls. A server that is too slow says so itself."""
    if isinstance(error, DeadlineExceeded):
        return error.reason == DeadlineExceeded.default_reason
    return isinstance(error, ServerUnavailable) and not is_hopeless(error)


def is_hopeless(error: BoClientError, waits_for_server: bool = True) -> bool:
    """Whether the next try would fail too, as this client and the server have never been connected.

    Args:
        waits_for_server: whether a server may yet be started where none listens.
    """
    return error.reason == "WRONG_CONNECTION" or (error.reason == "NO_SERVER" and not waits_for_server)


def patiently(
    attempt: Callable[[], T],
    patience: float,
    may_stall: bool = True,
    waits_for_server: bool = True,
    wait: Callable[[float], object] = time.sleep,
) -> T:
    """What `attempt` returns, tried again for `patience` seconds while nobody answers, which is said after a while.

    Args:
        may_stall: whether that counts where an attempt has ended by its own timeout.
        waits_for_server: whether it counts where there has never been a server.
        wait: waits so many seconds; ends the patience by returning True.
    """
    began = time.monotonic()
    waits = delays()
    is_told = False
    while True:
        try:
            answer = attempt()
        except (ServerUnavailable, DeadlineExceeded) as error:
            silent = time.monotonic() - began
            left = patience - silent
            is_stall = isinstance(error, DeadlineExceeded)
            is_over = left <= 0 or not is_silence(error) or is_hopeless(error, waits_for_server)
            if is_over or (is_stall and not may_stall):
                raise
            if silent >= SILENT_FOR and not is_told:
                is_told = True
                logger.warning("%s; trying again for %.0f s", error, left)
            if wait(min(next(waits), left)) is True:
                raise
        else:
            if is_told:
                logger.warning("the server answers again after %.0f s", time.monotonic() - began)
            return answer


def delays() -> Iterator[float]:
    """Seconds to wait before each further attempt: doubling, spread so that clients don't march in step."""
    delay = FIRST_DELAY
    while True:
        yield delay * random.uniform(0.5, 1.0)
        delay = min(2 * delay, LONGEST_DELAY)
