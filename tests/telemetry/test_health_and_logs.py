"""Health as it is judged, and lines as they are written."""

import json
import logging
import queue

import pytest

from bo_service import request_context
from bo_service.domain.errors import StorageUnavailable
from bo_service.rpc.health import STORAGE_TIMEOUT_S, HealthMonitor
from bo_service.telemetry.log_limits import RateLimit
from bo_service.telemetry.logs import TEXT, JsonLogFormatter, TextLogFormatter

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Turned:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def record(message: str, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("bo_service.x", logging.INFO, "", 0, message, (), None)
    vars(made).update(more)
    return made


def test_a_database_that_fails_is_told_once_and_comes_back(caplog) -> None:
    faults: list[Exception] = [StorageUnavailable("the disk is full")]

    def check() -> None:
        if faults:
            raise faults[0]

    monitor = HealthMonitor(check)
    for _ in range(3):
        monitor.check()
        assert not monitor.is_storage_healthy
    faults.clear()
    monitor.check()
    assert monitor.is_storage_healthy
    assert [r.message for r in caplog.records if r.levelname == "ERROR"] == ["not serving: the disk is full"]


def test_a_database_that_does_not_answer_is_as_good_as_down() -> None:
    clock = Turned()
    monitor = HealthMonitor(lambda: None, clock)
    monitor.check()
    clock.now += STORAGE_TIMEOUT_S
    assert monitor.is_storage_healthy
    clock.now += 1
    assert not monitor.is_storage_healthy  # the next check hangs
    monitor.check()
    assert monitor.is_storage_healthy


def test_lines_of_a_kind_are_told_so_many_a_minute_and_then_counted() -> None:
    told: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    limited = RateLimit(told.put, lines=3, minute_s=0.2)
    passed = [limited.filter(record("refused", kind="refusals")) for _ in range(10)]
    assert passed == [True] * 3 + [False] * 7
    assert limited.filter(record("refused", kind="others"))
    assert all(limited.filter(record("hello")) for _ in range(10))
    assert told.get(timeout=60).getMessage() == "7 more lines in this minute were dropped: refusals"
    assert limited.filter(record("refused", kind="refusals"))


@pytest.fixture
def call():
    """This thread answers a call."""
    metadata = [("x-request-id", "mine"), ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")]
    made = request_context.RequestContext("GetStudy", metadata)
    token = request_context.CURRENT.set(made)
    yield made
    request_context.CURRENT.reset(token)


def test_a_line_of_a_call_says_which_in_either_form(call) -> None:
    call.study = "s"
    line = json.loads(JsonLogFormatter().format(record("hello", code="OK")))
    wanted = {"message": "hello", "level": "INFO", "logger": "bo_service.x", "code": "OK", "method": "GetStudy"}
    assert wanted.items() <= line.items()
    told = {"request_id": request_context.hash_of("mine"), "trace_id": TRACE, "principal": "anyone", "study": "s"}
    assert told.items() <= line.items()
    text = TextLogFormatter(TEXT).format(record("hello"))
    assert text.endswith(
        f"hello [request_id={request_context.hash_of('mine')} trace_id={TRACE} principal=anyone study=s]"
    )


def test_a_line_of_no_call_says_nothing_of_one() -> None:
    assert set(json.loads(JsonLogFormatter().format(record("hello")))) == {"time", "level", "logger", "message"}
    assert TextLogFormatter(TEXT).format(record("hello")).endswith("hello")


def test_nobody_forges_a_line() -> None:
    forged = "a\n2026-01-01 00:00:00,000 INFO bo_service all is well\r\n"
    assert len(TextLogFormatter(TEXT).format(record(forged)).splitlines()) == 1
    assert len(JsonLogFormatter().format(record(forged)).splitlines()) == 1


def test_a_fault_is_told_with_where_it_happened() -> None:
    try:
        raise KeyError("lost")
    except KeyError as error:
        made = record("fault")
        made.exc_info = (KeyError, error, error.__traceback__)
    assert "KeyError: 'lost'" in json.loads(JsonLogFormatter().format(made))["exception"]
    assert "Traceback" in TextLogFormatter(TEXT).format(made)


@pytest.mark.parametrize(
    "given",
    [f"01-{TRACE}-00f067aa0ba902b7-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01", "00-x", ""],
)
def test_what_is_no_traceparent_is_passed_over(given: str) -> None:
    assert request_context.RequestContext("GetStudy", [("traceparent", given)]).trace_id == ""
