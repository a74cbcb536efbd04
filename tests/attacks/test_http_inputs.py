"""Whatever HTTP brings, it is answered as gRPC answers: with no fault of ours, and no traceback in the log."""

import json
import random
import struct
import time

import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc
from bo_dashboard.application import application
from bo_dashboard.settings import DashboardSettings
from bo_dashboard.upstream import METHODS
from starlette.routing import Route

from tests.attacks.http import answer_to, request, status_of

pytestmark = pytest.mark.xdist_group("attacks-dashboard")

SECONDS = 8.0
"""For inputs that are made up."""
WITH_A_REASON = (501, 503, 504)
SERVICE = "/bo_api.v1.OptimizationService"
JSON = "Content-Type: application/json"
WATCH = "Content-Type: application/connect+json"


def no_fault(answer: bytes, what: object = "") -> None:
    """It was refused or answered, and nothing of ours failed; where nothing is answered, it was no HTTP."""
    status = status_of(answer)
    assert status < 500 or status in WITH_A_REASON, (what, answer[:2000])
    if status in WITH_A_REASON:
        assert b'"code"' in answer or b"Unsupported" in answer, (what, answer)


@pytest.fixture(autouse=True)
def no_traceback(site):
    """Whatever a test sends leaves no traceback in the log."""
    before = len(site.process.log)
    yield
    told = site.process.log[before:]
    faults = [line[-4000:] for line in told.splitlines() if "Traceback" in line or '"ERROR"' in line]
    assert faults == []


def admin(site) -> str:
    return f"Authorization: Bearer {site.tokens['admin']}"


@pytest.mark.parametrize(
    "query",
    [
        "after=9223372036854775808",
        f"after={'9' * 5000}",
        "after=-1",
        "after=x",
        "after=%D9%A3",
        "after=1e3",
        "after=NaN",
    ],
)
def test_a_revision_is_a_number_of_64_bits(site, query: str) -> None:
    answer = site.ask(f"/data/studies/s/changes?{query}")
    assert (answer.status, "after" in answer.content["message"]) == (400, True)
    last = site.ask("/data/studies/s/changes", last_event_id=query.partition("=")[2])
    assert last.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"token": ' + b"9" * 5_000 + b"}",
        b'{"token": 1e999}',
        b'{"token": NaN}',
        b'{"token": "a", "token": "b"}',
        b'{"token": "\\ud800"}',
        b'{"token": "\xff"}',
        '{"token": "a"}'.encode("utf-16"),
        b'{"token": null}',
        b"null",
        b"",
        b"\x00",
        b'{"token": "x\\n"}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_signing_in_with_what_is_no_token(site, body: bytes) -> None:
    answer = site.ask("/data/session", body, role=None)
    assert answer.status in (400, 401, 429)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("wrong", ["é", "x\n", "\t", "\x00", "ÿ" * 100, "x" * 300, " ", "\u2028", "😀"])
def test_a_request_id_is_judged_as_over_grpc(site, wrong: str) -> None:
    """One of any text is as good as another, in the request; metadata hold it only where they can."""
    metadata = [("authorization", f"Bearer {site.tokens['admin']}")]
    asked = pb.SuggestTrialsRequest(parent="studies/s", worker_id="w", request_id=wrong)
    with grpc.insecure_channel(site.address) as channel:
        _, call = _outcome(rpc.OptimizationServiceStub(channel).SuggestTrials, asked, metadata)
    answer = site.call("SuggestTrials", {"parent": "studies/s", "workerId": "w", "requestId": wrong})
    over_grpc = (200, "") if call.code() is grpc.StatusCode.OK else (400, call.details())
    assert (answer.status, answer.content.get("message", "")) == over_grpc


def _outcome(method, asked, metadata):
    """The answer, and the call, which knows its status."""
    try:
        return method.with_call(asked, timeout=60, metadata=metadata)
    except grpc.RpcError as error:
        return None, error


