"""How many workers some servers hold: what calls cost through a real server, and a queue simulated with that.

Usage: python -m benchmarks.scaling --storage sqlite:////tmp/bo.db --servers 1,2 --replay 50,100

- **Costs**: one client, one call after the other: a call's latency, and the processor time that the server takes.
- **Queue**: calls arrive at random (Poisson) in the mix that workers make. Each waits for one of c servers, holds it
  for its processor time, and then takes the rest of its latency, such as the sync of the disk, beside others: M/G/c
  with a delay, on what was measured. A server counts as one processor, since Python runs on one at a time.
- **Replay**: the same arrivals on the real server, from threads on the same machine, which therefore does worse.
"""

import heapq
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

import bo_client
import click

from benchmarks.load.figures import Usage, quantile
from benchmarks.throughput import SPACE, serving

TRIALS = 32
"""Running side by side, so that calls for one don't wait for each other."""
THREADS = 64
SETTLE_S = 5.0
"""After its start a server's processes load what they compute with."""


@dataclass(frozen=True)
class Work:
    """What one worker does. It beats four times in a lease, by a measurement where it has one."""

    lease_s: float = 60.0
    trial_s: float = 600.0

    def rates(self) -> dict[str, float]:
        """Calls a second, by method."""
        return {"heartbeat": 4.0 / self.lease_s, "suggest": 1.0 / self.trial_s, "complete": 1.0 / self.trial_s}

    def calls(self, workers: int) -> float:
        """A second, of all of them."""
        return workers * sum(self.rates().values())


@dataclass(frozen=True)
class Cost:
    """Of one method."""

    latencies: Sequence[float]
    """Seconds, of single calls."""
    processor_s: float
    """The server's, for each call."""

    def draw(self, rng: random.Random) -> tuple[float, float]:
        """Seconds on the processor, and beside it, of one call: as long calls are, so long is their part on it."""
        latency = rng.choice(self.latencies)
        held = min(latency, self.processor_s * latency / self.mean)
        return held, latency - held

    @property
    def mean(self) -> float:
        return sum(self.latencies) / len(self.latencies)


