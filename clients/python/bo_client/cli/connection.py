"""Options for the connection to a server, which `bo` and `bo-worker` share."""

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
        help="Server address.",
    ),
    click.option(
        "--token-file",
        type=FILE,
        envvar="BO_TOKEN_FILE",
        show_envvar=True,
        help="File with the token; BO_TOKEN can hold the token itself.",
    ),
    click.option("--tls/--no-tls", default=None, envvar="BO_TLS", show_envvar=True, help="Use TLS."),
    click.option(
        "--ca",
        type=FILE,
        envvar="BO_CA",
        show_envvar=True,
        help="Certificate authority of the server, in PEM; implies TLS.",
    ),
    click.option(
        "--cert", "certificate", type=FILE, envvar="BO_CERT", show_envvar=True, help="Client certificate, in PEM."
    ),
    click.option("--key", type=FILE, envvar="BO_KEY", show_envvar=True, help="Key of the client certificate, in PEM."),
    click.option(
        "--server-name",
        envvar="BO_SERVER_NAME",
        show_envvar=True,
        help="Name in the server's certificate, if it differs from the host name.",
    ),
    click.option(
        "--plaintext-token",
        is_flag=True,
        default=None,
        envvar="BO_PLAINTEXT_TOKEN",
        show_envvar=True,
        help="Allow sending the token to another machine without TLS.",
    ),
]
NAMES = ("token_file", "tls", "ca", "certificate", "key", "server_name", "plaintext_token")
CONNECTION_NAMES = frozenset(("server", *NAMES))


class ConnectionHelp(click.Command):
    """A command whose help lists the connection options separately."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write both groups of options, after the subcommands of a group."""
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)
        shared = {parameter.name for parameter in self.get_params(ctx)} & CONNECTION_NAMES
        for title, is_shared in (("Options", False), ("Connection", True)):
            parameters = [p for p in self.get_params(ctx) if (p.name in shared) is is_shared]
            records = [record for p in parameters if (record := p.get_help_record(ctx))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def connection_options(command: F) -> F:
    """Add the connection options; the command passes them to `connected`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def connected(
    server: str, timeout: float, patience: float, options: dict[str, Any], waits_for_server: bool = True
) -> Client:
    """Return a client for the options.

    Args:
        server: HOST:PORT.
        timeout: seconds of a call.
        patience: seconds for which calls are retried.
        options: the other connection options.
        waits_for_server: whether to retry even if no server has ever listened.

    Raises:
        InvalidRequest: an option is invalid.
    """
    from bo_client.wire.transport import GrpcTransport  # gRPC is loaded by those who call a server

    security = security_from(**{name: options[name] for name in NAMES})
    return Client(GrpcTransport(address_from(server), security), timeout, patience, waits_for_server)
