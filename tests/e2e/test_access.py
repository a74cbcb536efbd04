"""Who is let in: a real server with tokens, called by those who may and those who may not."""

import time
from pathlib import Path

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from bo_api.v1 import token_service_pb2 as token_pb
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from bo_service.application.tokens import NewToken, create_token
from bo_service.bootstrap import running_server
from bo_service.config import Config
from bo_service.domain.access import Role
from bo_service.rpc.admission import RULES
from bo_service.storage.sqlite import SqliteStore, SystemClock

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
SERVICE = pb.DESCRIPTOR.services_by_name["OptimizationService"]
KINDS = ("reader", "worker", "admin")


class Guarded:
    """A server with a token of each role, one of an administrator of `mine-*` alone, and two studies."""

    def __init__(self, folder: Path) -> None:
        store = SqliteStore(folder / "bo.db")
        asked = {
            **{role.value: NewToken(role) for role in Role},
            "mine": NewToken(Role.ADMIN, ("mine-*",)),
        }
        self.tokens = {name: create_token(store, SystemClock(), new).text for name, new in asked.items()}
        store.close()
        self.config = Config(f"sqlite:///{folder}/bo.db", "127.0.0.1:0", processes=1)
        self.address = ""

    def client(self, who: str) -> bo_client.Client:
        return bo_client.connect(self.address, patience=0.0, token=self.tokens[who])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    found = Guarded(tmp_path_factory.mktemp("guarded"))
    with running_server(found.config) as port:
        found.address = f"127.0.0.1:{port}"
        with found.client("admin") as client:
            for name in ("mine-1", "theirs"):
                client.create_study(name, SPACE, "loss", goal="minimize")
        yield found


@pytest.fixture
def channel(guarded):
    with grpc.insecure_channel(guarded.address) as found:
        yield found


def refusal(channel, method, request=None, token: str | None = None, metadata=()) -> grpc.RpcError | None:
    """How a call of ours ends; None where it succeeds."""
    make = channel.unary_stream if method.server_streaming else channel.unary_unary
    call = make(f"/{method.containing_service.full_name}/{method.name}", lambda m: m.SerializeToString())
    shown = [("authorization", f"Bearer {token}")] if token else [*metadata]
    message = GetMessageClass(method.input_type)() if request is None else request
    try:
        answer = call(message, timeout=10, metadata=shown)
        if method.server_streaming:
            next(answer)
            answer.cancel()
    except grpc.RpcError as error:
        return error
    return None


def code(error: grpc.RpcError | None) -> grpc.StatusCode:
    return grpc.StatusCode.OK if error is None else error.code()


def caller(channel, token: str | None) -> token_pb.GetCallerResponse:
    ask = channel.unary_unary(
        "/bo_api.v1.TokenService/GetCaller", lambda m: m.SerializeToString(), token_pb.GetCallerResponse.FromString
    )
    shown = [("authorization", f"Bearer {token}")] if token else []
    return ask(token_pb.GetCallerRequest(), timeout=10, metadata=shown)


def test_callers_are_told_what_they_may_do(guarded, channel) -> None:
    for kind in KINDS:
        told = caller(channel, guarded.tokens[kind])
        assert (token_pb.Role.Name(told.role), list(told.studies)) == (f"ROLE_{kind.upper()}", [])
        assert guarded.tokens[kind].startswith(f"bo_{told.token.removeprefix('tokens/')}_")
    assert list(caller(channel, guarded.tokens["mine"]).studies) == ["mine-*"]
    with pytest.raises(grpc.RpcError) as refused:
        caller(channel, None)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_where_no_tokens_are_asked_for_everybody_is_an_administrator_without_a_name(server: str) -> None:
    with grpc.insecure_channel(server) as found:
        assert caller(found, None) == token_pb.GetCallerResponse(role=token_pb.ROLE_ADMIN)


