"""Who repeats the request ids of others, or guesses their leases, gets nothing of theirs."""

import hashlib
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import space_pb2, trial_pb2
from bo_api.v1.optimization_service_pb2_grpc import OptimizationServiceStub
from google.protobuf.descriptor import Descriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToJson, ParseDict
from google.protobuf.message_factory import GetMessageClass

from tests.attacks.conftest import SPACE, Target, make_target
from tests.e2e.conftest import Authority, ServerProcess, making_servers

pytestmark = pytest.mark.xdist_group("attacks-identity")  # its server is started once

SERVICE = pb.DESCRIPTOR.services_by_name["OptimizationService"]
EVERYBODY_ELSE = ["thief", "reader", "admin", "other-admin"]
HALF = {"x": space_pb2.ParameterValue(float_value=0.5)}
ARTIFACT = {"artifact_id": "a", "media_type": "text/plain", "content": b"x"}
STOLEN = {"loss": -999.0}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server that logs all it can, with tokens for a second worker and a second administrator, and the dashboard."""
    folder = tmp_path_factory.mktemp("identity")
    options = ("--log-level", "debug", "--dashboard", "127.0.0.1:0")
    with making_servers(folder) as make:
        found = make_target(make, folder / "bo.db", *options)
        with found.client("admin") as client:
            found.tokens["thief"] = client.tokens.create("worker").text
            found.tokens["other-admin"] = client.tokens.create("admin").text
            make_study(client, "s")
        yield found


def make_study(client: bo_client.Client, name: str) -> bo_client.Study:
    """A study whose suggestions wait for no surrogate."""
    return client.create_study(name, SPACE, "loss", goal="minimize", algorithm="quasi_random", lease_duration=600)


def suggest_request(request_id: str = "", worker_id: str = "victim") -> pb.SuggestTrialsRequest:
    return pb.SuggestTrialsRequest(parent="studies/s", worker_id=worker_id, request_id=request_id)


def complete_request(trial: trial_pb2.Trial, token: str, request_id: str = "") -> pb.CompleteTrialRequest:
    outcome = trial_pb2.Measurement(metrics=STOLEN)
    return pb.CompleteTrialRequest(name=trial.name, lease_token=token, final_measurement=outcome, request_id=request_id)


def ask(target: Target, role: str, method: str, request: Any) -> Any:
    with target.client(role) as client:
        return client.call(method, request)


def ask_over_http(target: Target, role: str, method: str, request: Any) -> Any:
    """The same as JSON over HTTP."""
    line = next(line for line in target.process.log.splitlines() if "dashboard at " in line)
    address = line.partition("dashboard at ")[2].strip().rstrip("/")
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {target.tokens[role]}"}
    body = MessageToJson(request).encode()
    asked = urllib.request.Request(f"{address}/{SERVICE.full_name}/{method}", body, headers)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return ParseDict(json.load(answer), GetMessageClass(SERVICE.methods_by_name[method].output_type)())


@pytest.mark.parametrize("say", [ask, ask_over_http])
def test_another_caller_gets_no_lease_by_a_request_id(target, say: Callable[..., Any]) -> None:
    request = suggest_request(f"logged-{say.__name__}")
    first = say(target, "worker", "SuggestTrials", request)
    for role in ("thief", "admin"):
        stolen = say(target, role, "SuggestTrials", request)
        assert stolen.trials[0].name != first.trials[0].name
        assert stolen.trials[0].lease.token != first.trials[0].lease.token
        assert say(target, role, "SuggestTrials", request) == stolen  # their own answer is kept for them
    for again in (ask, ask_over_http):  # one caller, whichever way it comes
        assert again(target, "worker", "SuggestTrials", request) == first


def test_a_request_id_tells_nobody_whether_it_was_used(target) -> None:
    ask(target, "worker", "SuggestTrials", suggest_request("used"))
    changed = suggest_request("used", worker_id="another")
    assert len(ask(target, "thief", "SuggestTrials", changed).trials) == 1
    with pytest.raises(bo_client.InvalidRequest) as refusal:
        ask(target, "worker", "SuggestTrials", changed)
    assert refusal.value.reason == "REQUEST_ID_REUSED"
    assert "'used'" not in str(refusal.value)


def test_every_method_with_a_request_id_keeps_it_by_caller(target) -> None:
    with target.client("admin") as client:
        study = make_study(client, "each")
        (running,) = client.call("SuggestTrials", pb.SuggestTrialsRequest(parent=study.name, worker_id="w")).trials
        spec = client.call("GetStudy", pb.GetStudyRequest(name=study.name)).study.spec
    queued = ask(target, "admin", "CreateTrial", pb.CreateTrialRequest(parent=study.name, trial={"parameters": HALF}))
    repeated: list[tuple[str, Any, str]] = [  # in this order, and what another administrator is told
        ("CreateStudy", pb.CreateStudyRequest(study_id="new", study={"spec": spec}), ""),
        ("UpdateStudy", pb.UpdateStudyRequest(study={"name": study.name}, update_mask=FieldMask(paths=["labels"])), ""),
        ("StopTrial", pb.StopTrialRequest(name=queued.trial.name), "WRONG_STATE"),
        ("AddArtifact", pb.AddArtifactRequest(name=queued.trial.name, **ARTIFACT), ""),
        ("SetTrialNote", pb.SetTrialNoteRequest(name=queued.trial.name, text="seen"), ""),
        ("CreateTrial", pb.CreateTrialRequest(parent=study.name, trial={"parameters": HALF}), ""),
        ("SuggestTrials", pb.SuggestTrialsRequest(parent=study.name, worker_id="w"), ""),
        ("CompleteTrial", complete_request(running, running.lease.token), "WRONG_STATE"),
        ("DeleteTrial", pb.DeleteTrialRequest(name=running.name), "NOT_FOUND"),
        ("DeleteStudy", pb.DeleteStudyRequest(name="studies/new"), "NOT_FOUND"),
    ]
    assert {method for method, _, _ in repeated} == {
        method.name for method in SERVICE.methods if "request_id" in method.input_type.fields_by_name
    }
    for method, request, refused in repeated:
        request.request_id = "the-same"
        first = ask(target, "admin", method, request)
        assert ask(target, "admin", method, request) == first
        if refused:
            with pytest.raises(bo_client.BoClientError) as refusal:
                ask(target, "other-admin", method, request)
            assert refusal.value.reason == refused
        else:
            second = ask(target, "other-admin", method, request)
            assert (second == first) is (method == "CreateStudy")  # which is there, whoever has made it


def can_hold(message: Descriptor, wanted: Descriptor, seen: frozenset[str] = frozenset()) -> bool:
    if message is wanted or message.full_name in seen:
        return message is wanted
    inner = [field.message_type for field in message.fields if field.message_type]
    return any(can_hold(one, wanted, seen | {message.full_name}) for one in inner)


@pytest.mark.parametrize("role", EVERYBODY_ELSE)
def test_no_answer_shows_the_lease_of_another(target, role: str) -> None:
    (trial,) = ask(target, "worker", "SuggestTrials", suggest_request()).trials
    token = trial.lease.token
    study, other = "studies/s", ask(target, "admin", "SuggestTrials", suggest_request(worker_id="other")).trials[0]
    full = pb.TRIAL_VIEW_FULL
    asked = {
        "GetTrial": pb.GetTrialRequest(name=trial.name, view=full),
        "ListTrials": pb.ListTrialsRequest(parent=study, view=full),
        "GetBestTrials": pb.GetBestTrialsRequest(parent=study, count=1000),
        "WatchStudy": pb.WatchStudyRequest(name=study, view=full),
        "SuggestTrials": suggest_request(),
        "CreateTrial": pb.CreateTrialRequest(parent=study, trial=trial),
        "StopTrial": pb.StopTrialRequest(name=trial.name, reason=token[:3]),
        "SetTrialNote": pb.SetTrialNoteRequest(name=trial.name, text=token[:3]),
        "CompleteTrial": complete_request(other, other.lease.token),
    }
    lease = trial_pb2.Lease.DESCRIPTOR
    assert set(asked) == {method.name for method in SERVICE.methods if can_hold(method.output_type, lease)}
    for method, request in asked.items():
        try:
            answers = watched(target, role, request) if method == "WatchStudy" else [ask(target, role, method, request)]
        except bo_client.PermissionDenied:
            assert role == "reader"
            assert method in ("SuggestTrials", "CreateTrial", "StopTrial", "CompleteTrial", "SetTrialNote")
        else:
            assert all(token.encode() not in answer.SerializeToString() for answer in answers)
    assert ask(target, "worker", "ReportMeasurements", heartbeat(trial.name, token)).lease_valid


def watched(target: Target, role: str, request: pb.WatchStudyRequest) -> list[pb.WatchStudyResponse]:
    """The whole study, as its watchers see it."""
    found: list[pb.WatchStudyResponse] = []
    with grpc.insecure_channel(target.address) as channel:
        for change in OptimizationServiceStub(channel).WatchStudy(request, 60, target.metadata(role)):
            found.append(change)
            if change.revision == change.study.revision:
                return found
    raise AssertionError("the stream ended")


def heartbeat(name: str, token: str) -> pb.ReportMeasurementsRequest:
    return pb.ReportMeasurementsRequest(
        name=name, lease_token=token, measurements=[trial_pb2.Measurement(step=1, metrics=STOLEN)]
    )


@pytest.mark.parametrize("role", EVERYBODY_ELSE)
def test_leases_that_are_guessed_wrong_or_old_end_nothing(target, role: str) -> None:
    trial, another = (ask(target, "worker", "SuggestTrials", suggest_request()).trials[0] for _ in range(2))
    right = trial.lease.token
    for guess in (
        "x",
        right[:-1],
        f"{right}x",
        right.swapcase(),
        another.lease.token,
        trial.name,
        right.encode().hex(),
    ):
        for method, request in (
            ("CompleteTrial", complete_request(trial, guess)),
            ("ReportMeasurements", heartbeat(trial.name, guess)),
        ):
            with pytest.raises((bo_client.FailedPrecondition, bo_client.PermissionDenied)) as refusal:
                ask(target, role, method, request)
            assert refusal.value.reason == ("PERMISSION_DENIED" if role == "reader" else "WRONG_LEASE")
            assert right not in str(refusal.value)
    assert ask(target, "worker", "GetTrial", pb.GetTrialRequest(name=trial.name)).trial.measurements == []
    done = complete_request(trial, right)
    done.final_measurement.metrics["loss"] = 0.25
    assert ask(target, "worker", "CompleteTrial", done).trial.final_measurement.metrics["loss"] == 0.25
    if role != "reader":  # the lease of a trial that has ended is old
        with pytest.raises(bo_client.FailedPrecondition):
            ask(target, role, "CompleteTrial", complete_request(trial, right))
        assert not ask(target, role, "ReportMeasurements", heartbeat(trial.name, right)).lease_valid
    kept = ask(target, "worker", "GetTrial", pb.GetTrialRequest(name=trial.name, view=pb.TRIAL_VIEW_FULL)).trial
    assert kept.final_measurement.metrics["loss"] == 0.25
    assert not kept.measurements


def test_logs_hold_hashes_of_request_ids(target) -> None:
    ids = {"grpc": "raw-id-over-grpc", "http": "raw-id-over-http", "header": "raw-x-request-id", "odd": "raw id; odd"}
    ask(target, "worker", "SuggestTrials", suggest_request(ids["grpc"]))
    ask_over_http(target, "worker", "SuggestTrials", suggest_request(ids["http"]))
    with pytest.raises(bo_client.InvalidRequest):
        ask(target, "worker", "SuggestTrials", suggest_request(ids["grpc"], "another"))
    with grpc.insecure_channel(target.address) as channel:
        for name in ("header", "odd"):
            call = channel.unary_unary(f"/{SERVICE.full_name}/GetStudy")
            request = pb.GetStudyRequest(name="studies/s").SerializeToString()
            call(request, timeout=60, metadata=[*target.metadata("reader"), ("x-request-id", ids[name])])
    ask(target, "worker", "GetStudy", pb.GetStudyRequest(name="studies/s"))
    log = target.process.log
    assert "raw" not in log
    for name in ids.values():
        assert f"request_id={hashlib.sha256(name.encode()).hexdigest()[:16]}" in log


def test_certificates_tell_callers_apart_where_there_are_no_tokens(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.sign("server")
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.file)]
    with making_servers(tmp_path) as make:
        process: ServerProcess = make("--processes", "1", *tls)
        process.start()

        def client(name: str) -> bo_client.Client:
            own, secret = authority.sign(name, f"{name}.example")
            return bo_client.connect(process.address, ca=authority.file, certificate=own, key=secret)

        with client("victim") as victim, client("thief") as thief, client("victim") as renewed:
            make_study(victim, "s")
            first, stolen, again = (c.call("SuggestTrials", suggest_request("id")) for c in (victim, thief, renewed))
        assert first == again
        assert first.trials[0].name != stolen.trials[0].name
