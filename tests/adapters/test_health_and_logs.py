"""Health as it is judged, and lines as they are written."""

import json
import logging

import pytest

from bo_service.adapters import calls
from bo_service.adapters.grpc.authorization import RefusalLog
from bo_service.adapters.health import PATIENCE_S, HealthMonitor
from bo_service.adapters.logs import TEXT, JsonLines, TextLines
from bo_service.core.errors import StorageUnavailable, Unauthenticated

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
        assert not monitor.storage_is_well
    faults.clear()
    monitor.check()
    assert monitor.storage_is_well
    assert [r.message for r in caplog.records if r.levelname == "ERROR"] == ["not serving: the disk is full"]


def test_a_database_that_does_not_answer_is_as_good_as_down() -> None:
    clock = Turned()
    monitor = HealthMonitor(lambda: None, clock)
    monitor.check()
    clock.now += PATIENCE_S
    assert monitor.storage_is_well
    clock.now += 1
    assert not monitor.storage_is_well  # the next check hangs
    monitor.check()
    assert monitor.storage_is_well


def test_refusals_are_told_so_many_a_minute_and_then_counted(caplog) -> None:
    clock = Turned()
    log = RefusalLog(lines=3, clock=clock)
    for _ in range(10):
        log.tell("ListStudies", "ipv4:10.0.0.1:1", Unauthenticated("no", cause="unknown"))
    assert [r.getMessage() for r in caplog.records] == ["refused ListStudies to ipv4:10.0.0.1:1: unknown"] * 3
    clock.now += 61
    caplog.clear()
    log.tell("ListStudies", "ipv4:10.0.0.1:1", Unauthenticated("no", cause="unknown"))
    assert caplog.records[0].getMessage().startswith("7 more refusals")
    assert len(caplog.records) == 2


@pytest.fixture
def call():
    """This thread answers a call."""
    made = calls.Call.of("GetStudy", {"x-request-id": "mine", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    calls.begin(made)
    yield made
    calls._CURRENT.set(None)


def test_a_line_of_a_call_says_which_in_either_form(call) -> None:
    call.study = "s"
    line = json.loads(JsonLines().format(record("hello", code="OK")))
    wanted = {"message": "hello", "level": "INFO", "logger": "bo_service.x", "code": "OK", "method": "GetStudy"}
    assert wanted.items() <= line.items()
    told = {"request_id": "mine", "trace_id": TRACE, "principal": "anyone", "study": "s"}
    assert told.items() <= line.items()
    text = TextLines(TEXT).format(record("hello"))
    assert text.endswith(f"hello [request_id=mine trace_id={TRACE} principal=anyone study=s]")


def test_a_line_of_no_call_says_nothing_of_one() -> None:
    assert set(json.loads(JsonLines().format(record("hello")))) == {"time", "level", "logger", "message"}
    assert TextLines(TEXT).format(record("hello")).endswith("hello")


def test_nobody_forges_a_line() -> None:
    forged = "a\n2026-01-01 00:00:00,000 INFO bo_service all is well\r\n"
    assert len(TextLines(TEXT).format(record(forged)).splitlines()) == 1
    assert len(JsonLines().format(record(forged)).splitlines()) == 1


def test_a_fault_is_told_with_where_it_happened() -> None:
    try:
        raise KeyError("lost")
    except KeyError as error:
        made = record("fault")
        made.exc_info = (KeyError, error, error.__traceback__)
    assert "KeyError: 'lost'" in json.loads(JsonLines().format(made))["exception"]
    assert "Traceback" in TextLines(TEXT).format(made)


@pytest.mark.parametrize(
    "given",
    [f"01-{TRACE}-00f067aa0ba902b7-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01", "00-x", ""],
)
def test_what_is_no_traceparent_is_passed_over(given: str) -> None:
    assert calls.Call.of("GetStudy", {"traceparent": given}).trace_id == ""
