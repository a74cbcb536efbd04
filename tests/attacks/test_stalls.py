"""Calls that begin and never send their message: they hold no thread that others need.

Each opens one connection, sends the headers of more calls than the server has threads, and goes silent.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from grpc import _server
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bo_service.rpc import lanes
from bo_service.rpc.admission import LANES
from tests.attacks.conftest import local_target

pytestmark = pytest.mark.xdist_group("attacks-stalls")  # its server is started once

CALLS = 200
"""More than the server has threads, and fewer than the streams that one connection may have."""
OWN = [("grpc.use_local_subchannel_pool", 1)]
"""A connection of its own."""
SERVICE = "/bo_api.v1.OptimizationService/"


@contextmanager
def silent_calls(target, path: str, metadata=(), count: int = CALLS) -> Iterator[list[grpc.Call]]:
    """Calls of one connection that have sent their headers and nothing else."""
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait()
        yield from ()

    with grpc.insecure_channel(target.address, OWN) as channel:
        begin = channel.stream_stream(path)
        calls = [begin(nothing(), timeout=120, metadata=list(metadata)) for _ in range(count)]
        try:
            yield calls
        finally:
            over.set()
            for call in calls:
                call.cancel()


def code_of(call: grpc.Call) -> grpc.StatusCode:
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def works(target, seconds: float = 20.0) -> None:
    """A healthy worker gets a trial, says that it lives, and completes it; health answers."""
    with target.client(timeout=seconds) as client, grpc.insecure_channel(target.address, OWN) as channel:
        (trial,) = client.study("s").suggest()
        assert trial.heartbeat().lease_valid
        trial.complete({"loss": 1.0})
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=seconds)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("method", ["ReportMeasurements", "SuggestTrials", "WatchStudy", "CompleteTrial"])
def test_a_stranger_is_refused_before_the_message_is_awaited(target, method: str) -> None:
    with silent_calls(target, SERVICE + method) as calls:
        assert {code_of(call) for call in calls} == {grpc.StatusCode.UNAUTHENTICATED}
        works(target)


def test_strangers_cannot_hold_health(target) -> None:
    with silent_calls(target, "/grpc.health.v1.Health/Check"):
        works(target)


@pytest.mark.parametrize("method", ["GetStudy", "AnalyzeStudy", "WatchStudy", "PredictSlice"])
def test_a_reader_cannot_hold_the_threads_of_workers(target, method: str) -> None:
    with silent_calls(target, SERVICE + method, target.metadata("reader")):
        works(target)


def test_calls_that_send_no_message_are_ended(target) -> None:
    with silent_calls(target, f"{SERVICE}AnalyzeStudy", target.metadata("reader")) as calls:
        assert {code_of(call) for call in calls} <= {
            grpc.StatusCode.CANCELLED,  # as too slow
            grpc.StatusCode.RESOURCE_EXHAUSTED,  # beyond what one caller may have at once
        }


@pytest.mark.parametrize("method", ["ReportMeasurements", "SuggestTrials", "CompleteTrial"])
def test_a_worker_cannot_hold_the_threads_of_others(target, method: str) -> None:
    with silent_calls(target, SERVICE + method, target.metadata("worker")):
        works(target)


@pytest.mark.parametrize("method", ["ReportMeasurements", "SuggestTrials", "CompleteTrial"])
def test_silent_calls_of_a_worker_leave_threads_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Another worker doesn't wait until they are cancelled, which they never are here."""
    monkeypatch.setattr(lanes, "BUSY_MESSAGE_TIMEOUT_S", 3600.0)
    monkeypatch.setattr(lanes, "MESSAGE_TIMEOUT_S", 3600.0)
    with local_target(tmp_path) as target, silent_calls(target, SERVICE + method, target.metadata("other")) as calls:
        works(target)
        assert all(call.is_active() for call in calls)


