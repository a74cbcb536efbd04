"""What other machines reach and read: nothing by default, and nothing over a protocol that is broken."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import bo_client.cli.main
import click
import pytest

from bo_service.cli.serve import serve
from bo_service.config import Config
from tests.attacks.conftest import make_target
from tests.e2e.conftest import Authority, ServerProcess, making_servers

VERSIONS = {
    "TLS 1.0": ssl.TLSVersion.TLSv1,
    "TLS 1.1": ssl.TLSVersion.TLSv1_1,
    "TLS 1.2": ssl.TLSVersion.TLSv1_2,
    "TLS 1.3": ssl.TLSVersion.TLSv1_3,
}


def default_of(command: click.Command, option: str) -> object:
    return next(parameter.default for parameter in command.params if option in parameter.opts)


def test_by_default_only_this_machine_reaches_anything(tmp_path: Path) -> None:
    server = Config(f"sqlite:///{tmp_path}/bo.db", str(default_of(serve, "--listen")))
    assert server.is_private
    assert server.metrics_address is None
    assert server.dashboard_address is None
    assert server.katib_address is None
    dashboard = bo_client.cli.main.main.get_command(click.Context(bo_client.cli.main.main), "dashboard")
    assert dashboard is not None
    assert Config("sqlite:///bo.db", str(default_of(dashboard, "--listen"))).is_private


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Authority]]:
    folder = tmp_path_factory.mktemp("encrypted")
    authority = Authority(folder)
    certificate, key = authority.sign("server")
    with making_servers(folder) as make:
        target = make_target(make, folder / "bo.db", "--tls-cert", str(certificate), "--tls-key", str(key))
        assert target.process is not None
        yield target.process, authority


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the old versions, which are the point here
@pytest.mark.parametrize("version", VERSIONS)
def test_old_versions_of_tls_are_refused(encrypted: tuple[ServerProcess, Authority], version: str) -> None:
    """The client offers one version alone, with every cipher that it knows."""
    process, authority = encrypted
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.set_alpn_protocols(["h2"])
    context.minimum_version = context.maximum_version = VERSIONS[version]
    host, _, port = process.address.rpartition(":")
    with socket.create_connection((host, int(port)), 60) as line:
        if version in ("TLS 1.2", "TLS 1.3"):
            with context.wrap_socket(line, server_hostname=host) as secured:
                assert secured.version() == version.replace("TLS ", "TLSv")
        else:
            with pytest.raises(
                (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError)
            ):  # it hangs up, and not the client itself
                context.wrap_socket(line, server_hostname=host)