def test_everything_that_is_served_has_a_rule(channel, guarded) -> None:
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    shown = [("authorization", f"Bearer {guarded.tokens['reader']}")]
    (answer,) = stub.ServerReflectionInfo(iter([ask]), timeout=10, metadata=shown)
    served = {service.name for service in answer.list_services_response.service}
    assert served == {name.split("/")[1] for name in RULES}


def test_reflection_needs_a_token_and_health_none(channel) -> None:
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    with pytest.raises(grpc.RpcError) as error:
        list(reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]), timeout=60))
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("method", list(SERVICE.methods), ids=lambda m: m.name)
def test_each_role_is_let_in_to_its_own_methods_alone(channel, guarded, method) -> None:
    assert code(refusal(channel, method)) is grpc.StatusCode.UNAUTHENTICATED
    needed = RULES[f"/{SERVICE.full_name}/{method.name}"].role
    for kind in KINDS:
        got = code(refusal(channel, method, token=guarded.tokens[kind]))
        if Role(kind).includes(needed):  # the empty request is refused for what it lacks
            expected = grpc.StatusCode.OK if method.name == "ListStudies" else grpc.StatusCode.INVALID_ARGUMENT
        else:
            expected = grpc.StatusCode.PERMISSION_DENIED
        assert got is expected, kind


def naming(method, study: str):
    request = GetMessageClass(method.input_type)()
    fields = method.input_type.fields_by_name
    if "study_id" in fields:
        request.study_id = study
        request.study.spec.metrics.add(name="loss", goal=1)
        request.study.spec.space.parameters.add(name="x").float_parameter.high = 1.0
    elif "parent" in fields:
        request.parent = f"studies/{study}{'/trials/1' if method.name == 'ListArtifacts' else ''}"
    elif "study" in fields:
        request.study.name = f"studies/{study}"
    elif "name" in fields:
        is_trial = "Trial" in method.name or method.name in ("ReportMeasurements", "AddArtifact", "GetArtifact")
        request.name = f"studies/{study}/trials/1" if is_trial else f"studies/{study}"
        request.name += "/artifacts/a" if method.name == "GetArtifact" else ""
    return request


@pytest.mark.parametrize("method", [m for m in SERVICE.methods if m.name != "ListStudies"], ids=lambda m: m.name)
@pytest.mark.parametrize("study", ["theirs", "never-made", "mine"])
def test_other_studies_are_closed_whether_or_not_they_exist(channel, guarded, method, study: str) -> None:
    error = refusal(channel, method, naming(method, study), guarded.tokens["mine"])
    assert code(error) is grpc.StatusCode.PERMISSION_DENIED
    assert f"has no access to studies/{study}" in error.details()


@pytest.mark.parametrize("method", [m for m in SERVICE.methods if m.name != "DeleteStudy"], ids=lambda m: m.name)
def test_its_own_studies_are_open_to_it(channel, guarded, method) -> None:
    error = refusal(channel, method, naming(method, "mine-1"), guarded.tokens["mine"])
    assert code(error) not in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)


def test_studies_are_listed_as_far_as_they_are_seen(guarded) -> None:
    with guarded.client("reader") as reader, guarded.client("mine") as mine:
        assert [s.id for s in reader.studies()] == ["mine-1", "theirs"]
        assert [s.id for s in mine.studies()] == ["mine-1"]


def test_pages_of_studies_pass_over_the_others(guarded) -> None:
    with guarded.client("admin") as admin, guarded.client("mine") as mine:
        for name in ("a", "mine-2", "mine-3", "n", "z"):
            admin.create_study(name, SPACE, "loss", goal="minimize")
        found, token = [], ""
        while True:
            page = mine.ask(pb.ListStudiesRequest(page_size=1, page_token=token), pb.ListStudiesResponse)
            found += [study.name for study in page.studies]
            token = page.next_page_token
            if not token:
                break
        assert found == ["studies/mine-1", "studies/mine-2", "studies/mine-3"]
        for name in ("a", "mine-2", "mine-3", "n", "z"):
            admin.delete_study(name)


