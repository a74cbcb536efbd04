"""Errors in the Connect protocol: HTTP status, code, message and the server's details."""

import json
from base64 import b64encode
from typing import Any

import grpc
from bo_client import errors
from bo_client.errors import BoClientError, InvalidRequest
from connectrpc.code import Code
from connectrpc.errors import ConnectError, ErrorDetail
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2, status_pb2
from protobuf.wkt import Any as ConnectAny
from protobuf.wkt import Struct

from bo_dashboard.upstream import AnonymousAccess

EXPECTED = (AnonymousAccess, BoClientError, grpc.aio.AioRpcError)
"""Exceptions that are reported to the caller; all others are errors of the dashboard."""
KINDS = {kind.DESCRIPTOR.full_name: kind for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest)}
CODES: dict[grpc.StatusCode, Code] = {
    status: Code("canceled" if status is grpc.StatusCode.CANCELLED else status.name.lower())
    for status in grpc.StatusCode
    if status is not grpc.StatusCode.OK
}
CLIENT_CODES: dict[type[BoClientError], Code] = {
    errors.InvalidRequest: Code.INVALID_ARGUMENT,
    errors.NotFound: Code.NOT_FOUND,
    errors.AlreadyExists: Code.ALREADY_EXISTS,
    errors.FailedPrecondition: Code.FAILED_PRECONDITION,
    errors.LimitExceeded: Code.RESOURCE_EXHAUSTED,
    errors.NotSupported: Code.UNIMPLEMENTED,
    errors.ServerUnavailable: Code.UNAVAILABLE,
    errors.DeadlineExceeded: Code.DEADLINE_EXCEEDED,
    errors.PermissionDenied: Code.PERMISSION_DENIED,
}
"""The code of each error of the client; UNKNOWN for others."""
HTTP_STATUS: dict[Code, int] = {
    Code.CANCELED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}
"""The HTTP status of each code, as the protocol defines them; 500 for others."""


class ReadableDetail(ErrorDetail):
    """A detail of google.rpc, in JSON beside its bytes, as the protocol allows: curl cannot read protobuf."""

    def __init__(self, detail: AnyMessage) -> None:
        super().__init__(ConnectAny(type_url=detail.type_url, value=detail.value))
        self._detail = detail

    def value(self, *_: object) -> Any:
        """Return a struct with the content; None for an unknown type of message."""
        plain = self.plain
        return None if plain is None else Struct.from_json(json.dumps(plain))

    @property
    def plain(self) -> dict[str, Any] | None:
        """The content; None for an unknown type of message."""
        kind = KINDS.get(self.type_name)
        content: dict[str, Any] | None = None if kind is None else MessageToDict(kind.FromString(self._detail.value))
        return content


def connect_error(error: Exception) -> ConnectError:
    """Return an error as one of the Connect protocol.

    Raises:
        Exception: the error itself, if it is not an expected one.
    """
    if isinstance(error, AnonymousAccess):
        return ConnectError(Code.PERMISSION_DENIED, error.message)
    if isinstance(error, BoClientError):
        details = [ReadableDetail(_bad_request(error))] if isinstance(error, InvalidRequest) else []
        return ConnectError(_code(error), error.message, details)
    if isinstance(error, grpc.aio.AioRpcError):
        return ConnectError(CODES[error.code()], error.details() or "", [ReadableDetail(d) for d in _details(error)])
    raise error


def content_of(error: Exception) -> dict[str, Any]:
    """Return an error as the JSON content of a response."""
    refusal = connect_error(error)
    details = [_detail_record(detail) for detail in refusal.details]
    return {"code": refusal.code.value, "message": refusal.message, **({"details": details} if details else {})}


def _detail_record(detail: ErrorDetail) -> dict[str, Any]:
    plain = detail.plain if isinstance(detail, ReadableDetail) else None
    record = {"type": detail.type_name, "value": b64encode(detail.message_bytes).decode().rstrip("=")}
    return record if plain is None else {**record, "debug": plain}


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error."""
    return HTTP_STATUS.get(connect_error(error).code, 500)


def _code(error: BoClientError) -> Code:
    if error.reason == "UNAUTHENTICATED":
        return Code.UNAUTHENTICATED
    return CLIENT_CODES.get(type(error), Code.UNKNOWN)


def _details(error: grpc.aio.AioRpcError) -> list[AnyMessage]:
    """Return the google.rpc details of an error."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            return list(status_pb2.Status.FromString(value).details)
    return []


def _bad_request(error: InvalidRequest) -> AnyMessage:
    violation = error_details_pb2.BadRequest.FieldViolation
    violations = [violation(field=v.field, description=v.description) for v in error.violations]
    packed = AnyMessage()
    packed.Pack(error_details_pb2.BadRequest(field_violations=violations))
    return packed
