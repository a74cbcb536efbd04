"""What a client shows to whom, and what it keeps to itself."""

from pathlib import Path

import bo_client
import pytest
from bo_client.cli.main import main
from bo_client.security import Security, security_from
from bo_client.tokens import NewToken
from click.testing import CliRunner

SECRET = "bo_0123456789ab_" + "s3cr3t" * 7


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1", "[::1]:1", "127.8.0.1:1", "unix:/run/bo.sock"])
def test_a_token_is_sent_to_this_machine_as_it_is(address: str) -> None:
    bo_client.connect(address, token=SECRET).close()


@pytest.mark.parametrize("address", ["10.0.0.1:1", "bo.example:1", "[2001:db8::1]:1", "localhost.example:1"])
def test_a_token_is_sent_to_others_over_tls_alone(address: str) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=r"unencrypted.*--ca.*--plaintext-token") as refusal:
        bo_client.connect(address, token=SECRET)
    assert SECRET not in str(refusal.value)
    bo_client.connect(address, token=SECRET, tls=True).close()
    bo_client.connect(address, token=SECRET, plaintext_token=True).close()
    bo_client.connect(address).close()


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "é", "x" * 5000])
def test_what_is_no_token_is_refused_without_being_repeated(token: str) -> None:
    with pytest.raises(bo_client.InvalidRequest, match="token") as refusal:
        bo_client.connect("127.0.0.1:1", token=token)
    assert not token or token not in str(refusal.value).replace("token: is empty or contains", "")


def test_no_repr_shows_the_token() -> None:
    client = bo_client.connect("127.0.0.1:1", token=SECRET)
    shown = [repr(found) for found in (client, client.transport, Security(token=SECRET), vars(client.transport))]
    client.close()
    info = bo_client.TokenInfo("a", "admin", (), "", None, None, None, None)  # type: ignore[arg-type]
    assert SECRET not in "".join([*shown, repr(NewToken(info, SECRET))])


def test_an_error_says_nothing_of_the_token() -> None:
    with bo_client.connect("127.0.0.1:1", token=SECRET, patience=0.0) as client:
        with pytest.raises(bo_client.ServerUnavailable) as refusal:
            list(client.studies())
        error: BaseException | None = refusal.value
        while error is not None:
            assert SECRET not in f"{error!r} {error}"
            error = error.__cause__ or error.__context__


def test_the_environment_says_what_is_not_given(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    environment = {"BO_TOKEN_FILE": str(file), "BO_CA": "ca.pem", "BO_SERVER_NAME": "bo.example"}
    assert security_from(environment=environment) == Security(
        SECRET, tls=True, ca=Path("ca.pem"), server_name="bo.example"
    )
    assert security_from(environment={**environment, "BO_TOKEN": "other"}).token == "other"
    assert security_from(token="given", ca="mine.pem", environment=environment) == Security(
        "given", tls=True, ca=Path("mine.pem"), server_name="bo.example"
    )
    assert security_from(tls=False, environment=environment).tls is False
    assert security_from(environment={"BO_TLS": "1"}).tls is True
    assert security_from(environment={"BO_TLS": "0", "BO_TOKEN": ""}) == Security()
    with pytest.raises(bo_client.InvalidRequest, match="BO_TLS"):
        security_from(environment={"BO_TLS": "maybe"})


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"certificate": "c.pem"}, "key"),
        ({"key": "k.pem"}, "certificate"),
        ({"ca": "/nowhere/ca.pem"}, "ca: /nowhere/ca.pem cannot be read"),
    ],
)
def test_files_that_are_missing_are_named(given, field: str) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=field):
        bo_client.connect("127.0.0.1:1", **given)


@pytest.mark.parametrize(
    ("field", "kind"), [("ca", "CERTIFICATE"), ("certificate", "CERTIFICATE"), ("key", "PRIVATE KEY")]
)
def test_files_that_hold_no_pem_are_named(tmp_path: Path, field: str, kind: str) -> None:
    wrong, right = tmp_path / "wrong.pem", tmp_path / "right.pem"
    wrong.write_text("parameters: {}\n")
    right.write_text("-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n")
    given = {"certificate": right, "key": right} if field != "ca" else {}
    with pytest.raises(
        bo_client.InvalidRequest, match=rf"{field}: .*wrong\.pem holds no .* in PEM; give .*BEGIN {kind}"
    ):
        bo_client.connect("127.0.0.1:1", **{**given, field: wrong})


def test_the_command_refuses_in_one_line_and_takes_no_token_as_an_argument(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(SECRET)
    done = CliRunner().invoke(main, ["--server", "bo.example:1", "--token-file", str(file), "studies"])
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert "--ca" in done.stderr
    assert SECRET not in done.output
    assert "--token " not in CliRunner().invoke(main, ["--help"]).output


def test_a_server_in_this_process_needs_no_token(server) -> None:
    assert list(server.client().studies()) == []
