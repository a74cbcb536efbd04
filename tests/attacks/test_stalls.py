"""Calls that begin and never send their message: they hold no thread that others need.

Each opens one connection, sends the headers of more calls than the server has threads, and goes silent.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import bo_client
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

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


def test_idle_reflection_streams_hold_no_thread_of_workers(target) -> None:
    path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    with silent_calls(target, path, target.metadata("reader")):
        works(target)


def test_many_analyses_leave_heartbeats_alone(target) -> None:
    refused: list[str] = []
    with target.client("reader") as client:
        study = client.study("s")

        def analyze() -> None:
            try:
                study.analyze()
            except bo_client.BoClientError as error:
                refused.append(error.reason)

        askers = [threading.Thread(target=analyze) for _ in range(100)]
        for asker in askers:
            asker.start()
        for _ in range(5):
            works(target)
    for asker in askers:  # the client is closed, and with it every call of it
        asker.join()
    assert "OVERLOADED" in refused  # beyond what one token may have at once
