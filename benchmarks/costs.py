"""What each kind of call costs a server: its own processor time, of several servers in turn.

Usage: python -m benchmarks.costs --server-command "old=/path/of/its/bin/python -m bo_service.cli.main"

Clients, each a connection and a thread in one of two processes, make the same calls to each server, one kind after the
other, in a new study each round. The processor time is that of the server's process with its threads, without the
processes that compute. Other work on the machine changes it little, and falls on all servers alike.
"""

import multiprocessing
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import bo_client
import click

from benchmarks.throughput import PROCESSES, SPACE, processor_seconds

OURS = f"{sys.executable} -m bo_service.cli.main"
KINDS = ("SuggestTrials", "heartbeat", "ReportMeasurements", "CompleteTrial")
LEASE_S = 36_000.0


@dataclass(frozen=True)
class Server:
    """A server under way."""

    address: str
    pid: int


@contextmanager
def serving(command: list[str]) -> Iterator[Server]:
    """Run a server over an empty SQLite database."""
    with tempfile.TemporaryDirectory() as folder:
        run = [*command, "serve", "--storage", f"sqlite:///{folder}/bo.db", "--listen", "127.0.0.1:0"]
        process = subprocess.Popen([*run, "--log-level", "warning"], stdout=subprocess.PIPE, text=True, cwd=folder)
        assert process.stdout is not None
        try:
            yield Server(process.stdout.readline().split()[2], process.pid)
        finally:
            process.terminate()
            process.wait()


class Worker:
    """One client of a server, with the trials that it was given."""

    def __init__(self, address: str, study_id: str) -> None:
        self._study = bo_client.connect(address).study(study_id)
        self._trials: list[Any] = []

    def call(self, kind: str, calls: int) -> None:
        """Make calls of a kind: of the first trial, or of as many trials as there are calls."""
        for i in range(calls):
            if kind == "SuggestTrials":
                self._trials += self._study.suggest()
            elif kind == "heartbeat":
                self._trials[0].heartbeat()
            elif kind == "ReportMeasurements":
                self._trials[0].report({"loss": 1.0}, step=i + 1)
            else:
                self._trials.pop().complete({"loss": float(i)})


def work(jobs: Connection, clients: int) -> None:
    """Make the calls of some clients, each on a thread, until there are no more jobs."""
    workers: dict[tuple[str, str], list[Worker]] = {}
    while (job := jobs.recv()) is not None:
        address, study_id, kind, calls = job
        if (address, study_id) not in workers:
            workers[address, study_id] = [Worker(address, study_id) for _ in range(clients)]
        threads = [threading.Thread(target=each.call, args=(kind, calls)) for each in workers[address, study_id]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        jobs.send("done")


def measure(server: Server, study_id: str, kind: str, calls: int, clients: int, processes: list[Connection]) -> float:
    """Return the server's milliseconds of processor for each call."""
    before = processor_seconds(server.pid)
    for process in processes:
        process.send((server.address, study_id, kind, calls))
    for process in processes:
        process.recv()
    return 1e3 * (processor_seconds(server.pid) - before) / (calls * clients)


@click.command()
@click.option("--clients", default=16, show_default=True, help="An even number.")
@click.option("--calls", default=40, show_default=True, help="Of each client, kind and round.")
@click.option("--rounds", default=5, show_default=True, help="After one that warms up.")
@click.option("--server-command", "others", multiple=True, help="LABEL=COMMAND of a server to compare with.")
def main(clients: int, calls: int, rounds: int, others: tuple[str, ...]) -> None:
    """Measure the processor time of each kind of call."""
    commands = dict(other.split("=", 1) for other in others) | {"ours": OURS}
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        servers = {label: stack.enter_context(serving(shlex.split(command))) for label, command in commands.items()}
        processes = []
        for _ in range(PROCESSES):
            ours, theirs = context.Pipe()
            context.Process(target=work, args=(theirs, clients // PROCESSES), daemon=True).start()
            processes.append(ours)
        seconds: dict[tuple[str, str], list[float]] = {(kind, label): [] for kind in KINDS for label in servers}
        for i in range(rounds + 1):
            for server in servers.values():
                with bo_client.connect(server.address) as client:
                    client.create_study(
                        f"round-{i}", SPACE, "loss", goal="minimize", algorithm="quasi_random", lease_duration=LEASE_S
                    )
            for kind in KINDS:
                for label in list(servers) if i % 2 else reversed(servers):
                    seconds[kind, label].append(measure(servers[label], f"round-{i}", kind, calls, clients, processes))
        for process in processes:
            process.send(None)
    click.echo(f"| call | {' | '.join(f'{label}, ms' for label in commands)} |")
    click.echo(f"|---|{'---|' * len(commands)}")
    for kind in KINDS:
        click.echo(f"| {kind} | {' | '.join(f'{median(seconds[kind, label][1:]):.2f}' for label in commands)} |")


if __name__ == "__main__":
    main()
