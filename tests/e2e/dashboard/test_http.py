"""JSON over HTTP: every method of the contract, as curl and browsers call it."""

import base64
import json
import struct
import time
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import bo_client
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import token_service_pb2 as token_pb
from google.rpc import error_details_pb2

from bo_service.rpc.admission import RULES

pytestmark = pytest.mark.xdist_group("dashboard-http")

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
POINT = {"parameters": {"x": {"floatValue": 0.5}}}
MINE, THEIRS = "mine-1", "theirs"
METHODS = [m.name for m in pb.DESCRIPTOR.services_by_name["OptimizationService"].methods]
TOKEN_METHODS = [m.name for m in token_pb.DESCRIPTOR.services_by_name["TokenService"].methods]


@pytest.fixture(scope="module", autouse=True)
def studies(site) -> None:
    with site.client() as client:
        for name in (MINE, THEIRS):
            client.create_study(name, SPACE, "loss", goal="minimize", algorithm="quasi_random")


def test_a_trial_is_suggested_reported_and_completed(site) -> None:
    told = site.call("SuggestTrials", {"parent": f"studies/{MINE}", "workerId": "curl", "requestId": "r-1"}).content
    (trial,) = told["trials"]
    assert trial["state"] == "TRIAL_STATE_RUNNING"
    assert 0.0 <= trial["parameters"]["x"]["floatValue"] <= 1.0
    again = site.call("SuggestTrials", {"parent": f"studies/{MINE}", "workerId": "curl", "requestId": "r-1"}).content
    assert again == told
    held = {"name": trial["name"], "leaseToken": trial["lease"]["token"]}
    heard = site.call("ReportMeasurements", {**held, "measurements": [{"step": 1, "metrics": {"loss": 0.5}}]}).content
    assert heard["leaseValid"] is True
    done = site.call("CompleteTrial", {**held, "finalMeasurement": {"metrics": {"loss": 0.25}}})
    assert done.content["trial"]["state"] == "TRIAL_STATE_SUCCEEDED"
    assert site.client().study(MINE).trial(int(trial["name"].split("/")[-1])).value("loss") == 0.25


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_values_that_are_not_finite_are_taken_as_over_grpc(site, value: str) -> None:
    """A curve may hold them; a result may not, and the refusal says what to do."""
    trial = site.call("SuggestTrials", {"parent": f"studies/{MINE}", "workerId": "curl"}).content["trials"][0]
    held = {"name": trial["name"], "leaseToken": trial["lease"]["token"]}
    measurement = {"step": 1, "metrics": {"loss": value}}
    assert site.call("ReportMeasurements", {**held, "measurements": [measurement]}).content["leaseValid"]
    refused = site.call("CompleteTrial", {**held, "finalMeasurement": measurement})
    with site.client() as client:
        request = pb.CompleteTrialRequest(name=held["name"], lease_token=held["leaseToken"])
        request.final_measurement.metrics["loss"] = float(value)
        with pytest.raises(bo_client.InvalidRequest) as over_grpc:
            client.ask(request, pb.CompleteTrialResponse)
    assert (refused.status, refused.content["code"]) == (400, "invalid_argument")
    assert refused.content["message"] == str(over_grpc.value)
    assert "complete the trial with failure DIVERGED" in refused.content["message"]
    failure = {"reason": "FAILURE_REASON_DIVERGED"}
    assert site.call("CompleteTrial", {**held, "failure": failure}).content["trial"]["state"].endswith("INFEASIBLE")
    read = site.call("GetTrial", {"name": trial["name"], "view": "TRIAL_VIEW_FULL"}).content["trial"]
    assert read["measurements"][0]["metrics"] == {"loss": value}


@pytest.mark.parametrize(
    ("service", "methods"), [("OptimizationService", METHODS), ("TokenService", TOKEN_METHODS)], ids=str
)
def test_every_method_is_there(site, service: str, methods: list[str]) -> None:
    """An administrator's empty request is refused by the server itself, or answered; it is never unknown."""
    for name in methods:
        if name == "WatchStudy":
            continue
        answer = site.ask(f"/bo_api.v1.{service}/{name}", {})
        assert answer.status in (200, 400), (name, answer.body)
        assert answer.status == 200 or answer.content["code"] == "invalid_argument"


