"""How the dashboard starts, where it refuses to, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from ssl import create_default_context
from urllib.parse import urlsplit

import bo_client
import pytest
from bo_client.errors import InvalidRequest
from bo_client.security import Security
from bo_dashboard.settings import DashboardSettings

from bo_service.config import Config, TlsFiles
from bo_service.domain.errors import StartupError
from tests.e2e.dashboard.conftest import Site, soon, tokens_in

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])


def listens(url: str) -> bool:
    """Whether somebody is there."""
    host, port = urlsplit(url).netloc.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


class Dashboard:
    """`bo dashboard` in a process of its own."""

    def __init__(self, server: str, *options: str) -> None:
        command = [
            sys.executable,
            "-m",
            "bo_client.cli.main",
            "--server",
            server,
            "dashboard",
            "--listen",
            "127.0.0.1:0",
        ]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BO_")}
        self.process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("dashboard at "), line
        self.url = line.split()[2].rstrip("/")

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=280)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@pytest.fixture
def start_dashboard():
    made: list[Dashboard] = []

    def start(*arguments: str) -> Dashboard:
        made.append(Dashboard(*arguments))
        return made[-1]

    yield start
    for each in made:
        if each.process.poll() is None:
            each.end()


def read(url: str, path: str = "/data/caller", **headers: str) -> tuple[int, str]:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=120)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    told = answer.status, answer.read().decode()
    connection.close()
    return told


def test_it_ends_with_the_server_however_that_ends(make_server) -> None:
    for end in ("stop", "kill"):
        process = make_server("--dashboard", "127.0.0.1:0")
        process.start()
        url = re.findall(r"dashboard at (http\S+)/", process.log)[-1]
        assert read(url)[0] == 200
        getattr(process, end)()
        soon(lambda url=url: not listens(url))
    assert "the dashboard exited" not in process.log


def test_a_server_without_tokens_lets_everybody_on_its_machine_in(server: str, start_dashboard) -> None:
    status, told = read(start_dashboard(server).url)
    assert (status, '"role":"admin"' in told) == (200, True)


def test_it_serves_nobody_while_anybody_could_act(make_server, start_dashboard) -> None:
    server = make_server().start()
    dashboard = start_dashboard(server, "--require-tokens")
    with bo_client.connect(server) as client:
        client.create_study("s", SPACE, "loss", goal="minimize")
        for path in ("/data/caller", "/data/studies", "/data/studies/s/figures/convergence", "/data/studies/s/changes"):
            status, told = read(dashboard.url, path, authorization="Bearer anything")
            assert (status, "create a token" in told) == (403, True), path
        token = client.tokens.create("admin").text
    soon(lambda: read(dashboard.url, authorization=f"Bearer {token}")[0] == 200)
    assert read(dashboard.url, "/data/studies")[0] == 401


def test_it_tells_that_no_server_answers_and_goes_on_when_one_does(make_server, start_dashboard) -> None:
    process = make_server()
    address = process.start()
    dashboard = start_dashboard(address)
    process.stop()
    status, told = read(dashboard.url)
    assert (status, '"code":"unavailable"' in told) == (503, True)
    process.start()
    soon(lambda: read(dashboard.url)[0] == 200)
    dashboard.end()
    assert not listens(dashboard.url)


def test_beside_tls_it_reaches_the_server_by_a_way_of_its_own(make_server, authority, tmp_path: Path) -> None:
    """Tokens hold there too, and others can't take it."""
    certificate, key = authority.sign("server")
    options = ["--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", authority.file]
    process = make_server(*map(str, options), "--dashboard", "127.0.0.1:0")
    tokens = tokens_in(process.storage)
    site = Site(process, tokens)
    assert site.ask("/data/caller", role=None).content["role"] == ""
    assert site.ask("/data/caller", role="reader").content["role"] == "reader"
    command = Path(f"/proc/{process.process.pid}/task/{process.process.pid}/children").read_text().split()
    asked = [Path(f"/proc/{child}/cmdline").read_text() for child in command if Path(f"/proc/{child}").exists()]
    (own,) = re.findall(r"unix:(\S+?)/grpc\.sock", "".join(asked))
    assert os.stat(own).st_mode & 0o077 == 0
    process.stop()
    assert not Path(own).exists()


