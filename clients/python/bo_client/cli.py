"""The command `bo`."""

import importlib.metadata
from typing import Any

import click

from bo_client.client import Client
from bo_client.commands.completion import completion
from bo_client.commands.connection import ConnectionHelp, connected, connection_options
from bo_client.commands.dashboard import dashboard
from bo_client.commands.explaining import EXPLAINING
from bo_client.commands.picturing import plot
from bo_client.commands.reading import READING
from bo_client.commands.reporting import report
from bo_client.commands.token import token
from bo_client.commands.writing import WRITING
from bo_client.errors import BoClientError

PATIENCE = 3.0
"""Seconds for which a person at a prompt waits for a server that doesn't answer."""


INTERRUPTED = 130


class Group(ConnectionHelp, click.Group):
    """Says what went wrong in one line, and ends with 1; after Ctrl-C with 130."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except BoClientError as error:
            raise click.ClickException(" ".join(str(error).split())) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


def version() -> str:
    """Of the distribution; it is absent where the source runs uninstalled."""
    try:
        return importlib.metadata.version("bo-service")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@click.group("bo", cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@connection_options
@click.option("--timeout", default=30.0, show_default=True, help="Seconds that one call may take.")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    show_default=f"{PATIENCE:g}, and none where no server listens",
    help="Seconds to keep trying while no server answers.",
)
@click.version_option(version=version(), prog_name="bo")
@click.pass_context
def main(ctx: click.Context, /, server: str, timeout: float, patience: float | None, **options: Any) -> None:
    """Create studies, run their trials from a shell, and look at what came of them.

    STUDY is a study's id and TRIAL a trial's number. Errors are one line on standard error.

    Exit codes: 0 done; 1 refused or failed, or nothing to show; 2 wrong usage; 130 after Ctrl-C.

    \b
    Examples:
      bo create first --space study.yaml
      bo suggest first --json
      bo watch first
      bo best first
    """
    if not isinstance(ctx.obj, Client):
        waits = patience is not None
        ctx.obj = connected(server, timeout, PATIENCE if patience is None else patience, options, waits)
        ctx.call_on_close(ctx.obj.close)


for _command in (*WRITING, *READING, *EXPLAINING, plot, report, dashboard, token, completion):
    main.add_command(_command)


if __name__ == "__main__":
    main()
