"""One run: a peer in its own process tunes one table."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.peers.catalog import entry_of, interpreter
from benchmarks.peers.process import PeerError, PeerProcess
from benchmarks.problems.space import described
from benchmarks.tabular.catalog import key_of
from benchmarks.tabular.results import TabularRun
from benchmarks.tabular.table import Table
from benchmarks.tabular.versions import version_of

LAST_LINES = 3


def run(peer: str, table: Table, seed: int, budget: int, environments: Path, show: Callable[[int], None]) -> TabularRun:
    """Return a finished run.

    Args:
        peer: Name of the peer, as in the catalog of peers.
        table: The table that it tunes.
        seed: Seed of the peer, and of the trainings that its trials measure.
        budget: Number of trials, at least 2.
        environments: Folder of the environments.
        show: Called after each trial with the number of trials so far.

    Raises:
        PeerError: the peer's process ended; the message has the last lines of its errors.
    """
    entry = entry_of(peer)
    version = version_of(peer)
    study = described(table.space), seed, budget
    trials: list[str] = []
    values: list[float] = []
    recommended: list[str | None] = []
    seconds = 0.0
    with tempfile.TemporaryFile("w+") as log:
        try:
            with PeerProcess(interpreter(entry, environments), entry.module, entry.variant, study, log) as process:
                for number in range(budget):
                    asked = process.ask()
                    trials.append(key_of(table.space, asked.config))
                    values.append(table.measure(trials[-1], seed, number))
                    seconds += asked.seconds + process.tell(asked.config, values[-1])
                    if number + 1 in (budget // 2, budget):
                        config = process.recommend()
                        recommended.append(None if config is None else key_of(table.space, config))
                    show(number + 1)
        except PeerError as error:
            log.seek(0)
            raise PeerError("\n".join([str(error), *log.read().splitlines()[-LAST_LINES:]])) from error
    half, full = (scores(table, trials[:n], values[:n]) for n in (budget // 2, budget))
    final = [rounded(table.regret(key)) for key in recommended if key is not None]
    return TabularRun(
        table.name, peer, seed, version, tuple(trials), (half[0], full[0]), (half[1], full[1]),
        (final[0], final[1]) if len(final) == 2 else None, rounded(seconds),
    )  # fmt: skip


def scores(table: Table, trials: Sequence[str], values: Sequence[float]) -> tuple[float, float]:
    """Return the regret of the best configuration that was tried, and that of the one with the best measured value.

    Args:
        table: The table.
        trials: Digits of the configurations that were tried, (n,).
        values: What was measured, (n,); of equal ones the first counts.
    """
    best = min(range(len(trials)), key=lambda i: values[i])
    return rounded(min(map(table.regret, trials))), rounded(table.regret(trials[best]))


def rounded(value: float) -> float:
    """Return four significant digits."""
    return float(f"{value:.4g}")
