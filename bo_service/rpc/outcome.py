"""The outcome of a call: errors become statuses, and each call has a log line."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from grpc_status import rpc_status

from bo_service import request_context
from bo_service.rpc.status import to_status

logger = logging.getLogger("bo_service.grpc")

FREQUENT = ("ReportMeasurements", "WatchStudy", "Check")
"""Methods that are logged at level debug unless they fail."""


@contextmanager
def reported(method: str, context: grpc.ServicerContext) -> Iterator[None]:
    """End a call with the status of its exception, and log its method, status, milliseconds and peer.

    Args:
        method: method name without the service.
        context: the call.
    """
    began = time.perf_counter()
    try:
        yield
    except Exception as error:
        refuse(error, context)
    finally:
        code, took = outcome(context), (time.perf_counter() - began) * 1000
        is_frequent = method in FREQUENT and code in ("OK", "CANCELLED")
        level = logging.DEBUG if is_frequent else logging.INFO
        if logger.isEnabledFor(level):
            fields = {"code": code, "duration_ms": round(took, 2), "peer": context.peer(), **_certificate(context)}
            if (call := request_context.current()) is None or not call.caller:  # a stranger, as whoever asks for health
                fields["kind"] = f"{method} {code}"
            logger.log(level, "%s %s %.1f ms", method, code, took, extra=fields)


def refuse(error: Exception, context: grpc.ServicerContext) -> None:
    """End a call with the status of an error.

    Raises:
        Exception: always, as gRPC ends calls so.
    """
    context.abort_with_status(rpc_status.to_status(to_status(error)))


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
