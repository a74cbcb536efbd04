"""The load on a peer's server, whose client blocks: a thread for each worker. Runs in the peer's own environment.

`python -m benchmarks.load.threads PEER LOAD` prints the figures as JSON.
"""

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from benchmarks.load.figures import LAST_S, Figures, Load, Usage

PATIENCE_S = 20.0
"""For calls that are still unanswered at the end; as long as a call of ours may take."""


class Worker(Protocol):
    """One worker's connection to a peer's server."""

    def suggest(self) -> Any:
        """A trial to run."""

    def report(self, trial: Any, step: int, value: float) -> None:
        """The nearest that the peer has to a heartbeat."""

    def complete(self, trial: Any, value: float) -> None:
        """Ends it."""


def drive(system: str, load: Load, pid: int, connect: Callable[[int], Worker]) -> Figures:
    """Lets the workers work against a server with that process id."""
    figures, usage = Figures(system, load), Usage(pid)
    end = time.monotonic() + load.warm_s + load.seconds
    threading.stack_size(256 * 1024)
    threads = [
        threading.Thread(target=_work, args=(connect, i, end, figures), daemon=True) for i in range(load.workers)
    ]
    for thread in threads:
        thread.start()
    time.sleep(load.warm_s)
    figures.counting = True
    while (left := end - LAST_S - time.monotonic()) > 0.0:
        usage.look()
        time.sleep(min(1.0, left))
    figures.counting = False
    for thread in threads:
        thread.join(max(0.0, end + PATIENCE_S - time.monotonic()))
    unanswered = sum(thread.is_alive() for thread in threads)
    if unanswered:
        figures.errors.append(f"{unanswered} workers still wait for an answer after {PATIENCE_S:g} s")
    figures.memory_mb, figures.processor_s = usage.most_mb, usage.processor_s()
    return figures


def _work(connect: Callable[[int], Worker], number: int, end: float, figures: Figures) -> None:
    rng = random.Random(number)
    time.sleep(figures.load.warm_s * 0.8 * number / figures.load.workers)
    worker = connect(number)
    while time.monotonic() < end:
        try:
            with figures.timed("suggest"):
                trial = worker.suggest()
            _live(worker, trial, rng, end, figures)
        except Exception:
            time.sleep(0.5)


def _live(worker: Worker, trial: Any, rng: random.Random, end: float, figures: Figures) -> None:
    load = figures.load
    until = time.monotonic() + load.trial_s * rng.uniform(0.5, 1.5)
    step = 0
    while time.monotonic() + load.beat_s < min(until, end):
        time.sleep(load.beat_s * rng.uniform(0.9, 1.0))
        step += 1
        with figures.timed("report"):
            worker.report(trial, step, rng.random())
    time.sleep(max(0.0, min(until, end) - time.monotonic()))
    with figures.timed("complete"):
        worker.complete(trial, rng.random())


def main() -> None:
    """Runs the peer that the command names."""
    peer, load = sys.argv[1], Load(**json.loads(sys.argv[2]))
    figures: Figures = import_module(f"benchmarks.load.{peer}").measure(load)
    sys.stdout.write(f"{figures.to_json()}\n")


if __name__ == "__main__":
    main()
