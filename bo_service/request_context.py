"""The context of the call that a thread answers, for logs, traces and authorization."""

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from bo_service.application.authentication import ANONYMOUS_ADMIN
from bo_service.domain.access import Principal
from bo_service.domain.errors import BoError, Unauthenticated

TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
HASH_DIGITS = 16
"""Hexadecimal digits shown of a request id's hash."""


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
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    """Hash of the client's `x-request-id`; random without one."""
    trace_id: str = ""
    """Trace id from W3C's `traceparent`; empty without one."""
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

    @classmethod
    def of(cls, method: str, metadata: Mapping[str, str]) -> "RequestContext":
        """Return the context of a call.

        Args:
            method: method name without the service.
            metadata: metadata of the call.
        """
        client_request_id = metadata.get("x-request-id")
        call = cls(method, hash_of(client_request_id)) if client_request_id else cls(method)
        if match := TRACEPARENT.fullmatch(metadata.get("traceparent", "")):
            call.trace_id = match[1]
        return call


_CURRENT: ContextVar[RequestContext | None] = ContextVar("call", default=None)


def begin(call: RequestContext) -> None:
    """Set the context of this thread's call; gRPC runs each call in its own `contextvars` context."""
    _CURRENT.set(call)


def current() -> RequestContext | None:
    """Return the context of this thread's call; None outside of calls."""
    return _CURRENT.get()


def required() -> RequestContext:
    """Return the context of this thread's call.

    Raises:
        LookupError: the thread answers no call.
    """
    call = current()
    if call is None:
        raise LookupError("this thread answers no call")
    return call


def principal() -> Principal:
    """Return the principal of this thread's call; the anonymous administrator outside of calls."""
    call = current()
    return call.principal if call else ANONYMOUS_ADMIN


def is_authorized() -> bool:
    """Return whether the principal is still authorized; streams check this repeatedly."""
    call = current()
    return call is None or call.is_authorized()


def require_authorized() -> None:
    """Check that the principal is still authorized.

    Raises:
        Unauthenticated: the token has been revoked or has expired since the call began, or tokens are now required.
    """
    if not is_authorized():
        raise Unauthenticated(f"{principal().name} is no longer authorized; ask an administrator for a token")
