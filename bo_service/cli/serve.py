"""Define `bo-service serve`."""

import gc
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bo_service.cli.errors import loading
from bo_service.cli.storage import storage_option
from bo_service.cli.terminal import guarded

if TYPE_CHECKING:
    from bo_service.config import TlsFiles

PEM = click.Path(dir_okay=False, path_type=Path)
SIGNAL_CHECK_S = 1.0
SECOND_SIGNAL_STATUS = 130
"""Exit status after a second signal."""


@click.command()
@storage_option
@click.option(
    "--listen", default="127.0.0.1:50051", help="Address to listen on, HOST:PORT; port 0 selects a free port."
)
@click.option("--port-file", type=click.Path(path_type=Path), help="File to write the port to once the server listens.")
@click.option("--tls-cert", type=PEM, help="Server certificate chain, in PEM.")
@click.option("--tls-key", type=PEM, help="Key of the server certificate, in PEM.")
@click.option(
    "--tls-client-ca", type=PEM, help="Certificate authority that client certificates must come from, in PEM."
)
@click.option(
    "--auth",
    type=click.Choice(["auto", "tokens", "none"]),
    default="auto",
    help="Authentication. auto: required once a token exists; tokens: always required; none: never required.",
)
@click.option("--insecure", is_flag=True, help="Allow non-loopback addresses without TLS or authentication.")
@click.option("--processes", type=int, help="Number of processes that compute suggestions.  [default: CPUs, 2 to 4]")
@click.option(
    "--process-memory",
    type=int,
    metavar="MIB",
    help="Memory limit of each process.  [default: its share of half of the machine's memory, at least 1024]",
)
@click.option(
    "--cpu-affinity",
    metavar="CPU[,CPU]",
    help="CPUs on which the threads that answer calls run. Choose CPUs that nothing else uses.",
)
@click.option("--metrics", metavar="HOST:PORT", help="Address of the Prometheus endpoint, such as 127.0.0.1:9464.")
@click.option(
    "--metrics-insecure",
    is_flag=True,
    help="Allow a non-loopback address for the metrics, which have no authentication.",
)
@click.option("--dashboard", metavar="HOST:PORT", help="Address of the dashboard, such as 127.0.0.1:8080.")
@click.option(
    "--dashboard-host",
    "dashboard_hosts",
    multiple=True,
    metavar="NAME",
    help="Additional host name under which browsers reach the dashboard; repeatable.",
)
@click.option(
    "--dashboard-origin",
    "dashboard_origins",
    multiple=True,
    metavar="ORIGIN",
    help="Web origin (https://…) that may call the methods over HTTP; repeatable.",
)
@click.option("--katib", metavar="HOST:PORT", help="Address of Kubeflow Katib's services, such as 127.0.0.1:6789.")
@click.option(
    "--katib-insecure",
    is_flag=True,
    help="Allow a non-loopback address for Katib, whose calls have neither encryption nor authentication.",
)
@click.option(
    "--katib-db-manager",
    default="katib-db-manager.kubeflow:6789",
    show_default=True,
    metavar="HOST:PORT",
    help="Address of Katib's database, from which early stopping reads learning curves.",
)
@click.option(
    "--katib-namespace",
    default="",
    metavar="NAME",
    help="Kubernetes namespace of Katib's experiments, as part of the names of their studies.",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", help="Lowest level to log."
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Log format; json writes one object per line.",
)
@click.option(
    "--drain-seconds",
    type=click.FloatRange(min=0),
    default=0.0,
    help="After SIGTERM: seconds to keep serving while health reports NOT_SERVING, so that load balancers notice.",
)
@click.option(
    "--grace-seconds",
    type=click.FloatRange(min=0),
    default=10.0,
    help="After the drain: seconds that calls in progress may take.",
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
    """Start the server. After a restart on the same storage it continues where it stopped.

    The first line on standard output is the address. SIGTERM and Ctrl-C end the server gracefully; a second signal ends
    it immediately.
    """
    with loading():
        from bo_service.config import Config, default_processes
        from bo_service.domain.errors import StartupError
        from bo_service.telemetry import logs
        from bo_service.telemetry.native_log_lines import native_lines
    click.get_current_context().with_resource(native_lines(guarded=guarded))
    logs.configure(log_level, log_format)
    stop_requested = _on_signals()
    try:
        settings["tls"] = _tls(tls_cert, tls_key, tls_client_ca)
        settings["processes"] = default_processes() if processes is None else processes
        config = Config(log_format=log_format, **settings)
        with loading():  # only now, as it takes a second
            from bo_service.bootstrap import running_server
        with running_server(config) as port:
            gc.freeze()  # a full collection holds up every call: it need not look at all that was imported
            click.echo(f"listening on {config.host}:{port}")
            if port_file is not None:
                _publish(port_file, port)
            while not stop_requested.wait(SIGNAL_CHECK_S):  # a signal just before it waits is heard when it wakes
                pass
    except StartupError as error:
        sys.exit(f"bo-service: {error.message}")
    except OSError as error:
        sys.exit(f"bo-service: --port-file: {error}")


def _on_signals() -> threading.Event:
    """Install signal handlers: the first signal sets the event, a second one exits immediately."""
    stop_requested = threading.Event()

    def end(*_: object) -> None:
        if stop_requested.is_set():
            os._exit(SECOND_SIGNAL_STATUS)
        stop_requested.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return stop_requested


def _tls(certificate: Path | None, key: Path | None, client_authority: Path | None) -> "TlsFiles | None":
    """Return the TLS files, or None without any.

    Raises:
        StartupError: one of the files is missing.
    """
    from bo_service.config import TlsFiles
    from bo_service.domain.errors import StartupError

    if certificate is None and key is None:
        if client_authority is not None:
            raise StartupError("--tls-client-ca: needs --tls-cert and --tls-key as well")
        return None
    if certificate is None or key is None:
        missing = "--tls-cert" if certificate is None else "--tls-key"
        raise StartupError(f"{missing}: is missing; give a certificate together with its key")
    return TlsFiles(certificate, key, client_authority)


def _publish(path: Path, port: int) -> None:
    """Write the port to a file atomically."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(f"{port}\n")
    partial.replace(path)
