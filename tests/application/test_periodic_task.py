"""What a server does again and again goes on after a failure, and is done once more at the end where that is wanted."""

import threading

import pytest

from bo_service.domain.errors import StorageUnavailable
from bo_service.periodic_task import PeriodicTask


def test_a_failure_is_followed_by_the_next_call() -> None:
    calls, third = [], threading.Event()

    def act() -> None:
        calls.append(1)
        if len(calls) == 3:
            third.set()
        raise StorageUnavailable("away") if len(calls) == 1 else ZeroDivisionError

    ticker = PeriodicTask("test", 0.001, act)
    assert third.wait(120)
    ticker.stop()


@pytest.mark.parametrize(("at_end", "times"), [(True, 1), (False, 0)])
def test_the_last_call_may_fail_as_well(at_end: bool, times: int, caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def act() -> None:
        calls.append(1)
        raise StorageUnavailable("the database is away")

    PeriodicTask("test", 3600.0, act, at_end=at_end).stop()
    assert len(calls) == times
    assert caplog.text.count("the database is away") == times