def test_a_refusal_has_its_details(site) -> None:
    answer = site.call("CreateTrial", {"parent": f"studies/{MINE}", "trial": {"parameters": {"y": {"floatValue": 1}}}})
    assert answer.status == 400
    told = answer.content
    assert told["code"] == "invalid_argument"
    assert 'parameters["y"]' in told["message"]
    details = {d["type"]: base64.b64decode(d["value"] + "==") for d in told["details"]}
    info = error_details_pb2.ErrorInfo.FromString(details["google.rpc.ErrorInfo"])
    assert (info.reason, info.domain) == ("INVALID_ARGUMENT", "bo_api.v1")
    bad = error_details_pb2.BadRequest.FromString(details["google.rpc.BadRequest"])
    assert "parameters" in bad.field_violations[0].field
    plain = {d["type"]: d["debug"] for d in told["details"]}  # for those who read no protobuf
    assert plain["google.rpc.ErrorInfo"]["reason"] == "INVALID_ARGUMENT"
    assert plain["google.rpc.BadRequest"]["fieldViolations"][0]["field"] == bad.field_violations[0].field


@pytest.mark.parametrize(
    ("method", "content", "status", "code"),
    [
        ("GetStudy", {"name": "studies/none"}, 404, "not_found"),
        ("GetStudy", {"nome": "studies/none"}, 400, "invalid_argument"),
        ("GetStudy", b"{", 400, "invalid_argument"),
        ("GetStudy", {"name": 3}, 400, "invalid_argument"),
        ("Predict", {"parent": f"studies/{THEIRS}", "configurations": [POINT]}, 400, "failed_precondition"),
        ("CreateStudy", {"studyId": "x", "study": {"displayName": "x" * 5_000_000}}, 429, "resource_exhausted"),
    ],
    ids=["no study", "no such field", "no JSON", "wrong type", "too early", "too large"],
)
def test_refusals_have_their_status(site, method: str, content: object, status: int, code: str) -> None:
    answer = site.call(method, content)
    assert (answer.status, answer.content["code"]) == (status, code)


def test_the_study_that_exists_with_another_spec(site) -> None:
    spec = {"space": {"parameters": [{"name": "z", "floatParameter": {"low": 0, "high": 2}}]}}
    metrics = [{"name": "loss", "goal": "GOAL_MINIMIZE"}]
    answer = site.call("CreateStudy", {"studyId": MINE, "study": {"spec": {**spec, "metrics": metrics}}})
    assert (answer.status, answer.content["code"]) == (409, "already_exists")


@pytest.mark.parametrize("name", METHODS)
def test_the_servers_roles_hold(site, name: str) -> None:
    """Without a token nobody, with a reader's what readers may."""
    stranger = site.call(name, {}, role=None, **_as_stream(name))
    reader = site.call(name, _enveloped({}) if name == "WatchStudy" else {}, role="reader", **_as_stream(name))
    may = RULES[f"/bo_api.v1.OptimizationService/{name}"].role.value == "reader"
    if name == "WatchStudy":
        return  # whose refusals are in its stream, below
    assert (stranger.status, stranger.content["code"]) == (401, "unauthenticated")
    assert "bo_" not in stranger.content["message"].replace("bo_api", "")
    assert (reader.status == 403) is not may


def test_a_token_for_some_studies_sees_those_alone(site) -> None:
    assert site.call("GetStudy", {"name": f"studies/{MINE}"}, role="mine").status == 200
    assert site.call("GetStudy", {"name": f"studies/{THEIRS}"}, role="mine").status == 403
    listed = site.call("ListStudies", {}, role="mine").content["studies"]
    assert [study["name"] for study in listed] == [f"studies/{MINE}"]
    shown = site.ask("/data/studies", role="mine").content["studies"]
    assert [study["id"] for study in shown] == [MINE]
    for path in ("figures/convergence", "diagnosis", "changes", "best"):
        assert site.ask(f"/data/studies/{THEIRS}/{path}", role="mine").status == 403


