"""Provide `bo-service health`, the command of a container's health check."""

import sys
from pathlib import Path

import click

from bo_service.cli.errors import loading

PEM = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--server", default="127.0.0.1:50051", metavar="HOST:PORT", help="Server address.")
@click.option(
    "--check",
    type=click.Choice(["ready", "live", "optimizer"]),
    default="ready",
    help="ready: calls can succeed; live: the process responds; optimizer: the surrogate can compute suggestions.",
)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=5.0, help="Seconds to wait.")
@click.option("--tls", is_flag=True, help="Use TLS with gRPC's default certificate authorities.")
@click.option("--ca", type=PEM, help="Certificate authority of the server, in PEM; implies TLS.")
@click.option("--cert", type=PEM, help="Client certificate, in PEM.")
@click.option("--key", type=PEM, help="Key of the client certificate, in PEM.")
@click.option("--server-name", help="Name in the server's certificate, if it differs from the host name.")
def health(
    server: str,
    check: str,
    timeout: float,
    tls: bool,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    server_name: str | None,
) -> None:
    """Ask a server for its health. Needs no token. Exits with status 0 if the server is SERVING, else with 1."""
    with loading():
        from bo_service.rpc.health_probe import Target, ask_health
        from bo_service.rpc.server import COMPUTING, LIVENESS, READINESS
    name = {"ready": READINESS, "live": LIVENESS, "optimizer": COMPUTING}[check]
    answer = ask_health(Target(server, tls or ca is not None, ca, cert, key, server_name), name, timeout)
    click.echo(answer)
    sys.exit(answer != "SERVING")
