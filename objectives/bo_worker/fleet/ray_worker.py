"""A worker of a fleet: the command `bo-worker run` inside an actor.

An actor's methods run in threads, which receive no signals: a call asks it to end while the worker runs. If a machine
kills the process, the trial's lease expires.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
import ray
from bo_client import BoClientError
from bo_objectives.errors import SetupError

from bo_worker.fleet.option_files import unpacked
from bo_worker.slot import ShutdownSignal


@dataclass(frozen=True)
class WorkerLocation:
    """The host, process and GPUs of a worker."""

    host: str
    process: int
    gpus: tuple[str, ...]

    def __str__(self) -> str:
        gpus = f", GPU {' and '.join(self.gpus)}" if self.gpus else ""
        return f"{self.host}, process {self.process}{gpus}"


@dataclass(frozen=True)
class WorkerExit:
    """The exit code of `bo-worker run`, and the error, if there is one."""

    code: int
    error: str = ""


class RayWorker:
    """The actor. `options` are serialized options of `bo-worker run`."""

    def __init__(self, number: int, options: Mapping[str, Any]) -> None:
        self._number = number
        self._options = options
        self._shutdown = ShutdownSignal(options["max_failures"])

    def __repr__(self) -> str:
        """Return the prefix of Ray's log lines."""
        return f"worker {self._number}"

    def run(self) -> WorkerExit:
        """Run trials until none are left, or the worker is asked to end."""
        from bo_worker.cli import run_command  # the command knows this module

        try:
            with unpacked(self._options) as options, click.Context(run_command, obj=self._shutdown) as ctx:
                ctx.invoke(run_command, **options)
        except click.exceptions.Exit as done:
            return WorkerExit(done.exit_code)
        except click.ClickException as error:
            return WorkerExit(error.exit_code, error.format_message())
        except (SetupError, BoClientError, OSError) as error:
            return WorkerExit(1, " ".join(str(error).split()))
        return WorkerExit(0)

    def place(self) -> WorkerLocation:
        gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
        return WorkerLocation(socket.gethostname(), os.getpid(), tuple(gpus))

    def end(self) -> None:
        """Ask the worker to return its trial and end, as SIGTERM does elsewhere."""
        self._shutdown.ask()
