"""One worker of a fleet: the command `bo-worker run` inside an actor.

An actor's methods run in threads, to which no signals come: it is asked to end by a call, which is answered while the
worker runs. A machine that ends the process gives no time for that, and the trial's lease runs out.
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
from bo_objectives.fleet.parcel import unpacked
from bo_objectives.worker.slot import Ending


@dataclass(frozen=True)
class Place:
    """Where a worker runs."""

    host: str
    process: int
    gpus: tuple[str, ...]

    def __str__(self) -> str:
        gpus = f", GPU {' and '.join(self.gpus)}" if self.gpus else ""
        return f"{self.host}, process {self.process}{gpus}"


@dataclass(frozen=True)
class Ended:
    """How a worker ended: the exit code of `bo-worker run`, and what is wrong, where something is."""

    code: int
    error: str = ""


class Member:
    """The actor. `options` are those of `bo-worker run`, packed."""

    def __init__(self, number: int, options: Mapping[str, Any]) -> None:
        self._number = number
        self._options = options
        self._ending = Ending(options["max_failures"])

    def __repr__(self) -> str:
        """What Ray puts before each line of its log."""
        return f"worker {self._number}"

    def run(self) -> Ended:
        """Runs trials until there are none left, or the worker is asked to end."""
        from bo_objectives.cli import run_command  # the command knows this module

        try:
            with unpacked(self._options) as options, click.Context(run_command, obj=self._ending) as ctx:
                ctx.invoke(run_command, **options)
        except click.exceptions.Exit as done:
            return Ended(done.exit_code)
        except click.ClickException as error:
            return Ended(error.exit_code, error.format_message())
        except (SetupError, BoClientError, OSError) as error:
            return Ended(1, " ".join(str(error).split()))
        return Ended(0)

    def place(self) -> Place:
        gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
        return Place(socket.gethostname(), os.getpid(), tuple(gpus))

    def end(self) -> None:
        """Asks the worker to give its trial back and end, as SIGTERM does elsewhere."""
        self._ending.ask()
