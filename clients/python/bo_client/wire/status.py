"""gRPC's statuses, turned into this client's errors with all that google.rpc's details tell."""

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


def error_of(error: grpc.RpcError, address: str, timeout: float | None, is_closed: bool = False) -> BoClientError:
    """Our error for a failed call; `is_closed` says that this client itself may have cancelled it.

    A server that ends cancels calls that have reached it and weren't begun: it isn't there for them.
    """
    if not isinstance(error, grpc.Call):
        return UnexpectedError(f"the call failed: {error}")
    code = error.code()
    kind = ERRORS.get(code, UnexpectedError)
    if code is grpc.StatusCode.CANCELLED and not is_closed:
        kind = ServerUnavailable
    info, violations = _details(error)
    message = _message(kind, error.details() or "", address, timeout, by_server=bool(info.reason))
    metadata = dict(info.metadata)
    if kind is InvalidRequest:
        return InvalidRequest(message, info.reason, metadata, violations)
    if kind is UnexpectedError:
        return UnexpectedError(message, info.reason or code.name, metadata)
    return kind(message, info.reason, metadata)


def is_silent(error: grpc.RpcError) -> bool:
    """Whether no server has answered, as far as can be told."""
    codes = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
    return not isinstance(error, grpc.Call) or (error.code() in codes and not _details(error)[0].reason)


def _details(call: grpc.Call) -> tuple[error_details_pb2.ErrorInfo, tuple[Violation, ...]]:
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for key, value in call.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                detail.Unpack(info)
                detail.Unpack(bad_request)
    return info, tuple(Violation(v.field, v.description) for v in bad_request.field_violations)


def _message(kind: type[BoClientError], details: str, address: str, timeout: float | None, by_server: bool) -> str:
    if by_server:
        return details
    if kind is ServerUnavailable:
        told = details.removesuffix(": OK")
        cause = told.rpartition(": ")[2] if "last error" in details else told  # gRPC tells its whole way there
        return f"no server answers at {address}; is it running, and is the address right? ({cause})"
    if kind is DeadlineExceeded:
        return f"no answer from {address} within {timeout:g} s; the call may still have had its effect"
    if kind is NotSupported:
        return f"what answers at {address} has no such call: it is no bo-service, or an older one ({details})"
    return details or f"{address} gave no details"
