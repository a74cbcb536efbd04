"""Interceptors around every call: the request context, the log line, and the conversion of errors to statuses."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from grpc_status import rpc_status

from bo_service import request_context
from bo_service.rpc.context_interceptor import ContextManagerInterceptor
from bo_service.rpc.status import to_status

logger = logging.getLogger("bo_service.grpc")

FREQUENT = ("ReportMeasurements", "WatchStudy", "Check")
"""Methods that are logged at level debug unless they fail."""


class CallIdentity(grpc.ServerInterceptor):
    """The outermost interceptor: it sets the request context, so that every log line can contain it."""

    def intercept_service(self, continuation: Callable[..., Any], details: grpc.HandlerCallDetails) -> Any:
        metadata = {key: value for key, value in details.invocation_metadata or () if isinstance(value, str)}
        request_context.begin(request_context.RequestContext.of(str(details.method).rpartition("/")[2], metadata))
        return continuation(details)


class CallOutcome(ContextManagerInterceptor):
    """Ends a call with the status that tells its exception, and logs its method, status, milliseconds and peer."""

    @contextmanager
    def around(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        except Exception as error:
            context.abort_with_status(rpc_status.to_status(to_status(error)))
        finally:
            code, took = outcome(context), (time.perf_counter() - began) * 1000
            is_logged_elsewhere = code == "UNAUTHENTICATED"  # by a line whose rate is limited
            is_frequent = method in FREQUENT and code in ("OK", "CANCELLED")
            level = logging.DEBUG if is_logged_elsewhere or is_frequent else logging.INFO
            if logger.isEnabledFor(level):
                fields = {"code": code, "duration_ms": round(took, 2), "peer": context.peer(), **_certificate(context)}
                if (
                    call := request_context.current()
                ) is None or not call.caller:  # a stranger, as whoever asks for health
                    fields["kind"] = f"{method} {code}"
                logger.log(level, "%s %s %.1f ms", method, code, took, extra=fields)


def outcome(context: grpc.ServicerContext) -> str:
    """Return the name of the status code that a call ends with."""
    code: grpc.StatusCode | None = context.code()  # type: ignore[attr-defined]  # missing in the stubs
    if code is not None:
        return code.name
    return "OK" if context.is_active() else "CANCELLED"


def _certificate(context: grpc.ServicerContext) -> dict[str, str]:
    """Return the common name of the client's certificate, if it sent one."""
    names = context.auth_context().get("x509_common_name", ())
    return {"certificate": bytes(names[0]).decode(errors="replace")} if names else {}