@pytest.mark.parametrize(
    "shown",
    [
        "Authorization: Bearer \xff",
        "Authorization: \xff\xfe",
        "Authorization: Bearer",
        "Authorization: Bearer a\tb",
        "Authorization: Basic eDp5",
        "Authorization: Bearer a\r\nAuthorization: Bearer b",
        "Cookie: bo_token=\xff",
        "Cookie: " + "; ".join(f"c{i}=\xe9" for i in range(200)),
    ],
    ids=lambda shown: repr(shown[:30]),
)
@pytest.mark.parametrize("path", ["/data/studies", f"{SERVICE}/ListStudies"])
def test_what_is_no_token_is_unauthenticated(site, shown: str, path: str) -> None:
    method = "GET" if path.startswith("/data") else "POST"
    answer = answer_to(site, request(site, method, path, shown, JSON, body=b"{}" if method == "POST" else b""))
    assert status_of(answer) == 401, answer


def test_headers_of_others_that_are_no_ascii_do_no_harm(site) -> None:
    """As the cookies of other programs on this machine, which browsers send here too."""
    for name in ("Cookie", "X-Anything", "User-Agent", "Accept-Encoding", "Connect-Timeout-Ms", "Origin"):
        sent = request(site, "POST", f"{SERVICE}/ListStudies", admin(site), JSON, f"{name}: \xe9\xff", body=b"{}")
        answer = answer_to(site, sent)
        assert status_of(answer) == (403 if name == "Origin" else 200), (name, answer)


CLOSE = "Connection: close|"
SESSION = f"POST /data/session HTTP/1.1|Host: localhost|{CLOSE}"
CHUNKED = SESSION + "Transfer-Encoding: chunked|"
GET = f"GET / HTTP/1.1|Host: localhost|{CLOSE}"
WHOLE = {
    "no version": "GET /||",
    "HTTP/0.9": "GET / HTTP/0.9||",
    "HTTP/1.0": "GET /data/caller HTTP/1.0|Host: localhost||",
    "HTTP/1.0 without a name": "GET /data/caller HTTP/1.0||",
    "HTTP/2": "PRI * HTTP/2.0||SM||",
    "HTTP/9": f"GET / HTTP/9.9|Host: localhost|{CLOSE}|",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x00" * 100,
    "zeros": "\x00" * 1000,
    "absolute": f"GET http://localhost/data/caller HTTP/1.1|Host: localhost|{CLOSE}|",
    "absolute, other name": f"GET http://evil.example/data/caller HTTP/1.1|Host: localhost|{CLOSE}|",
    "absolute, bracket": f"GET http://[/data/caller HTTP/1.1|Host: localhost|{CLOSE}|",
    "absolute, call": f"POST http://[{SERVICE}/GetStudy HTTP/1.1|Host: localhost|{CLOSE}Content-Length: 2||{{}}",
    "asterisk": f"OPTIONS * HTTP/1.1|Host: localhost|{CLOSE}|",
    "connect": f"CONNECT localhost:1 HTTP/1.1|Host: localhost|{CLOSE}|",
    "trace": f"TRACE / HTTP/1.1|Host: localhost|{CLOSE}|",
    "unknown method": f"BREW /data/studies HTTP/1.1|Host: localhost|{CLOSE}|",
    "two names": GET + "Host: evil.example||",
    "two lengths": SESSION + "Content-Length: 2|Content-Length: 3||{}}",
    "length and chunks": CHUNKED + "Content-Length: 2||0||",
    "negative length": SESSION + "Content-Length: -2||{}",
    "endless length": SESSION + f"Content-Length: {'9' * 4500}||{{}}",
    "long length": SESSION + f"Content-Length: {'9' * 20}||{{}}",
    "broken chunk": CHUNKED + "|xyz|{}",
    "broken chunk after a refusal": CHUNKED.replace("session", "studies") + "|2|{}|xyz|{}",
    "unknown coding": SESSION + "Transfer-Encoding: gzip||{}",
    "websocket": GET + "Upgrade: websocket|Connection: Upgrade|Sec-WebSocket-Key: aa==|Sec-WebSocket-Version: 13||",
    "h2c": GET
    + "Upgrade: h2c|Connection: Upgrade, HTTP2-DashboardSettings|HTTP2-DashboardSettings: AAMAAABkAARAAAAAAAIAAAAA||",
    "expect": SESSION + "Expect: 200-ok|Content-Length: 2||{}",
    "folded header": GET + "X: a| b||",
    "a blank in a name": GET + "X y: a||",
    "a zero in a value": GET + "X: a\x00b||",
    "nonsense behind": "GET /data/studies HTTP/1.1|Host: localhost||nonsense||",
}


