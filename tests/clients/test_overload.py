"""A server that has too many calls: clients try again when it says, for as long as their call may take."""

from collections.abc import Iterator

import bo_client
import pytest
from bo_client.testing import InProcessServer
from bo_worker.evaluation import Report
from bo_worker.trial_watch import TrialWatch
from google.protobuf.message import Message
from grpc_status import rpc_status

from bo_service.domain.errors import Overloaded
from bo_service.rpc.status import to_status
from tests.clients.test_retries import Restartable

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])


def overloaded(delay: float | None = 1.0) -> bo_client.LimitExceeded:
    error = bo_client.LimitExceeded("too many calls", "OVERLOADED")
    error.retry_delay = delay
    return error


class Crowded:
    """A transport to a server that refuses the next calls, and remembers how long each was to take."""

    def __init__(self, *refusals: bo_client.BoClientError) -> None:
        self.server = InProcessServer()
        self.refusals = list(refusals)
        self.timeouts: list[float | None] = []
        self.waits: list[float] = []

    def call(self, method: str, request: Message, timeout: float | None) -> Message:
        self.timeouts.append(timeout)
        if self.refusals:
            raise self.refusals.pop(0)
        return self.server.call(method, request, timeout)

    def stream(self, method: str, request: Message) -> Iterator[Message]:
        if self.refusals:
            raise self.refusals.pop(0)
        return self.server.stream(method, request)

    def close(self) -> None:
        pass

    def client(self, timeout: float = 30.0, patience: float = 0.0) -> bo_client.Client:
        return bo_client.Client(self, timeout, patience, wait=self.waits.append)


@pytest.fixture
def crowded() -> Crowded:
    crowded = Crowded()
    crowded.server.client().create_study("s", SPACE, "loss", goal="minimize")
    return crowded


def test_a_call_too_many_is_tried_again_when_the_server_says(crowded: Crowded) -> None:
    crowded.refusals = [overloaded(), overloaded(), overloaded()]
    assert crowded.client().study_info("s").name == "studies/s"
    assert len(crowded.waits) == 3
    for factor, wait in zip((1, 2, 4), crowded.waits, strict=True):  # never sooner, and spread
        assert factor <= wait <= 1.5 * factor


def test_delays_differ_between_clients(crowded: Crowded) -> None:
    for _ in range(5):
        crowded.refusals = [overloaded()]
        crowded.client().study_info("s")
    assert len(set(crowded.waits)) > 1


def test_heartbeats_are_tried_again_more_often(crowded: Crowded) -> None:
    (trial,) = crowded.client().study("s").suggest()
    crowded.refusals = [overloaded() for _ in range(6)]
    assert trial.heartbeat(patience=0).lease_valid
    assert all(1.0 <= wait <= 1.5 for wait in crowded.waits)


def test_a_limit_without_a_delay_is_final(crowded: Crowded) -> None:
    crowded.refusals = [overloaded(None)]
    with pytest.raises(bo_client.LimitExceeded):
        crowded.client(patience=60.0).study_info("s")
    assert crowded.waits == []


def test_a_call_with_its_own_timeout_ends_within_it(crowded: Crowded) -> None:
    study = crowded.client(patience=600.0).study("s")
    crowded.refusals = [overloaded(5.0)]
    with pytest.raises(bo_client.LimitExceeded):
        study.suggest(timeout=4.0)  # the next attempt would come too late
    assert crowded.waits == []
    crowded.refusals, crowded.timeouts = [overloaded(0.1)], []
    study.suggest(timeout=4.0)
    first, second = crowded.timeouts
    assert first == 4.0
    assert second is not None
    assert 0 < second <= 4.0


def test_a_refusal_of_the_real_server_says_when() -> None:
    server = Restartable()
    status = rpc_status.to_status(to_status(Overloaded("16 calls of this kind are in progress")))
    asked = iter([True, True])
    server.servicer.answer = lambda context: context.abort_with_status(status) if next(asked, False) else None
    waits: list[float] = []
    with bo_client.connect(f"127.0.0.1:{server.port}", patience=0.0) as client:
        client._wait = waits.append
        assert client.study_info("s").name == "studies/s"
    server.stop()
    assert len(server.servicer.requests) == 3
    assert all(wait >= 1.0 for wait in waits)


def test_a_watch_goes_on_when_the_server_has_room(crowded: Crowded, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("bo_client.watch.time.sleep", waits.append)
    study = crowded.client(patience=60.0).study("s")
    crowded.refusals = [overloaded(), overloaded(None)]
    assert len(waits) == 0
    changes = study.watch()
    with pytest.raises(bo_client.LimitExceeded):
        next(changes)
    assert len(waits) == 1


@pytest.mark.parametrize(("error", "is_kept"), [(overloaded(60.0), True), (overloaded(None), False)])
def test_a_worker_keeps_a_report_that_was_one_too_many(crowded: Crowded, error: Exception, is_kept: bool) -> None:
    (trial,) = crowded.client(timeout=5.0).study("s").suggest()
    watch = TrialWatch(trial, lambda: False)
    crowded.refusals = [error]
    watch.report(Report(0, {"loss": 1.0}))
    watch.flush(0.0, lambda seconds: False)
    found = crowded.server.client().study("s").trial(trial.number).measurements
    assert [m.metrics["loss"] for m in found] == ([1.0] if is_kept else [])
