"""The command `bo`."""

import importlib.metadata
from typing import Any

import click

from bo_client.cli.connection import ConnectionHelp, connected, connection_options
from bo_client.cli.family import Entry, FamilyGroup
from bo_client.cli.wording import in_one_line
from bo_client.client import Client
from bo_client.errors import BoClientError
from bo_client.terminal import guard

DEFAULT_PATIENCE_S = 3.0
"""Default seconds to retry while the server does not respond."""


INTERRUPTED = 130
STUDIES, INSIGHT, SERVER, SHELL = "Studies and trials", "Insight", "Server and workers", "Shell"
ENTRIES = {
    "study": Entry(STUDIES, "bo_client.cli.study:study", "Create, list, show and change studies."),
    "trial": Entry(STUDIES, "bo_client.cli.trial:trial", "List trials, and run them from a shell."),
    "artifact": Entry(STUDIES, "bo_client.cli.artifact:artifact", "Add, list and get the files of a trial."),
    "watch": Entry(INSIGHT, "bo_client.cli.insight:watch", "Follow a study until it is completed."),
    "best": Entry(INSIGHT, "bo_client.cli.insight:best", "Show the best trials of a study."),
    "explain": Entry(
        INSIGHT, "bo_client.cli.explain:explain", "Show which parameters matter, and how certain the best trial is."
    ),
    "diagnose": Entry(INSIGHT, "bo_client.cli.explain:diagnose", "Diagnose a study and recommend changes."),
    "predict": Entry(INSIGHT, "bo_client.cli.insight:predict", "Predict the metrics of a configuration."),
    "slice": Entry(INSIGHT, "bo_client.cli.explain:slice_", "Show predictions along one or two parameters."),
    "plot": Entry(INSIGHT, "bo_client.cli.plot:plot", "Draw a study into a PNG, SVG or PDF file."),
    "report": Entry(INSIGHT, "bo_client.cli.report:report", "Write a study into an HTML page that works offline."),
    "serve": Entry(
        SERVER,
        "bo-service serve",
        "Start the server.",
    ),
    "worker": Entry(SERVER, "bo-worker", "Run the trials of studies on this machine."),
    "dashboard": Entry(SERVER, "bo_client.cli.dashboard:dashboard", "Serve the dashboard, and JSON over HTTP."),
    "token": Entry(SERVER, "bo_client.cli.token:token", "Create, list and revoke tokens of a running server."),
    "completion": Entry(SHELL, "bo_client.cli.completion:completion", "Print the completion script of a shell."),
}
ALIASES = {
    "studies": "study list",
    "create": "study create",
    "show": "study show",
    "pause": "bo_client.cli.earlier:pause",
    "resume": "study resume",
    "finish": "study finish",
    "delete": "study delete",
    "export": "study export",
    "workers": "study workers",
    "suggest": "trial suggest",
    "complete": "trial complete",
    "fail": "trial fail",
    "stop": "trial stop",
    "enqueue": "trial enqueue",
    "note": "trial note",
}
"""Earlier names of commands."""
WITHOUT_CLIENT = ("serve", "worker", "completion")


class ClientCommandGroup(ConnectionHelp, FamilyGroup):
    """The command group of `bo`.

    It reports errors in one line with exit code 1, exits with 130 after Ctrl-C, and escapes control characters in
    output.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments and install the output guard."""
        if not kwargs.get("resilient_parsing"):  # as a shell that completes has it, which is told bytes
            guard()
        return super().make_context(*args, **kwargs)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; workers get the connection options that precede it."""
        name, command, rest = super().resolve_command(ctx, args)
        if name == "worker" and command is not None:
            from bo_client.cli.programs import with_connection

            rest = with_connection(ctx, command, rest)
        return name, command, rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and convert errors to messages."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            own = {option for parameter in self.params for option in (*parameter.opts, *parameter.secondary_opts)}
            if error.option_name not in own:
                raise
            where = f"is an option of bo itself: write bo {error.option_name} … before the command"
            raise click.UsageError(f"{error.option_name} {where}", error.ctx) from None
        except BoClientError as error:
            raise click.ClickException(in_one_line(str(error))) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


def version() -> str:
    """Return the version of the installed distribution; `unknown` if there is none."""
    try:
        return importlib.metadata.version("bo-service")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@click.group(
    "bo",
    cls=ClientCommandGroup,
    entries=ENTRIES,
    aliases=ALIASES,
    context_settings={"help_option_names": ["-h", "--help"], "color": True},
    epilog="Earlier names, such as `bo create` for `bo study create`, still work.",
)
@connection_options
@click.option("--timeout", default=30.0, show_default=True, help="Seconds that one call may take.")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    help=f"Seconds to keep trying while no server answers; by default {DEFAULT_PATIENCE_S:g}, or 0 if none listens.",
)
@click.version_option(version=version(), prog_name="bo")
@click.pass_context
def main(ctx: click.Context, /, server: str, timeout: float, patience: float | None, **options: Any) -> None:
    """Tune hyperparameters: create studies, run their trials, and look at the results.

    STUDY is a study's id and TRIAL a trial's number. Errors are one line on standard error.

    Exit codes: 0 done; 1 refused or failed, or nothing to show; 2 wrong usage; 130 after Ctrl-C.

    \b
    Examples:
      bo serve
      bo study create first --space study.yaml
      bo worker run --study first --objective my_module:train
      bo watch first
      bo best first
    """
    if not isinstance(ctx.obj, Client) and ctx.invoked_subcommand not in WITHOUT_CLIENT:
        waits = patience is not None
        ctx.obj = connected(server, timeout, DEFAULT_PATIENCE_S if patience is None else patience, options, waits)
        ctx.call_on_close(ctx.obj.close)


if __name__ == "__main__":
    main()
