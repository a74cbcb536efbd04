"""What strangers cause is told, in the log's own form, so many times a minute, and then counted."""

import json
import logging
import os
import queue
import socket
import ssl
import subprocess
import sys
from collections import Counter

import grpc
import pytest
from bo_dashboard import logs
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.attacks.http import connect, received
from tests.e2e.conftest import Authority, ServerProcess, making_servers
from tests.e2e.dashboard.conftest import Site, soon, tokens_in

pytestmark = pytest.mark.xdist_group("attacks-log-lines")  # its server is started once

MANY = 60
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MOST = 20


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory):
    """A server and its dashboard, both with TLS, whose log is JSON."""
    folder = tmp_path_factory.mktemp("encrypted")
    authority = Authority(folder)
    certificate, key = authority.sign("server")
    with making_servers(folder) as make:
        options = ["--tls-cert", str(certificate), "--tls-key", str(key), "--dashboard", "127.0.0.1:0"]
        process = make("--processes", "1", "--log-format", "json", *options)
        site = Site(process, tokens_in(process.storage))
        yield site


def records(log: str) -> list[dict]:
    """Each line is JSON."""
    return [json.loads(line) for line in log.splitlines()]


def kinds(log: str) -> "Counter[str]":
    return Counter(line["logger"] for line in records(log))


def test_failed_handshakes_with_grpc_are_told_so_many_times(encrypted) -> None:
    before = len(encrypted.process.log)
    host, port = encrypted.address.split(":")
    for _ in range(MANY):
        with socket.create_connection((host, int(port)), timeout=60) as line:
            line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 100)
            received(line)
    soon(lambda: kinds(encrypted.process.log[before:])["bo_service.grpc.core"] >= MOST)
    assert works(encrypted)
    told = records(encrypted.process.log[before:])
    assert Counter(line["logger"] for line in told)["bo_service.grpc.core"] == MOST
    assert "Handshake failed" in next(line for line in told if line["logger"] == "bo_service.grpc.core")["message"]


def works(site) -> bool:
    with grpc.secure_channel(
        site.address, grpc.ssl_channel_credentials((site.process.storage.parent / "ca.pem").read_bytes())
    ) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
    return answer.status == health_pb2.HealthCheckResponse.SERVING


def test_what_is_no_grpc_is_told_so_many_times(site) -> None:
    before = len(site.process.log)
    host, port = site.address.split(":")
    for sent in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 500, PREFACE + b"\xff" * 500, PREFACE + b"\x00" * 9):
        for _ in range(MANY):
            with socket.create_connection((host, int(port)), timeout=60) as line:
                line.sendall(sent)
                line.shutdown(socket.SHUT_WR)
                received(line)
    assert site.client().study("s").definition.id == "s"
    assert len(records(site.process.log[before:])) <= 2 * MOST


def test_the_dashboard_tells_later_how_many_lines_it_left_out(monkeypatch) -> None:
    monkeypatch.setattr(logs, "MINUTE_S", 0.2)
    told: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    limited = logs.LogRateLimit(told.put)
    lines = [logging.LogRecord("x", logging.WARNING, "", 0, "refused %d\nmore", (n,), None) for n in range(MANY)]
    assert sum(map(limited.filter, lines)) == MOST
    assert limited.filter(logging.LogRecord("y", logging.WARNING, "", 0, "refused %d", (1,), None))
    assert told.get(timeout=60).getMessage() == f"{MANY - MOST} more lines in this minute were dropped: refused %d"


def test_strangers_who_ask_for_health_are_told_so_many_times(site) -> None:
    """Of services that there aren't, by those who need no token."""
    before = len(site.process.log)
    with grpc.insecure_channel(site.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for number in range(MANY):
            with pytest.raises(grpc.RpcError):
                stub.Check(health_pb2.HealthCheckRequest(service=f"none-{number}"), timeout=60)
    assert site.client().study("s").definition.id == "s"
    assert kinds(site.process.log[before:])["bo_service.grpc"] <= MOST + 5


def test_refusals_are_told_so_many_times(site) -> None:
    before = len(site.process.log)
    for _ in range(MANY):
        assert site.ask("/data/studies", role=None).status == 401
    assert kinds(site.process.log[before:])["bo_service.access"] <= MOST


UPGRADE = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n"


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", UPGRADE], ids=["nonsense", "upgrade"])
def test_what_is_no_http_is_told_so_many_times(site, sent: bytes) -> None:
    before = len(site.process.log)
    for _ in range(MANY):
        with connect(site) as line:
            line.sendall(sent)
            assert received(line)
    told = kinds(site.process.log[before:])
    assert 0 < told["uvicorn.error"] <= 2 * MOST


@pytest.fixture
def encrypted_dashboard(server_process: ServerProcess, authority: Authority, tmp_path):
    """`bo dashboard` with TLS, and the file that it logs to."""

    certificate, key = authority.sign("web")
    command = [
        sys.executable,
        "-m",
        "bo_client.cli.main",
        "--server",
        server_process.address,
        "dashboard",
        "--listen",
        "127.0.0.1:0",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BO_")}
    log = tmp_path / "dashboard.log"
    options = ["--listen", "127.0.0.1:0", "--tls-cert", str(certificate), "--tls-key", str(key), "--log-format", "json"]
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=file, text=True, env=environment
        )
    line = process.stdout.readline()
    yield int(line.rstrip("/\n").rpartition(":")[2]), log, authority.file
    process.terminate()
    process.wait(60)
    process.stdout.close()


def test_failed_handshakes_with_the_dashboard_are_told_so_many_times(encrypted_dashboard) -> None:
    port, log, authority = encrypted_dashboard
    for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello"):
        for _ in range(MANY):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
                line.sendall(sent)
                received(line)
    silent = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(1100)]
    context = ssl.create_default_context(cafile=str(authority))
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", port), timeout=60), server_hostname="127.0.0.1"
    ) as line:
        line.sendall(b"GET /data/caller HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in received(line)
    for each in silent:
        each.close()
    told = records(log.read_text())
    assert 0 < len(told) <= MOST
    assert {line["logger"] for line in told} == {"bo_dashboard.connections"}
    assert "TLS handshake" in told[0]["message"]
