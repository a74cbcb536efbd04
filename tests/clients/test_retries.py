"""A real gRPC server that goes away and comes back: what a client does meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from bo_api.v1 import study_pb2, trial_pb2
from bo_api.v1 import token_service_pb2_grpc as token_rpc
from google.protobuf.any_pb2 import Any
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status


class Servicer(rpc.OptimizationServiceServicer):
    """Counts what is asked; answers as told."""

    def __init__(self) -> None:
        self.requests: list[object] = []
        self.answer: Callable[[grpc.ServicerContext], None] = lambda context: None
        self.revision = 0
        self.cancels = False
        self.cancelled = threading.Event()

    def GetStudy(self, request, context):
        self.requests.append(request)
        self.answer(context)
        return pb.GetStudyResponse(study=STUDY)

    def SuggestTrials(self, request, context):
        self.requests.append(request)
        self.answer(context)
        trial = trial_pb2.Trial(name="studies/s/trials/1", state=trial_pb2.TRIAL_STATE_RUNNING)
        return pb.SuggestTrialsResponse(trials=[trial])

    def WatchStudy(self, request, context):
        self.requests.append(request)
        self.revision += 1
        yield pb.WatchStudyResponse(study=STUDY, revision=self.revision)
        if self.cancels and self.revision == 1 and self.cancelled.wait(60):
            context.cancel()
        while context.is_active():
            time.sleep(0.02)


STUDY = study_pb2.Study(name="studies/s", state=study_pb2.STUDY_STATE_ACTIVE)
STUDY.spec.metrics.add(name="loss", goal=study_pb2.GOAL_MINIMIZE)


class Restartable:
    """A server on one port."""

    def __init__(self) -> None:
        self.servicer = Servicer()
        self.port = 0
        self.start()

    def start(self) -> None:
        self.server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        rpc.add_OptimizationServiceServicer_to_server(self.servicer, self.server)
        self.port = self.server.add_insecure_port(f"127.0.0.1:{self.port}")
        self.server.start()

    def stop(self) -> None:
        self.server.stop(0).wait(60)


@pytest.fixture
def server() -> Iterator[Restartable]:
    server = Restartable()
    yield server
    server.stop()


@pytest.fixture
def connect(server: Restartable) -> Iterator[Callable[..., bo_client.Client]]:
    made: list[bo_client.Client] = []

    def connect(**settings: float) -> bo_client.Client:
        made.append(bo_client.connect(f"127.0.0.1:{server.port}", **settings))
        return made[-1]

    yield connect
    for client in made:
        client.close()


def stall(context: grpc.ServicerContext) -> None:
    """Answers after the caller has given it up."""
    while context.is_active():
        time.sleep(0.02)


def test_a_call_waits_until_the_server_is_back(server, connect) -> None:
    client = connect(patience=120.0)
    study = client.study("s")
    server.stop()
    threading.Timer(0.7, server.start).start()
    assert study.suggest()[0].number == 1


def test_an_answer_that_was_lost_is_asked_for_with_the_same_id(server, connect) -> None:
    study = connect(patience=120.0).study("s")

    def lose_the_first(context: grpc.ServicerContext) -> None:
        if sum(isinstance(r, pb.SuggestTrialsRequest) for r in server.servicer.requests) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the connection is gone")

    server.servicer.answer = lose_the_first
    study.suggest()
    asked = [r for r in server.servicer.requests if isinstance(r, pb.SuggestTrialsRequest)]
    assert len(asked) == 2
    assert len({r.request_id for r in asked}) == 1
    study.suggest()
    assert server.servicer.requests[-1].request_id != asked[0].request_id


def test_patience_has_an_end(server, connect) -> None:
    study = connect(patience=0.5).study("s")
    server.stop()
    began = time.monotonic()
    with pytest.raises(bo_client.ServerUnavailable, match=rf"no server answers at 127\.0\.0\.1:{server.port}"):
        study.info()
    assert time.monotonic() - began > 0.2


def test_a_token_is_asked_for_once(connect, server) -> None:
    """A second one, whose text is lost like the first one's, would let somebody in whom nobody knows."""
    asked = []

    class Tokens(token_rpc.TokenServiceServicer):
        def CreateToken(self, request, context):
            asked.append(request)
            context.abort(grpc.StatusCode.UNAVAILABLE, "the connection is gone")

    server.stop()
    server.server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    token_rpc.add_TokenServiceServicer_to_server(Tokens(), server.server)
    server.server.add_insecure_port(f"127.0.0.1:{server.port}")
    server.server.start()
    with pytest.raises(bo_client.ServerUnavailable):
        connect(patience=120.0).tokens.create("worker")
    assert len(asked) == 1


def test_a_refusal_is_not_tried_again(server, connect) -> None:
    client = connect(patience=120.0)
    server.servicer.answer = lambda context: context.abort(grpc.StatusCode.NOT_FOUND, "there is no study 's'")
    with pytest.raises(bo_client.NotFound, match="there is no study 's'"):
        client.study("s")
    assert len(server.servicer.requests) == 1


