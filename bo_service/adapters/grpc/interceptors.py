"""What surrounds every call: what is known of it, a line in the log, and refusals that become statuses."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from grpc_status import rpc_status

from bo_service.adapters import calls
from bo_service.adapters.grpc.status import to_status
from bo_service.adapters.grpc.surrounding import Surrounding

logger = logging.getLogger("bo_service.grpc")

FREQUENT = ("ReportMeasurements", "WatchStudy", "Check")
"""Methods that are logged at level debug, unless they are refused."""


class CallIdentity(grpc.ServerInterceptor):
    """The outermost: says which call this is, so that every line of the log can tell."""

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        metadata = {key: value for key, value in details.invocation_metadata or () if isinstance(value, str)}
        calls.begin(calls.Call.of(str(details.method).rpartition("/")[2], metadata))
        return continuation(details)


class ErrorsToStatus(Surrounding):
    """Exceptions end a call with the status that tells them."""

    @contextmanager
    def around(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:  # noqa: ARG002 - for all methods
        try:
            yield
        except Exception as error:
            context.abort_with_status(rpc_status.to_status(to_status(error)))


class RequestLog(Surrounding):
    """One line for each call: method, outcome, milliseconds, from where."""

    @contextmanager
    def around(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            code, took = outcome(context), (time.perf_counter() - began) * 1000
            if logger.isEnabledFor(level := _level(method, code)):
                told = {"code": code, "duration_ms": round(took, 2), "peer": context.peer(), **_certificate(context)}
                logger.log(level, "%s %s %.1f ms", method, code, took, extra=told)


def _level(method: str, code: str) -> int:
    """Who isn't let in has a line of its own, of which there are only so many."""
    if code == "UNAUTHENTICATED" or (method in FREQUENT and code in ("OK", "CANCELLED")):
        return logging.DEBUG
    return logging.INFO


def outcome(context: grpc.ServicerContext) -> str:
    """The name of the code that a call ends with."""
    code: grpc.StatusCode | None = context.code()  # type: ignore[attr-defined]  # missing in the stubs
    if code is not None:
        return code.name
    return "OK" if context.is_active() else "CANCELLED"


def _certificate(context: grpc.ServicerContext) -> dict[str, str]:
    """Whose certificate the client has shown, where it has."""
    names = context.auth_context().get("x509_common_name", ())
    return {"certificate": bytes(names[0]).decode(errors="replace")} if names else {}
