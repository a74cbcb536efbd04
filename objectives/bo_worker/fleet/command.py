"""The command `bo-worker ray`."""

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from bo_objectives.errors import SetupError

LOG_FLUSH_S = 1.0
"""Seconds to wait for the last lines of the workers' logs."""
SINGLE_WORKER_OPTIONS = {"parallel", "gpus", "in_process", "worker_id"}
"""Options of `bo-worker run` that a fleet replaces by its own."""

HELP = """Run the trials of a study on a Ray cluster.

The command ends when no trials are left. Each worker is an actor with its own GPUs and CPUs, and does what
`bo-worker run` does with the same options, one trial after another. Files named by options are read here and sent to
the workers. A worker whose process or machine is lost restarts when resources are free; its trial goes to the next
worker that asks. SIGTERM and Ctrl-C return running trials to the server; a second signal ends the fleet without
waiting.
"""

OWN_OPTIONS = [
    click.Option(
        ["--num-workers"],
        type=click.IntRange(1, 10_000),
        required=True,
        help="Number of workers; workers without resources wait.",
    ),
    click.Option(
        ["--gpus-per-worker"],
        type=click.FloatRange(min=0),
        default=1.0,
        help="GPUs of each worker; with less than 1, several workers share one.",
    ),
    click.Option(["--cpus-per-worker"], type=click.FloatRange(min=0), default=1.0, help="CPUs of each worker."),
    click.Option(
        ["--address"],
        metavar="auto|local|HOST:PORT",
        help="Cluster: auto for a running one, local for a new one on this machine, or an address; also RAY_ADDRESS."
        "  [default: a running cluster, else a new one]",
    ),
    click.Option(
        ["--max-restarts"],
        type=click.IntRange(min=-1),
        default=100,
        help="Maximum restarts of each lost worker; -1 for no limit.",
    ),
    click.Option(["--worker-id"], help="Prefix of the workers' ids.  [default: host:process]"),
]


def fleet_command(run_command: click.Command) -> click.Command:
    """Return the command, which also has the options of `bo-worker run`."""
    shared = [parameter for parameter in run_command.params if parameter.name not in SINGLE_WORKER_OPTIONS]
    return click.Command("ray", callback=_run, params=[*OWN_OPTIONS, *shared], help=HELP)


def _run(
    num_workers: int,
    gpus_per_worker: float,
    cpus_per_worker: float,
    address: str | None,
    max_restarts: int,
    worker_id: str | None,
    **options: Any,
) -> None:
    """Run the fleet.

    Raises:
        SetupError: the fleet failed.
    """
    if gpus_per_worker > 1 and gpus_per_worker % 1:
        raise click.UsageError("--gpus-per-worker: above 1, Ray gives whole GPUs only")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with _cluster(address):
        from bo_worker.fleet.fleet import FleetSettings, run
        from bo_worker.fleet.option_files import serialize_options

        name = worker_id or f"{socket.gethostname()}:{os.getpid()}"
        settings = FleetSettings(num_workers, gpus_per_worker, cpus_per_worker, max_restarts, name)
        code, error = run(serialize_options({**options, "directory": _directory(options)}), settings)
    if error:
        raise SetupError(error)
    click.get_current_context().exit(code)


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Connect to Ray inside the block.

    Raises:
        SetupError: Ray is not installed, or there is no cluster.
    """
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # lines of trials that end alike are no repetition
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")  # its colors would be escaped
    try:
        import ray
    except ImportError as error:
        raise SetupError("this command needs the extra ray: pip install 'bo-service[ray]'") from error
    try:
        ray.init(address=address, log_to_driver=True, logging_level=logging.WARNING)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SetupError(
            f"--address: cannot connect to a Ray cluster at {address or 'any address'}: {error}"
        ) from error
    try:
        yield
        time.sleep(LOG_FLUSH_S)
    finally:
        ray.shutdown()


def _directory(options: dict[str, Any]) -> Path:
    """Return the folder, the same on every machine: checkpoints in a shared folder survive the loss of a machine."""
    folder: Path | None = options["directory"]
    return (folder or Path("bo-worker") / options["study"]).absolute()
