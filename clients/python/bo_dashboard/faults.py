"""What went wrong, as the Connect protocol tells it: HTTP's status, a code, a message, and the server's details."""

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

from bo_dashboard.upstream import OpenDoor

EXPECTED = (OpenDoor, BoClientError, grpc.aio.AioRpcError)
"""What refusals are made of; all else is a fault of ours."""
KINDS = {kind.DESCRIPTOR.full_name: kind for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest)}
CODES: dict[grpc.StatusCode, Code] = {
    status: Code("canceled" if status is grpc.StatusCode.CANCELLED else status.name.lower())
    for status in grpc.StatusCode
    if status is not grpc.StatusCode.OK
}
OURS: dict[type[BoClientError], Code] = {
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
"""What isn't here is UNKNOWN."""
STATUS: dict[Code, int] = {
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
"""As the protocol has them; what isn't here is 500."""


class ReadableDetail(ErrorDetail):
    """A detail of google.rpc, told in plain JSON beside its bytes, as the protocol allows: curl reads no protobuf."""

    def __init__(self, detail: AnyMessage) -> None:
        super().__init__(ConnectAny(type_url=detail.type_url, value=detail.value))
        self._detail = detail

    def value(self, *_: object) -> Any:
        """A struct of the same content; None for messages that we don't know."""
        plain = self.plain
        return None if plain is None else Struct.from_json(json.dumps(plain))

    @property
    def plain(self) -> dict[str, Any] | None:
        """The content; None for messages that we don't know."""
        kind = KINDS.get(self.type_name)
        found: dict[str, Any] | None = None if kind is None else MessageToDict(kind.FromString(self._detail.value))
        return found


def connect_error(error: Exception) -> ConnectError:
    """The same refusal in Connect's words; anything else is raised again."""
    if isinstance(error, OpenDoor):
        return ConnectError(Code.PERMISSION_DENIED, error.message)
    if isinstance(error, BoClientError):
        details = [ReadableDetail(_bad_request(error))] if isinstance(error, InvalidRequest) else []
        return ConnectError(_code(error), error.message, details)
    if isinstance(error, grpc.aio.AioRpcError):
        return ConnectError(CODES[error.code()], error.details() or "", [ReadableDetail(d) for d in _details(error)])
    raise error


def content_of(error: Exception) -> dict[str, Any]:
    """The refusal as JSON."""
    told = connect_error(error)
    details = [_told(detail) for detail in told.details]
    return {"code": told.code.value, "message": told.message, **({"details": details} if details else {})}


def _told(detail: ErrorDetail) -> dict[str, Any]:
    plain = detail.plain if isinstance(detail, ReadableDetail) else None
    found = {"type": detail.type_name, "value": b64encode(detail.message_bytes).decode().rstrip("=")}
    return found if plain is None else {**found, "debug": plain}


def status_of(error: Exception) -> int:
    """HTTP's status."""
    return STATUS.get(connect_error(error).code, 500)


def _code(error: BoClientError) -> Code:
    if error.reason == "UNAUTHENTICATED":
        return Code.UNAUTHENTICATED
    return OURS.get(type(error), Code.UNKNOWN)


def _details(error: grpc.aio.AioRpcError) -> list[AnyMessage]:
    """google.rpc's, as they came."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            return list(status_pb2.Status.FromString(value).details)
    return []


def _bad_request(error: InvalidRequest) -> AnyMessage:
    violation = error_details_pb2.BadRequest.FieldViolation
    found = [violation(field=v.field, description=v.description) for v in error.violations]
    packed = AnyMessage()
    packed.Pack(error_details_pb2.BadRequest(field_violations=found))
    return packed
