"""The context of the call that a thread answers: who makes it, and how long its client waits."""

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

import grpc

from bo_service.application.authentication import ANONYMOUS_ADMIN
from bo_service.domain.access import Principal
from bo_service.domain.errors import BoError, Unauthenticated

TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
HASH_DIGITS = 16
"""Hexadecimal digits shown of a request id's hash."""
DEFAULT_TIMEOUT_S = 30.0
"""Timeout of the surrogate in seconds if the call has no deadline."""
MAX_DEADLINE_S = 3600.0
MARGIN_S, MARGIN_SHARE, MARGIN_EACH_S = 0.3, 0.15, 0.005
"""Time reserved before a deadline for quasi-random suggestions, the commit and the response."""
RESPONSE_MARGIN_S, RESPONSE_MARGIN_SHARE = 0.1, 0.05
"""Time reserved before a deadline for the error response."""


def hash_of(request_id: str) -> str:
    """Return the identifier of a request id in logs and traces: the start of its SHA-256 in hexadecimal.

    The id itself is a secret, as its owner can repeat the call and get the stored response.
    """
    return hashlib.sha256(request_id.encode()).hexdigest()[:HASH_DIGITS]


@dataclass
class RequestContext:
    """One call of one client."""

    method: str
    """Method name without the service."""
    metadata: Sequence[tuple[str, str | bytes]] = ()
    """Metadata of the call."""
    principal: Principal = ANONYMOUS_ADMIN
    study: str = ""
    caller: str = ""
    """Name of the token or of the anonymous principal; empty for unauthenticated callers."""
    client: str = ""
    """The caller, or the connection of a caller without a token; known once a lane has the call."""
    refusal: BoError | None = None
    """The reason to reject the call; its message is then not awaited."""
    is_authorized: Callable[[], bool] = lambda: True
    """Whether the principal is still authorized."""

    def require_authorized(self) -> None:
        """Check that the principal is still authorized; streams check this repeatedly.

        Raises:
            Unauthenticated: the token has been revoked or has expired since the call began, or tokens are now required.
        """
        if not self.is_authorized():
            raise Unauthenticated(f"{self.principal.name} is no longer authorized; ask an administrator for a token")

    @cached_property
    def request_id(self) -> str:
        """Hash of the client's `x-request-id`; random without one."""
        given = self._value_of("x-request-id")
        return hash_of(given) if given else secrets.token_hex(HASH_DIGITS // 2)

    @cached_property
    def trace_id(self) -> str:
        """Trace id from W3C's `traceparent`; empty without one."""
        match = TRACEPARENT.fullmatch(self._value_of("traceparent"))
        return match[1] if match else ""

    def _value_of(self, key: str) -> str:
        """Return the last text with a key of the metadata; empty without one."""
        return next((value for name, value in reversed(self.metadata) if name == key and isinstance(value, str)), "")


CURRENT: ContextVar[RequestContext] = ContextVar("call", default=RequestContext(""))  # noqa: B039 - never changed
"""The call that this thread answers; elsewhere that of an anonymous administrator, or what `get` is given instead.

gRPC runs each call in its own `contextvars` context.
"""


def timeout(context: grpc.ServicerContext, count: int = 0) -> float:
    """Return the timeout of the surrogate in seconds.

    Args:
        context: the call.
        count: number of trials that are stored afterwards.
    """
    remaining: float | None = context.time_remaining()
    if remaining is None or remaining > MAX_DEADLINE_S:  # without a deadline it is far beyond
        return DEFAULT_TIMEOUT_S
    margin = max(MARGIN_S, MARGIN_SHARE * remaining) + MARGIN_EACH_S * count
    return max(0.0, remaining - min(margin, remaining / 2))


def time_left(context: grpc.ServicerContext) -> float | None:
    """Return the seconds that the call may still wait; None without a deadline.

    The time is slightly shorter than the deadline, so that an error still arrives.
    """
    remaining: float | None = context.time_remaining()
    if remaining is None or remaining > MAX_DEADLINE_S:
        return None
    return max(0.0, remaining - min(RESPONSE_MARGIN_S, RESPONSE_MARGIN_SHARE * remaining))


def is_awaited(context: grpc.ServicerContext) -> bool:
    """Return whether the client still waits: it has not canceled or timed out."""
    remaining: float | None = context.time_remaining()
    return bool(context.is_active()) and (remaining is None or remaining > 0.0)


def is_listening(context: grpc.ServicerContext, is_stopping: Callable[[], bool]) -> Callable[[], bool]:
    """Return a function that tells whether a stream continues.

    It ends if the client leaves or loses its authorization, or the server stops.
    """
    call = CURRENT.get(None)
    return lambda: bool(context.is_active()) and not is_stopping() and (call is None or call.is_authorized())
