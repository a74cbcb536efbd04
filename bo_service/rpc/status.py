"""Conversion of errors to gRPC statuses with details: always ErrorInfo, and BadRequest for invalid fields."""

import logging
import secrets
from collections.abc import Callable
from itertools import accumulate

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from bo_service.domain import errors
from bo_service.domain.errors import BoError, InvalidArgument

logger = logging.getLogger("bo_service.grpc")

DOMAIN = "bo_api.v1"
RETRY_DELAY_S = 1
MAX_VIOLATIONS = 20
# Clients refuse trailers beyond 8 KiB, and with them the answer. Two trailers are long: the message, in which each
# byte that isn't printable ASCII takes three, and the serialized status, of which base64 takes four bytes for three.
MAX_MESSAGE_BYTES = 1000
MAX_STATUS_BYTES = 5000
MAX_FIELD_BYTES = 200
MAX_DESCRIPTION_BYTES = 1000
PACKING_BYTES = 64  # around a packed BadRequest

STATUS: dict[type[BoError], grpc.StatusCode] = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.RequestIdReused: grpc.StatusCode.INVALID_ARGUMENT,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.WrongState: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ObjectiveMismatch: grpc.StatusCode.FAILED_PRECONDITION,
    errors.UnknownLease: grpc.StatusCode.FAILED_PRECONDITION,
    errors.NotEnoughData: grpc.StatusCode.FAILED_PRECONDITION,
    errors.AlgorithmNotInstalled: grpc.StatusCode.FAILED_PRECONDITION,
    errors.NoConfigurationFound: grpc.StatusCode.FAILED_PRECONDITION,
    errors.LimitExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlinePassed: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.StorageUnavailable: grpc.StatusCode.UNAVAILABLE,
    errors.TransactionConflict: grpc.StatusCode.UNAVAILABLE,
    errors.StartupError: grpc.StatusCode.INTERNAL,
}


def to_status(error: Exception) -> Status:
    """Return the status of an error. An internal error is logged, and its status contains only a number."""
    if not isinstance(error, BoError):
        return _internal(error)
    status = Status(code=_number(STATUS[type(error)]), message=_cut(error.message, MAX_MESSAGE_BYTES, _percent_encoded))
    _add(status, ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))
    if isinstance(error, errors.Overloaded):
        _add(status, RetryInfo(retry_delay=Duration(seconds=RETRY_DELAY_S)))
    if isinstance(error, InvalidArgument):
        _add(status, _bad_request(error, MAX_STATUS_BYTES - status.ByteSize()))
    return status


def _bad_request(error: InvalidArgument, max_bytes: int) -> BadRequest:
    """Return the violations that fit into a number of bytes; the first always fits."""
    details = BadRequest()
    for violation in error.violations[:MAX_VIOLATIONS]:
        details.field_violations.add(
            field=_cut(violation.field, MAX_FIELD_BYTES, _utf8),
            description=_cut(violation.description, MAX_DESCRIPTION_BYTES, _utf8),
        )
        if details.ByteSize() > max_bytes - PACKING_BYTES:
            del details.field_violations[-1]
            break
    return details


def _cut(text: str, limit: int, cost: Callable[[str], int]) -> str:
    """Return the text, truncated with an ellipsis if its characters cost more than the limit."""
    if len(text) <= limit and text.isascii() and text.isprintable() and "%" not in text:  # each character costs 1
        return text
    head = text[: limit + 1]  # no character costs less than 1
    if sum(map(cost, head)) <= limit and len(head) == len(text):
        return text
    ellipsis = "…"
    num_kept = sum(1 for total in accumulate(map(cost, head)) if total <= limit - cost(ellipsis))
    return text[:num_kept] + ellipsis


def _utf8(character: str) -> int:
    return len(character.encode())


def _percent_encoded(character: str) -> int:
    """Return the bytes of a character in the trailer `grpc-message`."""
    return 1 if " " <= character <= "~" and character != "%" else 3 * _utf8(character)


def _internal(error: Exception) -> Status:
    number = secrets.token_hex(4)
    logger.error("internal error %s", number, exc_info=error, extra={"kind": "faults"})
    status = Status(code=Code.INTERNAL, message=f"internal server error {number}; see the server's log")
    _add(status, ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"fault": number}))
    return status


def _add(status: Status, detail: ErrorInfo | BadRequest | RetryInfo) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)


def _number(code: grpc.StatusCode) -> int:
    number: int = code.value[0]
    return number