def test_what_was_shown_to_one_is_not_shown_to_another(site) -> None:
    """Figures are made of trials that the dashboard remembers."""
    path = f"/data/studies/{THEIRS}/figures/convergence"
    assert site.ask(path, role="admin").status == 200
    assert site.ask(path, role="mine").status == 403
    assert site.ask(path, role=None).status == 401


def test_the_callers_deadline_is_the_servers(site) -> None:
    began = time.monotonic()
    answer = site.call("SuggestTrials", {"parent": f"studies/{MINE}", "workerId": "w"}, connect_timeout_ms="1")
    assert (answer.status, answer.content["code"]) == (504, "deadline_exceeded")
    assert time.monotonic() - began < 10
    assert site.call("GetStudy", {"name": f"studies/{MINE}"}, connect_timeout_ms="soon").status == 400


def _enveloped(content: object) -> bytes:
    body = json.dumps(content).encode()
    return struct.pack(">BI", 0, len(body)) + body


def _as_stream(name: str) -> dict[str, str]:
    return {"content_type": "application/connect+json"} if name == "WatchStudy" else {}


def _messages(site, content: object, role: str, count: int):
    """The first messages of WatchStudy, with their flags."""
    connection = HTTPConnection(urlsplit(site.url).netloc, timeout=120)
    headers = {"content-type": "application/connect+json", "authorization": f"Bearer {site.tokens[role]}"}
    connection.request("POST", "/bo_api.v1.OptimizationService/WatchStudy", _enveloped(content), headers)
    answer = connection.getresponse()
    try:
        for _ in range(count):
            flags, size = struct.unpack(">BI", answer.read(5))
            yield flags, json.loads(answer.read(size))
    finally:
        answer.close()
        connection.close()


def test_watching_is_a_stream_of_connect(site) -> None:
    with site.client() as client, closing(_messages(site, {"name": "studies/mine-watched"}, "reader", 2)) as messages:
        study = client.create_study("mine-watched", SPACE, "loss", goal="minimize")
        assert next(messages)[1]["study"]["name"] == study.name
        study.add({"x": 0.5}, 1.0)
        flags, told = next(messages)
        assert flags == 0
        assert told["trials"][0]["finalMeasurement"]["metrics"] == {"loss": 1.0}


def test_a_refused_stream_says_why_at_its_end(site) -> None:
    ((flags, told),) = _messages(site, {"name": f"studies/{THEIRS}"}, "mine", 1)
    assert flags == 2
    assert told["error"]["code"] == "permission_denied"


def test_protobuf_is_spoken_too(site) -> None:
    request = pb.GetStudyRequest(name=f"studies/{MINE}").SerializeToString()
    answer = site.call("GetStudy", request, content_type="application/proto")
    assert pb.GetStudyResponse.FromString(answer.body).study.name == f"studies/{MINE}"
    assert site.call("GetStudy", b"name: x", content_type="text/plain").status == 415


def test_methods_are_no_pages(site) -> None:
    assert site.ask("/bo_api.v1.OptimizationService/GetStudy?message={}&encoding=json").status == 405


# -- what browsers are told, and what is kept from other sites