@pytest.mark.parametrize("kind", WHOLE)
def test_whatever_is_no_proper_http_is_refused(site, kind: str) -> None:
    answer = answer_to(site, WHOLE[kind].replace("|", "\r\n").encode("latin-1"))
    assert 200 <= status_of(answer) < 500, answer


# -- made up


PATHS = [
    "",
    "/",
    "//",
    "/%00",
    "/..%2f..%2fetc/passwd",
    "/static/../../x",
    "/static/%00",
    "/static/" + "a" * 5000,
    "/[",
    "/studies/%ff",
    "/studies/é".encode().decode("latin-1"),
    "/data",
    "/data/",
    "/data/studies/",
    "/data/studies//best",
    "/data/studies/%2F/best",
    "/static",
    "/data/studies/s/trials/" + "9" * 5000,
    "/data/studies/s/trials/-1",
    "/data/studies/s/trials/%D9%A3",
    "/data/studies/s/trials/1e3",
    "/data/studies/s/figures/slice?along=x&along=y",
    "/data/studies/s/figures/slice?along=%00",
    "/data/studies/s/figures/contour?show=x&theme=x",
    "/data/studies/s/figures/convergence?metric=%ff&theme=nope",
    "/data/studies?page=%ff",
    "/data/studies/s/trials?filter=%00%22%ff&order=%ff",
    "/data/studies/s/trials.csv?rows=0&page=%D9%A3",
    "/data/comparison?study=%2F..&study=%00",
    "/data/studies?page=" + "A" * 3000,
    "/bo_api.v1.OptimizationService",
    f"{SERVICE}/",
    f"{SERVICE}/Nope",
    f"{SERVICE}/GetStudy/x",
    "/grpc.health.v1.Health/Check",
]
VERBS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "X"]
HEADERS = [
    "Range: bytes=0-0,2-2,4-4",
    "Range: bytes=-",
    "Range: bytes=9-1",
    "Range: " + "bytes=" + ",".join(f"{i}-{i}" for i in range(2000)),
    "If-Modified-Since: x",
    "If-Modified-Since: Wed, 99 Foo 99999 99:99:99 GMT",
    "If-None-Match: *",
    "If-Range: x",
    "Accept-Encoding: gzip;q=x",
    "Content-Encoding: gzip",
    "Content-Encoding: br",
    "Content-Encoding: x\x7f",
    "Connect-Timeout-Ms: 99999999999999999999",
    "Connect-Timeout-Ms: -1",
    "Connect-Timeout-Ms: 0",
    "Connect-Timeout-Ms: " + "9" * 5000,
    "Connect-Timeout-Ms: NaN",
    "Connect-Protocol-Version: 9",
    "Last-Event-ID: x",
    'Cookie: ;=;;"',
    "Cookie: bo_token",
    "Origin: http://[",
    "Origin: null",
    "Sec-Fetch-Site: x",
    "X-Forwarded-For: [",
    "X-Forwarded-Proto: ftp",
    "Access-Control-Request-Method: X",
    "Expect: 100-continue",
    "Accept: \xff",
    "Connection: \xff",
    "TE: trailers",
    "Grpc-Timeout: 1x",
]
TYPES = [
    "application/json",
    "application/proto",
    "application/connect+json",
    "application/connect+proto",
    "application/grpc",
    "application/grpc-web",
    "text/plain",
    "",
    "\xff",
    "application/json; charset=\xff",
    "application/json;;;",
    "multipart/form-data",
    "application/JSON",
]
VALUES = [
    None,
    True,
    -1,
    2**63,
    2**64,
    10**400,
    1e308,
    "",
    "x",
    "\ud800",
    "\x00",
    "studies/s",
    "studies/" + "x" * 5000,
    "NaN",
    "9" * 5000,
    [],
    [[]],
    {},
    {"a": {}},
    [None],
    "-0.1s",
    "9999999999999s",
    "2026-13-01T00:00:00Z",
    "é" * 100,
    ["studies/s"] * 3,
]


