"""How many trials a server hands out and takes back, durably, from so many clients at once.

Usage: python -m benchmarks.throughput --storage sqlite:////tmp/bo.db --clients 1,16 --seconds 10 --peers optuna,vizier

Each client is a connection of its own that asks for a suggestion and completes it, again and again; the suggestions
are quasi-random, so that what is measured is the service and its database. The clients share processes, two at most,
and with the server this machine's processors. The processor's time is the server's alone, whoever else is at work.

Peers do the like over SQLite files of their own: Optuna's gRPC proxy with random sampling in the clients, which are
threads of one process; OSS Vizier's server with random search.
"""

import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import bo_client
import click

from benchmarks.load.figures import Load
from benchmarks.load.peers import of_peer

SPACE = bo_client.SearchSpace([bo_client.FloatParameter(f"x{i}", 0.0, 1.0) for i in range(4)])
PROCESSES = 2
WARM_UP_S = 1.0


@contextmanager
def serving(storage: str, *options: str) -> Iterator[tuple[str, int]]:
    """Run a server; yield its address and its process's number."""
    command = [sys.executable, "-m", "bo_service.cli.main", "serve", "--storage", storage, "--listen", "127.0.0.1:0"]
    process = subprocess.Popen([*command, "--log-level", "warning", *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[2], process.pid
    finally:
        process.terminate()
        process.wait()


def processor_seconds(pid: int) -> float:
    """Return the seconds of processor that a process has used so far."""
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) / 100.0


def work(
    address: str, study_id: str, clients: int, seconds: float, results: "multiprocessing.Queue[list[float]]"
) -> None:
    """So many clients on threads; how long each pair of calls took, without those of the warm-up."""
    taken: list[float] = []
    end = time.monotonic() + WARM_UP_S + seconds

    def run() -> None:
        with bo_client.connect(address) as client:
            study = client.study(study_id)
            while (begin := time.monotonic()) < end:
                (trial,) = study.suggest()
                trial.complete({"loss": float(trial.parameters["x0"])})
                if begin > end - seconds:
                    taken.append(time.monotonic() - begin)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(taken)


def measure(address: str, pid: int, clients: int, studies: int, seconds: float) -> str:
    """Return a row of the table."""
    context = multiprocessing.get_context("spawn")
    processes = min(PROCESSES, clients)
    with bo_client.connect(address) as client:
        names = [f"c{clients}-{i}" for i in range(studies)]
        for name in names:
            client.create_study(name, SPACE, "loss", goal="minimize", algorithm="quasi_random")
    results: multiprocessing.Queue[list[float]] = context.Queue()
    shares = [clients // processes + (i < clients % processes) for i in range(processes)]
    workers = [
        context.Process(target=work, args=(address, names[i % studies], share, seconds, results))
        for i, share in enumerate(shares)
    ]
    for worker in workers:
        worker.start()
    used, begin = processor_seconds(pid), time.monotonic()
    taken = [t for _ in workers for t in results.get()]
    used, passed = processor_seconds(pid) - used, time.monotonic() - begin
    for worker in workers:
        worker.join()
    rate = len(taken) / seconds
    late = quantiles(taken, n=100)[98]
    busy = used / passed
    cost = 1e3 * busy / rate if rate else 0.0
    return f"| ours | {clients} | {rate:.0f} | {1e3 * median(taken):.1f} | {1e3 * late:.1f} | {cost:.2f} |"


def measure_peer(peer: str, clients: int, seconds: float, folder: Path | None) -> str:
    """Return a row of the table."""
    load = Load(clients, seconds, trial_s=0.0, beat_s=1e9, warm_s=WARM_UP_S)
    figures = of_peer(peer, load, folder)
    pairs = [a + b for a, b in zip(figures.seconds["suggest"], figures.seconds["complete"], strict=False)]
    if len(pairs) < 2:
        return f"| {figures.system} | {clients} | {len(pairs) / seconds:.1f} | more than {seconds:g} s | | |"
    late, rate = quantiles(pairs, n=100)[98], len(pairs) / seconds
    cost = 1e3 * figures.processor_s / (rate * (seconds + WARM_UP_S))
    times = f"{1e3 * median(pairs):.1f} | {1e3 * late:.1f} | {cost:.2f}"
    return f"| {figures.system} | {clients} | {rate:.1f} | {times} |"


@click.command()
@click.option("--storage", required=True, help="As of bo-service serve; a database of its own.")
@click.option("--clients", default="1,16", show_default=True)
@click.option("--cpu-affinity", help="As of bo-service serve.")
@click.option("--studies", default=1, show_default=True, help="That the clients share, at most two.")
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--peers", default="", help="Names with commas: optuna, vizier.")
@click.option("--environments", "folder", type=click.Path(path_type=Path), help="Where the peers' environments are.")
def main(
    storage: str, clients: str, cpu_affinity: str | None, studies: int, seconds: float, peers: str, folder: Path | None
) -> None:
    """Measure suggest and complete."""
    counts = [int(count) for count in clients.split(",")]
    click.echo("| server | clients | pairs per second | median, ms | 99 %, ms | server's processor, ms a pair |")
    click.echo("|---|---|---|---|---|---|")
    options = ["--cpu-affinity", cpu_affinity] if cpu_affinity else []
    with serving(storage, *options) as (address, pid):
        for count in counts:
            click.echo(measure(address, pid, count, studies, seconds))
    for peer in filter(None, peers.split(",")):
        for count in counts:
            click.echo(measure_peer(peer, count, seconds, folder))


if __name__ == "__main__":
    main()
