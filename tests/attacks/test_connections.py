"""Connections without calls: more of them than a process may usually have open shut nobody out."""

import json
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb

from benchmarks.http2 import PREFACE, RST_STREAM, SETTINGS, RawConnection, frame
from bo_service.rpc import server
from tests.attacks.conftest import SPACE, local_target, make_target
from tests.attacks.test_stalls import OWN, SERVICE, works
from tests.e2e.conftest import making_servers
from tests.e2e.dashboard.conftest import soon

pytestmark = pytest.mark.xdist_group("attacks-connections")  # its server is started once

CONNECTIONS = 1200
USUAL_LIMIT = 1024
NEEDED = 4096
"""Descriptors of this process, and of the server once it has raised its limit."""


@contextmanager
def soft_limit(count: int) -> Iterator[None]:
    """Let this process and those that it starts open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), 10)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory):
    """A server that was started with the usual soft limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < NEEDED:
        pytest.skip(f"the hard limit on open files is {hard}, and {NEEDED} are needed")
    folder = tmp_path_factory.mktemp("connections")
    with making_servers(folder) as make:
        with soft_limit(USUAL_LIMIT):
            target = make_target(make, folder / "bo.db", "--log-format", "json")
        with target.client() as client:
            client.create_study("s", SPACE, "loss", goal="minimize")
        yield target


@pytest.mark.parametrize("said", [b"", PREFACE + frame(SETTINGS, 0, 0, b"")], ids=["silent", "greeting"])
def test_idle_connections_shut_nobody_out(limited, said: bytes) -> None:
    with soft_limit(NEEDED), ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(connect(limited.address)).sendall(said)
        for _ in range(2):
            works(limited)


def test_connections_without_calls_are_closed_and_clients_connect_again(tmp_path, monkeypatch) -> None:
    options = {**dict(server.OPTIONS), "grpc.max_connection_idle_ms": 500}
    monkeypatch.setattr(server, "OPTIONS", list(options.items()))
    with local_target(tmp_path) as target, target.client() as client:
        assert client.study("s").definition.id == "s"
        with RawConnection(target.address, timeout=60.0) as raw:
            assert raw.is_closed_by_server()
        assert client.study("s").definition.id == "s"


@pytest.mark.parametrize(
    ("option", "milliseconds", "said"),
    [
        ("grpc.server_handshake_timeout_ms", 20_000, b""),
        ("grpc.max_connection_idle_ms", 60_000, PREFACE + frame(SETTINGS, 0, 0, b"")),
    ],
)
def test_a_connection_has_its_time(tmp_path, monkeypatch, option: str, milliseconds: int, said: bytes) -> None:
    """The page has the whole time; here the server gives half a second, and no other bound ends the connection."""
    assert dict(server.OPTIONS)[option] == milliseconds
    monkeypatch.setattr(server, "OPTIONS", list({**dict(server.OPTIONS), option: 500}.items()))
    with local_target(tmp_path) as target, connect(target.address) as line:
        line.settimeout(15.0)  # less than the other bounds, which would close it too
        line.sendall(said)
        with suppress(ConnectionResetError):
            while line.recv(4096):
                pass


def test_calls_in_progress_end_some_time_after_their_connection_does(tmp_path, monkeypatch) -> None:
    """A connection that is too old takes no more calls; a stream goes on over another one."""
    assert dict(server.OPTIONS)["grpc.max_connection_age_ms"] == 12 * 3_600_000
    assert dict(server.OPTIONS)["grpc.max_connection_age_grace_ms"] == 10 * 60_000
    short = {"grpc.max_connection_age_ms": 500, "grpc.max_connection_age_grace_ms": 500}
    monkeypatch.setattr(server, "OPTIONS", list({**dict(server.OPTIONS), **short}.items()))
    watch = pb.WatchStudyRequest(name="studies/s").SerializeToString()
    with local_target(tmp_path) as target, grpc.insecure_channel(target.address, OWN) as channel:
        stream = channel.unary_stream(f"{SERVICE}WatchStudy")(watch, timeout=60, metadata=target.metadata("worker"))
        with pytest.raises(grpc.RpcError) as ended:
            list(stream)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        with bo_client.connect(target.address, token=target.tokens["worker"], patience=60.0) as client:
            seen = client.study("s").watch()
            next(seen)
            client.study("s").update(labels={"a": "b"})
            assert any(change.study.labels == {"a": "b"} for change in seen)


def test_a_connection_has_so_many_calls(tmp_path) -> None:
    """One more is reset, or waits in a client that knows; here it is begun nevertheless."""
    count = dict(server.OPTIONS)["grpc.max_concurrent_streams"]
    assert count == 256
    with local_target(tmp_path) as target, RawConnection(target.address, timeout=60.0) as raw:
        for i in range(count + 1):
            raw.headers(2 * i + 1, f"{SERVICE}ReportMeasurements", target.metadata("other"))
        told, reset = b"", frame(RST_STREAM, 0, 2 * count + 1, b"code")[:-4]
        while reset not in told:
            more = raw.socket.recv(65536)
            assert more, "the connection is closed, and no stream was reset"
            told += more
        assert frame(RST_STREAM, 0, 2 * count - 1, b"code")[:-4] not in told
        works(target)


@pytest.mark.parametrize(("hard", "raised"), [(2048, 2048), (70_000, 65_536)])
def test_the_limit_on_open_files_is_raised_and_a_low_one_is_said(hard: int, raised: int) -> None:
    """In a process of its own, whose hard limit can't be raised again."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("this process may open fewer files")
    program = (
        "import logging, resource; logging.basicConfig();"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (1024, {hard}));"
        "from bo_service.descriptor_limit import raise_descriptor_limit; raise_descriptor_limit();"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=280, check=True)
    assert int(done.stdout) == raised
    assert ("at most 2048 files and connections" in done.stderr) is (raised < 8192)


def test_a_server_without_descriptors_says_so_in_its_logs_form(limited) -> None:
    """The lines of gRPC's core are JSON too, without TLS as with it; and the server goes on when some are free."""
    pid = limited.process.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    before = len(limited.process.log)
    with ExitStack() as stack:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (100, limits[1]))
        stack.callback(resource.prlimit, pid, resource.RLIMIT_NOFILE, limits)
        for _ in range(200):
            with suppress(OSError):
                stack.enter_context(connect(limited.address))
        soon(lambda: "bo_service.grpc.core" in limited.process.log[before:])
    works(limited)
    for line in limited.process.log[before:].splitlines():
        json.loads(line)
