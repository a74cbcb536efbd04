"""Callers who want in without a token, with one that is worth nothing any more, or with half of what is needed."""

import hmac
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import bo_client
import click
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as study_pb
from bo_api.v1 import token_service_pb2 as pb
from bo_api.v1 import token_service_pb2_grpc as rpc

from bo_service.application.authentication import Authenticator, AuthMode
from bo_service.application.tokens import NewToken, create_token, revoke_token
from bo_service.domain.access import Role
from bo_service.domain.errors import Unauthenticated
from bo_service.rpc import admission
from bo_service.storage.sqlite import SqliteStore, SystemClock
from tests.attacks.conftest import SPACE, local_target
from tests.attacks.test_stalls import OWN, SERVICE
from tests.commands_page import PROGRAMS
from tests.e2e.conftest import Authority, ServerProcess
from tests.e2e.dashboard.conftest import soon

pytestmark = pytest.mark.xdist_group("attacks-tokens")


def token_in(storage: Path, lifetime: timedelta | None = None) -> str:
    """An administrator's, made while no server has the file."""
    store = SqliteStore(storage)
    made = create_token(store, SystemClock(), NewToken(Role.ADMIN, lifetime=lifetime)).text
    store.close()
    return made


def connect(address: str, **settings: object) -> bo_client.Client:
    return bo_client.connect(address, patience=0.0, timeout=60.0, **settings)


def is_refused(address: str, **settings: object) -> bool:
    with connect(address, **settings) as client:
        try:
            list(client.studies())
        except (bo_client.PermissionDenied, bo_client.ServerUnavailable):
            return True
        return False


# -- from when on a token is needed


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_a_server_whose_tokens_are_all_worth_nothing_lets_nobody_in(
    make_server: Callable[..., ServerProcess], tmp_path: Path, end: str
) -> None:
    text = token_in(tmp_path / "bo.db", timedelta(seconds=0.01) if end == "expired" else None)
    if end == "revoked":
        store = SqliteStore(tmp_path / "bo.db")
        revoke_token(store, SystemClock(), text.split("_")[1])
        store.close()
    time.sleep(0.02)
    process = make_server("--processes", "1")
    address = process.start()
    assert is_refused(address)
    assert is_refused(address, token=text)
    with connect(address) as client, pytest.raises(bo_client.PermissionDenied):
        client.tokens.create("admin")  # it isn't the first
    assert "no valid token exists" in process.log


def test_auth_says_who_needs_a_token(make_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    asking = make_server("--processes", "1", "--auth", "tokens")
    address = asking.start()  # before there is any token
    assert is_refused(address)
    with connect(address) as client, pytest.raises(bo_client.PermissionDenied):
        client.tokens.create("admin")
    asking.stop()
    token_in(tmp_path / "bo.db")
    assert not is_refused(make_server("--processes", "1", "--auth", "none").start())


def test_a_server_that_others_reach_unencrypted_still_asks_for_tokens(
    make_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    text = token_in(tmp_path / "bo.db")
    process = make_server("--processes", "1", "--insecure")
    process.address = "0.0.0.0:0"
    here = process.start().replace("0.0.0.0", "127.0.0.1")
    assert is_refused(here)
    assert not is_refused(here, token=text)


# -- certificates and tokens


def test_a_certificate_makes_an_administrator_until_there_are_tokens_and_then_both_are_needed(
    make_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.sign("server")
    own, secret = authority.sign("worker", "worker.example")
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.file)]
    address = make_server("--processes", "1", *tls).start()
    shown = {"ca": authority.file, "certificate": own, "key": secret}
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes(), secret.read_bytes(), own.read_bytes())
    with grpc.secure_channel(address, credentials) as channel:
        caller = rpc.TokenServiceStub(channel).GetCaller(pb.GetCallerRequest(), timeout=60)
    assert caller.role == pb.ROLE_ADMIN
    with connect(address, **shown) as client:
        text = client.tokens.create("admin").text
    assert is_refused(address, **shown)
    assert is_refused(address, ca=authority.file, token=text)
    assert not is_refused(address, **shown, token=text)


# -- guesses


