"""How long suggestions take, for a study of eight mixed parameters; every peer in its own process, on one thread.

Seconds are the processor's, which on one thread are those of the clock where the machine has nothing else to do.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.peers.catalog import entry_of, interpreter
from benchmarks.peers.ours import Ours
from benchmarks.peers.process import PeerProcess
from benchmarks.problems.mixed import TRAINING_SPACE, training
from benchmarks.problems.space import Config, Continuous, described, draw
from bo_service.domain.study import SuggestionSettings
from bo_service.optimizer.inputs import OptimizerInput
from bo_service.optimizer.suggest import suggest

SPACE = (*TRAINING_SPACE, Continuous("momentum", 0.0, 1.0))
REPEATS = 5


@dataclass(frozen=True)
class Timing:
    """Seconds that one suggestion takes a peer, the median of `REPEATS`."""

    peer: str
    observations: int
    seconds: float


def observations(count: int, seed: int = 0) -> Iterator[tuple[Config, float]]:
    """Random configs, and a little noise on what they give."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        config = draw(SPACE, rng)
        yield config, training(config) + abs(float(config["momentum"]) - 0.9) + 0.01 * float(rng.standard_normal())


def of_peer(peer: str, count: int, environments: Path, repeats: int = REPEATS) -> Timing:
    """Return the median of `seconds_of_peer`."""
    return Timing(peer, count, median(seconds_of_peer(peer, count, environments, repeats)))


def seconds_of_peer(
    peer: str, count: int, environments: Path, repeats: int = REPEATS, limit_s: float | None = None
) -> list[float]:
    """Return the seconds of single suggestions after `count` observations; the first one isn't timed.

    Raises:
        PeerError: the peer is gone, or was not done within `limit_s` seconds.
    """
    entry, study = entry_of(peer), (described(SPACE), 0, count + repeats + 1)
    with PeerProcess(interpreter(entry, environments), entry.module, entry.variant, study, limit_s=limit_s) as process:
        for config, value in observations(count):
            process.tell(config, value)
        seconds = []
        for _ in range(repeats + 1):
            asked = process.ask()
            learned = process.tell(asked.config, training(asked.config))
            seconds.append(asked.seconds + learned)
    return seconds[1:]


def of_batch(count: int, pending: int = 8, batch: int = 8, repeats: int = REPEATS) -> tuple[float, float]:
    """Seconds for one suggestion with nothing pending, and for a batch with others pending."""
    ours = Ours(described(SPACE), 0)
    for config, value in observations(count):
        ours.tell(dict(config), value)
    alone = OptimizerInput(ours.space, SuggestionSettings(), 0, ours.past)
    others = tuple(s.configuration for s in suggest(alone, pending))
    crowded = OptimizerInput(ours.space, SuggestionSettings(), 0, ours.past, others)
    with threadpool_limits(1):
        return _seconds(alone, 1, repeats), _seconds(crowded, batch, repeats)


def _seconds(inputs: OptimizerInput, count: int, repeats: int) -> float:
    durations = []
    for _ in range(repeats):
        begin = time.process_time()
        suggest(inputs, count)
        durations.append(time.process_time() - begin)
    return median(durations)


def table(timings: list[Timing]) -> str:
    """Milliseconds by observations, and of the first peer as a part of the others'."""
    counts = sorted({t.observations for t in timings})
    peers = list(dict.fromkeys(t.peer for t in timings))
    taken = {(t.peer, t.observations): t.seconds for t in timings}
    heads = [f"{n} observations" for n in counts]
    lines = [f"| peer | {' | '.join(heads)} |", "|---" * (len(counts) + 1) + "|"]
    for peer in peers:
        cells = []
        for n in counts:
            ratio = "" if peer == peers[0] else f" (ratio {taken[peers[0], n] / taken[peer, n]:.2f})"
            cells.append(f"{1e3 * taken[peer, n]:.0f} ms{ratio}")
        lines.append(f"| {peer} | {' | '.join(cells)} |")
    return "\n".join(lines)