@pytest.mark.parametrize("path", ["/", "/studies/x", "/static/style.css", "/plotly.js", "/data/caller", "/nowhere"])
def test_every_answer_says_what_browsers_may_do_with_it(site, path: str) -> None:
    headers = site.ask(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:1"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_other_sites_change_nothing(site, headers: dict[str, str]) -> None:
    """Though the browser would send the cookie, as a machine's ports are one site."""
    cookie = f"bo_token_{urlsplit(site.url).port}={site.tokens['admin']}"
    for path, content in (
        ("/bo_api.v1.OptimizationService/DeleteStudy", {"name": f"studies/{THEIRS}"}),
        ("/data/studies", {"id": "forged", "yaml": "metrics: {loss: minimize}"}),
        ("/data/session", {"token": site.tokens["admin"]}),
    ):
        answer = site.ask(path, content, role=None, cookie=cookie, **headers)
        assert answer.status == 403, (path, answer.body)
        assert "own pages" in answer.content["message"]
        assert "set-cookie" not in answer.headers
    assert site.call("GetStudy", {"name": f"studies/{THEIRS}"}).status == 200


def test_our_own_pages_may(site) -> None:
    cookie = f"bo_token_{urlsplit(site.url).port}={site.tokens['reader']}"
    request = {"name": f"studies/{MINE}"}
    answer = site.call("GetStudy", request, role=None, cookie=cookie, origin=site.url, sec_fetch_site="same-origin")
    assert answer.status == 200


def test_an_origin_that_is_allowed_may_call_and_no_other(site) -> None:
    ours = {"origin": "https://tools.example", "sec_fetch_site": "cross-site"}
    answer = site.call("GetStudy", {"name": f"studies/{MINE}"}, **ours)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "https://tools.example"
    assert "access-control-allow-credentials" not in answer.headers
    wanted = {"access_control_request_method": "POST", "access_control_request_headers": "authorization,content-type"}
    path = "/bo_api.v1.OptimizationService/GetStudy"
    assert site.ask(path, method="OPTIONS", role=None, origin="https://tools.example", **wanted).status == 200
    refused = site.ask(path, method="OPTIONS", role=None, origin="https://evil.example", **wanted)
    assert refused.status == 400
    assert "access-control-allow-origin" not in refused.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1@evil.example", ""]
)
def test_a_name_that_is_not_ours_is_refused(site, host: str) -> None:
    answer = site.ask("/data/caller", host=host)
    assert answer.status in (400, 421)
    assert b"admin" not in answer.body


def test_a_browser_signs_in_and_out(site) -> None:
    answer = site.ask("/data/session", {"token": site.tokens["worker"]}, role=None)
    assert answer.content["role"] == "worker"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    kept = cookie.partition(";")[0]
    assert site.ask("/data/caller", role=None, cookie=kept).content["role"] == "worker"
    assert site.call("ListStudies", {}, role=None, cookie=kept).status == 200
    assert site.tokens["worker"] not in answer.body.decode()
    gone = site.ask("/data/session", method="DELETE", role=None)
    assert "Max-Age=0" in gone.headers["set-cookie"]
    for wrong in ("bo_wrong", "two words", "ünsinn"):
        refused = site.ask("/data/session", {"token": wrong}, role=None)
        assert refused.status in (400, 401)
        assert "set-cookie" not in refused.headers


def test_a_study_is_made_of_yaml(site) -> None:
    text = "parameters:\n  lr: {type: float, low: 1e-5, high: 0.1, scale: log}\nmetrics: {loss: minimize}\n"
    made = site.ask("/data/studies", {"id": "mine-yaml", "yaml": text, "title": "By <b>hand</b>"}, role="mine")
    assert (made.status, made.content["title"]) == (201, "By <b>hand</b>")
    assert site.ask("/data/studies", {"id": "mine-2", "yaml": text}, role="reader").status == 403
    for wrong, said in (
        ("parameters: {lr: {type: float, low: 1}}\nmetrics: {loss: minimize}", "parameters.lr.high"),
        ("parameters: [", "no valid YAML"),
        ("a: &a [1]\nb: *a", "aliases"),
        ("x" * 300_000, "at most"),
    ):
        answer = site.ask("/data/studies", {"id": "mine-2", "yaml": wrong}, role="mine")
        assert answer.status == 400
        assert said in answer.content["message"]
        assert answer.content["details"][0]["debug"] or said == "no valid YAML"


def test_tokens_are_in_no_log(site) -> None:
    for role, token in site.tokens.items():
        site.ask("/data/caller", role=role)
        assert token not in site.process.log
