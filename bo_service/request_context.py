"""The context of the call that a thread answers, for logs, traces and authorization."""

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

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
    call = _CURRENT.get()
    if call is None:
        raise LookupError("this thread answers no call")
    return call


def principal() -> Principal:
    """Return the principal of this thread's call; the anonymous administrator outside of calls."""
    call = _CURRENT.get()
    return call.principal if call else ANONYMOUS_ADMIN
