"""How long a server takes to answer SuggestTrials with so many observations, prepared and not.

Usage: python -m benchmarks.serving --observations 10,100,1000,10000 --peers optuna-gp,keras-tuner,ax,vizier

One worker asks, completes its trial and asks again: at once, so that the surrogate has yet to be computed, or when the
server has prepared for it. How the answers were come by is read from the server's metrics, and printed beside.

Peers have nothing that prepares: of each, the time of its own suggestion in a process of its own is shown, on one
thread, without any server's part in it.
"""

import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import bo_client
import click

from benchmarks.latency import seconds_of_peer
from benchmarks.peers.catalog import environments
from benchmarks.peers.process import PeerError

SPACE = bo_client.SearchSpace(
    [
        *(bo_client.FloatParameter(f"x{i}", 0.0, 1.0) for i in range(6)),
        bo_client.IntParameter("k", 1, 100),
        bo_client.CategoricalParameter("c", ["a", "b", "c"]),
    ]
)
POLL_S = 0.02
WRITERS = 8


class Server:
    """A server under way, and its metrics."""

    def __init__(self, address: str, pid: int, metrics: str) -> None:
        self.address = address
        self.pid = pid
        self._metrics = metrics

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        with urllib.request.urlopen(self._metrics) as page:  # noqa: S310 - of a server on this machine
            text = page.read().decode()
        return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    def count_of(self, outcome: str) -> float:
        """Return how many calls came by suggestions in this way."""
        return self.metric(f'bo_prepared_suggestions_total{{outcome="{outcome}"}}')

    def wait(self) -> None:
        """Until nothing is computed any more."""
        quiet = 0
        while quiet < 2:
            time.sleep(POLL_S)
            busy = self.metric("bo_computing_running") + self.metric("bo_computing_waiting")
            quiet = 0 if busy else quiet + 1

    @property
    def megabytes(self) -> float:
        """Resident memory of the server's own process."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * 4096 / 2**20


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server over a fresh SQLite file, with metrics."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        metrics = f"127.0.0.1:{free.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as folder:
        options = ["--storage", f"sqlite:///{folder}/bo.db", "--listen", "127.0.0.1:0", "--metrics", metrics]
        command = [sys.executable, "-m", "bo_service.cli.main", "serve", *options, "--log-level", "warning"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield Server(process.stdout.readline().split()[2], process.pid, f"http://{metrics}/metrics")
        finally:
            process.terminate()
            process.wait()


def fill(study: bo_client.Study, count: int) -> None:
    """Adds so many random observations."""
    rng = random.Random(0)

    def configuration() -> dict[str, bo_client.Value]:
        numbers = {f"x{i}": rng.random() for i in range(6)}
        return {**numbers, "k": rng.randint(1, 100), "c": rng.choice("abc")}

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda c: study.add(c, {"loss": value(c)}), [configuration() for _ in range(count)]))


def value(parameters: dict[str, bo_client.Value]) -> float:
    """Something to learn."""
    return sum((float(parameters[f"x{i}"]) - 0.3) ** 2 for i in range(6)) + float(parameters["c"] != "b")


def measure(server: Server, observations: int, times: int) -> Iterator[str]:
    """Rows of the table: prepared, then not."""
    with bo_client.connect(server.address) as client:
        study = client.create_study(f"n{observations}", SPACE, "loss", goal="minimize")
        fill(study, observations)
        (trial,) = study.suggest(timeout=300.0)
        for is_prepared in (True, False):
            taken, before = [], server.count_of("ready")
            for _ in range(times):
                trial.complete({"loss": value(dict(trial.parameters))})
                if is_prepared:
                    server.wait()
                begin = time.perf_counter()
                (trial,) = study.suggest(timeout=300.0)
                taken.append(1e3 * (time.perf_counter() - begin))
            ready = server.count_of("ready") - before
            late = quantiles(taken, n=100)[98]
            how = "prepared" if is_prepared else "at once"
            figures = f"{median(taken):.1f} | {late:.1f} | {ready:.0f} of {times} | {server.megabytes:.0f}"
            yield f"| {observations} | {how} | {figures} |"


def measure_peer(peer: str, observations: int, times: int, folder: Path | None, limit_s: float) -> str:
    """Return a row of the table."""
    try:
        taken = [1e3 * s for s in seconds_of_peer(peer, observations, environments(folder), times, limit_s)]
    except PeerError as error:
        return f"| {observations} | {peer} | {str(error)[:60]} | | | |"
    return f"| {observations} | {peer} | {median(taken):.1f} | {quantiles(taken, n=100)[98]:.1f} | | |"


@click.command()
@click.option("--observations", default="10,100,1000,10000", show_default=True)
@click.option("--times", default=30, show_default=True, help="That are asked for, of each kind.")
@click.option("--peers", default="", help="Names with commas, as of python -m benchmarks.")
@click.option("--peer-times", default=5, show_default=True, help="That a peer is asked.")
@click.option("--peer-seconds", default=600.0, show_default=True, help="That a peer has, with all its observations.")
@click.option("--environments", "folder", type=click.Path(path_type=Path), help="Where the peers' environments are.")
def main(observations: str, times: int, peers: str, peer_times: int, peer_seconds: float, folder: Path | None) -> None:
    """Measure SuggestTrials."""
    click.echo("| observations | asked | median, ms | 99 %, ms | found ready | server's memory, MB |")
    click.echo("|---|---|---|---|---|---|")
    for count in map(int, observations.split(",")):
        with serving() as server:
            for row in measure(server, count, times):
                click.echo(row)
        for peer in filter(None, peers.split(",")):
            click.echo(measure_peer(peer, count, peer_times, folder, peer_seconds))


if __name__ == "__main__":
    main()