def test_nobody_learns_from_a_closed_study_by_starting_from_it(guarded) -> None:
    with guarded.client("mine") as mine, pytest.raises(bo_client.PermissionDenied, match="theirs"):
        mine.create_study("mine-9", SPACE, "loss", goal="minimize", warm_start_studies=["theirs"])


def test_who_is_limited_to_some_studies_gives_out_no_tokens(guarded) -> None:
    with guarded.client("mine") as mine, pytest.raises(bo_client.PermissionDenied, match="all studies"):
        list(mine.tokens)


def test_a_worker_does_all_that_a_worker_does(guarded) -> None:
    with guarded.client("worker") as client:
        study = client.create_study("work", SPACE, "loss", goal="minimize", max_trials=1)
        study.update(max_trials=2)
        best = study.optimize(lambda parameters: parameters["x"])
        assert best.final_measurement is not None
        with pytest.raises(bo_client.PermissionDenied, match="admin"):
            client.delete_study("work")
    with guarded.client("admin") as client:
        client.delete_study("work")


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Bearer nonsense"),),
        (("authorization", "Basic dXNlcjpwYXNz"),),
        (("authorization", ""),),
    ],
)
def test_strangers_are_told_what_to_show(channel, metadata) -> None:
    error = refusal(channel, SERVICE.methods_by_name["ListStudies"], metadata=metadata)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert error.details().startswith("authorization: ")


def test_two_tokens_at_once_are_refused(channel, guarded) -> None:
    shown = [("authorization", f"Bearer {guarded.tokens[kind]}") for kind in ("reader", "admin")]
    error = refusal(channel, SERVICE.methods_by_name["ListStudies"], metadata=shown)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


def test_what_strangers_send_is_not_even_read(channel) -> None:
    """Bytes that are no message at all are refused like any others."""
    call = channel.unary_unary(f"/{SERVICE.full_name}/CreateStudy")
    with pytest.raises(grpc.RpcError) as error:
        call(b"\xff" * 1000, timeout=60)
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_revoked_token_is_worth_nothing_and_its_streams_end(guarded) -> None:
    with guarded.client("admin") as admin:
        made = admin.tokens.create("reader", ["theirs"], description="to be revoked")
        with bo_client.connect(guarded.address, patience=0.0, token=made.text) as reader:
            changes = reader.study("theirs").watch()
            next(changes)
            admin.tokens.revoke(made.info.id)
            with pytest.raises(bo_client.PermissionDenied, match="revoked"):
                reader.study("theirs")
            heard: list[bo_client.Change] = []
            with pytest.raises(bo_client.PermissionDenied):
                heard.extend(changes)
            assert heard == []  # it ends before its next sign of life
        (told,) = [t for t in admin.tokens if t.id == made.info.id]
        assert (told.role, told.studies, told.description) == ("reader", ("theirs",), "to be revoked")
        assert told.revoke_time is not None


def test_a_token_expires_while_the_server_runs(guarded) -> None:
    with guarded.client("admin") as admin:
        made = admin.tokens.create("reader", lifetime=20.0)
        short = admin.tokens.create("reader", lifetime=1.0)
    with bo_client.connect(guarded.address, patience=0.0, token=made.text) as reader:
        assert list(reader.studies())
    time.sleep(1.1)
    with bo_client.connect(guarded.address, patience=0.0, token=short.text) as reader:
        with pytest.raises(bo_client.PermissionDenied, match="expired") as refused:
            list(reader.studies())
        assert refused.value.reason == "UNAUTHENTICATED"


def test_it_stays_a_generic_client_can_call(channel, guarded) -> None:
    shown = [("authorization", f"Bearer {guarded.tokens['reader']}")]
    answer = rpc.OptimizationServiceStub(channel).ListStudies(pb.ListStudiesRequest(), timeout=10, metadata=shown)
    assert {study.name for study in answer.studies} >= {"studies/mine-1", "studies/theirs"}
