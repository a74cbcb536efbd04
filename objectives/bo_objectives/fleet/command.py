"""`bo-worker ray`."""

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

LOGS_S = 1.0
"""How long the last lines of the workers' logs are on their way."""
OF_ONE_WORKER = {"parallel", "gpus", "in_process", "worker_id"}
"""Options of `bo-worker run` that a fleet has its own means for."""

HELP = """Run the trials of a study on a Ray cluster, until there are none left.

Each of the workers is an actor with GPUs and CPUs of its own, and does what `bo-worker run` does with the same options,
one trial after another. Files that options name are read here and sent along. A worker that is lost with its process
or machine is started again where there is room; its trial goes to whichever worker asks next. SIGTERM and Ctrl-C give
running trials back to the server; a second one doesn't wait for that.
"""

OWN_OPTIONS = [
    click.Option(
        ["--num-workers"], type=click.IntRange(1, 10_000), required=True, help="How many; those without room wait."
    ),
    click.Option(
        ["--gpus-per-worker"],
        type=click.FloatRange(min=0),
        default=1.0,
        help="GPUs of each; below 1, several share one.",
    ),
    click.Option(["--cpus-per-worker"], type=click.FloatRange(min=0), default=1.0, help="CPUs of each."),
    click.Option(
        ["--address"],
        metavar="auto|local|HOST:PORT",
        help="The cluster: one that runs here, a new one of this machine alone, or another's; RAY_ADDRESS says it "
        "too.  [default: one that runs here, else a new one]",
    ),
    click.Option(
        ["--max-restarts"],
        type=click.IntRange(min=-1),
        default=100,
        help="How often each worker that is lost is started again; -1: always.",
    ),
    click.Option(["--worker-id"], help="The workers' ids begin with it, for people.  [default: host:process]"),
]


def fleet_command(run_command: click.Command) -> click.Command:
    """The command, which takes the options of `bo-worker run` as well."""
    shared = [parameter for parameter in run_command.params if parameter.name not in OF_ONE_WORKER]
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
    """Raises SetupError."""
    if gpus_per_worker > 1 and gpus_per_worker % 1:
        raise click.UsageError("--gpus-per-worker: above 1, Ray gives whole GPUs only")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with _cluster(address):
        from bo_objectives.fleet.fleet import FleetSettings, run
        from bo_objectives.fleet.parcel import packed

        name = worker_id or f"{socket.gethostname()}:{os.getpid()}"
        settings = FleetSettings(num_workers, gpus_per_worker, cpus_per_worker, max_restarts, name)
        code, error = run(packed({**options, "directory": _directory(options)}), settings)
    if error:
        raise SetupError(error)
    click.get_current_context().exit(code)


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Connected to Ray inside the block. Raises SetupError."""
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # lines of trials that end alike are no repetition
    try:
        import ray
    except ImportError as error:
        raise SetupError("this command needs more: pip install 'bo-service[ray]'") from error
    try:
        ray.init(address=address, log_to_driver=True, logging_level=logging.WARNING)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SetupError(f"--address: no Ray cluster is to be had at {address or 'any address'}: {error}") from error
    try:
        yield
        time.sleep(LOGS_S)
    finally:
        ray.shutdown()


def _directory(options: dict[str, Any]) -> Path:
    """The same on every machine: checkpoints in a folder that they share outlive a machine."""
    given: Path | None = options["directory"]
    return (given or Path("bo-worker") / options["study"]).absolute()
