"""The call that a thread is answering: for logs, traces, and whoever asks who calls."""

import re
import secrets
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from bo_service.application.door import EVERYBODY
from bo_service.core.access import Principal
from bo_service.core.errors import BoError

TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


@dataclass
class Call:
    """One call of one client."""

    method: str
    """Its bare name."""
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    """The client's own, from `x-request-id`, where that is harmless in a log."""
    trace_id: str = ""
    """Of the trace that the call belongs to, from W3C's `traceparent`; empty without one."""
    principal: Principal = EVERYBODY
    study: str = ""
    caller: str = ""
    """Name of the token that was shown, or of everybody; empty for strangers."""
    refusal: BoError | None = None
    """Why the call isn't answered: its message is then not awaited."""
    is_welcome: Callable[[], bool] = lambda: True
    """Whether who was let in would be let in again."""

    @classmethod
    def of(cls, method: str, metadata: Mapping[str, str]) -> "Call":
        """A call with what its metadata says of it."""
        call = cls(method)
        if REQUEST_ID.fullmatch(given := metadata.get("x-request-id", "")):
            call.request_id = given
        if found := TRACEPARENT.fullmatch(metadata.get("traceparent", "")):
            call.trace_id = found[1]
        return call


_CURRENT: ContextVar[Call | None] = ContextVar("call", default=None)


def begin(call: Call) -> None:
    """Says what this thread answers; gRPC gives each call a context of its own, which ends with it."""
    _CURRENT.set(call)


def current() -> Call | None:
    """None outside of calls."""
    return _CURRENT.get()


def required() -> Call:
    """That of a thread that answers one."""
    call = current()
    if call is None:
        raise LookupError("no call has begun here")
    return call


def principal() -> Principal:
    """Who calls; anyone, outside of calls."""
    call = current()
    return call.principal if call else EVERYBODY


def is_welcome() -> bool:
    """Whether who calls would be let in again; streams ask while they go on."""
    call = current()
    return call is None or call.is_welcome()
