"""Every limit is told to users, and every one is kept: as many are taken, one more is refused by name and number."""

import ast
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from bo_api.v1 import token_service_pb2 as token_pb
from bo_api.v1 import token_service_pb2_grpc as token_rpc
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from benchmarks.http2 import RST_STREAM, RawConnection, frame, message
from bo_service.application import artifacts, trials
from bo_service.application.authentication import Authenticator, AuthMode
from bo_service.application.context import AppContext
from bo_service.domain import limits
from bo_service.domain.errors import NotEnoughData
from bo_service.optimizer.initial_design import quasi_random
from bo_service.rpc import handlers
from bo_service.rpc.server import GrpcServer
from bo_service.storage.sqlite import SqliteStore, SystemClock

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "limits.md"
REAL = {"name": "x", "floatParameter": {"high": 1.0}}
LOSS = {"name": "loss", "goal": "GOAL_MINIMIZE"}
QUICK = {"algorithm": "ALGORITHM_QUASI_RANDOM"}
TRIAL = "studies/s/trials/1"


class QuickOptimizer:
    """Knows no surrogate."""

    def suggest(self, evidence: Any, count: int, timeout: float, handle: Any) -> None:
        return None

    def suggest_quasi_random(self, evidence: Any, count: int) -> Any:
        return quasi_random(evidence, count)

    def predict(self, *_: object) -> Any:
        raise NotEnoughData("there is no surrogate here")

    predict_slice = analyze = predict


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppContext]:
    store = SqliteStore(tmp_path_factory.mktemp("limits") / "bo.db")
    yield AppContext.of(store, SystemClock(), QuickOptimizer())
    store.close()


