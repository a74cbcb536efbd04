"""`bo-service serve`."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bo_service.commands.extra import loading
from bo_service.commands.storage import storage_option

if TYPE_CHECKING:
    from bo_service.config import TlsFiles

PEM = click.Path(dir_okay=False, path_type=Path)
AWAKE_S = 1.0
ENDED_AT_ONCE = 130
"""Exit status after a second signal."""


@click.command()
@storage_option
@click.option("--listen", default="127.0.0.1:50051", help="HOST:PORT; port 0 takes any free one.")
@click.option("--port-file", type=click.Path(path_type=Path), help="Writes the port into this file once it listens.")
@click.option("--tls-cert", type=PEM, help="The server's certificate, in PEM, with those between it and its authority.")
@click.option("--tls-key", type=PEM, help="Its key, in PEM.")
@click.option("--tls-client-ca", type=PEM, help="Authority whose certificates clients must show, in PEM.")
@click.option(
    "--auth",
    type=click.Choice(["auto", "tokens", "none"]),
    default="auto",
    help="Who needs a token: everybody as soon as one has been made, everybody, or nobody.",
)
@click.option("--insecure", is_flag=True, help="Listen to other machines although nothing is encrypted or anybody may.")
@click.option("--processes", type=int, help="Processes that compute suggestions.  [default: processors, 2 to 4]")
@click.option(
    "--cpu-affinity",
    metavar="CPU[,CPU]",
    help="Keep the threads that answer calls on this processor, where nothing else needs it.",
)
@click.option("--metrics", metavar="HOST:PORT", help="Answers Prometheus there, such as 127.0.0.1:9464.")
@click.option("--metrics-insecure", is_flag=True, help="Let other machines read the metrics, which nothing protects.")
@click.option("--dashboard", metavar="HOST:PORT", help="Serves the dashboard there, such as 127.0.0.1:8080.")
@click.option(
    "--dashboard-host",
    "dashboard_hosts",
    multiple=True,
    metavar="NAME",
    help="A further name by which browsers call it.",
)
@click.option(
    "--dashboard-origin",
    "dashboard_origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let pages of https://… call the methods over HTTP; repeatable.",
)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="JSON is an object a line.")
@click.option(
    "--drain-seconds",
    type=click.FloatRange(min=0),
    default=0.0,
    help="When told to end: how long to go on while health says NOT_SERVING, until load balancers have noticed.",
)
@click.option(
    "--grace-seconds", type=click.FloatRange(min=0), default=10.0, help="Then how long calls in progress may take."
)
def serve(
    port_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    processes: int | None,
    log_level: str,
    log_format: str,
    **settings: Any,
) -> None:
    """Start the server. It goes on where it was when it is started again over the same storage.

    The first line on standard output says where it listens. SIGTERM and Ctrl-C end it gracefully, a second one at once.
    """
    with loading():
        from bo_service.adapters import logs
        from bo_service.bootstrap import running_server
        from bo_service.config import Config, default_processes
        from bo_service.core.errors import StartupError
    logs.configure(log_level, log_format)
    asked_to_stop = _on_signals()
    try:
        settings["tls"] = _tls(tls_cert, tls_key, tls_client_ca)
        config = Config(processes=default_processes() if processes is None else processes, **settings)
        with running_server(config) as port:
            click.echo(f"listening on {config.host}:{port}")
            if port_file is not None:
                _publish(port_file, port)
            while not asked_to_stop.wait(AWAKE_S):  # a signal just before it waits is heard when it wakes
                pass
    except StartupError as error:
        sys.exit(f"bo-service: {error.message}")
    except OSError as error:
        sys.exit(f"bo-service: --port-file: {error}")


def _on_signals() -> threading.Event:
    """Set by the first; a second ends the process as it stands, and those that compute with it."""
    asked = threading.Event()

    def end(*_: object) -> None:
        if asked.is_set():
            os._exit(ENDED_AT_ONCE)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return asked


def _tls(certificate: Path | None, key: Path | None, client_authority: Path | None) -> "TlsFiles | None":
    """Raises StartupError where one is given without the others."""
    from bo_service.config import TlsFiles
    from bo_service.core.errors import StartupError

    if certificate is None and key is None:
        if client_authority is not None:
            raise StartupError("--tls-client-ca: needs --tls-cert and --tls-key as well")
        return None
    if certificate is None or key is None:
        missing = "--tls-cert" if certificate is None else "--tls-key"
        raise StartupError(f"{missing}: is missing; a certificate and its key are given together")
    return TlsFiles(certificate, key, client_authority)


def _publish(path: Path, port: int) -> None:
    """Whole or not at all, for those who wait for it."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(f"{port}\n")
    partial.replace(path)
