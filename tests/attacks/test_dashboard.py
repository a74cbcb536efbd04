"""Strangers at the dashboard: their bodies aren't read, their silence holds nobody up, and they make no token."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path

import bo_client
import pytest
from bo_dashboard.application import application
from bo_dashboard.settings import DashboardSettings
from bo_dashboard.upstream import METHODS
from starlette.routing import Route

from bo_service.config import Config, TlsFiles
from bo_service.domain.errors import StartupError
from tests.attacks.http import (
    address_of,
    answer_to,
    connect,
    latency,
    received,
    request,
    silent_sockets,
    status_of,
)
from tests.e2e.conftest import making_servers
from tests.e2e.dashboard.conftest import Site, soon

pytestmark = pytest.mark.xdist_group("attacks-dashboard")

OPEN = {"/data/caller", "/data/session"}
"""By which one signs in; the pages, which hold nothing, are open as well."""
SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
DEEP = "[" * 20_000
SOON = 5.0
"""Seconds: half of what a silent connection may take; the machine may be slow."""


def routes() -> list[tuple[str, str]]:
    """Method and path of every route behind which is the server, from the application itself."""
    app = application(DashboardSettings("127.0.0.1:1"))
    mounted = [inner for outer in app.routes for inner in getattr(outer, "routes", None) or []]
    found = [
        (method, route.path.format(study="s", number="1", kind="convergence", artifact="a.png"))
        for route in mounted
        if isinstance(route, Route) and route.path.startswith("/data/") and route.path not in OPEN
        for method in (route.methods or ()) - {"HEAD"}
    ]
    return [*found, *(("POST", path) for path in METHODS)]


def test_the_routes_are_found() -> None:
    found = routes()
    assert ("POST", "/data/studies") in found
    assert ("POST", "/bo_api.v1.OptimizationService/SuggestTrials") in found
    assert len(found) > len(METHODS) + 6


@pytest.mark.parametrize("shown", ["", "Authorization: Bearer bo_0123456789ab_wrong", "Authorization: Bearer \xff"])
def test_a_stranger_is_refused_before_the_body_is_awaited(site, shown: str) -> None:
    """The body never comes."""
    for method, path in routes():
        head = request(site, method, path, *filter(None, [shown, "Content-Type: application/json"]))
        head = head.replace(b"Connection: close", b"Content-Length: 1000")
        with connect(site) as line:
            line.sendall(head)
            answer = line.recv(65536)
            while b"}" not in answer:
                answer += line.recv(65536)
        assert status_of(answer) == 401, (method, path, answer)
        assert b"unauthenticated" in answer


YAMLS = {
    "brackets": DEEP,
    "braces": "{a: " * 20_000,
    "sequences": "- " * 60_000,
    "keys": "\n".join(f"k{i}: 1" for i in range(25_000)),
    "complex keys": "? " * 60_000,
    "anchors": "\n".join(f"a{i}: &a{i} 1" for i in range(15_000)),
    "laughs": "a: &a [x]\n" + "\n".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefghijkl")),
    "quotes": '"' * 200_000,
    "numbers": f"a: {'9' * 200_000}",
    "tags": "!!python/object/apply:os.system [ls]",
}  # fmt: skip


@pytest.mark.parametrize("role", [None, "reader", "worker"])
@pytest.mark.parametrize("kind", YAMLS)
def test_no_text_holds_up_the_others(site, kind: str, role: str | None) -> None:
    """While texts are read, others are answered, and so are those who sent them."""
    answers = []
    senders = [
        threading.Thread(
            target=lambda: answers.append(site.ask("/data/studies", {"id": "deep", "yaml": YAMLS[kind]}, role=role))
        )
        for _ in range(3)
    ]
    for sender in senders:
        sender.start()
    waited = [latency(site, "/static/style.css") for _ in range(3)]
    for sender in senders:
        sender.join()
    assert max(waited) < SOON
    assert {a.status for a in answers} == {{None: 401, "reader": 403, "worker": 400}[role]}


def test_large_messages_do_not_hold_up_the_others(site) -> None:
    """A reader sends megabytes of JSON, which take seconds to read."""
    points = [{"parameters": {"x": {"floatValue": 0.5}}}] * 60_000
    asked = {"parent": "studies/s", "configurations": points}
    answers = []
    sender = threading.Thread(target=lambda: answers.append(site.call("Predict", asked, role="reader")))
    sender.start()
    waited = [latency(site, "/static/style.css") for _ in range(5)]
    sender.join()
    assert max(waited) < SOON
    assert answers[0].status in (400, 429)


# -- silent and slow sockets


HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: loc"
HALF_A_BODY = b"POST /data/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"


def test_silent_sockets_shut_nobody_out(site) -> None:
    """More than there may be at once, of each kind; browsers and curl go on, signed in or not."""
    with silent_sockets(site, 1100), silent_sockets(site, 300, HALF_A_HEAD):
        assert max(latency(site) for _ in range(10)) < SOON
        assert site.ask("/data/studies", role="reader").status == 200
        assert site.call("ListStudies", {}, role="reader").status == 200


def test_a_browser_goes_on_beside_silent_sockets(site, browser) -> None:
    with silent_sockets(site, 1100), silent_sockets(site, 300, HALF_A_HEAD):
        browser.sign_in(site, "reader")
        browser.reads("#studies", "s")
        browser.open(f"{site.url}/studies/s")
        browser.reads("#connection", "live")


def test_whoever_takes_too_long_is_cut_off(site) -> None:
    """Who says nothing, who stops in the middle, and who sends each byte in time and never the last."""
    with ExitStack() as stack:
        silent = [stack.enter_context(silent_sockets(site, 1, sent))[0] for sent in (b"", HALF_A_HEAD)]
        waiting = stack.enter_context(silent_sockets(site, 1, HALF_A_BODY))[0]
        dripping = stack.enter_context(silent_sockets(site, 1, HALF_A_HEAD))[0]
        dripping.settimeout(0.5)
        with suppress(ConnectionError):
            for number in range(240):
                dripping.sendall(f"{number}".encode())
                with suppress(TimeoutError):
                    assert dripping.recv(100) == b""
                    break
            else:
                raise AssertionError("it goes on dripping")
        assert [received(line) for line in silent] == [b"", b""]
        answer = waiting.recv(65536)
        assert status_of(answer) == 408, answer


def test_a_head_without_end_is_refused(site) -> None:
    answer = answer_to(site, b"GET / HTTP/1.1\r\nHost: localhost\r\nx: " + b"y" * 200_000)
    assert status_of(answer) in (0, 400)


def test_those_who_read_nothing_hold_nobody_up(site) -> None:
    """They ask for the largest file again and again, and never read."""
    asked = request(site, "GET", "/plotly.js").replace(b"Connection: close", b"Accept: */*") * 20
    with ExitStack() as stack:
        for _ in range(60):
            line = stack.enter_context(socket.socket())
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.settimeout(60)
            line.connect(address_of(site))
            line.sendall(asked)
        assert max(latency(site) for _ in range(10)) < SOON


def test_analyses_of_one_reader_leave_pages_to_the_others(site) -> None:
    """A hundred at once, of which each may wait for the server."""
    askers = [threading.Thread(target=lambda: site.ask("/data/studies/s/diagnosis", role="reader")) for _ in range(100)]
    for asker in askers:
        asker.start()
    waited = [latency(site, "/plotly.js") for _ in range(3)]
    assert site.ask("/data/studies/s/figures/convergence", role="worker").status == 200
    for asker in askers:
        asker.join()
    assert max(waited) < SOON


# -- a further name, and proxies: a door is needed


@pytest.fixture(scope="module")
def open_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server without tokens, and its dashboard on loopback, and its metrics."""
    with making_servers(tmp_path_factory.mktemp("open")) as make:
        yield Site(make("--processes", "1", "--dashboard", "127.0.0.1:0", "--metrics", "127.0.0.1:0"), {})


