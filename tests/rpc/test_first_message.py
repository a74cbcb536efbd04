"""A call's message, with a gRPC that has the private names which receive it early, and with one that hasn't."""

import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from grpc._server import _RequestIterator

from bo_service.bootstrap import running_server
from bo_service.config import Config
from bo_service.rpc import first_message

TIMEOUT_S = 120


def test_the_installed_grpc_has_the_private_names() -> None:
    """With a new release that lacks one the server goes on, slower: this test says that it is time to look."""
    iterator = _RequestIterator(None, None, None)
    assert [name for name in first_message.PRIVATE_NAMES if not hasattr(iterator, name)] == []


def test_without_the_private_names_calls_are_answered_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_message, "PRIVATE_NAMES", ("no_such_name",))
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
