"""Every error of the tree becomes a status that programs understand, and that fits into what clients accept."""

import base64
from urllib.parse import quote

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from hypothesis import given
from hypothesis import strategies as st

from bo_service.domain import errors
from bo_service.domain.errors import BoError, InvalidArgument, Violation
from bo_service.rpc.status import STATUS, to_status

CLIENTS_LIMIT = 8192
OTHER_TRAILERS = 300
"""What `grpc-status`, the keys, and HTTP/2's 32 bytes for each entry take."""


def leaves(kind: type[BoError]) -> set[type[BoError]]:
    below = kind.__subclasses__()
    return {kind} if not below else set().union(*(leaves(k) for k in below))


def details(status):
    found = {}
    for detail in status.details:
        for kind in (ErrorInfo, BadRequest):
            if detail.Is(kind.DESCRIPTOR):
                message = kind()
                detail.Unpack(message)
                found[kind] = message
    return found


def size_of_trailers(status):
    message = quote(status.message, safe="".join(map(chr, range(0x20, 0x7F))).replace("%", ""))
    return len(message) + len(base64.b64encode(status.SerializeToString())) + OTHER_TRAILERS


def test_every_error_has_a_status() -> None:
    assert set(STATUS) == leaves(BoError)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.RequestIdReused, grpc.StatusCode.INVALID_ARGUMENT),
        (errors.NotFound, grpc.StatusCode.NOT_FOUND),
        (errors.AlreadyExists, grpc.StatusCode.ALREADY_EXISTS),
        (errors.WrongState, grpc.StatusCode.FAILED_PRECONDITION),
        (errors.ObjectiveMismatch, grpc.StatusCode.FAILED_PRECONDITION),
        (errors.UnknownLease, grpc.StatusCode.FAILED_PRECONDITION),
        (errors.NotEnoughData, grpc.StatusCode.FAILED_PRECONDITION),
        (errors.LimitExceeded, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.DeadlinePassed, grpc.StatusCode.DEADLINE_EXCEEDED),
        (errors.StorageUnavailable, grpc.StatusCode.UNAVAILABLE),
        (errors.StartupError, grpc.StatusCode.INTERNAL),
    ],
)
def test_a_refusal_with_its_reason(kind, code) -> None:
    status = to_status(kind("why", state="RUNNING"))
    info = details(status)[ErrorInfo]
    assert (status.code, status.message) == (code.value[0], "why")
    assert (info.reason, info.domain, dict(info.metadata)) == (kind.reason, "bo_api.v1", {"state": "RUNNING"})


def test_fields_at_fault_are_told_one_by_one() -> None:
    status = to_status(InvalidArgument([Violation("a.b", "is 3; give 4"), Violation("c", "is empty")]))
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    found = details(status)
    assert (found[ErrorInfo].reason, found[ErrorInfo].domain) == ("INVALID_ARGUMENT", "bo_api.v1")
    told = [(v.field, v.description) for v in found[BadRequest].field_violations]
    assert told == [("a.b", "is 3; give 4"), ("c", "is empty")]


letters = st.characters(codec="utf-8")
long_texts = st.builds(lambda letter, n: letter * n, letters, st.integers(0, 2000))


@given(st.lists(st.builds(Violation, long_texts, long_texts), min_size=1, max_size=40))
def test_refusals_fit_into_trailers_and_name_the_first_field(violations) -> None:
    status = to_status(InvalidArgument(violations))
    told = details(status)[BadRequest].field_violations
    assert size_of_trailers(status) <= CLIENTS_LIMIT
    assert told
    for violation, seen in zip(violations, told, strict=False):
        assert seen.field == violation.field or violation.field.startswith(seen.field[:-1])


@given(long_texts)
def test_long_messages_are_cut_with_a_mark(text) -> None:
    message = to_status(errors.WrongState(text)).message
    assert message == text or (message.endswith("…") and text.startswith(message[:-1]))
    assert len(text) > 80 or message == text


def test_faults_of_ours_are_logged_and_told_by_a_number(caplog) -> None:
    try:
        raise KeyError("secret")
    except KeyError as error:
        status = to_status(error)
    number = details(status)[ErrorInfo].metadata["fault"]
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert number in status.message
    assert "secret" not in str(status)
    assert number in caplog.text
    assert "Traceback" in caplog.text