FIRST = {"role": "ROLE_ADMIN"}
CREATE_TOKEN = "/bo_api.v1.TokenService/CreateToken"


@pytest.mark.parametrize(
    "header",
    ["x_forwarded_for", "x_forwarded_host", "x_forwarded_proto", "x_real_ip", "forwarded", "via"],
)
def test_whoever_comes_through_a_proxy_needs_a_token(open_site, header: str) -> None:
    for path, content in (
        ("/data/caller", None),
        ("/data/studies", None),
        ("/data/studies/s/changes", None),
        ("/bo_api.v1.OptimizationService/ListStudies", {}),
        (CREATE_TOKEN, FIRST),
    ):
        answer = open_site.ask(path, content, **{header: "203.0.113.9"})
        assert (answer.status, "bo token create --role admin" in answer.content["message"]) == (403, True), path


def test_nobody_makes_the_first_token_here(open_site) -> None:
    """Some proxies don't say that they are one."""
    answer = open_site.ask(CREATE_TOKEN, FIRST)
    assert (answer.status, "bo token create --role admin" in answer.content["message"]) == (403, True)
    assert open_site.ask("/data/caller").content["role"] == "admin"  # on this machine, it is as it was
    with open_site.client() as client:
        assert list(client.tokens) == []


def test_a_further_name_needs_a_token_under_every_name(make_server) -> None:
    process = make_server("--processes", "1", "--dashboard", "127.0.0.1:0", "--dashboard-host", "bo.example")
    site = Site(process, {})
    assert "create the first token on this machine" in process.log
    for host in ("bo.example", "localhost", "127.0.0.1:80"):
        for path, content in (
            (CREATE_TOKEN, FIRST),
            ("/data/caller", None),
            ("/data/studies", {"id": "x", "yaml": "x"}),
        ):
            answer = site.ask(path, content, host=host)
            assert (answer.status, "create a token" in answer.content["message"]) == (403, True), (host, path)
    with site.client() as client:
        token = client.tokens.create("admin").text
    soon(lambda: site.ask("/data/caller", authorization=f"Bearer {token}").status == 200)
    assert site.ask("/data/studies", host="bo.example").status == 401


