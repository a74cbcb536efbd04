"""The server killed at random moments under load, and what is left judged."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.checker import Violation, check
from tests.chaos.fleet import Fleet, read_all
from tests.chaos.history import Call, Snapshot
from tests.chaos.server import ServerProcess

MOST_S, MOST_LAST_S = 8.0, 60.0


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    kills: int
    calls: Counter[str]
    """Answered, by method."""
    lost_answers: int
    repeats: int
    """Requests that were sent again after they had been answered."""
    restart_s: tuple[float, ...]
    violations: list[Violation]
    history: tuple[Sequence[Call], Mapping[str, Snapshot]] = field(repr=False)
    """What was judged."""

    def __str__(self) -> str:
        restarts = sorted(self.restart_s)
        told = ", ".join(f"{count} {method}" for method, count in self.calls.most_common())
        return (
            f"{self.kills} kills; {sum(self.calls.values())} calls answered ({told}), "
            f"{self.lost_answers} answers lost, {self.repeats} repeated; "
            f"restarts in {restarts[len(restarts) // 2]:.2f} s (median), "
            f"{restarts[-1]:.2f} s (most); {len(self.violations)} violations"
        )


def survive(
    storage: str,
    log: Path,
    kills: int,
    seed: int,
    workers: int = 12,
    say: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Kills the server `kills` times while a fleet is at work; every tenth time while it is still starting."""
    rng = random.Random(seed)
    restarts: list[float] = []
    with ServerProcess(storage, log) as server:
        fleet = Fleet(server.address, seed, workers)
        fleet.start()
        try:
            for number in range(1, kills + 1):
                _let_work(fleet, rng)
                server.kill()
                if rng.random() < 0.1:
                    server.launch()
                    time.sleep(rng.random() * 0.8)
                    server.kill()
                began = time.monotonic()
                server.start()
                restarts.append(time.monotonic() - began)
                if number % 25 == 0:
                    say(f"{number} kills, {fleet.acknowledged} calls answered")
            _until(fleet, fleet.acknowledged + 40, MOST_LAST_S)
        finally:
            fleet.finish()
        with fleet.channel() as channel:
            snapshots = read_all(channel, quiet_s=20.0)
    calls = fleet.recorder.calls
    return Outcome(
        kills,
        Counter(c.method for c in calls if c.answer is not None),
        sum(a.is_unknown for c in calls for a in c.attempts),
        sum(max(0, sum(a.answer is not None for a in c.attempts) - 1) for c in calls),
        tuple(restarts),
        check(calls, snapshots),
        (calls, snapshots),
    )


def _let_work(fleet: Fleet, rng: random.Random) -> None:
    """Until up to sixty calls more have been answered, however slow the machine; at times not even one."""
    _until(fleet, fleet.acknowledged + rng.randrange(60), MOST_S)
    time.sleep(rng.random() * 0.2)


def _until(fleet: Fleet, answered: int, most_s: float) -> None:
    deadline = time.monotonic() + most_s
    while fleet.acknowledged < answered and time.monotonic() < deadline:
        time.sleep(0.02)
