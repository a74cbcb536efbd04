"""The command `bo`."""

import importlib.metadata
from typing import Any

import click

from bo_client.cli.artifact import ADDING
from bo_client.cli.completion import completion
from bo_client.cli.connection import ConnectionHelp, connected, connection_options
from bo_client.cli.dashboard import dashboard
from bo_client.cli.explain import EXPLAINING
from bo_client.cli.plot import plot
from bo_client.cli.read_commands import READING
from bo_client.cli.report import report
from bo_client.cli.token import token
from bo_client.cli.write_commands import WRITING
from bo_client.client import Client
from bo_client.errors import BoClientError
from bo_client.terminal import guard

DEFAULT_PATIENCE_S = 3.0
"""Default seconds to retry while the server does not respond."""


INTERRUPTED = 130


class ClientCommandGroup(ConnectionHelp, click.Group):
    """The command group of `bo`.

    It reports errors in one line with exit code 1, exits with 130 after Ctrl-C, and escapes control characters in
    output.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments and install the output guard."""
        if not kwargs.get("resilient_parsing"):  # as a shell that completes has it, which is told bytes
            guard()
        return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and convert errors to messages."""
        try:
            return super().invoke(ctx)
        except BoClientError as error:
            raise click.ClickException(" ".join(str(error).split())) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


def version() -> str:
    """Return the version of the installed distribution; `unknown` if there is none."""
    try:
        return importlib.metadata.version("bo-service")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@click.group("bo", cls=ClientCommandGroup, context_settings={"help_option_names": ["-h", "--help"], "color": True})
@connection_options
@click.option("--timeout", default=30.0, show_default=True, help="Seconds that one call may take.")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    show_default=f"{DEFAULT_PATIENCE_S:g}, and none where no server listens",
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
        ctx.obj = connected(server, timeout, DEFAULT_PATIENCE_S if patience is None else patience, options, waits)
        ctx.call_on_close(ctx.obj.close)


for _command in (*WRITING, *READING, *EXPLAINING, *ADDING, plot, report, dashboard, token, completion):
    main.add_command(_command)


if __name__ == "__main__":
    main()
