"""What surrounds each call, seen from a client of a real server."""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from bo_service.application.authentication import Authenticator, AuthMode
from bo_service.domain.errors import InvalidArgument, NotFound
from bo_service.rpc.admission import Admission
from bo_service.storage.factory import open_store

THREADS = 2


class Servicer(rpc.OptimizationServiceServicer):
    """Does in each call what the test says."""

    def __init__(self) -> None:
        self.released = Event()

    def GetStudy(self, request, context):
        raise NotFound(f"there is no {request.name}")

    def CreateStudy(self, request, context):
        raise InvalidArgument.of("study.spec", "是" * 5000)

    def DeleteStudy(self, request, context):
        raise KeyError("secret")

    def ListStudies(self, request, context):
        return pb.ListStudiesResponse(next_page_token="more")

    def ReportMeasurements(self, request, context):
        return pb.ReportMeasurementsResponse(lease_valid=True)

    def WatchStudy(self, request, context):
        yield pb.WatchStudyResponse(revision=1)
        if request.after_revision:
            raise NotFound("the study is gone")
        while context.is_active() and not self.released.wait(0.01):
            yield pb.WatchStudyResponse(revision=2)


class Lines(logging.Handler):
    """Log lines as they come, without the times in them."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[tuple[str, str]] = []
        self.came = Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append((record.levelname, " ".join(record.getMessage().split()[:2])))
        self.came.set()

    def next(self) -> tuple[str, str]:
        """What was logged last, once there is something."""
        assert self.came.wait(120)
        self.came.clear()
        return self.seen[-1]


@pytest.fixture
def lines():
    logger, handler = logging.getLogger("bo_service.grpc"), Lines()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


@contextmanager
def serving(servicer):
    store = open_store("memory:")
    admission = Admission(Authenticator(store, store.clock, AuthMode.NONE))
    server = grpc.server(ThreadPoolExecutor(THREADS), interceptors=[admission])
    rpc.add_OptimizationServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(experimental_non_blocking=False), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        servicer.released.set()
        server.stop(0).wait()
        admission.stop()
        store.close()


@pytest.fixture
def channel():
    with serving(Servicer()) as found:
        yield found


@pytest.fixture
def stub(channel):
    return rpc.OptimizationServiceStub(channel)


def test_a_refusal_reaches_the_client_with_its_details(stub, lines) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        stub.GetStudy(pb.GetStudyRequest(name="studies/x"), timeout=10)
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert refusal.value.details() == "there is no studies/x"
    assert len(rpc_status.from_call(refusal.value).details) == 1
    assert lines.next() == ("INFO", "GetStudy NOT_FOUND")


def test_a_long_refusal_in_any_script_reaches_the_client(stub) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        stub.CreateStudy(pb.CreateStudyRequest(study_id="s"), timeout=10)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(rpc_status.from_call(refusal.value).details) == 2


def test_faults_of_ours_say_nothing_of_the_inside(stub) -> None:
    with pytest.raises(grpc.RpcError) as refusal:
        stub.DeleteStudy(pb.DeleteStudyRequest(name="studies/s"), timeout=10)
    assert refusal.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(rpc_status.from_call(refusal.value))


def test_answers_pass_and_are_logged(stub, lines) -> None:
    assert stub.ListStudies(pb.ListStudiesRequest(), timeout=10).next_page_token == "more"
    assert lines.next() == ("INFO", "ListStudies OK")


def test_heartbeats_are_logged_for_debugging_alone(stub, lines) -> None:
    assert stub.ReportMeasurements(pb.ReportMeasurementsRequest(name="studies/s/trials/1"), timeout=10).lease_valid
    assert lines.next() == ("DEBUG", "ReportMeasurements OK")


def test_a_stream_may_end_with_a_refusal(stub, lines) -> None:
    stream = stub.WatchStudy(pb.WatchStudyRequest(name="studies/s", after_revision=1), timeout=10)
    assert next(stream).revision == 1
    with pytest.raises(grpc.RpcError) as refusal:
        next(stream)
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert lines.next() == ("INFO", "WatchStudy NOT_FOUND")


def test_a_stream_that_nobody_hears_any_more_is_told_from_one_that_ended(stub, lines) -> None:
    stream = stub.WatchStudy(pb.WatchStudyRequest(name="studies/s"), timeout=10)
    next(stream)
    stream.cancel()
    assert lines.next() == ("DEBUG", "WatchStudy CANCELLED")


def test_watches_of_health_take_no_threads_from_calls(channel, stub) -> None:
    probe = health_pb2_grpc.HealthStub(channel)
    watches = [probe.Watch(health_pb2.HealthCheckRequest(), timeout=60) for _ in range(THREADS)]
    assert [next(watch).status for watch in watches] == [health_pb2.HealthCheckResponse.SERVING] * len(watches)
    assert stub.ListStudies(pb.ListStudiesRequest(), timeout=60).next_page_token == "more"
    for watch in watches:
        watch.cancel()
