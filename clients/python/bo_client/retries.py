"""Retries of calls while the server does not respond or is overloaded."""

import logging
import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TypeVar

from bo_client.errors import BoClientError, DeadlineExceeded, LimitExceeded, ServerUnavailable

T = TypeVar("T")

logger = logging.getLogger("bo_client")

FIRST_DELAY, MAX_DELAY = 0.1, 1.0
"""Seconds; the maximum is short, so that a restarted server is found soon."""
MAX_DELAY_FACTOR = 8.0
"""Maximum factor of the server's own delay after repeated rejections."""
SILENCE_WARNING_S = 2.0
"""Seconds after which it is logged that no server responds."""


def new_request_id() -> str:
    """Return an id for one logical call and all its retries."""
    return uuid.uuid4().hex


def is_unanswered(error: BoClientError) -> bool:
    """Return whether the call got no response: no server, or a network outage. A slow server reports itself as such."""
    if isinstance(error, DeadlineExceeded):
        return error.reason == DeadlineExceeded.default_reason
    return isinstance(error, ServerUnavailable) and not is_hopeless(error)


def is_hopeless(error: BoClientError, waits_for_server: bool = True) -> bool:
    """Return whether a retry would fail too, as this client has never been connected to the server.

    Args:
        error: the error.
        waits_for_server: whether a server may still be started.
    """
    return error.reason == "WRONG_CONNECTION" or (error.reason == "NO_SERVER" and not waits_for_server)


def call_with_retries(
    attempt: Callable[[float | None], T],
    patience: float,
    may_stall: bool = True,
    waits_for_server: bool = True,
    wait: Callable[[float], object] = time.sleep,
    deadline: float = 0.0,
    is_urgent: bool = False,
) -> T:
    """Return what `attempt` returns, with retries while the server does not respond or is overloaded.

    Args:
        attempt: makes one attempt with a timeout in seconds; None for the default.
        patience: seconds without a response after which the error is raised.
        may_stall: whether an attempt that ended by its own timeout is retried.
        waits_for_server: whether to retry even if there has never been a server.
        wait: waits for a number of seconds; returns True to end the retries.
        deadline: seconds for which an overloaded server is retried, if it requests a delay.
        is_urgent: whether repeated rejections leave the delay constant, for heartbeats.
    """
    began = time.monotonic()
    waits, pauses = delays(), spread(1.0 if is_urgent else MAX_DELAY_FACTOR)
    is_logged = False
    left: float | None = None
    while True:
        try:
            response = attempt(left)
        except LimitExceeded as error:
            if error.retry_delay is None:
                raise
            pause = max(FIRST_DELAY, error.retry_delay) * next(pauses)
            if time.monotonic() + pause >= began + deadline or wait(pause) is True:
                raise
            left = began + deadline - time.monotonic()
        except (ServerUnavailable, DeadlineExceeded) as error:
            silence_s = time.monotonic() - began
            remaining = patience - silence_s
            is_stall = isinstance(error, DeadlineExceeded)
            is_over = remaining <= 0 or not is_unanswered(error) or is_hopeless(error, waits_for_server)
            if is_over or (is_stall and not may_stall):
                raise
            if silence_s >= SILENCE_WARNING_S and not is_logged:
                is_logged = True
                logger.warning("%s; retrying for %.0f s", error, remaining)
            if wait(min(next(waits), remaining)) is True:
                raise
        else:
            if is_logged:
                logger.warning("the server responds again after %.0f s", time.monotonic() - began)
            return response


def spread(limit: float) -> Iterator[float]:
    """Yield factors of the server's delay: at least 1, doubling up to a limit, with jitter."""
    factor = 1.0
    while True:
        yield factor * random.uniform(1.0, 1.5)
        factor = min(2 * factor, limit)


def delays() -> Iterator[float]:
    """Yield seconds to wait before each attempt: doubling, with jitter, so that clients do not synchronize."""
    delay = FIRST_DELAY
    while True:
        yield delay * random.uniform(0.5, 1.0)
        delay = min(2 * delay, MAX_DELAY)
