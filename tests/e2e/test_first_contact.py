"""What a program says that calls a server for the first time, where there is none or it is called wrongly."""

import http.server
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import bo_client
import pytest

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
BO, BO_WORKER = ([sys.executable, "-m", module] for module in ("bo_client.cli.main", "bo_worker.cli"))
NAMES = ("BO_SERVER", "BO_TOKEN", "BO_TOKEN_FILE", "BO_CA", "BO_TLS", "BO_CERT", "BO_KEY", "BO_SERVER_NAME")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tls_server(make_server, authority) -> str:
    certificate, key = authority.sign("server", "localhost", "127.0.0.1")
    server = make_server("--processes", "1", "--tls-cert", str(certificate), "--tls-key", str(key))
    return server.start().replace("127.0.0.1", "localhost")


@pytest.fixture
def listening() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Listens on a port, and lets `serve` have each connection; the address."""
    opened: list[socket.socket] = []

    def listen(serve: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        opened.append(listener)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                opened.append(connection)
                serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield listen
    for one in opened:
        one.close()


@pytest.fixture
def nobody() -> str:
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def refusal(address: str | None = None, **security) -> str:
    """Why a first call fails, at once: no attempt is followed by another one."""

    def tried_again() -> Iterator[float]:
        yield pytest.fail("the call is tried again")

    with pytest.MonkeyPatch.context() as patch, bo_client.connect(address, **security) as client:
        patch.setattr(bo_client.retries, "delays", tried_again)
        with pytest.raises(bo_client.ServerUnavailable) as caught:
            client.study("s")
    return str(caught.value)


def test_no_server(nobody: str) -> None:
    told = refusal(nobody)
    assert f"no server listens at {nobody}; start one with `bo serve`" in told
    assert "BO_SERVER" in told
    assert "no server listens at unix:/nowhere/bo.sock" in refusal("unix:/nowhere/bo.sock")
    assert "no server listens at nowhere.invalid:50051" in refusal("nowhere.invalid:50051")


def test_no_server_for_the_commands(nobody: str) -> None:
    worker = [*BO_WORKER, "run", "--server", nobody, "--study", "s", "--objective", "branin"]
    for command in ([*BO, "--server", nobody, "studies"], [*BO, "--server", nobody, "watch", "s"], worker):
        done = subprocess.run(command, capture_output=True, text=True, timeout=280)
        assert done.returncode == 1
        assert done.stderr.startswith(f"Error: no server listens at {nobody}; start one with `bo serve`")


def test_patience_that_is_given_counts_from_the_first_call_on(make_server, nobody: str, caplog) -> None:
    server = make_server()
    server.address = nobody
    with bo_client.connect(nobody, patience=120.0) as client:
        threading.Timer(2.5, server.start).start()
        assert list(client.studies()) == []
    assert [r.getMessage() for r in caplog.records if "retrying" in r.getMessage()]
    assert caplog.records[-1].getMessage().startswith("the server responds again after")


def test_a_plain_client_of_a_server_that_speaks_tls(tls_server: str, authority) -> None:
    told = refusal(tls_server)
    assert f"the server at {tls_server} speaks TLS; give the file of its authority with ca=…, --ca or BO_CA" in told
    with bo_client.connect(tls_server, ca=authority.file) as client:
        assert list(client.studies()) == []


def test_certificates_that_do_not_fit(tls_server: str, authority, make_authority) -> None:
    other = make_authority("other").file
    assert f"is not signed by the authority in {other}" in refusal(tls_server, ca=other)
    assert "is not signed by an authority that this machine trusts" in refusal(tls_server, tls=True)
    told = refusal(tls_server, ca=authority.file, server_name="bo.example")
    assert "is not for the name bo.example; give the name it has with server_name=…" in told


def test_a_server_that_asks_for_a_certificate(make_server, authority) -> None:
    certificate, key = authority.sign("server", "localhost", "127.0.0.1")
    mine = authority.sign("me", "me.example", common_name="me")
    options = ("--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.file))
    address = make_server("--processes", "1", *options).start()
    assert f"the server at {address} speaks TLS" in refusal(address)
    assert f"the server at {address} asks for a client's certificate" in refusal(address, ca=authority.file)
    with bo_client.connect(address, ca=authority.file, certificate=mine[0], key=mine[1]) as client:
        assert list(client.studies()) == []


def test_tls_with_a_server_that_does_not_speak_it(server: str, authority) -> None:
    assert f"what listens at {server} does not speak TLS; leave out tls and ca" in refusal(server, ca=authority.file)


def test_a_port_of_something_else(listening) -> None:
    ssh = listening(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n"))
    assert f"what listens at {ssh} does not speak gRPC" in refusal(ssh)
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        address = f"127.0.0.1:{web.server_port}"
        assert f"what listens at {address} does not speak gRPC; give the port of" in refusal(address)
    finally:
        web.shutdown()
        web.server_close()


def test_a_server_that_says_nothing_is_waited_for_aloud(listening, caplog) -> None:
    silent = listening(lambda connection: None)
    with bo_client.connect(silent, timeout=4.0, patience=0.0) as client, pytest.raises(bo_client.DeadlineExceeded):
        client.study("s")
    assert [r.getMessage() for r in caplog.records] == [f"no response from {silent} yet; waiting"]


@pytest.mark.parametrize("address", ["http://127.0.0.1:50051", "https://bo.example", "localhost", "h:", "h:x", ""])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(bo_client.InvalidRequest, match="HOST:PORT"):
        bo_client.connect(address)


@pytest.mark.parametrize("address", ["[::1]:50051", "unix:/tmp/bo.sock", "dns:///bo.example:50051", "bo.example:443"])
def test_an_address_that_is_one(address: str) -> None:
    bo_client.connect(address).close()


def test_the_environment_says_where_the_server_is(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BO_SERVER", server)
    with bo_client.connect() as client:
        client.create_study("s", SPACE, "loss", goal="minimize", max_trials=2)
    commands = ([*BO, "studies"], [*BO_WORKER, "run", "--study", "w", "--objective", "branin", "--max-trials", "1"])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
    with bo_client.connect() as client:
        assert {info.id for info in client.studies()} == {"s", "w"}
    monkeypatch.setenv("BO_SERVER", "")
    assert bo_client.connect().transport.address == "127.0.0.1:50051"


def test_a_wrong_token_is_told_at_once(make_server, monkeypatch: pytest.MonkeyPatch) -> None:
    server = make_server()
    command = [
        sys.executable,
        "-m",
        "bo_service.cli.main",
        "token",
        "create",
        "--storage",
        server.url,
        "--role",
        "admin",
    ]
    subprocess.run(command, capture_output=True, text=True, timeout=280, check=True)
    address = server.start()
    for token in (None, "wrong"):
        client = bo_client.connect(address, token=token)
        with client, pytest.raises(bo_client.PermissionDenied, match="token"):
            client.study("s")


def test_a_server_that_restarts_is_waited_for(server_process, caplog) -> None:
    """Also by a client that would not have waited for its first answer."""
    caplog.set_level(logging.INFO, logger="bo_client")
    with bo_client.connect(server_process.address) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", max_trials=3)

        def objective(parameters) -> float:
            server_process.kill()
            threading.Timer(1.0, server_process.start).start()
            return parameters["x"]

        study.optimize(objective, n_trials=1)
        assert study.trial(1).state is bo_client.TrialState.SUCCEEDED