def test_a_guess_takes_the_same_comparison_whether_or_not_its_id_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are compared with a digest once, in constant time; time itself isn't measured, as machines are noisy."""
    text = token_in(tmp_path / "bo.db")
    store = SqliteStore(tmp_path / "bo.db")
    door = Authenticator(store, SystemClock(), AuthMode.AUTO)
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def counted(given: str, expected: str) -> bool:
        compared.append((len(given), len(expected)))
        return compare(given, expected)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    known, secret = text.split("_", 2)[1:]
    guesses = (f"bo_{known}_{'x' * len(secret)}", f"bo_{'0' * 12}_{secret}", f"bo_{known}_", "bo", "")
    for guess in guesses:
        with pytest.raises(Unauthenticated) as refused:
            door.authenticate(f"Bearer {guess}")
        assert refused.value.metadata["cause"] == "unknown"
    assert compared == [(64, 64)] * len(guesses)
    store.close()


# -- tokens that were given away


@pytest.fixture
def two_servers(postgres_server, tmp_path: Path) -> Iterator[list[ServerProcess]]:
    """Over one PostgreSQL."""
    url = postgres_server.make_database()
    made = [ServerProcess(tmp_path / f"{i}.db", "--processes", "1", url=url) for i in range(2)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(ServerProcess.start, made))
    yield made
    for server in made:
        server.stop()


def test_a_token_that_one_server_revokes_is_worth_nothing_at_another(two_servers: list[ServerProcess]) -> None:
    first, second = (server.address for server in two_servers)
    with connect(first) as anyone:
        admin = anyone.tokens.create("admin").text
    soon(lambda: is_refused(second))  # it learns that there are tokens
    with connect(first, token=admin) as client:
        client.create_study("s", SPACE, "loss", goal="minimize")
        made = client.tokens.create("reader")
        soon(lambda: not is_refused(second, token=made.text))
        with connect(second, token=made.text) as reader:
            changes = reader.study("s").watch()
            next(changes)
            client.tokens.revoke(made.info.id)
            soon(lambda: is_refused(second, token=made.text))
            with pytest.raises(bo_client.PermissionDenied):
                list(changes)


def test_a_list_of_tokens_has_their_last_use_and_never_their_text(server_process: ServerProcess) -> None:
    with connect(server_process.address) as anyone:
        text = anyone.tokens.create("admin").text
    with connect(server_process.address, token=text) as client:
        made = [client.tokens.create("worker").text for _ in range(2)]
        with grpc.insecure_channel(server_process.address) as channel:
            shown = [("authorization", f"Bearer {text}")]
            told = rpc.TokenServiceStub(channel).ListTokens(pb.ListTokensRequest(), timeout=60, metadata=shown)
        assert len(told.tokens) == 3
        listed = told.SerializeToString()
        assert not any(one.split("_", 2)[2].encode() in listed for one in [text, *made])


def test_a_call_whose_token_is_revoked_before_its_message_comes_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "STALL_CHECK_S", 3600.0)  # else the server cancels it before the message comes
    with local_target(tmp_path) as target, grpc.insecure_channel(target.address, OWN) as channel:
        shown, request = target.metadata("worker"), study_pb.GetStudyRequest(name="studies/s").SerializeToString()
        is_revoked = threading.Event()

        def message() -> Iterator[bytes]:
            is_revoked.wait()
            yield request

        call = channel.stream_unary(f"{SERVICE}GetStudy").future(message(), 60, shown)
        assert channel.unary_unary(f"{SERVICE}GetStudy")(request, 60, shown)  # so the call before has begun
        with target.client("admin") as admin:
            admin.tokens.revoke(target.tokens["worker"].split("_")[1])
        is_revoked.set()
        with pytest.raises(grpc.RpcError) as refused:
            call.result()
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "no longer authorized" in refused.value.details()


# -- where a token may be given


def commands(command: click.Command, context: click.Context, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, click.Context(child, parent=context, info_name=name), f"{path} {name}")


def test_no_command_takes_a_token_as_an_argument() -> None:
    """`ps` shows arguments to everybody. Flags, files and the id of a token that is revoked are no secrets."""
    found = {
        (path, name)
        for program, group in PROGRAMS.items()
        for path, command in commands(group, click.Context(group, info_name=program), program)
        for parameter in command.params
        for name in parameter.opts
        if "token" in name and not getattr(parameter, "is_flag", False)
    }
    assert {name for _, name in found} == {"--token-file", "token_id"}
    assert {path for path, name in found if name == "token_id"} == {"bo token revoke", "bo-service token revoke"}


@pytest.mark.parametrize("module", ["bo_client.cli.main", "bo_worker.cli", "bo_service.cli.main"])
def test_a_token_among_the_arguments_is_refused(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--token", "bo_000000000000_x"], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 2
    assert "--token" in done.stderr
