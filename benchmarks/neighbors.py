"""What a small study feels of a large one on the same server.

Usage: python -m benchmarks.neighbors --observations 5000 --seconds 30

Workers of the small study ask, wait as long as a short training takes, complete and ask again: alone, then while
workers of the large study do the same without ever waiting. Their waits for SuggestTrials are compared.
"""

import threading
import time
from statistics import median, quantiles

import bo_client
import click

from benchmarks.serving import SPACE, Server, fill, serving, value

SMALL = 30
"""Observations of the small study."""


class Worker(threading.Thread):
    """Works on a study until it is told to stop; keeps the seconds that each suggestion took."""

    def __init__(self, address: str, study_id: str, rest_s: float) -> None:
        super().__init__()
        self.taken: list[float] = []
        self._address, self._study_id, self._rest_s = address, study_id, rest_s
        self._stop_asked = threading.Event()
        self.start()

    def run(self) -> None:
        with bo_client.connect(self._address) as client:
            study = client.study(self._study_id)
            while not self._stop_asked.is_set():
                begin = time.perf_counter()
                (trial,) = study.suggest(timeout=300.0)
                self.taken.append(time.perf_counter() - begin)
                self._stop_asked.wait(self._rest_s)
                trial.complete({"loss": value(dict(trial.parameters))})

    def stop(self) -> None:
        """After the trial that it is at."""
        self._stop_asked.set()
        self.join()


def worked(server: Server, study_id: str, workers: int, rest_s: float, seconds: float) -> list[float]:
    """Return the seconds that suggestions took."""
    threads = [Worker(server.address, study_id, rest_s) for _ in range(workers)]
    time.sleep(seconds)
    for worker in threads:
        worker.stop()
    return [s for worker in threads for s in worker.taken]


def row(label: str, taken: list[float]) -> str:
    """Return a row of the table."""
    late = quantiles(taken, n=100)[98] if len(taken) > 1 else taken[0]
    return f"| {label} | {len(taken)} | {1e3 * median(taken):.1f} | {1e3 * late:.1f} |"


@click.command()
@click.option("--observations", default=5000, show_default=True, help="Of the large study.")
@click.option("--seconds", default=30.0, show_default=True)
@click.option("--rest", "rest_s", default=1.0, show_default=True, help="Seconds that a small trial takes.")
@click.option("--large-workers", default=4, show_default=True)
def main(observations: int, seconds: float, rest_s: float, large_workers: int) -> None:
    """Measure the small study's waits."""
    with serving() as server:
        with bo_client.connect(server.address) as client:
            for study_id, count in (("small", SMALL), ("large", observations)):
                fill(client.create_study(study_id, SPACE, "loss", goal="minimize"), count)
        server.wait()
        click.echo("| SuggestTrials of | calls | median, ms | 99 %, ms |")
        click.echo("|---|---|---|---|")
        click.echo(row("the small study, alone", worked(server, "small", 2, rest_s, seconds)))
        neighbors = [Worker(server.address, "large", 0.0) for _ in range(large_workers)]
        click.echo(row("the small study, beside the large one", worked(server, "small", 2, rest_s, seconds)))
        for neighbor in neighbors:
            neighbor.stop()
        click.echo(row("the large study", [s for neighbor in neighbors for s in neighbor.taken]))


if __name__ == "__main__":
    main()