BODIES = [
    b"[" * 50_000,
    b'{"a":' * 50_000,
    b'{"name":"a","name":"b"}',
    b'"\\ud800"',
    b"\xef\xbb\xbf{}",
    b"{}{}",
    b"NaN",
]


def routes() -> list[str]:
    mounted = [inner for outer in application(DashboardSettings("127.0.0.1:1")).routes for inner in outer.routes or []]
    names = {"study": "s", "number": "1", "kind": "slice", "artifact": "log.txt"}
    found = [each.path.format(**names) for each in mounted if isinstance(each, Route)]
    return [*found, *METHODS]


def made_up(site, rng: random.Random, paths: list[str]) -> bytes:
    path = rng.choice(paths)
    if rng.random() < 0.2:
        path += rng.choice(["?", "?after=", "?page=", "?along=", "?="]) + rng.choice(
            ["", "%", "%00", "%ff", "1", "9" * 30, "[", "é"]
        )
        path = path.encode().decode("latin-1").replace(" ", "")
    headers = rng.sample(HEADERS, rng.choice([0, 0, 1, 2]))
    if rng.random() < 0.8:
        headers.append(admin(site))
    is_call = path.startswith("/bo_api")
    verb = "POST" if is_call and rng.random() < 0.9 else rng.choice(VERBS)
    body = content(rng, path) if verb not in ("GET", "HEAD") else b""
    headers.append(f"Content-Type: {rng.choice(TYPES) if rng.random() < 0.4 else 'application/json'}")
    return request(site, verb, path, *headers, body=body)


def content(rng: random.Random, path: str) -> bytes:
    kind = rng.random()
    if kind < 0.1:
        return rng.randbytes(rng.choice([0, 1, 5, 100]))
    if kind < 0.15:
        return rng.choice(
            [
                b"[" * 50_000,
                b'{"a":' * 50_000,
                b'{"name":"a","name":"b"}',
                b'"\\ud800"',
                b"\xef\xbb\xbf{}",
                b"{}{}",
                b"NaN",
            ]
        )
    method = METHODS.get(path)
    if method is None:
        names = ["id", "yaml", "title", "token"]
    else:
        names = [field.json_name for field in method.input_type.fields] + ["nope"]
    given = {name: rng.choice(VALUES) for name in rng.sample(names, rng.randint(0, min(4, len(names))))}
    body = json.dumps(given).encode()
    return (
        struct.pack(">BI", rng.choice([0, 0, 1, 2, 255]), len(body) + rng.choice([0, 0, 0, 1, 2**31])) + body
        if rng.random() < 0.1
        else body
    )


@pytest.mark.parametrize("seed", [1])
def test_whatever_is_sent_is_no_fault(site, seed: int) -> None:
    rng, paths = (
        random.Random(seed),
        [p for p in routes() if not p.endswith("/WatchStudy") and not p.endswith("/changes")] + PATHS,
    )
    until, count = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        sent = made_up(site, rng, paths)
        no_fault(answer_to(site, sent), sent[:3000])
        count += 1
    assert count > 50
    assert site.ask("/data/caller").content["role"] == "admin"


def test_watching_with_whatever_is_no_fault(site) -> None:
    """Streams, whose refusals may come after their head."""
    rng = random.Random(2)
    for value in VALUES:
        body = json.dumps({"name": value, "afterRevision": rng.choice(VALUES)}).encode()
        for sent in (body, struct.pack(">BI", 0, len(body)) + body, struct.pack(">BI", 1, len(body)) + body, body[:3]):
            asked = {"content_type": "application/connect+json", "connect_timeout_ms": "200"}
            answer = site.ask(f"{SERVICE}/WatchStudy", sent, **asked)
            assert answer.status < 500 or answer.status in WITH_A_REASON, (value, answer)
