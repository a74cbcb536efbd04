"""The command `bo-service`."""

import logging
import signal
import sys
import threading
from pathlib import Path

import click

from bo_service.commands import storage as storage_commands
from bo_service.commands.storage import EXTRA, storage_option


@click.group(context_settings={"auto_envvar_prefix": "BO_SERVICE", "show_default": True})
@click.version_option(package_name="bo-service")
def main() -> None:
    """Bayesian optimization as a gRPC service."""


@main.command()
@storage_option
@click.option("--listen", default="127.0.0.1:50051", help="HOST:PORT; port 0 takes any free one.")
@click.option("--port-file", type=click.Path(path_type=Path), help="Writes the port into this file once it listens.")
@click.option("--insecure", is_flag=True, help="Listen to other machines too, although nothing is encrypted.")
@click.option("--processes", type=int, help="Processes that compute suggestions.  [default: processors - 1, 1 to 4]")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
def serve(
    storage: str, listen: str, port_file: Path | None, insecure: bool, processes: int | None, log_level: str
) -> None:
    """Start the server. It goes on where it was when it is started again over the same storage.

    The first line on standard output says where it listens. SIGTERM and Ctrl-C end it gracefully.
    """
    try:
        from bo_service.bootstrap import running_server
        from bo_service.config import Config, default_processes
        from bo_service.core.errors import StartupError
    except ImportError as error:
        sys.exit(f"bo-service: {EXTRA} ({error})")
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    asked_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_stop.set())
    try:
        config = Config(storage, listen, insecure, default_processes() if processes is None else processes)
        with running_server(config) as port:
            click.echo(f"listening on {config.host}:{port}")
            if port_file is not None:
                _publish(port_file, port)
            asked_to_stop.wait()
    except StartupError as error:
        sys.exit(f"bo-service: {error.message}")
    except OSError as error:
        sys.exit(f"bo-service: --port-file: {error}")


for command in storage_commands.COMMANDS:
    main.add_command(command)


def _publish(path: Path, port: int) -> None:
    """Whole or not at all, for those who wait for it."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(f"{port}\n")
    partial.replace(path)


if __name__ == "__main__":
    main()