def test_a_slow_answer_ends_with_the_timeout(server, connect) -> None:
    server.servicer.answer = stall
    with pytest.raises(bo_client.DeadlineExceeded, match=r"within 0\.2 s"):
        connect(timeout=0.2, patience=0.0).study("s")


def test_a_call_with_a_timeout_of_its_own_ends_with_it(server, connect) -> None:
    study = connect(patience=3600.0).study("s")
    server.servicer.answer = stall
    with pytest.raises(bo_client.DeadlineExceeded, match=r"within 0\.2 s"):
        study.suggest(timeout=0.2)


def test_a_call_that_nobody_answers_is_repeated_as_it_was(server, connect) -> None:
    study = connect(timeout=0.5, patience=120.0).study("s")
    turns = iter(range(2))
    server.servicer.answer = lambda context: stall(context) if next(turns, None) is not None else None
    study.suggest()
    asked = [r for r in server.servicer.requests if isinstance(r, pb.SuggestTrialsRequest)]
    assert len(asked) >= 3
    assert len({r.request_id for r in asked}) == 1


def test_a_server_that_says_it_is_too_slow_is_believed(server, connect) -> None:
    info = Any()
    info.Pack(error_details_pb2.ErrorInfo(reason="DEADLINE_PASSED"))
    status = status_pb2.Status(code=code_pb2.DEADLINE_EXCEEDED, message="the surrogate took longer", details=[info])
    client = connect(patience=120.0)
    server.servicer.answer = lambda context: context.abort_with_status(rpc_status.to_status(status))
    with pytest.raises(bo_client.DeadlineExceeded, match="the surrogate took longer"):
        client.study("s")
    assert len(server.servicer.requests) == 1


def test_a_watch_goes_on_behind_the_last_revision(server, connect) -> None:
    changes = connect(patience=120.0).study("s").watch()
    assert next(changes).revision == 1
    server.stop()
    threading.Timer(0.5, server.start).start()
    assert next(changes).revision == 2
    asked = [r.after_revision for r in server.servicer.requests if isinstance(r, pb.WatchStudyRequest)]
    assert (asked[0], asked[-1]) == (0, 1)
    changes.close()


def test_details_of_a_refusal_arrive(server, connect) -> None:
    info, request = Any(), Any()
    info.Pack(error_details_pb2.ErrorInfo(reason="INVALID_ARGUMENT", metadata={"study": "s"}))
    violation = error_details_pb2.BadRequest.FieldViolation(field="study.spec", description="is empty")
    request.Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="study.spec: is empty", details=[info, request])
    server.servicer.answer = lambda context: context.abort_with_status(rpc_status.to_status(status))
    with pytest.raises(bo_client.InvalidRequest) as refusal:
        connect().study("s")
    assert refusal.value.violations == (bo_client.Violation("study.spec", "is empty"),)
    assert (refusal.value.metadata, str(refusal.value)) == ({"study": "s"}, "study.spec: is empty")


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c is not grpc.StatusCode.OK])
def test_every_status_has_an_error(server, connect, code) -> None:
    server.servicer.answer = lambda context: context.abort(code, "why")
    with pytest.raises(bo_client.BoClientError) as refusal:
        connect(patience=0.0).study("s")
    assert "why" in str(refusal.value) or code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert refusal.value.reason


def test_threads_share_a_client(server, connect) -> None:
    client = connect()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: client.study("s").id, range(40)))
    assert found == ["s"] * 40


def test_a_call_that_an_ending_server_cancels_is_tried_again(server, connect) -> None:
    study = connect(patience=120.0).study("s")
    asked: list[grpc.ServicerContext] = []

    def cancel_the_first(context: grpc.ServicerContext) -> None:
        asked.append(context)
        if len(asked) == 1:
            context.cancel()

    server.servicer.answer = cancel_the_first
    assert study.suggest()[0].number == 1
    assert len(asked) == 2
    first, second = server.servicer.requests[-2:]
    assert first == second


def test_a_stream_that_an_ending_server_cancels_is_taken_up_again(server, connect) -> None:
    server.servicer.cancels = True
    changes = connect(patience=120.0).study("s").watch()
    assert next(changes).revision == 1
    server.servicer.cancelled.set()
    assert next(changes).revision == 2
    changes.close()


def test_a_call_that_closing_the_client_cancels_is_not_tried_again(server, connect) -> None:
    client = connect(patience=120.0)
    study = client.study("s")
    begun, released = threading.Event(), threading.Event()

    def wait(_: grpc.ServicerContext) -> None:
        begun.set()
        released.wait(60)

    server.servicer.answer = wait
    errors: list[bo_client.BoClientError] = []

    def ask() -> None:
        try:
            study.suggest()
        except bo_client.BoClientError as error:
            errors.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert begun.wait(60)
    client.close()
    asking.join(timeout=60)
    released.set()
    assert [type(error) for error in errors] == [bo_client.UnexpectedError]
