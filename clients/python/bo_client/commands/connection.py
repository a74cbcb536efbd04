"""How commands reach a server: the options that `bo` and `bo-worker` share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bo_client.client import Client
from bo_client.security import DEFAULT_SERVER, address_from, security_from

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OPTIONS = [
    click.option(
        "--server",
        metavar="HOST:PORT",
        envvar="BO_SERVER",
        default=DEFAULT_SERVER,
        show_default=True,
        show_envvar=True,
        help="Where the server listens.",
    ),
    click.option(
        "--token-file",
        type=FILE,
        envvar="BO_TOKEN_FILE",
        show_envvar=True,
        help="Holds the token to show; or put the token itself into BO_TOKEN.",
    ),
    click.option("--tls/--no-tls", default=None, envvar="BO_TLS", show_envvar=True, help="Call over TLS."),
    click.option(
        "--ca",
        type=FILE,
        envvar="BO_CA",
        show_envvar=True,
        help="Authority of the server's certificate, in PEM; calls over TLS.",
    ),
    click.option("--cert", "certificate", type=FILE, envvar="BO_CERT", show_envvar=True, help="Certificate to show."),
    click.option("--key", type=FILE, envvar="BO_KEY", show_envvar=True, help="Its key."),
    click.option(
        "--server-name",
        envvar="BO_SERVER_NAME",
        show_envvar=True,
        help="Name that the server's certificate has, where it isn't the address's host.",
    ),
    click.option(
        "--plaintext-token",
        is_flag=True,
        default=None,
        envvar="BO_PLAINTEXT_TOKEN",
        show_envvar=True,
        help="Send the token to another machine although others may read it.",
    ),
]
NAMES = ("token_file", "tls", "ca", "certificate", "key", "server_name", "plaintext_token")


class ConnectionHelp(click.Command):
    """Help that shows how a server is reached apart from what the command does."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes both groups, and the commands of a group after them."""
        shared = {parameter.name for parameter in self.get_params(ctx)} & {"server", *NAMES}
        for title, is_shared in (("Options", False), ("Connection", True)):
            mine = [p for p in self.get_params(ctx) if (p.name in shared) is is_shared]
            records = [record for p in mine if (record := p.get_help_record(ctx))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)


def connection_options(command: F) -> F:
    """Adds the options; the command passes them to `connected`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def connected(
    server: str, timeout: float, patience: float, options: dict[str, Any], waits_for_server: bool = True
) -> Client:
    """A client as the options say. Raises InvalidRequest."""
    from bo_client.wire.transport import GrpcTransport  # gRPC is loaded by those who call a server

    security = security_from(**{name: options[name] for name in NAMES})
    return Client(GrpcTransport(address_from(server), security), timeout, patience, waits_for_server)