def test_silent_calls_hold_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one that is refused says that the server has as many as one caller may have."""
    monkeypatch.setattr(lanes, "BUSY_MESSAGE_TIMEOUT_S", 3600.0)
    monkeypatch.setattr(lanes, "MESSAGE_TIMEOUT_S", 3600.0)
    path, share, is_refused = f"{SERVICE}AnalyzeStudy", LANES["compute"][2], threading.Event()
    before = set(threading.enumerate())
    with (
        local_target(tmp_path) as target,
        silent_calls(target, path, target.metadata("worker"), share + 1) as calls,
    ):
        for call in calls:
            if not call.add_callback(is_refused.set):
                is_refused.set()
        assert is_refused.wait(60)
        begun = set(threading.enumerate()) - before
        assert not any(thread.name.startswith("grpc-compute") for thread in begun)


def test_a_message_that_waits_for_a_starved_serving_thread_is_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread stops at the event that the message has arrived, until the watchdog has looked for silent calls."""
    monkeypatch.setattr(lanes, "BUSY_MESSAGE_TIMEOUT_S", 3600.0)
    monkeypatch.setitem(LANES, "read", (1, 4, 4))
    is_entered, has_arrived, has_looked, goes_on = (threading.Event() for _ in range(4))
    process, cancel, enter = _server._process_event_and_continue, lanes.Lane.cancel_stalled, lanes.Lane.enter
    entered, looks = [], []

    def starved(state, event):
        if isinstance(event.tag, partial):  # of `FirstMessage`
            has_arrived.set()
            assert goes_on.wait(120)
        return process(state, event)

    def counted(lane, *given):
        ended = enter(lane, *given)
        entered.append(lane)
        if len(entered) == 2:
            is_entered.set()
        return ended

    def look(lane):
        cancel(lane)
        if lane.name == "read" and has_arrived.is_set():
            looks.append(lane)
            if len(looks) == 2:  # the whole of one, with the short timeout
                has_looked.set()

    request, sent = pb.GetStudyRequest(name="studies/s").SerializeToString(), threading.Event()

    def message() -> Iterator[bytes]:
        assert sent.wait(120)
        yield request

    with local_target(tmp_path) as target, grpc.insecure_channel(target.address, OWN) as channel:
        monkeypatch.setattr(_server, "_process_event_and_continue", starved)
        monkeypatch.setattr(lanes.Lane, "cancel_stalled", look)
        monkeypatch.setattr(lanes.Lane, "enter", counted)
        begin = channel.stream_unary(f"{SERVICE}GetStudy").future
        calls = [begin(message(), 120, target.metadata("worker")) for _ in range(2)]  # the second one waits in its line
        assert is_entered.wait(120)
        sent.set()
        assert has_arrived.wait(120)
        monkeypatch.setattr(lanes, "BUSY_MESSAGE_TIMEOUT_S", -1.0)
        assert has_looked.wait(120)
        monkeypatch.setattr(lanes, "BUSY_MESSAGE_TIMEOUT_S", 3600.0)
        goes_on.set()
        assert all(call.result(120) for call in calls)


def test_silent_calls_of_a_token_give_way_to_its_own(target) -> None:
    """Its streams too, though not all of the lane's threads are taken."""
    threads = LANES["watch"][0]
    with silent_calls(target, f"{SERVICE}WatchStudy", target.metadata("worker"), threads // 2 + 6) as calls:
        with target.client("worker") as client:
            assert next(client.study("s").watch()).revision > 0
        assert {code_of(call) for call in calls[:10]} == {grpc.StatusCode.CANCELLED}


def test_idle_reflection_streams_hold_no_thread_of_workers(target) -> None:
    path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    with silent_calls(target, path, target.metadata("reader")):
        works(target)


def test_many_analyses_leave_heartbeats_alone(target) -> None:
    with grpc.insecure_channel(target.address, OWN) as channel:
        analyze = channel.unary_unary(f"{SERVICE}AnalyzeStudy")
        request = pb.AnalyzeStudyRequest(name="studies/s").SerializeToString()
        asked = [analyze.future(request, timeout=120, metadata=target.metadata("reader")) for _ in range(150)]
        for _ in range(5):
            works(target)
        codes = {one.code() for one in asked if one.done()}
        for one in asked:
            one.cancel()
    assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes  # beyond what one token may have at once
