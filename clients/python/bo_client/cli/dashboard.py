"""The command `bo dashboard`."""

from pathlib import Path
from typing import Any

import click

from bo_client.cli.arguments import pass_client
from bo_client.client import Client

EXTRA = 'the dashboard needs the extra dashboard: pip install "bo-service[dashboard]"'
PEM = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command()
@click.option(
    "--listen",
    default="127.0.0.1:8080",
    show_default=True,
    help="Address to listen on, HOST:PORT; port 0 selects a free port.",
)
@click.option("--tls-cert", "certificate", type=PEM, help="Certificate of the dashboard, in PEM.")
@click.option("--tls-key", "key", type=PEM, help="Key of the certificate, in PEM.")
@click.option("--insecure", is_flag=True, help="Allow a non-loopback address without TLS.")
@click.option("--require-tokens", is_flag=True, help="Reject requests while the server requires no tokens.")
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Additional host name under which browsers reach the dashboard; repeatable.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Web origin (https://…) that may call the methods; repeatable.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Log format; json writes one object per line.",
)
@click.option("--until-stdin-ends", is_flag=True, hidden=True)
@pass_client
def dashboard(client: Client, /, until_stdin_ends: bool, log_format: str, **settings: Any) -> None:
    """Serve the dashboard, and JSON over HTTP.

    It shows the studies of the server that `bo --server` names. Users sign in with their own token, and programs send
    theirs; each sees what that token gives access to. This command's own token is not used.

    The first line on standard output is the address.
    """
    try:
        from bo_dashboard import logs
        from bo_dashboard.serving import serve
        from bo_dashboard.settings import DashboardSettings
    except ImportError as error:
        raise click.ClickException(f"{EXTRA} ({error})") from error
    from bo_client.wire.transport import GrpcTransport  # gRPC is loaded by those who call a server

    transport = client.transport
    if not isinstance(transport, GrpcTransport):
        raise click.ClickException("the dashboard needs a server in another process")
    logs.configure(log_format)
    dashboard_settings = DashboardSettings(transport.address, transport.security, **settings)
    serve(dashboard_settings, lambda address: click.echo(f"dashboard at {address}"), until_stdin_ends)
