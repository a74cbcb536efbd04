"""A real server over TLS: who can talk to it, and how its certificates are replaced while it runs."""

import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import bo_client
import pytest

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
    address = make_server(*tls_options(authority.sign("server"))).start()
    with bo_client.connect(address, ca=authority.file) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize", max_trials=1)
        assert study.optimize(lambda parameters: parameters["x"]).number == 1
    assert not is_answered(address)
    assert not is_answered(address, ca=make_authority("other").file)
    assert not is_answered(address, tls=True)


def test_the_name_in_the_certificate_counts(make_server, authority) -> None:
    address = make_server(*tls_options(authority.sign("server", "bo.example"))).start()
    assert not is_answered(address, ca=authority.file)
    assert is_answered(address, ca=authority.file, server_name="bo.example")


def test_clients_show_certificates_of_their_authority(make_server, authority, make_authority) -> None:
    clients = make_authority("clients")
    process = make_server(*tls_options(authority.sign("server"), "--tls-client-ca", clients.file))
    address = process.start()
    certificate, key = clients.sign("worker", "worker.example", common_name="worker-7")
    assert is_answered(address, ca=authority.file, certificate=certificate, key=key)
    assert "worker-7" not in process.log  # the text log is for people; see the JSON one for all that is known
    assert not is_answered(address, ca=authority.file)
    stranger = authority.sign("stranger", "worker.example")
    assert not is_answered(address, ca=authority.file, certificate=stranger[0], key=stranger[1])


def test_new_certificates_are_taken_while_calls_go_on(make_server, authority) -> None:
    process = make_server(*tls_options(authority.sign("server")))
    address = process.start()
    with bo_client.connect(address, ca=authority.file, patience=0.0) as client:
        study = client.create_study("s", SPACE, "loss", goal="minimize")
        (trial,) = study.suggest()
        before = served_certificate(address, authority.file)
        authority.sign("server")
        after = served_certificate(address, authority.file)
        assert after != before
        assert served_certificate(address, authority.file) == after
        trial.complete({"loss": 1.0})  # over the connection that was there before
    assert "took the new certificate" in process.log


@pytest.mark.parametrize("damage", ["garbage", "empty", "gone", "another key"])
def test_broken_files_leave_the_old_certificate_in_use(make_server, authority, damage: str) -> None:
    certificate, key = authority.sign("server")
    process = make_server(*tls_options((certificate, key)))
    address = process.start()
    before = served_certificate(address, authority.file)
    if damage == "gone":
        certificate.unlink()
    elif damage == "another key":
        key.write_bytes(authority.sign("other")[1].read_bytes())
    else:
        certificate.write_text("no certificate" if damage == "garbage" else "")
    for _ in range(3):
        assert served_certificate(address, authority.file) == before
    assert process.log.count("can't be used") == 1
    authority.sign("server")  # mended
    assert served_certificate(address, authority.file) != before


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (("--listen", "0.0.0.0:0"), "--tls-cert and --tls-key"),
        (("--listen", "0.0.0.0:0"), "--tls-client-ca"),
        (("--listen", "0.0.0.0:0"), "--insecure"),
        (("--listen", "0.0.0.0:0", "--tls-cert", "CERT", "--tls-key", "KEY"), "bo-service token create"),
        (("--listen", "0.0.0.0:0", "--tls-cert", "CERT", "--tls-key", "KEY", "--auth", "none"), "--insecure"),
        (("--tls-cert", "CERT"), "--tls-key: is missing"),
        (("--tls-key", "KEY"), "--tls-cert: is missing"),
        (("--tls-client-ca", "CERT"), "--tls-cert and --tls-key"),
        (("--tls-cert", "KEY", "--tls-key", "KEY"), "no certificate and its key"),
        (("--tls-cert", "/nowhere.pem", "--tls-key", "KEY"), "/nowhere.pem"),
        (("--tls-cert", "CERT", "--tls-key", "KEY", "--tls-client-ca", "KEY"), "no certificate of an authority"),
        (("--metrics", "0.0.0.0:0"), "--metrics-insecure"),
        (("--metrics", "9464"), "HOST:PORT"),
    ],
)
def test_what_would_let_anybody_in_or_nobody_is_refused_in_one_line(tmp_path: Path, authority, options, hint) -> None:
    certificate, key = authority.sign("server")
    files = {"CERT": str(certificate), "KEY": str(key)}
    serve = [sys.executable, "-m", "bo_service.cli", "serve", "--storage", f"sqlite:///{tmp_path}/bo.db"]
    listen = [] if "--listen" in options else ["--listen", "127.0.0.1:0"]
    command = [*serve, *listen, *(files.get(option, option) for option in options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert hint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_recipes_of_the_guide_make_certificates_that_work(make_server, tmp_path: Path) -> None:
    """The blocks that call openssl, as they are written, in their order."""
    blocks = re.findall(r"^```bash\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    recipes = [block for block in blocks if "openssl" in block]
    assert recipes
    for recipe in recipes:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", recipe], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
    pair = (tmp_path / "server.pem", tmp_path / "server.key")
    assert pair[1].stat().st_mode & 0o077 == 0
    address = make_server(*tls_options(pair, "--tls-client-ca", tmp_path / "ca.pem")).start()
    shown = {"certificate": tmp_path / "worker.pem", "key": tmp_path / "worker.key"}
    assert is_answered(address, ca=tmp_path / "ca.pem", **shown)
    assert is_answered(address.replace("127.0.0.1", "localhost"), ca=tmp_path / "ca.pem", **shown)
    assert not is_answered(address, ca=tmp_path / "ca.pem")
