"""Refusals as gRPC statuses, with details for programs: ErrorInfo always, BadRequest where fields are at fault."""

import logging
import secrets

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from bo_service.core import errors
from bo_service.core.errors import BoError, InvalidArgument

logger = logging.getLogger("bo_service.grpc")

DOMAIN = "bo_api.v1"
MAX_VIOLATIONS = 20
MAX_TEXT = 1000
"""Details travel in trailers, which clients take up to 8 KiB of."""
MAX_DETAIL_BYTES = 4000

STATUS: dict[type[BoError], grpc.StatusCode] = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.RequestIdReused: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.WrongState: grpc.StatusCode.FAILED_PRECONDITION,
    errors.WrongLease: grpc.StatusCode.FAILED_PRECONDITION,
    errors.NotEnoughData: grpc.StatusCode.FAILED_PRECONDITION,
    errors.LimitExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlinePassed: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.NotSupportedYet: grpc.StatusCode.UNIMPLEMENTED,
    errors.StorageUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.StartupError: grpc.StatusCode.INTERNAL,
}


def status_of(error: Exception) -> Status:
    """The status that tells a refusal; a fault of ours is logged, and told by a number alone."""
    if not isinstance(error, BoError):
        return _internal(error)
    status = Status(code=_number(STATUS[type(error)]), message=error.message[:MAX_TEXT])
    _add(status, ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))
    if isinstance(error, InvalidArgument):
        _add(status, _bad_request(error))
    return status


def _bad_request(error: InvalidArgument) -> BadRequest:
    """As many violations as fit."""
    found = BadRequest()
    for violation in error.violations[:MAX_VIOLATIONS]:
        told = BadRequest.FieldViolation(field=violation.field[:200], description=violation.description[:MAX_TEXT])
        if found.ByteSize() + told.ByteSize() > MAX_DETAIL_BYTES:
            break
        found.field_violations.append(told)
    return found


def _internal(error: Exception) -> Status:
    number = secrets.token_hex(4)
    logger.error("fault %s", number, exc_info=error)
    status = Status(code=Code.INTERNAL, message=f"a fault of the server, number {number}; its log says more")
    _add(status, ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"fault": number}))
    return status


def _add(status: Status, detail: ErrorInfo | BadRequest) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)


def _number(code: grpc.StatusCode) -> int:
    number: int = code.value[0]
    return number
