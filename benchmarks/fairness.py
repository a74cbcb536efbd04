"""What a healthy worker's heartbeats feel while somebody attacks the server, beside none; of several servers in turn.

Usage: python -m benchmarks.fairness --seconds 8 --server-command "old=/path/of/its/bin/python -m bo_service.cli.main"

A worker with a token and a study of its own sends a heartbeat again and again, over one connection, while an attack of
`attacks.py` goes on with other tokens about another study, from a process of its own. Each attack is measured on each
server before the next begins, so that the machine's other load falls on all of them alike.
"""

import multiprocessing
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import bo_client
import click

from benchmarks.attacks import ATTACKS, STUDY, Tokens
from benchmarks.serving import SPACE, fill

OURS = f"{sys.executable} -m bo_service.cli.main"
OBSERVATIONS = 200
"""Of the study that is attacked."""
LEASE_S = 600.0
REST_S = 0.02
"""Between two heartbeats."""
LATE_S = 20.0
"""A heartbeat that takes longer has failed."""


@dataclass(frozen=True)
class Server:
    """A server under way, its tokens, and what it is called in the table."""

    label: str
    address: str
    tokens: Tokens


@contextmanager
def serving(label: str, command: list[str]) -> Iterator[Server]:
    """Run a server with a token of each role and another worker's, and with both studies."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        storage = ["--storage", f"sqlite:///{folder}/bo.db"]

        def token(role: str) -> str:
            making = [*command, "token", "create", *storage, "--role", role]
            return subprocess.run(making, capture_output=True, text=True, check=True, cwd=folder).stdout.strip()

        tokens = {"reader": token("reader"), "worker": token("worker"), "healthy": token("worker")}
        run = [*command, "serve", *storage, "--listen", "127.0.0.1:0", "--log-level", "error"]
        process = subprocess.Popen(run, stdout=subprocess.PIPE, text=True, cwd=folder)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        assert process.stdout is not None
        address = process.stdout.readline().split()[2]
        with bo_client.connect(address, token=tokens["worker"]) as client:
            fill(client.create_study(Path(STUDY).name, SPACE, "loss", goal="minimize"), OBSERVATIONS)
            client.create_study("healthy", SPACE, "loss", goal="minimize", lease_duration=LEASE_S)
        yield Server(label, address, tokens)


def attack(name: str, address: str, tokens: Tokens, begun: Event, over: Event) -> None:
    """Attack until told to end."""
    act: Any = ATTACKS[name](address, tokens)
    with act:
        begun.set()
        over.wait()


@contextmanager
def attacked(name: str, server: Server) -> Iterator[None]:
    """Attack from another process."""
    context = multiprocessing.get_context("spawn")
    begun, over = context.Event(), context.Event()
    process = context.Process(target=attack, args=(name, server.address, server.tokens, begun, over))
    process.start()
    while not begun.wait(0.1):
        if not process.is_alive():
            raise click.ClickException(f"the attack {name!r} could not begin")
    try:
        yield
    finally:
        over.set()
        process.join(2)
        process.kill()


def heartbeats(server: Server, seconds: float) -> tuple[list[float], int]:
    """Return how long each took, and how many failed."""
    taken, failed = [], 0
    with bo_client.connect(server.address, LATE_S, 0.0, token=server.tokens["healthy"]) as client:
        (trial,) = client.study("healthy").suggest(timeout=LATE_S)
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            try:
                trial.heartbeat()
            except bo_client.BoClientError:
                failed += 1
            taken.append(time.monotonic() - began)
            time.sleep(REST_S)
        trial.complete({"loss": 1.0})
    return taken, failed


def row(name: str, server: Server, seconds: float, settle: float) -> str:
    """Measure a row of the table."""
    with attacked(name, server):
        time.sleep(settle)
        try:
            taken, failed = heartbeats(server, seconds)
        except bo_client.BoClientError as error:
            return f"| {name} | {server.label} | | | | no trial: {type(error).__name__} |"
    late = quantiles(taken, n=100)[98] if len(taken) > 1 else taken[0]
    return f"| {name} | {server.label} | {len(taken)} | {1e3 * median(taken):.1f} | {1e3 * late:.1f} | {failed} |"


@click.command()
@click.option("--seconds", default=8.0, show_default=True, help="Of heartbeats, for each attack and server.")
@click.option("--settle", default=1.0, show_default=True, help="Seconds of an attack before the first heartbeat.")
@click.option("--attacks", default="all", show_default=True, help=f"Parts of names with commas: {', '.join(ATTACKS)}.")
@click.option("--server-command", "others", multiple=True, help="LABEL=COMMAND of another server, measured in turn.")
@click.option("--without-ours", is_flag=True, help="Measure the other servers alone.")
def main(seconds: float, settle: float, attacks: str, others: tuple[str, ...], without_ours: bool) -> None:
    """Measure heartbeats beside attacks."""
    commands = dict(other.split("=", 1) for other in others) | ({} if without_ours else {"ours": OURS})
    wanted = [name for name in ATTACKS if attacks == "all" or any(part in name for part in attacks.split(","))]
    click.echo("| attack | server | heartbeats | median, ms | 99 %, ms | failed |")
    click.echo("|---|---|---|---|---|---|")
    for name in wanted:
        for label, command in commands.items():
            with serving(label, shlex.split(command)) as server:
                click.echo(row(name, server, seconds, settle))


if __name__ == "__main__":
    main()