def test_with_client_certificates_alone_it_serves_nobody(make_server, authority) -> None:
    certificate, key = authority.sign("server")
    options = ["--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", authority.file]
    process = make_server(*map(str, options), "--dashboard", "127.0.0.1:0")
    site = Site(process, {})
    answer = site.ask("/data/caller")
    assert (answer.status, "create a token" in answer.content["message"]) == (403, True)


def test_it_encrypts_where_it_is_told_to(server: str, authority, start_dashboard) -> None:
    certificate, key = authority.sign("web", "localhost", "127.0.0.1")
    dashboard = start_dashboard(server, "--tls-cert", str(certificate), "--tls-key", str(key))
    assert dashboard.url.startswith("https://")
    context = create_default_context(cafile=str(authority.file))
    connection = HTTPSConnection(urlsplit(dashboard.url).netloc, timeout=120, context=context)
    connection.request("GET", "/data/caller")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_port_in_use_is_told(lasting_server, tmp_path: Path) -> None:
    address, storage = lasting_server.address, tmp_path / "other.db"
    command = [sys.executable, "-m", "bo_service.cli.main", "serve", "--storage", f"sqlite:///{storage}"]
    done = subprocess.run(
        [*command, "--listen", "127.0.0.1:0", "--dashboard", address], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 1
    assert f"cannot listen on {address}" in done.stderr
    assert "--dashboard: the dashboard did not start" in done.stderr


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "starlette.py").write_text("raise ImportError('no starlette here')")
    done = subprocess.run(
        [sys.executable, "-m", "bo_client.cli.main", "dashboard"],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert 'pip install "bo-service[dashboard]"' in done.stderr
    assert "Traceback" not in done.stderr


TLS = {"certificate": Path("server.pem"), "key": Path("server.key")}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"listen": "0.0.0.0:8080"}, "--tls-cert"),
        ({"listen": "8080"}, "HOST:PORT"),
        ({"certificate": Path("server.pem")}, "--tls-key"),
        ({"origins": ["*"]}, "--allow-origin"),
        ({"origins": ["https://tools.example/path"]}, "--allow-origin"),
        ({"server": "bo.example:50051"}, "plaintext"),
    ],
)
def test_what_would_be_unsafe_is_refused(given: dict, said: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        DashboardSettings(**{"server": "127.0.0.1:50051", **given})


@pytest.mark.parametrize(
    ("given", "needs"),
    [
        ({}, False),
        ({"require_tokens": True}, True),
        ({"listen": "0.0.0.0:8080", **TLS}, True),
        ({"listen": "0.0.0.0:8080", "insecure": True}, True),
        ({"hosts": ["bo.example"]}, True),
        ({"hosts": ["bo.example"], "insecure": True}, True),
        ({"server": "bo.example:50051", "security": Security(tls=True)}, False),
    ],
)
def test_whoever_comes_from_elsewhere_must_have_a_token(given: dict, needs: bool) -> None:
    assert DashboardSettings(**{"server": "127.0.0.1:50051", **given}).rejects_anonymous is needs


def config(**given: object) -> Config:
    return Config(**{"storage": "sqlite:///x.db", "listen": "127.0.0.1:0", "dashboard": "127.0.0.1:8080", **given})


def test_the_server_starts_it_as_it_was_itself_told_to_be() -> None:
    files = TlsFiles(Path("s.pem"), Path("s.key"), Path("ca.pem"))
    assert config().dashboard_options == ["--listen", "127.0.0.1:8080"]
    assert config(tls=files).dashboard_options == ["--listen", "127.0.0.1:8080", "--require-tokens"]
    outside = config(tls=TlsFiles(Path("s.pem"), Path("s.key")), dashboard="0.0.0.0:8080").dashboard_options
    assert outside == ["--listen", "0.0.0.0:8080", "--tls-cert", "s.pem", "--tls-key", "s.key"]
    assert "--insecure" in config(insecure=True, dashboard="0.0.0.0:8080").dashboard_options
    named = config(dashboard_hosts=["bo.example"], dashboard_origins=["https://a.example"]).dashboard_options
    assert named[2:] == ["--allow-host", "bo.example", "--allow-origin", "https://a.example"]
    with pytest.raises(StartupError, match="--dashboard"):
        config(dashboard="0.0.0.0:8080")
    with pytest.raises(StartupError, match=r"127\.0\.0\.1:8080"):
        config(dashboard="nowhere")
