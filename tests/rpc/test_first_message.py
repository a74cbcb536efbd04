"""A call's message, with a gRPC that has the private names which receive it early, and with one that hasn't."""

import threading
from collections.abc import Callable
from types import SimpleNamespace

import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from grpc._server import _RequestIterator

from bo_service.bootstrap import running_server
from bo_service.config import Config
from bo_service.rpc import lanes
from bo_service.rpc.lanes import FirstMessage

TIMEOUT_S = 120


class Queue:
    """gRPC's queue of events, and its iterator over the messages of one call."""

    def __init__(self) -> None:
        self.tags: list[Callable[[object], object]] = []
        self.during: Callable[[], object] = lambda: None
        """What another thread does while the message begins to be received."""
        self._call, self._state = self, SimpleNamespace(condition=threading.Condition())

    def start_server_batch(self, operations: object, tag: Callable[[object], object]) -> None:
        self.tags.append(tag)

    def _raise_or_start_receive_message(self) -> None:
        self._call.start_server_batch(("receive",), lambda _: (None, ()))
        self.during()

    def _look_for_request(self) -> bytes:
        return b"message"


def test_looking_for_what_is_queued_does_not_pass_for_the_message() -> None:
    """Also in the moment in which the message begins to be received."""
    queue, heard = Queue(), []
    first = FirstMessage(queue)
    assert not first.catch_up(lambda: heard.append("too early"))
    queue.during = lambda: first.catch_up(lambda: heard.append("caught up"))
    first.receive(lambda: heard.append("message"))
    for tag in queue.tags:
        assert tag(None) == (None, ())
    assert heard == ["message", "caught up"]


def test_a_failure_of_ours_does_not_end_the_serving_thread(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise KeyError

    queue = Queue()
    FirstMessage(queue).receive(fail)
    assert queue.tags[0](None) == (None, ())
    assert "lost its turn" in caplog.text


def test_the_installed_grpc_has_the_private_names() -> None:
    """With a new release that lacks one the server goes on, slower: this test says that it is time to look."""
    iterator = _RequestIterator(None, None, None)
    assert [name for name in lanes.PRIVATE_NAMES if not hasattr(iterator, name)] == []


def test_without_the_private_names_calls_are_answered_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "PRIVATE_NAMES", ("no_such_name",))
    monkeypatch.setattr(lanes, "IS_EARLY", lanes.has_private_names())
    config = Config("memory:", "127.0.0.1:0", processes=1)
    with running_server(config) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = rpc.OptimizationServiceStub(channel)
        assert list(stub.ListStudies(pb.ListStudiesRequest(), timeout=TIMEOUT_S).studies) == []
        with pytest.raises(grpc.RpcError) as refusal:
            stub.GetStudy(pb.GetStudyRequest(name="studies/none"), timeout=TIMEOUT_S)
        assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
        changes = stub.WatchStudy(pb.WatchStudyRequest(name="studies/none"), timeout=TIMEOUT_S)
        with pytest.raises(grpc.RpcError) as refusal:
            next(changes)
        assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