@pytest.fixture(scope="module")
def channel(app: AppContext) -> Iterator[grpc.Channel]:
    server = GrpcServer(app, Authenticator(app.store, app.clock, AuthMode.NONE), "127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        assert refusal(channel, "CreateStudy", study("s")) is None
        yield channel
    server.stop(drain=0.0, grace=1.0)


@pytest.fixture(scope="module")
def token(channel: grpc.Channel) -> str:
    """Of the first trial, which runs."""
    ask = pb.SuggestTrialsRequest(parent="studies/s", worker_id="w")
    answer = rpc.OptimizationServiceStub(channel).SuggestTrials(ask, timeout=20)
    assert answer.trials[0].name == TRIAL
    return str(answer.trials[0].lease.token)


def study(study_id: str = "t", **spec: Any) -> pb.CreateStudyRequest:
    given = {"space": {"parameters": [REAL]}, "metrics": [LOSS], "suggestion": QUICK, **spec}
    return json_format.ParseDict({"studyId": study_id, "study": {"spec": given}}, pb.CreateStudyRequest())


def space(*parameters: Any, **more: Any) -> pb.CreateStudyRequest:
    return study("n", space={"parameters": list(parameters), **more})


def about(**fields: Any) -> pb.CreateStudyRequest:
    request = study("n")
    json_format.ParseDict({"study": fields}, request)
    return request


def objective(name: str = "o", **options: str) -> pb.SuggestTrialsRequest:
    """Of a study that isn't there: what is too long is refused before it is looked for."""
    given = {"name": name, "options": options}
    return json_format.ParseDict(
        {"parent": "studies/no", "workerId": "w", "objective": given}, pb.SuggestTrialsRequest()
    )


def update(**fields: Any) -> pb.UpdateStudyRequest:
    (name,) = fields
    study = {"name": "studies/s", **fields}
    mask = "".join("_" + c.lower() if c.isupper() else c for c in name)
    request = json_format.ParseDict({"study": study}, pb.UpdateStudyRequest())
    request.update_mask.paths.append(mask)
    return request


def settings(path: str, **values: Any) -> pb.UpdateStudyRequest:
    owner, _, name = path.rpartition(".")
    study = {"name": "studies/s", "spec": {owner: values}}
    request = json_format.ParseDict({"study": study}, pb.UpdateStudyRequest())
    request.update_mask.paths.append(f"spec.{owner}.{name}")
    return request


def grid(n: int) -> pb.CreateStudyRequest:
    """Ask for a grid of n configurations: lists whose lengths are factors of n."""
    first = max(k for k in range(1, math.isqrt(n) + 1) if n % k == 0)
    lists = [
        {"name": name, "categoricalParameter": {"values": words(k)}} for name, k in (("a", first), ("b", n // first))
    ]
    return study("n", space={"parameters": lists}, suggestion={"algorithm": "ALGORITHM_GRID"})


def report(token: str, *measurements: Any, uri: str = "") -> pb.ReportMeasurementsRequest:
    given = {"name": TRIAL, "leaseToken": token, "measurements": list(measurements), "checkpointUri": uri}
    return json_format.ParseDict(given, pb.ReportMeasurementsRequest())


def words(n: int) -> list[dict[str, str]]:
    return [{"stringValue": f"v{i}"} for i in range(n)]


def wide(columns: int) -> list[dict[str, Any]]:
    """Parameters that have so many columns together: some categorical ones, and a real number for the last few."""
    categories, rest = divmod(columns, limits.MAX_VALUES)
    more = [{"name": f"c{i}", "categoricalParameter": {"values": words(limits.MAX_VALUES)}} for i in range(categories)]
    return [*more, *({**REAL, "name": f"x{i}"} for i in range(rest))]


def queue(**trial: Any) -> pb.CreateTrialRequest:
    given = {"parent": "studies/s", "trial": {"parameters": {"x": {"floatValue": 0.5}}, **trial}}
    return json_format.ParseDict(given, pb.CreateTrialRequest())


def failing(message: str, token: str) -> pb.CompleteTrialRequest:
    given = {"name": "studies/s/trials/999", "leaseToken": token, "failure": {"reason": 4, "message": message}}
    return json_format.ParseDict(given, pb.CompleteTrialRequest())


def bearer(**given: Any) -> token_pb.CreateTokenRequest:
    return token_pb.CreateTokenRequest(role=token_pb.ROLE_READER, **given)


def adding(token: str, **given: Any) -> pb.AddArtifactRequest:
    given = {
        "artifact_id": "a",
        "media_type": "text/plain",
        **({"content": b"c"} if "uri" not in given else {}),
        **given,
    }
    return pb.AddArtifactRequest(name=TRIAL, lease_token=token, **given)


def slicing(*parameters: str, size: int) -> pb.PredictSliceRequest:
    return pb.PredictSliceRequest(parent="studies/s", parameters=parameters, grid_size=size)


StoppingContext = tuple[Callable[[int, str], Any], str]
"""A request that has so many, given a lease token, and the field that is named where they are too many."""

CASES: dict[str, StoppingContext] = {
    "MAX_REQUEST_ID": (lambda n, t: pb.DeleteStudyRequest(name="studies/no", request_id="r" * n), "request_id"),
    "MAX_WORKER_ID": (lambda n, t: pb.SuggestTrialsRequest(parent="studies/no", worker_id="w" * n), "worker_id"),
    "MAX_LEASE_TOKEN": (lambda n, t: report("t" * n), "lease_token"),
    "MAX_STUDY_ID": (lambda n, t: study("a" * n), "study_id"),
    "MAX_DISPLAY_NAME": (lambda n, t: about(displayName="d" * n), "study.display_name"),
    "MAX_LABELS": (lambda n, t: about(labels={f"k{i}": "" for i in range(n)}), "study.labels"),
    "MAX_LABEL_KEY": (lambda n, t: update(labels={"k" * n: ""}), "study.labels"),
    "MAX_LABEL_VALUE": (lambda n, t: update(labels={"k": "v" * n}), 'study.labels["k"]'),
    "MAX_PARAMETERS": (
        lambda n, t: space(*({**REAL, "name": f"x{i}"} for i in range(n))),
        "study.spec.space.parameters",
    ),
    "MAX_NAME": (lambda n, t: space({**REAL, "name": "x" * n}), "study.spec.space.parameters[0].name"),
    "MAX_VALUES": (
        lambda n, t: space({"name": "c", "categoricalParameter": {"values": words(n)}}),
        "study.spec.space.parameters[0].categorical_parameter.values",
    ),
    "MAX_COLUMNS": (
        lambda n, t: study(f"c{n}", space={"parameters": wide(n)}),
        "study.spec.space.parameters",
    ),
    "MAX_TEXT": (
        lambda n, t: space({"name": "c", "categoricalParameter": {"values": [{"stringValue": "v" * n}]}}),
        "study.spec.space.parameters[0].categorical_parameter.values",
    ),
    "MAX_INT": (
        lambda n, t: space({"name": "i", "intParameter": {"high": n}}),
        "study.spec.space.parameters[0].int_parameter.high",
    ),
    "MAX_CONSTRAINTS": (
        lambda n, t: space(REAL, constraints=[{"linear": {"coefficients": {"x": 1.0}, "upperBound": 1.0}}] * n),
        "study.spec.space.constraints",
    ),
    "MAX_DESCRIPTION": (
        lambda n, t: space({**REAL, "description": "d" * n}),
        "study.spec.space.parameters[0].description",
    ),
    "MAX_UNIT": (lambda n, t: space({**REAL, "unit": "u" * n}), "study.spec.space.parameters[0].unit"),
    "MAX_METRICS": (
        lambda n, t: study("n", metrics=[LOSS, *({"name": f"m{i}", "role": 3} for i in range(n - 1))]),
        "study.spec.metrics",
    ),
    "MAX_OBJECTIVES": (
        lambda n, t: study("n", metrics=[{**LOSS, "name": f"m{i}"} for i in range(n)]),
        "study.spec.metrics",
    ),
    "MAX_OBJECTIVE_NAME": (lambda n, t: update(objective={"name": "o" * n}), "study.objective.name"),
    "MAX_OPTIONS": (
        lambda n, t: about(objective={"name": "o", "options": {f"k{i}": "" for i in range(n)}}),
        "study.objective.options",
    ),
    "MAX_OPTION_KEY": (lambda n, t: objective(**{"k" * n: ""}), "objective.options"),
    "MAX_OPTION_VALUE": (lambda n, t: objective(k="v" * n), 'objective.options["k"]'),
    "MAX_SOURCES": (
        lambda n, t: settings("suggestion.warm_start_studies", warmStartStudies=[f"studies/n{i}" for i in range(n)]),
        "study.spec.suggestion.warm_start_studies",
    ),
    "MAX_INITIAL_TRIALS": (
        lambda n, t: settings("suggestion.initial_trials", initialTrials=n),
        "study.spec.suggestion.initial_trials",
    ),
    "MAX_CONFIRMING_TRIALS": (
        lambda n, t: study("n", suggestion={"confirmingTrials": n}, execution={"maxTrials": 1000}),
        "study.spec.suggestion.confirming_trials",
    ),
    "MAX_GRID_POINTS": (
        lambda n, t: study("n", suggestion={"algorithm": "ALGORITHM_GRID", "gridPoints": n}),
        "study.spec.suggestion.grid_points",
    ),
    "MAX_GRID_SIZE": (lambda n, t: grid(n), "study.spec.suggestion.grid_points"),
    "MAX_ATTEMPTS": (
        lambda n, t: settings("execution.max_attempts", maxAttempts=n),
        "study.spec.execution.max_attempts",
    ),
    "MAX_TRIALS": (lambda n, t: settings("execution.max_trials", maxTrials=n), "study.spec.execution.max_trials"),
    "MAX_TRAINING_SECONDS": (
        lambda n, t: settings("execution.max_seconds", maxSeconds=n),
        "study.spec.execution.max_seconds",
    ),
    "MAX_LEASE_SECONDS": (
        lambda n, t: settings("execution.lease_duration", leaseDuration=f"{n}s"),
        "study.spec.execution.lease_duration",
    ),
    "MAX_SUGGESTIONS": (lambda n, t: pb.SuggestTrialsRequest(parent="studies/no", worker_id="w", count=n), "count"),
    "MAX_CALL_MEASUREMENTS": (
        lambda n, t: report(t, *({"step": 1, "metrics": {"loss": 1.0}} for _ in range(n))),
        "measurements",
    ),
    "MAX_METRIC_VALUES": (
        lambda n, t: report(t, {"metrics": {f"m{i}": 1.0 for i in range(n)}}),
        "measurements[0].metrics",
    ),
    "MAX_STEP": (lambda n, t: report(t, {"step": n, "metrics": {"loss": 1.0}}), "measurements[0].step"),
    "MAX_SECONDS": (
        lambda n, t: report(t, {"elapsed": f"{n}s", "metrics": {"loss": 1.0}}),
        "measurements[0].elapsed",
    ),
    "MAX_CHECKPOINT_URI": (lambda n, t: report(t, uri="u" * n), "checkpoint_uri"),
    "MAX_FAILURE_MESSAGE": (lambda n, t: failing("m" * n, t), "failure.message"),
    "MAX_STOP_REASON": (lambda n, t: pb.StopTrialRequest(name="studies/s/trials/999", reason="r" * n), "reason"),
    "MAX_NOTE": (lambda n, t: pb.SetTrialNoteRequest(name="studies/s/trials/999", text="n" * n), "text"),
    "MAX_ARTIFACT_ID": (lambda n, t: adding(t, artifact_id="a" * n), "artifact_id"),
    "MAX_MEDIA_TYPE": (lambda n, t: adding(t, media_type="a/" + "b" * (n - 2)), "media_type"),
    "MAX_ARTIFACT_URI": (lambda n, t: adding(t, uri="s:" + "u" * (n - 2)), "uri"),
    "MAX_ARTIFACT_BYTES": (lambda n, t: adding(t, content=b"c" * n), "content"),
    "MAX_TOKEN_STUDIES": (lambda n, t: bearer(studies=[f"s{i}" for i in range(n)]), "studies"),
    "MAX_TOKEN_DESCRIPTION": (lambda n, t: bearer(description="d" * n), "description"),
    "MAX_BEST": (lambda n, t: pb.GetBestTrialsRequest(parent="studies/s", count=n), "count"),
    "MAX_CONFIGURATIONS": (
        lambda n, t: json_format.ParseDict(
            {"parent": "studies/s", "configurations": [{"parameters": {"x": {"floatValue": 0.5}}}] * n},
            pb.PredictRequest(),
        ),
        "configurations",
    ),
    "MAX_SLICE_VALUES": (lambda n, t: slicing("x", size=n), "grid_size"),
}
ELSEWHERE = {
    "MAX_MESSAGE_BYTES": "test_a_message_too_large",
    "MAX_WATCHES": "test_a_stream_too_many",
    "MAX_ANSWER_BYTES": "test_an_answer_too_large",
    "MAX_UNSENT_BYTES": "test_answers_that_nobody_takes",
    "MAX_CALLER_UNSENT_BYTES": "test_answers_that_nobody_takes",
    "MAX_PAGE": "test_pages_are_cut",
    "MAX_PAGE_BYTES": "test_pages_are_cut_by_their_bytes",
    "MAX_PAGE_MEASUREMENTS": "test_pages_are_cut_by_their_measurements",
    "MAX_TRIAL_MEASUREMENTS": "test_a_curve_too_long",
    "MAX_TRIAL_ARTIFACTS": "test_so_many_artifacts_and_no_more",
    "MAX_TRIAL_ARTIFACT_BYTES": "test_so_many_artifacts_and_no_more",
    "MAX_STUDY_ARTIFACTS": "test_so_many_artifacts_and_no_more",
    "MAX_STUDY_ARTIFACT_BYTES": "test_so_many_artifacts_and_no_more",
    "MAX_GRID_VALUES": "test_a_grid_too_fine",
    "MAX_SLICE_POINTS": "test_a_slice_with_too_many_points",
}


def described() -> dict[str, str]:
    """What the source says of each limit, by its name."""
    body = ast.parse((ROOT / "bo_service" / "domain" / "limits.py").read_text()).body
    found = {}
    for given, said in pairwise(body):
        if isinstance(given, ast.Assign):
            assert isinstance(said, ast.Expr)
            assert isinstance(said.value, ast.Constant)
            found[given.targets[0].id] = said.value.value  # type: ignore[attr-defined]
    return found


def refusal(channel: grpc.Channel, method: str, request: Any) -> tuple[str, dict[str, str]] | None:
    """The status and what is said of each field; None where it was taken."""
    try:
        stub = token_rpc.TokenServiceStub if method == "CreateToken" else rpc.OptimizationServiceStub
        getattr(stub(channel), method)(request, timeout=20)
    except grpc.RpcError as error:
        return error.code().name, _fields(error)
    return None


def _fields(error: Any) -> dict[str, str]:
    bad = error_details_pb2.BadRequest()
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        detail.Unpack(bad)
    return {v.field: v.description for v in bad.field_violations} or {"": error.details()}


def test_the_page_tells_every_limit() -> None:
    text = PAGE.read_text()
    table = text[text.index("| what | at most | tested by |") :].partition("\n\n")[0].splitlines()[2:]
    assert table == [
        f"| {said} | {getattr(limits, name):,} | `tests/rpc/test_every_limit.py::{node_of(name)}` |"
        for name, said in described().items()
    ]


def node_of(name: str) -> str:
    """The test of a limit."""
    return ELSEWHERE.get(name, f"test_so_many_and_no_more[{name}]")


def test_every_limit_is_proved() -> None:
    assert set(described()) == {*CASES, *ELSEWHERE}
    assert set(ELSEWHERE.values()) <= set(globals())


@pytest.mark.parametrize("name", CASES)
def test_so_many_and_no_more(channel: grpc.Channel, token: str, name: str) -> None:
    make, field = CASES[name]
    most = getattr(limits, name)
    method = type(make(1, token)).DESCRIPTOR.name.removesuffix("Request")
    taken = refusal(channel, method, make(most, token))
    assert taken is None or field not in taken[1], taken
    refused = refusal(channel, method, make(most + 1, token))
    assert refused is not None
    code, fields = refused
    assert code == "INVALID_ARGUMENT"
    assert list(fields) == [field]
    numbers = {str(most), f"{most:,}", "2^53" if most == 2**53 else "", "24 h" if name == "MAX_LEASE_SECONDS" else ""}
    numbers |= {"ten years"} if name == "MAX_SECONDS" else set()
    assert any(number in fields[field] for number in numbers - {""}), fields


def test_characters_are_counted_and_not_bytes(channel: grpc.Channel) -> None:
    """Each of these has four bytes."""
    for count, is_taken in ((limits.MAX_DISPLAY_NAME, True), (limits.MAX_DISPLAY_NAME + 1, False)):
        refused = refusal(channel, "UpdateStudy", update(displayName="\N{SNOWBOARDER}" * count))
        assert (refused is None) is is_taken


def test_a_study_of_before_the_bound_on_columns_opens_and_goes_on(
    app: AppContext, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refusal(channel, "CreateStudy", study("wide", space={"parameters": wide(3)})) is None
    monkeypatch.setattr("bo_service.domain.search_space.MAX_COLUMNS", 2)
    today = AppContext.of(app.store, SystemClock(), QuickOptimizer())  # which remembers no study
    server = GrpcServer(today, Authenticator(app.store, app.clock, AuthMode.NONE), "127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", [("grpc.enable_http_proxy", 0)]) as later:
        assert refusal(later, "CreateStudy", study("wider", space={"parameters": wide(3)})) is not None
        assert refusal(later, "GetStudy", pb.GetStudyRequest(name="studies/wide")) is None
        ask = pb.SuggestTrialsRequest(parent="studies/wide", worker_id="w")
        (trial,) = rpc.OptimizationServiceStub(later).SuggestTrials(ask, timeout=60).trials
        done = pb.CompleteTrialRequest(name=trial.name, lease_token=trial.lease.token)
        done.final_measurement.metrics["loss"] = 1.0
        assert refusal(later, "CompleteTrial", done) is None
    server.stop(drain=0.0, grace=0.0)


def test_an_answer_that_is_not_received_is_dropped_in_time(
    app: AppContext, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is a minute, and here a second, which the server alone ends: the caller would wait."""
    assert (handlers.SEND_TIMEOUT_S, handlers.MIN_BYTES_PER_S) == (60.0, 65_536)
    monkeypatch.setattr(handlers, "SEND_TIMEOUT_S", 1.0)
    monkeypatch.setattr(handlers, "MIN_BYTES_PER_S", 2**40)
    server = GrpcServer(app, Authenticator(app.store, app.clock, AuthMode.NONE), "127.0.0.1:0")
    server.start()
    ask = pb.GetStudyRequest(name="studies/s").SerializeToString()
    with RawConnection(f"127.0.0.1:{server.port}", window=0, timeout=60.0) as raw:
        raw.headers(1, "/bo_api.v1.OptimizationService/GetStudy")
        raw.data(1, message(ask), ends=True)
        told, reset = b"", frame(RST_STREAM, 0, 1, b"code")[:-4]
        while reset not in told:
            more = raw.socket.recv(65536)
            assert more, "the connection is closed, and its call was not cancelled"
            told += more
    server.stop(drain=0.0, grace=0.0)


def test_a_message_too_large(channel: grpc.Channel) -> None:
    code, said = refusal(channel, "CreateStudy", study("a" * limits.MAX_MESSAGE_BYTES)) or ("", {})
    assert code == "RESOURCE_EXHAUSTED"
    assert str(limits.MAX_MESSAGE_BYTES) in said[""]


def test_a_stream_too_many(channel: grpc.Channel) -> None:
    stub = rpc.OptimizationServiceStub(channel)
    streams = []
    for _ in range(limits.MAX_WATCHES):
        streams.append(stub.WatchStudy(pb.WatchStudyRequest(name="studies/s"), timeout=60))
        next(streams[-1])
    with pytest.raises(grpc.RpcError) as refused:
        next(stub.WatchStudy(pb.WatchStudyRequest(name="studies/s"), timeout=60))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"{limits.MAX_WATCHES} WatchStudy streams" in refused.value.details()
    assert refusal(channel, "GetStudy", pb.GetStudyRequest(name="studies/s")) is None  # others have their threads
    for stream in streams:
        stream.cancel()


def test_an_answer_too_large(channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(channel, "CreateStudy", study("answer")) is None
    ask = pb.GetStudyRequest(name="studies/answer")
    size = rpc.OptimizationServiceStub(channel).GetStudy(ask, timeout=60).ByteSize()
    monkeypatch.setattr("bo_service.rpc.handlers.MAX_ANSWER_BYTES", size)
    assert refusal(channel, "GetStudy", ask) is None
    monkeypatch.setattr("bo_service.rpc.handlers.MAX_ANSWER_BYTES", size - 1)
    code, said = refusal(channel, "GetStudy", ask) or ("", {})
    assert code == "RESOURCE_EXHAUSTED"
    assert f"has {size} bytes; the limit is {size - 1}" in said[""]


def test_answers_that_nobody_takes(channel: grpc.Channel, app: AppContext) -> None:
    """Each connection may leave so much, and all together so much; who takes answers is served all the same."""
    filled(channel, "studies/u", 210, failure={"reason": "FAILURE_REASON_DIVERGED", "message": "m" * 10_000})
    server = GrpcServer(app, Authenticator(app.store, app.clock, AuthMode.NONE), "127.0.0.1:0")
    server.start()
    ask = pb.ListTrialsRequest(parent="studies/u", page_size=1000)
    path = "/bo_api.v1.OptimizationService/ListTrials"
    size = rpc.OptimizationServiceStub(channel).ListTrials(ask, timeout=60).ByteSize()
    each, every = limits.MAX_CALLER_UNSENT_BYTES // size, limits.MAX_UNSENT_BYTES // size
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0), ("grpc.enable_http_proxy", 0)]
    kept = []  # else they would be cancelled
    with ExitStack() as stack:
        for taken in (each, each, every - 2 * each):  # of one connection, of another, and of all together
            opened = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{server.port}", options))
            left = [opened.unary_stream(path)(ask.SerializeToString(), timeout=300) for _ in range(each + 1)]
            kept.append(left)
            while sum(call.is_active() for call in left) > taken:
                time.sleep(0.02)
            assert sum(call.is_active() for call in left) == taken
            (said,) = {call.code() for call in left if not call.is_active()}
            assert said is grpc.StatusCode.RESOURCE_EXHAUSTED
            details = next(call.details() for call in left if not call.is_active())
            assert f"the limits are {limits.MAX_UNSENT_BYTES} and {limits.MAX_CALLER_UNSENT_BYTES}" in details
            assert refusal(opened, "GetStudy", pb.GetStudyRequest(name="studies/u")) is None
    server.stop(drain=0.0, grace=0.0)


def pages(channel: grpc.Channel, size: int, view: int = 0, parent: str = "studies/p") -> list[list[Any]]:
    stub, found, token = rpc.OptimizationServiceStub(channel), [], ""
    while True:
        ask = pb.ListTrialsRequest(parent=parent, page_size=size, page_token=token, view=view)
        page = stub.ListTrials(ask, timeout=60)
        found.append(list(page.trials))
        token = page.next_page_token
        if not token:
            return found


def filled(channel: grpc.Channel, parent: str, count: int, **trial: Any) -> None:
    assert refusal(channel, "CreateStudy", study(parent.removeprefix("studies/"))) is None
    request = queue(**trial)
    request.parent = parent
    for _ in range(count):
        assert refusal(channel, "CreateTrial", request) is None


def test_pages_are_cut(channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(channel, "studies/p", 5)
    monkeypatch.setattr("bo_service.rpc.pages.MAX_PAGE", 2)
    found = pages(channel, size=limits.MAX_PAGE)
    assert [[t.name.rpartition("/")[2] for t in page] for page in found] == [["1", "2"], ["3", "4"], ["5"]]


def test_pages_are_cut_by_their_bytes(channel: grpc.Channel) -> None:
    message = "m" * limits.MAX_FAILURE_MESSAGE
    count = limits.MAX_PAGE_BYTES // limits.MAX_FAILURE_MESSAGE + 5
    filled(channel, "studies/b", count, failure={"reason": "FAILURE_REASON_DIVERGED", "message": message})
    first, second = pages(channel, size=limits.MAX_PAGE, parent="studies/b")
    assert [int(t.name.rpartition("/")[2]) for t in [*first, *second]] == list(range(1, count + 1))
    assert sum(t.ByteSize() for t in first) <= limits.MAX_PAGE_BYTES


def test_pages_are_cut_by_their_measurements(channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(channel, "studies/m", 5, measurements=[{"step": i, "metrics": {"loss": 1.0}} for i in range(4)])
    monkeypatch.setattr(trials, "MAX_PAGE_MEASUREMENTS", 10)
    found = pages(channel, size=3, view=pb.TRIAL_VIEW_FULL, parent="studies/m")
    assert [[t.name.rpartition("/")[2] for t in page] for page in found] == [["1", "2"], ["3", "4"], ["5"]]
    assert [[t.name.rpartition("/")[2] for t in page] for page in pages(channel, size=3, parent="studies/m")] == [
        ["1", "2", "3"],
        ["4", "5"],
    ]


def test_a_curve_too_long(channel: grpc.Channel) -> None:
    assert refusal(channel, "CreateStudy", study("curve")) is None
    ask = pb.SuggestTrialsRequest(parent="studies/curve", worker_id="w")
    (trial,) = rpc.OptimizationServiceStub(channel).SuggestTrials(ask, timeout=20).trials
    most, call = limits.MAX_TRIAL_MEASUREMENTS, limits.MAX_CALL_MEASUREMENTS

    def sent(first: int, count: int) -> tuple[str, dict[str, str]] | None:
        points = ({"step": first + i, "metrics": {"loss": 1.0}} for i in range(count))
        request = report(trial.lease.token, *points)
        request.name = trial.name
        return refusal(channel, "ReportMeasurements", request)

    for first in range(0, most, call):
        assert sent(first, call) is None
    refused = sent(most, 1)
    assert refused is not None
    assert refused[0] == "RESOURCE_EXHAUSTED"
    assert str(most) in refused[1][""]


@pytest.mark.parametrize("name", ["MAX_TRIAL_ARTIFACT", "MAX_STUDY_ARTIFACT"])
def test_so_many_artifacts_and_no_more(channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """In a study of two ended trials: one artifact or byte more is refused, one that replaces another is taken."""
    of_study = name == "MAX_STUDY_ARTIFACT"
    parent = f"studies/{name}"
    filled(channel, parent, 2, finalMeasurement={"metrics": {"loss": 1.0}})

    def added(trial: int, artifact_id: str, size: int) -> tuple[str, dict[str, str]] | None:
        request = adding("", artifact_id=artifact_id, content=b"c" * size)
        request.name = f"{parent}/trials/{trial}"
        return refusal(channel, "AddArtifact", request)

    other = 2 if of_study else 1
    monkeypatch.setattr(artifacts, f"{name}S", 2)
    monkeypatch.setattr(artifacts, f"{name}_BYTES", 10)
    assert added(1, "a", 4) is None
    assert added(other, "b", 6) is None
    for size, artifact_id, hint in ((0, "c", "3 artifacts; at most 2"), (7, "b", "11 bytes of artifacts; at most 10")):
        code, said = added(other, artifact_id, size) or ("", {})
        assert code == "RESOURCE_EXHAUSTED"
        assert f"{parent if of_study else f'{parent}/trials/1'} would have {hint}" in said[""]
    assert added(other, "b", 5) is None
    if not of_study:
        assert added(2, "c", 10) is None


def test_a_study_too_large(channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "MAX_TRIALS", 3)
    monkeypatch.setattr("bo_service.application.context.MAX_TRIALS", 3)
    filled(channel, "studies/f", 3)
    request = queue()
    request.parent = "studies/f"
    ask = pb.SuggestTrialsRequest(parent="studies/f", worker_id="w", count=5)
    assert len(rpc.OptimizationServiceStub(channel).SuggestTrials(ask, timeout=20).trials) == 3
    for trial in pages(channel, 10, parent="studies/f")[0]:
        assert refusal(channel, "StopTrial", pb.StopTrialRequest(name=trial.name)) is None
    code, said = refusal(channel, "CreateTrial", request) or ("", {})
    assert code == "RESOURCE_EXHAUSTED"
    assert "studies/f has 3 trials; a study has at most 3" in said[""]


def test_a_grid_too_fine(channel: grpc.Channel) -> None:
    two = study("grid", space={"parameters": [REAL, {**REAL, "name": "y"}]})
    assert refusal(channel, "CreateStudy", two) is None
    request = slicing("x", "y", size=limits.MAX_GRID_VALUES)
    request.parent = "studies/grid"
    assert refusal(channel, "PredictSlice", request) == (
        "FAILED_PRECONDITION",
        {"": "there is no surrogate here"},
    )
    request.grid_size += 1
    code, fields = refusal(channel, "PredictSlice", request) or ("", {})
    assert code == "INVALID_ARGUMENT"
    assert str(limits.MAX_GRID_VALUES) in fields["grid_size"]


def test_a_slice_with_too_many_points(channel: grpc.Channel) -> None:
    many = [{"name": n, "categoricalParameter": {"values": words(101)}} for n in ("a", "b")]
    assert refusal(channel, "CreateStudy", study("cells", space={"parameters": many})) is None
    request = slicing("a", "b", size=2)
    request.parent = "studies/cells"
    code, fields = refusal(channel, "PredictSlice", request) or ("", {})
    assert code == "INVALID_ARGUMENT"
    assert str(limits.MAX_SLICE_POINTS) in fields["parameters"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.DeleteStudyRequest(name="studies/no", request_id="a\0b"), "request_id"),
        (pb.SuggestTrialsRequest(parent="studies/s", worker_id="a\0b"), "worker_id"),
        (report("a\0b"), "lease_token"),
        (report("", uri="u"), "lease_token"),
        (pb.StopTrialRequest(name=TRIAL, reason="\0"), "reason"),
        (update(displayName="\0"), "study.display_name"),
        (update(objective={"name": "\0"}), "study.objective.name"),
        (update(objective={"name": ""}), "study.objective.name"),
        (objective(""), "objective.name"),
        (objective(k="\0"), 'objective.options["k"]'),
        (objective(**{"": "v"}), "objective.options"),
    ],
)
def test_nul_and_nothing_are_refused_by_name(channel: grpc.Channel, request_: Any, field: str) -> None:
    method = request_.DESCRIPTOR.name.removesuffix("Request")
    code, fields = refusal(channel, method, request_) or ("", {})
    assert code == "INVALID_ARGUMENT"
    assert list(fields) == [field]
