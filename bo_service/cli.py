"""The command `bo-service`."""

from typing import Any

import click

from bo_service.commands import storage
from bo_service.commands.health import health
from bo_service.commands.serve import serve
from bo_service.commands.token import token

INTERRUPTED = 130


class Group(click.Group):
    """Ends with 130 after Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.group(
    cls=Group,
    context_settings={
        "auto_envvar_prefix": "BO_SERVICE",
        "help_option_names": ["-h", "--help"],
        "show_default": True,
    },
)
@click.version_option(package_name="bo-service", prog_name="bo-service")
def main() -> None:
    """Bayesian optimization as a gRPC service.

    The environment can give every option: BO_SERVICE_SERVE_LISTEN is --listen of serve.

    Exit codes: 0 done, also after a graceful end; 1 refused or failed; 2 wrong usage; 130 cut off by
    Ctrl-C.

    \b
    Examples:
      bo-service serve --storage sqlite:///bo.db
      bo-service health
      bo-service backup bo-backup.db
    """


for _command in (serve, token, health, *storage.COMMANDS):
    main.add_command(_command)


if __name__ == "__main__":
    main()