@pytest.mark.parametrize(
    "given",
    [
        {"dashboard_hosts": ["bo.example"]},
        {"dashboard": "0.0.0.0:8080", "insecure": True},
        {"dashboard": "0.0.0.0:8080", "tls": TlsFiles("s.pem", "s.key")},
    ],
)
def test_a_dashboard_for_others_and_no_tokens_ever_is_refused_at_the_start(given: dict) -> None:
    with pytest.raises(StartupError, match="--auth"):
        Config(
            **{
                "storage": "sqlite:///x.db",
                "listen": "127.0.0.1:0",
                "dashboard": "127.0.0.1:80",
                "auth": "none",
                **given,
            }
        )


@pytest.mark.parametrize(
    "host", ["[", "[::1", "]", "a b", "127.0.0.1:x", "127.0.0.1@evil.example", "a/../b", "evil.example"]
)
def test_no_trick_with_the_name_gets_in(site, host: str) -> None:
    answer = answer_to(site, request(site, "GET", "/data/caller", f"Host: {host}"))
    assert status_of(answer) in (400, 421)
    assert b"role" not in answer


def test_what_a_page_may_send_is_not_widened_by_a_proxys_headers(site) -> None:
    """Neither the name nor the scheme of a request is taken from them."""
    answer = site.ask(
        "/data/session",
        {"token": site.tokens["reader"]},
        role=None,
        origin="https://evil.example",
        x_forwarded_host="evil.example",
    )
    assert answer.status == 403
    assert json.loads(answer.body)["code"] == "permission_denied"


# -- metrics


def test_silent_readers_of_metrics_shut_nobody_out(open_site) -> None:
    process = open_site.process
    port = int(process.log.partition("metrics at http://127.0.0.1:")[2].partition("/")[0])
    threads = Path(f"/proc/{process.process.pid}/task")
    before = len(list(threads.iterdir()))
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
        with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
            line.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert b"bo_rpc_handled" in received(line)
        assert len(list(threads.iterdir())) < before + 100