def simulated(
    costs: Mapping[str, Cost], work: Work, rate: float, servers: int, calls: int, seed: int = 0
) -> list[float]:
    """Seconds from arrival to answer of `calls` calls that arrive at `rate` a second, the first tenth left out."""
    rng = random.Random(seed)
    methods, weights = zip(*work.rates().items(), strict=True)
    free_at = [0.0] * servers
    now, waits = 0.0, []
    for _ in range(calls):
        now += rng.expovariate(rate)
        held, beside = costs[rng.choices(methods, weights)[0]].draw(rng)
        done = max(now, heapq.heappop(free_at)) + held
        heapq.heappush(free_at, done)
        waits.append(done + beside - now)
    return waits[calls // 10 :]


def capacity(costs: Mapping[str, Cost], work: Work) -> float:
    """Calls a second that keep one server busy all the time."""
    rates = work.rates()
    return sum(rates.values()) / sum(rate * costs[method].processor_s for method, rate in rates.items())


class Caller:
    """Calls a real server."""

    def __init__(self, address: str) -> None:
        self._client = bo_client.connect(address)
        self._numbers = count()
        self._study = self._client.create_study(
            "scaling", SPACE, "loss", goal="minimize", algorithm="quasi_random", lease_duration=600
        )
        self._lives = [self._next() for _ in range(TRIALS)]
        self._ending: list[bo_client.RunningTrial] = []
        self._guard = threading.Lock()

    def close(self) -> None:
        self._client.close()

    def act(self, method: str) -> None:
        """One call."""
        if method == "heartbeat":
            self._lives[next(self._numbers) % TRIALS].heartbeat()
        elif method == "suggest":
            trial = self._next()
            with self._guard:
                self._ending.append(trial)
        else:
            with self._guard:
                ending = self._ending.pop() if self._ending else None
            (ending or self._next()).complete({"loss": 1.0})

    def _next(self) -> bo_client.RunningTrial:
        (trial,) = self._study.suggest()
        return trial


def measured(caller: Caller, pid: int, methods: Sequence[str], calls: int) -> dict[str, Cost]:
    """What each method costs, called alone."""
    usage, costs = Usage(pid), {}
    time.sleep(SETTLE_S)
    for method in methods:
        for _ in range(20):
            caller.act(method)
        before = usage.processor_s()
        latencies = [_seconds(caller.act, method) for _ in range(calls)]
        costs[method] = Cost(latencies, (usage.processor_s() - before) / calls)
    return costs


def replayed(caller: Caller, work: Work, rate: float, seconds: float, seed: int = 0) -> list[float]:
    """Seconds from the moment that each call was due to its answer."""
    rng, futures = random.Random(seed), []
    methods, weights = zip(*work.rates().items(), strict=True)
    due = began = time.perf_counter()

    def answer(method: str, due: float) -> float:
        caller.act(method)
        return time.perf_counter() - due

    with ThreadPoolExecutor(THREADS) as pool:
        while due - began < seconds:
            due += rng.expovariate(rate)
            time.sleep(max(0.0, due - time.perf_counter()))
            futures.append(pool.submit(answer, rng.choices(methods, weights)[0], due))
        return [future.result() for future in futures]


def _seconds(act: Callable[[str], None], method: str) -> float:
    began = time.perf_counter()
    act(method)
    return time.perf_counter() - began


def _numbers(_: click.Context, __: click.Parameter, text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _cost_rows(costs: Mapping[str, Cost]) -> Iterator[str]:
    yield "| call | p50 ms | p99 ms | processor ms |\n|---|---|---|---|"
    for method, cost in costs.items():
        p50, p99 = (1000 * quantile(list(cost.latencies), q) for q in (0.5, 0.99))
        yield f"| {method} | {p50:.2f} | {p99:.2f} | {1000 * cost.processor_s:.2f} |"


def _row(servers: object, workers: float, rate: float, used: float, latencies: list[float]) -> str:
    p50, p99 = (1000 * quantile(latencies, q) for q in (0.5, 0.99))
    return f"| {servers} | {workers:,.0f} | {rate:.0f} | {used:.0%} | {p50:.1f} | {p99:.1f} |"


@click.command()
@click.option("--storage", required=True, help="As of `bo-service serve`; must be empty.")
@click.option("--calls", default=400, show_default=True, help="Of each method, to measure what it costs.")
@click.option("--lease", "lease_s", default=Work.lease_s, show_default=True, help="Seconds of a lease.")
@click.option("--trial", "trial_s", default=Work.trial_s, show_default=True, help="Seconds that a trial takes.")
@click.option("--servers", default="1,2,4", show_default=True, callback=_numbers, help="Numbers of servers.")
@click.option("--replay", "rates", default="", callback=_numbers, help="Calls a second, on the real server.")
@click.option("--seconds", default=10.0, show_default=True, help="Of each replay.")
def main(
    storage: str, calls: int, lease_s: float, trial_s: float, servers: list[int], rates: list[int], seconds: float
) -> None:
    """Tables of costs, of the simulated queue up to what the servers hold, and of replays."""
    work = Work(lease_s, trial_s)
    each = work.calls(1)
    with serving(storage) as (address, pid):
        caller = Caller(address)
        costs = measured(caller, pid, list(work.rates()), calls)
        replays = {rate: replayed(caller, work, rate, seconds) for rate in rates}
        caller.close()
    for row in _cost_rows(costs):
        click.echo(row)
    click.echo("\n| servers | workers | calls a second | used | p50 ms | p99 ms |\n|---|---|---|---|---|---|")
    most = capacity(costs, work)
    for number in servers:
        for used in (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95):
            rate = used * most * number
            click.echo(_row(number, rate / each, rate, used, simulated(costs, work, rate, number, 40_000)))
    for rate, latencies in replays.items():
        click.echo(_row("replayed on 1", rate / each, rate, rate / most, latencies))


if __name__ == "__main__":
    main()
