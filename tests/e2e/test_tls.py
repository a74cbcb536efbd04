"""A real server over TLS: who can talk to it, and how its certificates are replaced while it runs."""

import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import bo_client
import pytest

from bo_service.bootstrap import running_server
from bo_service.config import Config, TlsFiles
from bo_service.domain.errors import StartupError

SPACE = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
GUIDE = Path(__file__).parents[2] / "docs" / "security.md"


def served_certificate(address: str, authority: Path) -> bytes:
    """What the server shows to a new connection, which trusts the authority."""
    host, port = address.split(":")
    context = ssl.create_default_context(cafile=str(authority))
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        found = secured.getpeercert(binary_form=True)
        assert found
        return found


def is_answered(address: str, **security) -> bool:
    with bo_client.connect(address, patience=0.0, timeout=10, **security) as client:
        try:
            list(client.studies())
        except bo_client.ServerUnavailable:
            return False
        return True


def tls_options(pair, *more: object) -> list[str]:
    return ["--processes", "1", "--tls-cert", str(pair[0]), "--tls-key", str(pair[1]), *map(str, more)]


def test_only_those_who_trust_its_authority_talk_to_it(make_server, authority, make_authority) -> None:
    address = make_server(*tls_options(authority.sign("server", "bo.example"))).start()
    with bo_client.connect(address, ca=authority.file, server_name="bo.example") as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", max_trials=1)
        assert study.optimize(lambda parameters: parameters["x"]).number == 1
    assert not is_answered(address)
    assert not is_answered(address, ca=make_authority("other").file, server_name="bo.example")
    assert not is_answered(address, tls=True, server_name="bo.example")
    assert not is_answered(address, ca=authority.file)  # the name counts
    assert health(address) == 1
    assert health(address, "--ca", authority.file, "--server-name", "bo.example") == 0


def health(address: str, *options: object) -> int:
    command = [sys.executable, "-m", "bo_service.cli.main", "health", "--server", address, "--timeout", "3"]
    return subprocess.run([*command, *map(str, options)], capture_output=True, timeout=280).returncode


def test_clients_show_certificates_of_their_authority(make_server, authority, make_authority) -> None:
    clients = make_authority("clients")
    options = tls_options(authority.sign("server"), "--tls-client-ca", clients.file, "--log-format", "json")
    process = make_server(*options)
    address = process.start()
    certificate, key = clients.sign("worker", "worker.example", common_name="worker-7")
    assert is_answered(address, ca=authority.file, certificate=certificate, key=key)
    assert '"certificate": "worker-7"' in process.log
    assert not is_answered(address, ca=authority.file)
    stranger = authority.sign("stranger", "worker.example")
    assert not is_answered(address, ca=authority.file, certificate=stranger[0], key=stranger[1])


def test_new_certificates_are_taken_and_broken_ones_are_not_while_calls_go_on(make_server, authority) -> None:
    certificate, key = authority.sign("server")
    process = make_server(*tls_options((certificate, key)))
    address = process.start()
    other = authority.sign("other")[1].read_bytes()
    damages = {
        "garbage": lambda: certificate.write_text("no certificate"),
        "emptied": lambda: certificate.write_text(""),
        "gone": certificate.unlink,
        "another key": lambda: key.write_bytes(other),
    }
    with bo_client.connect(address, ca=authority.file, patience=0.0) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize")
        (trial,) = study.suggest()
        shown = served_certificate(address, authority.file)
        for times, (what, damage) in enumerate(damages.items(), start=1):
            damage()
            for _ in range(3):
                assert served_certificate(address, authority.file) == shown, what
            assert process.log.count("cannot be used") == times
            authority.sign("server")  # mended
            before, shown = shown, served_certificate(address, authority.file)
            assert shown != before, what
            assert served_certificate(address, authority.file) == shown
        trial.complete({"loss": 1.0})  # over the connection that was there before
    assert process.log.count("loaded the new certificate") == len(damages)


TLS = {"tls": ("CERT", "KEY")}
OPEN = {"listen": "0.0.0.0:0"}


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        (OPEN, "--tls-cert and --tls-key.*--tls-client-ca.*--insecure"),
        ({**OPEN, **TLS}, "bo-service token create.*--tls-client-ca.*--insecure"),
        ({**OPEN, **TLS, "auth": "none"}, "anyone could call"),
        ({"tls": ("KEY", "KEY")}, "not a matching certificate and key"),
        ({"tls": ("/nowhere.pem", "KEY")}, "/nowhere.pem"),
        ({"tls": ("CERT", "KEY", "KEY")}, "contains no CA certificate"),
        ({"metrics": "0.0.0.0:0"}, "--metrics-insecure"),
        ({"metrics": "9464"}, "--metrics: is '9464'; give HOST:PORT"),
    ],
)
def test_what_would_let_anybody_in_or_nobody_is_refused(tmp_path: Path, authority, settings, hint: str) -> None:
    certificate, key = authority.sign("server")
    files = {"CERT": certificate, "KEY": key}
    given = {"listen": "127.0.0.1:0", **settings}
    if "tls" in given:
        given["tls"] = TlsFiles(*(files.get(name, Path(name)) for name in given["tls"]))
    with pytest.raises(StartupError, match=hint), running_server(Config(f"sqlite:///{tmp_path}/bo.db", **given)):
        pass


@pytest.mark.parametrize(
    ("settings", "is_open", "is_refused"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"insecure": True}, True, False),
        ({"tls": TlsFiles(Path("c"), Path("k"), Path("ca"))}, True, False),
        ({"listen": "127.0.0.1:0"}, True, False),
    ],
)
def test_strangers_are_kept_out_unless_they_are_wanted(settings, is_open: bool, is_refused: bool) -> None:
    """By tokens, by certificates, by loopback; or let in by consent."""
    given = {"listen": "0.0.0.0:0", "tls": TlsFiles(Path("c"), Path("k")), **settings}
    config = Config("sqlite:///bo.db", **given)
    if is_refused:
        with pytest.raises(StartupError, match="anyone could call"):
            config.check_authentication(is_open)
    else:
        config.check_authentication(is_open)


def test_a_certificate_and_its_key_are_given_together() -> None:
    serve = [sys.executable, "-m", "bo_service.cli.main", "serve", "--tls-cert", "server.pem"]
    done = subprocess.run(serve, capture_output=True, text=True, timeout=280)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "bo-service: --tls-key: is missing; give a certificate together with its key\n"


def test_the_recipes_of_the_guide_make_certificates_that_work(make_server, tmp_path: Path) -> None:
    """The blocks that call openssl, as they are written, in their order."""
    blocks = re.findall(r"^```bash\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    recipes = [block for block in blocks if "openssl" in block]
    assert recipes
    for recipe in recipes:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", recipe], cwd=tmp_path, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, done.stderr
    pair = (tmp_path / "server.pem", tmp_path / "server.key")
    assert pair[1].stat().st_mode & 0o077 == 0
    address = make_server(*tls_options(pair, "--tls-client-ca", tmp_path / "ca.pem")).start()
    shown = {"certificate": tmp_path / "worker.pem", "key": tmp_path / "worker.key"}
    assert is_answered(address, ca=tmp_path / "ca.pem", **shown)
    assert is_answered(address.replace("127.0.0.1", "localhost"), ca=tmp_path / "ca.pem", **shown)
    assert not is_answered(address, ca=tmp_path / "ca.pem")
