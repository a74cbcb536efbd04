"""`bo-service health`: what a container's health check runs."""

import sys
from pathlib import Path

import click

from bo_service.commands.extra import loading

PEM = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--server", default="127.0.0.1:50051", metavar="HOST:PORT", help="Which.")
@click.option(
    "--check",
    type=click.Choice(["ready", "live", "optimizer"]),
    default="ready",
    help="ready: calls can succeed; live: the process answers; optimizer: suggestions can come from the surrogate.",
)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=5.0, help="Seconds to wait.")
@click.option("--tls", is_flag=True, help="Call over TLS, with the authorities that gRPC knows.")
@click.option("--ca", type=PEM, help="Authority of the server's certificate, in PEM; calls over TLS.")
@click.option("--cert", type=PEM, help="Certificate to show, in PEM.")
@click.option("--key", type=PEM, help="Its key, in PEM.")
@click.option("--server-name", help="Name that the server's certificate has, where it isn't the host's.")
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
    """Ask a server for its health. Needs no token. Exit status 0 where it is SERVING, else 1."""
    with loading():
        from bo_service.adapters.grpc.probe import Target, ask_health
        from bo_service.adapters.grpc.server import COMPUTING, LIVENESS, READINESS
    name = {"ready": READINESS, "live": LIVENESS, "optimizer": COMPUTING}[check]
    answer = ask_health(Target(server, tls or ca is not None, ca, cert, key, server_name), name, timeout)
    click.echo(answer)
    sys.exit(answer != "SERVING")
