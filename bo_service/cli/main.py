"""Define the command `bo-service`."""

from typing import Any

import click

from bo_service.cli import storage
from bo_service.cli.health import health
from bo_service.cli.serve import serve
from bo_service.cli.terminal import guard
from bo_service.cli.token import token

INTERRUPTED = 130


class ServiceCommandGroup(click.Group):
    """The command group of `bo-service`. It exits with 130 after Ctrl-C and escapes control characters in output."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments and install the output guard."""
        if not kwargs.get("resilient_parsing"):  # as a shell that completes has it, which is told bytes
            guard()
        return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and exit with 130 after Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.group(
    cls=ServiceCommandGroup,
    context_settings={
        "auto_envvar_prefix": "BO_SERVICE",
        "help_option_names": ["-h", "--help"],
        "show_default": True,
        "color": True,
    },
)
@click.version_option(package_name="bo-service", prog_name="bo-service")
def main() -> None:
    """Bayesian optimization as a gRPC service.

    Every option can be set by an environment variable: BO_SERVICE_SERVE_LISTEN sets --listen of serve.

    Exit codes: 0 done, also after a graceful shutdown; 1 refused or failed; 2 wrong usage; 130 interrupted by
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
