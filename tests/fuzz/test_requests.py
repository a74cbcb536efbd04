"""Whatever a server is sent, it answers or refuses: no fault of its own, no hung call, no study that can't be read.

The long run is `python -m tests.fuzz --inputs 100000`.
"""

from collections.abc import Iterator

import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import fuzz
from tests.fuzz.strategies import messages
from tests.fuzz.target import METHODS, Target, running_target
from tests.fuzz.world import World

pytestmark = pytest.mark.xdist_group("fuzz-requests")  # its server is started once


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running_target(tmp_path_factory.mktemp("fuzz")) as target:
        yield target


@pytest.fixture(scope="module")
def world(target: Target) -> Iterator[World]:
    """Studies to name; what is left of them must read and suggest."""
    world = World(target)
    world.found()
    yield world
    world.check()


@pytest.mark.parametrize("method", METHODS)
@settings(suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_field_of_every_request(target: Target, world: World, method: str, data: st.DataObject) -> None:
    request = data.draw(messages(METHODS[method].input_type))
    target.send(method, request.SerializeToString())


def test_bytes_of_all_kinds(target: Target, world: World) -> None:
    fuzz(target, inputs=400, seed=3, world=world)
    assert {"OK", "INVALID_ARGUMENT", "FAILED_PRECONDITION"} <= set(target.statuses)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_bytes_of_all_kinds_at_length(target: Target, world: World) -> None:
    fuzz(target, inputs=100_000, seed=4, world=world)


@pytest.mark.parametrize("method", METHODS)
def test_bytes_that_are_no_message_are_an_invalid_argument(target: Target, method: str) -> None:
    make = target.channel.unary_stream if METHODS[method].server_streaming else target.channel.unary_unary
    with pytest.raises(grpc.RpcError) as refusal:
        list(make(f"/bo_api.v1.OptimizationService/{method}")(b"\x0a\xff", timeout=10))  # type: ignore[arg-type]
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "not a valid message of this method" in refusal.value.details()


@pytest.mark.parametrize(
    "path", ["/grpc.health.v1.Health/Check", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"]
)
def test_health_and_reflection_have_no_fault_either(target: Target, path: str) -> None:
    call = target.channel.stream_stream(path)(iter([b"\x0a\xff"]), timeout=10)
    try:
        next(call)
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)  # noqa: PT017
    call.cancel()
    assert not target.errors.lines


def test_the_checks_of_the_target_can_fail(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr("bo_service.application.studies.get_study", broken)
    with pytest.raises(AssertionError, match="GetStudy ended as INTERNAL"):
        target.ask("GetStudy", pb.GetStudyRequest(name="studies/plain"))
    assert "secret" in target.errors.lines.pop()
