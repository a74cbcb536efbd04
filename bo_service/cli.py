"""The command `bo-service`."""

import click

from bo_service.commands import storage
from bo_service.commands.health import health
from bo_service.commands.serve import serve
from bo_service.commands.token import token


@click.group(context_settings={"auto_envvar_prefix": "BO_SERVICE", "show_default": True})
@click.version_option(package_name="bo-service")
def main() -> None:
    """Bayesian optimization as a gRPC service."""


for _command in (serve, token, health, *storage.COMMANDS):
    main.add_command(_command)


if __name__ == "__main__":
    main()
