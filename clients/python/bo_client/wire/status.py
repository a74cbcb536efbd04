"""Conversion of gRPC statuses to the client's errors, with the details of google.rpc."""

import grpc
from google.rpc import error_details_pb2, status_pb2

from bo_client.errors import (
    AlreadyExists,
    BoClientError,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    NotSupported,
    PermissionDenied,
    ServerUnavailable,
    UnexpectedError,
    Violation,
)

ERRORS: dict[grpc.StatusCode, type[BoClientError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.ABORTED: FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitExceeded,
    grpc.StatusCode.UNIMPLEMENTED: NotSupported,
    grpc.StatusCode.UNAVAILABLE: ServerUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.UNAUTHENTICATED: PermissionDenied,
}
"""What isn't here is an UnexpectedError."""
CODES = {int(code.value[0]): code for code in grpc.StatusCode}
"""By their numbers."""


def error_of(error: grpc.RpcError, address: str, timeout: float | None, is_closed: bool = False) -> BoClientError:
    """Return the client's error for a failed call.

    A server that shuts down cancels calls that it has not begun, so CANCELLED counts as unavailable unless this client
    canceled.

    Args:
        error: gRPC's error.
        address: the server's address.
        timeout: the call's timeout in seconds.
        is_closed: whether this client itself may have canceled the call.
    """
    if not isinstance(error, grpc.Call):
        return UnexpectedError(f"the call failed: {error}")
    code = error.code()
    kind = ERRORS.get(code, UnexpectedError)
    if code is grpc.StatusCode.CANCELLED and not is_closed:
        kind = ServerUnavailable
    return _error(kind, code, error.details() or "", _status_in(error), address, timeout)


def error_of_status(status: status_pb2.Status, address: str, timeout: float | None) -> BoClientError:
    """Return our error for a call that ended with this status, not OK."""
    code = CODES[status.code]
    return _error(ERRORS.get(code, UnexpectedError), code, status.message, status, address, timeout)


def _error(
    kind: type[BoClientError],
    code: grpc.StatusCode,
    text: str,
    status: status_pb2.Status,
    address: str,
    timeout: float | None,
) -> BoClientError:
    info, violations, retry_delay = _details(status)
    message = _message(kind, text, address, timeout, by_server=bool(info.reason))
    metadata = dict(info.metadata)
    if kind is InvalidRequest:
        return InvalidRequest(message, info.reason, metadata, violations)
    if kind is UnexpectedError:
        return UnexpectedError(message, info.reason or code.name, metadata)
    if kind is LimitExceeded:
        exceeded = LimitExceeded(message, info.reason, metadata)
        exceeded.retry_delay = retry_delay
        return exceeded
    return kind(message, info.reason, metadata)


def is_silent(error: grpc.RpcError) -> bool:
    """Return whether no server has responded, as far as can be told."""
    codes = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
    return not isinstance(error, grpc.Call) or (error.code() in codes and not _details(_status_in(error))[0].reason)


def _status_in(call: grpc.Call) -> status_pb2.Status:
    """Return the status with its details that the call's trailers hold; an empty one where they hold none."""
    trailers = call.trailing_metadata() or ()
    statuses = (value for key, value in trailers if key == "grpc-status-details-bin" and isinstance(value, bytes))
    return status_pb2.Status.FromString(next(statuses, b""))


def _details(
    status: status_pb2.Status,
) -> tuple[error_details_pb2.ErrorInfo, tuple[Violation, ...], float | None]:
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry, retry_delay = error_details_pb2.RetryInfo(), None
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad_request)
        if detail.Unpack(retry):
            retry_delay = max(0.0, retry.retry_delay.ToTimedelta().total_seconds())
    return info, tuple(Violation(v.field, v.description) for v in bad_request.field_violations), retry_delay


def _message(kind: type[BoClientError], details: str, address: str, timeout: float | None, by_server: bool) -> str:
    if by_server:
        return details
    if kind is ServerUnavailable:
        message = details.removesuffix(": OK")
        cause = message.rpartition(": ")[2] if "last error" in details else message  # gRPC tells its whole way there
        return f"no server answers at {address}; is it running, and is the address right? ({cause})"
    if kind is DeadlineExceeded:
        return f"no answer from {address} within {timeout:g} s; the call may still have had its effect"
    if kind is NotSupported:
        return f"what answers at {address} has no such call: it is no bo-service, or an older one ({details})"
    return details or f"{address} gave no details"
