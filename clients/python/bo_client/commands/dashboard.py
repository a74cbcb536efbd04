"""`bo dashboard`."""

import logging
from pathlib import Path
from typing import Any

import click

from bo_client.client import Client
from bo_client.commands.arguments import pass_client

EXTRA = 'the dashboard needs more than the client: pip install "bo-service[dashboard]"'
PEM = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command()
@click.option("--listen", default="127.0.0.1:8080", show_default=True, help="HOST:PORT; port 0 takes any free one.")
@click.option("--tls-cert", "certificate", type=PEM, help="The certificate that it shows browsers, in PEM.")
@click.option("--tls-key", "key", type=PEM, help="Its key, in PEM.")
@click.option("--insecure", is_flag=True, help="Listen to other machines although nothing is encrypted or anybody may.")
@click.option("--require-tokens", is_flag=True, help="Serve nobody while the server asks for no tokens.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="A further name by which browsers call it.")
@click.option(
    "--allow-origin", "origins", multiple=True, metavar="ORIGIN", help="Let pages of https://… call it; repeatable."
)
@click.option("--until-stdin-ends", is_flag=True, hidden=True)
@pass_client
def dashboard(client: Client, /, until_stdin_ends: bool, **settings: Any) -> None:
    """Serve the dashboard, and JSON over HTTP, for the server at --server.

    It shows each user what their own token lets them see: people sign in with
    it, programs send it. The token of this command's own is not used.

    The first line on standard output says where it listens.
    """
    try:
        from bo_dashboard.serving import serve
        from bo_dashboard.settings import Settings
    except ImportError as error:
        raise click.ClickException(f"{EXTRA} ({error})") from error
    from bo_client.wire.transport import GrpcTransport  # gRPC is loaded by those who call a server

    transport = client.transport
    if not isinstance(transport, GrpcTransport):
        raise click.ClickException("the dashboard needs a server of its own process")
    logging.basicConfig(level=logging.WARNING)
    checked = Settings(transport.address, transport.security, **settings)
    serve(checked, lambda address: click.echo(f"dashboard at {address}"), until_stdin_ends)
